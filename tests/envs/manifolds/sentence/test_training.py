"""Training of a sentence VAE: schedules, free bits, collapse, interruption, early stopping."""

from __future__ import annotations

import math

import pytest
import torch

from envs.datasets import grammar
from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds import SentenceVAE
from envs.manifolds.sentence import training
from envs.manifolds.sentence.training import SentenceTraining, gaussian_kl, kl_weight

TEXTS = [sentence.text for sentence in grammar.sample(600, 5)]
SMALL = {"latent_dim": 4, "embedding": 16, "hidden": 32, "epochs": 8, "learning_rate": 1e-2}


def codes(vae: SentenceVAE, n: int, seed: int = 0) -> torch.Tensor:
    return vae.prior.sample(n, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def plain() -> SentenceVAE:
    with pytest.warns(UserWarning, match="posterior collapsed"):
        return SentenceVAE.fit(TEXTS, **SMALL, feed_code=False, annealing="none", free_bits=0.0, encoder_keep=1.0)


@pytest.mark.parametrize(
    ("annealing", "at", "weight"),
    [("none", 0.0, 1.0), ("linear", 0.0, 0.0), ("linear", 0.25, 0.5), ("linear", 0.9, 1.0), ("sigmoid", 0.4, 0.5),
     ("sigmoid", 0.0, 1 / (1 + math.exp(8))), ("sigmoid", 1.0, 1 / (1 + math.exp(-12))), ("cyclical", 0.0, 0.0),
     ("cyclical", 0.0625, 0.5), ("cyclical", 0.2, 1.0), ("cyclical", 0.25, 0.0), ("cyclical", 1.0, 1.0)],
)  # fmt: skip
def test_the_kl_weight_follows_its_schedule(annealing, at, weight):
    assert kl_weight(annealing, at) == pytest.approx(weight, abs=1e-9)


def test_the_closed_form_kl_is_torchs():
    mean, log_variance = torch.randn(5, 3), torch.randn(5, 3)
    q = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(gaussian_kl(mean, log_variance), expected)


def test_free_bits_are_a_floor_for_every_dimension(raw):
    ids, generator = raw.vocabulary.ids(["w1 w2", "w3"]), torch.Generator()
    how = {"word_keep": 1.0, "encoder_keep": 1.0}
    free, none = (
        training.training_loss(raw, ids, w, SentenceTraining(free_bits=1e6, **how), generator.manual_seed(0))
        for w in (1.0, 0.0)
    )
    assert float(free - none) == pytest.approx(4e6, rel=1e-6)


def test_the_plain_run_collapses_and_is_flagged(plain):
    assert plain.account["kl"] < training.COLLAPSED
    assert plain.collapsed
    assert plain.account["active_units"] == 0


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone(plain):
    state = torch.random.get_rng_state()
    settings = {**SMALL, "epochs": 1, "free_bits": 1.0}
    a, b = (SentenceVAE.fit(TEXTS[:100], **settings) for _ in range(2))
    assert torch.random.get_rng_state().equal(state)
    assert all(x.equal(y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_an_interrupted_fit_keeps_what_was_learned(monkeypatch):
    calls, loss = [], training.training_loss

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return loss(*arguments)

    monkeypatch.setattr(training, "training_loss", interrupted)
    with pytest.warns(UserWarning, match="interrupted after 3 of"):
        vae = SentenceVAE.fit(TEXTS[:100], latent_dim=4, embedding=8, hidden=8, epochs=9, free_bits=1.0)
    assert vae.account["interrupted"]
    assert vae.account["steps"] == 3
    assert vae.decode(codes(vae, 2)).shape == (2, vae.vocabulary.length)


def test_training_stops_where_the_bound_no_longer_improves(monkeypatch):
    figures = iter([3.0, 2.0, 2.5, 2.4, 2.3, 2.2, 2.1])
    real = training.validated
    monkeypatch.setattr(training, "validated", lambda *a, **k: {**real(*a, **k), "nll": next(figures)})
    vae = SentenceVAE.fit(TEXTS[:100], latent_dim=4, embedding=8, hidden=8, epochs=50, annealing="none", patience=2)
    assert vae.account["steps"] == 4 * math.ceil(90 / 64)


@pytest.mark.parametrize(
    ("settings", "error"),
    [({"annealing": "cosine"}, UnknownNameError), ({"word_keep": 1.5}, ManifoldError), ({"free_bits": -1}, ManifoldError),
     ({"latent_dim": 0}, ManifoldError), ({"validation_share": 0}, ManifoldError)],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(settings, error):
    with pytest.raises(error):
        SentenceVAE.fit(TEXTS[:10], epochs=1, **settings)
