"""The shared latent space of sentences: what the classifier makes of their words, and what the words mean.

The first K - 1 coordinates of a code are the classifier's log odds as a linear model of words and pairs of words predicts
them; the model is fitted to the classifier's predictions for the corpus. The others are the principal components of the mean
word embedding, in which frequent words count less (Arora, Liang and Ma, "A Simple but Tough-to-Beat Baseline for Sentence
Embeddings", ICLR 2017). Every coordinate has unit variance over the corpus.

Shapes: B sentences, L words, V known words, K classes, d = K - 1 + m latent dimensions.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from envs.modalities.vocabulary import SPECIALS, UNKNOWN

LEAST_PAIRS = 3  # times that a pair of words has to occur to have a weight of its own
SMOOTHING = 1e-3  # a word of this relative frequency counts half in the mean embedding
CLIP = 0.01  # predictions are clipped to this distance from 0 and 1: labels alone have no odds
RIDGE = 1.0


class SentenceCodes(nn.Module):
    """A linear encoder of sentences.

    Args:
        size: Number of known words V.
        pairs: Number of pairs of words with weights of their own.
        classes: Number of classes K.
        meanings: Number of coordinates m besides those of the classes.

    Example:
        >>> codes = SentenceCodes(size=8, pairs=0, classes=2, meanings=3)
        >>> codes(torch.tensor([[4, 5, 3, 0]])).shape
        torch.Size([1, 4])
    """

    words: Tensor
    keys: Tensor
    pairs: Tensor
    intercept: Tensor
    scale: Tensor
    weight: Tensor
    meaning: Tensor
    middle: Tensor
    basis: Tensor

    def __init__(self, size: int, pairs: int, classes: int, meanings: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("words", torch.zeros(size, classes - 1))
        self.register_buffer("keys", torch.zeros(pairs, dtype=torch.int64))
        self.register_buffer("pairs", torch.zeros(pairs, classes - 1))
        self.register_buffer("intercept", torch.zeros(classes - 1))
        self.register_buffer("scale", torch.ones(classes - 1))
        self.register_buffer("weight", torch.ones(size, 1))
        self.register_buffer("meaning", torch.zeros(size, meanings))
        self.register_buffer("middle", torch.zeros(meanings))
        self.register_buffer("basis", contrasts(classes))

    def forward(self, ids: Tensor) -> Tensor:
        """Codes (B, d) of known ids (B, L)."""
        here = (ids >= len(SPECIALS)).float()[..., None]
        odds = (self.words[ids] * here).sum(1) + self.intercept
        if len(self.keys) and ids.shape[1] > 1:
            key = ids[:, :-1] * self.size + ids[:, 1:]
            at = torch.searchsorted(self.keys, key).clamp_max(len(self.keys) - 1)
            found = (self.keys[at] == key).float()[..., None]
            odds = odds + (self.pairs[at] * found).sum(1)
        weight = self.weight[ids] * here
        mean = (self.meaning[ids] * weight).sum(1) / weight.sum(1).clamp_min(1e-6)
        return torch.cat((odds / self.scale, mean - self.middle), dim=1)

    def expected(self, z: Tensor) -> Tensor:
        """The classifier's log probabilities (B, K) as codes (B, d) predict them."""
        return (z[:, : len(self.scale)] * self.scale @ self.basis.T).log_softmax(1)

    @property
    def gains(self) -> Tensor:
        """(V, K) what each word alone adds to the log odds of each class."""
        return self.words @ self.basis.T


def contrasts(classes: int) -> Tensor:
    """Orthonormal columns (K, K - 1) that are orthogonal to the constant vector (Helmert)."""
    matrix = torch.zeros(classes, classes - 1, dtype=torch.float64)
    for j in range(1, classes):
        matrix[:j, j - 1], matrix[j, j - 1] = -1, j
    return (matrix / matrix.norm(dim=0)).float()


def fit_codes(ids: Tensor, predictions: Tensor, embedding: Tensor, meanings: int) -> SentenceCodes:
    """Fit the encoder to a corpus; nothing is drawn at random.

    Args:
        ids: Known ids, (N, L).
        predictions: The classifier's probabilities for the sentences, (N, K).
        embedding: Word embeddings, (V, E).
        meanings: Number of coordinates m besides those of the classes.
    """
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import Ridge

    size, classes = len(embedding), predictions.shape[1]
    rows, words = (ids >= len(SPECIALS)).numpy(), ids.numpy()
    key = np.where(rows[:, :-1] & rows[:, 1:], words[:, :-1] * size + words[:, 1:], -1)
    known, counts = np.unique(key[key >= 0], return_counts=True)
    known = known[counts >= LEAST_PAIRS]
    codes = SentenceCodes(size, len(known), classes, meanings)
    codes.keys.copy_(torch.from_numpy(known))

    sentence, place = rows.nonzero()
    single = csr_matrix((np.ones(len(sentence)), (sentence, words[sentence, place])), shape=(len(ids), size))
    at = np.searchsorted(known, key).clip(max=max(len(known) - 1, 0))
    held = (key >= 0) & (known[at] == key) if len(known) else np.zeros_like(key, dtype=bool)
    sentence, place = held.nonzero()
    double = csr_matrix((np.ones(len(sentence)), (sentence, at[sentence, place])), shape=(len(ids), len(known)))
    odds = predictions.double().clamp(CLIP, 1 - CLIP).log() @ codes.basis.double()
    model = Ridge(alpha=RIDGE, solver="sparse_cg", tol=1e-6).fit(hstack([single, double]).tocsr(), odds.numpy())
    weights = torch.from_numpy(np.atleast_2d(model.coef_).T).float()
    codes.words.copy_(weights[:size])
    codes.words[UNKNOWN] = 0
    codes.pairs.copy_(weights[size:])
    codes.intercept.copy_(torch.as_tensor(model.intercept_).float())

    frequency = torch.from_numpy(np.asarray(single.sum(0))[0] / max(single.sum(), 1)).float()
    codes.weight.copy_((SMOOTHING / (SMOOTHING + frequency))[:, None])
    codes.weight[: len(SPECIALS)] = 0
    mean = torch.from_numpy(single @ (codes.weight * embedding).numpy()) / torch.from_numpy(
        single @ codes.weight.numpy()
    ).clamp_min(1e-6)
    values, vectors = torch.linalg.eigh(torch.cov(mean.float().T.double()))
    chosen = vectors.flip(1)[:, :meanings] / values.flip(0)[:meanings].clamp_min(1e-8).sqrt()
    signs = torch.gather(chosen, 0, chosen.abs().argmax(0, keepdim=True)).sign()  # the same on every machine
    codes.meaning.copy_((embedding.double() @ (chosen * signs)).float())
    codes.middle.copy_((mean.double() @ (chosen * signs)).mean(0).float())
    codes.scale.copy_((codes(ids)[:, : classes - 1] * codes.scale).std(0).clamp_min(1e-6))
    return codes.requires_grad_(False)
