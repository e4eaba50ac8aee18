"""The sentence VAE: likelihoods, schedules, dropout, decoding and collapse, against closed forms and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from envs.assets import HERE
from envs.datasets import grammar
from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds import Manifold, SentenceVAE
from envs.manifolds.sentence import training
from envs.manifolds.sentence.decoding import FREE, beam, greedy, sampled
from envs.manifolds.sentence.homotopy import homotopy, nearest_sentences
from envs.manifolds.sentence.imputation import fill_in, impute
from envs.manifolds.sentence.networks import Decoder, decoder_inputs, sentence_nll
from envs.manifolds.sentence.training import SentenceTraining, gaussian_kl, kl_weight
from envs.modalities.vocabulary import BEGIN, END, PAD, SPECIALS, UNKNOWN

WORDS = [f"w{i}" for i in range(12)]
TEXTS = [sentence.text for sentence in grammar.sample(600, 5)]
SMALL = {"latent_dim": 4, "embedding": 16, "hidden": 32, "epochs": 8, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def shipped() -> SentenceVAE:
    manifold = Manifold.load(HERE / "sentences")
    assert isinstance(manifold, SentenceVAE)
    return manifold


@pytest.fixture(scope="module")
def raw() -> SentenceVAE:
    """Random weights, large enough for every word to have its turn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        vae = SentenceVAE(WORDS, 7, latent_dim=4, embedding=5, hidden=6)
        for parameter in vae.parameters():
            parameter.data.mul_(3.0)
    return vae.eval().requires_grad_(False)


def codes(vae: SentenceVAE, n: int, seed: int = 0) -> torch.Tensor:
    return vae.prior.sample(n, torch.Generator().manual_seed(seed))


# ---- networks -------------------------------------------------------------------------------------------------------


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


# ---- training -------------------------------------------------------------------------------------------------------


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


@pytest.fixture(scope="module")
def plain() -> SentenceVAE:
    with pytest.warns(UserWarning, match="posterior collapsed"):
        return SentenceVAE.fit(TEXTS, **SMALL, feed_code=False, annealing="none", free_bits=0.0, encoder_keep=1.0)


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


# ---- what ships -----------------------------------------------------------------------------------------------------


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


# ---- decoding -------------------------------------------------------------------------------------------------------


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


# ---- imputation and homotopy ----------------------------------------------------------------------------------------


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
    assert b.split()[3] == "zither", "an unknown word is no blank"
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
