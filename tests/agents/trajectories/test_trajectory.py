"""Trajectories: what they refuse, round trips through files, and detection of changed files."""

from __future__ import annotations

import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import envs
from agents.explain import explain
from agents.trajectories.trajectory import Trajectory, TrajectoryError
from envs.core.world import World


def make(steps: int = 3, d: int = 2, k: int = 3, label_only: bool = False, seed: int = 0, **changes: Any) -> Trajectory:
    """A made-up path of any size."""
    random = np.random.default_rng(seed)
    predictions = random.dirichlet(np.ones(k), steps + 1)
    whole: dict[str, Any] = {
        "z": random.normal(size=(steps + 1, d)), "actions": random.uniform(-1, 1, (steps, d)),
        "rewards": random.normal(size=steps), "step_lengths": random.uniform(0, 1, steps),
        "predictions": None if label_only else predictions, "labels": predictions.argmax(1) if label_only else None,
        "typicality": random.uniform(size=steps + 1), "distances": random.uniform(size=steps + 1),
        "source_input": random.uniform(size=(2, 2)), "source": 0, "target": k - 1,
        "class_names": [f"class {i}" for i in range(k)], "environment": {"config": {"data": "digits"}},
        "manifold_key": "vae-2d-0", "walker": "line", "success": True, "queries": steps + 2, "label_only": label_only,
    }  # fmt: skip
    return Trajectory(**{**whole, **changes})


@pytest.fixture(scope="module")
def world() -> World:
    return envs.make_world(data="digits")


@pytest.fixture(scope="module")
def walked(world: World) -> list[Trajectory]:
    return explain(world, [0, 4, 10], walker="line")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 6), st.integers(1, 5), st.integers(2, 5), st.booleans(), st.booleans(), st.integers(0, 9))
def test_a_path_of_any_size_comes_back_from_disk_equal(
    tmp_path: Path, steps: int, d: int, k: int, label_only: bool, measured: bool, seed: int
) -> None:
    extra = {} if measured else {"typicality": None, "distances": None, "index": 7}
    path = make(steps, d, k, label_only, seed, **extra)
    back = Trajectory.load(path.save(tmp_path / "path"))
    assert back == path
    assert back.predictions is None if label_only else np.array_equal(back.predictions, path.predictions)
    assert json.loads(back.to_json())["predicted"] == path.predicted.tolist()


def test_a_file_is_replaced_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    file = make(2).save(tmp_path / "path.npz")
    make(4).save(file)
    assert Trajectory.load(file).steps == 4
    assert [p.name for p in tmp_path.iterdir()] == ["path.npz"]


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    assert make().save(tmp_path / "a").read_bytes() == make().save(tmp_path / "b").read_bytes()


def rewrite(file: Path, **changes: Any) -> None:
    """Write the arrays of a path again with some changed, its checksum left as it was."""
    with np.load(file) as archive:
        arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
    np.savez(file, **{**arrays, **changes})


def test_a_changed_array_is_noticed(tmp_path: Path) -> None:
    path = make()
    file = path.save(tmp_path / "path")
    rewrite(file, actions=path.actions + np.float32(1e-6))
    with pytest.raises(TrajectoryError, match="checksum"):
        Trajectory.load(file)


def test_changed_metadata_is_noticed(tmp_path: Path) -> None:
    file = make().save(tmp_path / "path")
    with np.load(file) as archive:
        text = str(archive["metadata"][0])
    rewrite(file, metadata=np.array([text.replace('"success": true', '"success": false')]))
    with pytest.raises(TrajectoryError, match="checksum"):
        Trajectory.load(file)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    file = make().save(tmp_path / "path")
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(TrajectoryError, match="truncated or damaged"):
        Trajectory.load(file)


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    file = make().save(tmp_path / "path")
    with np.load(file) as archive:
        text = str(archive["metadata"][0])
    rewrite(file, metadata=np.array([text.replace('"format": 2', '"format": 99')]))
    with pytest.raises(TrajectoryError, match=r"format 99.*reads 2"):
        Trajectory.load(file)


class Planted:
    """Unpickling this would be noticed."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (pytest.fail, ("a pickle was opened",))


def test_pickled_objects_are_refused_unopened(tmp_path: Path) -> None:
    file = make().save(tmp_path / "path")
    with zipfile.ZipFile(file, "a") as archive:
        header = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
        archive.writestr("bad.npy", header.ljust(127) + b"\n" + pickle.dumps([Planted()]))
    with pytest.raises(TrajectoryError, match="pickled objects"):
        Trajectory.load(file)


def test_a_missing_file_and_a_foreign_npz_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(TrajectoryError, match="no such file"):
        Trajectory.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(TrajectoryError, match="no path of this project"):
        Trajectory.load(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": np.zeros((2, 2))}, "actions has shape"),
        ({"predictions": np.full((4, 3), 0.5)}, "are not probabilities"),
        ({"z": np.full((4, 2), np.nan)}, "not finite"),
        ({"target": 3}, "target 3 is not one of the 3 classes"),
        ({"labels": np.zeros(4)}, "labels and no probabilities"),
        ({"z": np.zeros((0, 2))}, "at least one frame"),
    ],
)
def test_contradicting_parts_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrajectoryError, match=message):
        make(**changes)


def test_label_only_paths_hold_and_say_no_probability() -> None:
    path = make(label_only=True)
    told = path.to_json() + path.summary() + str(path.table())
    assert path.predictions is None
    assert not any(word in told for word in ("p(", "p_target", "p_source", "predictions", "probabilit"))


def test_walks_become_paths_with_the_walk_s_own_numbers(world: World, walked: list[Trajectory]) -> None:
    for path in walked:
        frames = path.frames(world)
        flat = frames.reshape(len(frames), -1)
        assert np.allclose(path.step_lengths, np.linalg.norm(np.diff(flat, axis=0), axis=1), atol=1e-6)
        assert np.allclose(path.distances, np.linalg.norm(flat - path.source_input.ravel(), axis=1), atol=1e-6)
        predictions = world.classifier.predict_proba(torch.from_numpy(frames)).numpy()
        assert np.allclose(path.predictions, predictions, atol=1e-5)
        assert path.predicted[-1] == path.target or not path.success
    assert [path.index for path in walked] == [0, 4, 10]


def test_resampling_keeps_the_ends_and_spaces_the_frames_evenly(world: World, walked: list[Trajectory]) -> None:
    path = max(walked, key=lambda p: p.steps)
    z, frames = path.resample(32, world)
    assert np.allclose(z[[0, -1]], path.z[[0, -1]], atol=1e-5)
    gaps = np.linalg.norm(np.diff(frames.reshape(32, -1), axis=0), axis=1)
    assert gaps.max() < 1.2 * gaps.mean()
    assert path.resample(1, world).z.shape == (1, path.z.shape[1])


def test_a_path_of_one_frame_can_be_resampled_told_and_tabled(world: World, walked: list[Trajectory]) -> None:
    path = first_frame(walked[0])
    assert path.resample(5, world).frames.shape == (5, 8, 8)
    assert len(path.table()) == 1
    assert "reconstruction" in path.summary()


def first_frame(path: Trajectory) -> Trajectory:
    """The path cut to frame 0, as if that were all."""
    assert path.predictions is not None
    assert path.typicality is not None
    assert path.distances is not None
    none = {"actions": path.actions[:0], "rewards": path.rewards[:0], "step_lengths": path.step_lengths[:0]}
    rest = {"typicality": path.typicality[:1], "distances": path.distances[:1], "information_gain": np.zeros(0)}
    return replace(path, z=path.z[:1], predictions=path.predictions[:1], **none, **rest)


def test_another_manifold_is_refused(walked: list[Trajectory]) -> None:
    other = envs.make_world(data="iris")
    with pytest.raises(TrajectoryError, match="walked on the manifold"):
        walked[0].frames(other)


def test_the_summary_tells_classes_steps_rise_distance_and_queries(walked: list[Trajectory]) -> None:
    path = walked[0]
    text = path.summary()
    assert path.predictions is not None
    assert path.distances is not None
    for part in (path.class_names[path.target], f"{path.steps} steps", f"{path.predictions[-1, path.target]:.2f}",
                 f"{path.distances[-1]:.2f}", f"{path.queries} queries"):  # fmt: skip
        assert part in text
