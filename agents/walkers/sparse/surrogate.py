"""Expected rises of the target's log odds by changes of columns, from a network fitted to known predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.walkers.planning.surrogate import Surrogate
from envs.manifolds.networks.arrays import silu

if TYPE_CHECKING:
    from envs.core.world import World

PENALTY = 3.0  # on the network's weights, in rows; without it, a fit to a few hundred rows is overconfident
COMPARED = 4  # columns up to which the cost is computed; for more columns it is taken as that of this many


class Expected(NamedTuple):
    """Expectations for E ends with C columns, for B items.

    Attributes:
        order: (B, E, C) the columns, the one with the largest rise by itself first.
        rise: (B, E, C) rise of the target's log odds if the first 1, 2, ... columns of the order change together; -inf beyond
            the columns that change.
        cost: (B, E, C) distance of such a row from the input, plus its mean distance from the target class's nearest rows.

    Example:
        >>> Expected(np.array([[[1, 0]]]), np.array([[[2.0, 3.0]]]), np.ones((1, 1, 2))).rise.shape
        (1, 1, 2)
    """

    order: np.ndarray
    rise: np.ndarray
    cost: np.ndarray


def expected(world: World, own: Tensor, frames: Tensor, moved: Tensor, group: Tensor, target: Tensor) -> Expected:
    """Expected rise and cost of changes of columns, by the surrogate; costs no query.

    A fit to reference rows is rough, but it only orders what is tried next; each find is checked by a query.

    Args:
        world: gives the surrogate and the class neighbours.
        own: (B, D) inputs.
        frames: (B, E, D) at the ends.
        moved: (B, E, C) bool, whether each column changes.
        group: (D,) the column of each place.
        target: (B,) classes.
    """
    (first, shift), (last, bias) = surrogate_of(world).network.arrays
    found = Expected(np.empty(moved.shape, int), np.empty(moved.shape, np.float32), np.empty(moved.shape, np.float32))
    columns = moved.shape[2]
    few = min(COMPARED, columns)
    weights = torch.from_numpy(first.T.copy())

    def odds(hidden: np.ndarray, c: int) -> np.ndarray:
        logits = silu(hidden)[0] @ last.T + bias
        return np.asarray(logits[..., c] - np.logaddexp.reduce(np.delete(logits, c, axis=-1), axis=-1))

    for i, c in enumerate(target.tolist()):
        at_input = first @ own[i].numpy() + shift
        # The first layer is linear, so the terms of the columns are added and no mixed row is built.
        change = (frames[i] - own[i])[:, :, None] * weights
        added = change.new_zeros(len(change), columns, change.shape[2]).index_add_(1, group, change).numpy()
        alone = np.where(moved[i].numpy(), odds(at_input + added, c), -np.inf)
        order = np.argsort(-alone, axis=1, kind="stable")
        along = at_input + np.take_along_axis(added, order[:, :, None], axis=1).cumsum(1)
        rise = odds(along, c) - odds(at_input, c)
        changing = np.arange(columns) < moved[i].sum(1, keepdim=True).numpy()
        found.order[i], found.rise[i] = order, np.where(changing, rise, -np.inf)
        rank = torch.from_numpy(order.argsort(1))[:, group]
        rows = torch.where(rank[:, None] <= torch.arange(few)[:, None], frames[i][:, None], own[i]).flatten(0, 1)
        near = world.class_neighbours.near(rows.numpy(), np.full(len(rows), c))[0]
        found.cost[i, :, :few] = (near + (rows - own[i]).norm(dim=1).numpy()).reshape(-1, few)
        found.cost[i, :, few:] = found.cost[i, :, few - 1 : few]
    return found


def surrogate_of(world: World) -> Surrogate:
    """The surrogate of a world, fitted on first use (a second) and kept with its reference data."""
    kept = world.reference.__dict__
    if "table_surrogate" not in kept:
        kept["table_surrogate"] = Surrogate.of_rows(world.reference.x, world.reference.prediction, PENALTY)
    found: Surrogate = kept["table_surrogate"]
    return found


def per_group(parts: Tensor, group: Tensor, count: int) -> Tensor:
    """Sums (..., count) of parts (..., D) over groups (D,)."""
    return parts.new_zeros(*parts.shape[:-1], count).index_add_(-1, group, parts)
