"""Animations."""

from __future__ import annotations

import pytest

from agents.explanation.figures import gif as figures_gif
from agents.trajectories.trajectory import Trajectory
from envs.core.world import World
from tests.agents.explanation.figures.kinds import KINDS, opened


@pytest.mark.parametrize("kind", KINDS)
def test_a_gif_shows_the_input_and_every_frame(walked: dict[str, tuple[World, Trajectory]], kind: str) -> None:
    world, path = walked[kind]
    gif = opened(figures_gif.gif_bytes(path, world))
    assert gif.format == "GIF"
    assert gif.n_frames == path.steps + 2  # type: ignore[attr-defined]
