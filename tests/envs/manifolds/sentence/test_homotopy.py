"""Homotopies between sentences."""

from __future__ import annotations

import pytest
import torch

from envs.errors import ManifoldError
from envs.manifolds.sentence.homotopy import homotopy, nearest_sentences
from envs.modalities.vocabulary import SPECIALS


def test_a_homotopy_ends_where_its_sentences_decode_to(shipped):
    a, b = "we hated the weak team", "the soup is so great"
    way = homotopy(shipped, a, b, 7)
    ends = shipped.encode(shipped.vocabulary.ids([a, b]))
    torch.testing.assert_close(way.z[[0, -1]], ends)
    assert [way.texts[0], way.texts[-1]] == shipped.vocabulary.texts(shipped.decode(ends))
    torch.testing.assert_close(way.z[3], ends.mean(0))
    assert homotopy(shipped, ends[0], ends[1], 7).texts == way.texts
    assert nearest_sentences(way.z[:1], ends, [a, b])[0] == (a, pytest.approx(0.0, abs=1e-3))
    with pytest.raises(ManifoldError, match="at least 2 points"):
        homotopy(shipped, a, b, 1)


def test_no_special_is_a_word(shipped):
    assert not set(SPECIALS) & set(shipped.vocabulary.words)
