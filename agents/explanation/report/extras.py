"""What may go into a report besides the paths: views that change with the frame, panels that stand still, measures.

``lime_extras`` and ``treeview_extras`` make them of the explanations that this package can compute along a path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from agents.explanation.figures.renderer import renderer_of
from agents.explanation.figures.style import difference, png
from agents.trajectories.trajectory import Trajectory
from envs.errors import ManifoldError


@dataclass(frozen=True)
class View:
    """A picture that goes with every frame. name: its caption; note: how to read it; images: T+1 PNGs."""

    name: str
    note: str
    images: Sequence[bytes]


@dataclass(frozen=True)
class Panel:
    """Something that stands still beside a path: its title, a line on how to read it, and one PNG."""

    title: str
    note: str
    image: bytes


class ColumnSlopes(NamedTuple):
    """What moves the answer, column by column: names, values (T+1 rows of one number a name), the largest size, a note."""

    names: list[str]
    values: list[list[float]]
    largest: float
    note: str


@dataclass(frozen=True)
class Extras:
    """What belongs to one path besides the path.

    Attributes:
        views, panels: see there; views are for pictures.
        slopes: for a table, see `columns_slopes`.
        metrics: measured figures of this path.
        file: the file it lies in.
    """

    views: Sequence[View] = ()
    panels: Sequence[Panel] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    file: str | None = None
    slopes: ColumnSlopes | None = None


def slopes_view(path: Trajectory, slopes: np.ndarray, r2: np.ndarray) -> View:
    """Latent LIME's slopes (T+1, *data_shape) as a view: orange where more ink raises the probability asked for."""
    scale = max(float(np.abs(slopes).max()), 1e-12)
    nothing = np.zeros_like(slopes[0])
    known = r2[np.isfinite(r2)]
    fit = f"; the fits' R² is {known.min():.2f} to {known.max():.2f}" if len(known) else ""
    name = path.class_names[path.target]
    note = f"orange: more here raises p({name}), blue: lowers it{fit}"
    return View("latent LIME", note, [png(difference(frame, nothing, scale)) for frame in slopes])


def columns_slopes(path: Trajectory, slopes: np.ndarray, r2: np.ndarray, world: Any, most: int = 8) -> ColumnSlopes:
    """Latent LIME's slopes (T+1, D) by column of the table: a category's is that of its present value.

    The columns are those with the largest slopes along the path, at most ``most``.
    """
    frames, places = path.frames(world), getattr(world.units, "places", None)
    if places is None:
        names, found = list(world.units.columns), slopes
    else:
        names, ends = list(world.units.columns), [*places[1:], slopes.shape[1]]
        rounded = world.units.outward(_tensor(frames)).numpy()
        # A number's place counts whole; of a category's places the one that is chosen.
        weight = np.where(_numbers(world), 1.0, rounded)
        found = np.stack([(slopes * weight)[:, a:b].sum(1) for a, b in zip(places, ends, strict=True)], axis=1)
    chosen = np.sort(np.argsort(-np.abs(found).max(0))[:most])
    known = r2[np.isfinite(r2)]
    fit = f" The fits' R² is {known.min():.2f} to {known.max():.2f}." if len(known) else ""
    note = (
        f"How p({path.class_names[path.target]}) moves with each column along the manifold, by one standard deviation of a "
        f"number or by its present category (latent LIME).{fit}"
    )
    values = found[:, chosen].tolist()
    return ColumnSlopes([names[i] for i in chosen], values, max(float(np.abs(found).max()), 1e-12), note)


def _numbers(world: Any) -> np.ndarray:
    """(D,) bool: places of numbers in an encoded row."""
    number = np.ones(world.manifold.data_shape[0], dtype=bool)
    for first, count in world.units.blocks:
        number[first : first + count] = False
    return number


def _tensor(x: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.array(x))


def layers(paths: Sequence[Trajectory], world: Any, files: Sequence[str], lime: bool, treeview: bool) -> list[Extras]:
    """The extras of each path: the file it lies in and, where asked for, latent LIME at every frame and the TreeView route.

    Raises:
        ManifoldError: LIME of sentences, or where the classifier shows labels alone; TreeView of a classifier without hidden
            features.
    """
    found: list[dict[str, Any]] = [{"file": file} for file in files[: len(paths)]]
    if lime:
        from agents.explanation.local.lime_path import lime_along

        if not all(renderer_of(path).numeric for path in paths):
            raise ManifoldError(
                "--lime shows how pixels or columns move the prediction; words cannot move by a little. Leave --lime out of "
                "the report, or weigh words with python -m agents.explain ... --lime plain --out DIR"
            )

        for about, path in zip(found, paths, strict=True):
            slopes, r2 = lime_along(path, world)
            if renderer_of(path).shows_pictures:
                about["views"] = (slopes_view(path, slopes, r2),)
            else:
                about["slopes"] = columns_slopes(path, slopes, r2, world)
    if treeview:
        from agents.explanation.local.treeview import route_of, told_switches, treeview_of
        from agents.explanation.local.treeview_figure import treeview_figure

        view = treeview_of(world)
        for about, path in zip(found, paths, strict=True):
            routes = route_of(path, world, view)
            told = "; ".join(told_switches(routes, path.class_names)) or "No factor switches along this path."
            about["panels"] = (Panel("Route through the TreeView", told, treeview_figure(path, world, routes)),)
    return [Extras(**about) for about in found]
