"""scikit-learn's handwritten digits (UCI optical recognition, 1,797 images of 8x8 pixels); no download."""

from __future__ import annotations

import numpy as np

from envs.datasets.arrays import Data


def load(seed: int = 0, test_size: float = 0.3) -> Data:
    """Digits in [0, 1] in a stratified split: 1,257 reference and 540 held-out images at the default size.

    Args:
        seed: Seed of the split.
        test_size: Share of held-out images.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    pictures = (x / 16).astype(np.float32).reshape(-1, 8, 8)
    train, test, y_train, y_test = train_test_split(pictures, y, test_size=test_size, stratify=y, random_state=seed)
    return Data(train, test, y_train, y_test, [str(digit) for digit in range(10)])
