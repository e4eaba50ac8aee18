"""The trigrams that judge fluency."""

from __future__ import annotations

from itertools import product

import torch

from envs.manifolds.edits.filler import padded
from envs.manifolds.edits.trigrams import Trigrams
from envs.modalities.vocabulary import UNKNOWN


def test_probabilities_are_those_of_the_formula():
    """Interpolated Kneser-Ney by hand, discount 0.75, of the two sentences `4 5` and `4 6`."""
    found = Trigrams(padded([[4, 5], [4, 6]]), 8).log_p(padded([[4, 5]])).exp()[0]
    kinds = 4  # different words that follow any: 4, 5, 6 and the end, of which the end follows two words
    unigram = {4: (1 - 0.75) / 5, 5: (1 - 0.75) / 5, 3: (2 - 0.75) / 5}
    base = 0.75 * kinds / 5 / 8
    first = (2 - 0.75) / 2 + 0.75 / 2 * ((1 - 0.75) / 1 + 0.75 * (unigram[4] + base))
    second = (1 - 0.75) / 2 + 0.75 * 2 / 2 * ((1 - 0.75) / 2 + 0.75 * 2 / 2 * (unigram[5] + base))
    last = (1 - 0.75) + 0.75 * ((1 - 0.75) / 1 + 0.75 * (unigram[3] + base))
    torch.testing.assert_close(found, torch.tensor([first, second, last]))


def test_a_sentence_has_the_same_fluency_alone_and_in_a_batch(edits):
    rows = [[i for i in row if i > 3] for row in edits.vocabulary.ids(["the soup is awful", "we liked the plot"]).tolist()]
    torch.testing.assert_close(edits.likelihood(rows), torch.cat([edits.likelihood([row]) for row in rows]))


def test_broken_sentences_are_less_fluent(edits):
    texts = ["the soup is awful", "we liked the film", "the soup is", "awful is soup the", "we the film", "liked the we film"]
    value = edits.likelihood([[i for i in row if i > 3] for row in edits.vocabulary.ids(texts).tolist()])
    assert value[:2].min() > value[2:].max()


def test_unknown_words_are_left_out():
    trigrams, frequency = Trigrams(padded([[4, 5], [4, 5]]), 6), torch.full((6,), -1.0)
    rows = torch.tensor([[*row, 3] for row in product((4, UNKNOWN), (5, UNKNOWN))])
    log_p = trigrams.log_p(rows)
    assert torch.isfinite(log_p).all()
    value = trigrams.fluency(rows, frequency)
    expected = (log_p + 1).masked_fill(rows == UNKNOWN, 0).sum(1) / (rows != UNKNOWN).sum(1)
    torch.testing.assert_close(value, expected)
