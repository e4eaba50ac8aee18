"""What a classifier said of a world's reference rows, kept so that the world can be built again without its queries.

Beside the answers stands a digest of what they belong to: the rows, the manifold, the classes and the classifier's name.
Whether the classifier itself has changed since is found out by querying it for a few rows again.

N reference rows, K classes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.core.world import World
from envs.errors import ManifoldError
from envs.manifolds.base import Manifold
from envs.modalities.base import Units

FILE = "known_predictions.safetensors"  # of the reference rows, in a run's folder
CHECKED = 32  # rows that are queried again: inputs, and where frames 0 are decoded ones, as many of these
CLOSE = 1e-4  # answers that differ by less are the same: batches of other sizes round differently


class KnownPredictions(NamedTuple):
    """The label (N,) on the reference rows, the answer (N, K) on their frames 0, the answers (N, K) on their codes in a walk
    from elsewhere where those were needed (else None), and the digest of what they belong to."""

    label: Tensor
    prediction: Tensor
    elsewhere: Tensor | None
    digest: str

    def to_bytes(self) -> bytes:
        """As one safetensors file."""
        parts = {"label": self.label, "prediction": self.prediction, "elsewhere": self.elsewhere}
        kept = {name: part.contiguous().clone() for name, part in parts.items() if part is not None}
        return save(kept, metadata={"digest": self.digest})

    @classmethod
    def read(cls, file: str | Path) -> KnownPredictions:
        """What `to_bytes` wrote.

        Raises:
            ManifoldError: the file is missing or damaged.
        """
        try:
            with safe_open(str(file), framework="pt") as stream:
                names = set(stream.keys())
                elsewhere = stream.get_tensor("elsewhere") if "elsewhere" in names else None
                digest = (stream.metadata() or {})["digest"]
                return cls(stream.get_tensor("label"), stream.get_tensor("prediction"), elsewhere, digest)
        except (OSError, KeyError, SafetensorError) as error:
            raise ManifoldError(f"the answers kept in {str(file)!r} cannot be read ({error}); remove the file") from error

    def changed(self, ask: Callable[[Tensor, Tensor], Tensor], x: Tensor, frame: Tensor) -> str | None:
        """Whether the classifier answers otherwise than it did, in words, or None; at most 32 rows are queried.

        Args:
            ask: from the inputs or frames of all reference rows, and some indices (R,), to the answers (R, K) on these.
            x, frame: the reference rows and their frames 0; the same tensor where walks begin at the inputs themselves.
        """
        rows = torch.linspace(0, len(x) - 1, min(len(x), CHECKED if frame is x else CHECKED // 2)).long()
        prediction = ask(x, rows)
        labels = int((prediction.argmax(1) != self.label[rows]).sum())
        gap = float(((prediction if frame is x else ask(frame, rows)) - self.prediction[rows]).abs().max())
        if not labels and gap <= CLOSE:
            return None
        return (
            f"the classifier answers otherwise than when these answers were kept ({labels} of {len(rows)} labels, "
            f"probabilities by up to {gap:.2g})"
        )


def digest_of(x: Tensor, cells: Tensor, units: Units, manifold: Manifold, classifier: Classifier, name: Any) -> str:
    """sha256 of reference rows x (N, \\*shape) and the user's values that they stand for (cells (N, C) and `units`), the
    manifold's settings and weights, the classifier's classes and name."""
    name = name if isinstance(name, str) else None
    about = [manifold.settings, classifier.class_names, classifier.label_only, name, units.unseen]
    found = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for key, value in sorted(manifold.state_dict().items()):
        found.update(key.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    for rows in (x, cells):
        found.update(str(tuple(rows.shape)).encode() + rows.contiguous().numpy().tobytes())
    return found.hexdigest()


def predictions_of(world: World) -> KnownPredictions:
    """What a world knows of its reference rows. Nothing is queried."""
    reference = world.reference
    digest = digest_of(reference.x, reference.cells, world.units, world.manifold, world.classifier, world.config.classifier)
    elsewhere = None if reference.ends_match_frames else reference.known_end_predictions
    return KnownPredictions(reference.label, reference.prediction, elsewhere, digest)
