"""A random state of one's own inside a process whose global state belongs to somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class FencedRandom:
    """Random numbers that neither read nor move torch's global generator.

    ``generator`` serves our own draws. Code that can only draw from the global generator (Pyro, torch's
    initialisers) runs inside ``with fenced.as_global():``; afterwards the global state is what it was before.
    """

    def __init__(self, seed: int):
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise ValueError(f"seed must be a whole number from 0 to 2^63 - 1, got {seed!r}")
        self.generator = torch.Generator().manual_seed(seed)

    @contextmanager
    def as_global(self) -> Iterator[None]:
        """Lend this state to the process's global CPU generator, and take it back moved on. Not thread-safe."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.generator.get_state())
            try:
                yield
            finally:
                self.generator.set_state(torch.get_rng_state())

    def state_dict(self) -> dict[str, Tensor]:
        """{"state": uint8 vector}."""
        return {"state": self.generator.get_state().clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue exactly where the saved generator stood."""
        self.generator.set_state(state["state"].clone())
