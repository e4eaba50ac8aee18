"""Who tells imputed sentences from true ones: a bag of words and an LSTM, and the adversarial error that they give.

Bowman and others (2016, section 4.1): a discriminator is trained to tell the two apart; its accuracy less 50 % is the
adversarial error. The lower it is, the more often the imputed sentences pass for true.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from envs.manifolds.sentence.training import trimmed
from envs.modalities.vocabulary import PAD

#: sentences in data space, true (N, L) and imputed (N, L), row by row of the same sentence
Pairs = tuple[Tensor, Tensor]
#: of ids (N, L) the score (N,) whose sign says true (above 0) or imputed
Discriminator = Callable[[Tensor], np.ndarray]
STRENGTHS = (0.03, 0.1, 0.3, 1.0)  # inverse strengths of the bag's L2 penalty, chosen on validation sentences


def bag_of_words(train: Pairs, valid: Pairs, size: int, seed: int) -> Discriminator:
    """Logistic regression on which words stand in a sentence; its penalty is chosen on `valid`."""
    x, y = _bags(torch.cat(train), size), _truth(len(train[0]))
    best, chosen = -1.0, None
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=1000, random_state=seed).fit(x, y)
        reached = float(correct(_Bag(model, size), valid).mean())
        if reached > best:
            best, chosen = reached, _Bag(model, size)
    assert chosen is not None
    return chosen


@dataclass(frozen=True)
class _Bag:
    """Logistic regression on sentences as bags of words."""

    model: LogisticRegression
    size: int

    def __call__(self, ids: Tensor) -> np.ndarray:
        """Scores (N,) of ids (N, L)."""
        scores: np.ndarray = self.model.decision_function(_bags(ids, self.size))
        return scores


class Reader(nn.Module):
    """An LSTM over the words; linear in its state at the end mark."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.out = nn.Linear(width, 1)

    def forward(self, ids: Tensor) -> Tensor:
        """Scores (B,) of ids (B, L)."""
        states, _ = self.lstm(self.embedding(ids))
        return self.out(states[torch.arange(len(ids)), (ids != PAD).sum(1) - 1])[:, 0]


def recurrent(
    train: Pairs, valid: Pairs, size: int, seed: int, width: int = 64, epochs: int = 12, patience: int = 3
) -> Discriminator:
    """An LSTM trained with Adam at 2e-3 on 32 pairs a batch; stopped early, the best on `valid` is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Reader(size, width)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-5)

    def score(ids: Tensor) -> np.ndarray:
        with torch.inference_mode():
            return torch.cat([model(trimmed(part)) for part in ids.split(512)]).numpy()

    best, weights, waited = -1.0, model.state_dict(), 0
    for _ in range(epochs):
        for rows in torch.randperm(len(train[0]), generator=generator).split(32):
            ids = trimmed(torch.cat([half[rows] for half in train]))
            truth = torch.from_numpy(_truth(len(rows))).float()
            loss = nn.functional.binary_cross_entropy_with_logits(model(ids), truth)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
        reached = float(correct(score, valid).mean())
        waited = 0 if reached > best else waited + 1
        if reached > best:
            best, weights = reached, copy.deepcopy(model.state_dict())
        if waited >= patience:
            break
    model.load_state_dict(weights)
    return score


DISCRIMINATORS: dict[str, Callable[..., Discriminator]] = {"bag of words": bag_of_words, "LSTM": recurrent}


def correct(discriminator: Discriminator, pairs: Pairs) -> np.ndarray:
    """Of each sentence how much of its pair is classified rightly, (N,): 0, 0.5 or 1. Alike ones give 0.5."""
    true, imputed = (discriminator(half) for half in pairs)
    return ((true > 0).astype(float) + (imputed <= 0)) / 2


def _bags(ids: Tensor, size: int) -> csr_matrix:
    """Which words stand in ids (N, L), a sparse (N, size) of 0 and 1."""
    rows, places = np.nonzero((ids != PAD).numpy())
    words = ids.numpy()[rows, places]
    found = csr_matrix((np.ones(len(rows)), (rows, words)), shape=(len(ids), size))
    found.data[:] = 1.0  # doubled entries were summed
    return found


def _truth(count: int) -> np.ndarray:
    """1 for the true half, 0 for the imputed half."""
    return np.repeat([1, 0], count)
