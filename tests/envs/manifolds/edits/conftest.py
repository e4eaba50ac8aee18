"""A small manifold of edits, fitted to sentences of the grammar."""

from __future__ import annotations

import pytest
import torch

from envs.datasets import grammar
from envs.manifolds import Edits


@pytest.fixture(scope="session")
def edits() -> Edits:
    """Shared: don't change it."""
    drawn = grammar.sample(400, 0)
    good = torch.tensor([float(sentence.sentiment) for sentence in drawn])
    p = 0.02 + 0.96 * good
    texts = [sentence.text for sentence in drawn]
    return Edits.fit(texts, torch.stack([1 - p, p], 1), embedding=16, hidden=24, epochs=40)
