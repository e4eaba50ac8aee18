"""Rows of a table on a card: the columns that changed, in the user's units, beside the input's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.explanation.figures.table_cells import changed_cells, directions, row_texts
from agents.explanation.report.faces.face import Face
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
    names, texts = row_texts(world, [path.source_input, *frames], factual)
    changed = changed_cells(world, frames, factual)
    moves = directions(world, frames, factual)
    shown = [int(i) for i in np.flatnonzero(changed[:, [*film, turn, path.steps]].any(1))]

    def cell(i: int, t: int) -> dict[str, Any]:
        return {"text": str(texts[i, t + 1]), "move": int(moves[i, t]) if changed[i, t] else None}

    rows = [{"name": names[i], "input": str(texts[i, 0]), "turn": cell(i, turn), "end": cell(i, path.steps)} for i in shown]
    changes = [[cell(i, t) for i in shown] for t in film]
    kept = [(names[i], str(texts[i, 0])) for i in range(len(names)) if i not in shown]
    ended = [row for row in rows if row["end"]["move"] is not None]
    brief = ", ".join(f"{row['name']} {row['input']} → {row['end']['text']}" for row in ended)
    return Face("table.html", {"rows": rows, "kept": kept}, changes, brief=brief)
