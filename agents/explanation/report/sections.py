"""The sections of one path in the report: one function here and one template in templates/sections each.

A function takes a `PathPage` and returns the context of its template, or None where the section does not apply to the path. A
new section is a function, a template and a line in `SECTIONS`. A function may put numbers that change with the frame into
`page.data`, from which the script of the page reads them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from agents.explanation.figures.map import Map, path_map
from agents.explanation.figures.renderer import renderer_of
from agents.explanation.figures.style import difference, difference_scale, picture, png
from agents.explanation.figures.text import sentence_words
from agents.explanation.report.extras import Extras, Panel, View
from agents.explanation.report.words import metric_rows
from agents.explanation.sentences import distance_unit, frame_sentence, heading, role, shown_classes
from agents.trajectories.trajectory import Trajectory

CURVE_WIDTH, CURVE_HEIGHT = 320, 110  # the curves' drawing area, in SVG units


@dataclass
class PathPage:
    """One path of the page.

    Attributes:
        number: in the page, from 1.
        path: to be shown.
        world: where it was walked.
        extras: its optional parts.
        data: goes into the page as JSON.
        asked: queries made for the page itself.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> world = make_world()
        >>> PathPage(1, explain(world, 0, walker="line"), world).heading
        'virginica → versicolor'
    """

    number: int
    path: Trajectory
    world: Any
    extras: Extras = field(default_factory=Extras)
    data: dict[str, Any] = field(default_factory=dict)
    asked: int = 0

    @cached_property
    def frames(self) -> np.ndarray:
        """(T+1, *data) decoded frames."""
        return self.path.frames(self.world)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of `Trajectory.table`."""
        return self.path.table()

    @cached_property
    def texts(self) -> list[str]:
        """A sentence per frame, for screen readers."""
        return [frame_sentence(self.path, row) for row in self.rows]

    @cached_property
    def images(self) -> list[str] | None:
        """Every frame as a data URI; None where frames are no pictures."""
        if not renderer_of(self.path).shows_pictures:
            return None
        return [data_uri(png(picture(self.world, x))) for x in self.frames]

    @cached_property
    def input(self) -> str | None:
        """The input as a data URI; None where frames are no pictures."""
        if not renderer_of(self.path).shows_pictures:
            return None
        return data_uri(png(picture(self.world, self.path.source_input)))

    @property
    def heading(self) -> str:
        """Source and target."""
        return heading(self.path)

    @property
    def small(self) -> bool:
        """Whether the pixels are few enough to be shown as blocks."""
        return bool(self.path.source_input.size <= 64 * 64)

    @property
    def planned(self) -> int:
        """Number of planned steps at the end."""
        return min(self.path.planned, self.path.steps)


class Section(NamedTuple):
    """A section of the page.

    Attributes:
        template: file name.
        place: ``head``, ``board`` or ``foot``.
        context: gives the context of the template.

    Example:
        >>> SECTIONS[0].template
        'strip.html'
    """

    template: str
    place: str
    context: Callable[[PathPage], dict[str, Any] | None]


def strip(page: PathPage) -> dict[str, Any]:
    """All frames at a glance, selectable by mouse, touch or keyboard."""
    page.data |= {"texts": page.texts, "rows": page.rows}
    return {}


def controls(page: PathPage) -> dict[str, Any]:
    """The slider and its buttons."""
    return {"last": page.path.steps}


def pictures(page: PathPage) -> dict[str, Any] | None:
    """The input, the present frame, its change since frame 0, and further views (such as LIME)."""
    page.data["views"] = []
    if page.images is None:
        return None
    views = [_difference_view(page.frames), *page.extras.views]
    shown = [{"name": v.name, "note": v.note, "images": [data_uri(image) for image in v.images]} for v in views]
    page.data["views"] = [view["images"] for view in shown]
    return {"views": shown}


def _difference_view(frames: np.ndarray) -> View:
    scale = difference_scale(frames)
    images = [png(difference(x, frames[0], scale)) for x in frames]
    return View("change since frame 0", "orange: more, blue: less", images)


def row(page: PathPage) -> dict[str, Any] | None:
    """The values of input and present frame by column of a table; differences are marked."""
    cells = page.data["cells"] = renderer_of(page.path).report_cells(page.path, page.world, page.frames)
    return None if cells is None else {"cells": cells}


def sentences(page: PathPage) -> dict[str, Any] | None:
    """Every frame as a sentence; words that changed since the frame before are marked."""
    return None if page.path.texts is None else {"lines": sentence_words(page.path)}


def predictions(page: PathPage) -> dict[str, Any]:
    """The prediction at the present frame as bars, and along the path as curves."""
    path, classes = page.path, shown_classes(page.path)
    bars = [{"name": path.class_names[c], "role": role(path, c),
             "values": None if path.predictions is None else path.predictions[:, c].tolist(),
             "seen": (path.predicted == c).tolist()} for c in classes]  # fmt: skip
    marks = [round(_across(t, path.steps), 2) for t in range(len(path.z))]
    page.data |= {"bars": bars, "marks": marks}
    return {"bars": bars, "marks": marks, "curves": [] if path.predictions is None else curves(path, classes)}


def gain(page: PathPage) -> dict[str, Any] | None:
    """The information gain of each step, where it was measured."""
    return gain_bars(page.path)


def map_(page: PathPage) -> dict[str, Any] | None:
    """The path on the plane through its ends, coloured by the classifier's predictions there; none where values are missing
    that the classifier would be queried with."""
    if page.path.lacks_values:
        page.data["points"] = [[0, 0]] * len(page.path.z)
        return None
    area = path_map(page.path, page.world)
    page.asked += area.queries
    drawn = map_context(area, page.path.z, page.world.class_names)
    page.data["points"] = drawn["points"]
    return drawn


def step(page: PathPage) -> dict[str, Any]:
    """The numbers of the present step, and the measures of the path."""
    names = [("step_length", "step length"), ("path_length", "path length"), ("distance", "distance to the input"),
             ("typicality", "typicality (1: as real data)"), ("reward", "reward"),
             ("information_gain", "information gain (nats)")]  # fmt: skip
    known = [(key, name) for key, name in names if any(r[key] is not None for r in page.rows)]
    return {"numbers": known, "metrics": metric_rows(page.extras.metrics), "unit": distance_unit(page.path)}


def panels(page: PathPage) -> dict[str, Any] | None:
    """Static figures, such as the route through a TreeView."""
    if not page.extras.panels:
        return None
    return {"panels": panel_contexts(page.extras.panels)}


def panel_contexts(panels: Sequence[Panel]) -> list[dict[str, str]]:
    """Panels as contexts of the templates."""
    return [{"title": panel.title, "note": panel.note, "image": data_uri(panel.image)} for panel in panels]


def slopes(page: PathPage) -> dict[str, Any] | None:
    """Slopes of the prediction by column at the present frame, see `agents.explanation.report.extras.columns_slopes`."""
    found = page.extras.slopes
    if found is None:
        return None
    page.data["slopes"] = {"values": found.values, "largest": found.largest}
    return {"names": found.names, "values": found.values, "largest": found.largest, "note": found.note}


def steps(page: PathPage) -> dict[str, Any]:
    """Every number of every step."""
    return {}


def made(page: PathPage) -> dict[str, Any]:
    """Walker, seed and queries of the path."""
    return {}


#: In the order of the page.
SECTIONS: tuple[Section, ...] = (
    Section("strip.html", "head", strip),
    Section("controls.html", "head", controls),
    Section("pictures.html", "board", pictures),
    Section("row.html", "board", row),
    Section("sentences.html", "board", sentences),
    Section("predictions.html", "board", predictions),
    Section("map.html", "board", map_),
    Section("step.html", "board", step),
    Section("gain.html", "board", gain),
    Section("slopes.html", "board", slopes),
    Section("panels.html", "board", panels),
    Section("steps.html", "foot", steps),
    Section("made.html", "foot", made),
)


def sections_of(page: PathPage) -> list[dict[str, Any]]:
    """Template, place and context of each section that applies to the path."""
    found = [(section, section.context(page)) for section in SECTIONS]
    return [{"template": f"sections/{section.template}", "place": section.place, "it": it}
            for section, it in found if it is not None]  # fmt: skip


# ---- drawn as SVG --------------------------------------------------------------------------------------------------------


def _across(t: int, steps: int) -> float:
    """Horizontal position of frame t in the drawing area of the curves."""
    return CURVE_WIDTH * (t / steps if steps else 0.5)


def curves(path: Trajectory, classes: Sequence[int]) -> list[dict[str, str]]:
    """Probability curves as SVG point lists: source, target, and classes that exceed 0.1 along the path."""
    assert path.predictions is not None
    lines = []
    for c in classes:
        kind = role(path, c)
        if kind or path.predictions[:, c].max() > 0.1:
            points = " ".join(f"{_across(t, path.steps):.1f},{CURVE_HEIGHT * (1 - p):.1f}"
                              for t, p in enumerate(path.predictions[:, c].tolist()))  # fmt: skip
            lines.append({"name": path.class_names[c], "role": kind or "other", "points": points})
    return sorted(lines, key=lambda line: ("other", "source", "target").index(line["role"]))


def gain_bars(path: Trajectory) -> dict[str, Any] | None:
    """Information gain of each step as bars (SVG units), or None where it was not measured."""
    gain = np.asarray(path.information_gain)
    if not np.isfinite(gain).any():
        return None
    top = max(float(np.nanmax(gain)), 1e-12)
    bars = [{"x": round(_across(t + 1, path.steps), 2), "height": round(60 * max(0.0, float(g)) / top, 2), "value": float(g),
             "step": t + 1} for t, g in enumerate(gain) if np.isfinite(g)]  # fmt: skip
    width = round(0.5 * CURVE_WIDTH / max(2, path.steps), 2)
    return {"bars": bars, "top": top, "total": float(np.nansum(gain)), "width": width}


def map_context(area: Map, z: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """A map for inline SVG of 100 by 100 units: background, points, class names."""
    places = area.places(z)
    return {"image": data_uri(png(area.pixels())), "points": (places * 100).round(2).tolist(), "queries": area.queries,
            "labels": [(names[c], round(100 * x, 1), round(100 * y, 1)) for c, x, y in area.labels(places)]}  # fmt: skip


def data_uri(image: bytes) -> str:
    """A PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(image).decode()
