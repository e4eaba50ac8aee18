"""The grammar: its entropy in closed form against enumeration and draws; every choice can be parsed back."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from envs.datasets import grammar
from envs.errors import ManifoldError
from envs.modalities.alignment import Word, compare, edit_distance, marked


def test_what_is_drawn_is_read_off_again():
    drawn = grammar.sample(3000, 1)
    assert all(grammar.parse(sentence.text) == sentence for sentence in drawn)
    assert max(len(sentence.text.split()) for sentence in drawn) <= grammar.LONGEST
    assert grammar.sample(5, 1) == drawn[:5] or grammar.sample(3000, 1) == drawn


def test_the_entropy_is_that_of_many_draws():
    logs = np.array([grammar.log_prob(sentence.text) for sentence in grammar.sample(20_000, 2)])
    assert abs(-logs.mean() - grammar.entropy()) < 4 * logs.std() / len(logs) ** 0.5


def test_all_sentences_of_one_sentiment_topic_and_tense_have_their_share_of_probability_and_entropy():
    nouns, good = grammar.NOUNS["food"], grammar.ADJECTIVES[1]
    first = [(n, f"the {n} {c} {d} {a}") for n, c, d, a in product(nouns, grammar.COPULAS[0], grammar.DEGREES, good)]
    first += [
        (n, f"{s} {v} the {a} {n}") for n, s, (v, _), a in product(nouns, grammar.SUBJECTS, grammar.FEELINGS[1], ("", *good))
    ]
    second = [(n, f" and the {n} {c} {a}") for n, c, a in product(nouns, grammar.COPULAS[0], good)]
    texts = {" ".join(text.split()) for _, text in first}
    texts |= {" ".join((text + more).split()) for (n, text), (m, more) in product(first, second) if n != m}
    logs = np.array([grammar.log_prob(text) for text in texts])
    share = 1 / (2 * 4 * 3)
    assert np.exp(logs).sum() == pytest.approx(share, rel=1e-9)
    assert -(np.exp(logs) * logs).sum() == pytest.approx(share * grammar.entropy(), rel=1e-9)


@pytest.mark.parametrize(
    "text",
    ["", "the", "the soup was", "the soup is wonderful and", "the soup is wonderful and the soup is great", "i will loved the cake",
     "the soup is great and the film is great", "the soup is great and the cake was great", "we love the awful soup",
     "the soup was  great", "the soup is great and the cake is great and the bread is great"],
)  # fmt: skip
def test_what_the_grammar_does_not_make_has_no_probability(text):
    assert grammar.log_prob(text) == -math.inf
    with pytest.raises(ManifoldError, match="does not produce"):
        grammar.parse(text)


@pytest.mark.parametrize(
    ("before", "after", "distance", "shown"),
    [
        ("a b c", "a b c", 0, "a b c"),
        ("a b c", "a x c", 1, "a *x* c"),
        ("a b c", "a c", 1, "a [-b-] c"),
        ("a c", "a b c", 1, "a *b* c"),
        ("", "a b", 2, "*a* *b*"),
        ("a b", "", 2, "[-a-] [-b-]"),
    ],
)
def test_changed_words_are_marked(before, after, distance, shown):
    assert edit_distance(before, after) == distance == edit_distance(after, before)
    assert marked(before, after) == shown


def test_marks_tell_the_whole_story():
    words = compare("the soup was so dull", "the cake was great")
    assert [word.text for word in words if word.change != "gone"] == ["the", "cake", "was", "great"]
    assert sum(word.change != "" for word in words) == edit_distance("the soup was so dull", "the cake was great") == 3
    assert Word("cake", "new") in words
