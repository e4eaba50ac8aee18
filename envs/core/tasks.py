"""What is asked of a walk. A new task is one class and one line in `TASKS`.

A task says which target a walk may have, when it has arrived, and how near it is (the potential that shapes the reward).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from envs.errors import ManifoldError, UnknownNameError

if TYPE_CHECKING:
    from envs.core.dynamics import State
    from envs.core.world import World

FLOOR = 1e-4  # probabilities below this are all alike: log p stays finite, and the observation bounded
LOG_RANGE = -math.log(FLOOR)


def scaled_log(p: Tensor) -> Tensor:
    """log max(p, 1e-4), scaled to [-1, 0]."""
    # numpy's float32 logarithm takes a third of the time of torch's on small batches.
    return torch.from_numpy(np.log(np.maximum(p.numpy(), FLOOR)) * np.float32(1 / LOG_RANGE))


@dataclass(frozen=True)
class Weights:
    """Weights of the reward. Lengths enter as a share of the world's class distance, so defaults need no tuning a data set.

    The *cost* of a state is `distance` x its distance to the input + `implausibility` x its distance to the five nearest starts of
    the target class; a step pays what it adds to the cost and is paid back what it takes off. At the walk's end that sums to
    the cost of the end point, whatever way led there.

    Attributes:
        success: reward of arriving.
        step: cost of a step.
        path: cost of walking one class distance.
        distance: cost of lying one class distance from the input.
        atypical: cost of lying one class distance from the target class's own data.
        progress: height of the potential of the scaled log probability asked for.
    """

    success: float = 4.0
    step: float = 0.05
    path: float = 0.0
    distance: float = 2.0
    implausibility: float = 0.0
    progress: float = 2.3


@dataclass(frozen=True)
class Task:
    """Reach the target class: p(target) >= tau, or the label where only it is shown.

    Where the target is the source class itself, the walk goes to the class's prototype (see `Prototype`).
    """

    tau: float = 0.9
    weights: Weights = field(default_factory=Weights)
    name: ClassVar[str] = "reach"
    needs_label_only: ClassVar[bool] = False
    takes_target: ClassVar[bool] = True  # False: the target is always the source class
    towards_target: ClassVar[bool] = True  # False: the target is what the walk goes away from
    any_other: ClassVar[bool] = False  # True: every class other than the source ends the walk
    takes_tau: ClassVar[bool] = True  # False: `tau` is fixed
    scores_coverage: ClassVar[bool] = False  # True: environments tell how much of the latent space was seen

    def __post_init__(self) -> None:
        if not 0 < self.tau <= 1:
            raise ManifoldError(f"tau is a probability in (0, 1], not {self.tau}")

    def settings(self) -> dict[str, Any]:
        """The settings of `envs.config.WorldConfig` that make this task: its name, and what differs from that task's usual
        values; none for a class that is not in `TASKS`, which only the object itself describes."""
        if TASKS.get(self.name) is not type(self):
            return {}
        usual = type(self)()
        own = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "weights"}
        changed = {name: value for name, value in own.items() if value != getattr(usual, name)}
        reward = {name: value for name, value in asdict(self.weights).items() if value != getattr(usual.weights, name)}
        return {"task": self.name, **changed, **({"reward": reward} if reward else {})}

    def begin(self, world: World, draws: np.ndarray) -> tuple[Tensor, Tensor]:
        """Starts and targets (B,) of random walks, from two uniform numbers each (B, 2)."""
        index = torch.from_numpy((draws[:, 0] * len(world.reference.z)).astype(np.int64))
        return index, self.targets(world.reference.label.index_select(0, index), torch.from_numpy(draws[:, 1]), world.classes)

    def targets(self, source: Tensor, u: Tensor, classes: int) -> Tensor:
        """Random targets (B,): another class than the source, chosen by u (B,) in [0, 1)."""
        other = (u * (classes - 1)).long()
        return other + (other >= source)

    def goal(self, state: State) -> Tensor:
        """What is to rise, (B,): the probability of the target class."""
        return torch.from_numpy(state.prediction.numpy()[np.arange(len(state.target)), state.target.numpy()])

    def evidence(self, state: State) -> Tensor:
        """Log odds (B,) of what is to rise; the walk may end where they reach those of `tau`."""
        return log_odds(self.goal(state))

    def satisfied(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Whether answers (B, K) are what a walk to the classes `target` (B,) may end with, (B,) bool."""
        return prediction.gather(1, target[:, None])[:, 0] >= self.tau

    @property
    def untargeted(self) -> Task:
        """The task of a walk for which no target was requested."""
        return self

    def stop_rule(self, label_only: bool = False) -> str:
        """When a walk ends, in a few words for people."""
        return "the label" if label_only else f"p >= {self.tau:g}"

    def arrived(self, world: World, state: State, goal: Tensor) -> Tensor:
        """Whether the walk is over, (B,) bool."""
        there = torch.from_numpy(goal.numpy() >= self.tau)
        own = state.target.numpy() == state.source.numpy()
        return there & (near_prototype(world, state) | torch.from_numpy(~own)) if own.any() else there

    def potential(self, world: World, state: State, goal: Tensor) -> Tensor:
        """Height (B,) of the shaping potential, weights included: never changes which policy is best (Ng and others 1999)."""
        return scaled_log(goal).mul_(self.weights.progress)


def log_odds(p: Tensor) -> Tensor:
    """log(p / (1 - p)) with p kept off 0 and 1."""
    p = p.clamp(1e-6, 1 - 1e-6)
    return torch.log(p) - torch.log1p(-p)


def near_prototype(world: World, state: State) -> Tensor:
    """Whether the frame lies within a quarter of the class distance of its class's prototype, (B,) bool."""
    return _prototype_gap(world, state) <= world.class_distance / 4


def _prototype_gap(world: World, state: State) -> Tensor:
    """Distance (B,) from the frame to its class's prototype; NaN for a class without starts.

    Where frames keep something of the input, what the code itself decodes to is compared.
    """
    frame = world.manifold.decode(state.z) if world.units.anchored else state.frame
    return (world.manifold.coordinates(state.z, frame) - world.prototype_coordinates[state.source]).norm(dim=1)


@dataclass(frozen=True)
class Flip(Task):
    """Walk until the answer changes: the class with the largest probability is the target.

    Ties are decided as the classifier decides them, by the argmax of its own answer. Where no target is requested, the walk
    heads for the class of the nearest start that is called otherwise, and any class other than the source ends it
    (`untargeted`). Where the target is the source class itself, the walk goes to the class's prototype (see `Prototype`).

    Attributes:
        tau: the share from which on a class surely has the largest probability; not a setting.
        any_other: every class other than the source ends the walk, whatever its target.
    """

    tau: float = field(default=0.5, init=False)
    any_other: bool = False  # type: ignore[misc]  # a field here, the same for all walks of another task
    name: ClassVar[str] = "flip"
    takes_tau: ClassVar[bool] = False

    @property
    def untargeted(self) -> Task:
        """The same, ended by every class other than the source."""
        return replace(self, any_other=True)

    def evidence(self, state: State) -> Tensor:
        """Log ratio (B,) of the target's probability (untargeted: of the largest other than the source's) to its rival's."""
        asked = (state.source if self.any_other else state.target)[:, None]
        p = state.prediction.clamp_min(1e-6)
        own, rival = torch.log(p.gather(1, asked)[:, 0]), torch.log(p.scatter(1, asked, 0.0).amax(1))
        return rival - own if self.any_other else own - rival

    def satisfied(self, prediction: Tensor, target: Tensor) -> Tensor:
        """See `Task.satisfied`."""
        return prediction.argmax(1) == target

    def stop_rule(self, label_only: bool = False) -> str:
        """See `Task.stop_rule`."""
        return "the class with the largest probability"

    def arrived(self, world: World, state: State, goal: Tensor) -> Tensor:
        """See `Task.arrived`."""
        own, label = state.target == state.source, state.prediction.argmax(1)
        there = label != state.source if self.any_other else label == state.target
        return torch.where(own, (label == state.source) & near_prototype(world, state), there) if bool(own.any()) else there


@dataclass(frozen=True)
class Leave(Task):
    """Leave the own class (untargeted): any other class at p >= tau. The target is the class to leave."""

    name: ClassVar[str] = "leave"
    takes_target: ClassVar[bool] = False
    towards_target: ClassVar[bool] = False
    any_other: ClassVar[bool] = True

    def targets(self, source: Tensor, u: Tensor, classes: int) -> Tensor:
        """The source itself."""
        return source.clone()

    def goal(self, state: State) -> Tensor:
        """Largest probability of a class other than the source, (B,)."""
        return state.prediction.scatter(1, state.source[:, None], -1.0).amax(1)

    def arrived(self, world: World, state: State, goal: Tensor) -> Tensor:
        """See `Task.arrived`."""
        return goal >= self.tau


@dataclass(frozen=True)
class Prototype(Task):
    """Reach the own class's most typical form: the start whose code is nearest to the class's mean code."""

    name: ClassVar[str] = "prototype"
    takes_target: ClassVar[bool] = False

    def targets(self, source: Tensor, u: Tensor, classes: int) -> Tensor:
        """The source itself."""
        return source.clone()

    def potential(self, world: World, state: State, goal: Tensor) -> Tensor:
        """Minus the data-space distance to the prototype as a share of the class distance."""
        gap = _prototype_gap(world, state)
        return -self.weights.progress * gap.nan_to_num(0.0) / world.class_distance  # NaN: a class without starts


@dataclass(frozen=True)
class ReachLabel(Task):
    """Reach a label where nothing but labels is seen; sparse: no potential."""

    weights: Weights = field(default_factory=lambda: Weights(success=1.0, step=0.0, distance=0.0, progress=0.0))
    name: ClassVar[str] = "reach_label"
    needs_label_only: ClassVar[bool] = True

    def potential(self, world: World, state: State, goal: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(goal)


@dataclass(frozen=True)
class OnePair(ReachLabel):
    """Reach one far label from one start, always the same; which, says the rank `pair` in `World.far_pairs`, hardest first."""

    pair: int = 0
    name: ClassVar[str] = "one_pair"

    def begin(self, world: World, draws: np.ndarray) -> tuple[Tensor, Tensor]:
        """The pair's start and target, whatever is drawn."""
        index, target, _ = world.far_pairs
        if not 0 <= self.pair < len(index):
            raise ManifoldError(f"pair={self.pair}: this world has pairs from 0, the hardest, to {len(index) - 1}")
        chosen = torch.full((len(draws),), self.pair)
        return index[chosen], target[chosen]


@dataclass(frozen=True)
class Explore(Task):
    """No reward, no target and no end: what counts is how much of the latent space is seen (`envs.gym.coverage`).

    Walks begin at the most typical start of the first class that has one.
    """

    weights: Weights = field(default_factory=lambda: Weights(success=0.0, step=0.0, distance=0.0, progress=0.0))
    name: ClassVar[str] = "explore"
    takes_target: ClassVar[bool] = False
    towards_target: ClassVar[bool] = False
    scores_coverage: ClassVar[bool] = True

    def begin(self, world: World, draws: np.ndarray) -> tuple[Tensor, Tensor]:
        """The same start for all."""
        index = world.prototypes[world.reference.label.min()].expand(len(draws)).clone()
        return index, world.reference.label[index]

    def targets(self, source: Tensor, u: Tensor, classes: int) -> Tensor:
        """The source itself."""
        return source.clone()

    def arrived(self, world: World, state: State, goal: Tensor) -> Tensor:
        """Never."""
        return torch.zeros(len(goal), dtype=torch.bool)

    def potential(self, world: World, state: State, goal: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(goal)


TASKS: dict[str, type[Task]] = {task.name: task for task in (Task, Flip, Leave, Prototype, ReachLabel, OnePair, Explore)}


def make_task(task: str | Task, tau: float | None, pair: int | None, reward: Mapping[str, float] | None) -> Task:
    """The task, by name or as it is, with tau, pair and single weights replaced where they are not None.

    Raises:
        UnknownNameError, ManifoldError: no such task or weight, or a pair for a task without one.
    """
    if isinstance(task, str):
        if task not in TASKS:
            raise UnknownNameError("task", task, TASKS)
        task = TASKS[task]()
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
        if not isinstance(task, OnePair):
            raise ManifoldError(f"pair= belongs to task='one_pair'; the task {task.name!r} draws its starts: leave it out")
        task = replace(task, pair=int(pair))
    unknown = set(reward or {}) - set(asdict(Weights()))
    if unknown:
        raise UnknownNameError("reward weight", sorted(unknown)[0], asdict(Weights()))
    return replace(task, weights=replace(task.weights, **reward)) if reward else task
