"""Multilayer perceptrons with a closed-form Jacobian: the encoder and decoder of small manifolds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MLP(nn.Module):
    """Linear layers with SiLU between them; smooth, so that the pullback metric of a decoder is too.

    Args:
        sizes: widths from input to output.
        squash: sigmoid on the output (pictures in [0, 1]).
    """

    def __init__(self, sizes: Sequence[int], squash: bool = False) -> None:
        super().__init__()
        pairs = list(pairwise(sizes))
        self.hidden: Iterable[nn.Linear] = nn.ModuleList(nn.Linear(a, b) for a, b in pairs[:-1])  # type: ignore[assignment]
        self.last = nn.Linear(*pairs[-1])
        self.squash = squash

    def logits(self, h: Tensor) -> Tensor:
        """Output before the squashing, (B, out)."""
        for layer in self.hidden:
            h = F.silu(_linear(layer, h), inplace=not torch.is_grad_enabled())
        return _linear(self.last, h)

    def forward(self, h: Tensor) -> Tensor:
        """Output (B, out) of input (B, in)."""
        out = self.logits(h)
        if not self.squash:
            return out
        return torch.sigmoid(out) if torch.is_grad_enabled() else out.sigmoid_()

    def jacobian(self, h: Tensor) -> Tensor:
        """d output / d input, (B, out, in), in closed form: one forward pass that carries its tangents along."""
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
        """Directional derivative (B, out) along input tangents (B, in)."""
        for layer in self.hidden:
            h, slope = _silu(_linear(layer, h))
            tangent = (tangent @ layer.weight.T).mul_(slope)
        tangent = tangent @ self.last.weight.T
        return tangent.mul_(_sigmoid_slope(_linear(self.last, h))) if self.squash else tangent

    def vjp(self, h: Tensor, cotangent: Tensor) -> Tensor:
        """Gradient (B, in) by the input of <cotangent, output>, cotangents (B, out)."""
        slopes = []
        for layer in self.hidden:
            h, slope = _silu(_linear(layer, h))
            slopes.append(slope)
        if self.squash:
            cotangent = cotangent * _sigmoid_slope(_linear(self.last, h))
        cotangent = cotangent @ self.last.weight
        for layer, slope in zip(reversed(list(self.hidden)), reversed(slopes), strict=True):
            cotangent = (cotangent * slope) @ layer.weight
        return cotangent


def _linear(layer: nn.Linear, h: Tensor) -> Tensor:
    """The layer without the module's call around it, which on a single row costs as much as the product."""
    return F.linear(h, layer.weight, layer.bias)


def _silu(a: Tensor) -> tuple[Tensor, Tensor]:
    """SiLU of a and its derivative."""
    gate = torch.sigmoid(a)
    return a * gate, gate * (1 + a * (1 - gate))


def _sigmoid_slope(a: Tensor) -> Tensor:
    """Derivative of the sigmoid at a."""
    gate = torch.sigmoid(a)
    return gate * (1 - gate)
