"""Optional parts of a report: views that change with the frame, static panels, slopes and measures.

`layers` makes them from the local explanations along a path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from agents.explanation.figures.renderer import renderer_of
from agents.explanation.figures.style import data_uri, slopes_png
from agents.explanation.local.fidelity import agreement_note, fit_note, followed
from agents.trajectories.trajectory import Trajectory
from envs.errors import ManifoldError


@dataclass(frozen=True)
class View:
    """A picture per frame.

    Attributes:
        name: caption.
        note: how to read it.
        images: T+1 data URIs.

    Example:
        >>> View("latent LIME", "blue raises p", ["data:,"]).name
        'latent LIME'
    """

    name: str
    note: str
    images: Sequence[str]


@dataclass(frozen=True)
class Panel:
    """A static figure.

    Attributes:
        title: heading.
        note: how to read it.
        drawing: SVG, see `agents.explanation.figures.style.figure_svg`.

    Example:
        >>> Panel("Map", "dots: inputs", b"<svg></svg>").title
        'Map'
    """

    title: str
    note: str
    drawing: bytes


class ColumnSlopes(NamedTuple):
    """Slopes of the target's probability by column of a table.

    Attributes:
        names: of the columns.
        values: T+1 rows of one number per column.
        largest: largest absolute value.
        note: how to read them.

    Example:
        >>> ColumnSlopes(["age"], [[0.1], [0.2]], 0.2, "").names
        ['age']
    """

    names: list[str]
    values: list[list[float]]
    largest: float
    note: str


@dataclass(frozen=True)
class Extras:
    """Optional parts of one path in a report.

    Attributes:
        views: for pictures.
        panels: static figures.
        metrics: measures of the path.
        file: its file name.
        slopes: for a table, see `columns_slopes`.

    Example:
        >>> Extras(file="line-0000-4-to-9.npz").panels
        ()
    """

    views: Sequence[View] = ()
    panels: Sequence[Panel] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    file: str | None = None
    slopes: ColumnSlopes | None = None


def slopes_view(path: Trajectory, slopes: np.ndarray, r2: np.ndarray) -> View:
    """Slopes of latent LIME as a view: blue where a larger value raises the target's probability, empty where the fit does
    not follow the classifier.

    Args:
        path: that is explained.
        slopes: (T+1, *data_shape).
        r2: (T+1,) of the fits.
    """
    good = followed(r2)
    scale = max(float(np.abs(slopes[good]).max(initial=0.0)), 1e-12)
    note = f"Blue: more here raises {path.target_share}; orange: lowers it. {fit_note(r2)}"
    return View("latent LIME", note, [data_uri(slopes_png(frame * ok, scale)) for frame, ok in zip(slopes, good, strict=True)])


def columns_slopes(path: Trajectory, slopes: np.ndarray, r2: np.ndarray, world: Any, most: int = 8) -> ColumnSlopes:
    """Slopes of latent LIME by column of a table; that of a category is the slope of its present value. They are 0 where the
    fit does not follow the classifier.

    Args:
        path: that is explained.
        slopes: (T+1, D).
        r2: (T+1,) of the fits.
        world: where the path was walked.
        most: number of columns, those with the largest slopes along the path.
    """
    frames, places = path.frames(world), getattr(world.units, "places", None)
    if places is None:
        names, found = list(world.units.columns), slopes
    else:
        names, ends = list(world.units.columns), [*places[1:], slopes.shape[1]]
        rounded = world.units.outward(_tensor(frames)).numpy()
        # A number has one place; of the places of a category, the chosen one counts.
        weight = np.where(_numbers(world), 1.0, rounded)
        found = np.stack([(slopes * weight)[:, a:b].sum(1) for a, b in zip(places, ends, strict=True)], axis=1)
    found = np.where(followed(r2)[:, None], found, 0.0) * np.array([name not in (path.hidden or ()) for name in names])
    chosen = np.sort(np.argsort(-np.abs(found).max(0))[:most])
    chosen = chosen[[names[i] not in (path.hidden or ()) for i in chosen]]
    note = (
        f"Change of {path.target_share} with each column along the manifold, by one standard deviation of a "
        f"number or by its present category (latent LIME). {fit_note(r2)}"
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
    """The optional parts of each path: its file and, on request, latent LIME at every frame and the route through a TreeView.

    Args:
        paths: of the report.
        world: where they were walked.
        files: their file names.
        lime: add latent LIME.
        treeview: add the routes.

    Raises:
        ManifoldError: LIME of sentences, or where the classifier returns only labels; TreeView of a classifier without hidden
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
        from agents.explanation.figures.style import figure_svg
        from agents.explanation.local.treeview import route_of, switch_sentences, treeview_of
        from agents.explanation.local.treeview_figure import treeview_figure

        view = treeview_of(world)
        for about, path in zip(found, paths, strict=True):
            routes = route_of(path, world, view)
            follows, note = agreement_note(path.predicted, routes.predicted)
            switches = "; ".join(switch_sentences(routes, path.class_names)) or "No factor switches along this path."
            switches = f"{switches} {note}" if follows else note
            drawn = treeview_figure(path, world, routes, figure_svg)
            about["panels"] = (Panel("Route through the TreeView", switches, drawn),)
    return [Extras(**about) for about in found]
