"""Paths through series: curves of the input and of the frames, with the changed intervals tinted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from agents.explanation.figures.curves import as_tensor, curves, draw_series
from agents.explanation.figures.lettering import PICTURE
from agents.explanation.figures.path import draw_curves
from agents.explanation.figures.renderer import Renderer, side_by_side
from agents.explanation.figures.style import enlarge, figure_png, pyplot_figure
from agents.trajectories.trajectory import Trajectory

if TYPE_CHECKING:
    from torch import Tensor

    from agents.explanation.report.faces.face import Face
    from envs.modalities.components import Component


class SeriesRenderer(Renderer):
    """Series: curves of every channel, compared with the input.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> path = explain(make_world(data="oscillator"), 0, walker="line")
        >>> SeriesRenderer().unit(path)
        'L2 over 96 scaled values'
    """

    shows_pictures: ClassVar[bool] = False
    has_columns: ClassVar[bool] = True

    def unit(self, path: Trajectory) -> str:
        """See `Renderer.unit`."""
        return f"L2 over {path.source_input.size} scaled values"

    def part_words(
        self, path: Trajectory, world: Any, components: Sequence[Component], frames: Tensor
    ) -> list[tuple[str, str]]:
        """The interval, and by how much it rises or falls in the user's units."""
        return [world.units.words(part, frames[0], frames[-1]) for part in components]

    def film_strip(self, path: Trajectory, world: Any) -> bytes:
        """Left: every channel of the input (grey), of frames between, and of the end (blue), the changed intervals tinted.
        Right: the probabilities along the path."""
        channels, _ = world.units.shape
        figure = pyplot_figure(9.6, max(2.6, 1.5 * channels + 0.8))
        grid = figure.add_gridspec(channels, 2, width_ratios=[3, 2], wspace=0.3, hspace=0.35)
        draw_series([figure.add_subplot(grid[c, 0]) for c in range(channels)], path, world, path.frames(world))
        right = figure.add_subplot(grid[:, 1])
        draw_curves(right, path)
        right.set_xlabel("frame", fontsize=8.5)
        right.xaxis.get_major_locator().set_params(integer=True)
        return figure_png(figure)

    def gif_bodies(self, path: Trajectory, world: Any) -> list[Image.Image]:
        """The frame over the input in grey, changed intervals tinted."""
        return [enlarge(curves(path, world, x), PICTURE) for x in (path.source_input, *path.frames(world))]

    def terminal_bodies(self, path: Trajectory, world: Any, frames: np.ndarray, coloured: bool) -> list[Any]:
        """A line of blocks for each channel, with marks beneath changed points."""
        from rich.text import Text

        home = path.factual(world)
        return [Text("\n".join(world.units.sketch(as_tensor(frame), home))) for frame in frames]

    def terminal_layout(self, title: Any, body: Any, bars: Any, numbers: Any) -> Any:
        """The curves above bars and numbers, which fits 80 columns."""
        from rich.console import Group

        return Group(title, body, side_by_side(None, bars, numbers))

    def face(
        self, path: Trajectory, world: Any, frames: np.ndarray, film: Sequence[int], turn: int, regions: Sequence[np.ndarray]
    ) -> Face:
        """See `agents.explanation.report.faces.series`."""
        from agents.explanation.report.faces.series import face

        return face(path, world, frames, film, turn, regions)
