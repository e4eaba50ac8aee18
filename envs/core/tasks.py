"""Goals of walks. A new task is one class and one line in `TASKS`.

A task defines which targets a walk may have, when the walk has arrived, and the potential that shapes its reward. Tasks see
the state of the walks and the reference data, nothing else of the world. B walks, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from envs.core.reference_data import ReferenceData
from envs.core.registry import find
from envs.core.state import State
from envs.core.weights import Weights
from envs.errors import ManifoldError, UnknownNameError

if TYPE_CHECKING:
    from envs.modalities.base import Units

FLOOR = 1e-4  # smaller probabilities count as this: log p stays finite, and the observation bounded
LOG_RANGE = -math.log(FLOOR)


def scaled_log(p: Tensor) -> Tensor:
    """log max(p, 1e-4), scaled to [-1, 0]."""
    # numpy's float32 logarithm takes a third of the time of torch's on small batches.
    return torch.from_numpy(np.log(np.maximum(p.numpy(), FLOOR)) * np.float32(1 / LOG_RANGE))


@dataclass(frozen=True)
class Task:
    """Reach the target class: p(target) >= tau, or its label if the classifier returns only labels.

    If the target is the source class itself, the walk goes to the class's prototype (see `Prototype`).

    Args:
        tau: the probability in (0, 1] at which a walk has arrived.
        weights: of the reward.
        group: classes of which any ends the walk (see `aiming`); None: the target alone.

    Attributes:
        name: key in `TASKS`.
        needs_label_only: the task is for classifiers that return only labels.
        takes_target: False: the target is always the source class.
        towards_target: False: the target is the class that the walk leaves.
        any_other: every class other than the source ends the walk.
        takes_tau: False: `tau` is fixed.
        takes_pair: the task starts from one fixed pair of a reference row and a target.
        scores_coverage: environments report how much of the latent space was visited.
        keeps_class: by default, walks begin where the class of their input is kept, see `envs.core.initial_latent`.

    Example:
        >>> from envs import make_world
        >>> make_world(data="digits", task=Task(tau=0.8)).task
        Task(tau=0.8, weights=Weights(success=4.0, step=0.05, path=0.0, distance=2.0, implausibility=0.0, progress=2.3))
    """

    tau: float = 0.9
    weights: Weights = field(default_factory=Weights)
    group: tuple[int, ...] | None = field(default=None, repr=False, kw_only=True)
    name: ClassVar[str] = "reach"
    needs_label_only: ClassVar[bool] = False
    takes_target: ClassVar[bool] = True
    towards_target: ClassVar[bool] = True
    any_other: ClassVar[bool] = False
    takes_tau: ClassVar[bool] = True
    takes_pair: ClassVar[bool] = False
    scores_coverage: ClassVar[bool] = False
    keeps_class: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.tau <= 1:
            raise ManifoldError(f"tau is a probability in (0, 1], not {self.tau}")

    def settings(self) -> dict[str, Any]:
        """The settings of `envs.config.WorldConfig` that make this task: its name, and the values that are not its defaults.
        Empty for a class that is not in `TASKS`."""
        if TASKS.get(self.name) is not type(self):
            return {}
        usual = type(self)()
        own = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "weights"}
        changed = {name: value for name, value in own.items() if value != getattr(usual, name)}
        reward = {name: value for name, value in asdict(self.weights).items() if value != getattr(usual.weights, name)}
        return {"task": self.name, **changed, **({"reward": reward} if reward else {})}

    def begin(self, reference: ReferenceData, draws: np.ndarray) -> tuple[Tensor, Tensor]:
        """Reference rows and targets (B,) of random walks, from two uniform numbers each (B, 2)."""
        index = torch.from_numpy((draws[:, 0] * len(reference.z)).astype(np.int64))
        source = torch.from_numpy(reference.label.numpy()[index.numpy()])
        return index, self.targets(source, torch.from_numpy(draws[:, 1]), reference.classes)

    def targets(self, source: Tensor, u: Tensor, classes: int) -> Tensor:
        """Random targets (B,): another class than the source, chosen by u (B,) in [0, 1); the source for tasks without one."""
        if not self.takes_target:
            return source.clone()
        other = (u.numpy() * (classes - 1)).astype(np.int64)
        return torch.from_numpy(other + (other >= source.numpy()))

    def goal(self, state: State) -> Tensor:
        """The probability that the walk raises, (B,): that of the target class, or of the group's classes together."""
        if self.group is not None:
            return state.prediction[:, self.group].sum(1).clamp_max(1.0)
        return torch.from_numpy(state.prediction.numpy()[np.arange(len(state.target)), state.target.numpy()])

    def evidence(self, state: State) -> Tensor:
        """Log odds (B,) of `goal`; the walk may end where they reach those of `tau`."""
        return log_odds(self.goal(state))

    def satisfied(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Whether a walk to the classes `target` (B,) may end with predictions (B, K); (B,) bool."""
        return prediction.gather(1, target[:, None])[:, 0] >= self.tau

    @property
    def untargeted(self) -> Task:
        """The task of a walk without a requested target."""
        return self

    def aiming(self, group: Iterable[int]) -> Task:
        """The task of walks that any class of a group ends; a `ManifoldError` for tasks without a target."""
        if not self.takes_target:
            raise ManifoldError(f"the task {self.name!r} takes no target, so no group of classes: leave it out, or use 'flip'")
        return replace(self, group=tuple(group))

    def initial_latent_in(self, units: Units) -> str:
        """The default of `WorldConfig.initial_latent`; in anchored units, walks begin at the input itself."""
        return "kept" if self.keeps_class and not units.anchored else units.initial_latent

    def in_group(self, label: Tensor) -> Tensor:
        """Whether classes (B,) are in the group, (B,) bool."""
        return torch.isin(label, torch.tensor(self.group))

    def stop_rule(self, label_only: bool = False) -> str:
        """When a walk ends, in a few words."""
        return "the label" if label_only else f"p >= {self.tau:g}"

    def arrived(self, reference: ReferenceData, state: State, goal: Tensor) -> Tensor:
        """Whether walks with `goal` (B,) have arrived, (B,) bool."""
        there = torch.from_numpy(goal.numpy() >= self.tau)
        if self.group is not None:
            return there & self.in_group(state.prediction.argmax(1))
        own = state.target.numpy() == state.source.numpy()
        return there & (near_prototype(reference, state) | torch.from_numpy(~own)) if own.any() else there

    def potential(self, reference: ReferenceData, state: State, goal: Tensor) -> Tensor:
        """Shaping potential (B,), weights included. It does not change the optimal policy (Ng, Harada and Russell, "Policy
        Invariance under Reward Transformations", 1999)."""
        return scaled_log(goal).mul_(self.weights.progress)


def log_odds(p: Tensor) -> Tensor:
    """log(p / (1 - p)) with p kept off 0 and 1."""
    inside = np.minimum(np.maximum(p.numpy(), np.float32(1e-6)), np.float32(1 - 1e-6))
    return torch.from_numpy(np.asarray(np.log(inside) - np.log1p(-inside)))


def near_prototype(reference: ReferenceData, state: State) -> Tensor:
    """Whether the frame is within a quarter of the class distance of the source class's prototype, (B,) bool."""
    return _prototype_gap(reference, state) <= reference.class_distance / 4


def _prototype_gap(reference: ReferenceData, state: State) -> Tensor:
    """Distance (B,) from the frame, or, in anchored walks, from the decoded code, to the source class's prototype; NaN for a
    class without reference rows."""
    frame = reference.manifold.decode(state.z) if reference.anchored else state.frame
    return (reference.manifold.coordinates(state.z, frame) - reference.prototype_coordinates[state.source]).norm(dim=1)


@dataclass(frozen=True)
class Flip(Task):
    """Walk until the prediction changes to the target: until it has the largest probability.

    Ties are broken by argmax. Without a requested target, the walk goes towards the class of the nearest reference row of
    another class, and ends at any class other than the source (`untargeted`). If the target is the source class itself, the
    walk goes to the class's prototype (see `Prototype`).

    Args:
        weights: of the reward.
        any_other: every class other than the source ends the walk, whatever its target.

    Attributes:
        tau: 0.5, the probability above which a class has the largest one; not a setting.

    Example:
        >>> Flip().stop_rule()
        'the class with the largest probability'
    """

    tau: float = field(default=0.5, init=False)
    any_other: bool = False  # type: ignore[misc]  # a field here, the same for all walks of another task
    name: ClassVar[str] = "flip"
    takes_tau: ClassVar[bool] = False
    keeps_class: ClassVar[bool] = True  # a walk that begins in another class changes nothing

    @property
    def untargeted(self) -> Task:
        """The same task, ended by every class other than the source."""
        return replace(self, any_other=True)

    def evidence(self, state: State) -> Tensor:
        """Log ratio (B,) of the target's probability (untargeted: of the largest other than the source's) to its rival's."""
        if self.group is not None:
            p, ends = torch.log(state.prediction.clamp_min(1e-6)), self.in_group(torch.arange(state.prediction.shape[1]))
            return p[:, ends].amax(1) - p[:, ~ends].amax(1)
        wanted = (state.source if self.any_other else state.target)[:, None]
        p = state.prediction.clamp_min(1e-6)
        own, rival = torch.log(p.gather(1, wanted)[:, 0]), torch.log(p.scatter(1, wanted, 0.0).amax(1))
        return rival - own if self.any_other else own - rival

    def satisfied(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `Task.satisfied`."""
        return prediction.argmax(1) == target

    def stop_rule(self, label_only: bool = False) -> str:
        """See `Task.stop_rule`."""
        return "the class with the largest probability"

    def arrived(self, reference: ReferenceData, state: State, goal: Tensor) -> Tensor:
        """See `Task.arrived`."""
        own, label = state.target == state.source, state.prediction.argmax(1)
        if self.group is not None:
            return self.in_group(label)
        there = label != state.source if self.any_other else label == state.target
        return (
            torch.where(own, (label == state.source) & near_prototype(reference, state), there) if bool(own.any()) else there
        )


@dataclass(frozen=True)
class Leave(Task):
    """Leave the source class: arrive at any other class with p >= tau. The target is the class to leave.

    Example:
        >>> Leave.takes_target, Leave.any_other
        (False, True)
    """

    name: ClassVar[str] = "leave"
    takes_target: ClassVar[bool] = False
    towards_target: ClassVar[bool] = False
    any_other: ClassVar[bool] = True

    def goal(self, state: State) -> Tensor:
        """The largest probability of a class other than the source, (B,)."""
        return state.prediction.scatter(1, state.source[:, None], -1.0).amax(1)

    def arrived(self, reference: ReferenceData, state: State, goal: Tensor) -> Tensor:
        """See `Task.arrived`."""
        return goal >= self.tau


@dataclass(frozen=True)
class Prototype(Task):
    """Reach the source class's prototype: the reference row whose code is nearest to the class's mean code.

    Example:
        >>> Prototype.takes_target
        False
    """

    name: ClassVar[str] = "prototype"
    takes_target: ClassVar[bool] = False

    def potential(self, reference: ReferenceData, state: State, goal: Tensor) -> Tensor:
        """Minus the data-space distance to the prototype, as a share of the class distance."""
        gap = _prototype_gap(reference, state)
        return -self.weights.progress * gap.nan_to_num(0.0) / reference.class_distance  # NaN: a class without rows


@dataclass(frozen=True)
class ReachLabel(Task):
    """Reach a label of a classifier that returns only labels. Sparse: reward on arriving, and no potential.

    Example:
        >>> ReachLabel().weights.progress
        0.0
    """

    weights: Weights = field(default_factory=lambda: Weights(success=1.0, step=0.0, distance=0.0, progress=0.0))
    name: ClassVar[str] = "reach_label"
    needs_label_only: ClassVar[bool] = True

    def potential(self, reference: ReferenceData, state: State, goal: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(goal)


@dataclass(frozen=True)
class OnePair(ReachLabel):
    """Reach one far label from one reference row, always the same.

    Args:
        pair: rank of the row and the label in `ReferenceData.far_pairs`; 0 is the hardest.

    Example:
        >>> OnePair(pair=2).pair
        2
    """

    pair: int = 0
    name: ClassVar[str] = "one_pair"
    takes_pair: ClassVar[bool] = True

    def begin(self, reference: ReferenceData, draws: np.ndarray) -> tuple[Tensor, Tensor]:
        """The pair's reference row and target, whatever is drawn."""
        index, target, _ = reference.far_pairs
        if not 0 <= self.pair < len(index):
            raise ManifoldError(f"pair={self.pair}: this world has pairs from 0, the hardest, to {len(index) - 1}")
        chosen = torch.full((len(draws),), self.pair)
        return index[chosen], target[chosen]


@dataclass(frozen=True)
class Explore(Task):
    """No reward, no target and no end: what is measured is how much of the latent space is visited (`envs.gym.coverage`).

    Walks start at the prototype of the first class.

    Example:
        >>> Explore.scores_coverage
        True
    """

    weights: Weights = field(default_factory=lambda: Weights(success=0.0, step=0.0, distance=0.0, progress=0.0))
    name: ClassVar[str] = "explore"
    takes_target: ClassVar[bool] = False
    towards_target: ClassVar[bool] = False
    scores_coverage: ClassVar[bool] = True

    def begin(self, reference: ReferenceData, draws: np.ndarray) -> tuple[Tensor, Tensor]:
        """The same reference row for all walks."""
        index = reference.prototypes[reference.label.min()].expand(len(draws)).clone()
        return index, reference.label[index]

    def arrived(self, reference: ReferenceData, state: State, goal: Tensor) -> Tensor:
        """Never."""
        return torch.zeros(len(goal), dtype=torch.bool)

    def potential(self, reference: ReferenceData, state: State, goal: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(goal)


TASKS: dict[str, type[Task]] = {task.name: task for task in (Task, Flip, Leave, Prototype, ReachLabel, OnePair, Explore)}


def make_task(task: Any, tau: float | None, pair: int | None, reward: Mapping[str, float] | None) -> Task:
    """The task of a key of `TASKS`, a ``module:object`` name, a `Task` or its class, with the settings that are not None.

    Raises:
        UnknownNameError, ManifoldError: no such task or weight, or a setting that the task does not take.
    """
    task = find("task", task, TASKS, ["module:object"])
    task = task() if isinstance(task, type) and issubclass(task, Task) else task
    if not isinstance(task, Task):
        raise ManifoldError(f"task is a name or a task of envs.core.tasks, not {task!r:.60}; names: {', '.join(TASKS)}")
    if tau is not None:
        if not task.takes_tau:
            raise ManifoldError(
                f"tau={tau} belongs to tasks such as 'reach'; the task {task.name!r} ends at {task.stop_rule()}: "
                "leave tau out, or use task='reach'"
            )
        task = replace(task, tau=tau)
    if pair is not None:
        if not task.takes_pair:
            raise ManifoldError(f"pair= belongs to task='one_pair'; the task {task.name!r} draws its starts: leave it out")
        task = replace(task, pair=int(pair))
    unknown = set(reward or {}) - set(asdict(Weights()))
    if unknown:
        raise UnknownNameError("reward weight", sorted(unknown)[0], asdict(Weights()))
    return replace(task, weights=replace(task.weights, **reward)) if reward else task
