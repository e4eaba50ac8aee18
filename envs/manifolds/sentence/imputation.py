"""Words that are missing from a sentence, filled in by iterated conditional modes.

Bowman and others (2016, section 4.1): unknown words are first the unknown word; then in turn z becomes the mode of q(z | x),
and the missing words become the likeliest ones given z and the known words, by a beam search that may only write where words
miss.
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
    """Sentences made whole.

    Attributes:
        ids: (B, L).
        z: (B, d) their codes.
        scores: (R, B) log p(x, z) in nats after every round; never falls.
    """

    ids: Tensor
    z: Tensor
    scores: Tensor


def impute(vae: SentenceVAE, ids: Tensor, missing: Tensor, rounds: int = 3, width: int = 5) -> Imputed:
    """Fill in the missing words of sentences.

    Args:
        vae: the model.
        ids: (B, L); what stands at missing places is not looked at.
        missing: (B, L) bool; words alone, the end mark is known.
        rounds: R, how often code and words take turns.
        width: of the beam search.

    Raises:
        ManifoldError: another shape, end marks or padding that are missing, or fewer than one round.
    """
    if missing.shape != ids.shape:
        raise ManifoldError(f"missing words are marked place by place: {tuple(missing.shape)} does not fit {tuple(ids.shape)}")
    if bool((missing & ((ids == END) | (ids == PAD))).any()):
        raise ManifoldError("only words can be missing: the end mark and the padding after it tell how long the sentence is")
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
            # The beam may miss what stood there before, and the mode of q is not that of p(z | x): only what is better stays.
            words = torch.where((likelihood >= kept)[:, None], found, best)
            now = torch.maximum(likelihood, kept) + vae.prior.log_prob(moved)
            better = now > score
            best, z = torch.where(better[:, None], words, best), torch.where(better[:, None], moved, z)
            score = torch.where(better, now, score)
            scores.append(score)
        return Imputed(torch.where(missing, best, ids), z, torch.stack(scores))


def fill_in(vae: SentenceVAE, texts: Sequence[str], blank: str = "___", rounds: int = 3, width: int = 5) -> list[str]:
    """Sentences in which every word that is `blank` is filled in; words unknown to the model stay as they are.

    ::

        fill_in(vae, ["the ___ was really ___", "we ___ the film"])

    Args:
        vae: the model.
        texts: the sentences, B.
        blank: what stands for a missing word, a word of its own.
        rounds, width: see `impute`.

    Raises:
        ManifoldError: a blank that the tokeniser does not take for one word, or see `impute` and `Vocabulary.ids`.
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
