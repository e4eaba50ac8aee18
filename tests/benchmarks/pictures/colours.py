"""Pictures in colour whose hue says nothing about their class: drawn shapes and tinted clothes; and their hue."""

from __future__ import annotations

import colorsys

import numpy as np

SIDE = 32
SHAPES = ("disc", "square", "triangle", "ring")
SOFT = 1.0  # pixels over which an edge fades
BACKGROUND = (0.05, 0.25)  # grey levels


def tint(rng: np.random.Generator, count: int) -> np.ndarray:
    """Colours (N, 3) of hues drawn evenly round the circle."""
    hsv = zip(rng.uniform(0, 1, count), rng.uniform(0.6, 0.95, count), rng.uniform(0.75, 1, count), strict=True)
    return np.array([colorsys.hsv_to_rgb(*one) for one in hsv], dtype=np.float32)


def coloured_shapes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Shapes of drawn place, size, turn and hue on a grey ground: (N, 3, 32, 32) in [0, 1], and their classes (N,).

    Example:
        >>> x, shape = coloured_shapes(8, seed=0)
        >>> x.shape, sorted(set(shape.tolist()))
        ((8, 3, 32, 32), [0, 1, 2, 3])
    """
    rng = np.random.default_rng(seed)
    kind = np.arange(count) % len(SHAPES)
    size, turn = rng.uniform(7, 11, (count, 1, 1)), rng.uniform(-0.4, 0.4, (count, 1, 1))
    middle = rng.uniform(13, 19, (2, count, 1, 1))
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    dy, dx = rows - middle[0], columns - middle[1]
    u, v = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    radius = np.hypot(u, v)
    outside = np.stack([  # pixels beyond the edge, negative inside
        radius - size, np.maximum(abs(u), abs(v)) - 0.85 * size,
        np.maximum(v - 0.7 * size, 0.866 * abs(u) - 0.5 * v - 0.6 * size), abs(radius - 0.75 * size) - 0.25 * size,
    ])  # fmt: skip
    mask = np.clip(0.5 - outside[kind, np.arange(count)] / SOFT, 0, 1)[:, None]
    ground = rng.uniform(*BACKGROUND, (count, 1, 1, 1))
    return (mask * tint(rng, count)[:, :, None, None] + (1 - mask) * ground).astype(np.float32), kind


def tinted(pictures: np.ndarray, seed: int) -> np.ndarray:
    """Grey pictures (N, H, W), each in a hue of its own: (N, 3, H, W)."""
    return pictures[:, None] * tint(np.random.default_rng(seed), len(pictures))[:, :, None, None]


def hue(x: np.ndarray) -> np.ndarray:
    """Mean hue (N,) in degrees of pictures (N, 3, H, W), every pixel weighted by its chroma."""
    red, green, blue = np.moveaxis(np.asarray(x, dtype=np.float64), 1, 0)
    alpha, beta = red - (green + blue) / 2, np.sqrt(3) / 2 * (green - blue)
    return np.degrees(np.arctan2(beta.sum((1, 2)), alpha.sum((1, 2)))) % 360


def hue_change(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle (N,) in degrees between the mean hues of pictures, at most 180."""
    gap = np.abs(hue(a) - hue(b))
    return np.minimum(gap, 360 - gap)
