"""Scaling of model inputs and targets to mean 0 and deviation 1, fixed between two fits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vime.serialization import State, StateMismatchError, expect_like, number

CONSTANT = 1e-6
"""A column whose deviation is below this share of its largest value (or of 1) is taken as constant."""


class Whitener:
    """Running mean and deviation of rows (B, size); ``freeze`` makes the present ones those that are applied.

    Statistics that moved with every transition would change the value of one and the same transition from step to step;
    here they move only when the model is fitted.

    A constant column is centred and not scaled, and reported in ``varies`` (size,) as False: as an input it is
    zero, as a target it is left out of the loss, because it would be predicted perfectly and drown the rest.

    Parameters
    ----------
    size: columns.
    common_scale: divide all columns by one number, the root of their mean variance, so that they keep their sizes against
        each other; without it each has deviation 1.
    clip: whitened values are cut to +-clip, so that one outlier in a hardly moving column cannot take over.
    """

    def __init__(self, size: int, clip: float = 10.0, *, common_scale: bool = False):
        self.size = size
        self.common_scale = common_scale
        self.clip = clip
        self.count = 0
        self._mean = torch.zeros(size, dtype=torch.float64)
        self._squares = torch.zeros(size, dtype=torch.float64)
        self._largest = torch.zeros(size, dtype=torch.float64)
        self.shift = torch.zeros(size, dtype=torch.float32)
        self.scale = torch.ones(size, dtype=torch.float32)
        self.varies = torch.ones(size, dtype=torch.bool)

    def update(self, rows: Tensor) -> None:
        """Take (B, size) rows into the running moments (Chan's parallel form of Welford's)."""
        count = len(rows)
        if count == 0:
            return
        rows = rows.detach().double()
        mean = rows.mean(0)
        squares = (rows - mean).square().sum(0)
        total = self.count + count
        step = mean - self._mean
        self._squares += squares + step.square() * (self.count * count / total)
        self._mean += step * (count / total)
        self._largest = torch.maximum(self._largest, rows.abs().amax(0))
        self.count = total

    def freeze(self) -> None:
        """Apply the moments seen so far from now on."""
        deviation = (self._squares / max(self.count, 1)).sqrt()
        self.varies = deviation > CONSTANT * self._largest.clamp(min=1.0)
        self.shift = self._mean.float()
        if self.common_scale and bool(self.varies.any()):
            deviation = deviation[self.varies].square().mean().sqrt().expand_as(deviation)
        self.scale = torch.where(self.varies, deviation, torch.ones_like(deviation)).float()

    def __call__(self, rows: Tensor) -> Tensor:
        """(rows - mean) / deviation, cut to +-clip; the shape of ``rows``."""
        return ((rows - self.shift) / self.scale).clamp_(-self.clip, self.clip)

    def state_dict(self) -> State:
        """Running and frozen moments."""
        return {
            "common": number(self.common_scale),
            "count": number(self.count),
            "mean": self._mean.clone(),
            "squares": self._squares.clone(),
            "largest": self._largest.clone(),
            "shift": self.shift.clone(),
            "scale": self.scale.clone(),
            "varies": self.varies.to(torch.int64),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state_dict`; StateMismatchError, and no change, for another size or an incomplete state."""
        expect_like(state, self.state_dict(), f"the whitening of {self.size} numbers")
        if bool(state["common"]) != self.common_scale:
            raise StateMismatchError(
                f"the saved whitening has common_scale={bool(state['common'])}, this one {self.common_scale}: make it "
                "with the same"
            )
        self.count = int(state["count"])
        self._mean, self._squares, self._largest = (
            state[k].to(torch.float64, copy=True) for k in ("mean", "squares", "largest")
        )
        self.shift, self.scale = (state[k].to(torch.float32, copy=True) for k in ("shift", "scale"))
        self.varies = state["varies"].bool()
