"""Imputation of missing words by iterated conditional modes.

Missing words start as the unknown word. Then, in turn, z becomes the mode of q(z | x), and the missing words become the most
likely ones given z and the known words, by a beam search (Bowman and others, 2016, section 4.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.sentence.decoding import FREE, beam
from envs.manifolds.sentence.vae import SentenceVAE
from envs.modalities.vocabulary import END, PAD, SPECIALS, UNKNOWN, check_text, tokens


class Imputed(NamedTuple):
    """Completed sentences.

    Attributes:
        ids: Ids, (B, L).
        z: Their codes, (B, d).
        scores: log p(x, z) in nats after each round, (R, B). It never decreases.

    Example:
        >>> from envs.assets import ASSETS
        >>> vae, _ = ASSETS["sentences"].manifold()
        >>> ids = vae.vocabulary.ids(["the soup was awful"])
        >>> missing = torch.zeros(ids.shape, dtype=torch.bool)
        >>> missing[0, 3] = True
        >>> tuple(impute(vae, ids, missing, rounds=2).scores.shape)
        (2, 1)
    """

    ids: Tensor
    z: Tensor
    scores: Tensor


def impute(vae: SentenceVAE, ids: Tensor, missing: Tensor, rounds: int = 3, width: int = 5) -> Imputed:
    """Fill in the missing words of sentences.

    Args:
        vae: The model.
        ids: Ids, (B, L). Values at missing positions are ignored.
        missing: Positions of missing words, (B, L) bool. The end mark must be known.
        rounds: Number of rounds R.
        width: Width of the beam search.

    Raises:
        ManifoldError: If shapes differ, end marks or padding are missing, or there is no round.
    """
    if missing.shape != ids.shape:
        raise ManifoldError(
            f"missing needs one value per position: its shape is {tuple(missing.shape)}, that of ids {tuple(ids.shape)}"
        )
    if bool((missing & ((ids == END) | (ids == PAD))).any()):
        raise ManifoldError(
            "only words can be missing, not the end mark or the padding after it, which fix the length of the sentence"
        )
    if rounds < 1:
        raise ManifoldError(f"at least one round is needed, not {rounds}")
    known = vae.vocabulary.known(ids)
    given = known.masked_fill(missing, FREE)
    with torch.inference_mode():
        z = vae.encode(known.masked_fill(missing, UNKNOWN))
        best, likelihood = beam(vae.decoder, z, ids.shape[1], width, given)
        score = likelihood + vae.prior.log_prob(z)
        scores = [score]
        for _ in range(rounds - 1):
            moved = vae.encode(best)
            found, likelihood = beam(vae.decoder, moved, ids.shape[1], width, given)
            kept = vae.log_likelihood(moved, best)
            # The beam may miss the previous words, and the mode of q is not that of p(z | x): keep only improvements.
            words = torch.where((likelihood >= kept)[:, None], found, best)
            now = torch.maximum(likelihood, kept) + vae.prior.log_prob(moved)
            better = now > score
            best, z = torch.where(better[:, None], words, best), torch.where(better[:, None], moved, z)
            score = torch.where(better, now, score)
            scores.append(score)
        return Imputed(torch.where(missing, best, ids), z, torch.stack(scores))


def fill_in(vae: SentenceVAE, texts: Sequence[str], blank: str = "___", rounds: int = 3, width: int = 5) -> list[str]:
    """Fill in every word of sentences that equals `blank`. Words that the model does not know stay as they are.

    Args:
        vae: The model.
        texts: B sentences.
        blank: Placeholder of a missing word; it must be one word.
        rounds: Number of rounds, see `impute`.
        width: Width of the beam search.

    Returns:
        The completed sentences.

    Raises:
        ManifoldError: If the tokeniser does not read `blank` as one word, or see `impute` and `Vocabulary.ids`.

    Example:
        >>> from envs.assets import ASSETS
        >>> vae, _ = ASSETS["sentences"].manifold()
        >>> fill_in(vae, ["the ___ was really awful"])[0].split()[0]
        'the'
    """
    book = vae.vocabulary
    if tokens(blank, book.tokeniser) != [blank]:
        raise ManifoldError(f"the blank {blank!r} is not one word in lower case; take '___', say")
    rows = [tokens(check_text(text, f"text {row}"), book.tokeniser) for row, text in enumerate(texts)]
    ids = book.ids([" ".join(SPECIALS[UNKNOWN] if word == blank else word for word in row) for row in rows])
    missing = torch.zeros(ids.shape, dtype=torch.bool)
    for row, words in enumerate(rows):
        kept = words[: book.length - 1]
        missing[row, : len(kept)] = torch.tensor([word == blank for word in kept], dtype=torch.bool)
    return book.texts(impute(vae, ids, missing, rounds, width).ids)
