"""Proposals: the single edits of a sentence that keep it fluent, towards every class.

Every word, every pair of words and every place between words is a gap. The masked model fills it with up to two words, or
leaves it empty. A filling is worth log p(words | the rest) plus what the words add to the log odds of a class, as
`SentenceCodes` predicts it: the product of a language model and a classifier (Dathathri and others, "Plug and Play Language
Models", ICLR 2020), without a query to the explained classifier. The best fillings of each gap for each class are then judged
as whole sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from envs.manifolds.edits.codes import SentenceCodes
from envs.manifolds.edits.filler import Filler, padded
from envs.manifolds.edits.graph import Edit
from envs.modalities.vocabulary import END, UNKNOWN

WIDEST = 2  # words of the longest span that is replaced
PLAIN, STEERED = 3, 10  # fillings of a gap by fluency alone, and towards all classes together
FIRST = 3  # first words of each two-word filling that are tried for each of these
WORST = 0.6  # loss of fluency, nats per word, beyond which an edit is not proposed
KEPT = 240  # edits of a sentence
Fluency = Callable[[Sequence[Sequence[int]]], Tensor]


def propose(
    filler: Filler, codes: SentenceCodes, words: Sequence[int], longest: int, fluency: Fluency, kept: int = KEPT
) -> list[Edit]:
    """The edits of a sentence.

    Args:
        filler: The masked model.
        codes: The sentence encoder.
        words: Ids of the sentence's words; ids beyond the vocabulary stand for unknown words.
        longest: Words of the longest sentence.
        fluency: From rows of ids to the fluency of each, (R,), in nats per word.
        kept: The most edits.

    Returns:
        Edits by what they are worth, the best first; each with its loss of fluency.
    """
    known = [word if word < filler.size else UNKNOWN for word in words]
    gains = codes.gains[: filler.written] - codes.gains[: filler.written].mean(1, keepdim=True)
    found: dict[tuple[int, int, tuple[int, ...]], None] = {}
    readings = list(dict.fromkeys((tuple(known), _without(known, codes))))
    for row in readings:
        found |= _fillings(filler, gains, row)
    edits = [Edit(i, j, new) for i, j, new in found if changes(words, i, j, new, longest)]
    return _judged(codes, readings, edits, fluency, kept)


def _without(words: Sequence[int], codes: SentenceCodes) -> tuple[int, ...]:
    """The words, those that speak most for a class unknown: what fits into the rest may speak against them."""
    weight = codes.gains[list(words)].abs().amax(1)
    return tuple(UNKNOWN if far else word for word, far in zip(words, (weight > weight.mean()).tolist(), strict=True))


def _fillings(filler: Filler, gains: Tensor, words: Sequence[int]) -> dict[tuple[int, int, tuple[int, ...]], None]:
    """Edits (start, stop, words) of a row of known words; gains (O, K): what each word adds to the log odds of each class."""
    ahead, behind = (part[0] for part in filler.read(padded([words])))
    spans = [(i, j) for i in range(len(words) + 1) for j in range(i, min(i + WIDEST, len(words)) + 1)]
    found: dict[tuple[int, int, tuple[int, ...]], None] = {(i, j, ()): None for i, j in spans if i < j}
    start, stop = torch.tensor(spans).T
    single = filler.log_probabilities(ahead[start], behind[stop], torch.zeros_like(start))
    for row, word, _ in _best(single, gains, PLAIN, STEERED):
        found[*spans[row], (word,)] = None
    gap = filler.log_probabilities(ahead[start], behind[stop], torch.ones_like(start))
    begun = _best(gap, gains, FIRST, FIRST)
    rows, first = (torch.tensor([part[k] for part in begun]) for k in (0, 1))
    state = filler.further(ahead[start[rows]], first)
    second = filler.log_probabilities(state, behind[stop[rows]], torch.zeros_like(rows))
    for row, word, _ in _best(second, gains, 1, FIRST):
        found[*spans[int(rows[row])], (int(first[row]), word)] = None
    return found


def _best(scores: Tensor, gains: Tensor, plain: int, steered: int) -> list[tuple[int, int, float]]:
    """(row, word, score) of the likeliest words of each row, and of those that are likeliest given each class."""
    each = max(1, steered // gains.shape[1])
    found: dict[tuple[int, int], float] = {}
    for merit, count in ((scores, plain), *((scores + gains[:, k], each) for k in range(gains.shape[1]))):
        top = merit.topk(min(count, merit.shape[1]), dim=1)
        for row, (words, values) in enumerate(zip(top.indices.tolist(), top.values.tolist(), strict=True)):
            found |= {(row, word): value for word, value in zip(words, values, strict=True) if word != END and value > -1e9}
    return [(row, word, value) for (row, word), value in found.items()]


def changes(words: Sequence[int], i: int, j: int, new: tuple[int, ...], longest: int) -> bool:
    """Whether an edit changes the sentence at both ends of its span, repeats no word, and leaves a sentence."""
    old = tuple(words[i:j])
    if (old and new and (old[0] == new[0] or old[-1] == new[-1])) or not 1 <= len(words) - len(old) + len(new) <= longest:
        return False
    around = [*words[max(0, i - 1) : i], *new, *words[j : j + 1]]
    return all(a != b for a, b in pairwise(around))


def _judged(
    codes: SentenceCodes, readings: Sequence[Sequence[int]], edits: list[Edit], fluency: Fluency, kept: int
) -> list[Edit]:
    """The edits with their loss of fluency, the best for any class first; the loss is the least of all readings."""
    if not edits:
        return []
    rows = [[list(words), *([*words[: e.start], *e.words, *words[e.stop :]] for e in edits)] for words in readings]
    value = torch.stack([fluency(each) for each in rows])
    loss = (value[:, :1] - value[:, 1:]).amin(0)
    log_p = codes.expected(codes(padded(rows[0])))
    merit = (log_p[1:] - log_p[0]).amax(1) - loss * len(readings[0])
    order = merit.argsort(descending=True, stable=True).tolist()
    return [edits[k]._replace(loss=float(loss[k])) for k in order if loss[k] <= WORST][:kept]
