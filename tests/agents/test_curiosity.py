"""Information gain along explained paths, and the expected gain over the latent plane, of a run that was curious."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import envs
from agents.explain import explain
from agents.explanation.figures.gain import gain_panels, run_gain_map
from agents.explanation.information_gain import bonus_in_nats, expected_gain_map
from agents.explanation.output import step_table
from agents.explanation.report.page import render_report
from agents.report import main as report_main
from agents.runs.run import Run, load_run
from agents.train import train
from agents.trajectories.trajectory import Trajectory
from envs.errors import UnknownNameError, UntrustedNameError
from vime import VimeError

LEARN = {"min_pool": 64, "updates": 5, "first_updates": 20, "hidden": [16]}


def trained(folder: Path, curiosity: str, env: str = "Manifold/Digits-v0", **options: Any) -> Run:
    return train(env=env, n_timesteps=256, n_envs=8, curiosity=curiosity, curiosity_kwargs=options, log_folder=str(folder),
                 hyperparams={"n_steps": 16, "batch_size": 64, "n_epochs": 1}, eval_episodes=0, pictures=False)  # fmt: skip


@pytest.fixture(scope="module", params=["Manifold/Digits-v0", "Manifold/DigitsLabelOnly-v0"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs")
    return load_run(trained(folder, "vime", request.param, **LEARN).folder.root)


def test_gains_are_the_bonus_of_what_the_environment_shows_on_the_same_walk(run: Run) -> None:
    path = explain(run, 3, walker="line")
    world = run.world
    assert world is not None
    assert np.isfinite(path.information_gain).all()
    env = envs.LatentVectorEnv(1, world=world, autoreset_mode=AutoresetMode.DISABLED)
    obs, _ = env.reset(options={"index": 3, "target": int(path.target), "split": "held_out"})
    for t, action in enumerate(path.actions):
        after = env.step(action[None])[0]
        gain = run.bonus.score(obs, action[None], after)
        assert float(gain) == pytest.approx(float(path.information_gain[t]), rel=1e-3, abs=1e-5)
        obs = after


def test_it_asks_nothing_and_depends_on_nothing_but_the_path(run: Run) -> None:
    assert run.world is not None
    one = explain(run, [0, 1, 2], walker="line")
    asked = run.world.classifier.queries
    expected_gain_map(run.bonus, run.world, 8)
    assert run.world.classifier.queries == asked
    alone = explain(run, 1, walker="line")
    np.testing.assert_allclose(alone.information_gain, one[1].information_gain, rtol=1e-3)
    assert run.world.classifier.queries - asked == alone.queries


def test_the_map_is_of_places_in_the_typical_set_and_repeats(run: Run) -> None:
    assert run.world is not None
    one, two = (expected_gain_map(run.bonus, run.world, 8) for _ in range(2))
    assert one.gains.shape == (8, 8)
    assert np.isfinite(one.gains).all()
    assert (one.gains > 0).all()
    np.testing.assert_array_equal(one.gains, two.gains)
    image = run_gain_map(run)
    assert image is not None
    assert image.startswith(b"\x89PNG")


def test_table_report_and_file_show_it(run: Run, tmp_path: Path) -> None:
    path = explain(run, 3, walker="line")
    assert "gain (nats)" in [column.header.plain for column in step_table(path).columns]  # type: ignore[union-attr]
    again = Trajectory.load(path.save(tmp_path / "path.npz"))
    np.testing.assert_array_equal(again.information_gain, path.information_gain)
    page = render_report([path], run.world, panels=gain_panels(run.folder.root, [path]))
    assert page.count('class="gain"') == path.steps
    assert "Where the curiosity network is uncertain" in page


def test_the_scripts_report_holds_the_map(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    explain(run, 3, walker="line").save(run.folder.root / "paths" / "line.npz")
    assert report_main([str(run.folder.root)]) == 0
    assert "Where the curiosity network is uncertain" in (run.folder.root / "report.html").read_text()


def test_training_leaves_the_map_in_its_logs(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(env="Manifold/Digits-v0", n_timesteps=256, n_envs=8, curiosity="bald", curiosity_kwargs=LEARN,
                hyperparams={"n_steps": 16, "batch_size": 64, "n_epochs": 1}, eval_episodes=0,
                log_folder=str(tmp_path))  # fmt: skip
    events = EventAccumulator(str(run.folder.root))
    events.Reload()
    assert "explain/expected_gain" in events.Tags()["images"]


@pytest.mark.parametrize(("curiosity", "options"), [("none", {}), ("rnd", LEARN), ("vime", {"min_pool": 5000})])
def test_where_no_information_was_measured_nothing_is_shown(tmp_path: Path, curiosity: str, options: Any) -> None:
    if curiosity == "rnd":
        options = {"min_pool": 64, "updates": 2}
    run = trained(tmp_path, curiosity, **options)
    assert bonus_in_nats(run) is None
    path = explain(run, 3)
    assert np.isnan(path.information_gain).all()
    assert gain_panels(run.folder.root, [path]) == []
    page = render_report([path], run.world)
    assert 'class="gain"' not in page
    assert "uncertain" not in page


def test_a_bonus_of_another_format_is_left_out_and_said_to_be(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vime.bonuses.base.FORMAT", 99)
    again = load_run(run.folder.root)
    assert bonus_in_nats(again) is None
    assert "format" in capsys.readouterr().err
    assert np.isnan(explain(again, 3, walker="line").information_gain).all()


def test_settings_come_from_the_command_line_then_from_the_file() -> None:
    from agents.runs.config import CuriosityConfig
    from agents.training.environments import curiosity_settings

    world: Any = object()
    told = curiosity_settings("vime", None, {"updates": 3}, world)
    assert told.options["updates"] == 3
    assert told.options["noise"] == 0.3
    assert told.eta is not None
    assert 0 < told.eta < 0.1
    assert "eta" not in told.options
    assert curiosity_settings("vime", 0.5, {}, world).eta == 0.5
    assert curiosity_settings("vime", None, {}, None) == CuriosityConfig(name="vime")


def test_a_bonus_of_the_users_own_is_trained_saved_and_loaded(tmp_path: Path) -> None:
    name = "tests.vime.bonuses.simhash:SimHash"
    folder = trained(tmp_path, name, min_pool=64, bits=6).folder.root
    run = load_run(folder)
    assert run.folder.run_config().curiosity.name == name
    assert run.bonus.name == "simhash"
    assert run.bonus.visits.sum() == 256
    with pytest.raises(VimeError, match="'vme'; did you mean 'vime'"):
        trained(tmp_path, "vme")
    with pytest.raises(VimeError, match="cannot load the bonus"):
        trained(tmp_path, "no_such_module:SimHash")
    with pytest.raises(UnknownNameError, match="did you mean 'bits'"):
        trained(tmp_path, name, bit=6)


def test_a_bonus_that_another_accounts_run_names_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "tests.vime.bonuses.simhash:SimHash"
    folder = trained(tmp_path, name, min_pool=64, bits=6).folder.root
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another account"))
    with pytest.raises(UntrustedNameError, match="SimHash"):
        load_run(folder)
    assert load_run(folder, trust=[name]).bonus.name == "simhash"
