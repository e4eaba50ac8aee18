"""Unusual sentences on the manifold of edits: each is explained or said, and nothing of the input is lost."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from agents.explain import explain
from envs.building.world import make_world
from envs.datasets import Data, grammar
from envs.modalities.vocabulary import tokens


@pytest.fixture(scope="module")
def world():
    """The world of Manifold/SentenceEdits-v0, shared: don't change it."""
    return make_world(data="sentences", manifold="sentences_edits", progress=False)


@pytest.mark.parametrize("text", ["awful", "<b>the soup</b> is awful", "the zyzzy is awful !"])
def test_one_word_markup_and_unknown_words_are_kept_until_they_are_edited(world, text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = explain(world, text, walker="edits")
    assert path.texts[0] == path.texts[1] == " ".join(tokens(text))
    assert path.success


def test_two_hundred_words_are_cut_and_said(world):
    text = " ".join(["the soup is awful and"] * 40)
    with pytest.warns(UserWarning, match="1 of 1 sentences are longer than 12 words and were cut there"):
        path = explain(world, text, walker="edits", max_steps=2)
    assert path.texts[0] == " ".join(text.split()[:12])


def test_another_language_is_said_and_not_refused(world):
    with pytest.warns(UserWarning, match="1 of 2 sentences consist mostly of words .* the first is 'die suppe war gut'"):
        paths = explain(world, ["die suppe war gut", "the soup is awful"], walker="edits", max_steps=3)
    assert paths[0].texts[1] == "die suppe war gut"
    assert paths[1].success


def test_a_classifier_that_lowers_and_strips_sees_what_it_would_see_of_the_raw_text(world):
    texts = [sentence.text for sentence in grammar.sample(60, 0)]
    bad = {word for group in grammar.ADJECTIVES[:1] for word in group}

    def classify(found):
        p = np.array([0.95 if bad & set(text.lower().strip(" .!").split()) else 0.05 for text in found])
        return np.stack([p, 1 - p], 1)

    own = make_world(
        data=Data(texts), classifier=classify, class_names=["bad", "good"], manifold=world.manifold, progress=False
    )
    raw = "  The   SOUP is AWFUL ! "
    path = explain(own, raw, walker="edits", max_steps=3)
    assert path.predictions[0].tolist() == pytest.approx(classify([raw])[0].tolist())
    assert path.texts[0] == "the soup is awful !"
