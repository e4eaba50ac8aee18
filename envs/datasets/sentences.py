"""Sentences drawn from the grammar (`envs.datasets.grammar`), with their sentiment as the class; no download."""

from __future__ import annotations

import numpy as np

from envs.datasets import grammar
from envs.datasets.arrays import Data

STARTS, HELD_OUT = 2000, 300
FITTED = 12_000  # sentences that the shipped manifold is fitted to; the first of them are the reference set


def load(seed: int = 0) -> Data:
    """2,000 reference and 300 held-out sentences; no sentence is in both.

    Args:
        seed: Seed of the sentences.
    """
    drawn = grammar.sample(FITTED, seed)
    seen = {sentence.text for sentence in drawn}
    fresh = [sentence for sentence in grammar.sample(4 * HELD_OUT, seed + 1_000_000) if sentence.text not in seen]
    reference, held_out = drawn[:STARTS], fresh[:HELD_OUT]
    return Data(
        np.array([sentence.text for sentence in reference], dtype=object),
        np.array([sentence.text for sentence in held_out], dtype=object),
        np.array([sentence.sentiment for sentence in reference]),
        np.array([sentence.sentiment for sentence in held_out]),
        list(grammar.SENTIMENTS),
    )
