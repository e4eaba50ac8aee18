"""A classifier that is slow, noisy, failing or remote: cached, averaged, retried, within a budget, calibrated."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.classifiers.calibration import Calibration, cooled
from envs.classifiers.goals import GoalClassifier
from envs.errors import ClassifierFailure, ManifoldError, QueryBudgetError
from envs.query_options import QueryOptions

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds


class QueriedClassifier(Classifier):
    """A classifier that is queried by some `QueryOptions`.

    Args:
        inner: The classifier.
        options: How it is queried.

    Attributes:
        queries: Rows that reached the classifier: repeated and failed ones are counted, remembered ones are not.
        temperature: Of the calibration; 1 leaves the probabilities as they are.
        calibration: How it was fitted; None if it was not.

    Example:
        >>> from envs.classifiers import adapt
        >>> from envs.modalities.fitting import fit_units
        >>> import numpy as np
        >>> units = fit_units(np.eye(2))
        >>> slow = adapt(lambda rows: rows[:, 0] > 0.5, units=units, class_names=["no", "yes"])
        >>> classifier = QueriedClassifier(slow, QueryOptions(cache=True))
        >>> classifier.predict_proba(torch.zeros(5, 2)).shape, classifier.queries
        (torch.Size([5, 2]), 1)
    """

    def __init__(self, inner: Classifier, options: QueryOptions) -> None:
        super().__init__(inner.class_names, inner.label_only)
        self.inner, self.options = inner, options
        self.tolerance, self.sha256 = inner.tolerance, inner.sha256
        self.queries = self._rows_in_all = inner.queries
        self.temperature = options.temperature if isinstance(options.temperature, int | float) else 1.0
        self.calibration: Calibration | None = None
        self._model = copy.copy(inner)
        self._model.label_only = False  # labels are made of the averaged probabilities
        self._by_cells = type(inner)._predict_cells is not Classifier._predict_cells
        self._kept: dict[bytes, Tensor] | None = {} if options.cache or options.temperature == "fit" else None

    @property
    def budget(self) -> int | None:
        """See `Classifier.budget`."""
        return self.options.budget

    @property
    def batch_size(self) -> int | None:
        """See `Classifier.batch_size`."""
        return self.options.batch_size

    def _predict(self, x: Tensor) -> Tensor:
        return self._remembered(x, None)

    def _predict_cells(self, x: Tensor, cells: Tensor) -> Tensor:
        return self._remembered(x, cells)

    def _counted(self, prediction: Tensor, rows: int) -> Tensor:
        return super()._counted(cooled(prediction, self.temperature), 0)  # counted call by call

    def _check(self, prediction: Tensor, rows: int) -> None:
        """Each call was checked."""

    def of_raw(self, raw: Any) -> Tensor | None:
        """See `Classifier.of_raw`; never remembered."""
        found = []
        for low in range(0, len(raw), self.options.batch_size or max(1, len(raw))):
            part = raw[low : low + (self.options.batch_size or len(raw))]
            if (prediction := self._averaged(lambda part=part: self._model.of_raw(part), len(part))) is None:  # type: ignore[misc]
                return None
            found.append(prediction)
        return self._counted(torch.cat(found), len(raw))

    def features(self, x: Tensor) -> Tensor:
        """See `Classifier.features`."""
        return self.inner.features(x)

    @property
    def torch_module(self) -> torch.nn.Module | None:
        """See `Classifier.torch_module`; its logits are divided by the temperature."""
        module = self.inner.torch_module
        return module if module is None or self.temperature == 1 else torch.nn.Sequential(module, _Divided(self.temperature))

    def calibrate(self, calibration: Calibration) -> None:
        """Use a fitted temperature from now on."""
        self.calibration, self.temperature = calibration, calibration.temperature

    def forget(self) -> None:
        """Drop the predictions that were kept for the fit of the temperature alone."""
        self._kept = self._kept if self.options.cache else None

    def _remembered(self, x: Tensor, cells: Tensor | None) -> Tensor:
        """Predictions (B, K) for rows, of which known and repeated ones are not queried."""
        if self._kept is None:
            return self._in_batches(x, cells)
        seen = (cells,) if self._by_cells and cells is not None else (x,) if cells is None else (x, cells)
        flat = [part.contiguous().reshape(len(x), -1).numpy() for part in seen]
        keys = [b"".join(part[row].tobytes() for part in flat) for row in range(len(x))]
        new = {key: row for row, key in enumerate(keys) if key not in self._kept}
        for some in torch.tensor(list(new.values()), dtype=torch.long).split(self.options.batch_size or max(1, len(new))):
            if len(some):
                prediction = self._in_batches(x[some], None if cells is None else cells[some])
                self._kept.update((keys[row], p) for row, p in zip(some.tolist(), prediction, strict=True))
        return torch.stack([self._kept[key] for key in keys])

    def _in_batches(self, x: Tensor, cells: Tensor | None) -> Tensor:
        parts = torch.arange(len(x)).split(self.options.batch_size or len(x))
        model = self._model

        def predict(rows: Tensor) -> Tensor:
            return model._predict(x[rows]) if cells is None else model._predict_cells(x[rows], cells[rows])

        found = [self._averaged(lambda rows=rows: predict(rows), len(rows)) for rows in parts]  # type: ignore[misc]
        return torch.cat([part for part in found if part is not None])

    def _averaged(self, call: Callable[[], Tensor | None], rows: int) -> Tensor | None:
        """The mean of repeated calls for so many rows; None if the call returns that."""
        total, kind = None, torch.float32
        for _ in range(self.options.repeat):
            prediction = self._retried(call, rows)
            if prediction is None:
                return None
            self._model._check(prediction, rows)
            kind = prediction.dtype
            total = prediction.double() if total is None else total + prediction.double()
        return None if total is None else (total / self.options.repeat).to(kind)

    def _retried(self, call: Callable[[], Tensor | None], rows: int) -> Tensor | None:
        """The answer of a call, which may fail some times."""
        for attempt in range(self.options.retries + 1):
            self._spend(rows)
            try:
                return call()
            except ClassifierFailure as error:
                if attempt == self.options.retries:
                    tries = f" ({attempt + 1} attempts in all)" if attempt else ""
                    raise ClassifierFailure(f"{error}{tries}") from error.__cause__
                time.sleep(min(LONGEST_WAIT, FIRST_WAIT * 2**attempt))
        raise AssertionError

    def _spend(self, rows: int) -> None:
        """Count rows that are about to be queried."""
        budget = self.options.budget
        if budget is not None and self._rows_in_all + rows > budget:
            raise QueryBudgetError(
                f"the query budget is used up: {self._rows_in_all:,} of {budget:,} rows were queried, and the next call has "
                f"{rows:,}"
            )
        self._rows_in_all += rows
        self.queries += rows


class QueriedGoalClassifier(GoalClassifier):
    """A `GoalClassifier` that is queried by some `QueryOptions`: the model's outputs are kept and averaged, not the shares.

    Args:
        inner: The classifier.
        options: How it is queried.

    Raises:
        ManifoldError: If a temperature is requested: a score or labels are not probabilities of classes.

    Example:
        >>> import numpy as np
        >>> from envs.goals import ScoreGoal
        >>> from envs.modalities.fitting import fit_units
        >>> price = GoalClassifier(lambda rows: 10 * rows[:, 0], ScoreGoal(low=5.0), (2,), fit_units(np.eye(2)))
        >>> slow = QueriedGoalClassifier(price, QueryOptions(cache=True))
        >>> slow.viewed(ScoreGoal(high=2.0)).outputs(torch.zeros(5, 2)).shape, slow.queries
        ((5, 1), 1)
    """

    def __init__(self, inner: GoalClassifier, options: QueryOptions) -> None:
        if options.temperature is not None:
            raise ManifoldError(
                f"query: temperature={options.temperature!r} calibrates probabilities of classes, and this model has outputs="
                f"{inner.goal.kind!r}: leave it out"
            )
        self.__dict__.update(inner.__dict__)
        outputs = copy.copy(inner)
        outputs.of_outputs = torch.from_numpy  # type: ignore[assignment, method-assign]
        self._model = QueriedClassifier(outputs, options)

    @property
    def queries(self) -> int:
        """See `QueriedClassifier`; through any goal."""
        return self._model.queries

    @queries.setter
    def queries(self, value: int) -> None:
        self._model.queries = value

    @property
    def budget(self) -> int | None:
        """See `Classifier.budget`."""
        return self._model.budget

    @property
    def batch_size(self) -> int | None:
        """See `Classifier.batch_size`."""
        return self._model.batch_size

    def _predict(self, x: Tensor) -> Tensor:
        return self._shares(self._model._remembered(x, None))

    def _predict_cells(self, x: Tensor, cells: Tensor) -> Tensor:
        return self._shares(self._model._remembered(x, cells))

    def of_raw(self, raw: Any) -> Tensor | None:
        """See `Classifier.of_raw`; never remembered."""
        outputs = self._model.of_raw(raw)
        return None if outputs is None else self._shares(outputs)

    def _shares(self, outputs: Tensor) -> Tensor:
        """Shares (B, K) of outputs (B, M)."""
        if self.log is not None:
            self.log.append(outputs.numpy())
        return self.of_outputs(outputs.numpy())

    def _counted(self, prediction: Tensor, rows: int) -> Tensor:
        return super()._counted(prediction, 0)  # counted call by call


def queried(classifier: Classifier, options: QueryOptions) -> Classifier:
    """The classifier, queried by some options."""
    if isinstance(classifier, GoalClassifier):
        return QueriedGoalClassifier(classifier, options)
    return QueriedClassifier(classifier, options)


class _Divided(torch.nn.Module):
    """Logits divided by a temperature."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, logits: Tensor) -> Tensor:
        return logits / self.temperature
