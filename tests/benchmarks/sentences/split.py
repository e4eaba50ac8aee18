"""The split on which review sentences are explained: corpus, classifier, manifold, oracle and language model.

Everything is fitted to rt-polarity without the sentences of SST's test set and without a tenth that is held out, too. The
classifier that is explained (logistic regression on words and word pairs) sees one half of the sentences, the oracle (naive
Bayes on words, pairs and triples) the other. The sentence VAE sees short sentences, and runs of clauses of the longer ones:
few review sentences are short enough for a small network. It also learns the classifier's probabilities for them; those
rows are counted.

Settings were chosen on SST's development set (`held_out="dev"`), with that set, too, removed from what is fitted.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from envs.building.world import make_world
from envs.classifiers.bag_of_words import BagOfWords, features
from envs.core.world import World
from envs.datasets import Data
from envs.manifolds import Manifold, SentenceVAE
from envs.manifolds.edits.filler import padded
from envs.manifolds.edits.trigrams import Trigrams
from envs.modalities.vocabulary import PAD, SPECIALS, UNKNOWN, Vocabulary, tokens
from tests.benchmarks.sentences.data import reviews

LONGEST = 10  # words of a sentence that is explained or fitted whole
LEAST = 5  # how often a word stands in the corpus
CLASSES = ["negative", "positive"]
MODEL: dict[str, Any] = {"latent_dim": 32, "embedding": 96, "hidden": 192, "anchor": 4.0, "reach": 0.5}
TRAINING: dict[str, Any] = {
    "epochs": 12, "batch_size": 128, "learning_rate": 5e-3, "word_keep": 0.8, "encoder_keep": 0.9, "free_bits": 0.6,
    "prediction_weight": 5.0,
}  # fmt: skip


class Oracle:
    """Multinomial naive Bayes on words, pairs and triples: another family than the classifier's, other sentences, too."""

    def __init__(self, texts: Sequence[str], truth: np.ndarray) -> None:
        pairs = list(zip(texts, truth, strict=True))
        counts = [Counter(f for text, y in pairs if y == k for f in features(text, 3)) for k in (0, 1)]
        known = set(counts[0]) | set(counts[1])
        total = [sum(c.values()) + len(known) for c in counts]
        logs = [{f: math.log((c[f] + 1) / n) for f in known} for c, n in zip(counts, total, strict=True)]
        self.odds = {f: logs[1][f] - logs[0][f] for f in known}
        self.prior = math.log((truth == 1).sum() / (truth == 0).sum())

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Classes (B,)."""
        return np.array([int(self.prior + sum(self.odds.get(f, 0.0) for f in features(text, 3)) > 0) for text in texts])


class KneserNey:
    """`Trigrams` of texts; rare words are one unknown one.

    Args:
        texts: what it is fitted to.
        words: that are known.
    """

    def __init__(self, texts: Sequence[str], words: set[str]) -> None:
        self.ids = {word: number for number, word in enumerate(sorted(words), len(SPECIALS))}
        self.trigrams = Trigrams(self._rows(texts), len(self.ids) + len(SPECIALS))

    def _rows(self, texts: Sequence[str]) -> torch.Tensor:
        return padded([[self.ids.get(word, UNKNOWN) for word in tokens(text)] for text in texts])

    def perplexity(self, texts: Sequence[str]) -> float:
        """Of all words and end marks of texts together."""
        rows = self._rows(texts)
        return math.exp(-float(self.trigrams.log_p(rows).sum() / (rows != PAD).sum()))

    def each(self, texts: Sequence[str]) -> np.ndarray:
        """Perplexity of every text, (B,)."""
        rows = self._rows(texts)
        return np.exp(-(self.trigrams.log_p(rows).sum(1) / (rows != PAD).sum(1)).numpy().astype(float))


@dataclass(frozen=True)
class ReviewSplit:
    """Corpus, classifier, manifold and oracles of a seed.

    Attributes:
        world: its held-out inputs are the short test sentences, those of SST first, then those of rt-polarity.
        oracle, language: have no part in the search.
        real: the short test sentences of each source, in the world's order.
        facts: for the record.
    """

    world: World
    oracle: Oracle
    language: KneserNey
    real: dict[str, list[str]]
    facts: dict[str, Any]


SPLIT = r"((?<= )[,;:.()]+(?= |$)|--+|\.\.\.| - )"  # clauses end at commas, dashes and the like


def clauses(texts: Sequence[str]) -> list[str]:
    """Short texts as they are; of longer ones the clauses of four words or more."""
    found = []
    for text in texts:
        parts = [text] if len(tokens(text)) <= LONGEST else re.split(SPLIT, text)[::2]
        found += [" ".join(p.split()) for p in parts if 4 <= len(tokens(p)) <= LONGEST]
    return found


def runs(texts: Sequence[str]) -> list[str]:
    """All runs of neighbouring clauses with four words or more and not too many, each once; short texts count twice."""
    found: dict[str, None] = {}
    whole: list[str] = []
    for text in texts:
        parts = [" ".join(p.split()) for p in re.split(SPLIT, text)]  # clauses and what stands between them, in turn
        for first in range(0, len(parts), 2):
            for last in range(first, len(parts)):
                if last % 2 and parts[last] != ".":
                    continue  # a comma ends no sentence
                run = " ".join(" ".join(parts[first : last + 1]).split())
                count = len(tokens(run))
                if count > LONGEST:
                    break
                if count >= 4:
                    found[run] = None
        whole += [text] if len(tokens(text)) <= LONGEST else []
    return [*found, *whole]


def short(texts: Sequence[str]) -> np.ndarray:
    """Which texts are short enough to be explained, (N,) bool."""
    return np.array([len(tokens(text)) <= LONGEST for text in texts])


def review_split(seed: int, cache: Path | None = None, held_out: str = "test", **changes: Any) -> ReviewSplit:
    """The split of a seed; the fitted manifold is kept in `cache`. `changes` are settings of its fit."""
    data = reviews(10_000, held_out)
    aside = np.random.default_rng(0).permutation(len(data.texts)) % 10 == 0
    texts, truth = [t for t, out in zip(data.texts, aside, strict=True) if not out], data.truth[~aside]
    own_test, own_truth = [t for t, out in zip(data.texts, aside, strict=True) if out], data.truth[aside]
    half = np.random.default_rng(seed).permutation(len(texts)) % 2 == 0
    halves = [([t for t, h in zip(texts, half, strict=True) if h == k], truth[half == k]) for k in (True, False)]
    classifier = BagOfWords.fit(*halves[0], CLASSES, ngrams=2, strength=1.0)
    oracle = Oracle(*halves[1])
    pieces, seen = clauses(texts), runs(texts)
    vocabulary = Vocabulary.of(pieces, least=LEAST, length=LONGEST + 1)
    place = None if cache is None else cache / f"reviews_{held_out}_{seed}"
    if place is not None and (place / "manifold.json").is_file():
        vae = Manifold.load(place)
    else:
        predictions = torch.from_numpy(classifier.predict_proba(seen)).float()
        vae = SentenceVAE.fit(
            seen, vocabulary=vocabulary, predictions=predictions, seed=seed, **{**MODEL, **TRAINING, **changes}
        )
        if place is not None:
            vae.save(place)
    assert isinstance(vae, SentenceVAE)
    vae.anchor, vae.reach = MODEL["anchor"], MODEL["reach"]  # of walks, not of the fit
    tests = {"SST": (data.test, data.test_truth), "rt-polarity": (own_test, own_truth)}
    tested = {name: [t for t, keep in zip(rows, short(rows), strict=True) if keep] for name, (rows, _) in tests.items()}
    world = make_world(
        data=Data(
            np.array(texts, dtype=object)[short(texts)], np.array([t for rows in tested.values() for t in rows], dtype=object),
            truth[short(texts)], np.concatenate([y[short(rows)] for rows, y in tests.values()]), CLASSES,
        ),
        classifier=classifier, manifold=vae, task="reach",
    )  # fmt: skip
    language = KneserNey(pieces, set(vocabulary.words))
    account = vae.account
    facts = {
        "sentences_fitted": len(texts), "removed_for_SST": data.removed, "pieces": len(seen), "words": len(vocabulary.words),
        "reference": int(short(texts).sum()), **{f"held_out_{name}": len(rows) for name, rows in tested.items()},
        **{f"classifier_accuracy_{name}": _accuracy(classifier.predict_proba(rows).argmax(1), y)
           for name, (rows, y) in tests.items()},
        **{f"oracle_accuracy_{name}": _accuracy(oracle.predict(rows), y) for name, (rows, y) in tests.items()},
        "vae_nll": account["nll"], "vae_reconstruction": account["reconstruction"], "vae_kl": account["kl"],
        "vae_active_units": account["active_units"], "queries_of_the_fit": len(seen),
        **{f"perplexity_of_real_{name}": language.perplexity(rows) for name, rows in tested.items()},
    }  # fmt: skip
    return ReviewSplit(world, oracle, language, tested, facts)


def _accuracy(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found == truth).mean())
