"""Anchored decoding: what a code says, in the words of the input as far as the code has nothing against them.

What is written, word by word, is the likeliest next word under

    log p(w | words so far, z)  +  anchor, where w is the input's next word

so that a word of the input is replaced where the code prefers another one by more than `anchor` nats, and else stays. Each
word that is written moves the input's next word on by one; where the code itself writes the word before or after it, the input
goes on from there. It is the greedy mode of p(y | z) times a prior that favours sentences near the input, exp(anchor * words
kept). A rare word, which the model knows as the unknown one alone, can be kept but not invented: the unknown word is written
only where the input has one, and stands for that very word (Luong and others, "Addressing the Rare Word Problem in Neural
Machine Translation", 2015, section 3.1: copyable unknown words).

Two words that stand side by side already do not stand side by side again, but as the input has them (the n-gram blocking of
Paulus and others, "A Deep Reinforced Model for Abstractive Summarization", 2018, section 2.5).

Shapes: B codes z (B, d), L words, V known words.
"""

from __future__ import annotations

import torch
from torch import Tensor

from envs.manifolds.sentence.networks import Decoder
from envs.modalities.vocabulary import BEGIN, END, PAD, UNKNOWN

OFFSETS = (-1, 1, 0)  # places about the pointer where a written word is looked for; the last one wins


def anchored(decoder: Decoder, z: Tensor, factual: Tensor, anchor: Tensor, size: int) -> Tensor:
    """Ids (B, L) of codes z (B, d), with the words of inputs `factual` (B, L) favoured by `anchor` (B,) nats.

    Args:
        decoder: the decoder.
        z: codes.
        origin: inputs; ids from `size` on are words that the model does not know.
        anchor: nats, at least 0.
        size: V.
    """
    count, length = factual.shape
    known = factual.masked_fill(factual >= size, UNKNOWN)
    last = (known == END).int().argmax(1)  # the end mark's place
    pointer = torch.zeros(count, dtype=torch.int64)  # place of the input's next word
    used = torch.full((count,), -1)  # last place of the input whose word was kept
    rows = torch.arange(count)
    ids = torch.full((count, length), PAD, dtype=torch.int64)
    fed = torch.full((count, length + 1), PAD, dtype=torch.int64)  # as the model reads them, the beginning mark first
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
    """Words that have followed the latest word already, (B, place + 1); padding, which is never written, for none."""
    follows = fed[:, :place] == fed[:, place : place + 1]
    latest = fed[:, place : place + 1]  # nor twice the same word
    return torch.cat((torch.where(follows, fed[:, 1 : place + 1], PAD), latest), dim=1)


def _found(word: Tensor, known: Tensor, pointer: Tensor, used: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Whether the word written (B,) is one of the input's about the pointer, and at which place of it (B,)."""
    rows = torch.arange(len(word))
    kept, place = torch.zeros_like(word, dtype=torch.bool), torch.zeros_like(word)
    for offset in OFFSETS:
        at = pointer + offset
        inside = at.clamp(0, known.shape[1] - 1)
        same = (at > used) & (at <= last) & (known[rows, inside] == word)
        kept, place = kept | same, torch.where(same, inside, place)
    return kept, place
