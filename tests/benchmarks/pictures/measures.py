"""Measures of ends on pictures in [0, 1]: ECCCo's implausibility, sharpness and variety.

Symbols: N ends, M real pictures, H, W.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

NEAREST, WINDOW, SIGMA = 100, 11, 1.5
LAPLACIAN = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


def blurred(x: Tensor) -> Tensor:
    """Pictures (N, H, W) under a Gaussian window of 11 pixels."""
    places = torch.arange(WINDOW) - WINDOW // 2
    line = torch.exp(-places.float().square() / (2 * SIGMA**2))
    line = line / line.sum()
    x = F.pad(x[:, None], (WINDOW // 2,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(x, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))[:, 0]


class Local(NamedTuple):
    """Local statistics of pictures (N, H, W), for `ssim`.

    Example:
        >>> local(torch.zeros(2, 12, 12)).mean.shape
        torch.Size([2, 12, 12])
    """

    x: Tensor
    mean: Tensor
    var: Tensor


def local(x: Tensor) -> Local:
    """Their local means and variances."""
    mean = blurred(x)
    return Local(x, mean, blurred(x * x) - mean**2)


def ssim(a: Local, b: Local) -> Tensor:
    """Structural similarity (N,) of pictures in [0, 1] (Wang and others, 2004); one of the two may be a single picture."""
    both = blurred(a.x * b.x) - a.mean * b.mean
    c1, c2 = 0.01**2, 0.03**2
    found = (2 * a.mean * b.mean + c1) * (2 * both + c2) / ((a.mean**2 + b.mean**2 + c1) * (a.var + b.var + c2))
    return found.mean((1, 2))


def implausibility(
    ends: Tensor, target: np.ndarray, bank: Tensor, bank_class: np.ndarray, nearest: bool = False
) -> np.ndarray:
    """(N,) ECCCo's measure: mean (1 - SSIM) / 2 to 100 pictures of the target class in a bank (M, H, W), spread evenly over
    those of the class, or the nearest."""
    found = np.zeros(len(ends))
    for k in np.unique(target):
        own, rows = bank[bank_class == k], np.flatnonzero(target == k)
        known, mine = local(own), local(ends[rows])
        near = torch.linspace(0, len(own) - 1, NEAREST).long().expand(len(rows), -1)
        if nearest:
            near = torch.cdist(ends[rows].flatten(1), own.flatten(1)).topk(min(NEAREST, len(own)), largest=False).indices
        for place, (row, index) in enumerate(zip(rows, near, strict=True)):
            one = Local(*(part[place : place + 1] for part in mine))
            found[row] = float((1 - ssim(one, Local(*(part[index] for part in known)))).mean() / 2)
    return found


def sharpness(x: Tensor) -> np.ndarray:
    """(N,) variance of the Laplacian of pictures (N, H, W)."""
    return np.asarray(F.conv2d(x[:, None], LAPLACIAN.view(1, 1, 3, 3)).flatten(1).var(1).numpy())


def variety(x: Tensor, label: np.ndarray) -> float:
    """Mean distance between two pictures (N, H, W) of one class, over all such pairs."""
    apart: list[np.ndarray] = []
    for k in np.unique(label):
        own = x[torch.from_numpy(label == k)].flatten(1)
        apart.append(torch.pdist(own).numpy())
    return float(np.concatenate(apart).mean())
