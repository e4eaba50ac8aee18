"""A world: everything that a walk needs besides its own state. It is built by `envs.building`; nothing here knows how."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.classifiers.base import Classifier
from envs.config import WorldConfig
from envs.core.factual import Factual, nothing_held
from envs.core.moves import Move
from envs.core.reference_data import Examples, ReferenceData
from envs.core.round_trip import RoundTrip
from envs.core.row_labels import RowLabels
from envs.core.tasks import Task
from envs.core.typicality import ClassNeighbours
from envs.goals import Goal
from envs.manifolds.base import Manifold, Pull
from envs.modalities.base import Units
from envs.registration import MAX_EPISODE_STEPS

STEP = 1 / 8  # default of `WorldConfig.step`


@dataclass
class World:
    """A manifold, a classifier, reference data and a goal: what a walk needs besides its own state.

    Build one with `envs.make_world`; the parts below are what it puts together.

    Args:
        manifold, classifier, units: the latent space, the black box, and the user's units outside of data space.
        reference: labelled inputs and their statistics.
        held_out: inputs to be explained.
        config: the description that this world was built from; `replace` keeps it up to date.
        task: the goal of a walk.
        move: how actions move codes.
        initial_latent: from (world, x, source) to the initial latents of inputs, see `envs.core.initial_latent`.
        step_length: what a full action moves, in the units of `Move.length_in`.
        rebuild: from (world, settings as keywords) to the world with these settings.
        round_trip: how the predictions for the user's own rows compare with those for the same rows in data space, see
            `envs.core.round_trip`; None: not compared.
        row_labels: row numbers of the user's file, or index labels of the user's data frame; None: the rows have none.

    Example:
        >>> from envs import make_world
        >>> world = make_world(data="digits")
        >>> world.replace(tau=0.8).task.tau
        0.8
        >>> world
        World of image data (8, 8): 1257 reference rows, 540 held out
          classifier: 10 classes, shows probabilities
          manifold: VAE, 8 latent dimensions
          task reach (p >= 0.9), move euclidean, at most 20 steps
    """

    manifold: Manifold
    classifier: Classifier
    units: Units
    reference: ReferenceData
    held_out: Examples
    config: WorldConfig
    task: Task
    move: Move
    initial_latent: Callable[[World, Tensor, Tensor], Any]
    step_length: float
    rebuild: Callable[..., World] = field(repr=False)
    round_trip: RoundTrip | None = None
    row_labels: RowLabels | None = None

    def __repr__(self) -> str:
        shows = "labels alone" if self.label_only else "probabilities"
        kind = f"{self.classes} classes, shows {shows}" if self.goal is None else f"{self.goal.kind}, goal {self.goal}"
        return (
            f"World of {self.modality} data {tuple(self.manifold.data_shape)}: {len(self.reference.x)} reference rows, "
            f"{len(self.held_out.x)} held out\n"
            f"  classifier: {kind}\n"
            f"  manifold: {type(self.manifold).__name__}, {self.latent_dim} latent dimensions\n"
            f"  task {self.task.name} ({self.stop_rule}), move {self.move.name}, "
            f"at most {self.max_episode_steps} steps"
        )

    # ---- the settings of the config, defaults filled in --------------------------------------------------------------

    @property
    def step(self) -> float:
        """Median decoded move of a full action, as a share of the class distance."""
        return self.config.step or (1.0 if self.manifold.on_graph else STEP)

    @cached_property
    def max_step(self) -> float | None:
        """Largest data-space distance between two frames; None: no bound."""
        return self.config.max_step * self.reference.class_distance if self.config.max_step else None

    @cached_property
    def guidance(self) -> bool:
        """Whether observations hold the guidance features (see `envs.core.guidance`)."""
        return bool(self.config.guidance)

    @cached_property
    def gamma(self) -> float:
        """Discount of the shaping potential."""
        return 0.98 if self.config.gamma is None else self.config.gamma

    @property
    def max_episode_steps(self) -> int:
        """The step limit."""
        return self.config.max_episode_steps or MAX_EPISODE_STEPS

    @property
    def initial_latent_name(self) -> str:
        """A key of `envs.core.initial_latent.INITIAL_LATENTS`, or the name of a user's own function."""
        chosen = self.config.initial_latent or self.task.initial_latent_in(self.units)
        return chosen if isinstance(chosen, str) else getattr(chosen, "__name__", type(chosen).__name__)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that `replace` changes, defaults filled in, in JSON's types."""
        own: dict[str, Any] = {"task": self.task.name, **asdict(self.task)}
        own["reward"] = own.pop("weights")
        own.pop("group")  # of single walks
        own |= {"move": self.move.name, "step": self.step, "max_step": self.config.max_step or 0, "guidance": self.guidance}
        own |= {"gamma": self.gamma, "max_episode_steps": self.max_episode_steps}
        own |= {} if self.goal is None else {"goal": self.goal.text, "spread": self.config.spread}
        own |= {"initial_latent": self.initial_latent_name}
        return own | ({"slip": self.config.slip} if self.config.slip else {})

    def replace(self, **changes: Any) -> World:
        """A world with other settings (`envs.config.SETTINGS`) or parts; its config is updated, all else is kept.

        Single reward weights are laid over the present ones; None is the default. The step is calibrated again if the move or
        the step changes.

        Args:
            changes: settings, or manifold, classifier, units, reference, held_out, config, step_length, round_trip,
                row_labels.

        Raises:
            UnknownNameError, ManifoldError: no such setting, a value that it cannot have, or a setting that only a new world
                can have.
        """
        return self.rebuild(self, **changes)

    @cached_property
    def untargeted(self) -> World:
        """This world for walks without a requested target (see `Task.untargeted`); all other parts are shared."""
        task = self.task.untargeted
        if task is self.task:
            return self
        world = copy.copy(self)  # shares what was computed: none of it depends on the target
        world.task = task
        return world

    def aiming(self, group: Sequence[int]) -> World:
        """This world for walks that any class of a group ends (see `Task.aiming`); all other parts are shared."""
        world = copy.copy(self)
        world.task = self.task.aiming(group)
        return world

    # ---- sizes and names ---------------------------------------------------------------------------------------------

    @property
    def class_names(self) -> list[str]:
        """One name a class."""
        return self.classifier.class_names

    @property
    def goal(self) -> Goal | None:
        """The goal on the model's outputs, whose outcomes are the classes; None for a classifier of classes."""
        return getattr(self.classifier, "goal", None)

    @property
    def stop_rule(self) -> str:
        """When a walk ends, in a few words."""
        return self.task.stop_rule(self.label_only) if self.goal is None else f"the goal {self.goal.text}"

    @property
    def frames_depend_on_inputs(self) -> bool:
        """Whether a frame depends on the input of its walk, and not on the code alone."""
        conditioned = self.manifold.input_conditioned and not self.units.codes_are_coordinates
        return self.units.anchored or bool(self.units.holds) or conditioned

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
        """Length of an observation: 2 d + 2 K, 2 d more with guidance, and the static of distractors."""
        return (4 if self.guidance else 2) * self.latent_dim + 2 * self.classes + self.manifold.static_size

    @property
    def label_only(self) -> bool:
        """Whether the classifier returns only labels."""
        return self.classifier.label_only

    @property
    def modality(self) -> str:
        """``image``, ``table``, ``text`` or ``series``."""
        return self.manifold.modality

    @cached_property
    def one_hot(self) -> Tensor:
        """Identity (K, K)."""
        return torch.eye(self.classes)

    def class_index(self, name: Any) -> int:
        """Index of a class given by name or index; the error offers close names."""
        return self.classifier.class_index(name)

    # ---- statistics of the reference data under this task ------------------------------------------------------------

    @property
    def class_distance(self) -> float:
        """Median data-space distance from a reference row to its nearest one with another label."""
        return self.reference.class_distance

    @cached_property
    def class_neighbours(self) -> ClassNeighbours:
        """The reference rows of each class, for `Weights.implausibility` and the guidance features.

        With a manifold that is conditioned on the input, only rows whose codes satisfy the task by themselves, if a class has
        any: a walk from another input finds no more at a code than the code holds.
        """
        label = self.reference.label
        return self.reference.class_neighbours(
            self.reference.convincing(self._satisfied) if self.manifold.input_conditioned else label
        )

    @cached_property
    def end_codes(self) -> ClassNeighbours:
        """The codes at which walks may end: of the reference rows whose own frames satisfy the task, class by class, or of all
        rows of a class without any."""
        return self.reference.end_codes(self._satisfied)

    @property
    def _satisfied(self) -> Tensor:
        return self.task.satisfied(self.reference.end_predictions, self.reference.label)

    def default_target(self, place: Tensor, source: Tensor) -> Tensor:
        """Targets (B,) of inputs at coordinates `place` (B, D) where none is requested: the class of the nearest reference row
        that is not of class `source` (B,), or the source for tasks without a target. For a group, of its nearest row."""
        if not self.task.takes_target:
            return source.clone()
        return self.reference.nearest_other_class(place, source, self.task.group)

    # ---- between codes, frames and predictions -----------------------------------------------------------------------

    def factual_of(self, x: Tensor, z0: Tensor | None = None, cells: Tensor | None = None) -> Factual:
        """Inputs x (B, \\*data_shape) with everything that decoding frames needs of them.

        Args:
            x: inputs.
            z0: (B, d) initial latents; None: the inputs' codes.
            cells: (B, C) of the inputs; None: those of the nearest valid rows.
        """
        if not self.units.anchored:
            empty = x.new_zeros(len(x), 0, dtype=torch.float32)
            return Factual(x, empty.double(), empty, nothing_held(x, False))
        cells = self.units.exact(x, None) if cells is None else cells
        assert cells is not None
        base = self.manifold.decode_near(self.manifold.encode(x) if z0 is None else z0, x)
        return Factual(x, cells, base, nothing_held(x, True))

    def decode(self, z: Tensor, factual: Factual | Tensor) -> Tensor:
        """Frames (B, \\*data_shape) of codes z (B, d) in walks from `factual`, see `Units.laid`; for inputs alone, the initial
        latents are their codes."""
        factual = factual if isinstance(factual, Factual) else self.factual_of(factual)
        return self.units.laid(self.manifold.decode_near(z, factual.x), factual)

    def predictions(self, frame: Tensor, factual: Factual) -> Tensor:
        """Predictions (B, K) for frames (B, \\*data_shape) of walks from `factual`, B queries. The classifier sees the user's
        own values wherever a frame has not moved."""
        cells = self.units.exact(frame, factual)
        return self.classifier.predict_proba(frame) if cells is None else self.classifier.predict_proba(frame, cells)

    def answers_held_out(self, rows: Tensor | Sequence[int]) -> Tensor:
        """Predictions (R, K) for held-out inputs, with the user's own values; R queries."""
        cells = self.held_out.cells
        return self.classifier.predict_proba(
            self.held_out.x[rows], None if cells is None or not self.units.anchored else cells[rows]
        )

    def coordinates_of(self, z: Tensor, factual: Factual | Tensor | None = None) -> Tensor:
        """Coordinates (B, D) of what codes z (B, d) decode to, in walks from `factual`; see `Manifold.coordinates`."""
        if self.units.codes_are_coordinates:
            return self.manifold.coordinates(z, z)
        return self.manifold.coordinates(z, self.manifold.decode(z) if factual is None else self.decode(z, factual))

    def linear_decode(self, z: np.ndarray, factual: Factual) -> tuple[np.ndarray, Pull]:
        """`decode` of codes z (B, d), and its vector-Jacobian product, on arrays: see `Manifold.linearized`.

        The product is the decoder's own: it leaves out that small changes count as none, and that ranges end.
        """
        frame, pull = self.manifold.linearized(z, factual.x)
        plain = not (self.units.anchored or self.units.holds)
        return frame if plain else self.units.laid(torch.from_numpy(frame), factual).numpy(), pull

    def render(self, x: Tensor | np.ndarray, factual: Factual | None = None) -> np.ndarray | dict[str, Any] | str:
        """One datum for people, see `Units.render`: a picture (H, W, 3) uint8, a row by column, or a sentence.

        Args:
            x: one datum in data space; of pictures also in the user's units, if whole numbers or the channels show that.
            factual: the input of the walk of which x is a frame, if that is known.
        """
        return self.units.render(torch.as_tensor(x), factual)
