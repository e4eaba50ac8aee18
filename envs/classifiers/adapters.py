"""Adapters that make a `Classifier` of torch modules, scikit-learn estimators, functions and ``module:object`` names."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.classifiers.functions import FunctionClassifier, LabelClassifier
from envs.classifiers.goals import goal_classifier
from envs.classifiers.onnx_model import OnnxClassifier, OnnxModel, is_onnx_file, is_session
from envs.classifiers.outputs import OUTPUTS
from envs.classifiers.torch_module import TorchClassifier, probe, torch_shape
from envs.errors import ManifoldError, UnknownNameError
from envs.goals import KINDS, LabelGoal, ScoreGoal
from envs.modalities.base import Units
from envs.modalities.image import ImageUnits
from envs.modalities.rows import RowUnits
from envs.reading.objects import load_object


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
            Keras, probabilities; a function of rows; an ``onnxruntime`` session; an ``.onnx`` file; or the
            ``module:object`` name of one of these.
        units: The user's units; the classifier is queried in them.
        class_names: Names of the classes; required unless the classifier has `classes_`.
        input_shape: Shape of one input of the classifier. Default: that of the data for torch modules and functions, flat for
            scikit-learn estimators; for mixed tables see `TableUnits.input_shape`.
        label_only: Show only the argmax, even if probabilities are available.
        outputs: ``score``: one real number; ``labels``: probabilities of independent labels, which `class_names` names. Of a
            torch module or an ONNX model also ``logits`` or ``probabilities``. None detects it: a regressor has a score, an
            estimator of several outputs has labels; for torch modules see `TorchClassifier`.
        sample: A few data-space rows that show what a `predict` without `classes_` returns; they count as queries. Default:
            one row of zeros.
        sample_cells: The user's own cells of these rows, see `Units.entered`.

    Raises:
        ManifoldError: If the object is not callable, or the classes are unknown.

    Example:
        >>> from envs.modalities.fitting import fit_units
        >>> classifier = adapt(lambda rows: rows[:, 0], units=fit_units(np.eye(2)), class_names=["no", "yes"])
        >>> type(classifier).__name__
        'FunctionClassifier'
    """
    classifier = loaded(classifier)
    if isinstance(classifier, type):
        raise ManifoldError(f"{classifier.__name__} is a class; pass a fitted instance of it")
    outputs = _kind_of(classifier) if outputs is None else outputs
    if outputs is not None and outputs not in (*KINDS, *OUTPUTS):
        raise UnknownNameError("kind of outputs", outputs, (*KINDS, *OUTPUTS))
    if outputs in KINDS and not isinstance(classifier, Classifier):
        if label_only:
            raise ManifoldError(f"label_only is for classifiers; this {type(classifier).__name__} has outputs={outputs!r}")
        return goal_classifier(classifier, outputs, units=units, names=class_names, input_shape=input_shape)
    if outputs is not None and not isinstance(classifier, torch.nn.Module | OnnxModel):
        raise ManifoldError(
            f"outputs={outputs!r} is for torch modules and ONNX models, not for a {type(classifier).__name__}: leave it out"
        )
    if isinstance(classifier, Classifier):
        if label_only and not classifier.label_only:
            # A copy: other worlds with this classifier do not change.
            classifier = copy.copy(classifier)
            classifier.label_only = True
        return classifier
    if isinstance(classifier, torch.nn.Module):
        if units.rows_are_strings:
            raise ManifoldError(
                f"a classifier of texts receives a list of strings, which the torch module {type(classifier).__name__} "
                "does not accept: pass a function of strings that calls it"
            )
        shape = torch_shape(classifier, units, input_shape)
        _report_guessed_range(f"the torch module {type(classifier).__name__}", units)
        known = class_names if class_names is not None else range(max(2, probe(classifier, shape)[0]))
        return TorchClassifier(classifier, known, shape, units, label_only, outputs)
    classes = getattr(classifier, "classes_", None)
    if isinstance(classifier, OnnxModel):
        shape = classifier.shape_for(units, input_shape)
        classes = None if sample is None else classifier.classes_of(_one_row(classifier, units, shape, sample, sample_cells))
        _report_guessed_range("the ONNX model", units)
    else:
        shape = units.input_shape(classifier, input_shape)
    names = class_names if class_names is not None else classes
    if classes is not None and class_names is not None and len(class_names) != len(classes):
        raise ManifoldError(f"{len(class_names)} class names {list(class_names)} for a classifier of {len(classes)} classes")
    if names is None:
        raise ManifoldError(
            f"pass class_names=: {type(classifier).__name__} does not name its classes (no classes_); on a command line "
            "--class-names no yes, or an array class_names in the .npz file"
        )
    if isinstance(classifier, OnnxModel):
        found = OnnxClassifier(classifier, names, shape, units, label_only, outputs)
        found.queries += sample is not None
        return found
    if hasattr(classifier, "predict_proba"):
        return FunctionClassifier(classifier.predict_proba, names, shape, units, label_only, owner=classifier)
    if hasattr(classifier, "predict"):
        rows = torch.zeros(1, *units.data_shape) if sample is None else sample
        looked = 0
        if classes is None and not units.rows_are_strings:
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
        f"a {type(classifier).__name__} is not a classifier: it needs predict_proba or predict, or must be callable"
    )


def _kind_of(classifier: Any) -> str | None:
    """``score`` for a regressor, ``labels`` for an estimator of several outputs, else None."""
    if _is_regressor(classifier):
        return ScoreGoal.kind
    classes = getattr(classifier, "classes_", None)
    several = isinstance(classes, list) and any(np.ndim(part) for part in classes)
    return LabelGoal.kind if several or getattr(classifier, "multilabel_", False) is True else None


def loaded(classifier: Any) -> Any:
    """The classifier behind a ``module:object`` name, an ONNX file or a session; any other as it is.

    Raises:
        ManifoldError: If there is no such object or file.
    """
    if is_onnx_file(classifier):
        return OnnxModel.read(classifier)
    if isinstance(classifier, str):
        return load_object(classifier)
    return OnnxModel(classifier) if is_session(classifier) else classifier


def is_name(classifier: Any) -> bool:
    """Whether this names an object or a file, as `loaded` resolves it."""
    return isinstance(classifier, str) and (":" in classifier or is_onnx_file(classifier))


def _one_row(classifier: OnnxModel, units: Units, shape: Sequence[int], x: Tensor, cells: Tensor | None) -> Any:
    """The first of some data-space rows as the model receives it."""
    if isinstance(units, RowUnits) and cells is not None:
        return units.cells_asker(classifier, shape)(cells[:1])
    return units.asker(classifier, shape)(x[:1])


def _report_guessed_range(which: str, units: Units) -> None:
    """Warn that a network receives pictures in a scale that was guessed."""
    if isinstance(units, ImageUnits) and units.guessed and units.declared:
        warnings.warn(
            f"{which} receives the images' own values, {units.low:g} to {units.high:g}; if it was trained on another range, "
            f"such as [0, 1], scale the images accordingly; pixel_range=({units.low:g}, {units.high:g}) silences this warning",
            stacklevel=3,
        )


def predicts_a_score(classifier: Any, outputs: str | None) -> bool:
    """Whether a model, or the one of a ``module:object`` name, has a score."""
    if outputs is not None:
        return outputs == ScoreGoal.kind
    named = isinstance(classifier, str) and ":" in classifier
    return _is_regressor(load_object(classifier) if named else classifier)


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
