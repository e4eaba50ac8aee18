"""Omniglot (Lake, Salakhutdinov and Tenenbaum, Science 2015): characters of 50 alphabets, 20 drawers each, at 28x28 pixels.

30 background alphabets are for learning, 20 evaluation alphabets stay unseen. Each set is an .npz file with arrays ``images``
(N, 28, 28) uint8 with bright ink, ``alphabet`` (N,) and ``alphabet_names``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from envs.datasets.arrays import Data
from envs.datasets.mnist import data_folder
from envs.errors import ManifoldError
from envs.reading.files import read_npz

FILES = ("omniglot_background_28.npz", "omniglot_evaluation_28.npz")
#: Alphabets that are the classes of the registered world -> their names for people.
SCRIPTS = {
    "Bengali": "Bengali", "Hebrew": "Hebrew", "Japanese_(hiragana)": "Hiragana", "Korean": "Korean", "Latin": "Latin"
}  # fmt: skip
DRAWERS = 20  # of each character; rows are sorted by alphabet, character, drawer
SOURCES = (
    "https://github.com/brendenlake/omniglot (images_background.zip, images_evaluation.zip), "
    "scaled to 28x28 and saved with numpy.savez(file, images=..., alphabet=..., alphabet_names=...)"
)


def load(seed: int = 0, data_dir: str | Path | None = None) -> Data:
    """Characters in [0, 1]: 19,280 reference images of the background alphabets, 13,180 held-out ones of the unseen alphabets.

    The classes are the background alphabets. Held-out characters belong to none of them, so `held_out_truth` is None.

    Args:
        seed: Ignored; every data set takes one.
        data_dir: Folder with the two files, or with a folder ``omniglot`` that contains them; default: $MANIFOLD_DATA.

    Raises:
        ManifoldError: If there is no folder, or files are missing (the message says where to get them) or damaged.
    """
    given = data_folder(data_dir, "Omniglot", " and ".join(FILES), SOURCES)
    missing = [name for name in FILES if not any((folder / name).is_file() for folder in (given / "omniglot", given))]
    if missing:
        raise ManifoldError(
            f"Omniglot is incomplete in {given}: {' and '.join(missing)} missing there and in its omniglot/; "
            f"get them from {SOURCES}"
        )
    places = [next(f / name for f in (given / "omniglot", given) if (f / name).is_file()) for name in FILES]
    background, evaluation = (_read(place) for place in places)
    names = [str(name) for name in background["alphabet_names"]]
    pictures, more = (np.float32(1 / 255) * part["images"] for part in (background, evaluation))
    return Data(pictures, more, background["alphabet"].astype(np.int64), None, names)


def decoded(seed: int = 0) -> Data:
    """Characters of five scripts that the shipped codes of Manifold/OmniglotGAN-v0 decode to. No file is needed.

    Args:
        seed: Ignored; every data set takes one.

    Raises:
        ManifoldError: If the assets are damaged.
    """
    from envs.assets import decoded_data

    return decoded_data("omniglot", list(SCRIPTS.values()))


def _read(path: Path) -> dict[str, np.ndarray]:
    """The three arrays of one file, checked."""
    try:
        found = read_npz(path)
        arrays = {name: found[name] for name in ("images", "alphabet", "alphabet_names")}
    except KeyError as error:
        raise ManifoldError(f"{path} lacks an array: {error.args[0]}; see {SOURCES}") from error
    except (FileNotFoundError, ManifoldError) as error:
        raise ManifoldError(f"cannot read {path}: {error}; it is damaged or truncated, fetch it again") from error
    images, alphabet = arrays["images"], arrays["alphabet"]
    if images.ndim != 3 or images.dtype != np.uint8 or alphabet.shape != (len(images),) or not len(images):
        raise ManifoldError(f"{path} holds images {images.shape} {images.dtype} and alphabets {alphabet.shape}")
    return arrays
