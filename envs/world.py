"""A world: everything that a walk needs besides its own state."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.datasets.image_units import ImageUnits
from envs.datasets.text_units import TextUnits
from envs.datasets.units import Units
from envs.entry import ENTRIES
from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds.base import Manifold, Pull
from envs.moves import MOVES, Move
from envs.origin import Origin
from envs.round_trip import RoundTrip
from envs.starts import BATCH, Examples, Starts
from envs.step_length import calibrated_step
from envs.tasks import Task
from envs.typicality import ClassNeighbours
from envs.ways import ends

MAX_GAPS = 10_000_000  # distances held at once: 40 MB
MAX_PAIRS = 2000  # rows taken for all-pairs distances: exact for small sets, a fixed subset of large ones


@dataclass
class World:
    """A manifold, a classifier, starts, a task and a move.

    Attributes:
        manifold, classifier, units, starts, task: the parts.
        held_out: inputs to be explained.
        move_name: key into `MOVES`.
        step: the median decoded move of a full action, as a share of the class distance.
        step_length: what a full action moves: a latent length, for ``pullback`` and ``arc`` one in data space; None:
            calibrated to `step`.
        max_step: largest data-space distance between two frames; None: no bound.
        compass: whether observations hold which way the known costs fall (see `envs.compass`).
        gamma: discount of the shaping potential; the training run sets its own.
        max_episode_steps: the step limit.
        entry: where walks from inputs begin: a key of `envs.entry.ENTRIES`.
        spec: JSON-able arguments that build this world again; ``{"live": True}`` if live objects went in.
        round_trip: how the user's own rows and those that walks know compare, see `envs.round_trip`; None: not asked.
    """

    manifold: Manifold
    classifier: Classifier
    units: Units
    starts: Starts
    task: Task
    held_out: Examples
    move_name: str = "euclidean"
    step: float = 1 / 8
    step_length: float = None  # type: ignore[assignment]  # set in __post_init__
    max_step: float | None = None
    compass: bool = False
    gamma: float = 0.98
    max_episode_steps: int = 20
    entry: str = "code"
    spec: dict[str, Any] = field(default_factory=dict)
    round_trip: RoundTrip | None = None
    _targeted: World | None = field(default=None, init=False, repr=False, compare=False)  # whose `untargeted` this is

    def __post_init__(self) -> None:
        if self.move_name not in MOVES:
            raise UnknownNameError("move", self.move_name, MOVES)
        if self.entry not in ENTRIES:
            raise UnknownNameError("entry", self.entry, ENTRIES)
        if self.task.needs_label_only and not self.label_only:
            raise ManifoldError(f"the task {self.task.name!r} is for classifiers that show labels alone; pass label_only=True")
        present = self.starts.label.unique()
        if len(present) < 2:
            name = self.class_names[int(present[0])]
            raise ManifoldError(f"the classifier calls every start {name!r}: with one class there is nowhere to walk")
        if self.step_length is None:
            self.step_length = calibrated_step(self)
        if not self.step_length > 0:
            raise ManifoldError(f"step_length must be positive, not {self.step_length}")
        if self.max_step is not None and not self.max_step > 0:
            raise ManifoldError(f"max_step must be positive, not {self.max_step}")

    @property
    def move(self) -> Move:
        """How actions move codes."""
        return MOVES[self.move_name]

    @cached_property
    def untargeted(self) -> World:
        """This world for walks without a requested target (see `Task.untargeted`); all other parts are shared."""
        task = self.task.untargeted
        if task is self.task:
            return self
        world = copy.copy(self)  # shares what was computed, too: none of it depends on this
        world.task, world._targeted = task, self
        return world

    @property
    def class_names(self) -> list[str]:
        """One name a class."""
        return self.classifier.class_names

    @property
    def classes(self) -> int:
        """K."""
        return len(self.classifier.class_names)

    @property
    def latent_dim(self) -> int:
        """d."""
        return self.manifold.latent_dim

    @property
    def obs_dim(self) -> int:
        """Length of an observation: 2 d + 2 K, and 2 d more with the compass."""
        return (4 if self.compass else 2) * self.latent_dim + 2 * self.classes

    @property
    def label_only(self) -> bool:
        """Whether labels alone are shown."""
        return self.classifier.label_only

    @property
    def modality(self) -> str:
        """``image``, ``table`` or ``text``."""
        return self.manifold.modality

    @cached_property
    def one_hot(self) -> Tensor:
        """Identity (K, K)."""
        return torch.eye(self.classes)

    @cached_property
    def start_places(self) -> Tensor:
        """(N, D) coordinates of the starts, see `Manifold.coordinates`."""
        return self.manifold.coordinates(self.starts.z, self.starts.x)

    @cached_property
    def unlike(self) -> tuple[Tensor, Tensor, Tensor]:
        """(distance (n,), index (n,), rows (n,)): each chosen start's nearest start with another label, in data space."""
        n = len(self.starts.x)
        # Evenly through the labels, so that at least two classes are among them.
        rows = self.starts.label.argsort(stable=True)[torch.linspace(0, n - 1, min(n, MAX_PAIRS)).long()]
        flat, label = self.start_places[rows], self.starts.label[rows]
        gaps = torch.cdist(flat, flat).masked_fill_(label[:, None] == label[None, :], torch.inf)
        distance, index = gaps.min(1)
        return distance, rows[index], rows

    @cached_property
    def start_answers(self) -> Tensor:
        """(N, K) the classifier's answers on what the starts' codes decode to in a walk from elsewhere.

        Those on the starts' own frames, but for a manifold that leans on the input, and where frame 0 is the input itself:
        there they are asked for, a row a start.
        """
        if self.starts_are_ends:
            return self.starts.answer
        if self._targeted is not None:
            return self._targeted.start_answers  # one query for both
        with torch.inference_mode():
            parts = [self.manifold.decode_near(z, None) for z in self.starts.z.split(BATCH)]
            return torch.cat([self.classifier.predict_proba(part) for part in parts])

    @property
    def ends_are_known(self) -> bool:
        """Whether `start_answers` can be had without a query."""
        return self.starts_are_ends or "start_answers" in self.__dict__

    @property
    def starts_are_ends(self) -> bool:
        """Whether a walk that ends at a start's code ends in that start's own frame 0, wherever it came from."""
        return not (self.manifold.leans or self.units.anchored)

    @cached_property
    def far_pairs(self) -> tuple[Tensor, Tensor, Tensor]:
        """(start (n,), target (n,), distance (n,)): each chosen start with the class whose nearest code is furthest away.

        In latent distance, the hardest first. Only starts whose frame 0 is called like the input, and codes of such starts.
        """
        rows = self.unlike[2]
        rows = rows[self.starts.answer[rows].argmax(1) == self.starts.label[rows]]
        z, label = self.starts.z[rows], self.starts.label[rows]
        gaps = torch.cdist(z, z)
        present = label.unique()
        nearest = torch.stack([gaps[:, label == k].amin(1) for k in present], dim=1)  # 0 for the own class
        distance, far = nearest.max(1)
        order = distance.argsort(descending=True, stable=True)
        return rows[order], present[far[order]], distance[order]

    @cached_property
    def class_distance(self) -> float:
        """Median data-space distance from a start to its nearest start with another label."""
        return float(self.unlike[0].median())

    @cached_property
    def prototypes(self) -> Tensor:
        """(K,) index of the start that is most typical of each class: nearest to the mean code among the class's starts."""
        chosen = torch.zeros(self.classes, dtype=torch.long)
        for k in range(self.classes):
            rows = ((self.starts.label == k) & (self.starts.answer.argmax(1) == k)).nonzero()[:, 0]
            if len(rows):
                codes = self.starts.z[rows]
                chosen[k] = rows[(codes - codes.mean(0)).norm(dim=1).argmin()]
        return chosen

    @cached_property
    def prototype_frames(self) -> Tensor:
        """(K, \\*data_shape) decoded prototypes; any start's for a class that no start is called by."""
        return self.starts.frame[self.prototypes]

    @cached_property
    def prototype_places(self) -> Tensor:
        """(K, D) coordinates of the decoded prototypes; NaN, near to nothing, for a class that no start is called by."""
        decoded = self.starts.decoded[self.prototypes]
        places = self.manifold.coordinates(self.starts.z[self.prototypes], decoded).clone()
        places[torch.bincount(self.starts.label, minlength=self.classes) == 0] = torch.nan
        return places

    @cached_property
    def class_neighbours(self) -> ClassNeighbours:
        """The starts of each class, for `Weights.atypical` and the compass.

        Where the manifold leans on the input, only those whose codes convince the classifier on their own, if there are any: a
        walk from elsewhere finds no more there than what the code itself says.
        """
        label = self.starts.label
        if self.manifold.leans:
            sure = self.task.satisfied(self.start_answers, label)
            known = torch.bincount(label[sure], minlength=self.classes) > 0
            label = torch.where(sure | ~known[label], label, -1)
        return ClassNeighbours(self.start_places, label, self.classes)

    @cached_property
    def end_codes(self) -> ClassNeighbours:
        """The codes at which walks may end, see `envs.ways`."""
        return ends(self)

    @cached_property
    def class_codes(self) -> tuple[Tensor, Tensor]:
        """Mean (K, d) and precision (K, d, d) of each class's codes; the covariance is shrunk by 0.05 I."""
        d = self.latent_dim
        means, precision = torch.zeros(self.classes, d), torch.eye(d).repeat(self.classes, 1, 1)
        for k in range(self.classes):
            codes = self.starts.z[self.starts.label == k]
            if len(codes) > d:
                means[k] = codes.mean(0)
                precision[k] = torch.linalg.inv(torch.cov(codes.T) + 0.05 * torch.eye(d))
        return means, precision

    def default_target(self, place: Tensor, source: Tensor) -> Tensor:
        """Targets (B,) of inputs at coordinates `place` (B, D) where none is asked: the class of the nearest start that is not
        called like the input."""
        if not self.task.takes_target:
            return source.clone()
        flat, label, chosen = self.start_places, self.starts.label, []
        rows = max(1, MAX_GAPS // len(flat))
        for part, own in zip(place.split(rows), source.split(rows), strict=True):
            gaps = torch.cdist(part, flat).masked_fill_(own[:, None] == label[None, :], torch.inf)
            chosen.append(label[gaps.argmin(1)])
        return torch.cat(chosen)

    def origin_of(self, x: Tensor, z0: Tensor | None = None, cells: Tensor | None = None) -> Origin:
        """What walks know of inputs x (B, \\*data_shape) that they entered at codes z0 (B, d), by default the inputs' own.

        Without the inputs' cells (B, C), the nearest valid rows are taken for them.
        """
        if not self.units.anchored:
            return Origin(x, x.new_zeros(len(x), 0, dtype=torch.float64), x.new_zeros(len(x), 0, dtype=torch.float32))
        cells = self.units.exact(x, None) if cells is None else cells
        assert cells is not None
        return Origin(x, cells, self.manifold.decode_near(self.manifold.encode(x) if z0 is None else z0, x))

    def decode(self, z: Tensor, origin: Origin | Tensor) -> Tensor:
        """Frames (B, \\*data_shape) of codes z (B, d) in walks from `origin`, see `Units.laid`; from inputs alone: entered at
        their own codes."""
        origin = origin if isinstance(origin, Origin) else self.origin_of(origin)
        return self.units.laid(self.manifold.decode_near(z, origin.x), origin)

    def answers(self, frame: Tensor, origin: Origin) -> Tensor:
        """The classifier's answers (B, K) on frames (B, \\*data_shape) of walks from `origin`: asked with the user's own
        values wherever a frame has not moved. One row a frame is counted."""
        cells = self.units.exact(frame, origin)
        return self.classifier.predict_proba(frame) if cells is None else self.classifier.predict_proba(frame, cells)

    def answers_held_out(self, rows: Tensor | Sequence[int]) -> Tensor:
        """The classifier's answers (R, K) on held-out inputs, asked with the user's own values; R rows are counted."""
        cells = self.held_out.cells
        return self.classifier.predict_proba(
            self.held_out.x[rows], None if cells is None or not self.units.anchored else cells[rows]
        )

    def place_of(self, z: Tensor, origin: Origin | Tensor | None = None) -> Tensor:
        """Coordinates (B, D) of what codes z (B, d) decode to, in walks from `origin`; see `Manifold.coordinates`."""
        if self.modality == "text":
            return z  # nothing has to be decoded
        return self.manifold.coordinates(z, self.manifold.decode(z) if origin is None else self.decode(z, origin))

    def linear_decode(self, z: np.ndarray, origin: Origin) -> tuple[np.ndarray, Pull]:
        """`decode` codes z (B, d), and the way back from there, on arrays: see `Manifold.linearized`.

        The way back is the decoder's own: that small changes count as none, and that ranges end, is left out of it.
        """
        frame, pull = self.manifold.linearized(z, origin.x)
        plain = not (self.units.anchored or self.units.holds)
        return frame if plain else self.units.laid(torch.from_numpy(frame), origin).numpy(), pull

    def class_index(self, name: Any) -> int:
        """Index of a class given by name or index; close names are offered if there is none."""
        return self.classifier.class_index(name)

    def replace(self, **changes: Any) -> World:
        """A world that differs in some parts; the step is calibrated again if the move changes.

        `spec` stays as it is: use `envs.making.configure` for settings that a saved run must find again.
        """
        if any(changes.get(name, getattr(self, name)) != getattr(self, name) for name in ("move_name", "step")):
            changes.setdefault("step_length", None)
        world = replace(self, **changes)
        if "start_answers" in self.__dict__ and not changes.keys() & {"manifold", "classifier", "units", "starts"}:
            world.start_answers = self.start_answers  # what was queried stays known
        return world

    def render(self, x: Tensor | np.ndarray, origin: Origin | None = None) -> np.ndarray | dict[str, Any] | str:
        """One datum for people: a picture (H, W, 3) uint8, a row in the user's units (a mixed table's nearest valid; the
        input's own values where it has not moved), or a sentence.

        Args:
            x: one datum in data space; or a picture as the user has it, if whole numbers or its channels show that.
            origin: where the walk began of which x is a frame, if that is known.
        """
        x = torch.as_tensor(x)
        if isinstance(self.units, TextUnits):
            return self.units.texts(x[None])[0]
        if self.modality == "table":
            return self.units.shown(x, origin)
        if isinstance(self.units, ImageUnits) and self.units.is_own(x):
            x = self.units.inward(x[None].cpu().numpy())[0]
        picture = x.detach().cpu().numpy()
        if picture.ndim == 3 and (isinstance(self.units, ImageUnits) or picture.shape[-1] not in (1, 3)):  # channels first
            picture = np.moveaxis(picture, 0, -1)
            picture = picture[:, :, :3] if picture.shape[-1] == 4 else picture  # without transparency
        grey = picture if picture.ndim == 2 or picture.shape[-1] == 3 else picture[:, :, 0]
        levels = np.clip(grey * 255 + 0.5, 0, 255).astype(np.uint8)
        return np.repeat(levels[:, :, None], 3, axis=2) if levels.ndim == 2 else levels
