"""Greedy, sampled and beam decoding."""

from __future__ import annotations

import pytest
import torch

from envs.errors import ManifoldError
from envs.manifolds import SentenceVAE
from envs.manifolds.sentence.decoding import FREE, beam, greedy, sampled
from envs.modalities.vocabulary import BEGIN, END, PAD, UNKNOWN


def codes(vae: SentenceVAE, n: int, seed: int = 0) -> torch.Tensor:
    return vae.prior.sample(n, torch.Generator().manual_seed(seed))


def test_decoded_sentences_have_words_and_an_end_and_nothing_else(raw):
    for ids in (raw.decode(codes(raw, 64)), sampled(raw.decoder, codes(raw, 64), 7, torch.Generator().manual_seed(0))):
        lengths = (ids != PAD).sum(1)
        assert (lengths >= 2).all()
        assert (ids.gather(1, lengths[:, None] - 1) == END).all()
        assert ((ids == END).sum(1) == 1).all()
        assert not ((ids == UNKNOWN) | (ids == BEGIN)).any()


def test_batches_are_decoded_as_single_codes_are(shipped):
    z = codes(shipped, 20)
    assert shipped.decode(z).equal(torch.cat([shipped.decode(row[None]) for row in z]))


def test_a_beam_of_one_is_greedy_and_a_wider_one_no_worse(raw):
    z = codes(raw, 30)
    first, score = beam(raw.decoder, z, 7, 1)
    assert first.equal(greedy(raw.decoder, z, 7))
    torch.testing.assert_close(score, raw.log_likelihood(z, first), atol=1e-4, rtol=1e-4)
    wide, better = beam(raw.decoder, z, 7, 16)
    torch.testing.assert_close(better, raw.log_likelihood(z, wide), atol=1e-4, rtol=1e-4)
    assert float(better.mean()) > float(score.mean())


def test_a_beam_over_everything_finds_the_likeliest_sentence():
    torch.manual_seed(1)
    vae = SentenceVAE(["a", "b"], 3, latent_dim=2, embedding=3, hidden=3).requires_grad_(False)
    z = codes(vae, 4)
    every = ["a", "b", "a a", "a b", "b a", "b b"]
    ids = vae.vocabulary.ids(every)
    scores = torch.stack([vae.log_likelihood(z, one.expand(4, -1)) for one in ids], dim=1)
    found, _ = beam(vae.decoder, z, 3, 16)
    assert vae.vocabulary.texts(found) == [every[i] for i in scores.argmax(1).tolist()]


def test_a_beam_told_the_first_words_is_that_told_them_word_by_word(raw):
    z = codes(raw, 6)
    given = torch.full((6, 7), FREE)
    given[:, :3] = torch.tensor([[4, 5, 6], [7, 8, 9], [4, 4, 4], [5, 6, 7], [8, END, PAD], [9, 10, 11]])
    given[:, 5:] = torch.tensor([END, PAD])
    given[4, 2:] = PAD
    given[5, 0] = FREE  # keeps the others from being fed their first words at once
    together, score = beam(raw.decoder, z, 7, 6, given)
    alone, alike = beam(raw.decoder, z[:5], 7, 6, given[:5])
    assert alone.equal(together[:5])
    torch.testing.assert_close(alike, score[:5], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alike, raw.log_likelihood(z[:5], alone), atol=1e-4, rtol=1e-4)
    whole, _ = beam(raw.decoder, z[:5], 7, 6, alone)
    assert whole.equal(alone)


def test_sampling_hangs_on_its_generator_and_sharpens_with_temperature(raw):
    z = codes(raw, 30)
    a, b = (sampled(raw.decoder, z, 7, torch.Generator().manual_seed(4)) for _ in range(2))
    assert a.equal(b)
    assert sampled(raw.decoder, z, 7, torch.Generator().manual_seed(4), 1e-4).equal(greedy(raw.decoder, z, 7))
    with pytest.raises(ManifoldError, match="temperature must be positive"):
        sampled(raw.decoder, z, 7, torch.Generator(), 0.0)
