"""A path in words."""

from __future__ import annotations

from agents.trajectories.trajectory import Trajectory
from envs.core.world import World


def test_a_path_that_leaves_its_class_is_told_so(walked: dict[str, tuple[World, Trajectory]]) -> None:
    _, path = walked["leave"]
    assert path.target == path.source
    assert path.summary().startswith("Away from" if path.success else path.class_names[path.source])
