"""A cache of fitted manifolds in the user's cache folder, so that the same fit is computed once.

The folder is $MANIFOLD_CACHE, else ``manifold-traversal/fits`` below $XDG_CACHE_HOME or ``~/.cache``. An empty MANIFOLD_CACHE
turns the cache off. The key of a fit is a digest of its data, its settings, library versions and the code that computes it.
The folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.base import Manifold
from envs.reading.files import read_bytes

LITTER_SECONDS = 3600.0  # age at which the folder of an interrupted save is deleted
VERSIONS = ("torch", "numpy", "umap-learn")  # their versions change the fitted bytes


def cache_folder() -> Path | None:
    """Folder of the cache; None if the cache is off."""
    given = os.environ.get("MANIFOLD_CACHE")
    if given is not None:
        return Path(given).absolute() if given else None
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the XDG specification says to ignore relative paths
        try:
            base = str(Path.home() / ".cache")
        except RuntimeError:  # the user has no home folder
            return None
    return Path(base) / "manifold-traversal" / "fits"


def fit_key(kind: str, settings: Mapping[str, Any], arrays: Mapping[str, Tensor | None]) -> str:
    """Digest of everything that determines a fit.

    Args:
        kind: Kind of the manifold.
        settings: JSON-serialisable settings of the fit.
        arrays: Arrays that the fit uses, by name.

    Returns:
        The kind and 32 hexadecimal digits.

    Raises:
        TypeError: If a setting cannot be serialised.
    """
    digest = hashlib.sha256(json.dumps([kind, dict(settings)], sort_keys=True, default=list).encode())
    for name, array in sorted(arrays.items()):
        if array is None:
            continue
        values = np.ascontiguousarray(array.numpy())
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    for name in VERSIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            digest.update(f"{name} {importlib.metadata.version(name)}".encode())
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(read_bytes(file))
    return f"{kind}-{digest.hexdigest()[:32]}"


def kept_fit(key: str, fit: Callable[[], Manifold]) -> Manifold:
    """Load the manifold of this key from the cache, or fit and store it.

    A damaged entry is fitted again. A folder that cannot be read or written counts as no cache. An entry is built in a
    temporary folder and renamed, so it is never incomplete.

    Args:
        key: Key from `fit_key`.
        fit: Fits the manifold.
    """
    folder = cache_folder()
    if folder is None:
        return fit()
    place = folder / key
    with contextlib.suppress(ManifoldError, OSError):
        if place.is_dir():
            return Manifold.load(place)
    found = fit()
    with contextlib.suppress(OSError):
        _keep(found, place)
    return found


def _keep(manifold: Manifold, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    for left in place.parent.glob(".*"):  # left by processes that were killed while saving
        if left.stat().st_mtime < time.time() - LITTER_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        manifold.save(beside)
        shutil.rmtree(place, ignore_errors=True)  # a damaged entry, if any
        beside.replace(place)  # if another process was faster, its equal entry stays
    finally:
        shutil.rmtree(beside, ignore_errors=True)
