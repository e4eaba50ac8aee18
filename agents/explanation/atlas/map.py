"""The map of a manifold: a plane of the latent space, coloured by the classifier's predictions, with contours of
magnification.

The plane passes through the mean of the codes along the two main directions of the class means, in which the classes lie
furthest apart; a two-dimensional latent space is drawn whole. Colours are predictions on the plane itself: its points are
decoded and queried. Dots are reference inputs, projected onto the plane, in the tone of their class. Contours show the
magnification factor sqrt det(P G P^T) of the pullback metric G on the plane P: where it is low, moving changes little.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from agents.atlas import AtlasConfig, Drawing
from agents.explanation.atlas.style import finished, legend, tone
from agents.explanation.figures.renderer import renderer_of
from agents.explanation.figures.style import INK, mathless, pyplot_figure
from envs.geometry.uncertainty import magnification
from envs.runtime.progress import progress_bar

if TYPE_CHECKING:
    from envs.core.world import World

CELLS = 160  # along each side, for colours
CONTOUR_CELLS = 60  # along each side, for the metric
DOTS = 1500
PART = 1024  # codes at once
MARGIN = 0.12
#: What torch says of a decoder without a derivative: it goes through numpy, detaches, writes in place, branches on its values.
NO_DERIVATIVE = re.compile(r"requires? grad|data pointer|vmap|functorch|forward AD|in-?place|broadcast shape", re.IGNORECASE)


def draw(world: World, config: AtlasConfig) -> Drawing:
    """Draw the map, see the module."""
    centre, axes = plane(world)
    uv = ((world.reference.z - centre) @ axes.T).numpy()
    low, high = np.quantile(uv, [0.005, 0.995], axis=0)
    middle, half = (low + high) / 2, (0.5 + MARGIN) * float((high - low).max())
    corner, far = middle - half, middle + half
    predictions, known = _predictions(world, centre + _grid(corner, far, CELLS) @ axes)
    predictions, known = predictions.reshape(CELLS, CELLS, -1), known.reshape(CELLS, CELLS, 1)
    winner, sure = predictions.argmax(2), predictions.max(2)
    figure = pyplot_figure(6.4, 6.4)
    panel = figure.add_axes((0.02, 0.02, 0.96, 0.92))
    tones = np.array([tone(k, 0.55) for k in range(world.classes)])[winner]
    strength = np.clip((sure - 1 / world.classes) / (1 - 1 / world.classes), 0, 1)[:, :, None] ** 0.7
    extent = (corner[0], far[0], corner[1], far[1])
    panel.imshow(1 + known * strength * (tones - 1), extent=extent, origin="lower", aspect="equal", interpolation="bilinear")
    contours = _contours(panel, world, centre, axes, corner, far)
    _dots(panel, world, uv)
    _names(panel, world, np.where(known[:, :, 0], winner, -1), extent)
    panel.set_xlim(corner[0], far[0])
    panel.set_ylim(corner[1], far[1])
    panel.set_xticks([])
    panel.set_yticks([])
    for spine in panel.spines.values():
        spine.set_color("#b9bec6")
    dots = "dots: reference inputs, projected, in the colour of their class"
    legend(panel, world.class_names, world.reference.label.numpy(), title=dots)
    where = "on the latent space" if world.latent_dim <= 2 else "on a plane of the latent space"
    title = f"the classifier {where}; contours: magnification" if contours else "the classifier's map"
    panel.set_title(mathless(title), loc="left", fontsize=10, color=INK)
    whole = "the whole latent space" if world.latent_dim <= 2 else "the plane of the two main directions of the class means"
    more = "" if contours else " No contours: this decoder has no derivatives."
    note = f"map: {whole}; {CELLS * CELLS} classifier queries for its colours.{more}"
    return Drawing(finished(figure), note)


def plane(world: World) -> tuple[Tensor, Tensor]:
    """Centre (d,) and orthonormal axes (2, d): the coordinates for up to two dimensions, else where class means differ most.

    Deterministic: the largest loading of each axis is positive.
    """
    z, d = world.reference.z, world.latent_dim
    if d <= 2:
        return torch.zeros(d), torch.eye(2, d)
    means = torch.stack([z[world.reference.label == k].mean(0) for k in world.reference.label.unique()])
    between = means - means.mean(0)
    # Two classes span one direction alone: the spread of the reference inputs gives the other.
    within = 1e-3 * (z - z.mean(0)) / len(z) ** 0.5
    axes = torch.linalg.svd(torch.cat([between, within]), full_matrices=False)[2][:2]
    largest = axes.abs().argmax(1, keepdim=True)
    return z.mean(0), axes * torch.where(axes.gather(1, largest) < 0, -1.0, 1.0)


def _grid(low: np.ndarray, high: np.ndarray, n: int) -> Tensor:
    """Plane coordinates (n * n, 2) of the centres of cells, row 0 at the bottom."""
    cells = (np.arange(n) + 0.5) / n
    x, y = np.meshgrid(low[0] + cells * (high[0] - low[0]), low[1] + cells * (high[1] - low[1]))
    return torch.from_numpy(np.stack([x.ravel(), y.ravel()], 1)).float()


def _predictions(world: World, z: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (N, K) at codes, and where these are defined (N,): not outside the hull of a UMAP map."""
    with torch.inference_mode():
        known = _known(world, z)
        z = torch.where(known[:, None], z, world.manifold.prior.project(z))
        bar = progress_bar(z.split(PART), "colouring the map", sys.stderr.isatty())
        parts = [world.classifier.predict_proba(world.manifold.decode(part)).numpy() for part in bar]
    return np.concatenate(parts), known.numpy()


def _known(world: World, z: Tensor) -> Tensor:
    """Codes (N, d) inside the hull, (N,) bool; all for priors without a hull."""
    prior = world.manifold.prior
    return prior.contains(z) if prior.kind == "hull" else torch.ones(len(z), dtype=torch.bool)


def _contours(panel: Any, world: World, centre: Tensor, axes: Tensor, low: np.ndarray, high: np.ndarray) -> bool:
    """Draw the contours of magnification; False where the decoder has no derivatives."""
    places = _grid(low, high, CONTOUR_CELLS)
    with torch.no_grad():
        codes = centre + places @ axes
        if not _has_derivatives(world, codes[:1], axes):
            return False
        bar = progress_bar(codes.split(PART), "measuring the map", sys.stderr.isatty())
        metrics = torch.cat([_plane_metric(world, part, axes) for part in bar])
        found = torch.where(_known(world, codes), magnification(metrics), torch.nan)
        factor = found.numpy().reshape(CONTOUR_CELLS, CONTOUR_CELLS)
    if not np.nanmax(factor, initial=0) > 0:
        return False
    x, y = (np.unique(part) for part in places.numpy().T)
    levels = np.nanquantile(factor, [0.1, 0.3, 0.5, 0.7, 0.9])
    levels = np.unique([float(f"{level:.2g}") for level in levels])
    drawn = panel.contour(x, y, factor, levels=levels, colors=INK, linewidths=np.linspace(0.4, 1.3, len(levels)), alpha=0.55)
    panel.clabel(drawn, fontsize=6.5, fmt=lambda value: f"{value:g}")
    return True


def _has_derivatives(world: World, z: Tensor, axes: Tensor) -> bool:
    """Whether the decoder can be differentiated at a code z (1, d).

    Only torch's own complaints about a missing derivative count as "no" (`NO_DERIVATIVE`). Any other error of the decoder is
    raised: one that fails without derivatives, too, has a fault, and one that runs out of memory is not a different decoder.
    """
    world.manifold.decode(z)
    try:
        _plane_metric(world, z, axes)
    except NotImplementedError:  # an operation without a forward derivative
        return False
    except RuntimeError as error:
        if NO_DERIVATIVE.search(str(error)) is None:
            raise
        return False
    return True


def _plane_metric(world: World, z: Tensor, axes: Tensor) -> Tensor:
    """The pullback metric on the plane, P G P^T (B, 2, 2), at codes z (B, d).

    G = J^T J, so two derivatives along the axes of the plane suffice: the whole Jacobian of a convolutional generator with 64
    latent dimensions takes thirty times as long.
    """
    if not renderer_of(world).numeric:  # its metric is that of the logits, and no frame has a derivative
        return axes @ world.manifold.metric(z) @ axes.T
    slopes = torch.stack([world.manifold.jvp(z, axis.expand_as(z)) for axis in axes], dim=2)  # (B, D, 2)
    return slopes.transpose(1, 2) @ slopes


def _dots(panel: Any, world: World, uv: np.ndarray) -> None:
    rows = np.linspace(0, len(uv) - 1, min(DOTS, len(uv))).astype(int)
    labels = world.reference.label.numpy()[rows]
    colours = 0.85 * np.array([tone(int(k)) for k in labels])
    panel.scatter(uv[rows, 0], uv[rows, 1], s=13, c=colours, linewidths=0.4, edgecolors="white", zorder=3)


def _names(panel: Any, world: World, winner: np.ndarray, extent: tuple[float, float, float, float]) -> None:
    """Write the name of each class at the innermost point of its largest region; -1 is not a class."""
    from matplotlib.patheffects import withStroke

    from agents.explanation.figures.map import Map

    shown = Map(np.zeros(2), np.eye(2), winner, np.zeros(2), np.ones(2), 0)
    left, right, bottom, top = extent
    for index, x, y in shown.labels(np.zeros((0, 2))):
        if index < 0:
            continue
        text = panel.text(left + x * (right - left), top - y * (top - bottom), mathless(world.class_names[index]), fontsize=15,
                          ha="center", va="center", color=INK, fontweight="bold", zorder=5)  # fmt: skip
        text.set_path_effects([withStroke(linewidth=3, foreground="white", alpha=0.85)])
