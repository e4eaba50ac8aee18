"""A random state of one's own inside a process whose global state belongs to somebody else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from vime.arguments import is_whole, python_number
from vime.serialization import StateMismatchError, entry


class FencedRandom:
    """Random numbers that neither read nor move torch's global generator.

    ``generator`` serves our own draws. Code that can only draw from the global generator (Pyro, torch's
    initialisers) runs inside ``with fenced.as_global():``; afterwards the global state is what it was before. Inside,
    ``generator`` *is* the global one: one stream of numbers, whoever draws from it.
    """

    def __init__(self, seed: int):
        seed = python_number(seed)
        if not is_whole(seed) or not 0 <= seed < 2**63:
            raise ValueError(f"seed must be a whole number from 0 to 2^63 - 1, got {seed!r}")
        self._own = torch.Generator().manual_seed(int(seed))
        self._lent = False

    @property
    def generator(self) -> torch.Generator:
        """What to draw from now."""
        return torch.default_generator if self._lent else self._own

    @contextmanager
    def as_global(self) -> Iterator[None]:
        """Lend this state to the process's global CPU generator, and take it back moved on. Not thread-safe."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._own.get_state())
            self._lent = True
            try:
                yield
            finally:
                self._lent = False
                self._own.set_state(torch.get_rng_state())

    def state_dict(self) -> dict[str, Tensor]:
        """{"state": uint8 vector}."""
        return {"state": self._own.get_state().clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue exactly where the saved generator stood; StateMismatchError, and no change, for what is no state."""
        saved = entry(state, "state", "the random generator").clone()
        try:
            torch.Generator().set_state(saved)
        except (RuntimeError, TypeError) as error:
            raise StateMismatchError(f"the saved state of the random generator is not one of torch's: {error}") from error
        self._own.set_state(saved)
