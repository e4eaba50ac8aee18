"""Walks on which few columns change: known minimal changes, replay, counted queries, and who may be replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import envs
from agents.evaluate import evaluate
from agents.explain import explain
from agents.replay import compare
from agents.trajectories.trajectory import Trajectory

WEIGHTS = np.array([3.0, 0.0, 0.6, 0.3, 0.0, 0.1])


@pytest.fixture(scope="module")
def world() -> envs.World:
    """Six independent numbers, and an additive classifier in which the first one decides and two have no part."""
    rows = np.random.default_rng(0).normal(size=(300, 6))

    def additive(x: Any) -> np.ndarray:
        good = 1 / (1 + np.exp(-(np.asarray(x, float) @ WEIGHTS)))
        return np.stack([1 - good, good], axis=1)

    return envs.make_world(
        data=rows, columns=list("abcdef"), classifier=additive, class_names=["no", "yes"], manifold="pca", latent_dim=6,
        progress=False,
    )  # fmt: skip


def changed(path: Trajectory, world: envs.World) -> list[str]:
    rows = path.to_pandas(world)[list("abcdef")]
    return [name for name in "abcdef" if rows[name].iloc[-1] != rows[name].iloc[0]]


def test_the_column_that_decides_changes_alone(world: envs.World) -> None:
    paths = explain(world, range(40), walker="line")
    assert all(path.success for path in paths)
    moved = [changed(path, world) for path in paths]
    assert all(len(columns) == 1 for columns in moved)
    assert np.mean([columns == ["a"] for columns in moved]) > 0.9
    assert all(not {"b", "e"} & set(columns) for columns in moved)


def test_all_change_on_request(world: envs.World) -> None:
    paths = explain(world, range(10), walker="line", sparse=False)
    assert all(path.held == [] for path in paths)
    assert np.mean([len(changed(path, world)) for path in paths]) > 3


@pytest.mark.parametrize("walker", ["line", "spheres", "greedy"])
def test_paths_with_held_columns_are_saved_replayed_and_counted(world: envs.World, walker: str, tmp_path: Path) -> None:
    world.reference.end_predictions  # noqa: B018  # asked once, for no path
    before = world.classifier.queries
    paths = explain(world, range(8), walker=walker)
    assert world.classifier.queries - before == sum(path.queries for path in paths)
    assert any(path.held for path in paths)
    for path in paths:
        again = Trajectory.load(path.save(tmp_path / path.name))
        assert again == path
        assert again.held == path.held
        assert compare(again, world).reproduced
        frames = again.to_pandas(world)
        assert all(frames[name].nunique() == 1 for name in path.held)


def test_a_walker_by_its_name_is_not_replaced(world: envs.World) -> None:
    class Still:
        name = "still"

        def walk(self, world: Any, state: Any, queries: Any, generator: Any, max_steps: Any = None) -> Any:
            from agents.walkers.base import Recorder

            return Recorder(world, state, queries, max_steps).walk()

    assert not any(path.success for path in explain(world, range(5), walker=Still()))
    rescued = explain(world, range(5), walker=Still(), fallback=True)
    assert all(path.success and path.walker == "line" for path in rescued)


def test_evaluation_counts_changed_columns(world: envs.World) -> None:
    settings: dict[str, Any] = {"targets": "nearest", "inputs": range(10), "oracles": False, "closely": 0, "alone": 0}
    few = evaluate(world, ["line"], **settings)["line"]["changed_columns"].value
    paths = explain(world, range(10), walker="line")
    assert few == np.mean([len(changed(path, world)) for path in paths])
    assert evaluate(world, ["line"], sparse=False, **settings)["line"]["changed_columns"].value > few


def test_a_frame_that_holds_the_same_values_costs_no_query(world: envs.World) -> None:
    from agents.walkers.base import Recorder
    from envs.core import dynamics

    state, queries = dynamics.enter(world, world.held_out.x[:3])
    recorder = Recorder(world, state, queries)
    before = world.classifier.queries
    recorder.step(recorder.active(), torch.zeros(3, world.latent_dim))
    assert world.classifier.queries == before
    assert recorder.walk().queries.tolist() == queries.tolist()
