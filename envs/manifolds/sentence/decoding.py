"""Decoding of sentences: greedy, sampled and beam search, in whole batches.

Shapes: B codes z (B, d), L words, V known words, W beams. Padding, the unknown word and the beginning mark are never written.
"""

from __future__ import annotations

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.sentence.networks import Cell, Decoder, Memory
from envs.modalities.vocabulary import BEGIN, END, PAD, UNKNOWN

FREE = -1  # a position that `beam` may fill


def greedy(decoder: Decoder, z: Tensor, length: int) -> Tensor:
    """Decode the most likely next word at each step: ids (B, L) of codes (B, d)."""
    return _one_by_one(decoder, z, length, None, 1.0)


def sampled(decoder: Decoder, z: Tensor, length: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
    """Sample words from p(next word | previous words, z).

    Args:
        decoder: The decoder.
        z: Codes, (B, d).
        length: Number of words L.
        generator: Draws the words.
        temperature: Values below 1 sharpen the distribution.

    Returns:
        Ids, (B, L).

    Raises:
        ManifoldError: If the temperature is not positive.
    """
    if not temperature > 0:
        raise ManifoldError(f"the temperature must be positive, not {temperature}")
    return _one_by_one(decoder, z, length, generator, temperature)


def _one_by_one(decoder: Decoder, z: Tensor, length: int, generator: torch.Generator | None, temperature: float) -> Tensor:
    ids = torch.full((len(z), length), PAD, dtype=torch.int64)
    word = torch.full((len(z),), BEGIN, dtype=torch.int64)
    cell = decoder.cell(len(z) * length)
    memory = cell.begin(z)
    running = torch.ones(len(z), dtype=torch.bool)
    forbidden = torch.tensor([PAD, UNKNOWN, BEGIN])
    for place in range(length):
        logits, memory = cell.step(memory, z, word)
        logits = logits.index_fill(1, forbidden, -torch.inf)
        if place == 0:
            logits[:, END] = -torch.inf  # no sentence is empty
        if place == length - 1:
            word = torch.full_like(word, END)
        elif generator is None:
            word = logits.argmax(1)
        else:
            word = torch.multinomial((logits / temperature).softmax(1), 1, generator=generator)[:, 0]
        ids[:, place] = torch.where(running, word, PAD)
        running = running & (word != END)
        if not bool(running.any()):
            break
    return ids


def beam(decoder: Decoder, z: Tensor, length: int, width: int = 5, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Search for the most likely sentences with a beam.

    Args:
        decoder: The decoder.
        z: Codes, (B, d).
        length: Number of words L.
        width: Number of beams W.
        given: Ids (B, L) of known positions, `FREE` (-1) where a word is searched. No end mark is written at free positions.

    Returns:
        The best ids (B, L), and their log likelihoods (B,) in nats.

    Raises:
        ManifoldError: If the width is below 1, or `given` has another shape.
    """
    if width < 1:
        raise ManifoldError(f"a beam search needs a width of at least 1, not {width}")
    count, lead = len(z), 0
    if given is not None and tuple(given.shape) != (count, length):
        raise ManifoldError(f"given ids have shape {tuple(given.shape)}, ({count}, {length}) is needed")
    if given is not None:
        lead = int((given != FREE).all(0).long().cumprod(0).sum())
    spread = z.repeat_interleave(width, 0)
    cell = decoder.cell(len(spread) * length)
    memory, word, prefix = _fed(cell, z, torch.empty(count, 0) if given is None else given[:, :lead])
    memory = Memory(*(part.repeat_interleave(width, 0) for part in memory))
    ids = torch.full((count, width, length), PAD, dtype=torch.int64)
    score = torch.full((count, width), -torch.inf)
    score[:, 0] = prefix  # all beams begin with the same words, so one suffices
    done = torch.zeros(count, width, dtype=torch.bool)
    if given is not None and lead:
        ids[:, :, :lead] = given[:, None, :lead]
        done |= (given[:, :lead] == END).any(1)[:, None]
    word = word.repeat_interleave(width)
    rows = torch.arange(count)[:, None]
    for place in range(lead, length):
        logits, memory = cell.step(memory, spread, word)
        log_p = logits.log_softmax(1).view(count, width, -1)
        size = log_p.shape[2]
        log_p = log_p + _mask(size, place, length, None if given is None else given[:, place], count)[:, None]
        finished = torch.full((size,), -torch.inf)
        finished[PAD] = 0.0
        log_p = torch.where(done[..., None], finished, log_p)
        score, best = (score[..., None] + log_p).flatten(1).topk(width, dim=1)
        parent, chosen = best // size, best % size
        ids = ids[rows, parent]
        ids[:, :, place] = chosen
        done = done[rows, parent] | (chosen == END)
        flat = (rows * width + parent).flatten()
        memory = Memory(memory.hidden[flat], memory.cell[flat], memory.code[flat])
        word = chosen.flatten()
        if bool(done.all()):
            break
    first = score.argmax(1)
    row = torch.arange(count)
    return ids[row, first], score[row, first]


def _fed(cell: Cell, z: Tensor, words: Tensor) -> tuple[Memory, Tensor, Tensor]:
    """Memory, last word (B,) and log likelihood (B,) after the first words (B, n), which all beams share."""
    memory, score = cell.begin(z), torch.zeros(len(z))
    word = torch.full((len(z),), BEGIN, dtype=torch.int64)
    for place in range(words.shape[1]):
        logits, memory = cell.step(memory, z, word)
        word = words[:, place]
        score = score + logits.log_softmax(1).gather(1, word[:, None])[:, 0].masked_fill(word == PAD, 0.0)
    return memory, word, score


def _mask(size: int, place: int, length: int, given: Tensor | None, count: int) -> Tensor:
    """0 for words allowed at a position, -inf for others, (B, V)."""
    allowed = torch.zeros(count, size)
    allowed[:, [PAD, UNKNOWN, BEGIN]] = -torch.inf
    if place == 0 or given is not None:
        allowed[:, END] = -torch.inf
    if place == length - 1 and given is None:
        allowed[:] = -torch.inf
        allowed[:, END] = 0.0
    if given is not None:
        fixed = given != FREE
        only = torch.full((count, size), -torch.inf).scatter_(1, given.clamp_min(0)[:, None], 0.0)
        allowed = torch.where(fixed[:, None], only, allowed)
    return allowed
