"""Where walks begin: known inputs with their codes, frames and the classifier's answers; and inputs that are held out."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.datasets.units import Units
from envs.known_answers import KnownAnswers
from envs.manifolds.base import Manifold

BATCH = 4096  # starts that a network sees at once: a convolution over 60,000 pictures would take gigabytes


class Starts(NamedTuple):
    """Cached starts: inputs x (N, \\*shape), codes z (N, d), frames 0 (N, \\*shape), the classifier's answer (N, K) on them,
    and its label (N,) on the inputs."""

    x: Tensor
    z: Tensor
    frame: Tensor
    answer: Tensor
    label: Tensor


class Examples(NamedTuple):
    """Held-out inputs x (M, \\*shape) and their true class (M,), or None where it is not known."""

    x: Tensor
    truth: Tensor | None


def make_starts(
    manifold: Manifold,
    classifier: Classifier,
    x: Tensor,
    z: Tensor | None = None,
    units: Units | None = None,
    known: KnownAnswers | None = None,
) -> Starts:
    """Encode (unless codes z are known), decode and ask: two classifier rows a start, a few in all where answers are `known`
    and the classifier still gives them (else: a warning)."""
    with torch.inference_mode():
        if z is None:
            z = torch.cat([manifold.encode(part) for part in x.split(BATCH)])
        frame = torch.cat([manifold.decode_near(*pair) for pair in zip(z.split(BATCH), x.split(BATCH), strict=True)])
        frame = frame if units is None else units.hold(frame, x)
        if known is not None:
            if (changed := known.changed(classifier, x, frame)) is None:
                return Starts(x, z, frame, known.answer, known.label)
            warnings.warn(f"{changed}: all {len(x):,} reference rows are queried again", stacklevel=2)
        label = torch.cat([classifier.predict_proba(part).argmax(1) for part in x.split(BATCH)])
        answer = torch.cat([classifier.predict_proba(part) for part in frame.split(BATCH)])
        return Starts(x, z, frame, answer, label)
