"""One renderer per modality."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

import envs
from agents.explanation.figures import renderer
from agents.explanation.figures.renderer import RENDERERS, Renderer, renderer_for, renderer_of
from agents.explanation.figures.terminal import PathScreen
from agents.trajectories.trajectory import Trajectory
from envs.core.world import World
from tests.agents.explanation.figures.kinds import KINDS


def test_an_unknown_modality_is_named_with_close_ones() -> None:
    with pytest.raises(envs.UnknownNameError, match="modality 'images': did you mean 'image'"):
        renderer_for("images")


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_has_a_body_in_animation_terminal_and_report(
    walked: dict[str, tuple[World, Trajectory]], kind: str
) -> None:
    world, path = walked[kind]
    drawn = renderer_of(path)
    assert drawn is renderer_of(world)
    frames = path.frames(world)
    assert len(drawn.gif_bodies(path, world)) == len(frames) + 1
    for coloured in (True, False):
        assert len(drawn.terminal_bodies(path, world, frames, coloured)) == len(frames)
    film = list(range(len(frames)))
    face = drawn.face(path, world, frames, film, path.steps, [])
    assert len(face.frames) == len(frames)
    assert (face.thumbnails is not None) == drawn.shows_pictures
    screen = Console(width=100, record=True, file=io.StringIO())
    PathScreen(path, world, screen).show()
    said = screen.export_text()
    assert f"frame {path.steps} of {path.steps}" in said
    assert path.class_names[path.target] in said


def test_a_new_modality_is_one_class_and_one_line(
    walked: dict[str, tuple[World, Trajectory]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, path = walked["table"]
    monkeypatch.setitem(RENDERERS, "table", f"{__name__}:Plain")
    renderer._made.cache_clear()
    try:
        assert renderer_of(path).unit(path) == "counts"
        assert "counts" in path.summary()
    finally:
        renderer._made.cache_clear()
    assert np.isfinite(path.frames(world)).all()


class Plain(Renderer):
    """A renderer of one's own."""

    def unit(self, path: Trajectory) -> str:
        return "counts"
