"""Text: the user's strings outside, rows of word ids in data space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.errors import ManifoldError
from envs.modalities.alignment import edit_distances, edits, marked
from envs.modalities.base import Units
from envs.modalities.components import Component
from envs.modalities.vocabulary import BEGIN, END, PAD, Vocabulary


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
    rows_are_strings = True
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

    # ---- parts -------------------------------------------------------------------------------------------------------

    follows_frames = False  # words between the input and the end have no fixed places

    def components(self, frames: Tensor, factual: Factual) -> list[Component]:
        """See `Units.components`: every replaced word, and every run of inserted or of removed words."""
        a, b = self._words(frames[0]), self._words(frames[-1])
        nothing, shown = torch.zeros(0, dtype=torch.bool), self.vocabulary.shown
        found = []
        for gone, new in _changes(a, b):
            words = " ".join(shown[a[i]] for i in gone) or " ".join(shown[b[j]] for j in new)
            found.append(Component(words, {"before": gone, "after": new}, nothing))
        return found

    def composed(self, frames: Tensor, components: Sequence[Component], choice: Tensor) -> Tensor:
        """See `Units.composed`; rows are as long as their words need, which may be more than data space has."""
        a, b = self._words(frames[0]), self._words(frames[-1])
        of_before = {i: k for k, part in enumerate(components) for i in part.where["before"]}
        of_after = {j: k for k, part in enumerate(components) for j in part.where["after"]}
        pairs, rows = edits(a, b), []
        for chosen in (choice > 0).tolist():
            row: list[int] = []
            for i, j in pairs:
                k = of_before.get(i, of_after.get(j))
                after = k is not None and chosen[k]
                row += [b[j]] if after and j is not None else [a[i]] if not after and i is not None else []
            rows.append([*row, END])
        out = torch.full((len(rows), max(map(len, rows), default=1)), PAD, dtype=torch.int64)
        for place, row in enumerate(rows):
            out[place, : len(row)] = torch.tensor(row)
        return out

    def _words(self, row: Tensor) -> list[int]:
        """The ids of a row's words."""
        ids = row.tolist()
        return [i for i in ids[: ids.index(END) if END in ids else len(ids)] if i not in (PAD, BEGIN)]


def _changes(a: Sequence[int], b: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The edits from `a` to `b`: places in each, neighbouring insertions and neighbouring deletions together."""
    found: list[tuple[list[int], list[int]]] = []
    kept = True
    for i, j in edits(a, b):
        if i is not None and j is not None and a[i] == b[j]:
            kept = True
            continue
        gone, new = [i] if i is not None else [], [j] if j is not None else []
        alike = not kept and (i is None or j is None) and (bool(found[-1][0]), bool(found[-1][1])) == (bool(gone), bool(new))
        if alike:
            found[-1][0].extend(gone)
            found[-1][1].extend(new)
        else:
            found.append((gone, new))
        kept = False
    return found


def is_text(raw: np.ndarray) -> bool:
    """Whether raw data are strings, one a row."""
    return raw.ndim == 1 and len(raw) > 0 and (raw.dtype.kind == "U" or (raw.dtype.kind == "O" and isinstance(raw[0], str)))
