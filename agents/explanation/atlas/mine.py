"""The MINE grid: reference inputs arranged so that neighbours are similar, with interpolated cells between them.

Source: White, "Sampling Generative Networks", 2016, section 2 (manifold interpolated neighbour embedding).
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from agents.atlas import AtlasConfig, Drawing
from agents.explanation.atlas.style import FRAME, GAP, Seen, finished, legend, mosaic, need_pictures, show
from agents.explanation.figures.style import INK, mathless, pyplot_figure
from envs.geometry.grids import anchor_count, assign_to_grid, mine_grid
from envs.runtime.torch_defaults import threads_kept

if TYPE_CHECKING:
    from envs.core.world import World

SIZE = 30  # pixels of a cell
ROWS, COLUMNS = 21, 29
MOST = 2000  # reference inputs that are embedded


def draw(world: World, config: AtlasConfig) -> Drawing:
    """Draw the grid, see the module; its anchors are reference inputs, spread over their whole embedding."""
    need_pictures(world, config.figure)
    rows, columns = config.rows or ROWS, config.columns or COLUMNS
    down, across = anchor_count(rows, config.spacing), anchor_count(columns, config.spacing)
    codes = world.reference.z[torch.linspace(0, len(world.reference.z) - 1, min(MOST, len(world.reference.z))).long()].numpy()
    places, method = embedded(codes, config.arrange, config.seed)
    chosen = spread(places, down * across, config.seed)
    order = chosen[assign_to_grid(places[chosen], down, across)]
    anchors = torch.from_numpy(codes[order])
    grid = mine_grid(world.manifold.prior, anchors, config.spacing, config.way)
    seen = Seen(world, grid.flatten(0, 1))
    classes = seen.classes.reshape(rows, columns)
    sheet = mosaic(seen.pictures.reshape(rows, columns, *seen.pictures.shape[1:]), classes, SIZE)
    _mark_anchors(sheet, config.spacing)
    figure = pyplot_figure(sheet.shape[1] / 100, sheet.shape[0] / 100 + 0.6, dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    show(axes, sheet)
    axes.set_title(mathless(f"MINE grid: {down} × {across} inputs (dark frames), {config.way} between them"), loc="left",
                   fontsize=10, color=INK)  # fmt: skip
    legend(axes, world.class_names, classes, y=-0.012)
    note = (f"MINE grid: {down} x {across} inputs arranged by {method} and linear assignment, {rows} x {columns} cells by "
            f"{config.way}. {seen.queries} classifier queries for its colours.")  # fmt: skip
    return Drawing(finished(figure), note)


def embedded(codes: np.ndarray, arrange: str, seed: int) -> tuple[np.ndarray, str]:
    """Embed codes (N, d) in the plane, (N, 2), and name the method: UMAP where requested and installed, else PCA."""
    centred = codes - codes.mean(0)
    if codes.shape[1] <= 2:
        return np.pad(codes, ((0, 0), (0, 2 - codes.shape[1]))), "the latent plane itself"
    if arrange == "umap" and importlib.util.find_spec("umap") is not None and len(codes) > 15:
        with warnings.catch_warnings(), threads_kept():
            warnings.simplefilter("ignore")  # it warns that a seed makes it single-threaded
            from umap import UMAP

            return np.asarray(UMAP(random_state=seed, n_jobs=1).fit_transform(codes)), "UMAP"
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    missing = arrange == "umap" and importlib.util.find_spec("umap") is None
    why = " (UMAP is not installed: pip install 'manifold-traversal[umap]')" if missing else ""
    return centred @ axes.T, f"principal components{why}"


def spread(places: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Indices (count,) of items that cover the positions (N, 2) evenly: the nearest distinct one to each k-means centre.

    Raises:
        ManifoldError: there are fewer items.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.cluster import KMeans

    from envs.errors import ManifoldError

    if len(places) < count:
        raise ManifoldError(f"this grid needs {count} anchors and there are {len(places)} starts: take fewer rows or columns, "
                            "or more spacing")  # fmt: skip
    centres = KMeans(count, n_init=1, random_state=seed).fit(places).cluster_centers_
    cost = np.square(centres[:, None] - places[None]).sum(2)
    return np.asarray(linear_sum_assignment(cost)[1])


def _mark_anchors(sheet: np.ndarray, spacing: int) -> None:
    """Dark frames around every spacing-th cell, in place."""
    step = spacing * (SIZE + GAP)
    width = max(1, FRAME - 1)
    for top in range(0, sheet.shape[0], step):
        for left in range(0, sheet.shape[1], step):
            cell = sheet[top : top + SIZE, left : left + SIZE]
            for edge in (cell[:width], cell[-width:], cell[:, :width], cell[:, -width:]):
                edge[...] = (27, 31, 36)
