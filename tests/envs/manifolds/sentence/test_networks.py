"""Recurrent networks of sentences: logits, likelihoods, word dropout."""

from __future__ import annotations

import math

import pytest
import torch

from envs.manifolds import SentenceVAE
from envs.manifolds.sentence.networks import Decoder, decoder_inputs, sentence_nll
from envs.modalities.vocabulary import BEGIN, END, PAD, UNKNOWN


def codes(vae: SentenceVAE, n: int, seed: int = 0) -> torch.Tensor:
    return vae.prior.sample(n, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("words", [0, 1000])
@pytest.mark.parametrize("latent_dim", [0, 4])
def test_word_by_word_gives_the_logits_of_the_whole_sentence(words, latent_dim):
    torch.manual_seed(0)
    decoder = Decoder(16, 5, 6, latent_dim).requires_grad_(False)
    z, inputs = torch.randn(3, latent_dim), torch.randint(16, (3, 5))
    together = decoder(z, inputs)
    cell = decoder.cell(words)
    memory = cell.begin(z)
    for place in range(5):
        logits, memory = cell.step(memory, z, inputs[:, place])
        torch.testing.assert_close(logits, together[:, place], atol=1e-5, rtol=1e-5)


def test_padding_adds_nothing(raw):
    ids = raw.vocabulary.ids(["w1 w2", "w3 w4 w5"])
    z = codes(raw, 2)
    more = torch.cat((ids, torch.full((2, 3), PAD)), dim=1)
    whole = sentence_nll(raw.decoder(z, decoder_inputs(more)), more)
    torch.testing.assert_close(whole, -raw.log_likelihood(z, ids))
    for before, after in zip(raw.posterior(ids), raw.posterior(more), strict=True):
        torch.testing.assert_close(before, after)


def test_the_likelihood_of_a_sentence_is_that_of_its_words_and_its_end(raw):
    ids, z = raw.vocabulary.ids(["w1 w2"]), codes(raw, 1)
    log_p = raw.decoder(z, torch.tensor([[BEGIN, ids[0, 0], ids[0, 1]]]))[0].log_softmax(1)
    by_hand = log_p[0, ids[0, 0]] + log_p[1, ids[0, 1]] + log_p[2, END]
    torch.testing.assert_close(raw.log_likelihood(z, ids)[0], by_hand)


def test_word_dropout_drops_words_alone_at_its_rate():
    ids = torch.full((400, 20), 7)
    ids[:, 15], ids[:, 16:] = END, PAD
    fed = decoder_inputs(ids, 0.7, torch.Generator().manual_seed(0))
    assert (fed[:, 0] == BEGIN).all()
    assert (fed[:, 17:] == PAD).all()
    share = float((fed[:, 1:16] == UNKNOWN).float().mean())
    assert abs(share - 0.3) < 4 * math.sqrt(0.3 * 0.7 / (400 * 15))
    assert decoder_inputs(ids).equal(decoder_inputs(ids, 1.0))


def test_an_inputless_decoder_knows_the_code_and_the_place_alone(raw):
    a, b = raw.vocabulary.ids(["w1 w2 w3"]), raw.vocabulary.ids(["w4 w5 w6"])
    z = codes(raw, 1)
    fed = [decoder_inputs(ids, 0.0)[:, :4] for ids in (a, b)]
    assert raw.decoder(z, fed[0]).equal(raw.decoder(z, fed[1]))
    assert not raw.decoder(codes(raw, 1, 9), fed[0]).equal(raw.decoder(z, fed[0]))
