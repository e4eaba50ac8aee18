"""A saved path replays, and whatever changed since then is detected and reported."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import envs
from agents import replay, report
from agents.explain import explain
from agents.runs.world_record import build_world, describe_world
from agents.trajectories.trajectory import Trajectory
from envs.core.world import World

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def world() -> World:
    return envs.make_world(data="digits")


@pytest.fixture(scope="module")
def path(world: World) -> Trajectory:
    return max(explain(world, [0, 4, 10], walker="line"), key=lambda p: p.steps)


def test_a_saved_path_reproduces_in_an_environment_made_from_its_description(path: Trajectory) -> None:
    found = replay.compare(path, build_world(path.environment))
    assert found.reproduced
    assert "reproduced" in replay.verdict(path, found)
    assert "NOT" not in replay.verdict(path, found)


@pytest.mark.parametrize(
    "changes",
    [{"move": "spherical"}, {"move": "pullback"}, {"tau": 0.7, "max_episode_steps": 30}, {"task": "leave"},
     {"reward": {"path": 0.1}, "gamma": 0.9}, {"task": "reach_label", "label_only": True},
     {"max_step": 0.2, "step": 0.1}],
)  # fmt: skip
def test_worlds_of_every_kind_are_described_and_built_again(changes: dict[str, object]) -> None:
    world = envs.make_world(data="digits", **changes)  # type: ignore[arg-type]
    told = json.loads(json.dumps(describe_world(world)))
    again = build_world(told)
    for name in ("move", "step_length", "max_step", "gamma", "task", "label_only", "max_episode_steps"):
        assert getattr(again, name) == getattr(world, name), name


def test_a_world_changed_after_it_was_made_is_described_as_it_is_now(world: World) -> None:
    told = describe_world(world.replace(move="spherical", gamma=0.5))["config"]
    assert told["move"] == "spherical"
    assert told["gamma"] == 0.5


def test_a_changed_action_is_noticed(path: Trajectory, world: World) -> None:
    actions = path.actions.copy()
    actions[0, 0] += 0.01
    changed = replace(path, actions=actions)
    found = replay.compare(changed, world)
    assert not found.reproduced
    assert "walk itself differs" in replay.verdict(changed, found)


def test_a_changed_classifier_is_noticed_and_its_difference_told(path: Trajectory, world: World) -> None:
    class Softer:
        """Answers a little nearer to even odds than the classifier it stands before."""

        class_names, label_only = world.class_names, False

        @staticmethod
        def predict_proba(x: torch.Tensor) -> torch.Tensor:
            return 0.9 * world.classifier.predict_proba(x) + 0.1 / 10

    found = replay.compare(path, world.replace(classifier=Softer()))
    assert found.moved_alike
    assert not found.reproduced
    assert found.predictions == pytest.approx(0.09, abs=0.01)
    assert f"{found.predictions:.3g}" in replay.verdict(path, found)


def test_a_path_with_a_step_planned_beyond_its_arrival_reproduces(path: Trajectory, world: World) -> None:
    lower = world.replace(tau=float(path.predictions[-2:, path.target].min()) - replay.TOLERANCE)
    assert not replay.compare(path, lower).ended, "the walk would have ended one step before"
    assert replay.compare(replace(path, planned=2), lower).reproduced


def test_live_worlds_are_refused_in_plain_words() -> None:
    with pytest.raises(ValueError, match="live objects"):
        build_world({"config": {"live": {"classifier": "builtins.function"}}})


def test_the_script_shows_every_step_and_ends_with_0_when_reproduced(
    path: Trajectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = path.save(tmp_path / "path.npz")
    assert replay.main([str(file), "--gif", str(tmp_path / "path.gif")]) == 0
    shown = capsys.readouterr().out
    for t in range(path.steps + 1):
        assert f"frame {t} of {path.steps}" in shown
    assert path.summary() in shown
    assert "reproduced: largest difference" in shown
    with Image.open(tmp_path / "path.gif") as gif:
        assert gif.n_frames == path.steps + 2  # the input, then every frame


def test_the_script_ends_with_1_when_an_action_was_changed(path: Trajectory, tmp_path: Path) -> None:
    file = replace(path, actions=-path.actions).save(tmp_path / "path.npz")
    assert replay.main([str(file), "--no-show"]) == 1


def test_a_run_s_paths_are_listed_and_one_damaged_file_does_not_stop_the_others(
    path: Trajectory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SimpleNamespace(root=tmp_path, trajectories=lambda: sorted((tmp_path / "paths").glob("*.npz")))
    monkeypatch.setattr("agents.runs.folder.RunFolder.open", lambda *_: folder)
    for name in ("a", "b"):
        path.save(tmp_path / "paths" / name)
    assert replay.main([str(tmp_path), "--no-show"]) == 0
    assert "a.npz" in capsys.readouterr().out
    (tmp_path / "paths" / "a.npz").write_bytes(b"nothing")
    assert replay.main([str(tmp_path), "--no-show", "--all"]) == 1
    told = capsys.readouterr()
    assert "1 of 2 paths reproduced" in told.out
    assert "damaged" in told.err


def test_a_folder_of_paths_that_is_no_run_is_replayed_and_reported(path: Trajectory, tmp_path: Path) -> None:
    for name in ("a", "b"):
        path.save(tmp_path / name)
    files, run = replay.find_paths(replay.ReplayConfig(source=str(tmp_path), all=True))
    assert ([file.name for file in files], run) == (["a.npz", "b.npz"], None)
    assert report.main([str(tmp_path), "--out", str(tmp_path / "report.html")]) == 0
    assert "2 inputs" in (tmp_path / "report.html").read_text()


def test_live_mode_plays_without_a_terminal(path: Trajectory, tmp_path: Path) -> None:
    file = path.save(tmp_path / "path.npz")
    assert replay.main([str(file), "--live", "--delay", "0"]) == 0


def test_help_needs_no_torch() -> None:
    code = "import sys, agents.replay as r\ntry: r.main(['--help'])\nexcept SystemExit: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")


def test_a_label_only_path_replays_without_any_probability(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = envs.make_world(data="digits", task="reach_label", label_only=True)
    path = explain(world, 0, walker="line")
    assert path.predictions is None
    assert replay.main([str(path.save(tmp_path / "path"))]) == 0
    shown = capsys.readouterr().out
    assert "p(" not in shown
    assert np.array_equal(path.predicted, path.labels)


def test_a_path_of_one_frame_is_shown_played_and_reproduced(
    path: Trajectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert path.predictions is not None
    one = replace(
        path, z=path.z[:1], predictions=path.predictions[:1], actions=path.actions[:0], rewards=path.rewards[:0],
        step_lengths=path.step_lengths[:0], information_gain=np.zeros(0), typicality=None, distances=None, success=False,
    )  # fmt: skip
    file = one.save(tmp_path / "one")
    assert replay.main([str(file), "--live", "--delay", "0", "--gif", str(tmp_path / "one.gif")]) == 0
    shown = capsys.readouterr().out
    assert "frame 0 of 0" in shown
    assert "no step was made" in shown
    assert "reproduced" in shown


def test_a_table_whose_classifier_was_fitted_to_other_rows_since_says_by_how_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, lines = tmp_path / "t.csv", [f"{i % 17},{'abc'[i % 3]},{int(i % 17 > 8)}" for i in range(120)]
    file.write_text("n,c,y\n" + "\n".join(lines) + "\n")
    world = envs.make_world(data=str(file), target_column="y", manifold="vae", latent_dim=2)
    path = explain(world, 0, walker="line")
    run = tmp_path / "run"
    world.manifold.save(run / "manifold")
    (run / "config.json").write_text("{}")
    saved = path.save(run / "paths" / "p")
    assert replay.main([str(saved), "--no-show"]) == 0
    capsys.readouterr()
    file.write_text("n,c,y\n" + "\n".join(f"{line[:-1]}{int(i % 17 > 12)}" for i, line in enumerate(lines)) + "\n")
    assert replay.main([str(saved), "--no-show"]) == 0, "the walk is the same"
    told = capsys.readouterr().out
    assert "the walk reproduces, frame by frame; the classifier's predictions differ by up to 0." in told
    assert "two identical queries give the same prediction now, so it has changed since" in told


@pytest.mark.parametrize(("onednn", "aten"), [("AVX2", "avx2"), pytest.param("SSE41", "default", marks=pytest.mark.slow)])
def test_the_example_replays_on_older_processors_and_says_by_how_much_it_differs(onednn: str, aten: str) -> None:
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": onednn, "ATEN_CPU_CAPABILITY": aten}
    command = [sys.executable, "-m", "agents.replay", "runs/example", "--all", "--no-show"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    told = [float(found) for found in re.findall(r"reproduced: largest difference (\S+) ", done.stdout)]
    assert len(told) == len(list((ROOT / "runs" / "example" / "paths").glob("*.npz")))
    assert max(told) <= 1e-4


def noisy(world: World, size: float, shift: float = 0.0) -> World:
    """The world with a classifier whose probabilities differ from query to query, and are moved towards even odds."""
    generator = torch.Generator().manual_seed(0)

    class Noisy:
        class_names, label_only, queries = world.class_names, False, 0

        @staticmethod
        def predict_proba(x: torch.Tensor, cells: torch.Tensor | None = None) -> torch.Tensor:
            p = (1 - shift) * world.classifier.predict_proba(x) + shift / len(world.class_names)
            p = p * torch.exp(size * torch.randn(p.shape, generator=generator))
            return p / p.sum(1, keepdim=True)

    return world.replace(classifier=Noisy())


def test_noise_is_told_from_a_change(path: Trajectory, world: World) -> None:
    found = replay.compare(path, noisy(world, 0.05))
    assert found.walk_reproduced
    assert found.noise > 0
    told = replay.verdict(path, found)
    assert f"the classifier's predictions differ by up to {found.predictions:.3g}, {found.mean:.3g} on average" in told
    assert "it is noisy: between two identical queries" in told
    both = replay.compare(path, noisy(world, 0.001, shift=0.5))
    assert both.mean > replay.NOISE * both.noise > 0
    assert "and has changed by more than that" in replay.verdict(path, both)


def test_the_share_of_frames_with_another_class_is_said(path: Trajectory, world: World) -> None:
    class Other:
        class_names, label_only, queries = world.class_names, False, 0

        @staticmethod
        def predict_proba(x: torch.Tensor, cells: torch.Tensor | None = None) -> torch.Tensor:
            return world.classifier.predict_proba(x).roll(1, 1)

    found = replay.compare(path, world.replace(classifier=Other()))
    assert found.walk_reproduced
    assert "another class on 1.00 of the frames (0, 1" in replay.verdict(path, found)


def test_a_recorded_end_that_is_none_is_noticed_though_the_walk_reproduces(path: Trajectory, world: World) -> None:
    found = replay.compare(replace(path, success=not path.success), world)
    assert found.moved_alike
    assert not found.walk_reproduced
    assert "NOT reproduced: walk and predictions are the same" in replay.verdict(path, found)
