"""The frame of a walk as the page shows it beside the input: one view per modality, in JSON's types.

`MODALITIES` is the table; a view gets a world and a state of one walk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from agents.app.directions import locked_columns
from agents.errors import UserError
from agents.explanation.figures.style import data_uri, difference, picture, plane, png, shown_png
from agents.explanation.figures.table_cells import changed_cells, directions, row_texts
from agents.explanation.report.faces.text import differences
from agents.trajectories.world import as_array
from envs.core.state import State
from envs.core.world import World

MOST_CHOICES = 60  # categories in the form's list of one column


def image(world: World, state: State) -> dict[str, Any]:
    """The input, the frame, and their difference: green where the frame is brighter, purple where it is darker."""
    given, frame = as_array(state.factual[0]), as_array(state.frame[0])
    change = plane(frame) - plane(given)
    return {
        "input": data_uri(shown_png(picture(world, given))),
        "frame": data_uri(shown_png(picture(world, frame))),
        "difference": data_uri(shown_png(difference(frame, given, 1.0))),
        "blocks": max(change.shape) <= 64,
        "said": f"brighter on {_share(change > 0.1)} of the picture, darker on {_share(change < -0.1)}",
    }


def table(world: World, state: State) -> dict[str, Any]:
    """The columns with the values of the input and of the frame, and the form in which values can be edited."""
    given, frame = as_array(state.factual[0]), as_array(state.frame[0])
    names, texts = row_texts(world, [given, frame], state.home)
    changed = changed_cells(world, frame[None], state.home)[:, 0]
    moves = directions(world, np.stack([given, frame]), state.home)[:, 1]
    locked = set(locked_columns(world))
    rows = [
        {
            "name": name,
            "input": str(texts[j, 0]),
            "frame": str(texts[j, 1]),
            "move": int(moves[j]) if changed[j] else None,
            "locked": name in locked,
        }
        for j, name in enumerate(names)
    ]
    count = int(changed.sum())
    return {"rows": rows, "said": f"{count} of {len(rows)} values changed"}


def series(world: World, state: State) -> dict[str, Any]:
    """The curve of the input, and that of the frame over it with the changed intervals tinted."""
    given, frame = (png(np.asarray(world.render(part[0], state.home))) for part in (state.factual, state.frame))
    moved = world.units.moved(state.frame[0], state.home)  # type: ignore[attr-defined]
    return {
        "input": data_uri(given),
        "frame": data_uri(frame),
        "said": f"{int(moved.sum())} of {moved.numel()} points changed",
    }


def text(world: World, state: State) -> dict[str, Any]:
    """The input, and the frame with its changed words marked."""
    given, frame = (str(world.render(part[0])) for part in (state.factual, state.frame))
    words = differences(given, frame)
    new = sum(word.change == "new" for word in words)
    return {"input": given, "words": [list(word) for word in words], "said": f"{new} new word{'' if new == 1 else 's'}"}


class Shown(NamedTuple):
    """What the page shows of one modality.

    Attributes:
        view: the frame beside the input.
        inputs: kinds of `agents.app.inputs.READERS` that can be chosen; `picture` is an upload.

    Example:
        >>> MODALITIES["text"].inputs
        ('row', 'sentence')
    """

    view: Callable[[World, State], dict[str, Any]]
    inputs: tuple[str, ...]


#: modality -> what is shown; the page's script has a view of the same name (`static/frame.js`).
MODALITIES: dict[str, Shown] = {
    "image": Shown(image, ("row", "drawing", "picture")),
    "table": Shown(table, ("row", "form")),
    "text": Shown(text, ("row", "sentence")),
    "series": Shown(series, ("row",)),
}


def shown_of(world: World) -> Shown:
    """What the page shows of a world.

    Raises:
        UserError: its modality has no page.
    """
    if world.modality not in MODALITIES:
        raise UserError(f"the explorer shows {', '.join(MODALITIES)}; these data are {world.modality}: use explain instead")
    return MODALITIES[world.modality]


def form_fields(world: World) -> list[dict[str, Any]]:
    """The fields of a table's form: name, unit of measure, whether it is locked in walks, and the categories where it has
    any; no fields for other modalities."""
    units: Any = world.units
    table = getattr(units, "table", None)
    described = {} if table is None else {column.name: column for column in table.columns}
    fields = []
    for name in map(str, units.columns):
        column = described.get(name)
        choices = [] if column is None else list(column.categories)[:MOST_CHOICES]
        measure = units.units_of_measure.get(name, "") if column else ""
        fields.append({"name": name, "unit": measure, "locked": bool(column and column.immutable), "choices": choices})
    return fields


def exact_row(world: World, state: State) -> dict[str, str]:
    """The frame's row as texts that can be typed again: column -> value, unrounded, in the user's units."""
    units: Any = world.units
    values = units.values(units.exact(state.frame, state.home))[0]
    return {str(name): str(value) for name, value in zip(units.columns, values, strict=True)}


def _share(mask: np.ndarray) -> str:
    return f"{100 * float(np.mean(mask)):.0f} %"
