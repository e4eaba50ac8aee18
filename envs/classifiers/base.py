"""The classifier as a black box that counts queries and may show labels only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.classifiers.outputs import ONE_LABEL
from envs.errors import ManifoldError, UnknownNameError
from envs.goals.goal import Goal


class Classifier(ABC):
    """The black box to be explained. Only white-box walkers, which say so in their names, use its gradients.

    A subclass implements `_predict`. `envs.classifiers.adapt` wraps most models without one.

    Args:
        class_names: Names of the classes, in the order of the probabilities' columns.
        label_only: Show only the argmax: `predict_proba` then returns its one-hot code.

    Attributes:
        queries: Number of rows queried so far.
        tolerance: Largest deviation from 1 of a row's sum of probabilities.
        sha256: Of the file that the classifier was read from; None if there is none.

    Raises:
        ManifoldError: If there are fewer than two classes, or two have the same name.

    Example:
        >>> class Halves(Classifier):
        ...     def _predict(self, x):
        ...         p = (x[:, :1] > 0.5).float()
        ...         return torch.cat([1 - p, p], 1)
        >>> classifier = Halves(["low", "high"])
        >>> classifier.predict_proba(torch.tensor([[0.2], [0.9]]))
        tensor([[1., 0.],
                [0., 1.]])
        >>> classifier.queries
        2
    """

    tolerance = 1e-3
    goal: Goal | None = None  # of a model whose outputs are not classes, see `envs.classifiers.goals`
    sha256: str | None = None

    def __init__(self, class_names: Sequence[Any], label_only: bool = False) -> None:
        self.class_names = [str(name) for name in class_names]
        if len(self.class_names) < 2:
            raise ManifoldError(f"a classifier needs at least two classes, got {self.class_names}")
        if len(set(self.class_names)) != len(self.class_names):
            raise ManifoldError(f"class names must differ, got {self.class_names}")
        self.label_only = label_only
        self.queries = 0

    @abstractmethod
    def _predict(self, x: Tensor) -> Tensor:
        """Class probabilities (B, K) of x (B, \\*data_shape), float32."""

    def _predict_cells(self, x: Tensor, cells: Tensor) -> Tensor:
        """`_predict` for classifiers that receive the user's own cells (B, C) exactly, instead of x."""
        return self._predict(x)

    @property
    def budget(self) -> int | None:
        """Most rows that may be queried; None: no limit."""
        return None

    @property
    def batch_size(self) -> int | None:
        """Most rows of a call; None: no limit."""
        return None

    def of_raw(self, raw: Any) -> Tensor | None:
        """`predict_proba` for rows as the user has them; None for a classifier that does not take the user's values."""
        return None

    def predict_proba(self, x: Tensor, cells: Tensor | None = None) -> Tensor:
        """Class probabilities, or the one-hot label if `label_only`. All rows are counted; an empty batch queries nothing.

        Args:
            x: Rows in data space, (B, \\*data_shape).
            cells: For tables, the user's own values of these rows, (B, C), see `Units.exact`.

        Returns:
            Probabilities, (B, K).

        Raises:
            ManifoldError: If the output has the wrong shape, is not finite, or its rows are not probabilities.
        """
        with torch.inference_mode():
            if (rows := x.shape[0]) == 0:
                return torch.zeros(0, len(self.class_names))
            return self._counted(self._predict(x) if cells is None else self._predict_cells(x, cells), rows)

    def _counted(self, prediction: Tensor, rows: int) -> Tensor:
        """A prediction for so many rows: counted, checked, and reduced to the label if only labels are shown."""
        self.queries += rows
        self._check(prediction, rows)
        if self.label_only:
            prediction = torch.zeros_like(prediction).scatter_(1, prediction.argmax(1, keepdim=True), 1.0)
        return prediction

    def _check(self, prediction: Tensor, rows: int) -> None:
        """Refuse predictions whose rows are not probabilities."""
        if tuple(prediction.shape) != (rows, len(self.class_names)):
            raise ManifoldError(
                f"the classifier returned shape {tuple(prediction.shape)} for {rows} rows and "
                f"{len(self.class_names)} classes {self.class_names}; it must return one probability per class"
                + (f"; {ONE_LABEL}" if prediction.ndim == 3 else "")
            )
        if not torch.isfinite(prediction).all():
            raise ManifoldError("the classifier returned NaN or infinity; check the scale of its inputs")
        total = prediction.sum(1)
        if (total - 1).abs().max() > self.tolerance or prediction.min() < -1e-6:
            worst = int((total - 1).abs().argmax())
            several = prediction.min() >= 0 and prediction.max() <= 1 and total.max() > 1 + self.tolerance
            raise ManifoldError(
                f"the classifier's probabilities must be >= 0 and sum to 1 (row {worst} sums to {float(total[worst]):.4g}, "
                f"smallest value {float(prediction.min()):.4g}); if these are logits, apply a softmax"
                + (f"; {ONE_LABEL}" if several else "")
            )

    def class_index(self, name: Any) -> int:
        """Index of a class.

        Args:
            name: Its name, or its index. A name takes precedence: classes may be called 1, 2, 3.

        Raises:
            UnknownNameError: If there is no such class; the message offers similar names.
        """
        if str(name) in self.class_names:
            return self.class_names.index(str(name))
        if isinstance(name, int | np.integer) and 0 <= name < len(self.class_names):
            return int(name)
        raise UnknownNameError("class", name, self.class_names)

    def features(self, x: Tensor) -> Tensor:
        """Last hidden layer (B, m) of data-space rows, for manifolds and measures whose names say that they use it.

        No prediction leaves, so no query is counted.

        Raises:
            ManifoldError: If the classifier shows no features.
        """
        raise ManifoldError(
            f"this {type(self).__name__} shows no hidden layer: an embedding needs a torch module whose last layer is "
            "linear, or one with a method features(x)"
        )

    @property
    def torch_module(self) -> torch.nn.Module | None:
        """The network from data-space rows to logits, for white-box walkers only; None if there is none, or it is hidden."""
        return None
