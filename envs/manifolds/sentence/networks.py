"""Recurrent encoder and decoder of sentences (Bowman and others, "Generating Sentences from a Continuous Space", CoNLL 2016).

Shapes: B sentences, L ids per sentence, d latent coordinates, V known words (special ones included), H hidden units.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from envs.modalities.vocabulary import BEGIN, PAD, UNKNOWN


class Memory(NamedTuple):
    """State of the decoder.

    Attributes:
        hidden: Hidden state, (B, H).
        cell: Cell state, (B, H).
        code: Contribution of the code to each gate, (B, 4 H).

    Example:
        >>> memory = Decoder(size=10, embedding=4, hidden=6, latent_dim=2).cell().begin(torch.zeros(1, 2))
        >>> tuple(memory.hidden.shape), tuple(memory.code.shape)
        ((1, 6), (1, 24))
    """

    hidden: Tensor
    cell: Tensor
    code: Tensor


class Encoder(nn.Module):
    """One LSTM. Mean and log variance of q(z | x) are linear in its state at the end mark.

    Args:
        size: Number of known words V.
        embedding: Width of the word embedding.
        hidden: Number of hidden units H.
        latent_dim: Number of latent coordinates d.

    Example:
        >>> mean, log_variance = Encoder(size=10, embedding=4, hidden=6, latent_dim=2)(torch.tensor([[5, 6, 3]]))
        >>> tuple(mean.shape)
        (1, 2)
    """

    def __init__(self, size: int, embedding: int, hidden: int, latent_dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.posterior = nn.Linear(hidden, 2 * latent_dim)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance (B, d) of q(z | x) for ids (B, L)."""
        lengths = (ids != PAD).sum(1)
        states, _ = self.lstm(self.embedding(ids[:, : int(lengths.max())]))
        last = states[torch.arange(len(ids)), lengths - 1]
        mean, log_variance = self.posterior(last).float().chunk(2, dim=1)  # float32 under autocast, too
        return mean, log_variance.clamp(-10.0, 4.0)


class Decoder(nn.Module):
    """One LSTM that starts from z and receives z again at every step and in the output layer.

    Feeding z at every step is the variant named in section 3 of the paper; the skip to the output layer follows Dieng and
    others, "Avoiding Latent Variable Collapse with Generative Skip Models", AISTATS 2019. Without `feed_code`, z only sets the
    first state: the plain decoder of the paper, which soon forgets it. With `latent_dim` 0 the decoder is a language model.

    Args:
        size: Number of known words V.
        embedding: Width of the word embedding.
        hidden: Number of hidden units H.
        latent_dim: Number of latent coordinates d.
        feed_code: Feed z at every step.

    Example:
        >>> decoder = Decoder(size=10, embedding=4, hidden=6, latent_dim=2)
        >>> tuple(decoder(torch.zeros(1, 2), torch.tensor([[2, 5, 6]])).shape)
        (1, 3, 10)
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
        """Logits (B, L, V) of the next word.

        Args:
            z: Codes, (B, d).
            inputs: Previous words, (B, L), starting with the beginning mark.
        """
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
        """The decoder as a cell that runs word by word.

        Args:
            words: Approximate number of words that will be fed; decides whether word contributions are precomputed.
        """
        # In the order of torch.nn.LSTM's documentation; by name they are typed as anything.
        into, back, bias_into, bias_back = cast("list[Tensor]", self.lstm._flat_weights)
        # tanh(x) = 2 sigmoid(2 x) - 1: with the third gate's weights doubled, one sigmoid over all gates suffices.
        double = torch.ones(4 * self.hidden, 1)
        double[2 * self.hidden : 3 * self.hidden] = 2.0
        width = self.embedding.embedding_dim
        of_word, of_code = (into[:, :width] * double).T, (into[:, width:] * double).T
        bias = (bias_into + bias_back) * double[:, 0]
        table = self.embedding.weight @ of_word if words > self.size else None
        return Cell(self, of_word, of_code, (back * double).T.contiguous(), bias, table)


class SentenceNetworks(nn.Module):
    """The parts of a sentence VAE that training uses.

    Attributes:
        encoder: Maps ids (B, L) to mean and log variance of q(z | x).
        decoder: Maps codes and previous words to logits of the next word.
        head: Maps codes (B, d) to logits (B, K) of a classifier's prediction; None without such a classifier.

    Example:
        >>> from envs.manifolds import SentenceVAE
        >>> vae = SentenceVAE(["good", "bad"], length=4, latent_dim=2)
        >>> type(vae.encoder).__name__, vae.head is None
        ('Encoder', True)
    """

    encoder: Encoder
    decoder: Decoder
    head: nn.Linear | None


class Cell(NamedTuple):
    """The decoder as an explicit recurrence: it supports forward-mode differentiation and runs batches quickly.

    Attributes:
        decoder: The decoder whose weights these are.
        of_word: Contribution of a word embedding to the gates, (E, 4 H).
        of_code: Contribution of the code, (d, 4 H).
        back: Contribution of the hidden state, (H, 4 H).
        bias: Bias of the gates, (4 H,).
        table: Contribution of each word, (V, 4 H); None if it is computed on demand.

    Example:
        >>> z = torch.zeros(1, 2)
        >>> cell = Decoder(size=10, embedding=4, hidden=6, latent_dim=2).cell()
        >>> logits, memory = cell.step(cell.begin(z), z, torch.tensor([BEGIN]))
        >>> tuple(logits.shape)
        (1, 10)
    """

    decoder: Decoder
    of_word: Tensor
    of_code: Tensor
    back: Tensor
    bias: Tensor
    table: Tensor | None

    def begin(self, z: Tensor) -> Memory:
        """State before the first word, for codes (B, d)."""
        if self.decoder.start is None:
            nothing = z.new_zeros(len(z), self.decoder.hidden)
            return Memory(nothing, nothing, self.bias.expand(len(z), -1))
        hidden, cell = self.decoder.start(z).tanh().chunk(2, dim=1)
        code = torch.addmm(self.bias, z, self.of_code) if self.decoder.feed_code else self.bias.expand(len(z), -1)
        return Memory(hidden, cell, code)

    def step(self, memory: Memory, z: Tensor, word: Tensor) -> tuple[Tensor, Memory]:
        """Feed one word.

        Args:
            memory: State before the word.
            z: Codes, (B, d).
            word: Ids, (B,).

        Returns:
            Logits (B, V) of the next word, and the new state.
        """
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
    """Decoder inputs for target ids (B, L): the beginning mark and all words but the last, (B, L).

    With word dropout each word is kept with probability `keep` and otherwise replaced by the unknown word; the mark stays.
    With `keep` 0 the decoder is inputless: it receives only the code and the position (section 3.2 of the paper).

    Args:
        ids: Target ids, (B, L).
        keep: Probability of keeping a word.
        generator: Draws the dropped words.
    """
    begin = torch.full_like(ids[:, :1], BEGIN)
    fed = torch.cat((begin, ids[:, :-1]), dim=1)
    if keep >= 1:
        return fed
    dropped = torch.rand(fed.shape, generator=generator) >= keep
    dropped[:, 0] = False
    return fed.masked_fill(dropped & (fed != PAD), UNKNOWN)


def sentence_nll(logits: Tensor, ids: Tensor) -> Tensor:
    """Negative log likelihood (B,) in nats of sentences.

    Args:
        logits: Logits of each word, (B, L, V).
        ids: Sentences with their end mark, (B, L). Padding contributes nothing.
    """
    flat = nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten(), ignore_index=PAD, reduction="none")
    return flat.view(ids.shape).sum(1)
