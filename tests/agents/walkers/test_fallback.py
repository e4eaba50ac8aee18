"""The fallback of a run whose policy finds nothing, and what its training prints about it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import envs
from agents import explain as script
from agents.console.cli import run_main
from agents.evaluate import evaluate
from agents.explain import explain
from agents.train import report, train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An agent of hardly any training, on own data that can be loaded again by name."""
    small = {"policy_kwargs": {"net_arch": [8]}, "n_steps": 8, "n_epochs": 1}
    kwargs = {"manifold": "pca", "latent_dim": 3, "max_episode_steps": 4, "task": "flip"}
    return train(
        env="Manifold/Custom-v0", env_kwargs=kwargs, log_folder=str(tmp_path_factory.mktemp("runs")), n_timesteps=64,
        n_envs=8, hyperparams=small, eval_episodes=40, pictures=False, seed=1,
    )  # fmt: skip


def weak(run: Any, rate: float, line: float) -> Any:
    """The run as if these had been found at its training's end."""
    run.evaluation = {**run.evaluation, "success_rate": rate, "line_success_rate": line}
    return run


def test_the_training_measures_the_line_on_the_same_inputs_and_keeps_both_figures(run: Any) -> None:
    told = json.loads((run.folder.root / "summary.json").read_text())
    assert told["line_success_rate"] > told["success_rate"]
    assert 0 < told["class_kept"] <= 1


def test_low_success_is_said_with_the_way_out(run: Any) -> None:
    text = report(weak(run, 0.31, 1.0))
    assert "success 0.31: train longer: python -m agents.train -i" in text
    assert "the straight line finds 1.00 of the same inputs, so explain uses it" in text
    assert "train longer" not in report(weak(run, 0.99, 1.0))


def test_a_run_that_finds_less_than_the_line_lets_the_line_walk(run: Any) -> None:
    run = weak(run, 0.31, 1.0)
    assert {path.walker for path in explain(run, range(10))} == {"line"}
    assert {path.walker for path in explain(run, range(10), walker="policy")} == {"policy"}
    assert {path.walker for path in explain(run, range(10), fallback=False)} == {"policy"}
    assert "the line walked: at the training's end it found 1.00" in str(script.who_walked(run, explain(run, [0, 1])))


def test_the_line_walks_where_the_policy_found_nothing_and_both_count(run: Any) -> None:
    run = weak(run, 0.95, 0.95)
    alone = explain(run, range(40), fallback=False, sparse=False)
    paths = explain(run, range(40), sparse=False)
    helped = [(a, b) for a, b in zip(alone, paths, strict=True) if b.walker == "line"]
    assert helped
    for a, b in helped:
        assert not a.success
        assert b.success
        assert b.queries > a.queries
    for a, b in zip(alone, paths, strict=True):
        if b.walker == "policy":
            torch.testing.assert_close(torch.tensor(a.z), torch.tensor(b.z))
    said = script.who_walked(run, paths)
    assert said is not None
    assert f"the line walked for {len(helped)} of 40 inputs, where the policy found no path" in said


def test_a_named_walker_and_evaluation_measure_the_agent_alone(run: Any) -> None:
    run = weak(run, 0.95, 0.95)
    assert {path.walker for path in explain(run, range(40), walker="policy")} == {"policy"}
    found = evaluate(run, ["policy"], inputs=range(40), targets="nearest", oracles=False, closely=0, alone=0)["policy"]
    alone = explain(run, range(40), fallback=False)
    assert found["validity"].value == pytest.approx(sum(path.success for path in alone) / 40)
    assert {path.walker for path in explain(run, range(40), walker="policy", fallback=True)} == {"policy", "line"}


def test_the_script_says_who_walked(run: Any, capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    summary = run.folder.root / "summary.json"
    told = json.loads(summary.read_text())
    summary.write_text(json.dumps({**told, "success_rate": 0.95, "line_success_rate": 0.95}))
    assert run_main(script.main, [str(run.folder.root), "--all", "--out", str(tmp_path), "--format", "npz"]) == 0
    assert "(--no-fallback: the policy alone)" in capsys.readouterr().out
    alone = ["--all", "--no-fallback", "--out", str(tmp_path), "--format", "npz"]
    assert run_main(script.main, [str(run.folder.root), *alone]) == 0
    assert "found no path" not in capsys.readouterr().out


# --- frame 0 in another class -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coarse() -> envs.World:
    """One latent number for pictures of thirty pixels: the reconstruction of many inputs has another class."""
    x, y = load_breast_cancer(return_X_y=True)
    x = MinMaxScaler(clip=True).fit_transform(x)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(x, y)
    fit: dict[str, Any] = {
        "manifold": "pca",
        "latent_dim": 1,
        "max_episode_steps": 60,
        "initial_latent": "code",
    }  # by default, it is kept
    return envs.make_world(data=x, data_shape=(5, 6), classifier=model, **fit)


def test_a_frame_0_of_another_class_is_no_path_of_zero_steps(coarse: envs.World) -> None:
    paths = explain(coarse, None, walker="line")
    lost = [path for path in paths if not path.keeps_class]
    assert lost
    for path in lost:
        assert path.steps == 0
        assert not path.success
        assert "is already predicted as" in path.summary()
        assert "no step was made" in path.summary()
    assert all(path.success for path in paths if path.keeps_class and path.steps)


def test_the_share_of_kept_classes_is_measured(coarse: envs.World, capsys: pytest.CaptureFixture[str]) -> None:
    from agents.evaluate import kept_line
    from agents.explanation.output import report as tell

    paths = explain(coarse, None, walker="line")
    share = sum(path.keeps_class for path in paths) / len(paths)
    found = evaluate(coarse, ["line"], targets="nearest", oracles=False, closely=0, alone=0)["line"]
    assert found["class_kept"].value == pytest.approx(share)
    assert found["validity"].value <= share
    assert f"keeps the class for {share:.2f} of inputs" in kept_line(share)
    tell(paths, [], brief=True, world=coarse)
    assert f"frame 0 keeps the class for {share:.2f} of inputs; not for" in capsys.readouterr().out


def test_such_paths_are_reproduced(coarse: envs.World) -> None:
    from agents.replay import compare

    lost = [path for path in explain(coarse, range(200), walker="line") if not path.keeps_class]
    assert lost
    assert all(compare(path, coarse).reproduced for path in lost)


@pytest.mark.parametrize("sparse", [True, False])
def test_the_line_may_take_more_steps_than_an_agent(run: Any, sparse: bool) -> None:
    """Steps of bounded length: within the world's own limit the line is cut off, with more room it arrives."""
    tight = dataclasses.replace(run, world=run.world.replace(max_step=0.05, max_episode_steps=4))
    cut_off = [path.success for path in explain(tight, range(10), walker="line", sparse=sparse)]
    found = explain(weak(tight, 0.31, 1.0), range(10), sparse=sparse)
    assert sum(path.success for path in found) > sum(cut_off)
    assert max(path.steps for path in found) > 4
    assert max(path.steps for path in explain(tight, range(10), max_steps=4, sparse=sparse)) <= 4
