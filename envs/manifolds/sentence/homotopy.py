"""Homotopies between two sentences: decoded points of a latent line, and the real sentences nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.sentence.vae import SentenceVAE


class Homotopy(NamedTuple):
    """Points of a line between two sentences.

    Attributes:
        z: Equidistant codes, (n, d).
        texts: What each code decodes to.

    Example:
        >>> from envs.assets import ASSETS
        >>> vae, _ = ASSETS["sentences"].manifold()
        >>> len(homotopy(vae, "the soup was awful", "the film was great", points=5).texts)
        5
    """

    z: Tensor
    texts: list[str]


def homotopy(vae: SentenceVAE, a: str | Tensor, b: str | Tensor, points: int = 9) -> Homotopy:
    """Decode the line z(t) = (1 - t) z_a + t z_b between two sentences (Bowman and others, 2016, section 4.3).

    Args:
        vae: The model.
        a: First sentence, or its code (d,).
        b: Last sentence, or its code (d,).
        points: Number of points, both ends included.

    Raises:
        ManifoldError: If there are fewer than two points.
    """
    if points < 2:
        raise ManifoldError(f"a homotopy needs at least 2 points, not {points}")
    with torch.inference_mode():
        ends = [vae.encode(vae.vocabulary.ids([end]))[0] if isinstance(end, str) else end for end in (a, b)]
        t = torch.linspace(0, 1, points)[:, None]
        z = ends[0] * (1 - t) + ends[1] * t
        return Homotopy(z, vae.vocabulary.texts(vae.decode(z)))


def nearest_sentences(z: Tensor, bank: Tensor, texts: Sequence[str]) -> list[tuple[str, float]]:
    """Find the sentence whose code is nearest to each code.

    Args:
        z: Codes, (n, d).
        bank: Codes of known sentences, (N, d).
        texts: These sentences.

    Returns:
        Sentence and distance for each code.
    """
    gaps, index = torch.cdist(z, bank).min(1)
    return [(texts[i], float(gap)) for i, gap in zip(index.tolist(), gaps, strict=True)]
