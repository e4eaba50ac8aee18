"""Anchored decoding: decode a code while keeping the words of an input unless the code contradicts them.

Each step writes the most likely next word under

    log p(w | previous words, z) + anchor * [w is the input's next word],

so an input word is replaced only where the code prefers another word by more than `anchor` nats. Each written word advances
the pointer into the input by one; if the code writes the word before or after the pointer, the input continues from there.
This is the greedy mode of p(y | z) times a prior exp(anchor * number of kept words) that favours sentences near the input. A
rare word, which the model knows only as the unknown word, can be kept but not invented: the unknown word is written only where
the input has one, and then stands for that word (copyable unknown words: Luong and others, "Addressing the Rare Word Problem
in Neural Machine Translation", ACL 2015, section 3.1).

A pair of adjacent words does not occur twice unless the input repeats it (n-gram blocking: Paulus, Xiong and Socher, "A Deep
Reinforced Model for Abstractive Summarization", ICLR 2018, section 2.5).

Shapes: B codes z (B, d), L words, V known words.
"""

from __future__ import annotations

import torch
from torch import Tensor

from envs.manifolds.sentence.networks import Decoder
from envs.modalities.vocabulary import BEGIN, END, PAD, UNKNOWN

OFFSETS = (-1, 1, 0)  # positions relative to the pointer where a written word is searched; the last match wins


def anchored(decoder: Decoder, z: Tensor, factual: Tensor, anchor: Tensor, size: int) -> Tensor:
    """Decode codes with the words of given inputs favoured.

    Args:
        decoder: The decoder.
        z: Codes, (B, d).
        factual: Inputs, (B, L). Ids from `size` on are words that the model does not know.
        anchor: Preference for the input's words in nats, (B,), at least 0.
        size: Number of known words V.

    Returns:
        Ids, (B, L).
    """
    count, length = factual.shape
    known = factual.masked_fill(factual >= size, UNKNOWN)
    last = (known == END).int().argmax(1)  # position of the end mark
    pointer = torch.zeros(count, dtype=torch.int64)  # position of the input's next word
    used = torch.full((count,), -1)  # last position of the input whose word was kept
    rows = torch.arange(count)
    ids = torch.full((count, length), PAD, dtype=torch.int64)
    fed = torch.full((count, length + 1), PAD, dtype=torch.int64)  # the decoder's input, with the beginning mark first
    fed[:, 0] = BEGIN
    cell = decoder.cell(count * length)
    memory = cell.begin(z)
    running, held = torch.ones(count, dtype=torch.bool), anchor > 0
    forbidden = torch.tensor([PAD, BEGIN])
    for place in range(length):
        logits, memory = cell.step(memory, z, fed[:, place])
        logits = logits.index_fill(1, forbidden, -torch.inf)
        expected = torch.where(held, known[rows, pointer], PAD)
        logits[rows, expected] += anchor
        again = _again(fed, place)
        logits.scatter_(1, torch.where(again == expected[:, None], PAD, again), -torch.inf)
        logits[:, UNKNOWN] = logits[:, UNKNOWN].masked_fill(expected != UNKNOWN, -torch.inf)
        if place == 0:
            logits[:, END] = -torch.inf  # no sentence is empty
        word = logits.argmax(1) if place < length - 1 else torch.full((count,), END)
        kept, at = _found(word, known, pointer, used, last)
        ids[:, place] = torch.where(running, torch.where(word == UNKNOWN, factual[rows, at], word), PAD)
        fed[:, place + 1] = torch.where(running, word, PAD)
        used = torch.where(kept, at, used)
        pointer = torch.where(kept, at, pointer).add_(1).minimum(last)
        running = running & (word != END)
        if not bool(running.any()):
            break
    return ids


def _again(fed: Tensor, place: int) -> Tensor:
    """Words that have followed the latest word already, (B, place + 1); padding, which is never written, if there are none."""
    follows = fed[:, :place] == fed[:, place : place + 1]
    latest = fed[:, place : place + 1]  # nor twice the same word
    return torch.cat((torch.where(follows, fed[:, 1 : place + 1], PAD), latest), dim=1)


def _found(word: Tensor, known: Tensor, pointer: Tensor, used: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Whether the written word (B,) is one of the input's words near the pointer, and at which position (B,)."""
    rows = torch.arange(len(word))
    kept, place = torch.zeros_like(word, dtype=torch.bool), torch.zeros_like(word)
    for offset in OFFSETS:
        at = pointer + offset
        inside = at.clamp(0, known.shape[1] - 1)
        same = (at > used) & (at <= last) & (known[rows, inside] == word)
        kept, place = kept | same, torch.where(same, inside, place)
    return kept, place
