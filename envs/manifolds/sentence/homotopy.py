"""Between two sentences: what the codes on the straight line decode to, and the real sentences that lie next to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.sentence.vae import SentenceVAE


class Homotopy(NamedTuple):
    """Codes z (n, d) at equal distances from one to the other, and what each decodes to."""

    z: Tensor
    texts: list[str]


def homotopy(vae: SentenceVAE, a: str | Tensor, b: str | Tensor, points: int = 9) -> Homotopy:
    """z(t) = z_a (1 - t) + z_b t, decoded word by word (Bowman and others 2016, section 4.3).

    Args:
        vae: the model.
        a, b: two sentences, or two codes (d,).
        points: n, both ends included.

    Raises:
        ManifoldError: fewer than two points.
    """
    if points < 2:
        raise ManifoldError(f"a homotopy has at least its two ends, not {points} points")
    with torch.inference_mode():
        ends = [vae.encode(vae.vocabulary.ids([end]))[0] if isinstance(end, str) else end for end in (a, b)]
        t = torch.linspace(0, 1, points)[:, None]
        z = ends[0] * (1 - t) + ends[1] * t
        return Homotopy(z, vae.vocabulary.texts(vae.decode(z)))


def nearest_sentences(z: Tensor, bank: Tensor, texts: Sequence[str]) -> list[tuple[str, float]]:
    """Of each code z (n, d), the sentence whose code in `bank` (N, d) is nearest, and how far it lies."""
    gaps, index = torch.cdist(z, bank).min(1)
    return [(texts[i], float(gap)) for i, gap in zip(index.tolist(), gaps, strict=True)]
