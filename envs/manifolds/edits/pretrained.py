"""Proposals by a pretrained language model, which also judges them; kept on disk for each input.

Every word, every pair of words and every place between words is a gap, as in `envs.manifolds.edits.proposals`. A word is
worth log p(word | the gap) less half of its log frequency, plus what it adds to the log odds of a class. A causal model reads
the words before a gap only; the masked model of the corpus adds what the words behind it say. The pretrained model reads the
best fillings of a gap with the rest of the sentence, and the loss of fluency is its own (`Filler.fluency` says of what).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.files import write_whole
from envs.manifolds.cache import cache_folder
from envs.manifolds.edits.codes import SentenceCodes
from envs.manifolds.edits.filler import Filler, padded
from envs.manifolds.edits.graph import Edit
from envs.manifolds.edits.language import LanguageModel, first_tokens, identity
from envs.manifolds.edits.proposals import changes
from envs.modalities.vocabulary import SPECIALS, UNKNOWN, Vocabulary
from envs.reading.files import read_json

STEER = (8.0, 30.0)  # weights of the log odds of a class; half of the fillings of a gap are chosen with each
RARE = 0.5  # weight of a word's log frequency, which is taken off
#: words that a span of 0, 1, 2 words is filled with; one that speaks for a class more than most has `INFLUENTIAL` more
FILLED, INFLUENTIAL = (6, 6, 2), 10
WORST = 1.0  # loss of fluency, nats per word, beyond which an edit is not proposed
PLAIN = 1  # fillings by fluency alone
VERSION = 3  # of the files


class Pretrained:
    """A pretrained model that proposes edits of sentences of a corpus.

    Args:
        path: folder or GGUF file of the model, see `LanguageModel.of`.
        vocabulary: of the corpus.
        filler: the masked model of the corpus.
        codes: the sentence encoder.

    Example:
        >>> from envs.assets import ASSETS
        >>> edits = ASSETS["sentences_edits"].manifold()[0]
        >>> Pretrained("no/model", edits.vocabulary, edits.filler, edits.codes).language  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        envs.errors.ManifoldError: proposer is 'no/model': there is no such folder or GGUF file; ...
    """

    def __init__(self, path: str, vocabulary: Vocabulary, filler: Filler, codes: SentenceCodes) -> None:
        self.path, self.vocabulary, self.filler, self.codes = path, vocabulary, filler, codes

    @cached_property
    def language(self) -> LanguageModel:
        """The model, opened when it is first needed."""
        return LanguageModel.of(self.path)

    @cached_property
    def _first(self) -> Tensor:
        """The first token (O,) of each word that is written; -1 for the others."""
        words = [" " if k < len(SPECIALS) else word for k, word in enumerate(self.vocabulary.shown[: self.filler.written])]
        first = first_tokens(self.language, words)
        first[: len(SPECIALS)] = -1
        if not (first >= 0).any():
            raise ManifoldError(
                f"proposer is {self.path!r}: the model knows no word of the corpus; is it of another language?"
            )
        return first

    @cached_property
    def _share(self) -> Tensor:
        """Log of each word's share (O,) among the words that begin with its first token."""
        count = self.filler.log_frequency[: self.filler.written].exp() * (self._first >= 0)
        total = torch.zeros(int(self._first.max()) + 1).index_add_(0, self._first.clamp_min(0), count)
        return (count / total[self._first.clamp_min(0)]).log()

    # ---- proposals -----------------------------------------------------------------------------------------------------

    def propose(self, words: Sequence[int], longest: int, kept: int) -> list[Edit]:
        """The edits of a sentence, the best first, from the cache if they were made before.

        Args:
            words: Ids of the sentence's words.
            longest: Words of the longest sentence.
            kept: The most edits.
        """
        text = [self.vocabulary.shown[word] for word in words]
        place = self._place(text, longest, kept)
        if place is not None:
            with contextlib.suppress(ManifoldError, OSError, TypeError, ValueError, KeyError):
                kept_edits = [
                    Edit(i, j, tuple(self.vocabulary.index[w] for w in new), loss) for i, j, new, loss in read_json(place)
                ]
                if all(
                    0 <= e.start <= e.stop <= len(words) and changes(words, *e[:3], longest) and e.loss <= WORST
                    for e in kept_edits
                ):
                    return kept_edits
        edits = self._made(words, text, longest, kept)
        if place is not None:
            shown = [(e.start, e.stop, [self.vocabulary.shown[word] for word in e.words], e.loss) for e in edits]
            with contextlib.suppress(OSError):
                place.parent.mkdir(parents=True, exist_ok=True)
                write_whole(place, json.dumps(shown))
        return edits

    @cached_property
    def _stamp(self) -> str:
        """What tells these proposals from those of another model, corpus or classifier."""
        digest = hashlib.sha256(json.dumps([VERSION, *identity(self.path), self.vocabulary.words]).encode())
        for part in (*self.codes.state_dict().values(), *self.filler.state_dict().values()):
            digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _place(self, text: Sequence[str], longest: int, kept: int) -> Path | None:
        folder = cache_folder()
        if folder is None:
            return None
        asked = hashlib.sha256(json.dumps([self._stamp, list(text), longest, kept]).encode())
        return folder / "proposals" / f"{asked.hexdigest()[:32]}.json"

    def _made(self, words: Sequence[int], text: Sequence[str], longest: int, kept: int) -> list[Edit]:
        known = [word if word < self.filler.size else UNKNOWN for word in words]
        found = [Edit(i, j, new) for i, j, new in self._fillings(known, text) if changes(words, i, j, new, longest)]
        if not found:
            return []
        shown = self.vocabulary.shown
        gains, value = self.language.gains(text, [(e.start, e.stop, [shown[w] for w in e.words]) for e in found])
        usual = self._usual
        here = self.filler.fluency(padded([known]))[0] * len(words) if value is None else value - sum(usual(w) for w in words)
        losses = []
        for edit, gain in zip(found, gains.tolist(), strict=True):
            less = sum(usual(w) for w in edit.words) - sum(usual(w) for w in words[edit.start : edit.stop])
            count = len(words) + len(edit.words) - (edit.stop - edit.start)
            losses.append(float(here) / len(words) - (float(here) + gain - less) / count)
        rows = padded([known, *([*known[: e.start], *e.words, *known[e.stop :]] for e in found)])
        log_p = self.codes.expected(self.codes(rows))
        merit = ((log_p[1:] - log_p[0]) * (1 - log_p[0].exp())).amax(1) - torch.tensor(losses) * len(words)
        order = merit.argsort(descending=True, stable=True).tolist()
        return [found[k]._replace(loss=losses[k]) for k in order if losses[k] <= WORST][:kept]

    def _usual(self, word: int) -> float:
        """Log frequency of a word."""
        return float(self.filler.log_frequency[word if word < self.filler.size else UNKNOWN])

    def _fillings(self, known: Sequence[int], text: Sequence[str]) -> list[tuple[int, int, tuple[int, ...]]]:
        """Edits (start, stop, words) that are read by the pretrained model."""
        written = self.filler.written
        gains = self.codes.gains[:written] - self.codes.gains[:written].mean(1, keepdim=True)
        spans = [(i, j) for i in range(len(text) + 1) for j in range(i, min(i + len(FILLED), len(text) + 1))]
        log_p = self.language.suggestions(text, spans, self._first.clamp_min(0)) + self._share
        if not self.language.masked:
            log_p = log_p + self._behind(known, spans)
        log_p = (log_p - RARE * self.filler.log_frequency[:written]).masked_fill(self._first < 0, -torch.inf)
        weight = self.codes.gains[list(known)].abs().amax(1)
        influential = weight > weight.mean()
        p = self.codes.expected(self.codes(padded([known])))[0].exp()
        found: dict[tuple[int, int, tuple[int, ...]], None] = {(i, j, ()): None for i, j in spans if i < j}
        for row, (i, j) in enumerate(spans):
            most = FILLED[j - i] + (INFLUENTIAL if j - i == 1 and influential[i] else 0)
            found |= {(i, j, (word,)): None for word in log_p[row].topk(min(PLAIN, written)).indices.tolist()}
            for k, share in enumerate((1 - p).div(len(p) - 1).tolist()):
                for steer in STEER:
                    top = (log_p[row] + steer * gains[:, k]).topk(min(written, round(most * share / len(STEER) + 0.01)))
                    found |= {(i, j, (word,)): None for word in top.indices.tolist()}
        return [one for one in found if all(self._first[word] >= 0 for word in one[2])]

    def _behind(self, known: Sequence[int], spans: Sequence[tuple[int, int]]) -> Tensor:
        """What the words behind each gap say of its word, (S, O): log p with them less log p without."""
        ahead, behind = (part[0] for part in self.filler.read(padded([known])))
        start, stop = torch.tensor(spans).T
        none = torch.zeros_like(start)
        both = self.filler.log_probabilities(ahead[start], behind[stop], none)
        alone = self.filler.log_probabilities(ahead[start], self.filler.nothing.expand(len(start), -1), none)
        return (both - alone).nan_to_num(0.0)
