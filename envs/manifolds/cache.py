"""Fitted manifolds that are kept under the user's cache folder, so that the same fit is never waited for twice.

The folder is $MANIFOLD_CACHE, else manifold-traversal/fits below $XDG_CACHE_HOME or ~/.cache; an empty MANIFOLD_CACHE keeps
nothing. A fit is found again by a digest of the data, the settings, the versions and the code that made it. It may be deleted
at any time.
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

LITTER_SECONDS = 3600.0
VERSIONS = ("torch", "numpy", "umap-learn")  # other versions, other bytes


def cache_folder() -> Path | None:
    """Where fits are kept; None where they are not."""
    given = os.environ.get("MANIFOLD_CACHE")
    if given is not None:
        return Path(given).absolute() if given else None
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the XDG specification has relative paths ignored
        try:
            base = str(Path.home() / ".cache")
        except RuntimeError:  # a user without a home
            return None
    return Path(base) / "manifold-traversal" / "fits"


def fit_key(kind: str, settings: Mapping[str, Any], arrays: Mapping[str, Tensor | None]) -> str:
    """Digest of all that a fit hangs on: its kind, JSON-able settings, the arrays it sees, the code and the libraries."""
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
        digest.update(file.read_bytes())
    return f"{kind}-{digest.hexdigest()[:32]}"


def kept_fit(key: str, fit: Callable[[], Manifold]) -> Manifold:
    """The manifold of this key from the cache, or else `fit()`, which is then kept.

    A damaged entry is fitted anew; a folder that cannot be read or written is as good as none. An entry appears whole or
    not at all: it is built beside its place and renamed.
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
    for left in place.parent.glob(".*"):  # by processes that were killed while they saved: that takes seconds
        if left.stat().st_mtime < time.time() - LITTER_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        manifold.save(beside)
        shutil.rmtree(place, ignore_errors=True)  # a damaged one; nobody is here otherwise
        beside.replace(place)  # another process may have been quicker: then its equal stays
    finally:
        shutil.rmtree(beside, ignore_errors=True)
