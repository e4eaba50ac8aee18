"""Torch modules as classifiers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.classifiers.outputs import ROUNDED, DetectsLogits, both, failures_named, probability_of_one
from envs.errors import ManifoldError
from envs.manifolds.networks.arrays import on_arrays, softmax
from envs.modalities.base import Units
from envs.modalities.rows import RowUnits
from envs.runtime.torch_defaults import owners_torch


class TorchClassifier(DetectsLogits, Classifier):
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
        >>> from envs.modalities.fitting import fit_units
        >>> network = torch.nn.Linear(3, 2)
        >>> classifier = TorchClassifier(network, ["no", "yes"], (3,), fit_units(np.eye(3)), outputs="logits")
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
        self.module = module
        self.input_shape = tuple(input_shape)
        self.units = units
        self._declare_outputs(outputs)
        self.call = f"the torch module {type(module).__name__}"
        # For few rows numpy is several times faster than the module.
        self.plain = on_arrays(module) if type(module) is torch.nn.Sequential else None
        count, self.writes_input = probe(module, self.input_shape)
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
            return torch.cat([torch.zeros_like(given), given], 1) if self.outputs == "logits" else both(given).log()
        return given.clamp_min(1e-12).log() if self._gives_probabilities(given.detach().numpy(), self.call) else given

    def features(self, x: Tensor) -> Tensor:
        """Output of the module's own method `features`, else the input of its last linear layer, (B, m)."""
        if self.label_only:
            raise ManifoldError("the classifier is label-only, so its hidden layer is hidden, too")
        rows = self._rows(x)
        own = getattr(self.module, "features", None)
        own = own if callable(own) and not isinstance(own, torch.nn.Module) else None
        call = "its method features" if own is not None else self.call
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
        with in_eval_mode(self.module), failures_named(self.call, len(rows), self.input_shape), owners_torch():
            given: Tensor = self.module(rows)
        return given.to("cpu", torch.float32)

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
                return both(probability_of_one(torch.from_numpy(given), self.class_names))
            given = np.hstack([np.zeros_like(given), given])
        elif self._gives_probabilities(given, self.call):
            return torch.from_numpy(np.array(given, dtype=np.float32))
        return torch.from_numpy(softmax(given))

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


def _type_of(module: torch.nn.Module) -> dict[str, Any]:
    """Type and device of a module's input: those of its weights, else float32 on the CPU."""
    weights = next((weight for weight in module.parameters() if weight.is_floating_point()), None)
    if weights is None:
        return {"dtype": torch.float32}
    return {"dtype": weights.dtype, "device": weights.device}


def torch_shape(module: torch.nn.Module, units: Units, declared: Sequence[int] | None) -> tuple[int, ...]:
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
            probe(module, shape)
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


def probe(module: torch.nn.Module, input_shape: Sequence[int]) -> tuple[int, bool]:
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
