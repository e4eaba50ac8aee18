"""Worlds of sentences satisfy the same contracts as pictures; classifiers of strings; the user's own corpora."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

import envs
from envs import ManifoldError, UnknownNameError, make_world
from envs.classifiers.bag_of_words import BagOfWords
from envs.core import dynamics
from envs.datasets import DATASETS, grammar
from envs.manifolds import SentenceVAE

gym.register_envs(envs)
SMALL = {"hidden": 8, "embedding": 8, "epochs": 1}


@pytest.fixture(scope="module")
def world():
    """The world of Manifold/Sentences-v0, shared: don't change it."""
    return make_world(data="sentences")


def asked(record: list[list[str]]):
    """A function of strings that notes what it is asked."""

    def function(texts: list[str]) -> np.ndarray:
        record.append(texts)
        good = np.array([sum(w in grammar.ADJECTIVES[1] for w in t.split()) > 0 for t in texts], float)
        return np.stack([0.95 - 0.9 * good, 0.05 + 0.9 * good], 1)

    return function


def test_no_held_out_sentence_stands_among_the_starts():
    data = DATASETS["sentences"]()
    assert len(data.x) == 2000
    assert len(data.held_out) == 300
    assert not set(data.x) & set(data.held_out)
    fitted = {sentence.text for sentence in grammar.sample(12_000, 0)}
    assert not fitted & set(data.held_out)


def test_the_shipped_parts_belong_together(world):
    assert world.modality == "text"
    assert world.class_names == ["negative", "positive"]
    assert float((world.reference.prediction.argmax(1) == world.reference.label).float().mean()) > 0.98
    assert world.held_out.truth.equal(world.classifier.predict_proba(world.held_out.x).argmax(1))


def test_lengths_are_measured_between_codes(world):
    state = dynamics.start(world, torch.arange(8), 1 - world.reference.label[:8])
    action = torch.nn.functional.normalize(torch.randn(8, 16, generator=torch.Generator().manual_seed(0)))
    after, info = dynamics.step(world, state, 0.5 * action)
    torch.testing.assert_close(info.step_length, (after.z - state.z).norm(dim=1))
    assert after.frame.dtype == torch.int64
    assert after.frame.equal(world.manifold.decode(after.z))
    bounded = world.replace(max_step=0.01)
    after, info = dynamics.step(bounded, state, action)
    assert (info.step_length <= bounded.max_step * (1 + 1e-5)).all()
    assert after.frame.equal(world.manifold.decode(after.z))


@pytest.mark.parametrize("move", ["euclidean", "spherical", "matched", "arc"])
def test_a_full_action_moves_its_share_of_the_class_distance(world, move):
    moved = world.replace(move=move, step=0.1)
    z = moved.reference.z[:200]
    action = torch.nn.functional.normalize(torch.randn(200, 16, generator=torch.Generator().manual_seed(0)))
    ends = moved.manifold.prior.project(moved.move(moved.manifold, z, action, moved.step_length))
    assert float((ends - z).norm(dim=1).median()) == pytest.approx(0.1 * moved.class_distance, rel=0.1)


def test_guidance_points_to_the_input_and_to_the_other_class(world):
    aimed = world.replace(guidance=True, reward={"implausibility": 1.0})
    state = dynamics.start(aimed, torch.arange(5), 1 - aimed.reference.label[:5])
    state, _ = dynamics.step(aimed, state, torch.eye(16)[:5])
    step = 1e-3
    cost = state.cost
    for j in (0, 7):
        moved = state.z.clone()
        moved[:, j] += step
        after, _ = dynamics.appraise(aimed, *(part.numpy() for part in (moved, moved, state.z0, state.target)))
        slope = (torch.from_numpy(after) - cost) / step
        scale = torch.tensor(1.0)
        torch.testing.assert_close(-2 * state.guidance[:, j], slope * scale * aimed.class_distance, atol=0.3, rtol=0.3)


@pytest.mark.parametrize("task", ["leave", "prototype"])
def test_other_tasks_walk_through_sentences_too(task):
    env = gym.make("Manifold/Sentences-v0", task=task)
    env.reset(seed=0)
    for _ in range(3):
        observation, reward, *_ = env.step(env.action_space.sample())
    assert np.isfinite(observation).all()
    assert np.isfinite(reward)


def test_ansi_shows_the_sentence_with_new_words_marked(world):
    env = envs.LatentEnv(world=world, render_mode="ansi")
    env.reset(seed=0, options={"index": 5})
    first = env.render()
    assert world.render(env.state.frame[0]) in first
    assert "0 words from the input, typicality" in first
    goal = world.reference.z[world.reference.label == env.state.target[0]][0]
    shown = []
    for _ in range(20):
        away = (goal - env.state.z[0]).numpy()
        env.step(away / max(1.0, np.linalg.norm(away)))
        shown.append(env.render())
    assert any("*" in text for text in shown)
    assert "*" not in first


def test_the_picture_holds_the_sentence(world):
    env = envs.LatentEnv(world=world, render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (256, 512, 3)
    assert (picture[:60, :256] < 100).any()


# ---- classifiers of strings -----------------------------------------------------------------------------------------


def test_a_function_of_strings_is_asked_with_the_very_words(world):
    record: list[list[str]] = []
    own = make_world(data="sentences", classifier=asked(record), class_names=["bad", "good"])
    record.clear()
    before = own.classifier.queries
    x = own.units.inward(["The GOULASH was wonderful!", "we hated it"])
    state, rows = dynamics.enter(own, x)
    assert record[0] == ["the goulash was wonderful !", "we hated it"]
    assert all(isinstance(text, str) for texts in record for text in texts)
    assert own.classifier.queries - before == int(rows.sum()) == 4
    assert state.source.tolist() == [1, 0]


def test_a_scikit_learn_pipeline_classifies_sentences():
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    data = DATASETS["sentences"]()
    pipeline = make_pipeline(CountVectorizer(), LogisticRegression()).fit(list(data.x), data.truth)
    own = make_world(data="sentences", classifier=pipeline)
    right = own.classifier.predict_proba(own.held_out.x).argmax(1) == own.held_out.truth
    assert right.all()
    shy = make_world(data="sentences", classifier=pipeline, task="reach_label")
    assert set(shy.classifier.predict_proba(shy.held_out.x[:5]).unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda texts: np.full((len(texts), 3), 1 / 3), "shape"),
        (lambda texts: np.full(len(texts), 1.5), "probability of 'good'"),  # one number a text: that of the second class
        (lambda texts: [0.5], "returned shape"),
        (lambda texts: np.full((len(texts), 2), np.nan), "NaN"),
        (lambda texts: [["a"]] * len(texts), "failed on .* texts"),
        (lambda texts: np.full((len(texts), 2), 3.0), "sum to 1"),
    ],
)
def test_wrong_answers_about_strings_are_named(function, told):
    with pytest.raises(ManifoldError, match=told):
        make_world(data="sentences", classifier=function, class_names=["bad", "good"])


def test_a_torch_module_is_told_what_it_would_have_to_take():
    with pytest.raises(ManifoldError, match="list of strings"):
        make_world(data="sentences", classifier=torch.nn.Linear(3, 2), class_names=["bad", "good"])


def test_the_bag_of_words_is_scikit_learns_model(tmp_path):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    data = DATASETS["sentences"]()
    texts, truth = [str(text) for text in data.x[:300]], data.truth[:300]
    own = BagOfWords.fit(texts, truth, ["bad", "good"], ngrams=2)
    counts = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"\S+").fit(texts)
    model = LogisticRegression(max_iter=1000).fit(counts.transform(texts), truth)
    fresh = [str(text) for text in data.held_out[:50]]
    np.testing.assert_allclose(own.predict_proba(fresh), model.predict_proba(counts.transform(fresh)), atol=2e-3)
    own.save(tmp_path)
    again = BagOfWords.load(tmp_path)
    np.testing.assert_array_equal(again.predict_proba(fresh), own.predict_proba(fresh))
    assert list(again.classes_) == ["bad", "good"]
    (tmp_path / "classifier.json").write_text("{}")
    with pytest.raises(ManifoldError, match="damaged"):
        BagOfWords.load(tmp_path)
    with pytest.raises(ManifoldError, match="no saved text classifier"):
        BagOfWords.load(tmp_path / "none")


def test_three_classes_of_words():
    texts = ["red apple", "red rose", "green leaf", "green grass", "blue sky", "blue sea"]
    own = BagOfWords.fit(texts, [0, 0, 1, 1, 2, 2], ["red", "green", "blue"])
    assert own.predict_proba(["red", "green", "blue"]).argmax(1).tolist() == [0, 1, 2]
    with pytest.raises(ManifoldError, match="at least two classes"):
        BagOfWords.fit(texts, [0] * 6, ["red", "green"])


# ---- the user's own corpora -----------------------------------------------------------------------------------------


def test_a_labelled_corpus_makes_a_world_of_its_own(tmp_path):
    file = tmp_path / "reviews.tsv"
    rows = [f"{s.text}\t{grammar.SENTIMENTS[s.sentiment]}" for s in grammar.sample(80, 3)]
    file.write_text("review\tstars\n" + "\n".join(rows) + "\n")
    own = make_world(data=str(file), text_column="review", target_column="stars", fit=SMALL, latent_dim=3)
    assert own.class_names == ["negative", "positive"]
    assert own.latent_dim == 3
    assert isinstance(own.manifold, SentenceVAE)
    truth = [s.sentiment for s in grammar.sample(80, 3)]
    assert own.reference.label.tolist() == truth
    again = make_world(own.config)
    assert again.reference.z.equal(own.reference.z)


def test_a_fit_learns_what_the_classifier_answers_and_counts_the_rows():
    texts = [sentence.text for sentence in grammar.sample(120, 3)]
    record: list[list[str]] = []
    parts = {"data": texts, "classifier": asked(record), "class_names": ["bad", "good"]}
    own = make_world(**parts, fit={**SMALL, "epochs": 30, "learning_rate": 0.02, "prediction_weight": 30.0}, latent_dim=3)
    assert own.round_trip is not None
    compared = own.round_trip.queries  # texts as they are, and from data space
    assert own.classifier.queries == sum(map(len, record)) == 3 * 120 + compared  # for the fit, starts, their frames
    assert own.manifold.input_conditioned
    told = own.manifold.head(own.reference.z).argmax(1)
    assert float((told == own.reference.label).float().mean()) > 0.9
    record.clear()
    without = make_world(**parts, fit={**SMALL, "prediction_weight": 0, "anchor": 0.0}, latent_dim=3)
    assert without.manifold.head is None
    assert not without.manifold.input_conditioned
    assert without.classifier.queries == sum(map(len, record)) == 2 * 120 + compared


def test_sentences_in_memory_with_a_classifier_and_the_shipped_manifold():
    texts = [sentence.text for sentence in grammar.sample(30, 3)]
    own = make_world(data=texts, classifier=asked([]), class_names=["bad", "good"], manifold="sentences")
    assert own.units.texts(own.reference.x) == texts
    with pytest.raises(ManifoldError, match=r"pass classifier=.*no classes"):
        make_world(data=texts, manifold="sentences")


def test_a_saved_manifold_of_sentences_is_found_again(world, tmp_path):
    world.manifold.save(tmp_path)
    texts = [sentence.text for sentence in grammar.sample(30, 3)]
    own = make_world(data=texts, classifier=asked([]), class_names=["bad", "good"], manifold=str(tmp_path))
    assert own.reference.z.equal(world.manifold.encode(own.reference.x))


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"manifold": "digits"}, ManifoldError, "need a SentenceVAE"),
        ({"manifold": "sentence"}, UnknownNameError, "did you mean 'sentences'"),
        ({"fit": {"hiden": 3}}, UnknownNameError, "did you mean 'hidden'"),
        ({"fit": "{epochs: 2}"}, ManifoldError, "mapping of settings"),
        ({"data": "none.txt"}, ManifoldError, "no data file"),
        ({"data": ["a b", "c d", ""], "fit": SMALL}, ManifoldError, "at least one word"),
        ({"data": ["a", "a"], "fit": SMALL}, ManifoldError, "one single word"),
    ],
)
def test_what_makes_no_world_of_sentences_is_named(changes, error, told):
    texts = [sentence.text for sentence in grammar.sample(30, 3)]
    with pytest.raises(error, match=told):
        make_world(**{"data": texts, "classifier": asked([]), "class_names": ["bad", "good"], **changes})
