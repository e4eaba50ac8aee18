"""The prediction target of a bonus: which features of an observation a model learns, and how well it predicts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vime.errors import InputError, OptionError, OptionTypeError
from vime.metrics import r_squared
from vime.pool import Transitions
from vime.whitening import Whitener

Predict = slice | Callable[[Tensor], Any] | None


class PredictionTarget:
    """Features of flat observations, and the targets of a model that predicts them.

    Args:
        predict: Which features of an observation are predicted. None: the whole observation. A slice: a part of it. A
            function: flat float32 observations (B, O) -> features (B, D), tensor or array, always the same for the same
            row. A function may have an attribute ``figures``, a function of (predicted (B, D), next (B, D), present (B, D))
            that returns ``{name: number}``: its inputs are the predicted, the true next and the present features, and its
            results are logged beside R2.
        size: O, the length of a flat observation.
        as_change: Which features are predicted as changes, y = features(next) - features(now); the others are predicted as
            they are, y = features(next). A slice of the D features; None: all of them. Predict categorical features (a
            label) as they are: their change is almost always zero.
        dynamics: False for novelty bonuses, which look at the features themselves; then nothing is a change.

    Attributes:
        count: D, the number of features.
        changes: (D,) bool, which features are predicted as changes.

    Raises:
        OptionError: ``predict`` selects nothing or returns bad features (NaN, wrong shape).
        OptionTypeError: ``predict`` or ``as_change`` has the wrong type.

    Example:
        >>> import torch
        >>> from vime import PredictionTarget
        >>> target = PredictionTarget(slice(0, 2), size=3, as_change=slice(0, 1))
        >>> now, following = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.5, 4.0, 9.0]])
        >>> target.target(now, following)
        tensor([[0.5000, 4.0000]])
    """

    def __init__(self, predict: Predict, size: int, as_change: slice | None = None, dynamics: bool = True):
        if as_change is not None and not isinstance(as_change, slice):
            raise OptionTypeError(f"as_change must be None or a slice of the features, got {type(as_change).__name__}")
        self.predict = predict
        self.count = int(self(torch.zeros(2, size, dtype=torch.float32)).shape[1])
        self.changes = torch.zeros(self.count, dtype=torch.bool)
        if dynamics:
            self.changes[slice(None) if as_change is None else as_change] = True

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the features (B, D) of flat observations (B, O).

        Raises:
            InputError: A function returned a wrong shape, NaN or infinity.
        """
        if self.predict is None:
            return rows
        if isinstance(self.predict, slice):
            part = rows[:, self.predict]
            if part.shape[1] == 0:
                raise OptionError(f"predict={self.predict} selects nothing of the {rows.shape[1]} numbers of an observation")
            return part
        if not callable(self.predict):
            raise OptionTypeError(
                f"predict must be None, a slice or a function of observations, got {type(self.predict).__name__}"
            )
        with torch.no_grad():
            features = self.predict(rows.clone())
        if isinstance(features, Tensor):
            features = features.detach().cpu().numpy()
        found = torch.from_numpy(np.array(features, dtype=np.float32))
        if found.ndim != 2 or len(found) != len(rows) or found.shape[1] == 0:
            raise InputError(
                f"predict returned shape {tuple(found.shape)} for {len(rows)} observations; expected (B, m), m >= 1"
            )
        if not torch.isfinite(found).all():
            row = int((~torch.isfinite(found)).any(1).nonzero()[0])
            raise InputError(f"predict returned NaN or infinity for row {row}: {found[row].tolist()[:8]}")
        return found

    def target(self, obs: Tensor, next_obs: Tensor) -> Tensor:
        """Return the targets (B, D) of transitions from flat observations (B, O) to the next ones (B, O)."""
        following = self(next_obs)
        if not self.changes.any():
            return following
        return torch.where(self.changes, following - self(obs), following)

    def magnitude(self, next_obs: Tensor) -> Tensor:
        """Return the largest absolute values (D,) of the features of next observations (B, O), of which
        changes are differences; 1 if the features are a function, which is not computed again for this."""
        if callable(self.predict) or not len(next_obs):
            return torch.full((self.count,), float(len(next_obs) > 0), dtype=torch.float32)
        return self(next_obs).abs().amax(0)

    def r2(self, batch: Transitions, predicted: Tensor, whitener: Whitener) -> float:
        """Return the R2 of the predicted changes, pooled over whitened features.

        Args:
            batch: B transitions.
            predicted: (B, D) predictions in whitened units.
            whitener: Whitening of the targets.

        Returns:
            R2 of the features that are predicted as changes and vary; of all that vary if none is.
        """
        columns = self._evaluated(whitener)
        return r_squared(predicted[:, columns], whitener(batch.target)[:, columns])

    def evaluate(self, batch: Transitions, predicted: Tensor, whitener: Whitener) -> dict[str, float]:
        """Return statistics of predictions for held-out transitions; arguments as in :meth:`r2`.

        Returns:
            ``r2``: see :meth:`r2`. ``r2_next``: R2 of the same features of the next observation (present plus predicted
            change). ``r2_persistence``: R2 of the prediction "nothing changes", which ``r2_next`` has to exceed. Then the
            ``figures`` of the features, if they have any.
        """
        figures = {"r2": self.r2(batch, predicted, whitener)}
        columns = self._evaluated(whitener)
        present = self(batch.obs)
        guess = predicted * whitener.scale + whitener.shift
        guess, following = (torch.where(self.changes, y + present, y) for y in (guess, batch.target))
        if self.changes.any():
            now, true, guessed = ((rows / whitener.scale)[:, columns] for rows in (present, following, guess))
            figures |= {"r2_next": r_squared(guessed, true), "r2_persistence": r_squared(now, true)}
        if len(batch.obs) and (further := getattr(self.predict, "figures", None)) is not None:
            figures |= further(guess, following, present)
        return figures

    def _evaluated(self, whitener: Whitener) -> Tensor:
        """The columns that R2 uses, (D,) bool."""
        changing = whitener.varies & self.changes
        return changing if changing.any() else whitener.varies
