"""What a system returns when it is measured, and how arrays, texts and networks become such values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

Value = bool | int | float | str | list[float]
Measured = dict[str, Value]


class System(NamedTuple):
    """How a system is measured.

    Attributes:
        measure: returns named values: whole numbers and truth values, floats, lists of floats, and texts, which are digests.
        portable: the floats are the same on every processor to 1e-3, and all whole numbers are equal.
        slow: takes more than about two seconds.
        needs: an optional library.
    """

    measure: Callable[[], Measured]
    portable: bool = True
    slow: bool = False
    needs: str | None = None


def figures(values: Any) -> list[float]:
    """Sum, L2 norm and sum weighted by a fixed wave of any array: three floats that a changed or moved entry changes."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    wave = np.cos(np.arange(len(flat)))
    return [float(flat.sum()), float(np.linalg.norm(flat)), float(flat @ wave)]


def digest(parts: Iterable[Any]) -> str:
    """sha256 of arrays' types, shapes and bytes, or of texts."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            found.update(part.encode())
        else:
            array = np.ascontiguousarray(part)
            found.update(f"{array.dtype} {array.shape}".encode())
            found.update(array.tobytes())
    return found.hexdigest()


def weights(module: Any) -> str:
    """Digest of the tensors of a torch module, whatever their names are."""
    return digest(value.detach().numpy() for value in module.state_dict().values())


def without_digests(values: Mapping[str, Value]) -> Measured:
    """The values that other processors can be compared by."""
    return {name: value for name, value in values.items() if not isinstance(value, str)}
