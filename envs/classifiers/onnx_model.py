"""ONNX models as classifiers, run by onnxruntime (the extra ``[onnx]``). A model is data: no code of it is run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.classifiers.functions import FunctionClassifier, in_float32
from envs.classifiers.outputs import DetectsLogits, both, failures_named, probability_of_one
from envs.errors import ManifoldError
from envs.files import in_home
from envs.modalities.base import Units
from envs.reading.files import read_bytes
from envs.runtime.torch_defaults import owners_torch

SUFFIX = ".onnx"
TYPES: dict[str, Any] = {
    "float": np.float32, "double": np.float64, "float16": np.float16, "int64": np.int64, "int32": np.int32,
    "int16": np.int16, "int8": np.int8, "uint8": np.uint8, "bool": np.bool_, "string": object,
}  # fmt: skip
CLOSE = 1e-4  # probabilities that differ by less may be ordered either way by the model's own label
Answer = tuple[np.ndarray | None, np.ndarray | None, list[Any] | None]
_OPENED: dict[str, OnnxModel] = {}  # sha256 -> the model that was opened last


class OnnxModel:
    """A model in an onnxruntime session: which inputs it takes, and its scores and labels for rows.

    Args:
        session: An ``onnxruntime.InferenceSession``.
        sha256: Of the file that it was read from; None for a live session.

    Attributes:
        feature_names_in_: Names of the columns, for a model with an input for each column; else there is no such attribute.
        n_features_in_: Number of columns of a single input, None if the model leaves it open; else there is no such attribute.
        says_probabilities: Whether the scores are probabilities by their name or type.

    Raises:
        ManifoldError: If the inputs or outputs are of a kind that no classifier has.

    Example:
        >>> OnnxModel.read("no-such-file.onnx")
        Traceback (most recent call last):
        envs.errors.ManifoldError: no ONNX model no-such-file.onnx
    """

    def __init__(self, session: Any, sha256: str | None = None) -> None:
        self.session, self.sha256 = session, sha256
        self.inputs = session.get_inputs()
        outputs = session.get_outputs()
        for part in self.inputs:
            if _kind(part) not in TYPES:
                raise ManifoldError(f"the ONNX model's input {part.name!r} is a {part.type}, which no row can be given as")
        maps = [part.name for part in outputs if part.type.startswith("seq(map")]
        floats = [part.name for part in outputs if _kind(part) in ("float", "double", "float16")]
        likely = [name for name in floats if "prob" in name.lower()] or floats[-1:]
        self.scores: str | None = (maps or likely or [None])[0]
        self.labels = next((part.name for part in outputs if _kind(part) in ("string", "int64")), None)
        self.labels_are_texts = any(part.name == self.labels and _kind(part) == "string" for part in outputs)
        if self.scores is None and self.labels is None:
            found = ", ".join(f"{part.name} ({part.type})" for part in outputs)
            raise ManifoldError(f"the ONNX model returns neither numbers nor labels, but {found}")
        if len(self.inputs) == 1:
            size = self.inputs[0].shape[1:]
            self.n_features_in_ = size[0] if len(size) == 1 and isinstance(size[0], int) else None
        else:
            self.feature_names_in_ = [part.name for part in self.inputs]
            for part in self.inputs:
                if len(part.shape) > 2 or (len(part.shape) == 2 and part.shape[1] not in (1, None)):
                    raise ManifoldError(
                        f"the ONNX model has {len(self.inputs)} inputs, and {part.name!r} takes {part.shape}; several "
                        "inputs have to be one column each: pass a function of rows that runs the session"
                    )
        self.says_probabilities = bool(maps) or "prob" in str(self.scores).lower()

    @classmethod
    def read(cls, path: str | Path) -> OnnxModel:
        """Read a model from a file, with all of its weights inside.

        Raises:
            ManifoldError: If there is no such file, it is not an ONNX model, or onnxruntime is not installed.
        """
        path = Path(in_home(path))
        try:
            content = read_bytes(path)
        except FileNotFoundError:
            raise ManifoldError(f"no ONNX model {path}") from None
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 not in _OPENED:
            model = cls(_session(content, path), sha256)
            _OPENED.clear()
            _OPENED[sha256] = model
        return _OPENED[sha256]

    def classes_of(self, rows: Any) -> list[Any] | None:
        """The classes as the model names them for some rows: numbers if its labels are whole numbers or missing; None if
        the labels are texts whose order it does not say."""
        scores, _, keys = self._batches(self._given(rows))
        return keys if keys is not None or self.labels_are_texts or scores is None else list(range(max(2, scores.shape[1])))

    def shape_for(self, units: Units, requested: Sequence[int] | None) -> tuple[int, ...]:
        """Shape of one row of the model's input: the requested one, else the shape of the data that the model declares.

        Raises:
            ManifoldError: If the data have no such shape.
        """
        usual = units.input_shape(self, requested)
        if requested is not None or len(self.inputs) > 1 or units.rows_are_strings:
            return usual
        declared = self.inputs[0].shape[1:]
        candidates = units.torch_shapes() if units.modality == "image" else [usual]
        for shape in candidates:
            known = [(d, n) for d, n in zip(declared, shape, strict=False) if isinstance(d, int)]
            if len(shape) == len(declared) and all(d == n for d, n in known):
                return shape
        wanted = ", ".join("any" if not isinstance(d, int) else str(d) for d in declared)
        raise ManifoldError(
            f"the ONNX model takes rows of shape ({wanted}), the data's are {' or '.join(map(str, candidates))}: was it made "
            "for other data, or for encoded columns? A function of rows can convert them and run the session"
        )

    def __call__(self, rows: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Scores (B, K) and labels (B,) of rows; None for what the model does not return.

        Args:
            rows: A data frame for a model with an input for each column, else an array or a list of strings.

        Raises:
            ManifoldError: If a value does not fit the input's type.
        """
        return self._batches(self._given(rows))[:2]

    def numbers(self, rows: Any) -> np.ndarray:
        """The scores (B, M) of rows as they are, of a model that predicts a score or labels.

        Raises:
            ManifoldError: If the model returns no numbers, or a value does not fit the input's type.
        """
        scores = self(rows)[0]
        if scores is None:
            raise ManifoldError("the ONNX model returns only labels: export it with its numbers, or leave outputs= out")
        return scores

    def _given(self, rows: Any) -> dict[str, np.ndarray]:
        """The inputs of the session."""
        if len(self.inputs) > 1:
            return {part.name: _typed(np.asarray(rows[part.name], dtype=object), part) for part in self.inputs}
        return {self.inputs[0].name: _typed(np.asarray(rows), self.inputs[0])}

    def _batches(self, given: dict[str, np.ndarray]) -> Answer:
        """See `_asked`; in batches of the size that the model declares, the last one filled up."""
        count, fixed = len(next(iter(given.values()))), self.inputs[0].shape[0] if self.inputs[0].shape else None
        if not isinstance(fixed, int) or fixed == count:
            return self._asked(given)
        found: list[Answer] = []
        for low in range(0, count, fixed):
            part = {name: value[low : low + fixed] for name, value in given.items()}
            lack = fixed - min(fixed, count - low)
            found.append(self._asked({n: np.concatenate([v, np.repeat(v[-1:], lack, 0)]) for n, v in part.items()}))
        scores, labels, keys = zip(*found, strict=True)
        whole = [None if parts[0] is None else np.concatenate(parts)[:count] for parts in (scores, labels)]
        return whole[0], whole[1], keys[0]

    def _asked(self, given: dict[str, np.ndarray]) -> Answer:
        """Scores (B, K), labels (B,), and the classes that a map of scores names."""
        names = [name for name in (self.scores, self.labels) if name is not None]
        found = dict(zip(names, self.session.run(names, given), strict=True))
        scores, labels, keys = found.get(self.scores), found.get(self.labels), None
        if isinstance(scores, list):
            keys = list(scores[0])
            scores = np.array([[row[key] for key in keys] for row in scores])
        if scores is not None and scores.ndim == 1:
            scores = scores[:, None]
        return scores, None if labels is None else np.asarray(labels).reshape(-1), keys


class OnnxClassifier(FunctionClassifier, DetectsLogits):
    """An `OnnxModel` as a classifier. Scores that are not probabilities are taken for logits.

    Args:
        model: The model.
        class_names: Names of the classes, in the order of the scores.
        input_shape: Shape of one row of its input.
        units: The user's units.
        label_only: Show only the argmax.
        outputs: ``logits`` or ``probabilities``; None: detected, as for torch modules.

    Attributes:
        sha256: Of the model's file, or None.

    Example:
        >>> from types import SimpleNamespace
        >>> from envs.modalities.fitting import fit_units
        >>> rows, p = (SimpleNamespace(name=n, type="tensor(float)", shape=["n", 2]) for n in ("rows", "probabilities"))
        >>> session = SimpleNamespace(get_inputs=lambda: [rows], get_outputs=lambda: [p], run=lambda _, given: [given["rows"]])
        >>> model = OnnxClassifier(OnnxModel(session), ["no", "yes"], (2,), fit_units(np.eye(2)))
        >>> model.class_names, model.outputs
        (['no', 'yes'], 'probabilities')
    """

    def __init__(
        self,
        model: OnnxModel,
        class_names: Sequence[Any],
        input_shape: Sequence[int],
        units: Units,
        label_only: bool = False,
        outputs: str | None = None,
    ) -> None:
        super().__init__(model, class_names, input_shape, units, label_only or model.scores is None, owner=model)
        self.model, self.sha256, self.call = model, model.sha256, "the ONNX model"
        self._declare_outputs(outputs or ("probabilities" if model.says_probabilities else None))
        self._place = {str(i): i for i in range(len(self.class_names))} | {name: i for i, name in enumerate(self.class_names)}

    def _of_rows(self, rows: Any) -> Tensor:
        shape = None if self.strings else self.input_shape
        with failures_named(self.call, len(rows), shape), owners_torch():
            scores, labels = self.model(rows)
        if scores is None:
            return torch.nn.functional.one_hot(self._places(labels), len(self.class_names)).float()
        given = torch.from_numpy(in_float32(np.array(scores, dtype=np.float64)))
        if given.ndim == 2 and given.shape[1] == 1 and len(self.class_names) == 2:
            if self.outputs == "logits":
                given = given.sigmoid()
            return both(probability_of_one(given, self.class_names))
        if given.ndim != 2 or given.shape[1] != len(self.class_names):
            return given  # refused by the check of predictions
        if labels is not None:
            self._check_order(given, self._places(labels))
        return given if self._gives_probabilities(given.numpy(), self.call) else given.softmax(1)

    def _places(self, labels: np.ndarray | None) -> Tensor:
        """Index of the class of each label: by its name, else by its number."""
        texts = [str(label) for label in ([] if labels is None else labels)]
        if unknown := next((text for text in texts if text not in self._place), None):
            raise ManifoldError(f"the ONNX model returned the label {unknown!r}, none of the classes {self.class_names}")
        return torch.tensor([self._place[text] for text in texts])

    def _check_order(self, scores: Tensor, places: Tensor) -> None:
        """Refuse class names in another order than the scores'."""
        lower = scores.gather(1, places[:, None])[:, 0] < scores.max(1).values - CLOSE
        if bool(lower.any()):
            row = int(lower.int().argmax())
            raise ManifoldError(
                f"the ONNX model labels a row {self.class_names[int(places[row])]!r}, and its scores are highest for "
                f"{self.class_names[int(scores[row].argmax())]!r}: give class_names= in the order of the scores"
            )


def is_onnx_file(name: Any) -> bool:
    """Whether this names an ONNX file."""
    return isinstance(name, str | Path) and str(name).lower().endswith(SUFFIX)


def is_session(found: Any) -> bool:
    """Whether this is a session of onnxruntime."""
    return all(hasattr(found, name) for name in ("get_inputs", "get_outputs", "run"))


def _session(content: bytes, path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ManifoldError(f"{path} needs onnxruntime: pip install 'manifold-traversal[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its errors are raised, too
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ManifoldError(
            f"onnxruntime cannot open {path} ({type(error).__name__}: {str(error).splitlines()[0][:200]}); save the model in "
            "one file, with its weights inside and standard operators"
        ) from None


def _kind(part: Any) -> str:
    """``float`` for a tensor(float)."""
    return str(part.type).removeprefix("tensor(").removesuffix(")")


def _type(part: Any) -> Any:
    return TYPES[_kind(part)]


def _typed(values: np.ndarray, part: Any) -> np.ndarray:
    """Values as the model's input takes them.

    Raises:
        ManifoldError: If a value would change, or is missing where the type has no missing value.
    """
    kind = _type(part)
    missing = (
        np.array([value is None or value != value for value in values.ravel()]) if values.dtype == object else np.zeros(0)
    )
    if missing.any() and kind not in (np.float16, np.float32, np.float64):
        raise ManifoldError(f"the ONNX model's input {part.name!r} is a {part.type}, which has no missing value")
    if kind is object:
        found = np.array([str(value) for value in values.ravel()], dtype=object).reshape(values.shape)
    else:
        found = np.asarray(np.where(missing.reshape(values.shape), np.nan, values) if missing.any() else values).astype(kind)
        if np.dtype(kind).kind in "iub" and not bool((found == values).all()):
            wrong = values[found != values].ravel()[0]
            raise ManifoldError(
                f"the ONNX model's input {part.name!r} takes whole numbers, and got {wrong}: describe the column as whole, "
                "columns={...: {integer: true}}, or export the model with an input of floats"
            )
    rank = len(part.shape)
    return found[:, None] if found.ndim == 1 and rank == 2 else found
