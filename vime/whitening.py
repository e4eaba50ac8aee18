"""Scaling of model inputs and targets to mean 0 and standard deviation 1, fixed between two fits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vime.errors import StateMismatchError
from vime.serialization import State, expect_like, number

CONSTANT = 1e-6
"""A column is constant if its standard deviation is below this share of the largest magnitude that its numbers were computed
from: float32 keeps no more. There is no absolute floor, so that the unit of a column does not matter."""


class Whitener:
    """Running mean and standard deviation of rows (B, size), applied from one :meth:`freeze` to the next.

    If the statistics moved with every transition, the score of one and the same transition would change from step to step.
    Here they move only when the model is fitted.

    A constant column is centred, not scaled, and marked False in ``varies``. As an input it is zero. As a target it is left
    out of the loss, because it is predicted perfectly and would dominate the rest.

    Args:
        size: Number of columns.
        clip: Whitened values are clipped to +-clip, so that an outlier in a nearly constant column cannot dominate.
        common_scale: Divide all columns by one number, the root of their mean variance, which keeps their relative sizes.
            False: each column has standard deviation 1.

    Attributes:
        shift: (size,) means that are applied.
        scale: (size,) standard deviations that are applied.
        varies: (size,) bool, False for constant columns.
        floor: (size,) deviations below which a column is constant.

    Example:
        >>> import torch
        >>> from vime.whitening import Whitener
        >>> whitener = Whitener(2)
        >>> whitener.update(torch.tensor([[0.0, 5.0], [2.0, 5.0]]))
        >>> whitener.freeze()
        >>> whitener(torch.tensor([[3.0, 5.0]])), whitener.varies
        (tensor([[2., 0.]]), tensor([ True, False]))
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
        self.floor = torch.zeros(size, dtype=torch.float32)

    def update(self, rows: Tensor, magnitude: Tensor | None = None) -> None:
        """Add (B, size) rows to the running moments (Chan's parallel form of Welford's algorithm).

        Args:
            rows: (B, size).
            magnitude: (size,) largest absolute values that the rows were computed from; a difference of two large numbers is
                rounded as they are. None: the rows' own.
        """
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
        for largest in (rows.abs().amax(0), magnitude):
            if largest is not None:
                self._largest = torch.maximum(self._largest, largest.double())
        self.count = total

    def freeze(self) -> None:
        """Apply the present moments from now on."""
        deviation = (self._squares / max(self.count, 1)).sqrt()
        self.floor = (CONSTANT * self._largest).float()
        self.varies = deviation > CONSTANT * self._largest
        self.shift = self._mean.float()
        if self.common_scale and bool(self.varies.any()):
            deviation = deviation[self.varies].square().mean().sqrt().expand_as(deviation)
        self.scale = torch.where(self.varies, deviation, torch.ones_like(deviation)).float()

    def __call__(self, rows: Tensor) -> Tensor:
        """Return (rows - mean) / deviation, clipped to +-clip, in the shape of ``rows`` (B, size)."""
        return ((rows - self.shift) / self.scale).clamp_(-self.clip, self.clip)

    def first_changes(self, rows: Tensor) -> Tensor:
        """Return the whitened values of constant columns that change for the first time, and 0 elsewhere.

        A column without variance has no scale of its own. A change of it is scaled by the common scale if there is one; else
        by the smallest deviation that counts as variance (:data:`CONSTANT`), so that any change beyond rounding is +-clip.

        Args:
            rows: (B, size).

        Returns:
            (B, size), within +-clip.
        """
        change = rows - self.shift
        changed = ~self.varies & (change.abs() > self.clip * self.floor)
        common = self.common_scale and bool(self.varies.any())
        scale = self.scale[self.varies][0] if common else self.floor.clamp(min=torch.finfo(torch.float32).tiny)
        return torch.where(changed, change / scale, 0.0).clamp_(-self.clip, self.clip)

    def state_dict(self) -> State:
        """Return the running and the frozen moments."""
        return {
            "common": number(self.common_scale),
            "count": number(self.count),
            "mean": self._mean.clone(),
            "squares": self._squares.clone(),
            "largest": self._largest.clone(),
            "shift": self.shift.clone(),
            "scale": self.scale.clone(),
            "varies": self.varies.to(torch.int64),
            "floor": self.floor.clone(),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state_dict`.

        Raises:
            StateMismatchError: Another size or scaling, or an incomplete state; nothing is changed.
        """
        if "floor" not in state:  # older states lack it
            state = {**state, "floor": (CONSTANT * state["largest"]).float()} if "largest" in state else state
        expect_like(state, self.state_dict(), f"the whitening of {self.size} numbers")
        if bool(state["common"]) != self.common_scale:
            raise StateMismatchError(
                f"the saved whitening has common_scale={bool(state['common'])}, this one {self.common_scale}: pass "
                "the same value"
            )
        self.count = int(state["count"])
        self._mean, self._squares, self._largest = (
            state[k].to(torch.float64, copy=True) for k in ("mean", "squares", "largest")
        )
        self.shift, self.scale = (state[k].to(torch.float32, copy=True) for k in ("shift", "scale"))
        self.varies = state["varies"].bool()
        self.floor = state["floor"].to(torch.float32, copy=True)
