"""A world that is saved with a run or a path is the one that is loaded, or the error names what differs."""

from __future__ import annotations

import json
import sys
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.console.cli import UserError
from agents.explain import explain
from agents.replay import compare
from agents.runs.folder import RunFolder
from agents.runs.run import load_run, world_of
from agents.runs.world_record import build_world, describe_world, differences
from agents.train import train
from agents.trajectories.trajectory import Trajectory
from envs import World, WorldConfig, make_world
from envs.core import dynamics
from envs.core.tasks import Leave, ReachLabel, Task
from envs.core.weights import Weights
from envs.manifolds import PCA, Manifold

COLUMNS, NAMES = ["height", "width", "depth"], ["short", "long"]
ROWS = np.random.default_rng(0).normal([5.0, 3.0, 4.0], 1.0, (80, 3))
MODULE = """
import numpy as np

sharpness = 2.0

def classify(x):
    p = 1 / (1 + np.exp(-sharpness * (np.asarray(x, float)[:, 0] - 5)))
    return np.stack([1 - p, p], axis=1)

class Three:
    classes_ = ["a", "b", "c"]
    def predict_proba(self, x):
        p = classify(x)
        return np.concatenate([0.8 * p, np.full((len(p), 1), 0.2)], axis=1)

three = Three()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An importable module with a classifier, and rows in a file, in the present folder."""
    (tmp_path / "own_rows.py").write_text(MODULE)
    np.savez(tmp_path / "rows.npz", x=ROWS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("own_rows", None)
    import own_rows  # type: ignore[import-not-found]

    yield own_rows
    sys.modules.pop("own_rows", None)


def by_name(**settings: Any) -> dict[str, Any]:
    return {
        "data": "rows.npz", "classifier": "own_rows:classify", "manifold": "pca", "latent_dim": 2, "columns": COLUMNS,
        "class_names": NAMES, **settings,
    }  # fmt: skip


def small(folder: Path, **settings: Any) -> Any:
    """The smallest training: its policy is of no use, its folder is."""
    return train(n_timesteps=32, n_envs=4, hyperparams={"n_steps": 8, "batch_size": 32, "n_epochs": 1}, eval_episodes=0,
                 pictures=False, log_folder=str(folder), **settings)  # fmt: skip


def saved(folder: Path, world: World) -> RunFolder:
    """A run folder of a world, as a training writes it, without the training."""
    run = RunFolder.create(folder, "ppo", "Manifold/Custom-v0")
    run.write_config({
        "algo": "ppo", "env": {"id": "Manifold/Custom-v0", "kwargs": {}}, "hyperparameters": {}, "seed": 0, "n_envs": 1,
        "n_timesteps": 1, "curiosity": None, "world": json.loads(json.dumps(describe_world(world))),
    })  # fmt: skip
    if world.manifold.portable:
        world.manifold.save(run.root / "manifold")
    run.remember()
    return RunFolder.open(run.root)


def assert_same(a: World, b: World) -> None:
    """Equal descriptions, equal names, equal answers at equal codes."""
    assert a.config == b.config
    assert a.class_names == b.class_names
    assert a.units.columns == b.units.columns
    assert a.settings == b.settings
    assert a.step_length == b.step_length
    assert a.reference.z.equal(b.reference.z)
    assert a.reference.prediction.equal(b.reference.prediction)
    assert a.held_out.x.equal(b.held_out.x)
    start = torch.zeros(3, dtype=torch.int64)
    states = [dynamics.start(w, start, torch.ones(3, dtype=torch.int64)) for w in (a, b)]
    action = torch.tensor([[1.0] + [0.0] * (a.latent_dim - 1)]).expand(3, -1)
    (one, info), (two, other) = (dynamics.step(w, state, action) for w, state in zip((a, b), states, strict=True))
    assert one.prediction.equal(two.prediction)
    assert info.reward.equal(other.reward)


# --- the fault of two sources of truth ---------------------------------------------------------------------------------


def test_a_world_of_names_given_as_an_object_loads_as_it_was_trained(module: Any, tmp_path: Path) -> None:
    world = make_world(**by_name(manifold="vae", fit={"hidden": [4], "epochs": 2}))
    run = small(tmp_path, world=world.replace(tau=0.6, max_episode_steps=33))
    again = load_run(run.folder.root)
    assert again.world is not None
    assert (again.world.task.tau, again.world.max_episode_steps) == (0.6, 33)
    assert (again.world.config.data, again.world.config.classifier) == ("rows.npz", "own_rows:classify")
    assert (again.world.units.columns, again.world.class_names) == (COLUMNS, NAMES)
    assert_same(run.world, again.world)
    path = explain(again, 0)
    assert path.class_names == NAMES


def test_a_run_holds_the_whole_config_and_what_it_led_to(module: Any, tmp_path: Path) -> None:
    run = small(tmp_path, world=make_world(**by_name(data=str(tmp_path / "rows.npz"))))
    record = json.loads((run.folder.root / "config.json").read_text())["world"]
    assert set(record["config"]) == set(WorldConfig.__dataclass_fields__)
    assert record["config"]["data"] == "rows.npz", "below the present folder: no absolute path"
    assert (record["class_names"], record["columns"], record["data_shape"]) == (NAMES, COLUMNS, [3])
    assert WorldConfig.from_json(record["config"]) == run.world.config
    assert str(tmp_path) not in json.dumps(record)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": ["no", "yes"]}, r"class names: saved \['short', 'long'\], rebuilt \['no', 'yes'\]"),
        ({"columns": ["a", "b", "c"]}, r"columns: saved \['height', 'width', 'depth'\], rebuilt \['a', 'b', 'c'\]"),
        ({"classifier": "own_rows:three", "class_names": None}, r"class names: saved \['short', 'long'\]"),
        ({"label_only": True}, "label only: saved False, rebuilt True"),
    ],
)
def test_a_world_that_differs_from_the_saved_one_is_an_error_that_names_the_difference(
    module: Any, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    run = saved(tmp_path / "runs", make_world(**by_name()))
    other = make_world(**by_name(**change))
    with pytest.raises(UserError, match=message):
        world_of(run, other)
    file = run.root / "config.json"
    config = json.loads(file.read_text())
    config["world"]["config"] |= change
    file.write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        world_of(RunFolder.open(run.root), trust=["own_rows:classify", "own_rows:three"])


def test_a_data_file_with_other_columns_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("age,pay,rich\n" + "\n".join(f"{20 + i},{i * 7 % 50},{int(i % 9 > 4)}" for i in range(80)) + "\n")
    run = saved(tmp_path / "runs", make_world(data=str(file), target_column="rich", fit={"epochs": 1, "hidden": [4]}))
    assert world_of(run).class_names == ["0", "1"]
    file.write_text(file.read_text().replace("pay", "wage", 1))
    with pytest.raises(UserError, match=r"columns: saved \['age', 'pay'\], rebuilt \['age', 'wage'\]"):
        world_of(run)


def test_a_default_that_is_another_one_today_is_noticed(module: Any, tmp_path: Path) -> None:
    run = saved(tmp_path / "runs", make_world(**by_name()))
    run.config["world"]["settings"]["gamma"] = 0.9  # as if it had been the default when the run was trained
    with pytest.raises(UserError, match=r"gamma: saved 0\.9, rebuilt 0\.98"):
        world_of(run)


# --- live objects ------------------------------------------------------------------------------------------------------


def test_the_run_says_which_objects_were_live_and_what_to_pass(module: Any, tmp_path: Path) -> None:
    live = make_world(**by_name(data=ROWS, classifier=module.classify))
    run = saved(tmp_path / "runs", live)
    message = r"data \(numpy.ndarray of shape \(80, 3\)\), classifier \(.*function\).*load_run\(..., world=.*--classifier"
    with pytest.raises(UserError, match=message):
        world_of(run)
    assert_same(world_of(run, make_world(**by_name(data=ROWS, classifier=module.classify)).replace(config=live.config)), live)


def test_the_names_of_live_objects_may_be_given_to_a_run_and_its_settings_are_kept(module: Any, tmp_path: Path) -> None:
    live = make_world(**by_name(data=ROWS, classifier=module.classify), tau=0.7, reward={"path": 0.5}, move="arc")
    named = world_of(saved(tmp_path / "runs", live), make_world(**by_name(), reward={"success": 9.0}))
    assert named.settings == live.settings
    assert named.step_length == live.step_length
    assert named.config.classifier == "own_rows:classify"


def test_a_task_that_is_in_no_table_is_given_again(module: Any, tmp_path: Path) -> None:
    class Own(Task):
        """Reach, by another class."""

    world = make_world(**by_name(), task=Own(tau=0.7))
    run = saved(tmp_path / "runs", world)
    with pytest.raises(UserError, match=r"task \(.*Own\)"):
        world_of(run)
    assert world_of(run, make_world(**by_name(), task=world.task)).task == world.task
    with pytest.raises(UserError, match="task: saved 'reach', rebuilt 'flip'"):
        world_of(run, make_world(**by_name()))


def test_a_live_manifold_that_the_run_holds_need_not_be_given(module: Any, tmp_path: Path) -> None:
    manifold = PCA.fit(torch.from_numpy(ROWS).float(), latent_dim=2, modality="table")
    world = make_world(**{**by_name(), "manifold": manifold, "latent_dim": None})
    again = world_of(saved(tmp_path / "runs", world))
    assert again.reference.z.equal(world.reference.z)
    assert "manifold" in again.config.live


# --- paths -------------------------------------------------------------------------------------------------------------


def test_a_path_holds_the_config_and_replays_from_it(module: Any, tmp_path: Path) -> None:
    world = make_world(**by_name(), tau=0.6, move="pullback", max_step=0.3, reward={"path": 0.2}, initial_latent="kept")
    file = explain(world, 0, walker="line").save(tmp_path / "paths" / "path")  # not beside the module, which is never loaded
    path = Trajectory.load(file)
    assert WorldConfig.from_json(path.environment["config"]) == world.config
    again = build_world(path.environment, file=file)
    assert_same(world, again)
    assert compare(path, again).reproduced
    assert "tau=0.6" in path.world_settings
    assert "fit" not in path.world_settings


def test_a_path_of_live_objects_says_which(module: Any) -> None:
    path = explain(make_world(**by_name(classifier=module.classify)), 0, walker="line")
    with pytest.raises(UserError, match=r"classifier \(.*function\).*compare\(path, world\)"):
        build_world(path.environment)


@pytest.mark.parametrize("record", [{}, {"id": "Manifold/Digits-v0", "kwargs": {}}, []])
def test_a_record_of_another_version_is_refused(record: Any) -> None:
    with pytest.raises(UserError, match="holds no config of a world"):
        build_world(record)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step_length": "long"}, "this path is damaged: step_length is 'long', no positive number"),
        ({"step_length": -1.0}, "step_length is -1.0"),
        ({"settings": [1]}, r"settings is \[1\], no JSON object"),
        ({"config": 3}, "is a JSON object of settings, not 3"),
        ({"config": {"move": ["arc"]}}, r"move is a text, not \['arc'\]"),
    ],
)
def test_a_damaged_record_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_world({"config": {}, **change})


# --- any world ---------------------------------------------------------------------------------------------------------

OWN: Any = types.ModuleType("any_world")
exec(MODULE, OWN.__dict__)

FLOATS = st.floats(0.05, 1.0, allow_nan=False)
SETTINGS = st.fixed_dictionaries({}, optional={
    "task": st.sampled_from(["reach", "leave", "prototype", "explore", Leave(tau=0.7), Task(weights=Weights(path=0.3)),
                             "reach_label", ReachLabel()]),
    "tau": FLOATS, "move": st.sampled_from(["euclidean", "spherical", "pullback", "arc"]), "step": FLOATS,
    "max_step": st.just(0) | FLOATS, "guidance": st.booleans(), "gamma": FLOATS,
    "max_episode_steps": st.integers(1, 99), "initial_latent": st.sampled_from(["code", "kept"]), "label_only": st.booleans(),
    "reward": st.dictionaries(st.sampled_from(["success", "step", "path", "distance", "implausibility"]), FLOATS),
    "seed": st.integers(0, 3), "columns": st.just(COLUMNS) | st.just(tuple(COLUMNS)), "class_names": st.just(NAMES),
    "held_out": st.just(None), "input_shape": st.just((3,)),
})  # fmt: skip


@given(settings=SETTINGS, live=st.sets(st.sampled_from(["data", "classifier", "manifold"])))
def test_any_world_that_is_saved_loads_equal_or_names_what_is_missing(settings: dict[str, Any], live: set[str]) -> None:
    sys.modules["any_world"] = OWN
    manifold = PCA.fit(torch.from_numpy(ROWS).float(), latent_dim=2, modality="table")
    objects = {"data": ROWS, "classifier": OWN.classify, "manifold": manifold}
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/rows.npz", x=ROWS)
        names = {"data": f"{folder}/rows.npz", "classifier": "any_world:classify", "manifold": "pca"}
        parts = {name: objects[name] if name in live else value for name, value in names.items()}
        world = make_world(**{"class_names": NAMES, **parts, **settings})
        run = saved(Path(folder), world)
        if live - {"manifold"}:
            with pytest.raises(UserError, match="live objects") as caught:
                world_of(run)
            assert all(f"{name} (" in str(caught.value) for name in live - {"manifold"})
            again = world_of(run, world.replace(tau=None, reward=None, move=None, step=None, gamma=None))
        else:
            again = world_of(run)
        assert again is not None
        assert not differences(json.loads(json.dumps(describe_world(world))), again)
        assert again.reference.prediction.equal(world.reference.prediction)
        if not live:
            assert_same(world, again)


def test_a_run_on_a_manifold_class_of_one_s_own_is_loaded_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(manifold="tests.envs.toys:MeanManifold", move="tests.envs.toys:DRIFT")
    run = saved(tmp_path / "run", world)
    monkeypatch.delitem(Manifold.kinds, "toy_mean")  # as in another process
    monkeypatch.delitem(sys.modules, "tests.envs.toys")
    again = world_of(run)
    assert again.config == world.config
    assert (type(again.manifold).__name__, again.move.name) == ("MeanManifold", "drift")
