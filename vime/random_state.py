"""A random state that is separate from the process's global one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from vime.arguments import is_whole, python_number
from vime.errors import OptionError, StateMismatchError
from vime.serialization import entry


class FencedRandom:
    """Random numbers that neither read nor advance torch's global generator.

    ``generator`` serves draws that accept a generator. Code that can only use the global generator (Pyro, torch's
    initialisers) runs inside ``with fenced.as_global():``. Inside, ``generator`` *is* the global generator, so that there
    is one stream of numbers. On leaving, the global state is restored.

    Args:
        seed: Seed from 0 to 2^63 - 1.

    Raises:
        OptionError: The seed is not an integer in that range.

    Example:
        >>> import torch
        >>> from vime.random_state import FencedRandom
        >>> fenced, before = FencedRandom(seed=0), torch.get_rng_state()
        >>> with fenced.as_global():
        ...     drawn = torch.rand(3)
        >>> bool((torch.get_rng_state() == before).all())
        True
    """

    def __init__(self, seed: int):
        seed = python_number(seed)
        if not is_whole(seed) or not 0 <= seed < 2**63:
            raise OptionError(f"seed must be a whole number from 0 to 2^63 - 1, got {seed!r}")
        self._own = torch.Generator().manual_seed(int(seed))
        self._lent = False

    @property
    def generator(self) -> torch.Generator:
        """The generator to draw from at this moment."""
        return torch.default_generator if self._lent else self._own

    @contextmanager
    def as_global(self) -> Iterator[None]:
        """Use this state as the process's global CPU generator inside the block. Not thread-safe."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._own.get_state())
            self._lent = True
            try:
                yield
            finally:
                self._lent = False
                self._own.set_state(torch.get_rng_state())

    def state_dict(self) -> dict[str, Tensor]:
        """Return ``{"state": uint8 vector}``."""
        return {"state": self._own.get_state().clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue exactly where the saved generator stopped.

        Raises:
            StateMismatchError: ``state`` is not a generator's state; nothing is changed.
        """
        saved = entry(state, "state", "the random generator").clone()
        try:
            torch.Generator().set_state(saved)
        except (RuntimeError, TypeError) as error:
            raise StateMismatchError(f"the saved state of the random generator is not one of torch's: {error}") from error
        self._own.set_state(saved)
