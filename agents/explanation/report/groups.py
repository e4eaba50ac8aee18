"""Which paths of a report share a card: those that are alternatives from one input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.trajectories.trajectory import Trajectory


def grouped(paths: Sequence[Trajectory]) -> list[list[int]]:
    """Places of the paths of each card. Paths with a `Trajectory.scenario` share the card of the first one of their input.

    Example:
        >>> from agents.explanation.alternatives import several_ways
        >>> from envs import make_world
        >>> grouped(list(several_ways(make_world(), 0, n=2, walker="line")))
        [[0, 1]]
    """
    found: list[list[int]] = []
    first: dict[Any, list[int]] = {}
    for place, path in enumerate(paths):
        key = place if path.scenario is None else (path.index, path.row, path.source, path.source_input.tobytes())
        if key in first:
            first[key].append(place)
        else:
            first[key] = [place]
            found.append(first[key])
    return found
