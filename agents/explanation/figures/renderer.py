"""What differs between pictures, tables and text when a path is shown: one `Renderer` per modality, one table of them.

A new modality is one subclass of `Renderer` and one line in `RENDERERS`. The table holds names: asking for a renderer loads
that modality's drawing code alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from envs.errors import UnknownNameError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from agents.explanation.report.faces.face import Face
    from agents.trajectories.trajectory import Trajectory
    from envs.modalities.components import Component

#: modality -> module:class.
RENDERERS: dict[str, str] = {
    "image": "agents.explanation.figures.image:ImageRenderer",
    "table": "agents.explanation.figures.table:TableRenderer",
    "text": "agents.explanation.figures.text:TextRenderer",
    "series": "agents.explanation.figures.series:SeriesRenderer",
}


class Renderer:
    """Shows paths through data of one modality, as words, pictures, and parts of the terminal and of the report.

    Attributes:
        shows_pictures: a frame is a picture of its own, so it can be a thumbnail.
        numeric: the values of a frame are numbers that can change by a little, so slopes by them have a meaning.
        has_columns: a frame is a row of a table in the user's own values.

    Example:
        >>> renderer_for("table").numeric, renderer_for("text").numeric
        (True, False)
    """

    shows_pictures: ClassVar[bool] = False
    numeric: ClassVar[bool] = True
    has_columns: ClassVar[bool] = False

    def unit(self, path: Trajectory) -> str:
        """Unit of distances to the input, such as ``L2 over 64 pixels``."""
        raise NotImplementedError

    def part_words(
        self, path: Trajectory, world: Any, components: Sequence[Component], frames: Tensor
    ) -> list[tuple[str, str]]:
        """Name and change of each part, such as ``age`` and ``40 → 48``; frames (F, \\*data_shape): the input first."""
        raise NotImplementedError

    def joined(self, parts: Sequence[str], more: int) -> str:
        """The words of parts as one phrase; `more`: how many parts that changed it leaves out."""
        return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)

    def film_strip(self, path: Trajectory, world: Any) -> bytes:
        """The input and every frame side by side, as PNG."""
        raise NotImplementedError

    def gif_bodies(self, path: Trajectory, world: Any) -> list[Image.Image]:
        """T+2 pictures of one size for the animation: the input, then every frame, without headings."""
        raise NotImplementedError

    def terminal_bodies(self, path: Trajectory, world: Any, frames: np.ndarray, coloured: bool) -> list[Any]:
        """T+1 rich renderables, one per frame; `coloured`: whether the terminal has colours."""
        raise NotImplementedError

    def terminal_layout(self, title: Any, body: Any, bars: Any, numbers: Any) -> Any:
        """Arrange one frame in the terminal: body, class bars and numbers beneath the title, side by side."""
        return side_by_side(title, body, bars, numbers)

    def terminal_table(self, path: Trajectory, world: Any, width: int) -> Any | None:
        """The values along the path as a rich table of at most `width` characters; None where numbers say nothing."""
        return None

    def face(
        self, path: Trajectory, world: Any, frames: np.ndarray, film: Sequence[int], turn: int, regions: Sequence[np.ndarray]
    ) -> Face:
        """What the report's card shows: input, turning point and end, and the frames of its player.

        Args:
            path: to be shown.
            world: where it was walked.
            frames: (T+1, *data) its decoded frames.
            film: the frames of the player.
            turn: the turning point.
            regions: (H, W) bool, the parts of a picture that its contributions are about.
        """
        raise NotImplementedError


def renderer_for(modality: str) -> Renderer:
    """The renderer of a modality.

    Raises:
        UnknownNameError: there is no such modality.
    """
    if modality not in RENDERERS:
        raise UnknownNameError("modality", modality, RENDERERS)
    return _made(modality)


@cache
def _made(modality: str) -> Renderer:
    module, _, name = RENDERERS[modality].partition(":")
    found: Renderer = getattr(import_module(module), name)()
    return found


def renderer_of(shown: Any) -> Renderer:
    """The renderer of a path or of a world, by its modality."""
    return renderer_for(shown.modality)


def side_by_side(title: Any, *cells: Any) -> Any:
    """Cells of one frame side by side, beneath its title."""
    from rich.table import Table

    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0), title=title, title_justify="left")
    grid.add_row(*cells)
    return grid
