"""What a path changes, as numbers that are compared with what another path changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from agents.trajectories.trajectory import Trajectory

MOST_OVERLAP = 0.5  # of pictures and text: paths whose changes share more are one way


def change(world: Any, start: Tensor, end: Tensor, factual: Any) -> np.ndarray:
    """The change from one datum to another, (n,) not negative.

    Of a table: 1 for each group of columns that changed. Of text: 1 for each word of the input that is replaced or removed,
    and for each place where words are added. Of other data, such as pictures and series: by how much each value
    rises, and by how much it falls.

    Args:
        world: of the data.
        start, end: (\\*data_shape), see `begin`.
        factual: the input, a batch of one.
    """
    import torch

    if _by_value(world):
        moved = (end - start).flatten().numpy().astype(np.float64)
        return np.concatenate([moved.clip(min=0), (-moved).clip(min=0)])
    parts = [part.where for part in world.units.components(torch.stack([start, end]), factual)]
    if by_columns(world):
        found = np.zeros(len(world.units.columns))
        found[[int(world.units.group_of[where["column"]]) for where in parts]] = 1
        return found
    words = max(len(start), len(end))
    found = np.zeros(2 * words + 1)
    for where in parts:
        found[where["before"] or [words + place for place in where["after"][:1]]] = 1
    return found


def by_columns(world: Any) -> bool:
    """Whether parts are the columns of a table. The points of a series are none."""
    return bool(world.units.anchored and world.units.modality == "table")


def _by_value(world: Any) -> bool:
    return not by_columns(world) and not world.units.rows_are_strings


def begin(world: Any, first: Tensor, factual: Any) -> Tensor:
    """Where a change begins: at the input or, of pictures, at frame 0, whose reconstruction is no part of the change."""
    return first if _by_value(world) else factual.x[0]


def change_of(path: Trajectory, world: Any) -> np.ndarray:
    """The `change` of a whole path."""
    import torch

    frames, factual = torch.from_numpy(path.frames(world)), path.factual(world)
    return change(world, begin(world, frames[0], factual), frames[-1], factual)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """The share of two changes that they have in common: 0 for none, 1 for equal ones (weighted Jaccard index).

    Example:
        >>> overlap(np.array([1.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0]))
        0.3333333333333333
    """
    both = float(np.maximum(one, other).sum())
    return float(np.minimum(one, other).sum()) / both if both else 1.0


def is_new(world: Any, one: np.ndarray, others: list[np.ndarray]) -> bool:
    """Whether a change is another way than each of `others`: of tables, it contains none of them; else it shares at most
    half with each."""
    if by_columns(world):
        return all(bool((other > one).any()) for other in others)
    return all(overlap(one, other) <= MOST_OVERLAP for other in others)
