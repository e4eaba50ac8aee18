"""MNIST (LeCun and others, 1998): 60,000 + 10,000 handwritten digits of 28x28 pixels, from the user's copy of the IDX files.

Without the files the registered id still works: `decoded` returns the images that the shipped codes decode to.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from envs.datasets.arrays import Data
from envs.datasets.idx import read_idx
from envs.errors import ManifoldError
from envs.files import in_home

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
SOURCES = "https://ossci-datasets.s3.amazonaws.com/mnist/ or https://yann.lecun.com/exdb/mnist/"
CLASS_NAMES = [str(digit) for digit in range(10)]
OFFICIAL = 60_000  # training images of the whole set


class IdxSet(NamedTuple):
    """A data set in MNIST's four files: 28x28 grey images of ten classes.

    Attributes:
        title: Its name, for messages.
        folders: Folders below the user's own in which the files may lie; they may lie in it directly, too.
        class_names: Names of the classes.
        sources: Where to get the files.
        balanced: Whether every class has as many of the 60,000 training images; the sets cannot be told apart by their names.

    Example:
        >>> MNIST.title, len(MNIST.class_names)
        ('MNIST', 10)
    """

    title: str
    folders: tuple[str, ...]
    class_names: list[str]
    sources: str
    balanced: bool


MNIST = IdxSet("MNIST", ("mnist", "MNIST/raw"), CLASS_NAMES, SOURCES, balanced=False)


def load(seed: int = 0, data_dir: str | Path | None = None) -> Data:
    """MNIST in [0, 1] in its official split: 60,000 reference and 10,000 held-out images.

    Args:
        seed: Ignored; every data set takes one.
        data_dir: Folder with the four files, or with a folder ``mnist`` that contains them; default: $MANIFOLD_DATA.

    Raises:
        ManifoldError: If there is no folder, or files are missing (the message says where to get them), damaged,
            inconsistent, or those of another set.
    """
    return read_set(MNIST, data_dir)


def read_set(known: IdxSet, data_dir: str | Path | None = None) -> Data:
    """A data set in [0, 1] in its official split; arguments and errors as in `load`."""
    x, truth, held_out, held_out_truth = (read_idx(path) for path in find_files(data_dir, known))
    for name, images, labels in ((FILES[0], x, truth), (FILES[2], held_out, held_out_truth)):
        if images.ndim != 3 or images.shape[1:] != (28, 28) or labels.shape != (len(images),) or not len(images):
            raise ManifoldError(
                f"{name} holds {images.shape} and its labels {labels.shape}: {known.title} has images (n, 28, 28) and "
                "n labels; the files belong to another data set, or to two"
            )
        if labels.max() > 9:
            raise ManifoldError(f"the labels of {name} reach to {labels.max()}: {known.title}'s are 0 to 9")
    if len(truth) == OFFICIAL and (np.ptp(np.bincount(truth, minlength=10)) == 0) != known.balanced:
        raise ManifoldError(
            f"{FILES[1]} is not {known.title}'s: {known.title} has {'as many' if known.balanced else 'unequal numbers of'} "
            f"images of every class, this file has not; put the files of {known.title} into {known.folders[0]}/"
        )
    pictures, more = (np.float32(1 / 255) * part for part in (x, held_out))
    return Data(pictures, more, truth.astype(np.int64), held_out_truth.astype(np.int64), list(known.class_names))


def find_files(data_dir: str | Path | None = None, known: IdxSet = MNIST) -> list[Path]:
    """The four files, compressed or plain, in the order of `FILES`.

    Args:
        data_dir: See `load`.
        known: Which data set.

    Raises:
        ManifoldError: If there is no folder, or files are missing.
    """
    given = data_folder(data_dir, known.title, ", ".join(f"{name}.gz" for name in FILES), known.sources)
    folders = [*(given / folder for folder in known.folders), given]
    found = {}
    for name in FILES:
        places = [folder / file for folder in folders for file in (f"{name}.gz", name, name.replace("-idx", ".idx"))]
        found[name] = next((place for place in places if place.is_file()), None)
    missing = [f"{name}[.gz]" for name, place in found.items() if place is None]
    if missing:
        raise ManifoldError(
            f"{known.title} is incomplete in {given}: {', '.join(missing)} missing there and in its {known.folders[0]}/; "
            f"get them from {known.sources}"
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
