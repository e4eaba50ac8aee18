"""Functions of rows as classifiers: probabilities, or labels only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.classifiers.outputs import REGRESSOR, ROUNDED, both, failures_named, probability_of_one
from envs.errors import ManifoldError
from envs.modalities.base import Units
from envs.modalities.data_frame import copied
from envs.modalities.rows import RowUnits
from envs.runtime.torch_defaults import owners_torch


class FunctionClassifier(Classifier):
    """A function from rows in the user's units (numpy; text: a list of strings) to probabilities.

    The function returns (B, K), or for two classes the probability of the second, (B,) or (B, 1). It may modify its rows: they
    are a copy.

    Args:
        function: The function.
        class_names: Names of the classes.
        input_shape: Shape of one row of the function's input.
        units: The user's units.
        label_only: Show only the argmax.
        owner: Object whose method the function is, for error messages.

    Example:
        >>> from envs.modalities.fitting import fit_units
        >>> def positive(rows):
        ...     return 1 / (1 + np.exp(-rows[:, 0]))
        >>> classifier = FunctionClassifier(positive, ["no", "yes"], (2,), fit_units(np.eye(2)))
        >>> tuple(classifier.predict_proba(torch.zeros(3, 2)).shape)
        (3, 2)
    """

    tolerance = ROUNDED

    def __init__(
        self,
        function: Callable[[np.ndarray], Any],
        class_names: Sequence[Any],
        input_shape: Sequence[int],
        units: Units,
        label_only: bool = False,
        owner: Any = None,
    ) -> None:
        super().__init__(class_names, label_only)
        self.function = function
        self.input_shape = tuple(input_shape)
        self.strings = units.rows_are_strings
        queried = function if owner is None else owner
        self.call = _name_of(function, owner)
        self.shown = units.asker(queried, self.input_shape)
        self.shown_cells = units.cells_asker(queried, self.input_shape) if isinstance(units, RowUnits) else None
        self.shown_raw = units.raw_asker(queried, self.input_shape)

    def _called(self, rows: Any, convert: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
        """Output of the function; a copy, because functions may reuse one buffer."""
        with failures_named(self.call, len(rows), None if self.strings else self.input_shape), owners_torch():
            prediction = np.array(self.function(rows.copy() if hasattr(rows, "copy") else copied(rows)))
            return prediction if convert is None else convert(prediction)

    def _rows(self, x: Tensor, cells: Tensor | None = None) -> Any:
        """Input of the function for data-space rows, or for the user's own cells if they are known."""
        return self.shown(x) if cells is None or self.shown_cells is None else self.shown_cells(cells)

    def _predict(self, x: Tensor) -> Tensor:
        return self._of_rows(self._rows(x))

    def _predict_cells(self, x: Tensor, cells: Tensor) -> Tensor:
        return self._of_rows(self._rows(x, cells))

    def of_raw(self, raw: Any) -> Tensor | None:
        """See `Classifier.of_raw`."""
        rows = self.shown_raw(raw)
        return None if rows is None else self._counted(self._of_rows(rows), len(raw))

    def _of_rows(self, rows: Any) -> Tensor:
        """Probabilities (B, K) of the function's input rows."""
        prediction = self._called(rows, _as_floats)
        if len(self.class_names) == 2 and prediction.shape in ((len(rows),), (len(rows), 1)):
            prediction = both(probability_of_one(torch.from_numpy(prediction.reshape(-1, 1)), self.class_names)).numpy()
        return torch.from_numpy(in_float32(prediction))

    def _check(self, prediction: Tensor, rows: int) -> None:
        super()._check(prediction, rows)
        prediction.clamp_min_(0).div_(
            prediction.sum(1, keepdim=True)
        )  # exactly on the simplex, whatever the function's rounding


def _as_floats(prediction: np.ndarray) -> np.ndarray:
    """The values as float32 if they have that type, else as float64."""
    return np.array(prediction, dtype=np.float32 if prediction.dtype == np.float32 else np.float64)


def in_float32(prediction: np.ndarray) -> np.ndarray:
    """Predictions (B, K) in float32. The argmax stays the same where rounding would create a tie."""
    rounded = np.array(prediction, dtype=np.float32)
    if rounded.ndim == 2 and rounded.size and prediction.dtype != np.float32:
        best = prediction.argmax(1)
        lost = np.flatnonzero(rounded.argmax(1) != best)
        rounded[lost, best[lost]] = np.nextafter(rounded[lost].max(1), np.float32(np.inf))
    return rounded


class LabelClassifier(FunctionClassifier):
    """A function that returns labels of any type. It is always label-only.

    Args:
        function: Maps rows to labels, (B,) or (B, 1).
        classes: The labels.
        *args: As for `FunctionClassifier`.
        by_position: `classes` are names for people: if none of them is a number from 0 to K - 1, such labels are positions.
        **kwargs: As for `FunctionClassifier`.

    Example:
        >>> from envs.modalities.fitting import fit_units
        >>> classifier = LabelClassifier(lambda rows: rows[:, 0] > 0, [False, True], (2,), fit_units(np.eye(2)))
        >>> classifier.label_only
        True
    """

    def __init__(
        self,
        function: Callable[[np.ndarray], Any],
        classes: Sequence[Any],
        *args: Any,
        by_position: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(function, [str(item) for item in classes], *args, **{**kwargs, "label_only": True})
        self._index = {str(item): i for i, item in enumerate(classes)}
        if not by_position:
            return
        positions = {name: i for i in range(len(classes)) for name in (str(i), f"{i}.0")}
        if len(classes) == 2:
            positions |= {"False": 0, "True": 1}
        if not positions.keys() & self._index.keys():
            self._index |= positions

    def _of_rows(self, rows: Any) -> Tensor:
        labels = self._called(rows)
        if labels.shape not in ((len(rows),), (len(rows), 1)):
            raise ManifoldError(
                f"the classifier returned labels of shape {labels.shape} for {len(rows)} rows; one label per row is needed"
            )
        try:
            index = [self._index[str(label)] for label in labels.ravel()]
        except KeyError as error:
            numbers = f"; {REGRESSOR}" if labels.dtype.kind == "f" else ""
            raise ManifoldError(
                f"the classifier returned label {error}, not one of its classes {self.class_names}{numbers}"
            ) from None
        return torch.nn.functional.one_hot(torch.tensor(index), len(self.class_names)).float()


def _name_of(function: Any, owner: Any) -> str:
    """Name by which the user knows the function."""
    if owner is not None:
        return f"the method {function.__name__ if hasattr(function, '__name__') else 'predict'} of {type(owner).__name__}"
    name = getattr(function, "__name__", None)
    return f"the function {name}" if name is not None else f"the call of {type(function).__name__}"
