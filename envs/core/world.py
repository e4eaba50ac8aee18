"""A world: everything that a walk needs besides its own state."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.assets import ASSETS
from envs.classifiers.base import Classifier
from envs.config import DEFAULTS, SETTINGS, WorldConfig
from envs.core.factual import Factual
from envs.core.horizon import ends
from envs.core.initial_latent import INITIAL_LATENTS
from envs.core.moves import MOVES, Move
from envs.core.reference_data import BATCH, Examples, ReferenceData
from envs.core.round_trip import RoundTrip
from envs.core.step_size import calibrated_step
from envs.core.tasks import Flip, Task, make_task
from envs.core.typicality import ClassNeighbours
from envs.datasets import DATASETS
from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds.base import Manifold, Pull
from envs.modalities.base import Units
from envs.modalities.image import ImageUnits
from envs.modalities.text import TextUnits
from envs.registration import CUSTOM, MAX_EPISODE_STEPS, SPECS

MAX_GAPS = 10_000_000  # distances held at once: 40 MB
PARTS = {"manifold": "manifold", "classifier": "classifier", "reference": "data", "units": "data", "held_out": "held_out"}
MAX_PAIRS = 2000  # rows taken for all-pairs distances: exact for small sets, a fixed subset of large ones


def check_names(config: WorldConfig) -> None:
    """Refuse a task, move or entry that is not there.

    Raises:
        UnknownNameError, ManifoldError: no such name, or a setting that the task has not.
    """
    task = default_task(config, config.label_only) if config.task is None else config.task
    make_task(task, config.tau, config.pair, config.reward)
    for kind, name, known in (("move", config.move, MOVES), ("entry", config.entry, INITIAL_LATENTS)):
        if name is not None and name not in known:
            raise UnknownNameError(kind, name, known)


def default_task(config: WorldConfig, label_only: bool) -> str:
    """The task of a config that names none; see `WorldConfig`."""
    shipped = isinstance(config.data, str) and config.data in DATASETS and config.data != SPECS[CUSTOM]["data"]
    own = config.classifier is not None and not (isinstance(config.classifier, str) and config.classifier in ASSETS)
    return Task.name if (shipped and not own) or label_only or config.tau is not None else Flip.name


@dataclass
class World:
    """A manifold, a classifier, starts, and the config that says how walks go there.

    Attributes:
        manifold, classifier, units, starts: the parts.
        held_out: inputs to be explained.
        config: the description that this world was built from, and the only one: `replace` keeps it so.
        step_length: what a full action moves: a latent length, for ``pullback`` and ``arc`` one in data space; None:
            calibrated to `step`.
        round_trip: how the user's own rows and those that walks know compare, see `envs.core.round_trip`; None: not queried.
    """

    manifold: Manifold
    classifier: Classifier
    units: Units
    reference: ReferenceData
    held_out: Examples
    config: WorldConfig
    step_length: float = None  # type: ignore[assignment]  # set in __post_init__
    round_trip: RoundTrip | None = None
    _targeted: World | None = field(default=None, init=False, repr=False, compare=False)  # whose `untargeted` this is

    def __post_init__(self) -> None:
        check_names(self.config)
        if self.task.needs_label_only and not self.label_only:
            raise ManifoldError(f"the task {self.task.name!r} is for classifiers that show labels alone; pass label_only=True")
        present = self.reference.label.unique()
        if len(present) < 2:
            name = self.class_names[int(present[0])]
            raise ManifoldError(f"the classifier calls every start {name!r}: with one class there is nowhere to walk")
        if self.step_length is None:
            self.step_length = calibrated_step(self)
        if not self.step_length > 0:
            raise ManifoldError(f"step_length must be positive, not {self.step_length}")

    # ---- what the config says, its defaults filled in --------------------------------------------------------------

    @cached_property
    def task(self) -> Task:
        """What a walk has to reach."""
        name = default_task(self.config, self.label_only) if self.config.task is None else self.config.task
        return make_task(name, self.config.tau, self.config.pair, self.config.reward)

    @cached_property
    def move_name(self) -> str:
        """Key into `MOVES`."""
        return self.config.move or "euclidean"

    @cached_property
    def step(self) -> float:
        """Median decoded move of a full action, as a share of the class distance."""
        return 1 / 8 if self.config.step is None else self.config.step

    @cached_property
    def max_step(self) -> float | None:
        """Largest data-space distance between two frames; None: no bound."""
        return self.config.max_step * self.class_distance if self.config.max_step else None

    @cached_property
    def guidance(self) -> bool:
        """Whether observations hold which way the known costs fall (see `envs.core.guidance`)."""
        return bool(self.config.guidance)

    @cached_property
    def gamma(self) -> float:
        """Discount of the shaping potential."""
        return 0.98 if self.config.gamma is None else self.config.gamma

    @cached_property
    def max_episode_steps(self) -> int:
        """The step limit."""
        return self.config.max_episode_steps or MAX_EPISODE_STEPS

    @cached_property
    def entry(self) -> str:
        """Where walks from inputs begin: a key of `envs.core.initial_latent.INITIAL_LATENTS`."""
        return self.config.entry or ("kept" if self.modality == "text" else "code")

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the config that `replace` changes, their defaults filled in, as JSON holds them."""
        own: dict[str, Any] = {"task": self.task.name, **asdict(self.task)}
        own["reward"] = own.pop("weights")
        own |= {"move": self.move_name, "step": self.step, "max_step": self.config.max_step or 0, "guidance": self.guidance}
        return own | {"gamma": self.gamma, "max_episode_steps": self.max_episode_steps, "entry": self.entry}

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
        return (4 if self.guidance else 2) * self.latent_dim + 2 * self.classes

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
    def reference_coordinates(self) -> Tensor:
        """(N, D) coordinates of the starts, see `Manifold.coordinates`."""
        return self.manifold.coordinates(self.reference.z, self.reference.x)

    @cached_property
    def nearest_unlike(self) -> tuple[Tensor, Tensor, Tensor]:
        """(distance (n,), index (n,), rows (n,)): each chosen start's nearest start with another label, in data space."""
        n = len(self.reference.x)
        # Evenly through the labels, so that at least two classes are among them.
        rows = self.reference.label.argsort(stable=True)[torch.linspace(0, n - 1, min(n, MAX_PAIRS)).long()]
        flat, label = self.reference_coordinates[rows], self.reference.label[rows]
        gaps = torch.cdist(flat, flat).masked_fill_(label[:, None] == label[None, :], torch.inf)
        distance, index = gaps.min(1)
        return distance, rows[index], rows

    @cached_property
    def reference_predictions(self) -> Tensor:
        """(N, K) the classifier's answers on what the starts' codes decode to in a walk from elsewhere.

        Those on the starts' own frames, but for a manifold that leans on the input, and where frame 0 is the input itself:
        there they are asked for, a row a start.
        """
        if self.starts_are_ends:
            return self.reference.prediction
        if self._targeted is not None:
            return self._targeted.reference_predictions  # one query for both
        with torch.inference_mode():
            parts = [self.manifold.decode_near(z, None) for z in self.reference.z.split(BATCH)]
            return torch.cat([self.classifier.predict_proba(part) for part in parts])

    @property
    def ends_are_known(self) -> bool:
        """Whether `reference_predictions` can be had without a query."""
        return self.starts_are_ends or "reference_predictions" in self.__dict__

    @property
    def starts_are_ends(self) -> bool:
        """Whether a walk that ends at a start's code ends in that start's own frame 0, wherever it came from."""
        return not (self.manifold.input_conditioned or self.units.anchored)

    @cached_property
    def far_pairs(self) -> tuple[Tensor, Tensor, Tensor]:
        """(start (n,), target (n,), distance (n,)): each chosen start with the class whose nearest code is furthest away.

        In latent distance, the hardest first. Only starts whose frame 0 is called like the input, and codes of such starts.
        """
        rows = self.nearest_unlike[2]
        rows = rows[self.reference.prediction[rows].argmax(1) == self.reference.label[rows]]
        z, label = self.reference.z[rows], self.reference.label[rows]
        gaps = torch.cdist(z, z)
        present = label.unique()
        nearest = torch.stack([gaps[:, label == k].amin(1) for k in present], dim=1)  # 0 for the own class
        distance, far = nearest.max(1)
        order = distance.argsort(descending=True, stable=True)
        return rows[order], present[far[order]], distance[order]

    @cached_property
    def class_distance(self) -> float:
        """Median data-space distance from a start to its nearest start with another label."""
        return float(self.nearest_unlike[0].median())

    @cached_property
    def prototypes(self) -> Tensor:
        """(K,) index of the start that is most typical of each class: nearest to the mean code among the class's starts."""
        chosen = torch.zeros(self.classes, dtype=torch.long)
        for k in range(self.classes):
            rows = ((self.reference.label == k) & (self.reference.prediction.argmax(1) == k)).nonzero()[:, 0]
            if len(rows):
                codes = self.reference.z[rows]
                chosen[k] = rows[(codes - codes.mean(0)).norm(dim=1).argmin()]
        return chosen

    @cached_property
    def prototype_frames(self) -> Tensor:
        """(K, \\*data_shape) decoded prototypes; any start's for a class that no start is called by."""
        return self.reference.frame[self.prototypes]

    @cached_property
    def prototype_coordinates(self) -> Tensor:
        """(K, D) coordinates of the decoded prototypes; NaN, near to nothing, for a class that no start is called by."""
        decoded = self.reference.decoded[self.prototypes]
        places = self.manifold.coordinates(self.reference.z[self.prototypes], decoded).clone()
        places[torch.bincount(self.reference.label, minlength=self.classes) == 0] = torch.nan
        return places

    @cached_property
    def class_neighbours(self) -> ClassNeighbours:
        """The starts of each class, for `Weights.implausibility` and the compass.

        Where the manifold leans on the input, only those whose codes convince the classifier on their own, if there are any: a
        walk from elsewhere finds no more there than what the code itself says.
        """
        label = self.reference.label
        if self.manifold.input_conditioned:
            sure = self.task.satisfied(self.reference_predictions, label)
            known = torch.bincount(label[sure], minlength=self.classes) > 0
            label = torch.where(sure | ~known[label], label, -1)
        return ClassNeighbours(self.reference_coordinates, label, self.classes)

    @cached_property
    def end_codes(self) -> ClassNeighbours:
        """The codes at which walks may end, see `envs.core.horizon`."""
        return ends(self)

    @cached_property
    def class_codes(self) -> tuple[Tensor, Tensor]:
        """Mean (K, d) and precision (K, d, d) of each class's codes; the covariance is shrunk by 0.05 I."""
        d = self.latent_dim
        means, precision = torch.zeros(self.classes, d), torch.eye(d).repeat(self.classes, 1, 1)
        for k in range(self.classes):
            codes = self.reference.z[self.reference.label == k]
            if len(codes) > d:
                means[k] = codes.mean(0)
                precision[k] = torch.linalg.inv(torch.cov(codes.T) + 0.05 * torch.eye(d))
        return means, precision

    def default_target(self, place: Tensor, source: Tensor) -> Tensor:
        """Targets (B,) of inputs at coordinates `place` (B, D) where none is asked: the class of the nearest start that is not
        called like the input."""
        if not self.task.takes_target:
            return source.clone()
        flat, label, chosen = self.reference_coordinates, self.reference.label, []
        rows = max(1, MAX_GAPS // len(flat))
        for part, own in zip(place.split(rows), source.split(rows), strict=True):
            gaps = torch.cdist(part, flat).masked_fill_(own[:, None] == label[None, :], torch.inf)
            chosen.append(label[gaps.argmin(1)])
        return torch.cat(chosen)

    def factual_of(self, x: Tensor, z0: Tensor | None = None, cells: Tensor | None = None) -> Factual:
        """What walks know of inputs x (B, \\*data_shape) that they entered at codes z0 (B, d), by default the inputs' own.

        Without the inputs' cells (B, C), the nearest valid rows are taken for them.
        """
        if not self.units.anchored:
            return Factual(x, x.new_zeros(len(x), 0, dtype=torch.float64), x.new_zeros(len(x), 0, dtype=torch.float32))
        cells = self.units.exact(x, None) if cells is None else cells
        assert cells is not None
        return Factual(x, cells, self.manifold.decode_near(self.manifold.encode(x) if z0 is None else z0, x))

    def decode(self, z: Tensor, factual: Factual | Tensor) -> Tensor:
        """Frames (B, \\*data_shape) of codes z (B, d) in walks from `factual`, see `Units.laid`; from inputs alone: entered at
        their own codes."""
        factual = factual if isinstance(factual, Factual) else self.factual_of(factual)
        return self.units.laid(self.manifold.decode_near(z, factual.x), factual)

    def predictions(self, frame: Tensor, factual: Factual) -> Tensor:
        """The classifier's answers (B, K) on frames (B, \\*data_shape) of walks from `factual`: asked with the user's own
        values wherever a frame has not moved. One row a frame is counted."""
        cells = self.units.exact(frame, factual)
        return self.classifier.predict_proba(frame) if cells is None else self.classifier.predict_proba(frame, cells)

    def answers_held_out(self, rows: Tensor | Sequence[int]) -> Tensor:
        """The classifier's answers (R, K) on held-out inputs, asked with the user's own values; R rows are counted."""
        cells = self.held_out.cells
        return self.classifier.predict_proba(
            self.held_out.x[rows], None if cells is None or not self.units.anchored else cells[rows]
        )

    def coordinates_of(self, z: Tensor, factual: Factual | Tensor | None = None) -> Tensor:
        """Coordinates (B, D) of what codes z (B, d) decode to, in walks from `factual`; see `Manifold.coordinates`."""
        if self.modality == "text":
            return z  # nothing has to be decoded
        return self.manifold.coordinates(z, self.manifold.decode(z) if factual is None else self.decode(z, factual))

    def linear_decode(self, z: np.ndarray, factual: Factual) -> tuple[np.ndarray, Pull]:
        """`decode` codes z (B, d), and the way back from there, on arrays: see `Manifold.linearized`.

        The way back is the decoder's own: that small changes count as none, and that ranges end, is left out of it.
        """
        frame, pull = self.manifold.linearized(z, factual.x)
        plain = not (self.units.anchored or self.units.holds)
        return frame if plain else self.units.laid(torch.from_numpy(frame), factual).numpy(), pull

    def class_index(self, name: Any) -> int:
        """Index of a class given by name or index; close names are offered if there is none."""
        return self.classifier.class_index(name)

    def replace(self, **changes: Any) -> World:
        """A world with other settings (`envs.config.SETTINGS`) or parts (its fields); its config says so, and parts that are
        not named are kept. Single reward weights are laid over the present ones; None is the default.

        The step is calibrated again if the move or the step changes.

        Raises:
            UnknownNameError, ManifoldError: no such setting, a value that it cannot have, or a setting of the world's parts.
        """
        parts = {name: changes.pop(name) for name in list(changes) if name in self.__dataclass_fields__}
        for name in changes:
            if name in DEFAULTS and name not in SETTINGS:
                raise ManifoldError(
                    f"{name} belongs to what a world is built from, and replace() keeps that; "
                    f"build another: make_world(world.config.replace({name}=...))"
                )
            if name not in SETTINGS:
                raise UnknownNameError("setting", name, SETTINGS)
        config = parts.pop("config", self.config).replace(**changes)
        fields = {PARTS[name]: value for name, value in parts.items() if name in PARTS}
        changed = replace(self, **{"step_length": self.step_length, **parts}, config=config.replace(**fields))
        if "step_length" not in parts and (changed.move_name, changed.step) != (self.move_name, self.step):
            changed.step_length = calibrated_step(changed)
        if "reference_predictions" in self.__dict__ and not parts.keys() & {"manifold", "classifier", "units", "reference"}:
            changed.reference_predictions = self.reference_predictions  # what was queried stays known
        return changed

    def render(self, x: Tensor | np.ndarray, factual: Factual | None = None) -> np.ndarray | dict[str, Any] | str:
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
            return self.units.shown(x, factual)
        if isinstance(self.units, ImageUnits) and self.units.is_own(x):
            x = self.units.inward(x[None].cpu().numpy())[0]
        picture = x.detach().cpu().numpy()
        if picture.ndim == 3 and (isinstance(self.units, ImageUnits) or picture.shape[-1] not in (1, 3)):  # channels first
            picture = np.moveaxis(picture, 0, -1)
            picture = picture[:, :, :3] if picture.shape[-1] == 4 else picture  # without transparency
        grey = picture if picture.ndim == 2 or picture.shape[-1] == 3 else picture[:, :, 0]
        levels = np.clip(grey * 255 + 0.5, 0, 255).astype(np.uint8)
        return np.repeat(levels[:, :, None], 3, axis=2) if levels.ndim == 2 else levels
