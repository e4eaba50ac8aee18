"""Layers of small networks as numpy functions.

For the batches of a walk, a single row or a thousand narrow ones, call overhead dominates, and numpy's is less than half of
torch's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn


def sigmoid(a: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-a)), computed with the hyperbolic tangent, which does not overflow."""
    out = 0.5 * a
    np.tanh(out, out=out)
    out *= 0.5
    out += 0.5
    return out


def silu(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SiLU a * sigmoid(a), and its gate sigmoid(a)."""
    gate = sigmoid(a)
    return a * gate, gate


def silu_slope(out: np.ndarray, gate: np.ndarray) -> np.ndarray:
    """Derivative of SiLU, from its output and gate."""
    slope = out * gate
    np.subtract(out, slope, out=slope)
    slope += gate
    return slope


def norm(x: np.ndarray) -> np.ndarray:
    """Euclidean norm of the rows of x (..., D)."""
    return np.sqrt(np.vecdot(x, x))


def softmax(a: np.ndarray) -> np.ndarray:
    """Softmax of the rows of a (B, K). The columns are compared, because numpy is slow to find the maximum of a short row."""
    p = a - np.ascontiguousarray(a.T).max(0)[:, None]
    np.exp(p, out=p)
    p /= p.sum(1, keepdims=True)
    return p


def on_arrays(layers: Iterable[nn.Module]) -> Callable[[np.ndarray], np.ndarray] | None:
    """Layers in sequence as one numpy function.

    The function reads the layers' present weights: later changes are visible.

    Args:
        layers: The layers, in order.

    Returns:
        The function; None if a layer's type is not supported or the layer has hooks.
    """
    steps = [_step(layer) for layer in layers]
    if not all(steps):
        return None

    def run(x: np.ndarray) -> np.ndarray:
        for step in steps:
            x = step(x)  # type: ignore[misc]
        return x

    return run


def _step(layer: nn.Module) -> Callable[[np.ndarray], np.ndarray] | None:
    """One layer as a numpy function, or None."""
    if layer._forward_hooks or layer._forward_pre_hooks:
        return None
    if type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1):
        return lambda x: x.reshape(len(x), -1)
    if type(layer) is nn.Linear and layer.bias is not None and _is_plain(layer.weight):
        return _Product(layer)
    return ELEMENTWISE.get(type(layer))


class _Product:
    """A linear layer as a function of arrays (B, in), on views of its weights; new views once the layer has other weights."""

    def __init__(self, layer: nn.Linear) -> None:
        self.parameters = layer._parameters  # without the detour of an attribute of a module
        self.place: tuple[int, int] | None = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        weight, bias = self.parameters["weight"], self.parameters["bias"]
        assert weight is not None
        assert bias is not None
        place = weight.data_ptr(), bias.data_ptr()
        if place != self.place:
            self.place, self.views = place, (weight.detach().numpy().T, bias.detach().numpy())
        out: np.ndarray = x @ self.views[0]
        out += self.views[1]
        return out


def _is_plain(weight: torch.Tensor) -> bool:
    """Whether numpy can view these values without a copy."""
    return weight.dtype == torch.float32 and weight.device.type == "cpu"


ELEMENTWISE: dict[type[nn.Module], Callable[[np.ndarray], np.ndarray]] = {
    nn.Tanh: np.tanh,
    nn.ReLU: lambda x: np.maximum(x, 0),
    nn.SiLU: lambda x: silu(x)[0],
    nn.Identity: lambda x: x,
}
