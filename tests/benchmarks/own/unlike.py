"""The rivals without a walk: the nearest known row of another class, as it is and with columns put back.

B inputs, C columns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

NOTICEABLE = 1e-9  # cells that differ by less are the same


class Rows(NamedTuple):
    """Ends without a path.

    Attributes:
        cells: (B, C) the rows.
        queries: (B,) made for each.
    """

    cells: Tensor
    queries: Tensor


def nearest_unlike(world: Any, x: Tensor, source: Tensor) -> Rows:
    """For each input x (B, D), predicted as `source` (B,), the nearest reference row of another class. No query."""
    known = world.reference
    gaps = torch.cdist(x, known.x).masked_fill(known.label[None, :] == source[:, None], torch.inf)
    return Rows(known.cells[gaps.argmin(1)], torch.zeros(len(x)))


def put_back(world: Any, cells: Tensor, source: Tensor, ends: Tensor) -> Rows:
    """Put the input's values back into rows of another class, one column after the other, as long as the class stays another.

    The columns with the smallest standardised differences come first; a query for each.

    Args:
        world: of the classifier.
        cells: (B, C) of the inputs.
        source: (B,) their predicted classes.
        ends: (B, C) rows of another class.
    """
    found, queries = ends.clone(), torch.zeros(len(cells))
    differ = differing(cells, ends)
    scale = world.reference.cells.nan_to_num().std(0).clamp_min(1e-12)
    size = ((cells - ends).nan_to_num().abs() / scale).masked_fill(~differ, torch.inf)
    order = size.argsort(dim=1)
    for k in range(cells.shape[1]):
        rows = torch.nonzero(differ.gather(1, order[:, k : k + 1])[:, 0]).flatten()
        if len(rows) == 0:
            break
        tried = found[rows].clone()
        column = order[rows, k]
        tried[torch.arange(len(rows)), column] = cells[rows, column]
        predicted = asked(world, tried)
        queries[rows] += 1
        stays = predicted != source[rows]
        found[rows[stays]] = tried[stays]
    return Rows(found, queries)


def differing(cells: Tensor, others: Tensor) -> Tensor:
    """(B, C) bool: which cells are not the same; two missing values are."""
    both = torch.isnan(cells) & torch.isnan(others)
    return ((cells - others).abs() > NOTICEABLE) & ~both | (torch.isnan(cells) != torch.isnan(others))


def asked(world: Any, cells: Tensor) -> Tensor:
    """Predicted classes (B,) of rows of cells (B, C)."""
    return world.classifier.predict_proba(world.units.encode(cells), cells).argmax(1)
