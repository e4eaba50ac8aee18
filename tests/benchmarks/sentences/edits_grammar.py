"""Tasks that are not sentiment, on the grammar: topic (4 classes) and tense (3), judged by the grammar itself.

Manifold and classifier (logistic regression on words and pairs) are fitted to one sample; sentences of another one are
explained, towards the class that the classifier holds second. The grammar says exactly which sentences it produces and what
their attributes are.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from agents.explain import explain
from envs.building.world import make_world
from envs.classifiers.bag_of_words import BagOfWords
from envs.datasets import Data, grammar
from envs.manifolds import Edits, Manifold
from envs.modalities.alignment import edit_distance
from envs.modalities.vocabulary import Vocabulary
from tests.benchmarks.harness.statistics import interval
from tests.benchmarks.sentences.edit_rivals import of_trajectory

TASKS = {"topic": grammar.TOPICS, "tense": grammar.TENSES}
FITTED = 2000  # sentences


def grammar_task(name: str, seed: int, most: int, cache: Path, **fit: Any) -> dict[str, Any]:
    """The planned walk over edits for an attribute of the grammar.

    Args:
        name: of `TASKS`.
        seed: of the samples and of the fit.
        most: sentences that are explained.
        cache: folder of the fitted manifold.
        **fit: settings of the fit, for tests.
    """
    drawn, held = grammar.sample(FITTED, 2 * seed), grammar.sample(most, 2 * seed + 1)
    classes = list(TASKS[name])
    texts, tested = [s.text for s in drawn], [s.text for s in held]
    truth, held_truth = (np.array([getattr(s, name) for s in part]) for part in (drawn, held))
    classifier = BagOfWords.fit(texts, truth, classes, ngrams=2, strength=1.0)
    place = cache / f"edits_grammar_{name}_{seed}"
    if (place / "manifold.json").is_file():
        edits = Manifold.load(place)
    else:
        predictions = torch.from_numpy(classifier.predict_proba(texts)).float()
        edits = Edits.fit(texts, predictions, vocabulary=Vocabulary.of(texts), seed=seed, **fit)
        edits.save(place)
    data = Data(*(np.array(part, dtype=object) for part in (texts, tested)), truth, held_truth, classes)
    world = make_world(data=data, classifier=classifier, manifold=edits, task="reach", progress=False)
    paths = [of_trajectory(path) for path in explain(world, range(most), walker="edits", seed=seed)]
    there = [(path, before) for path, before in zip(paths, held, strict=True) if path.success]
    ends = [_parsed(path.texts[-1]) for path, _ in there]
    others = [other for other in ("sentiment", "topic", "tense") if other != name]
    kept = [
        after is not None and all(getattr(after, other) == getattr(before, other) for other in others)
        for after, (_, before) in zip(ends, there, strict=True)
    ]
    right = [after is not None and getattr(after, name) == path.target for after, (path, _) in zip(ends, there, strict=True)]
    middle = [_parsed(text) is not None for path, _ in there for text in path.texts[1:-1]]
    return {
        "task": name, "seed": seed, "sentences": most,
        "classifier_accuracy": float((classifier.predict_proba(tested).argmax(1) == held_truth).mean()),
        "flipped": _interval([path.success for path in paths]), "produced": _interval([end is not None for end in ends]),
        "right": _interval(right), "kept": _interval(kept), "middle_produced": _interval(middle),
        "share": _interval([edit_distance(path.texts[0], path.texts[-1]) / len(path.texts[0].split()) for path, _ in there]),
        "queries": fmean(path.queries for path in paths), "steps": fmean(len(path.texts) - 1 for path in paths),
    }  # fmt: skip


def _interval(values: list[Any]) -> list[float] | None:
    return interval(np.asarray(values, dtype=float)) if values else None


def _parsed(text: str) -> grammar.Sentence | None:
    return grammar.parse(text) if np.isfinite(grammar.log_prob(text)) else None
