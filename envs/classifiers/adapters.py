"""Adapters that make a `Classifier` of torch modules, scikit-learn estimators, functions and ``module:object`` names."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds.networks.arrays import on_arrays
from envs.modalities.base import Units
from envs.modalities.image import ImageUnits
from envs.modalities.rows import RowUnits
from envs.reading.objects import load_object
from envs.runtime.torch_defaults import owners_torch

OUTPUTS = ("logits", "probabilities")
SURE = 4  # rows of probabilities that rule out coincidence
ROUNDED = 0.011  # largest deviation from 1 of a sum of probabilities rounded to two digits


class TorchClassifier(Classifier):
    """A torch module that returns logits or probabilities (B, K), or for two classes one column (B, 1) for the second class.

    The module is queried in eval mode, because dropout or batch statistics would make predictions random, and then put back
    into its previous mode.

    Args:
        module: The network.
        class_names: Names of the classes.
        input_shape: Shape of one input of the module, for example (1, 28, 28).
        units: The user's units; the module is queried in them.
        label_only: Show only the argmax.
        outputs: ``logits`` or ``probabilities``. None: rows that are nonnegative and sum to 1 count as probabilities; a
            warning says so once four rows agree.

    Raises:
        ManifoldError: If the module fails on a row of zeros of that shape, or does not return one logit per class.
        UnknownNameError: If `outputs` is another value.

    Example:
        >>> from envs.modalities.base import Units
        >>> network = torch.nn.Linear(3, 2)
        >>> classifier = TorchClassifier(network, ["no", "yes"], (3,), Units.of(np.eye(3)), outputs="logits")
        >>> tuple(classifier.predict_proba(torch.zeros(4, 3)).shape), classifier.queries
        ((4, 2), 4)
    """

    tolerance = ROUNDED

    def __init__(
        self,
        module: torch.nn.Module,
        class_names: Sequence[Any],
        input_shape: Sequence[int],
        units: Units,
        label_only: bool = False,
        outputs: str | None = None,
    ) -> None:
        super().__init__(class_names, label_only)
        if outputs is not None and outputs not in OUTPUTS:
            raise UnknownNameError("kind of outputs", outputs, OUTPUTS)
        self.module = module
        self.input_shape = tuple(input_shape)
        self.units = units
        self.outputs = outputs
        self._seen = 0
        # For few rows numpy is several times faster than the module.
        self.plain = on_arrays(module) if type(module) is torch.nn.Sequential else None
        count, self.writes_input = _probe(module, self.input_shape)
        if count == 1 and len(self.class_names) == 2 and outputs is None:
            raise ManifoldError(
                f"the torch module gives one number per row for 2 classes {self.class_names}: pass outputs='probabilities' if "
                f"it is the probability of {self.class_names[1]!r}, outputs='logits' if it needs a sigmoid"
            )
        if count != len(self.class_names) and (count, len(self.class_names)) != (1, 2):
            raise ManifoldError(
                f"the torch module gives {count} logits per row for {len(self.class_names)} classes {self.class_names}"
            )

    def logits(self, x: Tensor) -> Tensor:
        """Logits (B, K) of data-space rows; the logarithm of the probabilities if the module returns those."""
        given = self._outputs(self._rows(x))
        if given.shape[1] == 1:
            return torch.cat([torch.zeros_like(given), given], 1) if self.outputs == "logits" else _both(given).log()
        return given.clamp_min(1e-12).log() if self._gives_probabilities(given.detach().numpy()) else given

    def features(self, x: Tensor) -> Tensor:
        """Output of the module's own method `features`, else the input of its last linear layer, (B, m)."""
        if self.label_only:
            raise ManifoldError("the classifier is label-only, so its hidden layer is hidden, too")
        rows = self._rows(x)
        own = getattr(self.module, "features", None)
        own = own if callable(own) and not isinstance(own, torch.nn.Module) else None
        call = "its method features" if own is not None else f"the torch module {type(self.module).__name__}"
        with torch.inference_mode(), in_eval_mode(self.module), failures_named(call, len(x), self.input_shape):
            if own is not None:
                found = own(rows)
            else:
                found = _into_last_linear(self.module, rows, len(self.class_names))
        if not isinstance(found, Tensor) or len(found) != len(x):
            return super().features(x)
        return found.flatten(1).float()

    def _rows(self, x: Tensor) -> Tensor:
        """Data-space rows in the module's input shape and the user's values."""
        return self._typed(self.units.shaped(x, self.input_shape))

    def _typed(self, rows: Tensor) -> Tensor:
        """Rows in the module's type, float32 unless its weights have another; a copy if the module writes to its input."""
        rows = rows.to(**_type_of(self.module)) if self.plain is None else rows.float()  # those of `plain` are float32
        return rows.clone() if self.writes_input else rows

    def _outputs(self, rows: Tensor) -> Tensor:
        """Output of the module for its input rows, float32 (B, K)."""
        call = f"the torch module {type(self.module).__name__}"
        with in_eval_mode(self.module), failures_named(call, len(rows), self.input_shape), owners_torch():
            given: Tensor = self.module(rows)
        return given.to("cpu", torch.float32)

    def _gives_probabilities(self, given: np.ndarray) -> bool:
        """Whether outputs (B, K) are probabilities, as declared or as they look; the latter is reported once it is certain."""
        if self.outputs is None:
            if not (given.min() >= 0 and np.abs(given.sum(1) - 1).max() < 2e-3):
                self.outputs = "logits"
            elif (seen := self._seen + len(given)) >= SURE:
                self.outputs = "probabilities"
                warnings.warn(
                    f"the rows of the torch module {type(self.module).__name__} sum to 1 and are used as probabilities; "
                    "outputs='logits' applies a softmax, outputs='probabilities' silences this warning",
                    stacklevel=2,
                )
            else:
                self._seen = seen
                return True
        return self.outputs == "probabilities"

    def _predict(self, x: Tensor) -> Tensor:
        return self._of_rows(self._rows(x))

    def _predict_cells(self, x: Tensor, cells: Tensor) -> Tensor:
        if not isinstance(self.units, RowUnits):
            return self._predict(x)
        return self._of_rows(self._typed(self.units.tensor(cells).reshape(len(x), *self.input_shape)))

    def of_raw(self, raw: Any) -> Tensor | None:
        """See `Classifier.of_raw`. A module never receives raw rows of an encoded table."""
        if isinstance(raw, np.ndarray) and raw.dtype.kind in "fiub" and raw[0].size == np.prod(self.input_shape):
            rows = torch.from_numpy(self.units.ordered(raw.astype(np.float64), self.input_shape))
            with torch.inference_mode():
                return self._counted(self._of_rows(self._typed(rows)), len(raw))
        return None

    def _of_rows(self, rows: Tensor) -> Tensor:
        """Probabilities (B, K) of the module's input rows."""
        if self.plain is None:
            given = self._outputs(rows).detach().numpy()
        else:
            given = self.plain(rows.numpy())
        if given.shape[1:] == (1,):
            if self.outputs == "probabilities":
                return _both(_probability_of_one(torch.from_numpy(given), self.class_names))
            given = np.hstack([np.zeros_like(given), given])
        elif self._gives_probabilities(given):
            return torch.from_numpy(np.array(given, dtype=np.float32))
        # By hand: torch.softmax takes twice as long for few columns.
        p = np.exp(given - given.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        return torch.from_numpy(p)

    def _check(self, prediction: Tensor, rows: int) -> None:
        # A softmax leaves the simplex only by NaN, and NaN spreads to the sum: one cheap check on the hot path.
        probabilities = self.outputs != "logits"
        if probabilities or prediction.shape != (rows, len(self.class_names)) or not prediction.numpy().sum() > 0:
            super()._check(prediction, rows)
        if probabilities:
            prediction.clamp_min_(0).div_(prediction.sum(1, keepdim=True))

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
        >>> from envs.modalities.base import Units
        >>> def positive(rows):
        ...     return 1 / (1 + np.exp(-rows[:, 0]))
        >>> classifier = FunctionClassifier(positive, ["no", "yes"], (2,), Units.of(np.eye(2)))
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
        self.of_text = units.modality == "text"
        queried = function if owner is None else owner
        self.call = _name_of(function, owner)
        self.shown = units.asker(queried, self.input_shape)
        self.shown_cells = units.cells_asker(queried, self.input_shape) if isinstance(units, RowUnits) else None
        self.shown_raw = units.raw_asker(queried, self.input_shape)

    def _called(self, rows: Any, convert: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
        """Output of the function; a copy, because functions may reuse one buffer."""
        with failures_named(self.call, len(rows), None if self.of_text else self.input_shape), owners_torch():
            prediction = np.array(self.function(rows.copy()))
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
            prediction = _both(_probability_of_one(torch.from_numpy(prediction.reshape(-1, 1)), self.class_names)).numpy()
        return torch.from_numpy(_in_float32(prediction))

    def _check(self, prediction: Tensor, rows: int) -> None:
        super()._check(prediction, rows)
        prediction.clamp_min_(0).div_(
            prediction.sum(1, keepdim=True)
        )  # exactly on the simplex, whatever the function's rounding


def _as_floats(prediction: np.ndarray) -> np.ndarray:
    """The values as float32 if they have that type, else as float64."""
    return np.array(prediction, dtype=np.float32 if prediction.dtype == np.float32 else np.float64)


def _in_float32(prediction: np.ndarray) -> np.ndarray:
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
        >>> from envs.modalities.base import Units
        >>> classifier = LabelClassifier(lambda rows: rows[:, 0] > 0, [False, True], (2,), Units.of(np.eye(2)))
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


REGRESSOR = (
    "to explain a predicted quantity, turn it into classes with a function, such as "
    "lambda rows: (model.predict(rows) > limit).astype(float) with class_names=['below', 'above']"
)


@contextlib.contextmanager
def in_eval_mode(module: torch.nn.Module) -> Iterator[None]:
    """Put every part of the module into eval mode inside the block, and back afterwards."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


@contextlib.contextmanager
def failures_named(call: str, rows: int, shape: Sequence[int] | None) -> Iterator[None]:
    """Turn any exception of a call of the user's into a `ManifoldError` that names the call and its rows.

    Args:
        call: Description of the call.
        rows: Number of rows.
        shape: Shape of one row; None for texts.
    """
    try:
        yield
    except Exception as error:
        what = "texts" if shape is None else f"rows of shape {tuple(shape)}"
        raise ManifoldError(
            f"the classifier failed on {rows} {what}: {call} raised {type(error).__name__}: {error}".rstrip(": ")
        ) from error


def _name_of(function: Any, owner: Any) -> str:
    """Name by which the user knows the function."""
    if owner is not None:
        return f"the method {function.__name__ if hasattr(function, '__name__') else 'predict'} of {type(owner).__name__}"
    name = getattr(function, "__name__", None)
    return f"the function {name}" if name is not None else f"the call of {type(function).__name__}"


def _type_of(module: torch.nn.Module) -> dict[str, Any]:
    """Type and device of a module's input: those of its weights, else float32 on the CPU."""
    weights = next((weight for weight in module.parameters() if weight.is_floating_point()), None)
    if weights is None:
        return {"dtype": torch.float32}
    return {"dtype": weights.dtype, "device": weights.device}


def _both(second: Tensor) -> Tensor:
    """Probabilities (B, 2) of both classes from the second's (B, 1); strictly positive where gradients are needed."""
    if second.requires_grad:
        second = second.clamp(1e-12, 1 - 1e-7)
    return torch.cat([1 - second, second], 1)


def _probability_of_one(prediction: Tensor, names: Sequence[str]) -> Tensor:
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


def adapt(
    classifier: Any,
    *,
    units: Units,
    class_names: Sequence[Any] | None = None,
    input_shape: Sequence[int] | None = None,
    label_only: bool = False,
    outputs: str | None = None,
    sample: Tensor | None = None,
    sample_cells: Tensor | None = None,
) -> Classifier:
    """Wrap a model as a `Classifier`.

    Args:
        classifier: A `Classifier` (returned as it is, or as a label-only copy); a torch module (logits or probabilities); an
            object with `predict_proba` (and `classes_`); an object whose `predict` returns labels (label-only) or, as in
            Keras, probabilities; a function of rows; or the ``module:object`` name of one of these.
        units: The user's units; the classifier is queried in them.
        class_names: Names of the classes; required unless the classifier has `classes_`.
        input_shape: Shape of one input of the classifier. Default: that of the data for torch modules and functions, flat for
            scikit-learn estimators; for mixed tables see `TableUnits.input_shape`.
        label_only: Show only the argmax, even if probabilities are available.
        outputs: Output of a torch module, ``logits`` or ``probabilities``; None detects it, see `TorchClassifier`.
        sample: A few data-space rows that show what a `predict` without `classes_` returns; they count as queries. Default:
            one row of zeros.
        sample_cells: The user's own cells of these rows, see `Units.entered`.

    Raises:
        ManifoldError: If the object is not callable or is a regressor, or the classes are unknown.

    Example:
        >>> from envs.modalities.base import Units
        >>> classifier = adapt(lambda rows: rows[:, 0], units=Units.of(np.eye(2)), class_names=["no", "yes"])
        >>> type(classifier).__name__
        'FunctionClassifier'
    """
    if isinstance(classifier, str):
        classifier = load_object(classifier)
    if isinstance(classifier, type):
        raise ManifoldError(f"{classifier.__name__} is a class; pass a fitted instance of it")
    if outputs is not None and not isinstance(classifier, torch.nn.Module):
        raise ManifoldError(f"outputs={outputs!r} is for torch modules, not for a {type(classifier).__name__}: leave it out")
    if isinstance(classifier, Classifier):
        if label_only and not classifier.label_only:
            # A copy: other worlds with this classifier do not change.
            classifier = copy.copy(classifier)
            classifier.label_only = True
        return classifier
    if isinstance(classifier, torch.nn.Module):
        if units.modality == "text":
            raise ManifoldError(
                f"a classifier of texts receives a list of strings, which the torch module {type(classifier).__name__} "
                "does not accept: pass a function of strings that calls it"
            )
        shape = _torch_shape(classifier, units, input_shape)
        if isinstance(units, ImageUnits) and units.guessed and units.declared:
            warnings.warn(
                f"the torch module {type(classifier).__name__} receives the images' own values, {units.low:g} to "
                f"{units.high:g}; if it was trained on another range, such as [0, 1], scale the images accordingly; "
                f"pixel_range=({units.low:g}, {units.high:g}) silences this warning",
                stacklevel=2,
            )
        known = class_names if class_names is not None else range(max(2, _probe(classifier, shape)[0]))
        return TorchClassifier(classifier, known, shape, units, label_only, outputs)
    shape = units.input_shape(classifier, input_shape)
    if _is_regressor(classifier):
        raise ManifoldError(f"{type(classifier).__name__} is a regressor: it predicts a quantity, not classes; {REGRESSOR}")
    classes = getattr(classifier, "classes_", None)
    names = class_names if class_names is not None else classes
    if classes is not None and class_names is not None and len(class_names) != len(classes):
        raise ManifoldError(f"{len(class_names)} class names {list(class_names)} for a classifier of {len(classes)} classes")
    if names is None:
        raise ManifoldError(
            f"pass class_names=: {type(classifier).__name__} does not name its classes (no classes_); on a command line "
            "--env-kwargs \"class_names:['no', 'yes']\", or an array class_names in the .npz file"
        )
    if hasattr(classifier, "predict_proba"):
        return FunctionClassifier(classifier.predict_proba, names, shape, units, label_only, owner=classifier)
    if hasattr(classifier, "predict"):
        rows = torch.zeros(1, *units.data_shape) if sample is None else sample
        looked = 0
        if classes is None and units.modality != "text":
            as_function = FunctionClassifier(classifier.predict, names, shape, units, label_only, owner=classifier)
            prediction, looked = as_function._called(as_function._rows(rows, sample_cells)), len(rows)
            if _are_probabilities(prediction, looked, len(as_function.class_names)):
                as_function.queries += looked
                return as_function
        known = list(names if classes is None else classes)
        labels = LabelClassifier(classifier.predict, known, shape, units, owner=classifier, by_position=classes is None)
        labels.class_names = [str(name) for name in names]
        labels.queries += looked
        return labels
    if callable(classifier):
        return FunctionClassifier(classifier, names, shape, units, label_only)
    raise ManifoldError(
        f"a {type(classifier).__name__} is no classifier: it needs predict_proba or predict, or must be callable"
    )


def _is_regressor(classifier: Any) -> bool:
    """Whether the object is a scikit-learn regressor."""
    if not hasattr(classifier, "predict") or hasattr(classifier, "predict_proba") or hasattr(classifier, "classes_"):
        return False
    from sklearn.base import is_regressor

    with contextlib.suppress(Exception), warnings.catch_warnings():  # an object that only looks like an estimator
        warnings.simplefilter("ignore")
        return bool(is_regressor(classifier))
    return False


def _are_probabilities(prediction: np.ndarray, rows: int, classes: int) -> bool:
    """Whether the output of a `predict` is probabilities, not labels."""
    if prediction.dtype.kind != "f" or not prediction.size:
        return False
    if prediction.ndim == 2 and prediction.shape[1] > 1:
        return True
    inside = bool((prediction >= 0).all() and (prediction <= 1).all())
    return classes == 2 and prediction.size == rows and inside and not bool((prediction == np.round(prediction)).all())


def _torch_shape(module: torch.nn.Module, units: Units, declared: Sequence[int] | None) -> tuple[int, ...]:
    """Shape of one input of a torch module: as declared, else the first likely shape that it accepts.

    Raises:
        ManifoldError: If it accepts none, or accepts the channels of images in either position.
    """
    if declared is not None:
        return units.input_shape(module, declared)
    taken, failures = [], []
    shapes = units.torch_shapes()
    for shape in shapes:
        try:
            _probe(module, shape)
        except ManifoldError as error:
            failures.append(error)
        else:
            taken.append(shape)
            if not units.layouts_differ:
                break
    if not taken:
        raise failures[0]
    if len(taken) > 1 and not any(isinstance(part, torch.nn.modules.conv._ConvNd) for part in module.modules()):
        raise ManifoldError(
            f"the torch module accepts images with channels first, {taken[0]}, and last, {taken[1]}: pass input_shape= with "
            "the shape that it was trained on"
        )
    return taken[0]


def _into_last_linear(module: torch.nn.Module, rows: Tensor, classes: int) -> Tensor | None:
    """Input (B, m) of the last linear layer that ran; None if its outputs are not the `classes` logits."""
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
    """Number of logits for one row of zeros, and whether the module writes to its input."""
    zeros = torch.zeros(1, *input_shape, **_type_of(module))
    try:
        with torch.inference_mode(), in_eval_mode(module), owners_torch():
            logits = module(zeros)
    except Exception as error:
        raise ManifoldError(
            f"the torch module does not take {str(zeros.dtype).removeprefix('torch.')} inputs of "
            f"shape (1, {', '.join(map(str, input_shape))}); "
            f"declare input_shape= ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 1:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ManifoldError(f"the torch module must give logits (rows, classes); for one row it gave {got}")
    return logits.shape[1], bool(zeros.any())
