"""Figures of merit that several bonuses report."""

from __future__ import annotations

import torch
from torch import Tensor


def r_squared(predicted: Tensor, targets: Tensor) -> float:
    """1 - sum (y - m)^2 / sum (y - mean y)^2 over (B, D); NaN-free: 0 where there is nothing to explain."""
    if len(targets) < 2:
        return 0.0
    residual = (targets - predicted).square().sum()
    total = (targets - targets.mean(0)).square().sum()
    return float(1.0 - residual / total) if float(total) > 0 else 0.0


def quantile(values: Tensor, q: float) -> float:
    """The q-quantile of (N,) values of any N >= 1 (torch.quantile stops at 16 million)."""
    ordered = torch.sort(values.flatten()).values
    return float(ordered[min(int(q * len(ordered)), len(ordered) - 1)])
