"""Where walks begin: known inputs with their codes, frames and the classifier's answers; and inputs that are held out."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.core.factual import Factual
from envs.core.known_predictions import KnownPredictions
from envs.manifolds.base import Manifold
from envs.modalities.base import Units

BATCH = 4096  # starts that a network sees at once: a convolution over 60,000 pictures would take gigabytes


class ReferenceData(NamedTuple):
    """Cached starts.

    Attributes:
        x: (N, \\*data_shape) inputs.
        z: (N, d) their codes.
        frame: (N, \\*data_shape) frames 0: the inputs themselves, or, for pictures and text, what the codes decode to.
        answer: (N, K) the classifier's answer on the frames.
        label: (N,) its label on the inputs.
        cells, base: of the inputs, see `envs.core.factual.Factual`.
    """

    x: Tensor
    z: Tensor
    frame: Tensor
    prediction: Tensor
    label: Tensor
    cells: Tensor
    base: Tensor

    @property
    def factual(self) -> Factual:
        """The inputs as walks know them."""
        return Factual(self.x, self.cells, self.base)

    @property
    def decoded(self) -> Tensor:
        """(N, \\*data_shape) what the codes decode to."""
        return self.base if self.base.shape == self.x.shape else self.frame


class Examples(NamedTuple):
    """Held-out inputs x (M, \\*shape), their true class (M,), or None where it is not known, and their cells (M, C)."""

    x: Tensor
    truth: Tensor | None
    cells: Tensor | None = None


def make_reference(
    manifold: Manifold,
    classifier: Classifier,
    x: Tensor,
    z: Tensor | None = None,
    units: Units | None = None,
    cells: Tensor | None = None,
    known: KnownPredictions | None = None,
) -> ReferenceData:
    """Encode (unless codes z are known), decode and ask: two classifier rows a start, one where frame 0 is the input; a few in
    all where answers are `known` and the classifier still gives them (else: a warning)."""
    with torch.inference_mode():
        cells = torch.zeros(len(x), 0, dtype=torch.float64) if cells is None else cells
        if z is None:
            z = torch.cat([manifold.encode(part) for part in x.split(BATCH)])
        decoded = torch.cat([manifold.decode_near(*pair) for pair in zip(z.split(BATCH), x.split(BATCH), strict=True)])
        anchored = units is not None and units.anchored
        factual = Factual(x, cells, decoded if anchored else torch.zeros(len(x), 0))
        frame = x if anchored else decoded if units is None else units.hold(decoded, x)

        def predictions(frames: Tensor, rows: Tensor) -> Tensor:
            """The classifier's answers (R, K) on the inputs or frames of the starts `rows` (R,)."""
            exact = None if units is None else units.exact(frames[rows], factual.chosen(rows))
            return classifier.predict_proba(frames[rows], exact)

        if known is not None:
            if (changed := known.changed(predictions, x, frame)) is None:
                return ReferenceData(x, z, frame, known.prediction, known.label, *factual[1:])
            warnings.warn(f"{changed}: all {len(x):,} reference rows are queried again", stacklevel=2)
        every = torch.arange(len(x)).split(BATCH)
        own = torch.cat([predictions(x, rows) for rows in every])
        prediction = own if anchored else torch.cat([predictions(frame, rows) for rows in every])
        return ReferenceData(x, z, frame, prediction, own.argmax(1), *factual[1:])
