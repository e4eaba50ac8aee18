"""The masked model."""

from __future__ import annotations

import pytest
import torch

from envs.errors import ManifoldError
from envs.manifolds.edits.filler import FillerTraining, padded
from envs.modalities.vocabulary import BEGIN, PAD, UNKNOWN


def test_a_sentence_has_the_same_fluency_alone_and_in_a_batch(edits):
    texts = ["the soup is awful", "we liked the film and the plot was great"]
    ids = edits.vocabulary.known(edits.vocabulary.ids(texts))
    together = edits.filler.fluency(ids)
    alone = torch.cat([edits.filler.fluency(padded([[i for i in row.tolist() if i > 3]])) for row in ids])
    torch.testing.assert_close(together, alone)


def test_broken_sentences_are_less_fluent(edits):
    whole = ["the soup is awful", "we liked the film"]
    broken = ["the soup is", "awful is soup the", "we the film", "liked the we film"]
    value = edits.filler.fluency(edits.vocabulary.known(edits.vocabulary.ids(whole + broken)))
    assert value[:2].min() > value[2:].max()


def test_no_special_word_is_written(edits):
    ahead, behind = edits.filler.read(edits.vocabulary.known(edits.vocabulary.ids(["the soup is awful"])))
    log_p = edits.filler.log_probabilities(ahead[0, :2], behind[0, 1:3], torch.zeros(2, dtype=torch.int64))
    assert torch.isinf(log_p[:, [PAD, BEGIN, UNKNOWN]]).all()
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(2))


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"dropout": 1.0}])
def test_impossible_settings_are_named(wrong):
    with pytest.raises(ManifoldError, match=next(iter(wrong))):
        FillerTraining(**wrong)
