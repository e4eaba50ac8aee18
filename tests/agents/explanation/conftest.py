"""Fixtures of explanations."""

from __future__ import annotations

import pytest

import envs
from agents.explain import explain
from agents.trajectories.trajectory import Trajectory
from envs.core.world import World
from tests.agents.explanation.figures.kinds import KINDS


@pytest.fixture(scope="session")
def walked() -> dict[str, tuple[World, Trajectory]]:
    """kind -> a world and its longest path of a few."""
    found = {}
    for kind, settings in KINDS.items():
        world = envs.make_world(**settings)  # type: ignore[arg-type]
        found[kind] = world, max(explain(world, [0, 2, 4], walker="line"), key=lambda p: p.steps)
    return found
