"""Anything that classifies, as a `Classifier`: torch modules, scikit-learn estimators, plain functions, `module:object`."""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.datasets.row_units import RowUnits
from envs.datasets.units import Units
from envs.errors import ManifoldError
from envs.manifolds.arrays import on_arrays


class TorchClassifier(Classifier):
    """A torch module that gives logits (B, K). It is kept in eval mode: dropout or batch statistics would make it random.

    Args:
        module: the network.
        input_shape: shape of one input as the module expects it, for example (1, 28, 28).

    Raises:
        ManifoldError: the module fails on one row of zeros in that shape, or does not give one logit a class.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        class_names: Sequence[Any],
        input_shape: Sequence[int],
        units: Units,
        label_only: bool = False,
    ) -> None:
        super().__init__(class_names, label_only)
        self.module = module.eval()
        self.input_shape = tuple(input_shape)
        self.units = units
        # On few rows numpy is several times quicker than the module.
        self.plain = on_arrays(module) if type(module) is torch.nn.Sequential else None
        count, self.writes_input = _probe(module, self.input_shape)
        if count != len(self.class_names):
            raise ManifoldError(
                f"the torch module gives {count} logits a row for {len(self.class_names)} classes {self.class_names}"
            )

    def logits(self, x: Tensor) -> Tensor:
        """Logits (B, K) of data-space rows."""
        if self.module.training:
            self.module.eval()
        return self.module(self._rows(x))

    def features(self, x: Tensor) -> Tensor:
        """What the module's own method `features` gives, else what goes into its last linear layer, (B, m)."""
        if self.label_only:
            raise ManifoldError("the classifier shows labels alone, so its hidden layer is not to be seen")
        self.module.eval()
        rows = self._rows(x)
        with torch.inference_mode():
            if callable(own := getattr(self.module, "features", None)) and not isinstance(own, torch.nn.Module):
                found = own(rows)
            else:
                found = _into_last_linear(self.module, rows, len(self.class_names))
        if not isinstance(found, Tensor) or len(found) != len(x):
            return super().features(x)
        return found.flatten(1).float()

    def _rows(self, x: Tensor) -> Tensor:
        """Data-space rows as the module expects them."""
        rows = self.units.outward(x).to(x.dtype).reshape(len(x), *self.input_shape)
        return rows.clone() if self.writes_input else rows

    def _answer(self, x: Tensor) -> Tensor:
        return self._of_rows(self._rows(x))

    def _answer_cells(self, x: Tensor, cells: Tensor) -> Tensor:
        if not isinstance(self.units, RowUnits):
            return self._answer(x)
        rows = self.units.tensor(cells).reshape(len(x), *self.input_shape)
        return self._of_rows(rows.clone() if self.writes_input else rows)

    def of_raw(self, raw: Any) -> Tensor | None:
        """See `Classifier.of_raw`; an encoded table has no raw rows that a module could be shown."""
        if isinstance(raw, np.ndarray) and raw.dtype.kind in "fiub" and raw[0].size == np.prod(self.input_shape):
            rows = torch.from_numpy(raw.astype(np.float32)).reshape(len(raw), *self.input_shape)
            with torch.inference_mode():
                return self._counted(self._of_rows(rows), len(raw))
        return None

    def _of_rows(self, rows: Tensor) -> Tensor:
        """Probabilities (B, K) of rows as the module expects them."""
        if self.plain is None:
            self.module.eval()
            logits = self.module(rows).detach().numpy()
        else:
            logits = self.plain(rows.numpy())
        # By hand: torch.softmax takes twice as long on a few columns.
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        return torch.from_numpy(p)

    def _check(self, answer: Tensor, rows: int) -> None:
        # A softmax cannot leave the simplex except by NaN, and NaN spreads to the sum: one cheap look on the hot path.
        if answer.shape != (rows, len(self.class_names)) or not answer.numpy().sum() > 0:
            super()._check(answer, rows)

    @property
    def torch_module(self) -> torch.nn.Module | None:
        """See `Classifier.torch_module`."""
        if self.label_only:
            return None
        outer = self

        class InDataSpace(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.module = outer.module

            def forward(self, x: Tensor) -> Tensor:
                return outer.logits(x)

        return InDataSpace()


class FunctionClassifier(Classifier):
    """A function from rows in the user's units (numpy; text: a list of strings) to probabilities (B, K). It may write to its
    rows: they are a copy."""

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
        self.of_text = units.modality == "text"
        whom = function if owner is None else owner
        self.shown = units.asker(whom, self.input_shape)
        self.shown_cells = units.cells_asker(whom, self.input_shape) if isinstance(units, RowUnits) else None
        self.shown_raw = units.raw_asker(whom, self.input_shape)

    def _asked(self, rows: Any, dtype: type | None = None) -> np.ndarray:
        """What the function gives for rows; a copy, for functions may give the same buffer again and again."""
        try:
            return np.array(self.function(rows.copy()), dtype=dtype)
        except (TypeError, ValueError) as error:
            what = "texts" if self.of_text else f"rows of shape {self.input_shape}"
            raise ManifoldError(f"the classifier failed on {len(rows)} {what}: {error}") from error

    def _answer(self, x: Tensor) -> Tensor:
        return self._of_rows(self.shown(x))

    def _answer_cells(self, x: Tensor, cells: Tensor) -> Tensor:
        return self._answer(x) if self.shown_cells is None else self._of_rows(self.shown_cells(cells))

    def of_raw(self, raw: Any) -> Tensor | None:
        """See `Classifier.of_raw`."""
        rows = self.shown_raw(raw)
        return None if rows is None else self._counted(self._of_rows(rows), len(raw))

    def _of_rows(self, rows: Any) -> Tensor:
        """Probabilities (B, K) of rows as the function is shown them."""
        return torch.from_numpy(self._asked(rows, np.float32))

    def _check(self, answer: Tensor, rows: int) -> None:
        super()._check(answer, rows)
        answer.clamp_min_(0).div_(answer.sum(1, keepdim=True))  # exactly on the simplex, whatever the function's rounding


class LabelClassifier(FunctionClassifier):
    """A function that gives labels alone, of any kind; always label only."""

    def __init__(self, function: Callable[[np.ndarray], Any], classes: Sequence[Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(function, [str(item) for item in classes], *args, **{**kwargs, "label_only": True})
        self._index = {str(item): i for i, item in enumerate(classes)}

    def _of_rows(self, rows: Any) -> Tensor:
        labels = self._asked(rows)
        if labels.shape != (len(rows),):
            raise ManifoldError(
                f"the classifier gave labels of shape {labels.shape} for {len(rows)} rows; one label a row is needed"
            )
        try:
            index = [self._index[str(label)] for label in labels]
        except KeyError as error:
            raise ManifoldError(
                f"the classifier answered with label {error}, not one of its classes {self.class_names}"
            ) from None
        return torch.nn.functional.one_hot(torch.tensor(index), len(self.class_names)).float()


def load_object(name: str) -> Any:
    """The object behind ``package.module:object``; the present folder is searched too, as `python -m` does.

    Raises:
        ManifoldError: no such module or attribute, or a name of another form.
    """
    module_name, _, path = name.partition(":")
    if not module_name or not path:
        raise ManifoldError(f"{name!r} does not name an object; write package.module:object")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ManifoldError(f"cannot load {name!r}: {error}; run from the folder that holds the module") from error
    return found


def adapt(
    classifier: Any,
    *,
    units: Units,
    class_names: Sequence[Any] | None = None,
    input_shape: Sequence[int] | None = None,
    label_only: bool = False,
) -> Classifier:
    """Wrap whatever the user brings.

    Args:
        classifier: a `Classifier` (returned as it is; a label-only copy if that is asked of one that shows more), a torch
            module (logits), an object with `predict_proba` (and `classes_`), one with `predict` and `classes_` (label only),
            a function of rows, or the ``module:object`` name of one of these.
        units: the user's units; the classifier is asked in them.
        class_names: names of the classes; needed unless the classifier has `classes_`.
        input_shape: shape of one input of the classifier; by default that of the data for torch modules and functions, flat
            for scikit-learn estimators; for mixed tables see `TableUnits.input_shape`.
        label_only: show labels alone even if probabilities could be had.

    Raises:
        ManifoldError: nothing callable, or the classes are not known.
    """
    if isinstance(classifier, str):
        classifier = load_object(classifier)
    if isinstance(classifier, type):
        raise ManifoldError(f"{classifier.__name__} is a class; pass a fitted instance of it")
    if isinstance(classifier, Classifier):
        if label_only and not classifier.label_only:
            # A copy: other worlds that hold this classifier go on seeing what they saw.
            classifier = copy.copy(classifier)
            classifier.label_only = True
        return classifier
    shape = units.input_shape(classifier, input_shape)
    if isinstance(classifier, torch.nn.Module):
        if units.modality == "text":
            raise ManifoldError(
                f"a classifier of texts is asked with a list of strings, which the torch module {type(classifier).__name__} "
                "does not take: pass a function of strings that calls it"
            )
        known = class_names if class_names is not None else range(_probe(classifier, shape)[0])
        return TorchClassifier(classifier, known, shape, units, label_only)
    classes = getattr(classifier, "classes_", None)
    names = class_names if class_names is not None else classes
    if classes is not None and class_names is not None and len(class_names) != len(classes):
        raise ManifoldError(f"{len(class_names)} class names {list(class_names)} for a classifier of {len(classes)} classes")
    if names is None:
        raise ManifoldError(
            f"pass class_names=: {type(classifier).__name__} does not tell its classes (no classes_); on a command line "
            "--env-kwargs \"class_names:['no', 'yes']\", or an array class_names in the .npz file"
        )
    if hasattr(classifier, "predict_proba"):
        return FunctionClassifier(classifier.predict_proba, names, shape, units, label_only, owner=classifier)
    if hasattr(classifier, "predict"):
        known = classes if classes is not None else names
        labels = LabelClassifier(classifier.predict, list(known), shape, units, owner=classifier)
        labels.class_names = [str(name) for name in names]
        return labels
    if callable(classifier):
        return FunctionClassifier(classifier, names, shape, units, label_only)
    raise ManifoldError(f"a {type(classifier).__name__} is no classifier: it needs predict_proba, predict, or to be callable")


def _into_last_linear(module: torch.nn.Module, rows: Tensor, classes: int) -> Tensor | None:
    """Input (B, m) of the linear layer that gave the logits: the last one that ran; None if it does not give `classes`."""
    seen: list[tuple[torch.nn.Linear, Tensor]] = []
    linear = [part for part in module.modules() if isinstance(part, torch.nn.Linear)]
    hooks = [part.register_forward_pre_hook(lambda layer, given: seen.append((layer, given[0]))) for part in linear]
    try:
        module(rows)
    finally:
        for hook in hooks:
            hook.remove()
    return seen[-1][1].clone() if seen and seen[-1][0].out_features == classes else None


def _probe(module: torch.nn.Module, input_shape: Sequence[int]) -> tuple[int, bool]:
    """How many logits the module gives for one row of zeros, and whether it writes to its input."""
    module.eval()
    zeros = torch.zeros(1, *input_shape)
    try:
        with torch.inference_mode():
            logits = module(zeros)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise ManifoldError(
            f"the torch module does not take float32 inputs of shape (1, {', '.join(map(str, input_shape))}); "
            f"declare input_shape= ({error})"
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 1:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ManifoldError(f"the torch module must give logits (rows, classes); for one row it gave {got}")
    return logits.shape[1], bool(zeros.any())
