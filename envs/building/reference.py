"""From inputs to `ReferenceData`: they are encoded, decoded and shown to the classifier."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.classifiers.goals import GoalClassifier
from envs.core.factual import Factual
from envs.core.known_predictions import KnownPredictions
from envs.core.reference_data import BATCH, ReferenceData
from envs.manifolds.base import Manifold
from envs.modalities.base import Units


def make_reference(
    manifold: Manifold,
    classifier: Classifier,
    x: Tensor,
    z: Tensor | None = None,
    units: Units | None = None,
    cells: Tensor | None = None,
    known: KnownPredictions | None = None,
) -> ReferenceData:
    """Encode, decode and classify reference rows.

    Queries: two a row, one if frame 0 is the input; a few in all with `known` predictions.

    Args:
        manifold, classifier: of the world.
        x: (N, \\*data_shape) inputs.
        z: (N, d) their codes; None: encoded here.
        units: of the data; None: frames are what codes decode to.
        cells: (N, C) of the inputs, see `Factual.cells`.
        known: predictions that were kept; used if the classifier still gives them, else a warning is given.
    """
    with torch.inference_mode():
        cells = torch.zeros(len(x), 0, dtype=torch.float64) if cells is None else cells
        if z is None:
            z = torch.cat([manifold.encode(part) for part in x.split(BATCH)])
        graph = manifold.on_graph  # there, frame 0 is the input
        decoded = (
            x
            if graph
            else torch.cat([manifold.decode_near(*pair) for pair in zip(z.split(BATCH), x.split(BATCH), strict=True)])
        )
        anchored = units is not None and units.anchored
        factual = Factual(x, cells, decoded if anchored else torch.zeros(len(x), 0))
        frame = x if anchored else decoded if units is None else units.hold(decoded, x)

        def predictions(frames: Tensor, rows: Tensor) -> Tensor:
            """Predictions (R, K) for the inputs or frames of the reference rows `rows` (R,)."""
            exact = None if units is None else units.exact(frames[rows], factual.chosen(rows))
            return classifier.predict_proba(frames[rows], exact)

        parts = cells, factual.base, manifold, classifier, anchored
        if known is not None:
            known = known.viewed(classifier) if isinstance(classifier, GoalClassifier) else known
            if (changed := known.changed(predictions, x, frame)) is None:
                reference = ReferenceData(x, z, frame, known.prediction, known.label, *parts, known.outputs)
                if known.elsewhere is not None:
                    reference.end_predictions = known.elsewhere
                return reference
            warnings.warn(f"{changed}: all {len(x):,} reference rows are queried again", stacklevel=2)
        every = torch.arange(len(x)).split(BATCH)
        if isinstance(classifier, GoalClassifier):
            outputs = {"own": classifier.outputs_of(lambda: [predictions(x, rows) for rows in every])}
            outputs["frame"] = (
                outputs["own"] if anchored else classifier.outputs_of(lambda: [predictions(frame, rows) for rows in every])
            )
            prediction, own = (classifier.of_outputs(outputs[name]) for name in ("frame", "own"))
            return ReferenceData(x, z, frame, prediction, own.argmax(1), *parts, outputs)
        own = torch.cat([predictions(x, rows) for rows in every])
        prediction = own if anchored or graph else torch.cat([predictions(frame, rows) for rows in every])
        return ReferenceData(x, z, frame, prediction, own.argmax(1), *parts)
