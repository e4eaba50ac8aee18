"""Observations and actions of Gymnasium spaces as flat float32 rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from vime.errors import InputError, OptionError, OptionTypeError


class SpaceEncoder:
    """Encodes batches of a space's elements as finite float32 rows (B, size).

    Box and MultiBinary are flattened, Discrete and MultiDiscrete are one-hot, the parts of Dict and Tuple are concatenated
    in the space's own order. A batch of a Dict (or Tuple) is a dict (or tuple) of batches, as in the vector environments of
    Gymnasium and Stable-Baselines3.

    Args:
        space: A Gymnasium space.
        role: "observation", "action", ...: the name of the space in error messages.

    Attributes:
        size: Width of a row.

    Raises:
        OptionTypeError: The space has no fixed flat size (Text, Sequence, Graph, OneOf).
        OptionError: The space is empty.

    Example:
        >>> import numpy as np
        >>> from gymnasium import spaces
        >>> from vime.spaces import SpaceEncoder
        >>> encode = SpaceEncoder(spaces.Dict({"x": spaces.Box(-1, 1, (2,)), "k": spaces.Discrete(3)}), "observation")
        >>> encode({"x": np.array([[0.5, -0.5]]), "k": np.array([2])})  # a Dict sorts its keys
        tensor([[ 0.0000,  0.0000,  1.0000,  0.5000, -0.5000]])
    """

    def __init__(self, space: spaces.Space[Any], role: str):
        self.space = space
        self.role = role
        self.size = _flat_size(space, role)
        if self.size == 0:
            raise OptionError(f"the {role} space {space} has no numbers; a bonus needs at least one")

    def __call__(self, batch: Any, names: Sequence[int] | None = None) -> Tensor:
        """Encode a batch.

        Args:
            batch: B elements: array, tensor, or a dict or tuple of them.
            names: B numbers that name the rows in errors; by default their positions.

        Returns:
            A new tensor (B, size), float32.

        Raises:
            InputError: Wrong shape, an index outside a Discrete space, NaN or infinity.
        """
        rows = torch.from_numpy(np.ascontiguousarray(_flatten(self.space, batch, self.role), dtype=np.float32))
        if not torch.isfinite(rows).all():
            row, number = (~torch.isfinite(rows)).nonzero()[0].tolist()
            name = row if names is None else names[row]
            raise InputError(
                f"{self.role} row {name}, number {number} of {self.size} is {rows[row, number].item()} (as float32): "
                "the bonus and all later rewards would become NaN; fix the environment or clip the values that it returns"
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
    raise OptionTypeError(
        f"{role} space {space} has no fixed flat size; wrap the environment with "
        "gymnasium.wrappers.TransformObservation (or TransformAction) to a Box, Discrete, MultiDiscrete, MultiBinary, Dict or "
        "Tuple of them"
    )


def _as_array(batch: Any, role: str) -> np.ndarray:
    if isinstance(batch, Tensor):
        batch = batch.detach().cpu().numpy()
    try:
        array = np.asarray(batch)
    except ValueError:  # rows of different lengths
        array = np.empty(len(batch), dtype=object)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{role} batch is ragged or not numeric: {type(batch).__name__}")
    return array


def _flatten(space: spaces.Space[Any], batch: Any, role: str) -> np.ndarray:
    """Return a new array (B, flat size), in the space's dtype or a float dtype."""
    if isinstance(space, spaces.Dict):
        if not isinstance(batch, dict) or set(batch) != set(space.spaces):
            got = sorted(batch) if isinstance(batch, dict) else type(batch).__name__
            raise InputError(f"{role} batch must be a dict with the keys {list(space.spaces)}, got {got}")
        return _join([_flatten(part, batch[key], f"{role}[{key!r}]") for key, part in space.spaces.items()], role)
    if isinstance(space, spaces.Tuple):
        if not isinstance(batch, (tuple, list)) or len(batch) != len(space.spaces):
            raise InputError(f"{role} batch must be a tuple of {len(space.spaces)} batches, got {type(batch).__name__}")
        parts = zip(space.spaces, batch, strict=True)
        return _join([_flatten(part, item, f"{role}[{i}]") for i, (part, item) in enumerate(parts)], role)
    array = _as_array(batch, role)
    if isinstance(space, spaces.Discrete):
        return _one_hot(array.reshape(-1, 1), np.array([space.n]), np.array([space.start]), role)
    if isinstance(space, spaces.MultiDiscrete):
        _check_shape(array, space.shape, role)
        start = np.asarray(space.start).reshape(-1)
        return _one_hot(array.reshape(len(array), int(np.prod(space.shape))), np.asarray(space.nvec).reshape(-1), start, role)
    assert space.shape is not None
    _check_shape(array, space.shape, role)
    with np.errstate(over="ignore"):  # a float64 too large for float32 becomes inf, which the caller reports
        return np.array(array.reshape(len(array), int(np.prod(space.shape))), dtype=np.float32)


def _check_shape(array: np.ndarray, shape: tuple[int, ...], role: str) -> None:
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
        raise InputError(
            f"{role} batch has shape {array.shape}, expected (B, {', '.join(map(str, shape))}); "
            "a single element needs a leading axis: x[None]"
        )


def _join(parts: list[np.ndarray], role: str) -> np.ndarray:
    lengths = {len(part) for part in parts}
    if len(lengths) != 1:
        raise InputError(f"the parts of the {role} batch have different lengths: {sorted(lengths)}")
    return np.concatenate(parts, axis=1)


def _one_hot(indices: np.ndarray, counts: np.ndarray, start: np.ndarray, role: str) -> np.ndarray:
    """Encode indices (B, M) of M categories, with ``counts`` (M,) values from ``start`` (M,), as (B, sum(counts)) float32."""
    whole = np.asarray(indices - start, dtype=np.float64)
    bad = ~(np.isfinite(whole) & (whole >= 0) & (whole < counts) & (whole == np.floor(whole)))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        low = int(start[column])
        raise InputError(
            f"{role} row {row} is {indices[row, column]}, not a whole number from {low} to {low + int(counts[column]) - 1}"
        )
    offsets = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rows = np.zeros((len(whole), int(counts.sum())), dtype=np.float32)
    np.put_along_axis(rows, whole.astype(np.int64) + offsets, 1.0, axis=1)
    return rows


def indices_of(chosen: slice | Sequence[int] | None, size: int) -> Tensor:
    """Return the chosen indices (O',) int64 of a flat observation of ``size`` numbers; None selects all of them.

    Raises:
        OptionError: An index is out of range, or nothing is selected.
    """
    whole = torch.arange(size)
    if chosen is None or isinstance(chosen, slice):
        indices = whole if chosen is None else whole[chosen]
    else:
        indices = torch.tensor([int(index) for index in chosen], dtype=torch.int64)
        if ((indices < 0) | (indices >= size)).any():
            raise OptionError(f"{list(chosen)[:8]} has indices that an observation of {size} numbers does not have")
    if len(indices) == 0:
        raise OptionError(f"{chosen} selects nothing of the {size} numbers of an observation")
    return indices
