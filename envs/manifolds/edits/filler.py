"""A masked model of words: what stands in a gap of a sentence, given all the words around it.

A recurrent network reads the words before a gap, another one those after it, and a small network predicts the gap's first
word from both states and from the number of words that are still missing after it (Melamud, Goldberger and Dagan,
"context2vec", CoNLL 2016, with gaps of several words). It is trained on the user's own corpus.

Shapes: B sentences, L words, V known words, of which the model writes the O most frequent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from envs.errors import ManifoldError
from envs.manifolds.fitting import descend
from envs.modalities.vocabulary import BEGIN, END, PAD, SPECIALS, UNKNOWN

MISSING = 3  # words of the longest gap
SHARES = (0.6, 0.25, 0.15)  # of gaps of 1, 2 and 3 words in training
STEPS = 1400  # gradient steps of a fit by default: under 2 CPU-minutes with 10,000 sentences
BATCH = 64
BLIND = 0.25  # share of words that training predicts from those before them alone
NEGATIVES = 400  # words that the loss compares with at once


@dataclass(frozen=True)
class FillerTraining:
    """Settings of a training.

    Attributes:
        epochs: passes over the corpus; None: what `STEPS` steps need, at most 20.
        learning_rate: of the first step.
        dropout: share of values that training drops.
        seed: of first weights and order.

    Example:
        >>> FillerTraining(epochs=3).dropout
        0.2
    """

    epochs: int | None = None
    learning_rate: float = 4e-3
    dropout: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs is not None and self.epochs < 1:
            raise ManifoldError(f"epochs must be at least 1, not {self.epochs}")
        if not 0 <= self.dropout < 1:
            raise ManifoldError(f"dropout is a share in [0, 1), not {self.dropout}")


class Filler(nn.Module):
    """Two recurrent readers and a predictor of missing words.

    Args:
        size: Number of known words V, the special ones included.
        written: Number of words O that the model writes, the most frequent ones.
        embedding: Width of the word embeddings, which are also the output layer.
        hidden: Width of the readers' states.

    Example:
        >>> filler = Filler(size=10, written=10, embedding=4, hidden=6)
        >>> ahead, behind = filler.read(torch.tensor([[4, 5, 3, 0]]))
        >>> tuple(filler.log_probabilities(ahead[:, 0], behind[:, 1], torch.tensor([0])).shape)
        (1, 10)
    """

    log_frequency: Tensor

    def __init__(self, size: int, written: int, embedding: int = 64, hidden: int = 96) -> None:
        super().__init__()
        self.size, self.written = size, min(written, size)
        self.embedding = nn.Embedding(size, embedding, padding_idx=PAD)
        self.ahead = nn.GRU(embedding, hidden, batch_first=True)
        self.behind = nn.GRU(embedding, hidden, batch_first=True)
        self.missing = nn.Embedding(MISSING, hidden)
        self.predictor = nn.Sequential(nn.Linear(3 * hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, embedding))
        self.nothing = nn.Parameter(torch.zeros(hidden))  # in place of what follows, where that is not read
        self.bias = nn.Parameter(torch.zeros(self.written))
        self.dropout = nn.Dropout(0.0)
        self.register_buffer("log_frequency", torch.zeros(size))
        nn.init.normal_(self.embedding.weight, std=0.3)

    def read(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """States of the readers at every place of sentences.

        Args:
            ids: Known ids, (B, L), with their end marks.

        Returns:
            The states of the reader that has read all words before place j, (B, L, H), and of the one that has read all words
            from the last one to that at place j, (B, L + 1, H). A sentence's own states do not depend on the others.
        """
        length = (ids == END).int().argmax(1)
        begin = torch.full((len(ids), 1), BEGIN)
        turned = (length[:, None] - torch.arange(ids.shape[1])).clamp_min(0)  # the end mark first, then the last word
        ahead = self.ahead(self.dropout(self.embedding(torch.cat((begin, ids[:, :-1]), dim=1))))[0]
        behind = self.behind(self.dropout(self.embedding(torch.cat((begin, ids.gather(1, turned)), dim=1))))[0]
        at = (length[:, None] + 1 - torch.arange(ids.shape[1] + 1)).clamp_min(0)
        return ahead, behind.gather(1, at[:, :, None].expand(-1, -1, behind.shape[2]))

    def further(self, state: Tensor, word: Tensor) -> Tensor:
        """The reader's state (B, H) after one more word (B,)."""
        return self.ahead(self.embedding(word)[:, None], state[None].contiguous())[0][:, 0]

    def guess(self, ahead: Tensor, behind: Tensor, missing: Tensor) -> Tensor:
        """What the embedding of the missing word should be, (..., E); `missing`: words that follow it in the gap."""
        return self.predictor(self.dropout(torch.cat((ahead, behind, self.missing(missing)), dim=-1)))

    def log_probabilities(self, ahead: Tensor, behind: Tensor, missing: Tensor) -> Tensor:
        """Log probabilities (..., O) of the word after `ahead` (..., H), with `missing` more words before `behind`."""
        logits = self.guess(ahead, behind, missing) @ self.embedding.weight[: self.written].T + self.bias
        logits[..., [PAD, BEGIN, UNKNOWN]] = -torch.inf  # the end mark stays: a sentence may end too early
        return logits.log_softmax(-1)

    def fluency(self, ids: Tensor) -> Tensor:
        """Mean over the words of log p(word) less the word's log frequency, (B,), in nats.

        Half of log p is that of the word among all others, half that of the word after those before it. This is the SLOR of
        Kann, Rothe and Filippova ("Sentence-Level Fluency Evaluation", CoNLL 2018); the end mark counts as a word. Words that
        the model does not write are left out.
        """
        ahead, behind = self.read(ids)
        counted = (ids != PAD) & (ids != UNKNOWN) & (ids < self.written)
        rows, places = counted.nonzero(as_tuple=True)
        words = ids[rows, places]
        total = torch.zeros(len(ids))
        for after in (behind[rows, places + 1], self.nothing.expand(len(rows), -1)):
            own = self.log_probabilities(ahead[rows, places], after, torch.zeros_like(words))
            gain = own.gather(1, words[:, None])[:, 0] - self.log_frequency[words]
            total.index_add_(0, rows, gain / 2)
        return total / counted.sum(1).clamp_min(1)


def fit_filler(filler: Filler, ids: Tensor, how: FillerTraining, progress: bool = False) -> None:
    """Train on sentences, in place; the model is frozen afterwards.

    Args:
        filler: The model.
        ids: Known ids, (N, L).
        how: Settings.
        progress: Show a progress bar.
    """
    counts = torch.bincount(ids.flatten(), minlength=filler.size).double()
    counts[[PAD, BEGIN]] = 0
    filler.log_frequency.copy_(((counts + 0.5) / (counts + 0.5).sum()).log())
    filler.bias.data.copy_(filler.log_frequency[: filler.written] / 2)
    draw = counts[: filler.written].clamp_min(0) ** 0.75
    draw[[PAD, UNKNOWN, BEGIN]] = 0
    draw = draw / draw.sum()
    generator = torch.Generator().manual_seed(how.seed)
    filler.dropout.p = how.dropout
    shares = torch.tensor(SHARES)
    few = len(draw) <= 2 * NEGATIVES
    length = (ids != PAD).sum(1)
    mixed = torch.randperm(len(ids), generator=generator)
    buckets = mixed[length[mixed].argsort(stable=True)].split(BATCH)  # sentences of like length: half of the time

    def loss(index: Tensor) -> Tensor:
        rows = ids[buckets[int(index)]]
        rows = rows[:, : int((rows != PAD).sum(1).max())]
        missing = torch.multinomial(shares, rows.numel(), replacement=True, generator=generator).view(rows.shape)
        end = (rows == END).int().argmax(1)
        last = torch.arange(rows.shape[1]) + 1 + missing  # the first word after the gap
        counted = ((rows == END) | (rows >= len(SPECIALS))) & (rows < filler.written) & (last <= end[:, None] + 1)
        row, place = counted.nonzero(as_tuple=True)
        ahead, behind = filler.read(rows)
        blind = torch.rand(len(row), 1, generator=generator) < BLIND
        after = torch.where(blind, filler.nothing, behind[row, last[row, place]])
        guess = filler.guess(ahead[row, place], after, missing[row, place].masked_fill(blind[:, 0], 0))
        word = rows[row, place]
        if few:
            logits = guess @ filler.embedding.weight[: filler.written].T + filler.bias
            return F.cross_entropy(logits, word)
        others = torch.multinomial(draw, NEGATIVES, generator=generator)  # without replacement, shared by the batch
        expected = (-torch.expm1(NEGATIVES * torch.log1p(-draw))).clamp_min(1e-9).log().float()
        own = (guess * filler.embedding(word)).sum(1) + filler.bias[word] - expected[word].clamp_max(0)
        rest = guess @ filler.embedding.weight[others].T + filler.bias[others] - expected[others]
        rest = rest.masked_fill(others[None] == word[:, None], -torch.inf)
        return F.cross_entropy(torch.cat((own[:, None], rest), dim=1), torch.zeros_like(word))

    epochs = how.epochs if how.epochs is not None else max(1, min(20, STEPS // len(buckets)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(how.seed)  # dropout draws from torch's own generator
        descend(
            filler, loss, len(buckets), epochs=epochs, batch_size=1, learning_rate=how.learning_rate, generator=generator,
            label="masked model", progress=progress,
        )  # fmt: skip


def padded(rows: Sequence[Sequence[int]], length: int | None = None) -> Tensor:
    """Ids (B, L) of rows of word ids: their end marks and padding are added."""
    longest = max(map(len, rows), default=0) + 1 if length is None else length
    return torch.tensor([[*row, END, *[PAD] * (longest - len(row) - 1)] for row in rows], dtype=torch.int64)
