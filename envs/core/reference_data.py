"""The reference data: labelled inputs with their codes, frames and predictions, and the statistics that walks need of them.

N reference rows, K classes, d latent dimensions, D data coordinates (see `Manifold.coordinates`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.classifiers.goals import GoalClassifier
from envs.core.factual import Factual
from envs.core.typicality import ClassNeighbours
from envs.manifolds.base import Manifold
from envs.manifolds.networks.arrays import norm

BATCH = 4096  # rows that a network sees at once: a convolution over 60,000 pictures would take gigabytes
CANDIDATES = 4  # rows whose distances are computed exactly, against the rounding of the products
MAX_GAPS = 10_000_000  # distances held at once: 40 MB
MAX_PAIRS = 2000  # rows taken for all-pairs distances: exact for small sets, a fixed subset of large ones


class Examples(NamedTuple):
    """Held-out inputs.

    Attributes:
        x: (M, \\*data_shape) inputs.
        truth: (M,) their true classes, or None if they are unknown.
        cells: (M, C) see `Factual.cells`.

    Example:
        >>> from envs import make_world
        >>> len(make_world(data="digits").held_out.x)
        540
    """

    x: Tensor
    truth: Tensor | None
    cells: Tensor | None = None


@dataclass(eq=False)
class ReferenceData:
    """Labelled inputs as a manifold and a classifier see them, and their statistics.

    Statistics are computed on first use and kept. `dataclasses.replace` makes reference data whose statistics are computed
    anew. Iterating gives the seven tensors.

    Args:
        x: (N, \\*data_shape) inputs.
        z: (N, d) their codes.
        frame: (N, \\*data_shape) frames 0: the inputs themselves if `anchored`, else what the codes decode to.
        prediction: (N, K) the classifier's predictions for the frames.
        label: (N,) the predicted classes of the inputs.
        cells, base: of the inputs, see `envs.core.factual.Factual`.
        manifold: the manifold of the codes.
        classifier: the classifier of the predictions.
        anchored: whether frame 0 is the input itself, see `Units.anchored`.
        outputs: of a `GoalClassifier`, the model's own outputs (N, M) for the inputs (``own``), for the frames (``frame``)
            and, once they were needed, for the ends (``elsewhere``), so that another goal takes no query.

    Example:
        >>> from envs import make_world
        >>> reference = make_world(data="digits").reference
        >>> reference.z.shape, reference.prototypes.shape
        (torch.Size([1257, 8]), torch.Size([10]))
        >>> reference.class_distance > 0
        True
    """

    x: Tensor
    z: Tensor
    frame: Tensor
    prediction: Tensor
    label: Tensor
    cells: Tensor
    base: Tensor
    manifold: Manifold
    classifier: Classifier
    anchored: bool = False
    outputs: dict[str, np.ndarray] | None = None

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.tensors)

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """x, z, frame, prediction, label, cells and base."""
        return self.x, self.z, self.frame, self.prediction, self.label, self.cells, self.base

    @property
    def classes(self) -> int:
        """K."""
        return self.prediction.shape[1]

    @property
    def factual(self) -> Factual:
        """The inputs as walks hold them."""
        return Factual(self.x, self.cells, self.base)

    @property
    def decoded(self) -> Tensor:
        """(N, \\*data_shape) what the codes decode to."""
        return self.base if self.base.shape == self.x.shape else self.frame

    @cached_property
    def coordinates(self) -> Tensor:
        """(N, D) coordinates of the inputs, see `Manifold.coordinates`."""
        return self.manifold.coordinates(self.z, self.x)

    # ---- predictions for the ends of walks -------------------------------------------------------------------------

    @cached_property
    def end_predictions(self) -> Tensor:
        """(N, K) predictions for what the codes decode to at the end of a walk from another input.

        They equal `prediction` unless the manifold is conditioned on the input or walks are anchored at it: then the first
        use queries the classifier, one row a code.
        """
        if self.ends_match_frames:
            return self.prediction
        with torch.inference_mode():
            parts = (self.manifold.decode_near(z, None) for z in self.z.split(BATCH))
            if self.outputs is None or not isinstance(self.classifier, GoalClassifier):
                return torch.cat([self.classifier.predict_proba(part) for part in parts])
            if "elsewhere" not in self.outputs:
                self.outputs["elsewhere"] = np.concatenate([self.classifier.outputs(part) for part in parts])
            return self.classifier.of_outputs(self.outputs["elsewhere"])

    def viewed(self, classifier: GoalClassifier) -> ReferenceData:
        """The same rows for another goal on the same model. No query."""
        assert self.outputs is not None
        own, frame = (classifier.of_outputs(self.outputs[name]) for name in ("own", "frame"))
        return replace(self, classifier=classifier, label=own.argmax(1), prediction=frame)

    @property
    def known_end_predictions(self) -> Tensor | None:
        """`end_predictions` if they cost no query, else None."""
        return self.end_predictions if self.ends_match_frames else self.__dict__.get("end_predictions")

    @property
    def ends_match_frames(self) -> bool:
        """Whether a walk that ends at the code of a reference row ends in that row's frame 0, from whatever input it came."""
        return self.manifold.on_graph or not (self.manifold.input_conditioned or self.anchored)

    # ---- statistics of the classes -----------------------------------------------------------------------------------

    @cached_property
    def nearest_unlike(self) -> tuple[Tensor, Tensor, Tensor]:
        """(distance (n,), index (n,), rows (n,)): for each chosen row, its nearest row with another label, in data space."""
        n = len(self.x)
        # Evenly through the labels, so that at least two classes are among them.
        rows = self.label.argsort(stable=True)[torch.linspace(0, n - 1, min(n, MAX_PAIRS)).long()]
        flat, label = self.coordinates[rows], self.label[rows]
        gaps = torch.cdist(flat, flat).masked_fill_(label[:, None] == label[None, :], torch.inf)
        distance, index = gaps.min(1)
        return distance, rows[index], rows

    @cached_property
    def class_distance(self) -> float:
        """Median data-space distance from a row to its nearest row with another label."""
        return float(self.nearest_unlike[0].median())

    @cached_property
    def far_pairs(self) -> tuple[Tensor, Tensor, Tensor]:
        """(row (n,), target (n,), distance (n,)): each chosen row with the class whose nearest code is furthest away.

        Distances are latent, the largest first. Only rows whose frame 0 has the predicted class of the input, and the codes
        of such rows.
        """
        rows = self.nearest_unlike[2]
        rows = rows[self.prediction[rows].argmax(1) == self.label[rows]]
        z, label = self.z[rows], self.label[rows]
        gaps = torch.cdist(z, z)
        present = label.unique()
        nearest = torch.stack([gaps[:, label == k].amin(1) for k in present], dim=1)  # 0 for the own class
        distance, far = nearest.max(1)
        order = distance.argsort(descending=True, stable=True)
        return rows[order], present[far[order]], distance[order]

    @cached_property
    def prototypes(self) -> Tensor:
        """(K,) index of the most typical row of each class: its code is nearest to the mean code of the class."""
        chosen = torch.zeros(self.classes, dtype=torch.long)
        for k in range(self.classes):
            rows = ((self.label == k) & (self.prediction.argmax(1) == k)).nonzero()[:, 0]
            if len(rows):
                codes = self.z[rows]
                chosen[k] = rows[(codes - codes.mean(0)).norm(dim=1).argmin()]
        return chosen

    @cached_property
    def prototype_coordinates(self) -> Tensor:
        """(K, D) coordinates of the decoded prototypes; NaN for a class without rows."""
        places = self.manifold.coordinates(self.z[self.prototypes], self.decoded[self.prototypes]).clone()
        places[torch.bincount(self.label, minlength=self.classes) == 0] = torch.nan
        return places

    @cached_property
    def class_codes(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (K, d) and precision (K, d, d) of each class's codes; the covariance is shrunk by 0.05 I."""
        d = self.z.shape[1]
        means, precision = torch.zeros(self.classes, d), torch.eye(d).repeat(self.classes, 1, 1)
        for k in range(self.classes):
            codes = self.z[self.label == k]
            if len(codes) > d:
                means[k] = codes.mean(0)
                precision[k] = torch.linalg.inv(torch.cov(codes.T) + 0.05 * torch.eye(d))
        return means.numpy(), precision.numpy()

    def nearest_other_class(self, place: Tensor, source: Tensor, group: Sequence[int] | None = None) -> Tensor:
        """Classes (B,) of the nearest row that is not of class `source` (B,), for coordinates `place` (B, D); of those in a
        `group` of classes, if one is given.

        Candidates come from one matrix product with stored norms, on numpy arrays; the nearest of them by exact distances.
        """
        flat, label, chosen = self.coordinates.numpy(), self.label.numpy(), []
        other = None if group is None else ~np.isin(label, group)
        block = max(1, MAX_GAPS // len(flat))
        for first in range(0, max(1, len(place)), block):
            part, own = (of.numpy()[first : first + block] for of in (place, source))
            gaps = (-2 * part) @ flat.T
            gaps += self._squares  # squared distances less |place|^2
            gaps[own[:, None] == label] = np.inf
            if other is not None:
                gaps[:, other] = np.inf
            near = gaps.argpartition(min(CANDIDATES, len(flat)) - 1, axis=1)[:, :CANDIDATES]
            exact = norm(flat[near] - part[:, None])
            exact[np.isinf(np.take_along_axis(gaps, near, 1))] = np.inf
            best = np.lexsort((-near, exact))[:, :1]  # of rows as near as each other, the last one
            chosen.append(label[np.take_along_axis(near, best, 1)[:, 0]])
        return torch.from_numpy(np.concatenate(chosen))

    @cached_property
    def _squares(self) -> np.ndarray:
        """(N,) squared norms of the coordinates."""
        return self.coordinates.square().sum(1).numpy()

    # ---- statistics that depend on the task --------------------------------------------------------------------------

    def convincing(self, satisfied: Tensor) -> Tensor:
        """Labels (N,), -1 for the rows at which a walk of the task does not end.

        Args:
            satisfied: (N,) bool, whether the task is satisfied by each row's `end_predictions`. A class without such a row
                keeps all its rows.
        """
        known = torch.bincount(self.label[satisfied], minlength=self.classes) > 0
        return torch.where(satisfied | ~known[self.label], self.label, -1)

    def class_neighbours(self, label: Tensor) -> ClassNeighbours:
        """Nearest rows of a class in data coordinates; `label` (N,) may leave out rows by -1."""
        return ClassNeighbours(self.coordinates, label, self.classes)

    def end_codes(self, satisfied: Tensor) -> ClassNeighbours:
        """Nearest code of a class at which a walk may end, see `convincing`."""
        return ClassNeighbours(self.z, self.convincing(satisfied), self.classes, k=1)
