"""Names of files and folders that Windows, macOS and Linux all take, whatever the classes are called."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path

import pytest

import envs
from agents.explain import explain
from agents.explanation import tensorboard
from agents.explanation.figures.gif import gif_bytes
from agents.explanation.output import save
from agents.runs.folder import RunFolder
from agents.trajectories.trajectory import Trajectory
from envs.core.world import World
from envs.registration import SPECS

#: what Windows refuses: signs, devices, and names that end with a dot or a space
REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f]|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)|[. ]$', re.IGNORECASE)
ODD = ["CON", "a/b", "a\\b", "a:b", "..", "x. ", "?*<>|", "\x00\x1b[2J", "猫" * 40, "a" * 400, "", "e\u0301", "line\nbreak"]


@pytest.fixture(scope="module")
def world() -> World:
    return envs.make_world(data="iris")


@pytest.fixture(scope="module")
def path(world: World) -> Trajectory:
    found: Trajectory = explain(world, 0, walker="line")
    return found


def renamed(path: Trajectory, source: str, target: str, walker: str = "line") -> Trajectory:
    names = list(path.class_names)
    names[path.source], names[path.target] = source, target
    return replace(path, class_names=names, walker=walker)


@pytest.mark.parametrize("name", ODD)
def test_no_name_of_a_path_is_refused_by_a_system(name: str, path: Trajectory, world: World, tmp_path: Path) -> None:
    odd = renamed(path, name, f"{name}.", walker=name or "line")
    for made in (odd.name, tensorboard.tag_name(odd)):
        assert not REFUSED.search(made), made
        assert len(f"{made}_100.npz".encode()) <= 200
    (file,) = save([odd], of_these_classes(world, odd), tmp_path, ("npz", "gif", "json"))
    assert Trajectory.load(file) == odd
    for written in tmp_path.iterdir():
        assert not REFUSED.search(written.name), written


def of_these_classes(world: World, path: Trajectory) -> World:
    """The world with the path's names of classes."""
    classifier = copy.copy(world.classifier)
    classifier.class_names = list(path.class_names)
    return world.replace(classifier=classifier)


def test_names_that_differ_by_case_or_are_cut_alike_do_not_overwrite_each_other(
    path: Trajectory, world: World, tmp_path: Path
) -> None:
    alike = [renamed(path, "猫" * 40 + end, "犬") for end in "ab"] + [renamed(path, "a", "b"), renamed(path, "A", "B")]
    files = save(alike, world, tmp_path, ("npz",))
    assert len({file.name for file in files}) == 4


@pytest.mark.parametrize("env_id", [*SPECS, "ns/A:b.c-v3"])
def test_no_run_folder_is_refused_by_a_system(env_id: str, tmp_path: Path) -> None:
    root = RunFolder.create(tmp_path, "ppo", env_id).root
    for part in root.relative_to(tmp_path).parts:
        assert not REFUSED.search(part), part


def test_a_line_break_in_a_class_name_is_drawn_as_a_space(path: Trajectory, world: World) -> None:
    broken = renamed(path, "one\ntwo", "three\r\nfour")
    assert gif_bytes(broken, of_these_classes(world, broken))[:6] == b"GIF89a"
