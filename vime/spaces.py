"""From what an environment speaks to flat float32 rows: observations and actions of any Gymnasium space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor


class SpaceEncoder:
    """Turns batches of a space's elements into finite float32 rows (B, size).

    Box, MultiBinary: flattened. Discrete, MultiDiscrete: one-hot. Dict, Tuple: their parts one after another, in the
    space's own order; a batch of them is a dict (or tuple) of batches, as Gymnasium's and Stable-Baselines3's vector
    environments give it.

    Parameters
    ----------
    space: a Gymnasium space.
    role: "observation", "action", ...: how error messages call it.

    Raises
    ------
    TypeError: the space has no fixed flat size (Text, Sequence, Graph, OneOf).
    """

    def __init__(self, space: spaces.Space[Any], role: str):
        self.space = space
        self.role = role
        self.size = _flat_size(space, role)
        if self.size == 0:
            raise ValueError(f"the {role} space {space} holds no numbers; curiosity needs at least one to look at")

    def __call__(self, batch: Any, names: Sequence[int] | None = None) -> Tensor:
        """``batch`` of B elements (array, tensor, or dict/tuple of them) -> (B, size) float32, a fresh tensor.

        Raises ValueError for a wrong shape, for an index outside a Discrete space and for NaN or infinity; ``names``, B
        numbers, are what such an error calls the rows.
        """
        rows = torch.from_numpy(np.ascontiguousarray(_flatten(self.space, batch, self.role), dtype=np.float32))
        if not torch.isfinite(rows).all():
            row, number = (~torch.isfinite(rows)).nonzero()[0].tolist()
            name = row if names is None else names[row]
            raise ValueError(
                f"{self.role} row {name}, number {number} of {self.size} is {rows[row, number].item()} (as float32): "
                "a bonus computed from it would poison every later reward; repair the environment or clip what it "
                "returns"
            )
        return rows


def _flat_size(space: spaces.Space[Any], role: str) -> int:
    if isinstance(space, spaces.Dict):
        return sum(_flat_size(part, f"{role}[{key!r}]") for key, part in space.spaces.items())
    if isinstance(space, spaces.Tuple):
        return sum(_flat_size(part, f"{role}[{i}]") for i, part in enumerate(space.spaces))
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(np.sum(space.nvec))
    if isinstance(space, (spaces.Box, spaces.MultiBinary)):
        return int(np.prod(space.shape))
    raise TypeError(
        f"{role} space {space} has no fixed flat size; wrap the environment with "
        "gymnasium.wrappers.TransformObservation "
        "(or TransformAction) to a Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple of them"
    )


def _as_array(batch: Any, role: str) -> np.ndarray:
    if isinstance(batch, Tensor):
        batch = batch.detach().cpu().numpy()
    try:
        array = np.asarray(batch)
    except ValueError:  # rows of different lengths
        array = np.empty(len(batch), dtype=object)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{role} batch is ragged or not numeric: {type(batch).__name__}")
    return array


def _flatten(space: spaces.Space[Any], batch: Any, role: str) -> np.ndarray:
    """(B, flat size) array of ``space``'s own or a float dtype.

    Always a copy or a fresh array for the caller to keep.
    """
    if isinstance(space, spaces.Dict):
        if not isinstance(batch, dict) or set(batch) != set(space.spaces):
            got = sorted(batch) if isinstance(batch, dict) else type(batch).__name__
            raise ValueError(f"{role} batch must be a dict with the keys {list(space.spaces)}, got {got}")
        return _join([_flatten(part, batch[key], f"{role}[{key!r}]") for key, part in space.spaces.items()], role)
    if isinstance(space, spaces.Tuple):
        if not isinstance(batch, (tuple, list)) or len(batch) != len(space.spaces):
            raise ValueError(f"{role} batch must be a tuple of {len(space.spaces)} batches, got {type(batch).__name__}")
        parts = zip(space.spaces, batch, strict=True)
        return _join([_flatten(part, item, f"{role}[{i}]") for i, (part, item) in enumerate(parts)], role)
    array = _as_array(batch, role)
    if isinstance(space, spaces.Discrete):
        return _one_hot(array.reshape(-1, 1), np.array([space.n]), np.array([space.start]), role)
    if isinstance(space, spaces.MultiDiscrete):
        _check_shape(array, space.shape, role)
        start = np.asarray(space.start).reshape(-1)
        return _one_hot(
            array.reshape(len(array), int(np.prod(space.shape))), np.asarray(space.nvec).reshape(-1), start, role
        )
    assert space.shape is not None
    _check_shape(array, space.shape, role)
    with np.errstate(over="ignore"):  # a float64 too large for float32 becomes inf, which the caller reports
        return np.array(array.reshape(len(array), int(np.prod(space.shape))), dtype=np.float32)


def _check_shape(array: np.ndarray, shape: tuple[int, ...], role: str) -> None:
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
        raise ValueError(
            f"{role} batch has shape {array.shape}, expected (B, {', '.join(map(str, shape))}); "
            "a single element needs a leading axis: x[None]"
        )


def _join(parts: list[np.ndarray], role: str) -> np.ndarray:
    lengths = {len(part) for part in parts}
    if len(lengths) != 1:
        raise ValueError(f"the parts of the {role} batch have different lengths: {sorted(lengths)}")
    return np.concatenate(parts, axis=1)


def _one_hot(indices: np.ndarray, counts: np.ndarray, start: np.ndarray, role: str) -> np.ndarray:
    """Indices (B, M) into M categories of ``counts`` (M,) values from ``start`` (M,) on -> (B, sum(counts)) float32."""
    whole = np.asarray(indices - start, dtype=np.float64)
    bad = ~(np.isfinite(whole) & (whole >= 0) & (whole < counts) & (whole == np.floor(whole)))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        low = int(start[column])
        raise ValueError(
            f"{role} row {row} is {indices[row, column]}, not a whole number from {low} to "
            f"{low + int(counts[column]) - 1}"
        )
    offsets = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rows = np.zeros((len(whole), int(counts.sum())), dtype=np.float32)
    np.put_along_axis(rows, whole.astype(np.int64) + offsets, 1.0, axis=1)
    return rows


def places_of(chosen: slice | Sequence[int] | None, size: int) -> Tensor:
    """Places (O',) int64 in a flat observation of ``size`` numbers; None: all of them.

    ValueError for one that is not there, or for none at all.
    """
    whole = torch.arange(size)
    if chosen is None or isinstance(chosen, slice):
        places = whole if chosen is None else whole[chosen]
    else:
        places = torch.tensor([int(place) for place in chosen], dtype=torch.int64)
        if ((places < 0) | (places >= size)).any():
            raise ValueError(f"{list(chosen)[:8]} names places that an observation of {size} numbers does not have")
    if len(places) == 0:
        raise ValueError(f"{chosen} selects nothing of the {size} numbers of an observation")
    return places
