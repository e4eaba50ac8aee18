"""Interpolation strips: the same two inputs joined by every curve, frame by frame, with the predictions."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from agents.atlas import AtlasConfig, Drawing
from agents.explanation.atlas.style import Seen, finished, need_pictures, rows_queried, show, tile
from agents.explanation.figures.style import FAINT, INK, TARGET, mathless, pyplot_figure
from agents.trajectories.goal import share_name
from envs.errors import ManifoldError
from envs.geometry.curves import FINE, View, along, length, pixels
from envs.geometry.geodesics import geodesic
from envs.geometry.graph import LatentGraph
from envs.geometry.interpolation import interpolate
from envs.gym.rendering import class_colour

if TYPE_CHECKING:
    from envs.core.world import World

SIZE, FRAMES = 64, 11
NAMES = {
    "lerp": "straight line", "slerp": "great circle", "matched": "matched", "geodesic": "geodesic", "graph": "over inputs",
}  # fmt: skip


def draw(world: World, config: AtlasConfig) -> Drawing:
    """Draw the strips, see the module; `config.index` are the two ends."""
    need_pictures(world, config.figure)
    frames = config.columns or FRAMES
    given = rows_queried(world, config, 2)
    x = two_inputs(world) if given is None else given
    with torch.inference_mode():
        a, b = world.manifold.encode(x)[:, None]
    view = pixels(world.manifold)
    ways = {name: along(curve, frames, by_length=True) for name, curve in curves(world, view, a, b).items()}
    seen = {name: Seen(world, points[:, 0]) for name, points in ways.items()}
    with torch.inference_mode():
        lengths = {name: float(length(view, along(curve, FINE))) for name, curve in ways.items()}
    shown = [name for name in NAMES if name in ways]
    end = int(seen[shown[0]].classes[-1])
    figure = pyplot_figure(2.2 + 0.62 * frames, 0.45 + 0.84 * len(shown))
    grid = figure.add_gridspec(2 * len(shown), frames, height_ratios=[5, 1.5] * len(shown), wspace=0.06, hspace=0.08,
                               left=0.14, right=0.9, top=0.92, bottom=0.04)  # fmt: skip
    for row, name in enumerate(shown):
        for t in range(frames):
            axes = figure.add_subplot(grid[2 * row, t])
            show(axes, tile(seen[name].pictures[t], SIZE, class_colour(int(seen[name].classes[t]))))
            if t == 0:
                axes.text(-0.15, 0.5, NAMES[name], transform=axes.transAxes, ha="right", va="center", fontsize=8, color=INK)
            if t == frames - 1:
                share = lengths[name] / lengths["lerp"]
                axes.text(1.15, 0.5, f"{lengths[name]:.2f}\n({share:.2f} ×)", transform=axes.transAxes, va="center",
                          fontsize=7.5, color=INK)  # fmt: skip
            _predict(figure.add_subplot(grid[2 * row + 1, t]), world, seen[name], t, end)
    names = [world.class_names[int(seen[shown[0]].classes[t])] for t in (0, -1)]
    bars = "" if world.label_only else f"; bars: {share_name(world.goal, names[1])}"
    figure.suptitle(mathless(f"{names[0]} → {names[1]}, by several curves; right: length in pixel space{bars}"), x=0.02, y=1.0,
                    ha="left", va="top", fontsize=10, color=INK)  # fmt: skip
    queries = sum(part.queries for part in seen.values())
    note = f"strip: {', '.join(shown)}, {frames} frames each at equal latent length. {queries} classifier queries."
    return Drawing(finished(figure), note)


def curves(world: World, view: View, a: Tensor, b: Tensor) -> dict[str, Tensor]:
    """name -> curve (T+1, 1, d) from a to b (1, d), without those that this manifold does not have."""
    t, prior = torch.linspace(0, 1, FINE), world.manifold.prior
    found: dict[str, Tensor] = {}
    for name in ("lerp", "slerp", "matched"):
        with suppress(ManifoldError):  # a prior without a distribution
            found[name] = interpolate(name, prior, a, b, t)
    with suppress(ManifoldError):  # a decoder without gradients
        found["geodesic"] = geodesic(view, a, b).points()
    codes = torch.cat([world.reference.z, a, b])
    graph = LatentGraph(view, codes)
    n = len(codes)
    found["graph"] = graph.between(torch.tensor([n - 2]), torch.tensor([n - 1])).points
    return found


def two_inputs(world: World) -> Tensor:
    """Two held-out inputs (2, \\*data_shape): the first, and the one of another class at the median distance of codes."""
    x = world.held_out.x
    with torch.inference_mode():
        label, z = world.answers_held_out(torch.arange(len(x))).argmax(1), world.manifold.encode(x)
    other = torch.nonzero(label != label[0]).flatten()
    if len(other) == 0:
        other = torch.arange(len(x))
    return x[torch.stack([torch.tensor(0), other[(z[other] - z[0]).norm(dim=1).argsort()[len(other) // 2]]])]


def _predict(axes: Any, world: World, seen: Seen, t: int, end: int) -> None:
    """The class of a frame, and the probability of the class at the end as a bar."""
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.axis("off")
    name = world.class_names[int(seen.classes[t])]
    axes.text(0.5, 0.6, mathless(name[:9]), ha="center", va="center", fontsize=7, color=INK)
    if not world.label_only:
        axes.barh(0.12, 1, height=0.2, color=FAINT, linewidth=0)
        axes.barh(0.12, float(np.clip(seen.predictions[t, end], 0, 1)), height=0.2, color=TARGET, linewidth=0)
