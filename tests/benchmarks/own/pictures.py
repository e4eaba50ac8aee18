"""Pictures in the scale, type and channel order of the user: the digits of scikit-learn, grey and coloured."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.benchmarks.own.cases import Case, Cases, Entry, split


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, 8, 8) in [0, 1] and their classes."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images / 16, found.target


def coloured(pictures: np.ndarray, seed: int) -> np.ndarray:
    """Pictures (N, 8, 8, 3), each in a colour of its own."""
    colours = np.random.default_rng(seed).uniform(0.3, 1.0, (len(pictures), 1, 1, 3))
    return pictures[..., None] * colours


def _case(pictures: np.ndarray, classes: np.ndarray, seed: int, flat: bool = True, **settings: Any) -> Case:
    """A forest of flat pictures, or a logistic regression in a function of whole ones."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    x, held_out, y, _ = split(pictures, classes, seed)
    if flat:
        forest = RandomForestClassifier(60, random_state=seed).fit(x.reshape(len(x), -1), y)
        return Case(
            {"data": x, "held_out": held_out, "classifier": forest, **settings}, held_out,
            lambda rows: forest.predict_proba(np.asarray(rows).reshape(len(rows), -1)),
        )  # fmt: skip
    scale = np.abs(x).max()
    model = LogisticRegression(max_iter=500).fit(x.reshape(len(x), -1) / scale, y)

    def whole(rows: Any) -> np.ndarray:
        """Probabilities of pictures of the user's own shape; another shape is an error."""
        if np.shape(rows)[1:] != x.shape[1:]:
            raise ValueError(f"pictures of shape {np.shape(rows)[1:]}, {x.shape[1:]} are needed")
        return np.asarray(model.predict_proba(np.asarray(rows, dtype=float).reshape(len(rows), -1) / scale))

    names = [str(name) for name in np.unique(classes)]
    return Case({"data": x, "held_out": held_out, "classifier": whole, "class_names": names, **settings}, held_out, whole)


def _grey(low: float, high: float, kind: str = "float64", flat: bool = True, **settings: Any) -> Entry:
    """Grey digits in a range and type."""

    def make(seed: int) -> Case:
        pictures, classes = _digits()
        scaled = pictures * (high - low) + low
        scaled = np.round(scaled) if kind == "uint8" else scaled
        return _case(scaled.astype(kind), classes, seed, flat, **settings)

    return Entry(make)


def _colour(last: bool, kind: str) -> Entry:
    """Coloured digits, channels last or first, as uint8 in 0..255 or as floats in [0, 1]."""

    def make(seed: int) -> Case:
        pictures, classes = _digits()
        colours = coloured(pictures, seed)
        colours = np.round(colours * 255).astype(np.uint8) if kind == "uint8" else colours.astype(kind)
        return _case(colours if last else np.moveaxis(colours, -1, 1), classes, seed, flat=False)

    return Entry(make)


CASES: Cases = {
    "digits in 0..16, forest": _grey(0, 16, pixel_range=(0, 16)),
    "digits in [0, 1], forest": _grey(0, 1),
    "digits in 0..255, uint8, function": _grey(0, 255, "uint8", flat=False),
    "digits in [-1, 1], function": _grey(-1, 1, "float32", flat=False, pixel_range=(-1, 1)),
    "colour, channels last, uint8": _colour(True, "uint8"),
    "colour, channels first, float32": _colour(False, "float32"),
}
