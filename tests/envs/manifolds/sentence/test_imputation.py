"""Imputation of missing words."""

from __future__ import annotations

import pytest
import torch

from envs.datasets import grammar
from envs.errors import ManifoldError
from envs.manifolds import SentenceVAE
from envs.manifolds.sentence.decoding import FREE, beam
from envs.manifolds.sentence.imputation import fill_in, impute
from envs.modalities.vocabulary import END


def codes(vae: SentenceVAE, n: int, seed: int = 0) -> torch.Tensor:
    return vae.prior.sample(n, torch.Generator().manual_seed(seed))


def test_imputation_leaves_known_words_and_never_loses_likelihood(shipped):
    x = shipped.vocabulary.ids([sentence.text for sentence in grammar.sample(60, 79)])
    lengths = (x > END).sum(1)
    missing = torch.arange(x.shape[1])[None] >= (lengths - 2)[:, None]
    missing &= x > END
    made = impute(shipped, x, missing, rounds=4)
    assert made.ids[~missing].equal(x[~missing])
    assert (made.ids[missing] > END).all()
    assert (made.scores.diff(dim=0) >= 0).all()
    joint = shipped.log_likelihood(made.z, made.ids) + shipped.prior.log_prob(made.z)
    torch.testing.assert_close(joint, made.scores[-1], atol=1e-3, rtol=1e-4)
    nothing = impute(shipped, x, torch.zeros_like(missing))
    assert nothing.ids.equal(x)


def test_imputation_does_not_look_at_what_is_missing(shipped):
    x = shipped.vocabulary.ids(["the soup was really wonderful", "the soup was really dreadful"])
    missing = torch.zeros_like(x, dtype=torch.bool)
    missing[:, 4] = True
    made = impute(shipped, x, missing)
    assert made.ids[0].equal(made.ids[1])


def test_an_unknown_word_stays_where_words_are_filled_in(shipped):
    x = shipped.vocabulary.ids(["the goulash was really wonderful"])
    missing = torch.zeros_like(x, dtype=torch.bool)
    missing[0, 4] = True
    assert shipped.vocabulary.texts(impute(shipped, x, missing).ids)[0].startswith("the goulash was really ")


def test_blanks_are_filled_in_and_the_rest_stays(shipped):
    size = len(shipped.vocabulary.shown)
    a, b, c = fill_in(shipped, ["The soup ___ really ___", "we ___ the zither", "the soup was great"])
    assert a.split()[:2] + a.split()[3:4] == ["the", "soup", "really"]
    assert len(a.split()) == 5
    assert b.split()[0::2] == ["we", "the"]
    assert b.split()[3] == "zither", "an unknown word is not a blank"
    assert c == "the soup was great"
    assert all(word in shipped.vocabulary.words for text in (a, b) for word in text.split() if word != "zither")
    assert len(shipped.vocabulary.shown) == size + ("zither" not in shipped.vocabulary.shown[:size]), "no blank is learned"
    assert fill_in(shipped, ["the GAP was great"], blank="gap")[0].split()[2:] == ["was", "great"]
    with pytest.raises(ManifoldError, match="blank '_ _' is not one word"):
        fill_in(shipped, ["a"], blank="_ _")
    with pytest.raises(ManifoldError, match="at least one word"):
        fill_in(shipped, [" "])


def test_imputation_refuses_what_it_cannot_fill(shipped):
    x = shipped.vocabulary.ids(["the soup was great"])
    with pytest.raises(ManifoldError, match="only words can be missing"):
        impute(shipped, x, torch.ones_like(x, dtype=torch.bool))
    with pytest.raises(ManifoldError, match="one value per position"):
        impute(shipped, x, torch.zeros(1, 2, dtype=torch.bool))
    with pytest.raises(ManifoldError, match="at least one round"):
        impute(shipped, x, torch.zeros_like(x, dtype=torch.bool), rounds=0)
    with pytest.raises(ManifoldError, match="given ids have shape"):
        beam(shipped.decoder, codes(shipped, 1), 5, given=torch.full((1, 4), FREE))
