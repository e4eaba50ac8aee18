"""Rendering: the frame beside the map of the latent space with the path so far, or text."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import torch

from envs.core.latent_map import LatentMap
from envs.core.state import State
from envs.core.world import World
from envs.errors import UnknownNameError

SIDE = 256  # pixels of one panel
# Okabe and Ito's colours, which colour-blind people can distinguish, and others for more than seven classes.
PALETTE = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#7F7F7F", "#8C564B", "#44AA99"]


def class_colour(index: int) -> tuple[int, int, int]:
    """RGB of a class."""
    code = PALETTE[index % len(PALETTE)]
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


class Renderer:
    """Records one walk and draws it.

    Args:
        world: of the walk.

    Example:
        >>> import torch
        >>> from envs import make_world
        >>> from envs.core import dynamics
        >>> world = make_world(data="digits")
        >>> renderer = Renderer(world)
        >>> renderer.see(dynamics.start(world, torch.tensor([0]), torch.tensor([1])), 0, restart=True)
        >>> renderer.draw("rgb_array").shape
        (256, 512, 3)
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.codes: list[torch.Tensor] = []
        self.state: State | None = None
        self.before: State | None = None  # a step ago

    def see(self, state: State, row: int, restart: bool = False) -> None:
        """Record the walk in `row` of the batch."""
        before, self.state = self.state, State(*(value[row : row + 1].clone() for value in state))
        self.before = self.state if restart or before is None else before
        self.codes = [self.state.z] if restart else [*self.codes, self.state.z]

    def draw(self, mode: str) -> Any:
        """An image (SIDE, 2 SIDE, 3) uint8, or text.

        Raises:
            UnknownNameError: another mode than ``rgb_array`` and ``ansi``.
        """
        if mode == "rgb_array":
            return self._picture()
        if mode == "ansi":
            return self._text()
        raise UnknownNameError("render mode", mode, ("rgb_array", "ansi"))

    def _said(self) -> tuple[str, str]:
        """The predicted class of the present frame, and the target."""
        assert self.state is not None
        names, prediction = self.world.class_names, self.state.prediction[0]
        best = int(prediction.argmax())
        shown = names[best] if self.world.label_only else f"{names[best]} (p {float(prediction[best]):.3f})"
        return shown, names[int(self.state.target[0])]

    def _text(self) -> str:
        assert self.state is not None
        shown, target = self._said()
        line = f"step {len(self.codes) - 1}: predicted {shown}, target {target}"
        if (lines := self.world.units.sketch(self.state.frame[0], self.state.home)) is not None:
            return "\n".join([line, *(f"  {part}" for part in lines)])
        datum = self.world.render(self.state.frame[0])
        if isinstance(datum, str):
            changed = int(self.world.units.distance(self.state.factual, self.state.frame[:, None]))
            typicality = float(self.world.manifold.typicality(self.state.z)[0])
            return f"{line}\n  {self._marked()}\n  {changed} words from the input, typicality {typicality:.2f}"
        if isinstance(datum, dict):
            return line + "\n" + "\n".join(f"  {name}: {_cell(value)}" for name, value in datum.items())
        shades = np.array(list(" .:-=+*#%@"))
        rows = shades[np.clip(datum[:, :, 0].astype(int) * 10 // 256, 0, 9)]
        return line + "\n" + "\n".join("".join(c * 2 for c in row) for row in rows)

    def _marked(self) -> str:
        """The present sentence with marks at the words that the last step changed."""
        assert self.state is not None
        assert self.before is not None
        return self.world.units.difference(self.before.frame[0], self.state.frame[0])

    def _picture(self) -> np.ndarray:
        from PIL import Image, ImageDraw

        assert self.state is not None
        sheet = Image.new("RGB", (2 * SIDE, SIDE), "white")
        datum = self.world.render(self.state.frame[0], self.state.home if self.world.units.anchored else None)
        if isinstance(datum, str):
            lines = textwrap.fill(self._marked(), 38)
            ImageDraw.Draw(sheet).multiline_text((8, 8), lines, fill="black", spacing=6)
        elif isinstance(datum, dict):
            text = "\n".join(f"{name}: {_cell(value)}" for name, value in datum.items())
            ImageDraw.Draw(sheet).multiline_text((8, 8), text, fill="black")
        else:
            sheet.paste(Image.fromarray(datum).resize((SIDE, SIDE), Image.Resampling.NEAREST), (0, 0))
        background, to_pixels = _map_of(self.world)
        sheet.paste(background, (SIDE, 0))
        pen = ImageDraw.Draw(sheet)
        path = [(SIDE + x, y) for x, y in to_pixels(torch.cat(self.codes))]
        if len(path) > 1:
            pen.line(path, fill="black", width=3)
        for x, y in path[:-1]:
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill="white", outline="black")
        x, y = path[-1]
        colour = class_colour(int(self.state.prediction[0].argmax()))
        pen.ellipse((x - 6, y - 6, x + 6, y + 6), fill=colour, outline="black", width=2)
        pen.rectangle((4, SIDE - 18, SIDE - 4, SIDE - 4), fill="white")
        shown, target = self._said()
        pen.text((8, SIDE - 17), f"{len(self.codes) - 1}: {shown}, to {target}"[:40], fill="black")
        return np.asarray(sheet)


def _cell(value: Any) -> str:
    """A cell of a table row: floats to three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _map_of(world: World) -> Any:
    """(background image, codes -> pixel positions) of a world's map; drawn once a world."""
    if "_map" not in world.__dict__:
        world.__dict__["_map"] = _draw_map(world)
    return world.__dict__["_map"]


def _draw_map(world: World) -> Any:
    from PIL import Image

    drawn = LatentMap(world)
    winner, share = drawn.regions(SIDE // 2)
    colours = np.array([class_colour(k) for k in range(world.classes)])[winner].astype(float)
    strength = (0.25 + 0.35 * share)[:, :, None]
    pixels = (255 * (1 - strength) + colours * strength).astype(np.uint8)[::-1]
    background = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    left, right, bottom, top = drawn.extent

    def to_pixels(z: torch.Tensor) -> list[tuple[float, float]]:
        x, y = drawn.project(z).T
        across = (x - left) / (right - left) * (SIDE - 1)
        down = (top - y) / (top - bottom) * (SIDE - 1)
        return list(zip(across.tolist(), down.tolist(), strict=True))

    return background, to_pixels
