"""`WorldConfig`: every setting in one place, through JSON, with errors that name what is wrong."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from envs import LatentEnv, ManifoldError, UnknownNameError, WorldConfig, make_world
from envs.config import FIELDS, SETTINGS, Live
from envs.core.tasks import OnePair, Task
from envs.core.weights import Weights


class OwnTask(Task):
    """A task that is in no table."""


def through_json(config: WorldConfig) -> WorldConfig:
    return WorldConfig.from_json(json.loads(json.dumps(config.to_json())))


# --- one description ---------------------------------------------------------------------------------------------------


def test_make_world_lists_every_setting_with_its_type_and_default():
    keywords = dict(inspect.signature(make_world).parameters)
    fields = inspect.signature(WorldConfig).parameters
    assert {name: p.default for name, p in keywords.items() if name in fields} == {n: p.default for n, p in fields.items()}
    assert set(keywords) - set(fields) == {"config", "known_predictions", "progress", "unknown"}
    different = {name for name in fields if keywords[name].annotation != fields[name].annotation}
    assert different <= {"task"}  # whose type is in a module that config does not import


def test_a_world_has_the_config_that_built_it(iris):
    config = WorldConfig(tau=0.8, move="spherical")
    assert make_world(config).config is config
    assert make_world(tau=0.8, move="spherical").config == config
    assert LatentEnv(tau=0.8, move="spherical").world.config == config
    assert iris.config == WorldConfig()


def test_replacing_settings_of_a_world_replaces_those_of_its_config(iris):
    world = iris.replace(tau=0.6, reward={"path": 0.5}, max_step=0.25).replace(reward={"success": 2.0}, step=0.2)
    assert world.config.settings() == {
        "tau": 0.6, "reward": {"path": 0.5, "success": 2.0}, "max_step": 0.25, "step": 0.2
    }  # fmt: skip
    assert world.max_step == pytest.approx(0.25 * world.class_distance)
    again = make_world(world.config)
    assert again.settings == world.settings
    assert again.step_length == world.step_length != iris.step_length
    assert world.manifold is iris.manifold
    back = world.replace(tau=None, reward=None, max_step=None, step=None)
    assert back.config == iris.config
    assert back.step_length == iris.step_length


def test_another_task_begins_with_its_own_settings_and_the_same_one_keeps_them(iris):
    world = iris.replace(task="reach", tau=0.6, reward={"path": 0.5})
    assert world.replace(task="reach").task == world.task
    assert world.replace(task="leave").config.settings() == {"task": "leave"}
    assert world.replace(task="leave", tau=0.7).task.tau == 0.7


def test_parts_that_are_replaced_are_live_objects_of_the_config(iris):
    class Odd:
        class_names, label_only = iris.class_names, False

    classifier = Odd()
    assert iris.replace(classifier=classifier).config.classifier is classifier
    assert set(iris.replace(reference=iris.reference).config.live) == {"data"}


@pytest.mark.parametrize("name", ["data", "seed", "label_only", "latent_dim", "class_names"])
def test_settings_of_the_parts_are_not_replaced_in_a_world_that_is_built(iris, name):
    with pytest.raises(ManifoldError, match=rf"make_world\(world.config.replace\({name}="):
        iris.replace(**{name: 3})


def test_a_config_and_settings_together_are_refused():
    with pytest.raises(ManifoldError, match=r"either a config or settings: make_world\(config.replace\(tau="):
        make_world(WorldConfig(), tau=0.8)
    with pytest.raises(ManifoldError, match="takes a WorldConfig"):
        make_world("digits")


# --- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [make_world, WorldConfig().replace, lambda **own: WorldConfig.from_json(own)],
    ids=["make_world", "replace", "from_json"],
)
def test_unknown_settings_are_refused_with_the_close_names(make):
    with pytest.raises(UnknownNameError, match=r"'maniflod': did you mean 'manifold'"):
        make(maniflod="pca")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"tau": "high"}, "tau is 'high'; a number above 0 and at most 1 is needed"),
        ({"tau": 1.5}, r"tau is 1\.5; a finite number above 0 and at most 1 is needed"),
        ({"tau": float("nan")}, "tau is nan; a finite number above 0"),
        ({"gamma": True}, "gamma is True; a number above 0 and at most 1"),
        ({"gamma": 1.01}, r"gamma is 1\.01; a finite number above 0 and at most 1"),
        ({"step": float("inf")}, "step is a positive share"),
        ({"max_step": float("inf")}, "max_step is a share"),
        ({"max_episode_steps": 0}, "max_episode_steps is 0; a whole number of at least 1"),
        ({"max_episode_steps": 7.5}, r"max_episode_steps is 7\.5; a whole number"),
        ({"seed": -1}, "seed is -1; a whole number of at least 0"),
        ({"latent_dim": "2"}, "latent_dim is '2'; a whole number of at least 1"),
        ({"label_only": "no"}, "label_only is true or false, not 'no'"),
        ({"guidance": 1}, "guidance is true or false, not 1"),
        ({"reward": 3.0}, "reward is a mapping of settings such as {'distance': 1.0}, not 3.0"),
        ({"reward": {"path": "much"}}, "reward: path is 'much'; a number"),
        ({"reward": {"path": float("nan")}}, "reward: path is nan; a finite number"),
        ({"fit": [3]}, r"fit is a mapping of settings such as {'epochs': 10}, not \[3\]; on a command line"),
        ({"move": 3}, "move is a text, not 3"),
        ({"initial_latent": ["kept"]}, r"initial_latent is a text, not \['kept'\]"),
        ({"class_names": "ab"}, r"class_names is a list of names such as .*, not 'ab'"),
        ({"data_shape": [4, 0]}, "data_shape is 0; a whole number of at least 1"),
        ({"input_shape": 4}, "input_shape is a list of whole numbers"),
        ({"pair": 3}, "pair= belongs to task='one_pair'"),
        ({"task": 3}, "task is a name or a task of envs.core.tasks, not 3; names: reach, flip, leave"),
        ({"reward": {"sucess": 1}}, "unknown reward weight 'sucess': did you mean 'success'"),
    ],
)
def test_values_of_another_type_or_range_are_named(settings, match):
    with pytest.raises(ManifoldError, match=match):
        make_world(**settings)


def test_numbers_and_lists_of_numpy_and_torch_are_taken_as_pythons_are():
    config = WorldConfig(
        tau=np.float32(0.5), step=torch.tensor(0.25), max_episode_steps=np.int64(7), latent_dim=np.array(3), guidance=np.True_,
        class_names=np.array(["a", "b"]), input_shape=(3, 4), fit={"hidden": (8, np.int64(4))}, data=Path("rows.npz"),
    )  # fmt: skip
    assert not config.live
    assert through_json(config) == config
    assert config.settings() == {
        "data": "rows.npz", "class_names": ["a", "b"], "input_shape": [3, 4], "latent_dim": 3, "fit": {"hidden": [8, 4]},
        "tau": 0.5, "step": 0.25, "guidance": True, "max_episode_steps": 7,
    }  # fmt: skip


def test_a_task_as_an_object_becomes_its_settings():
    task = OnePair(tau=0.6, pair=4, weights=Weights(success=1.0, step=0.1, distance=0.0, progress=0.0))
    config = WorldConfig(task=task, reward={"path": 1.0})
    assert config.settings() == {"task": "one_pair", "tau": 0.6, "pair": 4, "reward": {"step": 0.1, "path": 1.0}}
    assert WorldConfig(task=task, tau=0.7).tau == 0.7
    own = OwnTask(tau=0.6)
    assert list(WorldConfig(task=own).live) == ["task"]
    assert make_world(task=own, reward={"path": 1.0}).task == dataclasses.replace(own, weights=Weights(path=1.0))


# --- JSON --------------------------------------------------------------------------------------------------------------


def test_json_holds_every_field():
    assert list(WorldConfig().to_json()) == list(FIELDS)
    assert set(SETTINGS) < set(FIELDS)


def test_live_objects_are_marked_in_json_and_missed_when_a_world_is_built():
    rows = np.zeros((60, 4))
    config = WorldConfig(data=rows, classifier=print, tau=0.8)
    written = json.loads(json.dumps(config.to_json()))
    assert written["live"] == {"data": "numpy.ndarray of shape (60, 4)", "classifier": "builtin_function_or_method"}
    assert "data" not in written
    read = WorldConfig.from_json(written)
    assert read.data == Live("numpy.ndarray of shape (60, 4)")
    assert read == through_json(read)
    assert read != config
    assert read.replace(data=rows, classifier=print) == config
    with pytest.raises(ManifoldError, match=r"data \(numpy.ndarray of shape \(60, 4\)\).*replace\(data=..., classifier=...\)"):
        make_world(read)


def test_a_pair_of_modules_stays_the_object_that_it_is():
    pair = (torch.nn.Linear(2, 1), torch.nn.Linear(1, 2))
    config = WorldConfig(manifold=pair)
    assert config.manifold is pair
    assert config.replace(tau=0.8).replace(tau=None) == config


@pytest.mark.parametrize(
    "settings", [{"move": "euclid"}, {"task": "reech"}, {"initial_latent": "kep"}, {"reward": {"pat": 1.0}}]
)
def test_names_are_checked_before_anything_is_fitted(monkeypatch, settings):
    monkeypatch.setattr("envs.building.world.gathered", None)  # not to be called
    with pytest.raises(UnknownNameError, match="did you mean"):
        make_world(**settings)


def test_configs_of_the_same_objects_are_equal_and_of_others_are_not():
    rows = np.zeros((3, 2))
    assert WorldConfig(data=rows) == WorldConfig(data=rows)
    assert WorldConfig(data=rows) != WorldConfig(data=rows.copy())
    assert WorldConfig() != "iris"


@pytest.mark.parametrize("values", [[], "digits", {"live": ["data"]}, {"live": {"date": "x"}}])
def test_json_that_is_no_config_is_refused(values):
    with pytest.raises(ManifoldError):
        WorldConfig.from_json(values)


def test_short_texts_show_what_differs_from_the_defaults():
    assert repr(WorldConfig(tau=0.8, data=np.zeros((3, 2)))) == "WorldConfig(data=<numpy.ndarray of shape (3, 2)>, tau=0.8)"


def test_paths_below_the_present_folder_become_relative(tmp_path, monkeypatch):
    (tmp_path / "rows.npz").touch()
    monkeypatch.chdir(tmp_path)
    config = WorldConfig(data=tmp_path / "rows.npz", manifold="/", columns="columns.yml").portable()
    assert (config.data, config.manifold, config.columns) == ("rows.npz", "/", "columns.yml")
