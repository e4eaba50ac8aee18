"""Sentences drawn from our grammar (`envs.datasets.grammar`), with their sentiment as the class: embedded, no download."""

from __future__ import annotations

import numpy as np

from envs.datasets import grammar
from envs.datasets.arrays import Data

STARTS, HELD_OUT = 2000, 300
FITTED = 12_000  # sentences that the shipped manifold is fitted to; the first of them are the starts


def load(seed: int = 0) -> Data:
    """2,000 sentences to start from and 300 held out; no sentence stands in both."""
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
