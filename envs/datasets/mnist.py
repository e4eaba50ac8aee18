"""MNIST (LeCun and others, 1998): 60,000 + 10,000 handwritten digits of 28x28, from the user's own copy of the IDX files.

Where no files are at hand the registered id still works: `decoded` gives the pictures that the shipped codes decode to.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from envs.datasets.arrays import Data
from envs.datasets.idx import read_idx
from envs.errors import ManifoldError

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
SOURCES = "https://ossci-datasets.s3.amazonaws.com/mnist/ or https://yann.lecun.com/exdb/mnist/"
CLASS_NAMES = [str(digit) for digit in range(10)]


def load(seed: int = 0, data_dir: str | Path | None = None) -> Data:
    """MNIST in [0, 1]: 60,000 to start from, 10,000 held out. The split is the official one, whatever the seed.

    Args:
        seed: has no effect; every data set takes one.
        data_dir: folder of the four files, or one that holds them in ``mnist/``; default: $MANIFOLD_DATA.

    Raises:
        ManifoldError: no folder given, files missing (they are named, and where to get them), damaged ones, or images and
            labels that do not belong together.
    """
    x, truth, held_out, held_out_truth = (read_idx(path) for path in find_files(data_dir))
    for name, images, labels in ((FILES[0], x, truth), (FILES[2], held_out, held_out_truth)):
        if images.ndim != 3 or images.shape[1:] != (28, 28) or labels.shape != (len(images),) or not len(images):
            raise ManifoldError(
                f"{name} holds {images.shape} and its labels {labels.shape}: MNIST has images (n, 28, 28) and n labels; "
                "the files are of another data set, or of two"
            )
        if labels.max() > 9:
            raise ManifoldError(f"the labels of {name} reach to {labels.max()}: MNIST's are 0 to 9")
    pictures, more = (np.float32(1 / 255) * part for part in (x, held_out))
    return Data(pictures, more, truth.astype(np.int64), held_out_truth.astype(np.int64), CLASS_NAMES)


def find_files(data_dir: str | Path | None = None) -> list[Path]:
    """The four files, compressed or plain, in the order of `FILES`.

    Raises:
        ManifoldError: no folder, or files missing from it.
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
            f"MNIST is not whole in {given}: {', '.join(missing)} missing there and in its mnist/; get them from {SOURCES}"
        )
    return [place for place in found.values() if place is not None]


def data_folder(data_dir: str | Path | None, what: str, files: str, sources: str) -> Path:
    """`data_dir`, or $MANIFOLD_DATA.

    Raises:
        ManifoldError: neither is given, or it is no folder.
    """
    given = data_dir if data_dir is not None else os.environ.get("MANIFOLD_DATA")
    if not given:
        raise ManifoldError(
            f"{what} is not shipped: pass data_dir= or set MANIFOLD_DATA to the folder that holds {files}; "
            f"get them from {sources}"
        )
    folder = Path(given).expanduser()
    if not folder.is_dir():
        factual = "data_dir" if data_dir is not None else "MANIFOLD_DATA"
        raise ManifoldError(f"{factual}={str(given)!r} is not a folder; it should hold {files} of {what}")
    return folder


def decoded(seed: int = 0) -> Data:
    """What the codes shipped with Manifold/MNIST-v0 decode to: no file of MNIST is needed, and none is shipped.

    Raises:
        ManifoldError: the assets are damaged.
    """
    from envs.assets import decoded_data

    return decoded_data("mnist", CLASS_NAMES)
