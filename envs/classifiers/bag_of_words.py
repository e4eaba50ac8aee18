"""Logistic regression on which words a text holds: the text classifier that ships, and a baseline for others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from envs.errors import ManifoldError
from envs.modalities.vocabulary import tokens
from envs.reading.files import read_object, read_safetensors


class BagOfWords:
    """Softmax of the summed weights of the words (and word pairs) that stand in a text, each counted once.

    Args:
        words: V features: words, or ``ngrams`` words with spaces between.
        weights: (V, K).
        intercept: (K,).
        classes: K class names.
        ngrams: longest feature in words.
        tokeniser: see `envs.modalities.vocabulary.tokens`.
    """

    def __init__(self, words: Sequence[str], weights: np.ndarray, intercept: np.ndarray, classes: Sequence[Any],
                 ngrams: int = 1, tokeniser: str = "words") -> None:  # fmt: skip
        self.words, self.classes_ = list(words), np.asarray(classes)
        self.weights = np.asarray(weights, dtype=np.float32)
        self.intercept = np.asarray(intercept, dtype=np.float32)
        self.ngrams, self.tokeniser = ngrams, tokeniser
        self._index = {word: i for i, word in enumerate(self.words)}

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Probabilities (B, K) of texts."""
        logits = np.tile(self.intercept.astype(np.float64), (len(texts), 1))
        for row, text in enumerate(texts):
            held = [self._index[f] for f in features(text, self.ngrams, self.tokeniser) if f in self._index]
            logits[row] += self.weights[held].sum(0)
        p = np.exp(logits - logits.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True)

    @classmethod
    def fit(cls, texts: Sequence[str], truth: Any, classes: Sequence[Any], *, ngrams: int = 1, least: int = 1,
            strength: float = 1.0, tokeniser: str = "words") -> BagOfWords:  # fmt: skip
        """Fit by scikit-learn.

        Args:
            texts: N texts.
            truth: (N,) class indices.
            classes: names of the classes.
            ngrams: longest feature in words.
            least: in how many texts a feature has to stand.
            strength: inverse of the L2 penalty.

        Raises:
            ManifoldError: no feature is left, or one class alone.
        """
        from scipy.sparse import csr_matrix
        from sklearn.linear_model import LogisticRegression

        truth = np.asarray(truth)
        if len(np.unique(truth)) < 2:
            raise ManifoldError("a text classifier needs texts of at least two classes")
        rows = [features(text, ngrams, tokeniser) for text in texts]
        counts = Counter(feature for row in rows for feature in row)
        words = sorted(feature for feature, count in counts.items() if count >= least)
        if not words:
            raise ManifoldError(f"no word stands in {least} of the {len(rows)} texts")
        index = {word: i for i, word in enumerate(words)}
        held = [[index[feature] for feature in row if feature in index] for row in rows]
        ends = np.cumsum([0, *map(len, held)])
        flat = np.concatenate([np.array(row, dtype=np.int64) for row in held])
        matrix = csr_matrix((np.ones(len(flat), dtype=np.float64), flat, ends), shape=(len(rows), len(words)))
        model = LogisticRegression(C=strength, max_iter=1000).fit(matrix, truth)
        weights, intercept = np.zeros((len(words), len(classes))), np.full(len(classes), -30.0)
        if len(model.classes_) == 2:  # scikit-learn keeps the second class's log odds alone
            low, high = model.classes_
            weights[:, high], intercept[low], intercept[high] = model.coef_[0], 0.0, model.intercept_[0]
        else:
            weights[:, model.classes_], intercept[model.classes_] = model.coef_.T, model.intercept_
        return cls(words, weights, intercept, classes, ngrams, tokeniser)

    def save(self, folder: str | Path) -> None:
        """Write `classifier.json` and `classifier.safetensors` into `folder`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"weights": self.weights, "intercept": self.intercept}, folder / "classifier.safetensors")
        card = {"words": self.words, "classes": [str(name) for name in self.classes_], "ngrams": self.ngrams,
                "tokeniser": self.tokeniser}  # fmt: skip
        (folder / "classifier.json").write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> BagOfWords:
        """The classifier that `save` wrote.

        Raises:
            ManifoldError: nothing there, or damaged.
        """
        folder = Path(folder)
        try:
            tensors = read_safetensors(folder / "classifier.safetensors")
            arrays = {name: tensors[name].numpy() for name in ("weights", "intercept")}
            card = read_object(folder / "classifier.json")
            return cls(card["words"], **arrays, classes=card["classes"], ngrams=card["ngrams"], tokeniser=card["tokeniser"])
        except FileNotFoundError as error:
            raise ManifoldError(f"no saved text classifier in {folder}: {error}") from error
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise ManifoldError(f"the text classifier saved in {folder} is damaged: {error}") from error


def features(text: str, ngrams: int = 1, tokeniser: str = "words") -> list[str]:
    """The different words of a text and its runs of up to `ngrams` words, sorted: sums over them do not depend on a hash seed."""
    row = tokens(text, tokeniser)
    return sorted({" ".join(row[i : i + n]) for n in range(1, ngrams + 1) for i in range(len(row) - n + 1)})
