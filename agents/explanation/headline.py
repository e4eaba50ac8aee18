"""The headline of a path: what the input is predicted as, where the prediction changes, and by which parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.errors import UserError

if TYPE_CHECKING:
    from agents.explanation.contributions.result import Contributions, Part
    from agents.trajectories.trajectory import Trajectory
    from envs.geometry.strokes import Attribute

MOST = 3  # parts that a headline names
ENOUGH = 0.9  # share of the positive contributions from which no further part is named
LONGEST = 60  # letters of one part; the rest is cut off


def headline(
    path: Trajectory,
    contributions: Contributions | None = None,
    world: Any = None,
    attributes: Sequence[Attribute] = (),
) -> str:
    """The path in two sentences about the classifier's prediction.

    Args:
        path: to be described.
        contributions: of the path; None: those saved with it. Without any, the parts that changed are named without shares.
        world: where the path was walked, to find those parts; None: the path's own.
        attributes: measured on frame 0 and on the end, such as `envs.geometry.strokes.STROKES`; their changes follow.

    Returns:
        Such as ``Predicted 4 (0.98). The prediction becomes 9 (0.93) at step 6: the left bar is removed and the top is closed
        (0.61 of the rise).``

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> path = explain(make_world(), 0, walker="line")
        >>> headline(path, path.contributions())[:73]
        'Predicted virginica (0.97). The prediction becomes versicolor (0.51) at s'
    """
    from agents.explanation.contributions.compute import changed_parts
    from agents.explanation.figures.renderer import renderer_of

    found = path.saved_contributions if contributions is None else contributions
    world = path.world if world is None else world
    if path.shown is not None and path.shown.is_score:
        said = _scored(path, None if found is None else found.start)
    else:
        sure = "" if found is None or path.label_only else f" ({found.called:.2f})"
        said = f"Predicted {path.class_names[path.source]}{sure}. {_outcome(path)}"
    if path.steps == 0:
        return f"{said}."
    measured = _measured(path, world, attributes)
    if found is not None:
        words = renderer_of(path).joined(*_told(found))
        share = "" if path.label_only else _share(found)
    elif world is not None:
        parts = [f"{name} {change}" for name, change in changed_parts(path, world)]
        words, share = renderer_of(path).joined([_cut(part) for part in parts[:MOST]], len(parts) - MOST), ""
    else:
        return f"{said}."
    return (f"{said}: {words}{share}." if words else f"{said}.") + measured


def _measured(path: Trajectory, world: Any, attributes: Sequence[Attribute]) -> str:
    """The sentence about the attributes; empty where none changes."""
    from agents.explanation.attributes import attribute_changes

    if not attributes:
        return ""
    if world is None:
        raise UserError(f"the path {path.name!r} was read from a file: its attributes are measured with world=")
    changes = attribute_changes(path, world, attributes)
    return f" From frame 0 to the end: {', '.join(changes)}." if changes else ""


def _scored(path: Trajectory, start: float | None) -> str:
    """From which score to which a path goes, and where it reaches the goal; `start` is the input's, if it is known."""
    assert path.shown is not None
    first = path.shown.values[0] if start is None else start
    goal = path.class_names[path.target] + (f" ({path.requested})" if path.requested and path.requested[0] in "+-" else "")
    if path.steps == 0:
        return f"Predicted {path.shown.text(first)}. No step was made; the goal is {goal}"
    way = f"Predicted {path.shown.text(first)} → {path.shown.text(path.shown.values[-1])}"
    if path.predicted[-1] != path.target:
        return f"{way} after {path.steps} steps, and the goal {goal} is not reached"
    return f"{way}, the goal {goal} is reached at step {turning_point(path.predicted, path.target)}"


def _outcome(path: Trajectory) -> str:
    """Where the prediction changes, or that it does not."""
    from agents.explanation.contributions.compute import explained_class

    c, end = explained_class(path), int(path.predicted[-1])
    name, p = path.class_names[c], None if path.predictions is None else float(path.predictions[-1, c])
    sure = "" if p is None else f" ({p:.2f})"
    if path.steps == 0:
        return f"No step was made; frame 0 is predicted as {path.class_names[end]}"
    if end != c:
        return f"The prediction does not become {name}{'' if p is None else f' (p = {p:.2f} at the end)'}"
    if c == path.source:
        return f"The prediction stays {name}{sure}"
    turn = turning_point(path.predicted, c)
    if turn == path.steps:
        return f"The prediction becomes {name}{sure} at step {turn}"
    sentence = (
        f"The prediction becomes {name} at step {turn}" if turn else f"Frame 0, the reconstruction, is predicted as {name}"
    )
    return sentence + ("" if p is None else f" ({p:.2f} at the end, step {path.steps})")


def turning_point(predicted: np.ndarray, c: int) -> int:
    """The first frame from which on every frame is predicted as class c.

    Example:
        >>> turning_point(np.array([4, 9, 4, 9, 9]), 9)
        3
    """
    others = np.flatnonzero(predicted != c)
    return int(others[-1]) + 1 if len(others) else 0


def named_parts(found: Contributions) -> list[Part]:
    """The parts that a headline names: the largest ones, in the direction of the whole change."""
    sign = 1 if found.total >= 0 else -1
    order = sorted((part for part in found.parts if sign * part.value > 0), key=lambda part: -sign * part.value)
    whole, summed, named = sum(part.value for part in order), 0.0, []
    for part in order[:MOST]:
        named.append(part)
        summed += part.value
        if abs(summed) >= ENOUGH * abs(whole):
            break
    return named


def _told(found: Contributions) -> tuple[list[str], int]:
    named = named_parts(found)
    return [_cut(part.words) for part in named], len(found.parts) - len(named)


def _share(found: Contributions) -> str:
    """The share of the rise that the named parts have together; empty where the probability did not change."""
    if not found.total or not found.parts:
        return ""
    share, way = found.share(*named_parts(found)), "rise" if found.total > 0 else "fall"
    return f" ({'all' if share >= 0.995 else f'{share:.2f}'} of the {way})"  # above 1 where other parts work against it


def _cut(words: str) -> str:
    """The words in one line of at most `LONGEST` letters."""
    line = " ".join(words.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
