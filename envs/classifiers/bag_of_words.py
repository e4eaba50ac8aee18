"""Logistic regression on the words of a text: the text classifier that ships, and a baseline."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from envs.errors import ManifoldError
from envs.files import in_home, write_together
from envs.modalities.vocabulary import tokens
from envs.reading.files import read_object, read_safetensors


class BagOfWords:
    """Softmax over the sum of the weights of a text's different words (or word n-grams).

    Args:
        words: V features: words, or up to `ngrams` words separated by spaces.
        weights: Weights, (V, K).
        intercept: Intercepts, (K,).
        classes: K class names.
        ngrams: Largest number of words per feature.
        tokeniser: See `envs.modalities.vocabulary.tokens`.

    Example:
        >>> model = BagOfWords.fit(["good film", "bad film", "good soup", "bad soup"], [1, 0, 1, 0], ["bad", "good"])
        >>> model.predict_proba(["a good day"]).argmax(1)
        array([1])
    """

    def __init__(self, words: Sequence[str], weights: np.ndarray, intercept: np.ndarray, classes: Sequence[Any],
                 ngrams: int = 1, tokeniser: str = "words") -> None:  # fmt: skip
        self.words, self.classes_ = list(words), np.asarray(classes)
        self.weights = np.asarray(weights, dtype=np.float32)
        self.intercept = np.asarray(intercept, dtype=np.float32)
        self.ngrams, self.tokeniser = ngrams, tokeniser
        self._index = {word: i for i, word in enumerate(self.words)}

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Class probabilities (B, K) of B texts."""
        logits = np.tile(self.intercept.astype(np.float64), (len(texts), 1))
        for row, text in enumerate(texts):
            held = [self._index[f] for f in features(text, self.ngrams, self.tokeniser) if f in self._index]
            logits[row] += self.weights[held].sum(0)
        p = np.exp(logits - logits.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True)

    @classmethod
    def fit(cls, texts: Sequence[str], truth: Any, classes: Sequence[Any], *, ngrams: int = 1, least: int = 1,
            strength: float = 1.0, tokeniser: str = "words") -> BagOfWords:  # fmt: skip
        """Fit with scikit-learn's logistic regression.

        Args:
            texts: N texts.
            truth: Class indices, (N,).
            classes: Class names.
            ngrams: Largest number of words per feature.
            least: Smallest number of texts that contain a feature.
            strength: Inverse weight of the L2 penalty.
            tokeniser: See `envs.modalities.vocabulary.tokens`.

        Raises:
            ManifoldError: If no feature remains, or there is only one class.
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
            raise ManifoldError(f"no word occurs in {least} of the {len(rows)} texts")
        index = {word: i for i, word in enumerate(words)}
        held = [[index[feature] for feature in row if feature in index] for row in rows]
        ends = np.cumsum([0, *map(len, held)])
        flat = np.concatenate([np.array(row, dtype=np.int64) for row in held])
        matrix = csr_matrix((np.ones(len(flat), dtype=np.float64), flat, ends), shape=(len(rows), len(words)))
        model = LogisticRegression(C=strength, max_iter=1000).fit(matrix, truth)
        weights, intercept = np.zeros((len(words), len(classes))), np.full(len(classes), -30.0)
        if len(model.classes_) == 2:  # scikit-learn stores only the log odds of the second class
            low, high = model.classes_
            weights[:, high], intercept[low], intercept[high] = model.coef_[0], 0.0, model.intercept_[0]
        else:
            weights[:, model.classes_], intercept[model.classes_] = model.coef_.T, model.intercept_
        return cls(words, weights, intercept, classes, ngrams, tokeniser)

    def save(self, folder: str | Path) -> None:
        """Write ``classifier.json`` and ``classifier.safetensors`` into `folder`."""
        folder = Path(in_home(folder))
        folder.mkdir(parents=True, exist_ok=True)
        content = save({"weights": self.weights, "intercept": self.intercept})
        card = {"words": self.words, "classes": [str(name) for name in self.classes_], "ngrams": self.ngrams,
                "tokeniser": self.tokeniser, "sha256": hashlib.sha256(content).hexdigest()}  # fmt: skip
        write_together({folder / "classifier.safetensors": content, folder / "classifier.json": json.dumps(card)})

    @classmethod
    def load(cls, folder: str | Path) -> BagOfWords:
        """Load a classifier that `save` wrote.

        Raises:
            ManifoldError: If files are missing or damaged.
        """
        folder = Path(in_home(folder))
        try:
            card = read_object(folder / "classifier.json")
            tensors = read_safetensors(folder / "classifier.safetensors", sha256=card.get("sha256"))
            arrays = {name: tensors[name].numpy() for name in ("weights", "intercept")}
            return cls(card["words"], **arrays, classes=card["classes"], ngrams=card["ngrams"], tokeniser=card["tokeniser"])
        except FileNotFoundError as error:
            raise ManifoldError(f"no saved text classifier in {folder}: {error}") from error
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise ManifoldError(f"the text classifier saved in {folder} is damaged: {error}") from error


def features(text: str, ngrams: int = 1, tokeniser: str = "words") -> list[str]:
    """Different words of a text and its runs of up to `ngrams` words, sorted.

    The fixed order makes sums over them independent of Python's hash seed.

    Args:
        text: The text.
        ngrams: Largest number of words per feature.
        tokeniser: See `envs.modalities.vocabulary.tokens`.

    Example:
        >>> features("good good film", ngrams=2)
        ['film', 'good', 'good film', 'good good']
    """
    row = tokens(text, tokeniser)
    return sorted({" ".join(row[i : i + n]) for n in range(1, ngrams + 1) for i in range(len(row) - n + 1)})
