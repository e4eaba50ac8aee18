"""Paths through pictures: film strip, animation, terminal and words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from agents.explanation.figures.lettering import PICTURE
from agents.explanation.figures.renderer import Renderer, side_by_side
from agents.explanation.figures.style import (
    FAINT,
    GAIN,
    INK,
    SOURCE,
    TARGET,
    class_colour,
    difference,
    difference_scale,
    enlarge,
    figure_png,
    mathless,
    picture,
    plane,
    pyplot_figure,
    short,
)
from agents.explanation.sentences import heading
from agents.trajectories.trajectory import Trajectory

if TYPE_CHECKING:
    from torch import Tensor

    from agents.explanation.report.faces.face import Face
    from envs.modalities.components import Component

MOST_COLUMNS = 12  # frames in one row of the strip; longer paths take several rows
SHADES = " ░▒▓█"  # of a terminal without colours
LARGEST = 32  # pixels along one side in a terminal; larger pictures are thinned out


class ImageRenderer(Renderer):
    """Pictures: frames as they are, and their difference to the input.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> path = explain(make_world(data="digits"), 0, walker="line")
        >>> ImageRenderer().unit(path)
        'L2 over 64 pixels'
    """

    shows_pictures: ClassVar[bool] = True

    def unit(self, path: Trajectory) -> str:
        """See `Renderer.unit`."""
        return f"L2 over {path.source_input.size} pixels"

    def part_words(
        self, path: Trajectory, world: Any, components: Sequence[Component], frames: Tensor
    ) -> list[tuple[str, str]]:
        """See `picture_words.region_words`."""
        from agents.explanation.contributions.picture_words import region_words

        return region_words(world, components, frames)

    def film_strip(self, path: Trajectory, world: Any) -> bytes:
        """Above: the input and every decoded frame, with number, class and the probability of the target as a bar. Below: each
        frame's difference to the input, green where it is more, purple where less; and the information gain of the step in
        nats, where it was measured."""
        return _strip(path, world)

    def gif_bodies(self, path: Trajectory, world: Any) -> list[Image.Image]:
        """Enlarged pictures."""
        return [enlarge(picture(world, x), PICTURE) for x in (path.source_input, *path.frames(world))]

    def terminal_bodies(self, path: Trajectory, world: Any, frames: np.ndarray, coloured: bool) -> list[Any]:
        """The frame, and its difference to the input, as coloured half blocks; shades and signs where there are no colours."""
        scale = difference_scale(frames, path.source_input)
        return [
            side_by_side(None, _blocks(picture(world, frame), coloured), _changes(frame, path.source_input, scale, coloured))
            for frame in frames
        ]

    def terminal_layout(self, title: Any, body: Any, bars: Any, numbers: Any) -> Any:
        """The pictures above bars and numbers, which fits 80 columns."""
        from rich.console import Group

        return Group(title, body, side_by_side(None, bars, numbers))

    def face(
        self, path: Trajectory, world: Any, frames: np.ndarray, film: Sequence[int], turn: int, regions: Sequence[np.ndarray]
    ) -> Face:
        """See `agents.explanation.report.faces.picture`."""
        from agents.explanation.report.faces.picture import face

        return face(path, world, frames, film, turn, regions)


def _strip(path: Trajectory, world: Any) -> bytes:
    frames = path.frames(world)
    shown = [picture(world, path.source_input), *(picture(world, frame) for frame in frames)]
    scale = difference_scale(frames, path.source_input)
    changes = [None, *(difference(frame, path.source_input, scale) for frame in frames)]
    bands = -(-len(shown) // MOST_COLUMNS)
    columns = -(-len(shown) // bands)  # rows of equal length: the last frame never stands alone
    figure = pyplot_figure(1.05 * max(columns, 4), 0.42 + 2.75 * bands)
    grid = figure.add_gridspec(
        4 * bands,
        max(columns, 4),
        height_ratios=[1.0, 0.3, 1.0, 0.22] * bands,
        wspace=0.1,
        hspace=0.08,
        top=1 - 0.42 / (0.42 + 2.75 * bands),
        bottom=0,
        left=0,
        right=1,
    )
    title = mathless(f"{heading(path)}   ({path.walker})")
    figure.suptitle(title, x=0, y=1, ha="left", va="top", fontsize=10, color=INK)
    for place, (above, below) in enumerate(zip(shown, changes, strict=True)):
        band, column = divmod(place, columns)
        _frame(figure.add_subplot(grid[4 * band, column]), above, path, place - 1)
        _predict(figure.add_subplot(grid[4 * band + 1, column]), path, place - 1)
        axes = figure.add_subplot(grid[4 * band + 2, column])
        if below is None:
            bar = (
                ""
                if path.shown is None
                else f"bar: {path.shown.name if path.shown.is_score else f'p({short(path.class_names[path.target], 8)})'}\n\n"
            )
            gain = "\ngreen: nats gained" if np.isfinite(path.information_gain).any() else ""  # type: ignore[arg-type]
            _blank(axes, bar + "below: the\ndifference to\nthe input, green\nmore, purple less" + gain)
        else:
            _image(axes, below)
            _gain(axes, path, place - 1)
    return figure_png(figure)


def _image(axes: Any, pixels: np.ndarray) -> None:
    axes.imshow(pixels, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#b9bec6")
        spine.set_linewidth(0.6)


def _gain(axes: Any, path: Trajectory, t: int) -> None:
    """Beneath frame t: what the step to it taught, where that was measured."""
    if t > 0 and np.isfinite(gained := float(path.information_gain[t - 1])):  # type: ignore[index]
        axes.set_xlabel(f"{gained:.2f}", fontsize=6.6, color=GAIN, labelpad=2)


def _blank(axes: Any, text: str) -> None:
    axes.axis("off")
    axes.text(0.0, 0.5, text, transform=axes.transAxes, fontsize=6.2, va="center", color="#555b64", linespacing=1.25)


def _frame(axes: Any, pixels: np.ndarray, path: Trajectory, t: int) -> None:
    """The picture of frame t (-1: the input) under its number."""
    _image(axes, pixels)
    names = {-1: "input", 0: "0 reconstruction"}
    axes.set_title(
        names.get(t, str(t)),
        fontsize=6.6 if t == 0 else 7.5,
        pad=2.5,
        color=INK,
        loc="left" if t == 0 else "center",
        fontweight="bold" if t < 0 else "normal",
    )
    colour = SOURCE if t < 0 else TARGET if t == path.steps and path.success else None
    if colour:
        for spine in axes.spines.values():
            spine.set_color(colour)
            spine.set_linewidth(1.6)


def _predict(axes: Any, path: Trajectory, t: int) -> None:
    """Beneath frame t (-1: the input): its class, and the probability of the target as a number and a bar."""
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.axis("off")
    index = path.source if t < 0 else int(path.predicted[t])
    name = {"fontsize": 7.5, "va": "center", "color": class_colour(path, index), "fontweight": "bold"}
    text = short(path.class_names[index])
    if t < 0 or path.shown is None:
        axes.text(0.5, 0.62, text, ha="center", **name)
        return
    p = float(path.shown.values[t])
    axes.text(0.01, 0.62, text, ha="left", **name)
    axes.text(0.99, 0.62, path.shown.text(p), ha="right", va="center", fontsize=7, color=INK)
    axes.barh(0.16, 1, height=0.2, color=FAINT, linewidth=0)
    axes.barh(0.16, path.shown.share(p), height=0.2, color=TARGET, linewidth=0)


def _blocks(pixels: np.ndarray, coloured: bool) -> Any:
    """A picture (H, W, 3) as rich text."""
    from rich.text import Text

    thin = -(-max(pixels.shape[:2]) // LARGEST)
    pixels = pixels[::thin, ::thin]
    if not coloured:
        levels = np.clip(pixels.mean(axis=2) / 256 * len(SHADES), 0, len(SHADES) - 1).astype(int)
        return Text("\n".join("".join(SHADES[v] * 2 for v in line) for line in levels))
    if len(pixels) <= 16:  # small pictures: every pixel two half blocks wide and one line high
        pixels = np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1)
    if len(pixels) % 2:
        pixels = np.concatenate([pixels, pixels[-1:]])
    text = Text()
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for a, b in zip(upper, lower, strict=True):
            text.append("▀", f"rgb({a[0]},{a[1]},{a[2]}) on rgb({b[0]},{b[1]},{b[2]})")
        text.append("\n")
    return text


def _changes(frame: np.ndarray, start: np.ndarray, scale: float, coloured: bool) -> Any:
    """The difference to the input as rich text: green or + for more, purple or - for less."""
    if coloured:
        return _blocks(difference(frame, start, scale), True)
    from rich.text import Text

    change = (plane(frame) - plane(start)) / scale
    thin = -(-max(change.shape) // LARGEST)
    signs = np.where(change > 0.35, "+", np.where(change < -0.35, "-", "·"))[::thin, ::thin]
    return Text("\n".join("".join(sign * 2 for sign in line) for line in signs))
