"""The process's three global generators (Python's, numpy's, torch's), which SB3 draws from: read, set, fence."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def global_random_state() -> dict[str, Any]:
    """The states as a tree (see :mod:`agents.runs.checkpoint_files`)."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002  (SB3 draws from it)
    return {
        "python": {"version": version, "numbers": np.array(numbers, dtype=np.uint64), "gauss": gauss},
        "numpy": {"name": name, "keys": keys, "position": position, "has_gauss": has_gauss, "cached": cached},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else [],
    }


def set_global_random_state(state: dict[str, Any]) -> None:
    """Inverse of :func:`global_random_state`."""
    python, numpy_state = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(int(n) for n in python["numbers"]), python["gauss"]))
    np.random.set_state(  # noqa: NPY002
        (
            numpy_state["name"],
            numpy_state["keys"],
            numpy_state["position"],
            numpy_state["has_gauss"],
            numpy_state["cached"],
        )
    )
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def fenced_random_state() -> Iterator[None]:
    """What happens inside leaves the caller's global generators as they were."""
    state = global_random_state()
    try:
        yield
    finally:
        set_global_random_state(state)
