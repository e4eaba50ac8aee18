"""Statistics that several bonuses report."""

from __future__ import annotations

import torch
from torch import Tensor


def r_squared(predicted: Tensor, targets: Tensor) -> float:
    """Coefficient of determination, 1 - sum (y - m)^2 / sum (y - mean y)^2, pooled over (B, D).

    Returns:
        R2, or 0.0 if B < 2 or the targets are constant.
    """
    if len(targets) < 2:
        return 0.0
    residual = (targets - predicted).square().sum()
    total = (targets - targets.mean(0)).square().sum()
    return float(1.0 - residual / total) if float(total) > 0 else 0.0


def quantile(values: Tensor, q: float) -> float:
    """Return the q-quantile of (N,) values, N >= 1. ``torch.quantile`` accepts at most 16 million."""
    ordered = torch.sort(values.flatten()).values
    return float(ordered[min(int(q * len(ordered)), len(ordered) - 1)])
