"""Words as numbers: tokeniser and vocabulary of a corpus.

Ids below `len(SPECIALS)` are padding, unknown, beginning and end of a sentence. A sentence in data space is a row of ids: its
words, one end mark, padding. A word that the vocabulary lacks gets an id of its own beyond the vocabulary, so that the
classifier sees the original words; the model treats such ids as the unknown word.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.errors import ManifoldError, UnknownNameError

SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")
PAD, UNKNOWN, BEGIN, END = range(4)
TOKENISERS = ("words", "spaces")
_WORD = re.compile(r"<unk>|\w+(?:['’]\w+)*|[^\w\s]")


def tokens(text: str, tokeniser: str = "words") -> list[str]:
    """The words of a text: ``words`` lowers the case and separates punctuation, ``spaces`` splits at white space only.

    Raises:
        UnknownNameError: another tokeniser.
    """
    if tokeniser == "spaces":
        return text.split()
    if tokeniser != "words":
        raise UnknownNameError("tokeniser", tokeniser, TOKENISERS)
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def check_text(text: Any, where: str) -> str:
    """`text`, if it is a string without control characters other than white space.

    Raises:
        ManifoldError: another value; the message names `where` it is.
    """
    if not isinstance(text, str):
        raise ManifoldError(f"{where} is {text!r}, a {type(text).__name__}; a text is needed")
    for place, character in enumerate(text):
        if unicodedata.category(character) == "Cc" and character not in "\t\n\r":
            raise ManifoldError(
                f"{where} holds the control character U+{ord(character):04X} at character {place}; "
                "remove it, or name the right encoding (0x85 is an ellipsis in cp1252)"
            )
    return text


class Vocabulary:
    """The words of a corpus, and the conversion between texts and ids.

    Args:
        words: without the specials, in the order of their ids.
        length: L, ids of a sentence with its end mark; the longest sentence has L - 1 words.
        tokeniser: see `tokens`.

    Example:
        >>> vocabulary = Vocabulary.of(["a good film", "a bad film"], length=5)
        >>> vocabulary.texts(vocabulary.ids(["a bad film"]))
        ['a bad film']
    """

    def __init__(self, words: Sequence[str], length: int, tokeniser: str = "words") -> None:
        if tokeniser not in TOKENISERS:
            raise UnknownNameError("tokeniser", tokeniser, TOKENISERS)
        if length < 2:
            raise ManifoldError(f"a sentence needs room for a word and its end mark: length must be at least 2, not {length}")
        self.words = [str(word) for word in words]
        self.length = int(length)
        self.tokeniser = tokeniser
        self.shown = [*SPECIALS, *self.words]
        self.index = {word: i for i, word in enumerate(self.shown)}
        if len(self.index) != len(self.shown):
            twice = [word for word, count in Counter(self.shown).items() if count > 1]
            raise ManifoldError(f"the vocabulary names {twice[0]!r} twice")
        self.size = len(self.shown)  # ids that a model knows; words met later get higher ones

    @classmethod
    def of(cls, texts: Iterable[str], *, most: int = 10_000, least: int = 1, length: int | None = None,
           tokeniser: str = "words") -> Vocabulary:  # fmt: skip
        """The vocabulary of a corpus.

        Args:
            texts: the sentences.
            most: words at most, the most frequent ones (ties: alphabetical).
            least: how often a word has to occur.
            length: L at most; None: as the longest sentence needs.

        Raises:
            ManifoldError: no sentence with a word in it, or a corpus of one single word.
        """
        counts: Counter[str] = Counter()
        longest = 0
        for number, text in enumerate(texts):
            row = tokens(check_text(text, f"sentence {number}"), tokeniser)
            counts.update(row)
            longest = max(longest, len(row))
        if not counts:
            raise ManifoldError("the corpus is empty: it has no sentence with a word in it")
        if len(counts) == 1:
            raise ManifoldError(f"the corpus has one single word, {next(iter(counts))!r}: there is nothing to learn from it")
        for special in SPECIALS:
            counts.pop(special, None)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return cls([w for w, count in ranked[:most] if count >= least], min(length or longest + 1, longest + 1), tokeniser)

    def ids(self, texts: Sequence[str]) -> Tensor:
        """Ids (B, L) int64 of texts; unknown words get ids from `size` on. Texts that are too long are cut, and counted.

        Raises:
            ManifoldError: a text without a word, with control characters, or no text at all.
        """
        out = np.full((len(texts), self.length), PAD, dtype=np.int64)
        cut = 0
        for row, text in enumerate(texts):
            words = tokens(check_text(text, f"text {row}"), self.tokeniser)
            if not words:
                raise ManifoldError(f"text {row} is {text!r}: a sentence needs at least one word")
            cut += len(words) >= self.length
            found = [self._id(word) for word in words[: self.length - 1]]
            out[row, : len(found)] = found
            out[row, len(found)] = END
        if cut:
            warnings.warn(
                f"{cut} of {len(texts)} sentences are longer than {self.length - 1} words and were cut there", stacklevel=2
            )
        return torch.from_numpy(out)

    def _id(self, word: str) -> int:
        if word in SPECIALS:
            return UNKNOWN
        if word not in self.index:
            self.index[word] = len(self.shown)
            self.shown.append(word)
        return self.index[word]

    def texts(self, ids: Tensor) -> list[str]:
        """Texts of ids (B, L): the words up to the end mark, spaces between."""
        shown, out = self.shown, []
        for row in ids.tolist():
            end = row.index(END) if END in row else len(row)
            out.append(" ".join(shown[i] for i in row[:end] if i not in (PAD, BEGIN)))
        return out

    def mostly_unknown(self, ids: Tensor) -> list[str]:
        """Texts of those of ids (B, L) of which the vocabulary lacks more than half of the words; signs do not count."""
        found = []
        for row, text in zip(ids.tolist(), self.texts(ids), strict=True):
            known = [i < self.size for i in row if i >= len(SPECIALS) and any(map(str.isalnum, self.shown[i]))]
            if 2 * sum(known) < len(known):
                found.append(text)
        return found

    def known(self, ids: Tensor) -> Tensor:
        """Ids with those of words outside the vocabulary replaced by the unknown word's."""
        return ids.masked_fill(ids >= self.size, UNKNOWN)
