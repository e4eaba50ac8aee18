"""Maps."""

from __future__ import annotations

import numpy as np

from agents.explanation.figures import map as figures_map
from agents.trajectories.trajectory import Trajectory
from envs.core.world import World


def test_the_path_s_own_map_has_the_colours_of_its_ends(walked: dict[str, tuple[World, Trajectory]]) -> None:
    world, path = walked["digits"]
    asked = world.classifier.queries
    area = figures_map.path_map(path, world)
    assert world.classifier.queries - asked == area.queries == figures_map.RESOLUTION**2
    places = area.places(path.z)
    assert ((places > 0) & (places < 1)).all()
    n = len(area.classes)
    column, row = (places[[0, -1]] * n).astype(int).T
    assert area.classes[n - 1 - row, column].tolist() == path.predicted[[0, -1]].tolist()


def test_the_map_of_the_starts_asks_nothing(walked: dict[str, tuple[World, Trajectory]]) -> None:
    world, path = walked["digits"]
    asked = world.classifier.queries
    figures_map.map_figure([path], world, reference=True)
    assert world.classifier.queries == asked


def test_a_path_s_plane_holds_both_its_ends(walked: dict[str, tuple[World, Trajectory]]) -> None:
    world, path = walked["digits"]
    area = figures_map.path_map(path, world, resolution=4)
    ends = path.z[[0, -1]].astype(float)
    flat = area.centre + ((ends - area.centre) @ area.axes.T) @ area.axes
    assert np.allclose(flat, ends, atol=1e-5)
    assert np.allclose(area.axes @ area.axes.T, np.eye(2), atol=1e-9)
