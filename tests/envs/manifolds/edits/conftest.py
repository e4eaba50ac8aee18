"""The shipped manifold of edits."""

from __future__ import annotations

import pytest

from envs.assets import ASSETS
from envs.manifolds import Edits


@pytest.fixture(scope="session")
def edits() -> Edits:
    """Shared: don't change it."""
    found = ASSETS["sentences_edits"].manifold()[0]
    assert isinstance(found, Edits)
    return found
