"""Text: the user's strings outside, rows of word ids in data space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.errors import ManifoldError
from envs.modalities.alignment import edit_distances, marked
from envs.modalities.base import Units
from envs.modalities.vocabulary import PAD, Vocabulary


class TextUnits(Units):
    """Units of sentences. Classifiers are queried with strings: the words, joined by spaces.

    Args:
        vocabulary: from strings to ids and back.

    Example:
        >>> units = TextUnits(Vocabulary.of(["a good film", "a bad film"], length=5))
        >>> units.texts(units.inward("a bad film"))
        ['a bad film']
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__("text", (vocabulary.length,))
        self.vocabulary = vocabulary

    def inward(self, raw: object) -> Tensor:
        """Ids (B, L) of strings (B,), or of one string; see `Vocabulary.ids`.

        Raises:
            ManifoldError: no strings, or texts that the vocabulary refuses.
        """
        texts = [raw] if isinstance(raw, str) else list(np.asarray(raw, dtype=object).ravel())
        if not texts:
            raise ManifoldError("no text was given")
        return self.vocabulary.ids(texts)

    def texts(self, x: Tensor) -> list[str]:
        """Strings of ids (B, L)."""
        return self.vocabulary.texts(x)

    def asker(self, classifier: Any, input_shape: Sequence[int]) -> Callable[[Tensor], Any]:
        """See `Units.asker`: classifiers of text see a list of strings."""
        return self.texts

    def raw_asker(self, classifier: Any, input_shape: Sequence[int]) -> Callable[[Any], Any]:
        """See `Units.raw_asker`."""
        return lambda raw: [str(text) for text in raw]

    keeps_all = False  # case, spaces, and words beyond the longest sentence are lost
    initial_latent = "kept"
    codes_are_coordinates = True
    metric_is_of_coordinates = False  # it is that of the logits

    def render(self, x: Tensor, factual: Factual | None = None) -> str:
        """See `Units.render`: the sentence."""
        return self.texts(x[None])[0]

    def distance(self, x: Tensor, others: Tensor) -> Tensor:
        """See `Units.distance`: the fewest words to insert, delete or replace."""
        rows, count = others.shape[:2]
        words = edit_distances(x.repeat_interleave(count, 0).numpy(), others.flatten(0, 1).numpy(), PAD)
        return torch.from_numpy(words).view(rows, count)

    def difference(self, before: Tensor, after: Tensor) -> str:
        """The later sentence, new words between stars and lost words in brackets."""
        return marked(self.render(before), self.render(after))


def is_text(raw: np.ndarray) -> bool:
    """Whether raw data are strings, one a row."""
    return raw.ndim == 1 and len(raw) > 0 and (raw.dtype.kind == "U" or (raw.dtype.kind == "O" and isinstance(raw[0], str)))
