"""Choices in an encoded row: blocks of places, one for each category, that hold probabilities and sum to 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

MOVED = 0.25  # the probability that must have moved for a choice to change to the decoded one


class Choices:
    """The blocks of choices in rows of D places.

    Args:
        blocks: (first place, number of places) of every choice.
        size: D.

    Attributes:
        outside: (D,) bool, places that belong to no choice: those of numbers.

    Example:
        >>> Choices([(1, 2)], 3).chosen(torch.tensor([[0.5, 0.3, 0.7]]))
        tensor([[0., 0., 1.]])
    """

    def __init__(self, blocks: Sequence[tuple[int, int]], size: int) -> None:
        self._member = torch.zeros(size, len(blocks))
        widest = max((count for _, count in blocks), default=0)
        self._first = torch.tensor([first for first, _ in blocks], dtype=torch.long)
        self._block = torch.zeros(len(blocks), widest, dtype=torch.long)
        self._padding = torch.full((len(blocks), widest), -torch.inf)
        for k, (first, count) in enumerate(blocks):
            self._member[first : first + count, k] = 1.0
            self._block[k, :count] = torch.arange(first, first + count)
            self._padding[k, :count] = 0.0
        self.outside = self._member.sum(1) == 0

    def chosen(self, x: Tensor) -> Tensor:
        """The likeliest category of each choice, (B, D) one-hot; places outside hold 0."""
        chosen = torch.zeros_like(x)
        if len(self._first):
            chosen.scatter_(1, (x[:, self._block] + self._padding).argmax(2) + self._first, 1.0)
        return chosen

    def moved(self, change: Tensor) -> Tensor:
        """(B, D) share of each choice that a change (B, D) moved: 1 from a probability of `MOVED` on, 0 outside."""
        return (0.5 * self._sums(change.abs()) / MOVED).clamp_max(1)

    def normalised(self, frame: Tensor) -> Tensor:
        """Frames (B, D) whose choices sum to 1."""
        return frame / (self._sums(frame) + self.outside)

    def _sums(self, x: Tensor) -> Tensor:
        """(B, D) for each place, the sum of x over its choice."""
        return (x @ self._member) @ self._member.T
