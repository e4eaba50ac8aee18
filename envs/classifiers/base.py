"""The classifier as a black box: answers, counted; or only labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.errors import ManifoldError, UnknownNameError


class Classifier(ABC):
    """Whatever is to be explained. Nothing asks it for gradients (white-box walkers say so in their name).

    Args:
        class_names: one name a class, in the order of the probabilities' columns.
        label_only: show the argmax alone. Then `predict_proba` returns its one-hot code, and no probability leaves.

    Attributes:
        queries: rows asked so far.
        tolerance: how far from 1 the probabilities of a row may sum.
    """

    tolerance = 1e-3

    def __init__(self, class_names: Sequence[Any], label_only: bool = False) -> None:
        self.class_names = [str(name) for name in class_names]
        if len(self.class_names) < 2:
            raise ManifoldError(f"a classifier needs at least two classes, got {self.class_names}: nothing could change")
        if len(set(self.class_names)) != len(self.class_names):
            raise ManifoldError(f"class names must differ, got {self.class_names}")
        self.label_only = label_only
        self.queries = 0

    @abstractmethod
    def _predict(self, x: Tensor) -> Tensor:
        """Class probabilities (B, K) of x (B, \\*data_shape), float32."""

    def _answer_cells(self, x: Tensor, cells: Tensor) -> Tensor:
        """`_predict` for classifiers that are shown the user's own cells (B, C), bit for bit, instead of x."""
        return self._predict(x)

    def of_raw(self, raw: Any) -> Tensor | None:
        """`predict_proba` of rows as the user has them; None for a classifier that is not asked in the user's values."""
        return None

    def predict_proba(self, x: Tensor, cells: Tensor | None = None) -> Tensor:
        """Probabilities (B, K), or the one-hot label where `label_only`; B rows are counted. No rows: nothing is asked.

        Args:
            x: (B, \\*data_shape) rows of data space.
            cells: (B, C) of tables: the user's own values that x stands for, see `Units.exact`.

        Raises:
            ManifoldError: a wrong number of rows or columns, non-finite values, rows that are no probabilities.
        """
        with torch.inference_mode():
            if len(x) == 0:
                return torch.zeros(0, len(self.class_names))
            return self._counted(self._predict(x) if cells is None else self._answer_cells(x, cells), len(x))

    def _counted(self, prediction: Tensor, rows: int) -> Tensor:
        """An answer on so many rows: counted, checked, and reduced to the label where labels alone are shown."""
        self.queries += rows
        self._check(prediction, rows)
        if self.label_only:
            prediction = torch.zeros_like(prediction).scatter_(1, prediction.argmax(1, keepdim=True), 1.0)
        return prediction

    def _check(self, prediction: Tensor, rows: int) -> None:
        """Refuse answers that are no probability rows."""
        if tuple(prediction.shape) != (rows, len(self.class_names)):
            raise ManifoldError(
                f"the classifier answered with shape {tuple(prediction.shape)} for {rows} rows of "
                f"{len(self.class_names)} classes {self.class_names}; it must give one probability a class"
                + ("; of several outputs (multi-label), explain one at a time with a function" if prediction.ndim == 3 else "")
            )
        if not torch.isfinite(prediction).all():
            raise ManifoldError("the classifier answered with NaN or infinity; check the scale of its inputs")
        total = prediction.sum(1)
        if (total - 1).abs().max() > self.tolerance or prediction.min() < -1e-6:
            worst = int((total - 1).abs().argmax())
            several = prediction.min() >= 0 and prediction.max() <= 1 and total.max() > 1 + self.tolerance
            raise ManifoldError(
                f"the classifier's probabilities must be >= 0 and sum to 1 (row {worst} sums to {float(total[worst]):.4g}, "
                f"smallest value {float(prediction.min()):.4g}); if these are logits, apply a softmax"
                + (
                    "; if a row may have several labels (multi-label), explain one label at a time: a function that gives its "
                    "probability alone, with class_names=['no', 'yes']"
                    if several
                    else ""
                )
            )

    def class_index(self, name: Any) -> int:
        """Index of a class given by name or by index; a name wins over an index (classes may be called 1, 2, 3).

        Raises:
            UnknownNameError: no such class; close names are offered.
        """
        if str(name) in self.class_names:
            return self.class_names.index(str(name))
        if isinstance(name, int | np.integer) and 0 <= name < len(self.class_names):
            return int(name)
        raise UnknownNameError("class", name, self.class_names)

    def features(self, x: Tensor) -> Tensor:
        """Last hidden layer (B, m) of data-space rows, for manifolds and measures that say so in their name.

        No answer leaves, so no query is counted.

        Raises:
            ManifoldError: a classifier that has none to show.
        """
        raise ManifoldError(
            f"this {type(self).__name__} has no hidden layer to show: an embedding needs a torch module whose last layer is "
            "linear, or one with a method features(x)"
        )

    @property
    def torch_module(self) -> torch.nn.Module | None:
        """The network that gives logits for data-space rows, for white-box walkers alone; None if there is none to be seen."""
        return None
