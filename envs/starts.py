"""Where walks begin: known inputs with their codes, frames and the classifier's answers; and inputs that are held out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.datasets.units import Units
from envs.manifolds.base import Manifold
from envs.origin import Origin

BATCH = 4096  # starts that a network sees at once: a convolution over 60,000 pictures would take gigabytes


class Starts(NamedTuple):
    """Cached starts.

    Attributes:
        x: (N, \\*data_shape) inputs.
        z: (N, d) their codes.
        frame: (N, \\*data_shape) frames 0: the inputs themselves, or, for pictures and text, what the codes decode to.
        answer: (N, K) the classifier's answer on the frames.
        label: (N,) its label on the inputs.
        cells, base: of the inputs, see `envs.origin.Origin`.
    """

    x: Tensor
    z: Tensor
    frame: Tensor
    answer: Tensor
    label: Tensor
    cells: Tensor
    base: Tensor

    @property
    def origin(self) -> Origin:
        """The inputs as walks know them."""
        return Origin(self.x, self.cells, self.base)

    @property
    def decoded(self) -> Tensor:
        """(N, \\*data_shape) what the codes decode to."""
        return self.base if self.base.shape == self.x.shape else self.frame


class Examples(NamedTuple):
    """Held-out inputs x (M, \\*shape), their true class (M,), or None where it is not known, and their cells (M, C)."""

    x: Tensor
    truth: Tensor | None
    cells: Tensor | None = None


def make_starts(
    manifold: Manifold,
    classifier: Classifier,
    x: Tensor,
    z: Tensor | None = None,
    units: Units | None = None,
    cells: Tensor | None = None,
) -> Starts:
    """Encode (unless codes z are known), decode and ask: two classifier rows a start, one where frame 0 is the input."""
    with torch.inference_mode():
        cells = torch.zeros(len(x), 0, dtype=torch.float64) if cells is None else cells
        origin = Origin(x, cells, torch.zeros(len(x), 0))

        def answers(rows: Tensor, first: int) -> Tensor:
            part = Origin(*(own[first : first + len(rows)] for own in origin))
            exact = None if units is None else units.exact(rows, part)
            return classifier.predict_proba(rows) if exact is None else classifier.predict_proba(rows, exact)

        own = torch.cat([answers(part, k * BATCH) for k, part in enumerate(x.split(BATCH))])
        if z is None:
            z = torch.cat([manifold.encode(part) for part in x.split(BATCH)])
        frame = torch.cat([manifold.decode_near(*pair) for pair in zip(z.split(BATCH), x.split(BATCH), strict=True)])
        if units is not None and units.anchored:
            return Starts(x, z, x, own, own.argmax(1), cells, frame)
        frame = frame if units is None else units.hold(frame, x)
        answer = torch.cat([answers(part, k * BATCH) for k, part in enumerate(frame.split(BATCH))])
        return Starts(x, z, frame, answer, own.argmax(1), cells, origin.base)
