"""The pool of transitions that models learn from: a ring buffer with explicit next observations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from vime.arguments import whole_number
from vime.errors import InputError, OptionError, PoolTooSmallError, StateMismatchError
from vime.serialization import State, entry, number, whole

MAX_BYTES = 4 * 2**30


class Transitions(NamedTuple):
    """B transitions as float32 rows.

    Attributes:
        obs: (B, O) flat observations.
        action: (B, A) flat actions.
        next_obs: (B, O) the observations that followed; at the end of an episode the last one, not the reset's.
        target: (B, D) what a model predicts of them, see :class:`vime.PredictionTarget`.
    """

    obs: Tensor
    action: Tensor
    next_obs: Tensor
    target: Tensor


class TransitionPool:
    """Ring buffer of transitions. Each row is one whole transition, so that no pair crosses the end of an episode.

    Args:
        capacity: Number of rows; the oldest are overwritten. Houthooft et al. 2016 use 100 000.
        sizes: (O, A, D), the widths of :class:`Transitions`.

    Raises:
        OptionError: The full pool would need more than 4 GiB, or ``capacity`` is not an integer of at least 1.

    Example:
        >>> import torch
        >>> from vime import TransitionPool, Transitions
        >>> pool = TransitionPool(capacity=100, sizes=(3, 1, 3))
        >>> pool.add(Transitions(torch.zeros(5, 3), torch.zeros(5, 1), torch.ones(5, 3), torch.ones(5, 3)))
        >>> len(pool), pool.newest(2).next_obs.shape
        (5, torch.Size([2, 3]))
    """

    def __init__(self, capacity: int, sizes: tuple[int, int, int]):
        capacity = whole_number("the pool's capacity", capacity)
        obs, action, target = sizes
        self.widths = (obs, action, obs, target)
        size = 4 * capacity * sum(self.widths)
        if size > MAX_BYTES:
            raise OptionError(
                f"a pool of {capacity} transitions of {sum(self.widths)} numbers needs {size / 2**30:.1f} GiB; pass "
                'a smaller pool_size, or encode the observations (images: encoder="random_conv")'
            )
        self.capacity = capacity
        self.added = 0
        self._columns = [torch.zeros(0, width, dtype=torch.float32) for width in self.widths]

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, batch: Transitions) -> None:
        """Append B transitions; if B exceeds the capacity, only the last ones are kept.

        Raises:
            InputError: A part has the wrong shape.
        """
        count = len(batch.obs)
        for name, rows, width in zip(Transitions._fields, batch, self.widths, strict=True):
            if rows.shape != (count, width):
                raise InputError(f"{name} has shape {tuple(rows.shape)}, the pool takes ({count}, {width})")
        self._reserve(min(self.added + count, self.capacity))
        kept = min(count, self.capacity)
        places = torch.arange(self.added + count - kept, self.added + count) % self.capacity
        for column, rows in zip(self._columns, batch, strict=True):
            column[places] = rows[count - kept :].detach()
        self.added += count

    def _reserve(self, rows: int) -> None:
        """Grow by doubling, so that a large capacity costs memory only when it is used."""
        have = len(self._columns[0])
        if rows <= have:
            return
        room = min(max(rows, 2 * have, 1024), self.capacity)
        self._columns = [torch.cat([c, c.new_zeros(room - have, c.shape[1])]) for c in self._columns]

    def sample(self, count: int, generator: torch.Generator) -> Transitions:
        """Draw ``count`` rows uniformly with replacement.

        Raises:
            PoolTooSmallError: The pool is empty.
        """
        if len(self) == 0:
            raise PoolTooSmallError("the pool is empty: add transitions before sampling")
        rows = torch.randint(len(self), (count,), generator=generator)
        return Transitions(*(column[rows] for column in self._columns))

    def newest(self, count: int) -> Transitions:
        """Return the last ``count`` rows (or all, if there are fewer), oldest first."""
        count = min(count, len(self))
        places = torch.arange(self.added - count, self.added) % self.capacity
        return Transitions(*(column[places] for column in self._columns))

    def all(self) -> Transitions:
        """Return every row, in the order of the ring."""
        return Transitions(*(column[: len(self)] for column in self._columns))

    def state_dict(self) -> State:
        """Return the filled rows and the position in the ring."""
        columns = dict(zip(Transitions._fields, self.all(), strict=True))
        return {"capacity": number(self.capacity), "added": number(self.added)} | {
            key: value.clone() for key, value in columns.items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state_dict`.

        Raises:
            StateMismatchError: Another capacity, other widths or an incomplete state; nothing is changed.
        """
        capacity, added = (whole(state, key, "the pool") for key in ("capacity", "added"))
        if capacity != self.capacity:
            raise StateMismatchError(
                f"the saved pool holds up to {capacity} transitions, this one {self.capacity}: pass pool_size={capacity}"
            )
        filled = min(added, capacity)
        for name, width in zip(Transitions._fields, self.widths, strict=True):
            shape = tuple(entry(state, name, "the pool").shape)
            if shape != (filled, width):
                raise StateMismatchError(
                    f"the saved pool's {name} has shape {shape}, expected ({filled}, {width}): it was saved for other "
                    "spaces or another predict="
                )
        self.added = added
        self._columns = [state[name].to(torch.float32, copy=True) for name in Transitions._fields]
