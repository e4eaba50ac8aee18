"""The recurrent encoder and decoder of sentences (Bowman and others, "Generating Sentences from a Continuous Space", 2016).

Shapes: B sentences, L ids a sentence, d latent, V words known (specials included), H hidden.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from envs.modalities.vocabulary import BEGIN, PAD, UNKNOWN


class Memory(NamedTuple):
    """What the decoder carries along: hidden and cell state (B, H), and the code's share (B, 4 H) of every gate."""

    hidden: Tensor
    cell: Tensor
    code: Tensor


class Encoder(nn.Module):
    """One LSTM; mean and log variance of q(z | x) are linear in its state at the end mark."""

    def __init__(self, size: int, embedding: int, hidden: int, latent_dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.posterior = nn.Linear(hidden, 2 * latent_dim)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance (B, d) of ids (B, L)."""
        lengths = (ids != PAD).sum(1)
        states, _ = self.lstm(self.embedding(ids[:, : int(lengths.max())]))
        last = states[torch.arange(len(ids)), lengths - 1]
        mean, log_variance = self.posterior(last).float().chunk(2, dim=1)  # float32 under autocast, too
        return mean, log_variance.clamp(-10.0, 4.0)


class Decoder(nn.Module):
    """One LSTM that starts from z and sees z again at every step, and in the output layer (Dieng and others 2019).

    With `latent_dim` 0 it is a language model, which has no code; without `feed_code` z is the first state alone, the paper's
    plain decoder, which soon forgets it.

    Source: section 3 of the paper; z at every step is the variant that it names there.
    """

    def __init__(self, size: int, embedding: int, hidden: int, latent_dim: int, feed_code: bool = True) -> None:
        super().__init__()
        self.size, self.hidden = size, hidden
        self.feed_code = feed_code and latent_dim > 0
        fed = latent_dim if self.feed_code else 0
        self.embedding = nn.Embedding(size, embedding)
        self.start = nn.Linear(latent_dim, 2 * hidden) if latent_dim else None
        self.lstm = nn.LSTM(embedding + fed, hidden, batch_first=True)
        self.out = nn.Linear(hidden + fed, size)

    def forward(self, z: Tensor, inputs: Tensor) -> Tensor:
        """Logits (B, L, V) of the next word, given codes (B, d) and inputs (B, L), the words before from the mark on."""
        fed = self.embedding(inputs)
        state = None
        if self.start is not None:
            hidden, cell = (part[None].contiguous() for part in self.start(z).tanh().chunk(2, dim=1))
            state = (hidden, cell)
        if self.feed_code:
            fed = torch.cat((fed, z[:, None].expand(-1, inputs.shape[1], -1)), dim=2)
        states, _ = self.lstm(fed, state)
        if self.feed_code:
            states = torch.cat((states, z[:, None].expand(-1, inputs.shape[1], -1)), dim=2)
        return self.out(states)

    def cell(self, words: int = 0) -> Cell:
        """The decoder word by word; `words`: about how many will be fed, to choose what is computed beforehand."""
        # In the order of torch.nn.LSTM's documentation; by name they are typed as anything.
        into, back, bias_into, bias_back = cast("list[Tensor]", self.lstm._flat_weights)
        # tanh(x) = 2 sigmoid(2 x) - 1: with the third gate's weights doubled, one sigmoid over all gates will do.
        double = torch.ones(4 * self.hidden, 1)
        double[2 * self.hidden : 3 * self.hidden] = 2.0
        width = self.embedding.embedding_dim
        of_word, of_code = (into[:, :width] * double).T, (into[:, width:] * double).T
        bias = (bias_into + bias_back) * double[:, 0]
        table = self.embedding.weight @ of_word if words > self.size else None
        return Cell(self, of_word, of_code, (back * double).T.contiguous(), bias, table)


class SentenceNetworks(nn.Module):
    """What training needs of a sentence VAE.

    Attributes:
        encoder: Maps ids to mean and log variance of q(z | x).
        decoder: Maps codes and previous words to logits of the next word.
        head: Maps codes (B, d) to logits (B, K) of a classifier's prediction; None without such a classifier.
    """

    encoder: Encoder
    decoder: Decoder
    head: nn.Linear | None


class Cell(NamedTuple):
    """The decoder as it is run word by word, by hand: it can be differentiated forwards, and batches are quick.

    Attributes:
        decoder: whose weights these are.
        of_word, of_code, back: (E, 4 H), (d, 4 H) and (H, 4 H), what a word, the code and the hidden state add to the gates.
        bias: (4 H,).
        table: (V, 4 H), what every word adds; None: computed when it is met.
    """

    decoder: Decoder
    of_word: Tensor
    of_code: Tensor
    back: Tensor
    bias: Tensor
    table: Tensor | None

    def begin(self, z: Tensor) -> Memory:
        """The memory before the first word."""
        if self.decoder.start is None:
            nothing = z.new_zeros(len(z), self.decoder.hidden)
            return Memory(nothing, nothing, self.bias.expand(len(z), -1))
        hidden, cell = self.decoder.start(z).tanh().chunk(2, dim=1)
        code = torch.addmm(self.bias, z, self.of_code) if self.decoder.feed_code else self.bias.expand(len(z), -1)
        return Memory(hidden, cell, code)

    def step(self, memory: Memory, z: Tensor, word: Tensor) -> tuple[Tensor, Memory]:
        """Logits (B, V) after one more word (B,), and the memory then."""
        if self.table is None:
            fed = torch.addmm(memory.code, self.decoder.embedding(word), self.of_word)
        else:
            fed = memory.code + self.table.index_select(0, word)
        write, keep, new, out = torch.addmm(fed, memory.hidden, self.back).sigmoid().chunk(4, dim=1)
        cell = keep * memory.cell + write * (2 * new - 1)
        hidden = out * cell.tanh()
        seen = torch.cat((hidden, z), dim=1) if self.decoder.feed_code else hidden
        return self.decoder.out(seen), Memory(hidden, cell, memory.code)


def decoder_inputs(ids: Tensor, keep: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """What the decoder is fed for targets ids (B, L): the beginning mark and all words but the last (B, L).

    Word dropout: each word is kept with probability `keep`, else it becomes the unknown word; the mark always stays. With
    `keep` 0 the decoder is inputless: it knows the code and the place alone (section 3.2 of the paper).
    """
    begin = torch.full_like(ids[:, :1], BEGIN)
    fed = torch.cat((begin, ids[:, :-1]), dim=1)
    if keep >= 1:
        return fed
    dropped = torch.rand(fed.shape, generator=generator) >= keep
    dropped[:, 0] = False
    return fed.masked_fill(dropped & (fed != PAD), UNKNOWN)


def sentence_nll(logits: Tensor, ids: Tensor) -> Tensor:
    """Negative log likelihood (B,) in nats of sentences ids (B, L), their end mark included; padding adds nothing."""
    flat = nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten(), ignore_index=PAD, reduction="none")
    return flat.view(ids.shape).sum(1)
