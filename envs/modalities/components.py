"""The parts of data that a walk changes: regions of a picture, columns of a row, words of a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Component(NamedTuple):
    """One part of a datum, which can be switched from one frame of a walk to another while the others stay.

    Attributes:
        name: of the part: a place (``top left``), a column, or words.
        where: the part in JSON's types: ``{"rows": H, "columns": W, "runs": [first, length, ...]}`` of the flattened picture,
            ``{"column": j}``, or ``{"before": [i, ...], "after": [j, ...]}``, positions of words.
        mask: (\\*data_shape) bool, its values in data space; empty for text.
        sign: 1 where the values mostly rise along the walk, -1 where they mostly fall, 0 where neither is meant.

    Example:
        >>> Component("age", {"column": 0}, torch.tensor([True, False])).sign
        0
    """

    name: str
    where: dict[str, Any]
    mask: Tensor
    sign: int = 0


def composed(frames: Tensor, components: Sequence[Component], choice: Tensor) -> Tensor:
    """Data whose components come from different frames; everything outside the components is that of the first frame.

    Args:
        frames: (F, \\*data_shape), the input first.
        components: n of them.
        choice: (R, n) the frame of each component.

    Returns:
        (R, \\*data_shape).

    Example:
        >>> parts = [Component("a", {}, torch.tensor([True, False])), Component("b", {}, torch.tensor([False, True]))]
        >>> composed(torch.tensor([[0.0, 0.0], [1.0, 1.0]]), parts, torch.tensor([[0, 1], [1, 0]]))
        tensor([[0., 1.],
                [1., 0.]])
    """
    out = frames[:1].repeat(len(choice), *[1] * (frames.ndim - 1))
    for k, component in enumerate(components):
        out[:, component.mask] = frames[:, component.mask][choice[:, k]]
    return out


def runs(mask: Tensor) -> list[int]:
    """The true values of a flattened mask as [first, length, first, length, ...].

    Example:
        >>> runs(torch.tensor([False, True, True, False, True]))
        [1, 2, 4, 1]
    """
    padded = torch.nn.functional.pad(mask.flatten().int(), (1, 1))
    edges = torch.nonzero(padded.diff()).flatten().tolist()
    return [value for first, end in zip(edges[::2], edges[1::2], strict=True) for value in (first, end - first)]


def unrun(where: dict[str, Any]) -> Tensor:
    """The mask (H, W) of a picture's `Component.where`."""
    mask = torch.zeros(where["rows"] * where["columns"], dtype=torch.bool)
    pairs = where["runs"]
    for first, length in zip(pairs[::2], pairs[1::2], strict=True):
        mask[first : first + length] = True
    return mask.view(where["rows"], where["columns"])
