"""Rows of a table on a card: the columns that changed, in the user's units, beside the input's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.explanation.figures.style import INK, LESS, MORE
from agents.explanation.figures.table_cells import changed_cells, directions, row_texts
from agents.explanation.report.faces.face import Face, cut, inches_wide, wrapped_caption
from agents.trajectories.trajectory import Trajectory


def face(path: Trajectory, world: Any, frames: np.ndarray, film: Sequence[int], turn: int) -> Face:
    """The changed columns of a card.

    Args:
        path: to be shown.
        world: where it was walked.
        frames: (T+1, D) its decoded frames.
        film: the frames that the player shows.
        turn: the turning point.
    """
    factual = path.factual(world)
    names, texts = row_texts(world, [path.source_input, *frames], factual, path.hidden)
    changed = changed_cells(world, frames, factual, path.hidden)
    moves = directions(world, frames, factual)
    shown = [int(i) for i in np.flatnonzero(changed[:, [*film, turn, path.steps]].any(1))]

    def cell(i: int, t: int) -> dict[str, Any]:
        return {"text": str(texts[i, t + 1]), "move": int(moves[i, t]) if changed[i, t] else None}

    about = world.units.descriptions
    rows: list[dict[str, Any]] = [
        {
            "name": names[i],
            "about": about.get(names[i]),
            "input": str(texts[i, 0]),
            "turn": cell(i, turn),
            "end": cell(i, path.steps),
        }
        for i in shown
    ]
    changes = [[cell(i, t) for i in shown] for t in film]
    hidden = path.hidden or ()
    kept = [(names[i], str(texts[i, 0])) for i in range(len(names)) if i not in shown and names[i] not in hidden]
    ended = [row for row in rows if row["end"]["move"] is not None]
    brief = ", ".join(f"{row['name']} {row['input']} → {row['end']['text']}" for row in ended)
    return Face(
        "table.html", {"rows": rows, "kept": kept, "hidden": list(hidden)}, changes, draw, 0.24 * len(rows) + 1.7, brief=brief
    )


def draw(axes: Any, card: Any) -> None:
    """The changed columns as lines, on axes of a figure."""
    rows, notes = card.face.context["rows"], left_out(card.face.context)
    places, wide = (0.0, 0.34, 0.56, 0.78), inches_wide(axes)
    first, width = 0.32 * wide, 0.2 * wide  # inches of the first column and of the others
    titles = ["feature", *(wrapped_caption(card, k, width) for k in range(3))]
    axes.set_xlim(0, 1)
    axes.set_ylim(len(rows) + 2.2, -0.75 * max(title.count("\n") + 1 for title in titles))
    for x, title in zip(places, titles, strict=True):
        axes.text(x, 0.2, title, fontsize=8.5, color="#575f6a", va="bottom")
    for k, row in enumerate(rows):
        axes.text(places[0], k + 0.9, cut(row["name"], first), fontsize=9, color=INK, va="center")
        axes.text(places[1], k + 0.9, cut(row["input"], width), fontsize=9, color=INK, va="center")
        for x, cell in ((places[2], row["turn"]), (places[3], row["end"])):
            moved = cell["move"] is not None
            colour = {1: MORE, -1: LESS}.get(cell["move"], INK)
            sign = {1: "▲ ", -1: "▼ ", 0: "● "}.get(cell["move"], "")
            axes.text(x, k + 0.9, cut(sign + cell["text"], width), fontsize=9, color=colour, va="center",
                      fontweight="bold" if moved else "normal")  # fmt: skip
    axes.text(0, len(rows) + 1.4, "; ".join(notes), fontsize=8.5, color="#575f6a")


def left_out(context: dict[str, Any]) -> list[str]:
    """How many columns did not change, and how many are hidden, whether they changed or not."""
    kept, hidden = len(context["kept"]), len(context["hidden"])
    said = [f"{kept} other{'s' if kept > 1 else ''} unchanged"] if kept else []
    return said + ([f"{hidden} hidden"] if hidden else [])
