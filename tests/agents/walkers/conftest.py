"""The digits as trained agents walk them: steps of at most a sixth of the class distance."""

from __future__ import annotations

import pytest

import envs
from agents.walkers.planning.surrogate import QueriedRows, Surrogate
from envs.core.world import World


@pytest.fixture(scope="module")
def digits() -> World:
    return envs.make_world(data="digits", max_step=1 / 6)


@pytest.fixture(scope="module")
def labels() -> World:
    """The same where the classifier returns only labels."""
    return envs.make_world(data="digits", task="reach_label", label_only=True, max_step=1 / 6)


@pytest.fixture(scope="module")
def surrogate(digits: World) -> Surrogate:
    return Surrogate.fit(digits, QueriedRows())
