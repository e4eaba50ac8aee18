"""Models with other outputs than classes, wrapped with a goal: a score, or several independent labels."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from envs.classifiers.functions import FunctionClassifier
from envs.classifiers.onnx_model import OnnxModel
from envs.classifiers.torch_module import _type_of, in_eval_mode, torch_shape
from envs.errors import ManifoldError
from envs.goals import Goal, LabelGoal, ScoreGoal
from envs.modalities.base import Units
from envs.modalities.rows import RowUnits


class GoalClassifier(FunctionClassifier):
    """A model whose outputs are a score or independent labels. Its classes are the outcomes of a goal, see
    `envs.goals.Goal`: walks need nothing else of it, and other goals need no further query.

    Args:
        function: Maps rows in the user's units to scores, (B,) or (B, 1), or to probabilities of labels, (B, L).
        goal: On its outputs.
        input_shape: Shape of one row of the function's input.
        units: The user's units.
        owner: Object whose method the function is, for error messages.

    Attributes:
        goal: On its outputs.
        log: Outputs (B, M) of each call within `outputs_of`, else None.

    Example:
        >>> from envs.modalities.fitting import fit_units
        >>> price = GoalClassifier(lambda rows: 10 * rows[:, 0], ScoreGoal(low=5.0), (2,), fit_units(np.eye(2)))
        >>> price.of_outputs(np.array([[4.0], [6.0]])).tolist()
        [[0.75, 0.25], [0.25, 0.75]]
        >>> price.class_names, price.viewed(ScoreGoal(high=2.0)).class_names
        (['< 5', '>= 5'], ['<= 2', '> 2'])
    """

    def __init__(
        self,
        function: Callable[[np.ndarray], Any],
        goal: Goal,
        input_shape: Sequence[int],
        units: Units,
        owner: Any = None,
    ) -> None:
        self._count = [0]  # shared by all views: queries are counted in one place
        super().__init__(function, goal.names, input_shape, units, owner=owner)
        self.goal: Goal = goal
        self.log: list[np.ndarray] | None = None

    @property
    def queries(self) -> int:
        """Number of rows queried so far, through any goal."""
        return self._count[0]

    @queries.setter
    def queries(self, value: int) -> None:
        self._count[0] = value

    def viewed(self, goal: Goal) -> Self:
        """The same model through another goal."""
        other = copy.copy(self)
        other.goal, other.class_names, other.log = goal, goal.names, None
        return other

    def outputs(self, x: Tensor, cells: Tensor | None = None) -> np.ndarray:
        """The model's own outputs (B, M) for data-space rows; one query each."""
        return self.outputs_of(lambda: self.predict_proba(x, cells))

    def outputs_of(self, ask: Callable[[], Any]) -> np.ndarray:
        """The model's own outputs (B, M) in all queries that `ask` makes."""
        self.log = []
        try:
            ask()
            return np.concatenate(self.log)
        finally:
            self.log = None

    def of_outputs(self, outputs: np.ndarray) -> Tensor:
        """Shares (B, K) of the outcomes for outputs (B, M). No query."""
        return torch.from_numpy(self.goal.shares(outputs).astype(np.float32))

    def _of_rows(self, rows: Any) -> Tensor:
        outputs = self._checked(self._called(rows, _columns), len(rows))
        if self.log is not None:
            self.log.append(outputs)
        return self.of_outputs(outputs)

    def _checked(self, outputs: np.ndarray, rows: int) -> np.ndarray:
        """Outputs (B, M), refused if they are not what the goal is on."""
        outputs = outputs.reshape(len(outputs), -1) if outputs.ndim else outputs
        labels = self.goal.labels if isinstance(self.goal, LabelGoal) else None
        wanted = 1 if labels is None else len(labels)
        if outputs.shape != (rows, wanted):
            raise ManifoldError(
                f"{self.call} returned shape {outputs.shape} for {rows} rows; "
                + (
                    "a score is one number per row"
                    if labels is None
                    else f"one probability is needed for each of {list(labels)}"
                )
            )
        if not np.isfinite(outputs).all():
            raise ManifoldError(f"{self.call} returned NaN or infinity; check the scale of its inputs")
        if labels is not None and (outputs.min() < -1e-6 or outputs.max() > 1 + 1e-6):
            raise ManifoldError(
                f"{self.call} returned {outputs.min():.4g} to {outputs.max():.4g} for labels, which are probabilities in "
                "[0, 1]; if these are logits, apply a sigmoid"
            )
        return outputs

    def _check(self, prediction: Tensor, rows: int) -> None:
        """Shares are made here, on the simplex."""


def _columns(outputs: np.ndarray) -> np.ndarray:
    """Outputs in float64: one row each; scikit-learn's list of (B, 2) probabilities, one array a label, as (B, L)."""
    found = np.asarray(outputs, dtype=np.float64)
    return found[:, :, 1].T if found.ndim == 3 and found.shape[2] == 2 else found


def goal_classifier(
    model: Any, kind: str, *, units: Units, names: Sequence[Any] | None, input_shape: Sequence[int] | None
) -> GoalClassifier:
    """A model with such outputs, wrapped with a placeholder goal: a score of at least 0, or the first label on.

    Args:
        model: A torch module, an estimator or a function.
        kind: Of its outputs, a key of `envs.goals.KINDS`.
        units: The user's units.
        names: Of the labels.
        input_shape: As for `envs.classifiers.adapt`.

    Raises:
        ManifoldError: If labels have no names, or the model cannot be called.
    """
    labels = [str(name) for name in names or ()]
    if kind == LabelGoal.kind and not labels:
        kind = type(model).__name__
        raise ManifoldError(f"pass class_names= (--class-names A B ...), the names of the labels that {kind} predicts")
    standing: Goal = LabelGoal(labels, labels[0]) if kind == LabelGoal.kind else ScoreGoal(low=0.0)
    if isinstance(model, torch.nn.Module):
        if units.rows_are_strings:
            raise ManifoldError(
                "a model of texts receives a list of strings: pass a function of strings that calls the module"
            )
        found = GoalClassifier(_forward(model), standing, torch_shape(_Flat(model), units, input_shape), units, owner=model)
        return _shown_tensors(found, units)
    if isinstance(model, OnnxModel):
        found = GoalClassifier(model.numbers, standing, model.shape_for(units, input_shape), units, owner=model)
        found.call, found.sha256 = "the ONNX model", model.sha256
        return found
    shape = units.input_shape(model, input_shape)
    for method in ("predict_proba", "predict") if kind == LabelGoal.kind else ("predict",):
        if hasattr(model, method):
            return GoalClassifier(getattr(model, method), standing, shape, units, owner=model)
    if callable(model):
        return GoalClassifier(model, standing, shape, units)
    raise ManifoldError(f"a {type(model).__name__} predicts nothing: it needs predict, or must be callable")


def _shown_tensors(classifier: GoalClassifier, units: Units) -> GoalClassifier:
    """The classifier with rows as `TorchClassifier` shows them: a module never receives raw rows of an encoded table."""
    shape = classifier.input_shape

    def shown_raw(raw: Any) -> np.ndarray | None:
        fits = isinstance(raw, np.ndarray) and raw.dtype.kind in "fiub" and raw[0].size == np.prod(shape)
        return units.ordered(raw.astype(np.float64), shape) if fits else None

    classifier.shown = lambda x: units.shaped(x, shape).numpy()
    classifier.shown_raw = shown_raw
    if isinstance(units, RowUnits):
        classifier.shown_cells = lambda cells: units.tensor(cells).reshape(len(cells), *shape).numpy()
    return classifier


class _Flat(torch.nn.Module):
    """A module whose outputs are always (B, M)."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, rows: Tensor) -> Tensor:
        found: Tensor = self.module(rows)
        return found.reshape(len(rows), -1)


def _forward(module: torch.nn.Module) -> Callable[[np.ndarray], np.ndarray]:
    """The module as a function of arrays."""

    def forward(rows: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), in_eval_mode(module):
            found: Tensor = module(torch.as_tensor(rows).to(**_type_of(module)))
        return found.reshape(len(rows), -1).to("cpu", torch.float64).numpy()

    return forward
