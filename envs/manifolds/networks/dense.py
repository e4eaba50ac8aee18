"""Multilayer perceptrons with closed-form Jacobians."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from envs.manifolds.networks.arrays import sigmoid, silu, silu_slope


class MLP(nn.Module):
    """Linear layers with SiLU between them: smooth, so that the pullback metric of a decoder is smooth, too.

    Args:
        sizes: Widths from input to output.
        squash: Apply a sigmoid to the output (images in [0, 1]).

    Example:
        >>> decoder = MLP((2, 8, 5), squash=True)
        >>> z = torch.zeros(3, 2)
        >>> tuple(decoder(z).shape), tuple(decoder.jacobian(z).shape)
        ((3, 5), (3, 5, 2))
    """

    def __init__(self, sizes: Sequence[int], squash: bool = False) -> None:
        super().__init__()
        pairs = list(pairwise(sizes))
        self.hidden: Iterable[nn.Linear] = nn.ModuleList(nn.Linear(a, b) for a, b in pairs[:-1])  # type: ignore[assignment]
        self.last = nn.Linear(*pairs[-1])
        self.squash = squash

    def logits(self, h: Tensor) -> Tensor:
        """Output (B, out) before the sigmoid."""
        for layer in self.hidden:
            h = F.silu(_linear(layer, h), inplace=not torch.is_grad_enabled())
        return _linear(self.last, h)

    def forward(self, h: Tensor) -> Tensor:
        """Output (B, out) for inputs (B, in)."""
        out = self.logits(h)
        if not self.squash:
            return out
        return torch.sigmoid(out) if torch.is_grad_enabled() else out.sigmoid_()

    def jacobian(self, h: Tensor) -> Tensor:
        """Jacobian (B, out, in) in closed form: one forward pass that carries the tangents."""
        tangent: Tensor | None = None  # (B, in, width)
        for layer in self.hidden:
            h, slope = _silu(layer(h))
            tangent = layer.weight.T.expand(len(h), -1, -1) if tangent is None else tangent @ layer.weight.T
            tangent = tangent * slope[:, None]
        weight = self.last.weight
        tangent = weight.T.expand(len(h), -1, -1) if tangent is None else tangent @ weight.T
        if self.squash:
            tangent = tangent * _sigmoid_slope(self.last(h))[:, None]
        return tangent.transpose(1, 2)

    def jvp(self, h: Tensor, tangent: Tensor) -> Tensor:
        """Change (B, out) along input tangents (B, in); not differentiable further."""
        *hidden, (weight, bias) = self.arrays
        a, along = h.numpy(), tangent.numpy()
        for first, shift in hidden:
            a, gate = silu(_affine(a, first, shift))
            along = along @ first.T
            along *= silu_slope(a, gate)
        along = along @ weight.T
        if self.squash:
            out = sigmoid(_affine(a, weight, bias))
            along *= out - out * out
        return torch.from_numpy(along)

    def vjp(self, h: Tensor, cotangent: Tensor) -> Tensor:
        """Gradient (B, in) by the input of <cotangent, output> for cotangents (B, out); not differentiable further."""
        return torch.from_numpy(self.linearized(h.numpy())[1](cotangent.numpy()))

    @cached_property
    def arrays(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weight (out, in) and bias (out,) of each layer as views: later changes are visible."""
        return [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in (*self.hidden, self.last)]

    def on_arrays(self, h: np.ndarray) -> np.ndarray:
        """`forward` on arrays: for few rows, its calls take half the time of torch's."""
        *hidden, (weight, bias) = self.arrays
        for first, shift in hidden:
            h = silu(_affine(h, first, shift))[0]
        out = _affine(h, weight, bias)
        return sigmoid(out) if self.squash else out

    def linearized(self, h: np.ndarray) -> tuple[np.ndarray, Linearized]:
        """`forward` and `vjp` in one pass, on arrays.

        Args:
            h: Inputs, (B, in).

        Returns:
            The output (B, out), and the function from cotangents (..., B, out) to gradients (..., B, in).
        """
        *hidden, (weight, bias) = self.arrays
        units = []
        for first, shift in hidden:
            h, gate = silu(_affine(h, first, shift))
            units.append((h, gate))
        out = _affine(h, weight, bias)
        if self.squash:
            out = sigmoid(out)
        return out, Linearized([first for first, _ in self.arrays], units, out if self.squash else None)


class Linearized:
    """The vector-Jacobian product of an `MLP` at B inputs, from what its forward pass computed.

    Args:
        weights: of the layers, from first to last, (out, in).
        units: activations and gates (B, width) of each hidden layer.
        out: outputs (B, out) of a sigmoid; None: there is none.

    Example:
        >>> out, pull = MLP((2, 8, 5)).linearized(np.zeros((3, 2), np.float32))
        >>> pull(np.ones_like(out)).shape
        (3, 2)
    """

    def __init__(self, weights: list[np.ndarray], units: list[tuple[np.ndarray, np.ndarray]], out: np.ndarray | None) -> None:
        self.weights, self.units, self.out = weights, units, out

    def __call__(self, cotangent: np.ndarray) -> np.ndarray:
        """Gradients (..., B, in) of cotangents (..., B, out)."""
        if self.out is not None:
            cotangent = cotangent * (self.out - self.out * self.out)
        *hidden, last = self.weights
        cotangent = cotangent @ last
        for first, unit in zip(reversed(hidden), reversed(self.units), strict=True):
            cotangent = (cotangent * silu_slope(*unit)) @ first
        return cotangent

    def put(self, rows: np.ndarray, other: Linearized) -> None:
        """Take over `other`'s inputs for the inputs `rows` (R,)."""
        for own, new in zip(self.units, other.units, strict=True):
            for part, value in zip(own, new, strict=True):
                part[rows] = value
        if self.out is not None and other.out is not None:
            self.out[rows] = other.out


def _affine(h: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The layer on arrays."""
    out: np.ndarray = h @ weight.T
    out += bias
    return out


def _linear(layer: nn.Linear, h: Tensor) -> Tensor:
    """The layer without the overhead of a module call, which for a single row costs as much as the product."""
    return F.linear(h, layer.weight, layer.bias)


def _silu(a: Tensor) -> tuple[Tensor, Tensor]:
    """SiLU and its derivative."""
    gate = torch.sigmoid(a)
    return a * gate, gate * (1 + a * (1 - gate))


def _sigmoid_slope(a: Tensor) -> Tensor:
    """Derivative of the sigmoid at a."""
    gate = torch.sigmoid(a)
    return gate * (1 - gate)
