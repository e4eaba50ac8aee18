"""MNIST (LeCun and others, 1998): 60,000 + 10,000 handwritten digits of 28x28 pixels, from the user's copy of the IDX files.

Without the files the registered id still works: `decoded` returns the images that the shipped codes decode to.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from envs.datasets.arrays import Data
from envs.datasets.idx import read_idx
from envs.errors import ManifoldError
from envs.files import in_home

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
SOURCES = "https://ossci-datasets.s3.amazonaws.com/mnist/ or https://yann.lecun.com/exdb/mnist/"
CLASS_NAMES = [str(digit) for digit in range(10)]


def load(seed: int = 0, data_dir: str | Path | None = None) -> Data:
    """MNIST in [0, 1] in its official split: 60,000 reference and 10,000 held-out images.

    Args:
        seed: Ignored; every data set takes one.
        data_dir: Folder with the four files, or with a folder ``mnist`` that contains them; default: $MANIFOLD_DATA.

    Raises:
        ManifoldError: If there is no folder, or files are missing (the message says where to get them), damaged or
            inconsistent.
    """
    x, truth, held_out, held_out_truth = (read_idx(path) for path in find_files(data_dir))
    for name, images, labels in ((FILES[0], x, truth), (FILES[2], held_out, held_out_truth)):
        if images.ndim != 3 or images.shape[1:] != (28, 28) or labels.shape != (len(images),) or not len(images):
            raise ManifoldError(
                f"{name} holds {images.shape} and its labels {labels.shape}: MNIST has images (n, 28, 28) and n labels; "
                "the files belong to another data set, or to two"
            )
        if labels.max() > 9:
            raise ManifoldError(f"the labels of {name} reach to {labels.max()}: MNIST's are 0 to 9")
    pictures, more = (np.float32(1 / 255) * part for part in (x, held_out))
    return Data(pictures, more, truth.astype(np.int64), held_out_truth.astype(np.int64), CLASS_NAMES)


def find_files(data_dir: str | Path | None = None) -> list[Path]:
    """The four files, compressed or plain, in the order of `FILES`.

    Args:
        data_dir: See `load`.

    Raises:
        ManifoldError: If there is no folder, or files are missing.
    """
    given = data_folder(data_dir, "MNIST", ", ".join(f"{name}.gz" for name in FILES), SOURCES)
    folders = [given / "mnist", given / "MNIST" / "raw", given]
    found = {}
    for name in FILES:
        places = [folder / file for folder in folders for file in (f"{name}.gz", name, name.replace("-idx", ".idx"))]
        found[name] = next((place for place in places if place.is_file()), None)
    missing = [f"{name}[.gz]" for name, place in found.items() if place is None]
    if missing:
        raise ManifoldError(
            f"MNIST is incomplete in {given}: {', '.join(missing)} missing there and in its mnist/; get them from {SOURCES}"
        )
    return [place for place in found.values() if place is not None]


def data_folder(data_dir: str | Path | None, what: str, files: str, sources: str) -> Path:
    """The folder `data_dir`, or $MANIFOLD_DATA.

    Args:
        data_dir: Folder given by the user, if any.
        what: Name of the data set, for messages.
        files: Names of its files, for messages.
        sources: Where to get them, for messages.

    Raises:
        ManifoldError: If neither is given, or it is not a folder.
    """
    given = data_dir if data_dir is not None else os.environ.get("MANIFOLD_DATA")
    if not given:
        raise ManifoldError(
            f"{what} is not shipped: pass data_dir= or set MANIFOLD_DATA to the folder that holds {files}; "
            f"get them from {sources}"
        )
    folder = in_home(Path(given))
    if not folder.is_dir():
        name = "data_dir" if data_dir is not None else "MANIFOLD_DATA"
        raise ManifoldError(f"{name}={str(given)!r} is not a folder; it should hold {files} of {what}")
    return folder


def decoded(seed: int = 0) -> Data:
    """Images that the shipped codes of Manifold/MNIST-v0 decode to. No file of MNIST is needed, and none is shipped.

    Args:
        seed: Ignored; every data set takes one.

    Raises:
        ManifoldError: If the assets are damaged.
    """
    from envs.assets import decoded_data

    return decoded_data("mnist", CLASS_NAMES)
