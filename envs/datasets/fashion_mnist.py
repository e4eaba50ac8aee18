"""Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017): 60,000 + 10,000 articles of clothing of 28x28 pixels, in MNIST's format.

Without the files the registered id still works: `decoded` returns the images that the shipped codes decode to.
"""

from __future__ import annotations

from pathlib import Path

from envs.datasets.arrays import Data
from envs.datasets.mnist import IdxSet, read_set

FASHION_MNIST = IdxSet(
    "Fashion-MNIST",
    ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw"),
    ["T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"],
    "https://github.com/zalandoresearch/fashion-mnist (data/fashion)",
    balanced=True,
)


def load(seed: int = 0, data_dir: str | Path | None = None) -> Data:
    """Fashion-MNIST in [0, 1] in its official split: 60,000 reference and 10,000 held-out images.

    Args:
        seed: Ignored; every data set takes one.
        data_dir: Folder with the four files, or with a folder ``fashion-mnist`` that contains them; default: $MANIFOLD_DATA.

    Raises:
        ManifoldError: If there is no folder, or files are missing (the message says where to get them), damaged,
            inconsistent, or those of another set.
    """
    return read_set(FASHION_MNIST, data_dir)


def decoded(seed: int = 0) -> Data:
    """Images that the shipped codes of Manifold/FashionMNIST-v0 decode to. No file of Fashion-MNIST is needed or shipped.

    Args:
        seed: Ignored; every data set takes one.

    Raises:
        ManifoldError: If the assets are damaged.
    """
    from envs.assets import decoded_data

    return decoded_data("fashion_mnist", list(FASHION_MNIST.class_names))
