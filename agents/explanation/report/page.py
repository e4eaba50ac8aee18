"""One self-contained ``report.html`` for a run or a single path: opens from disk, loads nothing, needs no network.

The numbers of the page are those of the `Trajectory`, rounded only for display. Jinja2 escapes every text (class names may
hold markup); a content security policy in the page forbids loading anything and running any script but the page's own.

The command is `agents.report`.

`agents.explanation.report.sections` has one function and one template per section of a path,
`agents.explanation.report.extras` the optional parts.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.console.threads import one_threaded
from agents.explanation.figures.map import starts_map
from agents.explanation.figures.style import png
from agents.explanation.report.extras import Extras, Panel, View
from agents.explanation.report.sections import PathPage, data_uri, panel_contexts, sections_of
from agents.explanation.report.words import figures_found, gathered, metric_rows
from agents.explanation.sentences import heading
from agents.files import write_whole, writing
from agents.trajectories.trajectory import Trajectory
from envs.files import in_home

__all__ = ["Extras", "Panel", "View", "render_report", "write_report"]

MOST_PATHS = 40  # paths in one page; the others are in the run folder
MOST_DOTS = 300  # reference inputs on the overview map


@one_threaded
def write_report(
    file: str | os.PathLike[str],
    paths: Sequence[Trajectory],
    world: Any,
    *,
    title: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    made: Mapping[str, Any] | None = None,
    extras: Sequence[Extras] | None = None,
    panels: Sequence[Panel] = (),
) -> Path:
    """Write the report atomically.

    Args:
        file: of the report.
        paths: at least one; of more than `MOST_PATHS` the first ones are shown, and the page says so.
        world: where they were walked; its classifier is queried for the maps (the page reports how often).
        title: None: the walkers and the number of inputs.
        metrics: key -> number, text, or an `Estimate` with its interval; nested mappings become groups.
        made: name -> text for "how it was made", such as the command. ``measured over`` is also shown with the metrics, and
            ``targets``, how the target classes were chosen, in the overview.
        extras: one per path.
        panels: static figures for all paths.

    Returns:
        The file of the report.

    Raises:
        TrajectoryError: a path of another manifold.
        ValueError: no paths, or another number of extras than of paths.
    """
    target = Path(in_home(os.fspath(file)))
    page = render_report(paths, world, title=title, metrics=metrics, made=made, extras=extras, panels=panels)
    with writing("the report", "make room, or choose another place with --out FILE; the paths themselves are saved"):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, page)
    return target


@one_threaded
def render_report(
    paths: Sequence[Trajectory],
    world: Any,
    *,
    title: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    made: Mapping[str, Any] | None = None,
    extras: Sequence[Extras] | None = None,
    panels: Sequence[Panel] = (),
) -> str:
    """The page as text; arguments as in `write_report`."""
    from jinja2 import Environment, PackageLoader

    if not paths:
        raise ValueError("a report needs at least one path; make some with python -m agents.explain")
    if extras is not None and len(extras) != len(paths):
        raise ValueError(f"{len(extras)} extras for {len(paths)} paths; give one for each")
    shown = list(paths[:MOST_PATHS])
    told = list(extras[:MOST_PATHS]) if extras is not None else [Extras()] * len(shown)
    templates = Environment(
        loader=PackageLoader("agents.explanation.report", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    script = templates.get_template("report.js").render()
    pages = [PathPage(number, path, world, more) for number, (path, more) in enumerate(zip(shown, told, strict=True), start=1)]
    sections = [sections_of(page) for page in pages]
    bounded = getattr(world, "max_step", None) is not None
    return templates.get_template("report.html").render(
        title=title or _title(paths),
        pages=list(zip(pages, sections, strict=True)),
        first=paths[0],
        figures=figures_found(shown),
        total=len(paths),
        overview=overview_map(shown, world),
        panels=panel_contexts(panels),
        metrics=gathered(metric_rows(metrics or {}, bounded=bounded)),
        made=dict(made or {}),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=templates.get_template("report.css").render(),
        asked=sum(page.asked for page in pages),
    )


def _title(paths: Sequence[Trajectory]) -> str:
    walkers = sorted({"a trained agent" if path.walker == "policy" else f"the walker {path.walker}" for path in paths})
    return f"{len(paths)} {'input' if len(paths) == 1 else 'inputs'} explained by {' and '.join(walkers)}"


def overview_map(paths: Sequence[Trajectory], world: Any) -> dict[str, Any]:
    """All paths on the plane of the reference inputs; costs no query."""
    area = starts_map(world)
    places = [area.places(path.z) for path in paths]
    stride = -(-len(world.reference.z) // MOST_DOTS)
    return {
        "image": data_uri(png(area.pixels())),
        "reference": (100 * area.places(world.reference.z[::stride])).round(1).tolist(),
        "lines": [
            {"number": n, "heading": heading(path), "points": (100 * p).round(2).tolist()}
            for n, (path, p) in enumerate(zip(paths, places, strict=True), start=1)
        ],
        "labels": [
            (world.class_names[c], round(100 * x, 1), round(100 * y, 1)) for c, x, y in area.labels(np.concatenate(places))
        ],
    }
