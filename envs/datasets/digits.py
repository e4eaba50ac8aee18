"""scikit-learn's handwritten digits (UCI optical recognition, 1,797 images of 8x8 pixels); no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from envs.datasets.arrays import Data
from envs.reading.files import read_safetensors

#: The default split, so that the environments of the digits start without importing scikit-learn (about 1 s).
SHIPPED = Path(__file__).parent.parent / "assets" / "digits" / "images.safetensors"

#: Arrays of the file, in the order of `split`.
PARTS = {"train": np.uint8, "held_out": np.uint8, "truth": np.int64, "truth_held_out": np.int64}


def load(seed: int = 0, test_size: float = 0.3) -> Data:
    """Digits in [0, 1] in a stratified split: 1,257 reference and 540 held-out images at the default size.

    Args:
        seed: Seed of the split.
        test_size: Share of held-out images.
    """
    train, test, y_train, y_test = _shipped() if (seed, test_size) == (0, 0.3) else split(seed, test_size)
    x, held_out = ((part / np.float32(16)).astype(np.float32) for part in (train, test))
    return Data(x, held_out, y_train, y_test, [str(digit) for digit in range(10)])


def split(seed: int, test_size: float) -> list[np.ndarray]:
    """Training and held-out images (N, 8, 8), uint8 from 0 to 16, then their digits (N,) int64."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    images = x.astype(np.uint8).reshape(-1, 8, 8)
    return train_test_split(images, y, test_size=test_size, stratify=y, random_state=seed)


def _shipped() -> list[np.ndarray]:
    found = read_safetensors(SHIPPED)
    return [found[name].numpy().astype(kind) for name, kind in PARTS.items()]
