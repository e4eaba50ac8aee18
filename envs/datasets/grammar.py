"""A small grammar of opinions with sentiment, topic, tense and length, whose entropy is known exactly.

A sentence is a clause. Half of the sentences have a second clause about another noun of the same topic:

    "the soup was really wonderful"                        a statement
    "they will regret the dull film"                       a feeling
    "i enjoyed the train and the hotel seemed charming"    with a second clause

Choices are independent and can be recovered from the sentence. The map from choices to sentences is one to one, so the entropy
of a sentence is the sum of the entropies of its choices: `entropy`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from envs.errors import ManifoldError

SENTIMENTS = ("negative", "positive")
TENSES = ("past", "present", "future")
NOUNS = {
    "food": ("soup", "bread", "cake", "waiter"),
    "film": ("film", "plot", "actor", "scene"),
    "sport": ("match", "team", "player", "coach"),
    "travel": ("hotel", "train", "room", "beach"),
}
TOPICS = tuple(NOUNS)
ADJECTIVES = (
    ("awful", "boring", "dull", "terrible", "poor", "horrible", "dreadful", "weak"),
    ("wonderful", "lovely", "great", "brilliant", "charming", "excellent", "pleasant", "superb"),
)
COPULAS = (("was", "seemed"), ("is", "seems"), ("will be", "will seem"))
FEELINGS = (
    (("hated", "hate"), ("regretted", "regret"), ("disliked", "dislike")),
    (("loved", "love"), ("enjoyed", "enjoy"), ("liked", "like")),
)
SUBJECTS = ("i", "we", "you", "they")
DEGREES = ("", "really", "very", "quite", "so")
DEGREE_SHARES = (1 / 2, 1 / 8, 1 / 8, 1 / 8, 1 / 8)
LONGEST = 12  # words


class Sentence(NamedTuple):
    """A sentence and its attributes.

    Attributes:
        text: The sentence.
        sentiment: Index in `SENTIMENTS`.
        topic: Index in `TOPICS`.
        tense: Index in `TENSES`.
        long: 1 if it has a second clause.

    Example:
        >>> sentence = parse("the soup was really wonderful")
        >>> SENTIMENTS[sentence.sentiment], TOPICS[sentence.topic]
        ('positive', 'food')
    """

    text: str
    sentiment: int
    topic: int
    tense: int
    long: int


def sample(n: int, seed: int = 0) -> list[Sentence]:
    """Draw `n` sentences."""
    generator = np.random.default_rng(seed)

    def pick(k: int, shares: tuple[float, ...] | None = None) -> list[int]:
        return [int(i) for i in generator.choice(k, size=n, p=shares)]

    columns = (
        pick(2), pick(4), pick(3), pick(4), pick(2), pick(2), pick(5, DEGREE_SHARES), pick(8), pick(4), pick(3),
        pick(2), pick(8), pick(2), pick(3), pick(2), pick(8),
    )  # fmt: skip
    return [_written(_Choices(*row)) for row in zip(*columns, strict=True)]


class _Choices(NamedTuple):
    """The choices that make a sentence, as indices into the tables of words; some sentences do not use all of them."""

    sentiment: int
    topic: int
    tense: int
    noun: int
    feeling: int
    copula: int
    degree: int
    adjective: int
    subject: int
    verb: int
    described: int
    adjective_before: int
    long: int
    other: int
    copula_after: int
    adjective_after: int


def _written(row: _Choices) -> Sentence:
    """The sentence that is made of some choices."""
    nouns, adjectives = NOUNS[TOPICS[row.topic]], ADJECTIVES[row.sentiment]
    if row.feeling:
        feeling = FEELINGS[row.sentiment][row.verb][int(row.tense > 0)]
        words = [SUBJECTS[row.subject], *(["will"] if row.tense == 2 else []), feeling, "the"]
        words += [adjectives[row.adjective_before]] * row.described + [nouns[row.noun]]
    else:
        words = ["the", nouns[row.noun], COPULAS[row.tense][row.copula], DEGREES[row.degree], adjectives[row.adjective]]
    if row.long:
        words += ["and", "the", nouns[(row.noun + 1 + row.other) % 4], COPULAS[row.tense][row.copula_after]]
        words += [adjectives[row.adjective_after]]
    return Sentence(" ".join(filter(None, words)), row.sentiment, row.topic, row.tense, row.long)


def entropy() -> float:
    """Entropy of a sentence in nats: its common choices plus the expected entropy of its clauses."""
    degree = -sum(p * math.log(p) for p in DEGREE_SHARES)
    always = math.log(2) + math.log(4) + math.log(3) + math.log(4) + math.log(2) + math.log(2)
    statement = math.log(2) + degree + math.log(8)
    feeling = math.log(4) + math.log(3) + math.log(2) + math.log(8) / 2
    second = math.log(3) + math.log(2) + math.log(8)
    return always + (statement + feeling) / 2 + second / 2


def log_prob(text: str) -> float:
    """Log probability of a sentence in nats; -inf if the grammar does not produce it."""
    parsed = _parsed(text)
    if parsed is None:
        return -math.inf
    found, feeling, degree, described = parsed
    total = -math.log(2 * 4 * 3 * 4 * 2 * 2)
    if feeling:
        total -= math.log(4 * 3 * 2) + (math.log(8) if described else 0.0)
    else:
        total += math.log(DEGREE_SHARES[degree]) - math.log(2 * 8)
    return total - (math.log(3 * 2 * 8) if found.long else 0.0)


def parse(text: str) -> Sentence:
    """Recover the attributes of a sentence.

    Raises:
        ManifoldError: If the grammar does not produce it.
    """
    parsed = _parsed(text)
    if parsed is None:
        raise ManifoldError(f"the grammar does not produce {text!r}")
    return parsed[0]


def _parsed(text: str) -> tuple[Sentence, int, int, bool] | None:
    """(sentence, whether a feeling, degree, whether the noun is described), or None."""
    first, _, second = text.partition(" and ")
    clause = _clause(first)
    if clause is None or text != " ".join(text.split()):
        return None
    sentiment, topic, tense, noun, feeling, degree, described = clause
    if not second:
        return None if " and" in text else (Sentence(text, sentiment, topic, tense, 0), feeling, degree, described)
    after = _clause(second)
    if after is None or after[4] or after[5] or after[:3] != clause[:3] or after[3] == noun:
        return None
    return Sentence(text, sentiment, topic, tense, 1), feeling, degree, described


def _clause(text: str) -> tuple[int, int, int, int, int, int, bool] | None:
    """(sentiment, topic, tense, noun, whether a feeling, degree, whether the noun is described), or None."""
    words = text.split()
    feeling = bool(words) and words[0] in SUBJECTS
    if feeling:
        future = len(words) > 1 and words[1] == "will"
        verb = words[1 + future] if len(words) > 1 + future else ""
        form = [(s, t) for s, verbs in enumerate(FEELINGS) for pair in verbs for t, v in enumerate(pair) if v == verb]
        rest = words[2 + future :]
        if not form or (future and not form[0][1]) or len(rest) not in (2, 3) or rest[0] != "the":
            return None
        sentiment, tense = form[0][0], 2 if future else form[0][1]
        described, degree = len(rest) == 3, 0
        if described and rest[1] not in ADJECTIVES[sentiment]:
            return None
        name = rest[-1]
    else:
        if len(words) < 4 or words[0] != "the":
            return None
        name, tail = words[1], words[2:]
        copula = [(t, c) for t, pair in enumerate(COPULAS) for c in pair if tail[: len(c.split())] == c.split()]
        if not copula:
            return None
        tense, tail, described = copula[0][0], tail[len(copula[0][1].split()) :], False
        if len(tail) not in (1, 2) or (len(tail) == 2 and tail[0] not in DEGREES):
            return None
        degree = DEGREES.index(tail[0]) if len(tail) == 2 else 0
        signs = [s for s, adjectives in enumerate(ADJECTIVES) if tail[-1] in adjectives]
        if not signs:
            return None
        sentiment = signs[0]
    for topic, nouns in enumerate(NOUNS.values()):
        if name in nouns:
            return sentiment, topic, tense, nouns.index(name), int(feeling), degree, described
    return None
