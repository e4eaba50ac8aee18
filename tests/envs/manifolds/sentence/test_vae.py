"""The shipped sentence VAE, its files and its derivatives."""

from __future__ import annotations

import math

import numpy as np
import torch

from envs.datasets import grammar
from envs.manifolds import Manifold, SentenceVAE
from envs.manifolds.sentence.networks import decoder_inputs
from envs.modalities.vocabulary import PAD


def codes(vae: SentenceVAE, n: int, seed: int = 0) -> torch.Tensor:
    return vae.prior.sample(n, torch.Generator().manual_seed(seed))


def test_the_shipped_model_uses_its_code_and_is_no_better_than_the_truth(shipped):
    assert not shipped.collapsed
    assert shipped.account["kl"] >= 2
    assert shipped.account["active_units"] >= 8
    fresh = [sentence.text for sentence in grammar.sample(200, 77)]
    x = shipped.vocabulary.ids(fresh)
    nll = {k: shipped.importance_weighted_nll(x, k, seed=1) for k in (1, 10, 60)}
    excess = nll[60] + torch.tensor([grammar.log_prob(text) for text in fresh])
    error = float(excess.std()) / len(fresh) ** 0.5
    assert -3 * error < float(excess.mean()) < 0.4
    assert float(nll[60].mean()) < float(nll[10].mean()) < float(nll[1].mean())


def test_what_it_decodes_carries_what_the_input_carries(shipped):
    drawn = grammar.sample(200, 78)
    decoded = shipped.vocabulary.texts(shipped.decode(shipped.encode(shipped.vocabulary.ids([s.text for s in drawn]))))
    told = [grammar.parse(text) for text in decoded if grammar.log_prob(text) > -math.inf]
    assert len(told) >= 195
    alike = [
        a.sentiment == grammar.parse(b).sentiment for a, b in zip(drawn, decoded, strict=True) if grammar.log_prob(b) > -99
    ]
    assert np.mean(alike) > 0.98


def test_saved_and_loaded_it_is_the_same(shipped, tmp_path):
    shipped.save(tmp_path)
    again = Manifold.load(tmp_path)
    z = codes(shipped, 5)
    assert again.decode(z).equal(shipped.decode(z))
    assert again.settings == shipped.settings


def test_the_jacobian_is_that_of_the_logits_along_the_decoded_sentence(raw):
    z = codes(raw, 2)
    words = raw.decode(z)
    jacobian = raw.jacobian(z).double()
    assert jacobian.shape == (2, 7 * 16, 4)
    step = 1e-3
    for j in range(4):
        moved = torch.zeros(4)
        moved[j] = step
        sides = [raw.decoder(z + s * moved, decoder_inputs(words)) * (words != PAD)[..., None] for s in (1, -1)]
        slope = (sides[0] - sides[1]).flatten(1).double() / (2 * step)
        torch.testing.assert_close(jacobian[:, :, j], slope, atol=5e-2, rtol=2e-2)
    assert (torch.linalg.eigvalsh(raw.metric(z)) > -1e-3).all()
