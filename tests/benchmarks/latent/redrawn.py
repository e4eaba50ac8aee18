"""Handwriting drawn again with a pen of another width: its skeleton, and a round brush along it. For controls."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

FINER = 4  # pixels of the fine picture for each of the given one's
INK = 0.4  # grey value from which a fine pixel is ink


def redrawn(x: torch.Tensor, width: float) -> torch.Tensor:
    """Pictures x (N, H, W) in [0, 1] with strokes of `width` pixels; where they run stays the same."""
    fine = F.interpolate(x[:, None], scale_factor=FINER, mode="bilinear")[:, 0].clamp(0, 1)
    skeleton = torch.from_numpy(thinned((fine >= INK).numpy())).float()[:, None]
    radius = (width * FINER - 1) / 2
    reach = int(np.ceil(radius))
    rows, columns = torch.meshgrid(*[torch.arange(-reach, reach + 1)] * 2, indexing="ij")
    brush = (rows**2 + columns**2 <= radius**2 + 1e-6).float()
    drawn = (F.conv2d(skeleton, brush[None, None], padding=reach) > 0).float()
    return F.avg_pool2d(drawn, FINER)[:, 0]


def thinned(ink: np.ndarray) -> np.ndarray:
    """Skeletons, one pixel wide, of ink (N, H, W) bool; all pictures at once.

    Zhang and Suen, "A Fast Parallel Algorithm for Thinning Digital Patterns", Communications of the ACM 27, 1984: two
    kinds of passes in turn remove edge pixels whose removal neither cuts a stroke nor shortens its end.
    """
    ink = np.pad(ink, ((0, 0), (1, 1), (1, 1)))
    while True:
        before = int(ink.sum())
        for first in (True, False):
            # The eight neighbours, clockwise from the one above.
            shifts = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
            ring = [np.roll(ink, shift, (1, 2)) for shift in shifts]
            count = sum(pixel.astype(np.int8) for pixel in ring)
            crossings = sum((~a & b).astype(np.int8) for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))
            up, right, down, left = ring[0], ring[2], ring[4], ring[6]
            if first:
                open_side = ~(up & right & down) & ~(right & down & left)
            else:
                open_side = ~(up & right & left) & ~(up & down & left)
            ink = ink & ~((count >= 2) & (count <= 6) & (crossings == 1) & open_side)
        if int(ink.sum()) == before:
            return ink[:, 1:-1, 1:-1]
