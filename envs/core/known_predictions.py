"""Predictions for a world's reference rows, kept so that the world can be built again without these queries.

They are kept with a digest of the rows, the manifold, the classes and the classifier's name. A few rows are queried again to
see whether the classifier itself has changed.

N reference rows, K classes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.classifiers.goals import GoalClassifier
from envs.core.reference_data import ReferenceData
from envs.core.world import World
from envs.errors import ManifoldError
from envs.goals import LabelGoal
from envs.manifolds.base import Manifold
from envs.modalities.base import Units
from envs.reading.checks import text
from envs.reading.files import read_metadata, read_safetensors

FILE = "known_predictions.safetensors"  # of the reference rows, in a run's folder
CHECKED = 32  # rows that are queried again: inputs, or half inputs and half frames 0
OUTPUTS = ("own", "frame", "elsewhere")  # of models with a goal
CLOSE = 1e-4  # predictions that differ by less are the same: batches of other sizes round differently


class KnownPredictions(NamedTuple):
    """Predictions for reference rows.

    Attributes:
        label: (N,) predicted classes of the rows.
        prediction: (N, K) predictions for their frames 0.
        elsewhere: (N, K) see `ReferenceData.end_predictions`; None if they were not needed.
        digest: of what the predictions belong to, see `digest_of`.
        outputs: see `ReferenceData.outputs`.

    Example:
        >>> from envs import make_world
        >>> predictions_of(make_world(data="digits")).prediction.shape
        torch.Size([1257, 10])
    """

    label: Tensor
    prediction: Tensor
    elsewhere: Tensor | None
    digest: str
    outputs: dict[str, np.ndarray] | None = None

    def to_bytes(self) -> bytes:
        """The content of a safetensors file."""
        parts = {"label": self.label, "prediction": self.prediction, "elsewhere": self.elsewhere}
        parts |= {f"outputs_{name}": torch.from_numpy(part) for name, part in (self.outputs or {}).items()}
        kept = {name: part.contiguous().clone() for name, part in parts.items() if part is not None}
        return save(kept, metadata={"digest": self.digest})

    @classmethod
    def read(cls, file: str | Path) -> KnownPredictions:
        """Read what `to_bytes` wrote.

        Raises:
            ManifoldError: the file is missing or damaged.
        """
        try:
            tensors, digest = read_safetensors(file), text(read_metadata(file).get("digest"), "digest")
            label, prediction, elsewhere = tensors["label"], tensors["prediction"], tensors.get("elsewhere")
            if label.dtype != torch.int64 or label.ndim != 1 or not len(label):
                raise ManifoldError(f"label is {label.dtype} of shape {tuple(label.shape)}, not a list of classes")
            for name, part in (("prediction", prediction), ("elsewhere", elsewhere)):
                if part is not None and (part.dtype != torch.float32 or part.ndim != 2 or len(part) != len(label)):
                    raise ManifoldError(f"{name} is {part.dtype} of shape {tuple(part.shape)}, not probabilities of each row")
                if part is not None and not bool(((part >= 0) & (part <= 1 + CLOSE)).all()):
                    raise ManifoldError(f"{name} holds numbers that are not probabilities")
            outputs = {name: tensors[f"outputs_{name}"].numpy() for name in OUTPUTS if f"outputs_{name}" in tensors}
            for name, output in outputs.items():
                if output.dtype != np.float64 or output.shape[:-1] != label.shape or not np.isfinite(output).all():
                    raise ManifoldError(f"outputs_{name} is {output.dtype} of shape {output.shape}, not outputs of each row")
            if outputs and not {"own", "frame"} <= outputs.keys():
                raise ManifoldError("it has outputs for only some of its predictions")
            classes = {part.shape[1] for part in (prediction, elsewhere) if part is not None}
            if len(classes) != 1 or label.min() < 0 or label.max() >= min(classes):
                raise ManifoldError("its parts have different classes")
        except (OSError, KeyError, ManifoldError) as error:
            raise ManifoldError(f"the predictions kept in {str(file)!r} cannot be read ({error}); remove the file") from error
        return cls(label, prediction, elsewhere, digest, outputs or None)

    def viewed(self, classifier: GoalClassifier) -> KnownPredictions:
        """The same outputs under the goal of a classifier."""
        if self.outputs is None:
            return self
        own, frame = (classifier.of_outputs(self.outputs[name]) for name in ("own", "frame"))
        return self._replace(label=own.argmax(1), prediction=frame, elsewhere=None)

    def belongs_to(self, reference: ReferenceData) -> bool:
        """Whether reference data were made of these predictions."""
        return self.prediction is reference.prediction if self.outputs is None else self.outputs is reference.outputs

    def changed(self, ask: Callable[[Tensor, Tensor], Tensor], x: Tensor, frame: Tensor) -> str | None:
        """A sentence on how the classifier's predictions have changed, or None; at most 32 queries.

        Args:
            ask: from the inputs or frames of all reference rows and some indices (R,) to predictions (R, K).
            x, frame: the reference rows and their frames 0; one tensor if these are the inputs.
        """
        if len(self.label) != len(x):
            return f"the predictions that were kept are of {len(self.label):,} rows, the world has {len(x):,}"
        rows = torch.linspace(0, len(x) - 1, min(len(x), CHECKED if frame is x else CHECKED // 2)).long()
        prediction = ask(x, rows)
        if prediction.shape[1] != self.prediction.shape[1]:
            kept, now = self.prediction.shape[1], prediction.shape[1]
            return f"the predictions that were kept are of {kept} classes, the classifier has {now}"
        labels = int((prediction.argmax(1) != self.label[rows]).sum())
        gap = float(((prediction if frame is x else ask(frame, rows)) - self.prediction[rows]).abs().max())
        if not labels and gap <= CLOSE:
            return None
        return (
            f"the classifier's predictions have changed since they were kept ({labels} of {len(rows)} labels, "
            f"probabilities by up to {gap:.2g})"
        )


def digest_of(x: Tensor, cells: Tensor, units: Units, manifold: Manifold, classifier: Classifier, name: Any) -> str:
    """sha256 of reference rows x (N, \\*data_shape), the user's values (cells (N, C) and `units`), the manifold's settings and
    weights, and the classifier's classes and name."""
    name = name if isinstance(name, str) else None
    goal = classifier.goal  # outputs are kept, whatever the goal
    classes = classifier.class_names if goal is None else [goal.kind, *(goal.labels if isinstance(goal, LabelGoal) else ())]
    about = [manifold.settings, classes, classifier.label_only, name, units.unseen]
    about += [] if classifier.sha256 is None else [classifier.sha256]
    found = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for key, value in sorted(manifold.state_dict().items()):
        found.update(key.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    for rows in (x, cells):
        found.update(str(tuple(rows.shape)).encode() + rows.contiguous().numpy().tobytes())
    return found.hexdigest()


def predictions_of(world: World) -> KnownPredictions:
    """The predictions that a world has for its reference rows. No query."""
    reference = world.reference
    digest = digest_of(reference.x, reference.cells, world.units, world.manifold, world.classifier, world.config.classifier)
    elsewhere = None if reference.ends_match_frames or reference.outputs is not None else reference.known_end_predictions
    return KnownPredictions(reference.label, reference.prediction, elsewhere, digest, reference.outputs)
