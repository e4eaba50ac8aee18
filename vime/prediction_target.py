"""What of an observation counts as seen, and how well a model foretells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vime.metrics import r_squared
from vime.pool import Transitions
from vime.whitening import Whitener

Predict = slice | Callable[[Tensor], Any] | None


class Seen:
    """Features of flat observations, and the targets that a dynamics model learns of them.

    Parameters
    ----------
    predict: None: the whole observation is seen; a slice of it; or a function of flat float32 observations (B, O) that
        gives (B, D) features, tensor or array, always the same for the same row. A function may have an attribute
        ``figures``, itself a function: (predicted (B, D), seen (B, D), present (B, D)) -> {name: number}, of features
        of the next observation as foretold, as they came, and of the present one. Its figures are logged with r2.
    size: O, numbers of a flat observation.
    as_change: which features are foretold as changes, y = seen(next) - seen(now); the others as they will be,
        y = seen(next). A slice of the D features; None: all of them. What takes few values (a label) is best foretold
        as it will be: its change is zero nearly always, and a network with a noise of its own makes all of that.
    dynamics: False for novelty bonuses, which judge what is seen itself: there is no change then.

    Attributes
    ----------
    count: D. changes: (D,) bool.
    """

    def __init__(self, predict: Predict, size: int, as_change: slice | None = None, dynamics: bool = True):
        if as_change is not None and not isinstance(as_change, slice):
            raise TypeError(f"as_change must be None or a slice of what is seen, got {type(as_change).__name__}")
        self.predict = predict
        self.count = int(self(torch.zeros(2, size, dtype=torch.float32)).shape[1])
        self.changes = torch.zeros(self.count, dtype=torch.bool)
        if dynamics:
            self.changes[slice(None) if as_change is None else as_change] = True

    def __call__(self, rows: Tensor) -> Tensor:
        """Features (B, D) of flat observations (B, O). ValueError for a wrong shape, NaN or infinity."""
        if self.predict is None:
            return rows
        if isinstance(self.predict, slice):
            part = rows[:, self.predict]
            if part.shape[1] == 0:
                raise ValueError(
                    f"predict={self.predict} selects nothing of the {rows.shape[1]} numbers of an observation"
                )
            return part
        if not callable(self.predict):
            raise TypeError(
                f"predict must be None, a slice or a function of observations, got {type(self.predict).__name__}"
            )
        with torch.no_grad():
            features = self.predict(rows.clone())
        if isinstance(features, Tensor):
            features = features.detach().cpu().numpy()
        found = torch.from_numpy(np.array(features, dtype=np.float32))
        if found.ndim != 2 or len(found) != len(rows) or found.shape[1] == 0:
            raise ValueError(
                f"predict returned shape {tuple(found.shape)} for {len(rows)} observations; expected (B, m), m >= 1"
            )
        if not torch.isfinite(found).all():
            row = int((~torch.isfinite(found)).any(1).nonzero()[0])
            raise ValueError(f"predict returned NaN or infinity for row {row}: {found[row].tolist()[:8]}")
        return found

    def target(self, obs: Tensor, next_obs: Tensor) -> Tensor:
        """What a model learns of transitions, (B, D), from flat observations (B, O) and those that followed."""
        following = self(next_obs)
        if not self.changes.any():
            return following
        return torch.where(self.changes, following - self(obs), following)

    def explained(self, batch: Transitions, predicted: Tensor, whitener: Whitener) -> float:
        """r2: share of the variance of the *changes* in transitions that a model explains, whitened columns pooled.

        predicted (B, D): whitened. Where no feature is foretold as a change: of all features.
        """
        judged = self._judged(whitener)
        return r_squared(predicted[:, judged], whitener(batch.target)[:, judged])

    def judge(self, batch: Transitions, predicted: Tensor, whitener: Whitener) -> dict[str, float]:
        """Figures of what a model explains of transitions that it never saw; shapes as in :meth:`explained`.

        r2: see there. r2_next: the same features of the next observation, present plus change; r2_persistence: what
        "nothing changes" explains of those, the figure that r2_next must beat. And the features' own figures.
        """
        figures = {"r2": self.explained(batch, predicted, whitener)}
        judged = self._judged(whitener)
        present = self(batch.obs)
        foretold = predicted * whitener.scale + whitener.shift
        foretold, following = (torch.where(self.changes, y + present, y) for y in (foretold, batch.target))
        if self.changes.any():
            now, then, told = ((rows / whitener.scale)[:, judged] for rows in (present, following, foretold))
            figures |= {"r2_next": r_squared(told, then), "r2_persistence": r_squared(now, then)}
        if len(batch.obs) and (further := getattr(self.predict, "figures", None)) is not None:
            figures |= further(foretold, following, present)
        return figures

    def _judged(self, whitener: Whitener) -> Tensor:
        """The columns that r2 is of, (D,) bool."""
        changing = whitener.varies & self.changes
        return changing if changing.any() else whitener.varies
