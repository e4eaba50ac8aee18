"""The J-diagram: an analogy A : B :: C : D as a grid, with the real inputs beside their reconstructions.

Source: White, "Sampling Generative Networks", 2016, section 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from agents.atlas import AtlasConfig, Drawing
from agents.explanation.atlas.style import (
    Seen,
    finished,
    inked,
    legend,
    mosaic,
    need_pictures,
    rows_queried,
    show,
    tile,
)
from agents.explanation.figures.style import INK, mathless, picture, pyplot_figure
from envs.core.reference_data import MAX_PAIRS
from envs.geometry.grids import j_diagram

if TYPE_CHECKING:
    from envs.core.world import World

SIZE = 56  # pixels of a cell
ROWS, COLUMNS = 7, 9
APART = 26  # pixels between an input and the grid
SHOULDER = (34, 39, 45)  # colour of real inputs


def draw(world: World, config: AtlasConfig) -> Drawing:
    """Draw the J-diagram, see the module; `config.index` are A, B and C."""
    need_pictures(world, config.figure)
    rows, columns = config.rows or ROWS, config.columns or COLUMNS
    given = rows_queried(world, config, 3)
    x = an_analogy(world) if given is None else given
    with torch.inference_mode():
        a, b, c = world.manifold.encode(x)
    grid = j_diagram(world.manifold.prior, a, b, c, rows, columns, config.way)
    seen = Seen(world, grid.flatten(0, 1))
    shape = (rows, columns)
    cells = mosaic(seen.pictures.reshape(*shape, *seen.pictures.shape[1:]), seen.classes.reshape(shape), SIZE)
    sheet = _with_shoulders(cells, [picture(world, item) for item in x.numpy()])
    figure = pyplot_figure(sheet.shape[1] / 100, sheet.shape[0] / 100 + 0.6, dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    show(axes, sheet)
    right, bottom = sheet.shape[1] - SIZE / 2, sheet.shape[0] - SIZE
    for name, place in (("A", (SIZE / 2, SIZE)), ("B", (right, SIZE)), ("C", (SIZE / 2, bottom))):
        above = name == "C"
        axes.text(place[0], place[1] + (-6 if above else 6), f"input {name}", ha="center", va="bottom" if above else "top",
                  fontsize=9, color=INK)  # fmt: skip
    below = sheet.shape[0] - SIZE / 2
    axes.text(right - SIZE / 2 - 4, below, "D = C + B − A", ha="left", va="center", fontsize=9, color=INK)
    names = [world.class_names[k] for k in seen.classes[[0, columns - 1, -columns, -1]]]
    said = f"{names[0]} : {names[1]} :: {names[2]} : {names[3]}"
    axes.set_title(mathless(f"A : B :: C : D    predicted as {said}    ({config.way})"), loc="left", fontsize=10, color=INK)
    legend(axes, world.class_names, seen.classes)
    note = (f"J-diagram: three inputs beside the corners, {rows} x {columns} cells by {config.way}; the corner D is "
            f"computed. {seen.queries} classifier queries for its colours.")  # fmt: skip
    return Drawing(finished(figure), note)


def an_analogy(world: World) -> Tensor:
    """Choose three held-out inputs (3, \\*data_shape) for an analogy, by their attributes, predictions and codes.

    Where the data have attributes, A and C have a low and B has a high value of the first one that is not a count
    (thickness, for digits): the most typical items in the outer fifths of the class in which it varies most (A, B), and of
    the class furthest from that one (C). Else A and B are the two items of the most frequent class whose codes differ
    most, and C is the nearest input of another class.
    """
    from envs.geometry.strokes import attributes_of

    x, attributes = world.held_out.x, [attribute for attribute in attributes_of(world) if attribute.unit]
    with torch.inference_mode():
        label, z = world.answers_held_out(torch.arange(len(x))).argmax(1), world.manifold.encode(x)
    classes = [k for k in label.unique().tolist() if int((label == k).sum()) >= 5]
    if attributes and len(classes) > 1:
        value = attributes[0].measure(x)
        means = {k: z[label == k].mean(0) for k in classes}
        first = max(classes, key=lambda k: float(value[label == k].quantile(0.8) - value[label == k].quantile(0.2)))
        other = max(classes, key=lambda k: float((means[k] - means[first]).norm()))

        def typical(k: int, much: bool) -> Tensor:
            own = torch.nonzero(label == k).flatten()
            edge = value[own].quantile(0.8 if much else 0.2)
            own = own[value[own] >= edge] if much else own[value[own] <= edge]
            return own[(z[own] - means[k]).norm(dim=1).argmin()]

        return x[torch.stack([typical(first, False), typical(first, True), typical(other, False)])]
    own = torch.nonzero(label == label.bincount().argmax()).flatten()
    rest = torch.nonzero(label != label[own[0]]).flatten()
    own = own[torch.linspace(0, len(own) - 1, min(len(own), MAX_PAIRS)).long()]
    gaps = torch.cdist(z[own], z[own])
    a, b = own[gaps.argmax() // len(own)], own[gaps.argmax() % len(own)]
    c = rest[(z[rest] - z[a]).norm(dim=1).argmin()] if len(rest) else own[0]
    return x[torch.stack([a, b, c])]


def _with_shoulders(cells: np.ndarray, inputs: list[np.ndarray]) -> np.ndarray:
    """Place the inputs beside three corners of the mosaic."""
    height, width = cells.shape[:2]
    sheet = np.full((height, width + 2 * (SIZE + APART), 3), 255, dtype=np.uint8)
    sheet[:, SIZE + APART : SIZE + APART + width] = cells
    right = SIZE + 2 * APART + width
    grey = all((item[..., :1] == item).all() for item in inputs)
    for item, (top, left) in zip(inputs, ((0, 0), (0, right), (height - SIZE, 0)), strict=True):
        sheet[top : top + SIZE, left : left + SIZE] = tile(inked(item, SHOULDER) if grey else item, SIZE)
    return sheet
