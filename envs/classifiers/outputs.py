"""What a classifier may return: checks of its output, and errors that name the failing call."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from envs.errors import ClassifierFailure, ManifoldError, UnknownNameError

OUTPUTS = ("logits", "probabilities")
SURE = 4  # rows of probabilities that rule out coincidence
ROUNDED = 0.011  # largest deviation from 1 of a sum of probabilities rounded to two digits


REGRESSOR = "if it is a predicted quantity, pass outputs='score' and a target such as '>= 0.7'"
ONE_LABEL = (
    "if a row may have several labels (multi-label), pass outputs='labels' and a target such as 'flip NAME, hold others'"
)


@contextlib.contextmanager
def failures_named(call: str, rows: int, shape: Sequence[int] | None) -> Iterator[None]:
    """Turn any exception of a call of the user's into a `ClassifierFailure` that names the call and its rows.

    Args:
        call: Description of the call.
        rows: Number of rows.
        shape: Shape of one row; None for texts.
    """
    try:
        yield
    except Exception as error:
        what = "texts" if shape is None else f"rows of shape {tuple(shape)}"
        raise ClassifierFailure(
            f"the classifier failed on {rows} {what}: {call} raised {type(error).__name__}: {error}".rstrip(": ")
        ) from error


def both(second: Tensor) -> Tensor:
    """Probabilities (B, 2) of both classes from the second's (B, 1); strictly positive where gradients are needed."""
    if second.requires_grad:
        second = second.clamp(1e-12, 1 - 1e-7)
    return torch.cat([1 - second, second], 1)


def probability_of_one(prediction: Tensor, names: Sequence[str]) -> Tensor:
    """The probability of the second class, (B, 1), checked.

    Raises:
        ManifoldError: If values leave [0, 1].
    """
    if not bool(torch.isfinite(prediction).all()):
        raise ManifoldError("the classifier returned NaN or infinity; check the scale of its inputs")
    if float(prediction.min()) < -1e-6 or float(prediction.max()) > 1 + 1e-6:
        raise ManifoldError(
            f"the classifier gives one number per row, from {float(prediction.min()):.4g} to {float(prediction.max()):.4g}; "
            f"for the classes {list(names)} it must be the probability of {names[1]!r}, in [0, 1]. If it is a logit, apply a "
            f"sigmoid; {REGRESSOR}"
        )
    return prediction.clamp(0, 1)


class DetectsLogits:
    """Part of a classifier whose outputs may be logits or probabilities.

    Attributes:
        outputs: ``logits`` or ``probabilities``, as declared or detected; None: not known yet.

    Example:
        >>> detecting = DetectsLogits()
        >>> detecting._gives_probabilities(np.array([[2.0, -1.0]]), "the model"), detecting.outputs
        (False, 'logits')
    """

    outputs: str | None = None
    _seen = 0

    def _declare_outputs(self, outputs: str | None) -> None:
        if outputs is not None and outputs not in OUTPUTS:
            raise UnknownNameError("kind of outputs", outputs, OUTPUTS)
        self.outputs = outputs

    def _gives_probabilities(self, given: np.ndarray, call: str) -> bool:
        """Whether outputs (B, K) are probabilities, as declared or as they look; the latter is reported once it is certain."""
        if self.outputs is None:
            if not (given.min() >= 0 and np.abs(given.sum(1) - 1).max() < 2e-3):
                self.outputs = "logits"
            elif (seen := self._seen + len(given)) >= SURE:
                self.outputs = "probabilities"
                self._report_probabilities(call)
            else:
                self._seen = seen
                return True
        return self.outputs == "probabilities"

    def _report_probabilities(self, call: str) -> None:
        warnings.warn(
            f"the rows of {call} sum to 1 and are used as probabilities; "
            "outputs='logits' applies a softmax, outputs='probabilities' silences this warning",
            stacklevel=3,
        )
