"""Grids of codes for figures of a latent space: J-diagrams and MINE grids.

A J-diagram shows the analogy A : B :: C : D, with three given corners and a computed fourth one. A MINE grid (manifold
interpolated neighbour embedding) arranges real items so that neighbours are similar, and interpolates the cells between. Grids
are (rows, columns, d). Source: White, "Sampling Generative Networks", 2016, section 2.

On a sphere the result depends on the order of interpolation: here anchor rows are filled first, then columns. ``matched`` is
the four-point combination of the corners, which has no order.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.geometry.interpolation import interpolate
from envs.geometry.transport import Law, analogy, combine


def j_diagram(prior: Law, a: Tensor, b: Tensor, c: Tensor, rows: int, columns: int, way: str = "slerp") -> Tensor:
    """The grid with a top left, b top right, c bottom left and c + (b - a) bottom right.

    With ``matched`` the fourth corner is the matched analogy, which keeps the norm of the prior.

    Args:
        prior: Distribution of the codes.
        a: Top left code, (d,).
        b: Top right code, (d,).
        c: Bottom left code, (d,).
        rows: Number of rows.
        columns: Number of columns.
        way: Key of `envs.geometry.interpolation.INTERPOLATIONS`.

    Returns:
        Codes, (rows, columns, d).

    Raises:
        ManifoldError: If there are fewer than two rows or columns.
    """
    if rows < 2 or columns < 2:
        raise ManifoldError(f"a J-diagram needs at least 2 rows and 2 columns, not {rows} and {columns}")
    d = analogy(prior, a, b, c) if way == "matched" else c + (b - a)
    return _patch(prior, torch.stack([torch.stack([a, b]), torch.stack([c, d])]), rows, columns, way)


def mine_grid(prior: Law, anchors: Tensor, spacing: int, way: str = "slerp") -> Tensor:
    """Fill the cells between anchors.

    Args:
        prior: Distribution of the codes.
        anchors: Codes, (R, C, d).
        spacing: Cells from one anchor to the next, s.
        way: Key of `envs.geometry.interpolation.INTERPOLATIONS`.

    Returns:
        Codes, ((R-1) s + 1, (C-1) s + 1, d).

    Raises:
        ManifoldError: If the spacing is below 1, or there are fewer than two rows or columns of anchors.
    """
    rows, columns, d = anchors.shape
    if spacing < 1 or rows < 2 or columns < 2:
        raise ManifoldError(f"a MINE grid needs 2 x 2 anchors and spacing 1 at least, not {rows} x {columns} and {spacing}")
    grid = torch.empty((rows - 1) * spacing + 1, (columns - 1) * spacing + 1, d)
    for i in range(rows - 1):
        for j in range(columns - 1):
            patch = _patch(prior, anchors[i : i + 2, j : j + 2], spacing + 1, spacing + 1, way)
            grid[i * spacing : (i + 1) * spacing + 1, j * spacing : (j + 1) * spacing + 1] = patch
    return grid


def anchor_count(cells: int, spacing: int) -> int:
    """Number of anchors along a side of `cells` cells.

    Raises:
        ManifoldError: If the spacing does not divide the number of cells minus one, so that no anchor would lie on the far
            edge.
    """
    if spacing < 1 or cells < 2 or (cells - 1) % spacing:
        near = [n for n in range(max(2, cells - spacing), cells + spacing + 1) if (n - 1) % max(spacing, 1) == 0]
        raise ManifoldError(f"anchors {spacing} cells apart do not end on a side of {cells} cells; choose {near}")
    return (cells - 1) // spacing + 1


def assign_to_grid(places: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Assign items to cells with the least sum of squared moves.

    Places are scaled to the grid first; x grows to the right, y downwards.

    Args:
        places: Places of the items, (rows * columns, 2).
        rows: Number of rows.
        columns: Number of columns.

    Returns:
        Item of each cell, (rows, columns) int.

    Raises:
        ManifoldError: If the numbers of items and cells differ.
    """
    from scipy.optimize import linear_sum_assignment

    if places.shape != (rows * columns, 2):
        raise ManifoldError(f"a grid of {rows} x {columns} takes {rows * columns} places (n, 2), not {places.shape}")
    low, high = places.min(0), places.max(0)
    scaled = (places - low) / np.maximum(high - low, 1e-12) * [columns - 1, rows - 1]
    y, x = np.divmod(np.arange(rows * columns), columns)
    cost = np.square(scaled[:, None] - np.stack([x, y], 1)[None]).sum(2)
    items, cells = linear_sum_assignment(cost)
    found = np.empty(rows * columns, dtype=np.int64)
    found[cells] = items
    return found.reshape(rows, columns)


def _patch(prior: Law, corners: Tensor, rows: int, columns: int, way: str) -> Tensor:
    """Cells (rows, columns, d) between four corners (2, 2, d)."""
    down, across = torch.linspace(0, 1, rows), torch.linspace(0, 1, columns)
    if way != "matched":
        edges = interpolate(way, prior, corners[:, 0], corners[:, 1], across)  # (columns, 2, d): both anchor rows
        return interpolate(way, prior, edges[:, 0], edges[:, 1], down)
    four = corners.reshape(4, -1)
    cells = [
        combine(prior, four, [(1 - t) * (1 - s), (1 - t) * s, t * (1 - s), t * s])
        for t in down.tolist() for s in across.tolist()
    ]  # fmt: skip
    return torch.stack(cells).reshape(rows, columns, -1)
