"""One self-contained ``report.html`` for a run or a single path: opens from disk, loads nothing, needs no network.

Everything a path says is put into the page as it is in the :class:`~agents.trajectory.Trajectory`: the page's numbers
are the path's numbers, rounded only where they are shown. Jinja2 escapes every text (class names may hold markup); a
content security policy in the page forbids loading anything and running any script but the page's own.

``python -m agents.explanation.report RUN_OR_PATH`` writes it for the paths that lie in a run folder, or for one path.

To add what changes along a path (an overlay per frame), pass :class:`View` objects; a route or chart that stands still
is a :class:`Panel`. The difference to the start is such a view itself.
"""

from __future__ import annotations

import base64
import hashlib
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agents.atomic import write_whole
from agents.cli import ScriptConfig, UserError, option, parse_config, prepare_process, run_main
from agents.explanation.figures_map import Map, path_map, starts_map
from agents.explanation.figures_style import difference, difference_scale, picture, png
from agents.explanation.figures_table import changed_cells, row_texts
from agents.explanation.figures_words import distance_unit, frame_sentence, heading, role, shown_classes
from agents.trajectory import Trajectory

MOST_PATHS = 40  # paths in one page; the others stay in the run folder
MOST_STARTS = 300  # dots on the overview map
CURVE_WIDTH, CURVE_HEIGHT = 320, 110  # the curves' drawing area, in SVG units


@dataclass(kw_only=True)
class ReportConfig(ScriptConfig):
    """Write one self-contained report.html for the paths of a run, or for one path."""

    source: str = option("latest", "a run folder, 'latest', or a path (.npz)", positional=True, metavar="RUN_OR_PATH")
    out: str | None = option(None, "where to (default: report.html in the run folder)", metavar="FILE")
    log_folder: str = option("runs", "where runs are looked up", "-f", metavar="DIR")


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


@dataclass(frozen=True)
class Extras:
    """What belongs to one path besides the path: further views and panels, measured figures, the file it lies in."""

    views: Sequence[View] = ()
    panels: Sequence[Panel] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    file: str | None = None


def write_report(file: str | os.PathLike[str], paths: Sequence[Trajectory], world: Any, *, title: str | None = None,
                 metrics: Mapping[str, Any] | None = None, made: Mapping[str, Any] | None = None,
                 extras: Sequence[Extras] | None = None) -> Path:
    """Write the page beside its place and rename it whole.

    Args:
        file: where to.
        paths: what to show, at least one; of more than ``MOST_PATHS`` the first ones are shown and the page says so.
        world: the world they were walked in; its classifier is asked for the maps (the page says how often).
        title: default: who explained how many inputs.
        metrics: name -> number, text, or an ``Estimate`` with its interval; nested mappings become groups.
        made: name -> text for "how it was made", such as the command.
        extras: one for each path.

    Returns:
        The page's path.

    Raises:
        TrajectoryError: a path of another manifold.
        ValueError: no paths, or not as many extras as paths.
    """
    target = Path(file)
    page = render_report(paths, world, title=title, metrics=metrics, made=made, extras=extras)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, page)
    return target


def render_report(paths: Sequence[Trajectory], world: Any, *, title: str | None = None,
                  metrics: Mapping[str, Any] | None = None, made: Mapping[str, Any] | None = None,
                  extras: Sequence[Extras] | None = None) -> str:
    """The page as text; arguments as in :func:`write_report`."""
    from jinja2 import Environment, PackageLoader

    if not paths:
        raise ValueError("a report needs at least one path; make some with python -m agents.explain")
    if extras is not None and len(extras) != len(paths):
        raise ValueError(f"{len(extras)} extras for {len(paths)} paths; give one for each")
    shown = list(paths[:MOST_PATHS])
    told = list(extras[:MOST_PATHS]) if extras is not None else [Extras()] * len(shown)
    templates = Environment(loader=PackageLoader("agents.explanation", "templates"), autoescape=True, trim_blocks=True,
                            lstrip_blocks=True)
    script = templates.get_template("report.js").render()
    items = [path_context(number, path, world, more)
             for number, (path, more) in enumerate(zip(shown, told, strict=True), start=1)]
    return templates.get_template("report.html").render(
        title=title or _title(paths), paths=items, first=paths[0], figures=figures_found(paths), total=len(paths),
        overview=overview_map(shown, world), metrics=metric_rows(metrics or {}), made=dict(made or {}),
        script=script, script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=templates.get_template("report.css").render(), asked=sum(item["map"]["queries"] for item in items))


def _title(paths: Sequence[Trajectory]) -> str:
    walkers = sorted({"a trained agent" if path.walker == "policy" else f"the walker {path.walker}" for path in paths})
    return f"{len(paths)} {'input' if len(paths) == 1 else 'inputs'} explained by {' and '.join(walkers)}"


def figures_found(paths: Sequence[Trajectory]) -> list[tuple[str, str]]:
    """The figures of the overview, computed from the paths alone: (name, value)."""
    reached = [path for path in paths if path.success]
    found = [("reached what was asked", f"{len(reached)} of {len(paths)}")]
    if reached:
        found.append(("steps (median)", f"{statistics.median(path.steps for path in reached):g}"))
        if all(path.distances is not None for path in reached):
            value = statistics.mean(float(path.distances[-1]) for path in reached)  # type: ignore[index]
            found.append((f"distance to the input (mean, {distance_unit(reached[0])})", f"{value:.2f}"))
    found.append(("classifier queries an explanation (mean)", f"{statistics.mean(path.queries for path in paths):.1f}"))
    found.append(("classifier queries before, in training", f"{max(path.training_queries for path in paths):,}"))
    return found


def metric_rows(metrics: Mapping[str, Any], group: str = "") -> list[tuple[str, str, str]]:
    """Measured figures as (name, text, meaning where it is known); nan is shown as not measured."""
    from agents.explanation.metrics import MEASURES

    rows: list[tuple[str, str, str]] = []
    for key, value in metrics.items():
        name, meaning = f"{group}{key}".replace("_", " "), MEASURES.get(key, ("", ""))[0]
        if hasattr(value, "low") and hasattr(value, "high"):
            alone = value.low == value.high or np.isnan(value.value)
            interval = "" if alone else f" [{_digits(value.low)}, {_digits(value.high)}]"
            rows.append((name, _digits(value.value) + interval, meaning))
        elif isinstance(value, Mapping):
            rows += metric_rows(value, f"{name}: ")
        else:
            rows.append((name, _digits(value), meaning))
    return rows


def _digits(value: Any) -> str:
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "not measured"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def path_context(number: int, path: Trajectory, world: Any, extras: Extras) -> dict[str, Any]:
    """Everything the template shows of one path."""
    frames, rows = path.frames(world), path.table()
    classes = shown_classes(path)
    views = [_difference_view(frames)] if path.modality == "image" else []
    views += list(extras.views)
    area = path_map(path, world)
    return {
        "number": number, "path": path, "heading": heading(path), "summary": path.summary(), "rows": rows,
        "texts": [frame_sentence(path, row) for row in rows], "extras": extras, "metrics": metric_rows(extras.metrics),
        "input": data_uri(png(picture(world, path.source_input))) if path.modality == "image" else None,
        "images": [data_uri(png(picture(world, x))) for x in frames] if path.modality == "image" else None,
        "small": path.source_input.size <= 64 * 64,
        "views": [{"name": v.name, "note": v.note, "images": [data_uri(i) for i in v.images]} for v in views],
        "panels": [{"title": p.title, "note": p.note, "image": data_uri(p.image)} for p in extras.panels],
        "cells": _cells(path, world, frames) if path.modality == "table" else None,
        "bars": [{"name": path.class_names[c], "role": role(path, c),
                  "values": None if path.answers is None else path.answers[:, c].tolist(),
                  "seen": (path.predicted == c).tolist()} for c in classes],
        "curves": [] if path.answers is None else curves(path, classes), "gain": gain_bars(path),
        "marks": [round(_across(t, path.steps), 2) for t in range(len(frames))],
        "map": map_context(area, path.z, world.class_names), "unit": distance_unit(path),
    }


def _difference_view(frames: np.ndarray) -> View:
    scale = difference_scale(frames)
    images = [png(difference(x, frames[0], scale)) for x in frames]
    return View("change since frame 0", "orange: more, blue: less", images)


def _cells(path: Trajectory, world: Any, frames: np.ndarray) -> list[dict[str, Any]]:
    """One entry a column of the table: its name, the input's text, every frame's text and whether it changed."""
    names, texts = row_texts(world, [path.source_input, *frames])
    changed = changed_cells(world, frames)
    return [{"name": name, "input": texts[i, 0], "texts": texts[i, 1:].tolist(), "changed": changed[i].tolist()}
            for i, name in enumerate(names)]


def _across(t: int, steps: int) -> float:
    """Horizontal place of frame t in the curves' drawing area."""
    return CURVE_WIDTH * (t / steps if steps else 0.5)


def curves(path: Trajectory, classes: Sequence[int]) -> list[dict[str, str]]:
    """Probability curves as SVG point lists: source and target, and whatever else rises above 0.1 on the way."""
    assert path.answers is not None
    lines = []
    for c in classes:
        kind = role(path, c)
        if kind or path.answers[:, c].max() > 0.1:
            points = " ".join(f"{_across(t, path.steps):.1f},{CURVE_HEIGHT * (1 - p):.1f}"
                              for t, p in enumerate(path.answers[:, c].tolist()))
            lines.append({"name": path.class_names[c], "role": kind or "other", "points": points})
    return sorted(lines, key=lambda line: ("other", "source", "target").index(line["role"]))


def gain_bars(path: Trajectory) -> dict[str, Any] | None:
    """Information gain of each step as bars (SVG units), or None where it was not measured."""
    gain = np.asarray(path.information_gain)
    if not np.isfinite(gain).any():
        return None
    top = max(float(np.nanmax(gain)), 1e-12)
    bars = [{"x": round(_across(t + 1, path.steps), 2), "height": round(36 * max(0.0, float(g)) / top, 2)}
            for t, g in enumerate(gain) if np.isfinite(g)]
    return {"bars": bars, "top": top, "width": round(0.5 * CURVE_WIDTH / max(2, path.steps), 2)}


def map_context(area: Map, z: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """A map for inline SVG of 100 by 100 units: background, points, class names."""
    places = area.places(z)
    return {"image": data_uri(png(area.pixels())), "points": (places * 100).round(2).tolist(), "queries": area.queries,
            "labels": [(names[c], round(100 * x, 1), round(100 * y, 1)) for c, x, y in area.labels(places)]}


def overview_map(paths: Sequence[Trajectory], world: Any) -> dict[str, Any]:
    """All paths on the plane of the starts; which needs no query."""
    area = starts_map(world)
    places = [area.places(path.z) for path in paths]
    stride = -(-len(world.starts.z) // MOST_STARTS)
    return {"image": data_uri(png(area.pixels())),
            "starts": (100 * area.places(world.starts.z[::stride])).round(1).tolist(),
            "lines": [{"number": n, "heading": heading(path), "points": (100 * p).round(2).tolist()}
                      for n, (path, p) in enumerate(zip(paths, places, strict=True), start=1)],
            "labels": [(world.class_names[c], round(100 * x, 1), round(100 * y, 1))
                       for c, x, y in area.labels(np.concatenate(places))]}


def data_uri(image: bytes) -> str:
    """A PNG as a text that a page can hold."""
    return "data:image/png;base64," + base64.b64encode(image).decode()


def main(argv: Sequence[str] | None = None) -> int:
    """The script; see :class:`ReportConfig`. Files that cannot be read or belong to another world are left out."""
    config = parse_config(ReportConfig, argv, prog="python -m agents.explanation.report")
    prepare_process(config.num_threads)
    from agents.explanation.metrics import evaluate_paths
    from agents.replay import ReplayConfig, build_world, find_paths

    files, run = find_paths(ReplayConfig(source=config.source, log_folder=config.log_folder, all=True))
    world, paths, extras = None, [], []
    for file in files:
        try:
            path = Trajectory.load(file)
            world = build_world(path.environment, run) if world is None else world
            path.check_world(world)
        except UserError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        paths.append(path)
        extras.append(Extras(file=file.name))
    if world is None or not paths:
        raise UserError(f"{config.source}: none of its {len(files)} paths could be read")
    out = config.out or (run / "report.html" if run is not None else "report.html")
    made = {"command": "python -m agents.explanation.report RUN", "measured over": f"these {len(paths)} paths"}
    print(f"wrote {write_report(out, paths, world, metrics=evaluate_paths(world, paths), made=made, extras=extras)}")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
