"""What an exploration found: codes with the classifier's answers, and the regions in which the answer does not change.

`explore` walks a latent space by curiosity alone: no reward, no target, no class of interest. `found_regions` joins what was
found to regions of one answer, so that isolated ones can be told from the main region of a class; `zero_shot` walks to targets
that were unknown while the space was explored. Symbols: N codes, d latent dimensions, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.console.cli import progress_bar

if TYPE_CHECKING:
    from envs.core.world import World

SETTINGS: dict[str, Any] = {"move": None, "max_step": None, "guidance": None}
STEP, WALK = 0.25, 10  # share of the class distance of a step; class distances that a walk may take
ETA = 0.3  # no reward to be led away from: as tuned on the exploration suite (docs/results/suite_tuning.md)
ENVS = 32
PPO: dict[str, Any] = {
    "n_envs": ENVS, "n_steps": 32, "batch_size": 1024, "n_epochs": 8, "learning_rate": 7e-4, "gamma": 0.98, "gae_lambda": 0.95,
    "ent_coef": 0.0, "policy_kwargs": {"net_arch": [128, 128], "activation_fn": "SiLU", "log_std_init": -0.7},
}  # fmt: skip
NEIGHBOURS = 6  # of the same answer that a code is joined to, if the answer stays the same on the way
POINTS = 8  # at which a segment between two codes is checked
PART = 4096  # codes decoded at once


class Explored(NamedTuple):
    """Codes in the order in which they were queried.

    Attributes:
        z: (N, d) codes.
        label: (N,) predicted classes, int64.

    Example:
        >>> Explored(torch.zeros(3, 2), torch.tensor([0, 1, 1])).z.shape
        torch.Size([3, 2])
    """

    z: Tensor
    label: Tensor


class Regions(NamedTuple):
    """Regions of one answer.

    Attributes:
        of: (N,) int, the region of each code; regions are ordered by class, then by size.
        label: (R,) int, the class of each.
        first: (R,) int, the first code of each in the order of the queries.
        main: (R,) bool, whether it is the largest one of its class.
        queries: queries made to join them.

    Example:
        >>> Regions(np.zeros(3, int), np.array([4]), np.array([0]), np.array([True]), 0).label
        array([4])
    """

    of: np.ndarray
    label: np.ndarray
    first: np.ndarray
    main: np.ndarray
    queries: int


def explore(
    world: World,
    curiosity: str = "vime",
    queries: int = 20_000,
    seed: int = 0,
    eta: float = ETA,
    step: float = STEP,
    progress: bool = False,
) -> Explored:
    """Explore a latent space with PPO and a bonus alone.

    Walks of ten class distances begin at the prototype of the first class. Every step is a query.

    Args:
        world: to be explored; its task, move and step are replaced.
        curiosity: a bonus (`vime.bonuses.BONUSES`), ``module:object``, or ``none``.
        queries: steps, rounded up to whole rollouts of 1,024.
        seed: of policy, bonus and walks.
        eta: weight of the bonus; it matters against the errors of the critic alone, because there is no other reward.
        step: length of a step as a share of the class distance. Large values see much of the space in few queries; small ones
            find narrow regions.
        progress: show a bar.

    Example:
        >>> from envs import make_world
        >>> found = explore(make_world(data="iris", manifold="pca"), queries=2048)
        >>> len(found.z), found.label.unique().numel() > 1
        (2048, True)
    """
    from stable_baselines3.common.vec_env import VecEnvWrapper

    from agents.runs.random_state import fenced_random_state
    from agents.training.algorithms import make_model
    from agents.training.environments import add_curiosity, curiosity_of, curiosity_settings, make_vec_env

    class Noting(VecEnvWrapper):
        """Notes the code and the answer of every step."""

        def __init__(self, venv: Any) -> None:
            super().__init__(venv)
            self.codes: list[Tensor] = []
            self.labels: list[Tensor] = []
            self.bar = progress_bar(queries, "exploring", progress, unit="query")

        def reset(self) -> Any:
            return self.venv.reset()

        def step_wait(self) -> Any:
            found = self.venv.step_wait()
            adapter: Any = self.unwrapped
            state = adapter.venv.state
            self.codes.append(state.z.clone())
            self.labels.append(state.prediction.argmax(1))
            self.bar.update(len(state.z))
            return found

    blank = world.replace(task="explore", step=step, max_episode_steps=max(round(WALK / step), 1), **SETTINGS)
    with fenced_random_state():
        noting = Noting(make_vec_env("", {}, blank, ENVS))
        env: Any = noting
        if curiosity != "none":
            env = add_curiosity(env, curiosity_settings(curiosity, eta, {}, blank), seed, blank)
        model = make_model("ppo", env, dict(PPO), seed, "cpu")
        curious = curiosity_of(env)
        model.learn(queries, callback=None if curious is None else curious.callback())
        noting.bar.close()
    return Explored(torch.cat(noting.codes), torch.cat(noting.labels))


def answers(world: World, z: Tensor) -> Tensor:
    """Predicted classes (N,) of codes (N, d), decoded as in a walk from where `explore` begins: N queries.

    Frames of a table's walk depend on its input; those of pictures do not.
    """
    from envs.core import dynamics

    with torch.inference_mode():
        first = world.reference.label.min()
        start = dynamics.start(world, world.reference.prototypes[first][None], first[None])
        home = start.home.chosen(torch.zeros(len(z), dtype=torch.int64))
        return world.predictions(world.decode(z, home), home).argmax(1)


def found_regions(world: World, found: Explored) -> Regions:
    """Join codes of one answer to regions: two belong together if a straight latent segment between them keeps the answer.

    Each code is tried with its nearest ones of the same answer, then each region with the others of its class at their nearest
    codes. Segments are checked at 8 points, which are queried. Class regions of networks are
    mostly connected, along curves if not along segments: what stays apart here is isolated as far as straight segments tell.

    Example:
        >>> from envs import make_world
        >>> world = make_world(data="iris", manifold="pca")
        >>> z = world.reference.z
        >>> found_regions(world, Explored(z, answers(world, z))).label
        array([0, 1, 2])
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    z, label = found.z.numpy(), found.label.numpy()
    count, queries, rows, columns = len(z), 0, np.zeros(0, int), np.zeros(0, int)

    def joined(pairs: np.ndarray) -> np.ndarray:
        """The pairs (P, 2) whose segment keeps the answer."""
        nonlocal queries
        share = torch.linspace(0, 1, POINTS + 2)[1:-1]
        kept = np.ones(len(pairs), bool)
        for start in range(0, len(pairs), PART // POINTS):
            part = pairs[start : start + PART // POINTS]
            a, b = (found.z[torch.from_numpy(part[:, side])] for side in (0, 1))
            between = (a[:, None] + share[:, None] * (b - a)[:, None]).reshape(-1, z.shape[1])
            same = answers(world, between).reshape(len(part), POINTS) == found.label[part[:, 0]][:, None]
            kept[start : start + len(part)] = same.all(1).numpy()
        queries += POINTS * len(pairs)
        return pairs[kept]

    with torch.inference_mode():
        for k in np.unique(label):
            own = np.flatnonzero(label == k)
            _, near = cKDTree(z[own]).query(z[own], k=np.arange(1, min(NEIGHBOURS + 1, len(own)) + 1))
            pairs = np.stack([np.repeat(own, near.shape[1]), own[near.ravel()]], 1)
            pairs = joined(np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0))
            rows, columns = np.concatenate([rows, pairs[:, 0]]), np.concatenate([columns, pairs[:, 1]])
        for _ in range(2):  # regions that have been joined may reach others
            graph = coo_matrix((np.ones(len(rows)), (rows, columns)), (count, count))
            _, of = connected_components(graph, directed=False)
            pairs = _nearest_between_regions(z, label, of)
            pairs = joined(pairs) if len(pairs) else pairs
            rows, columns = np.concatenate([rows, pairs[:, 0]]), np.concatenate([columns, pairs[:, 1]])
        graph = coo_matrix((np.ones(len(rows)), (rows, columns)), (count, count))
        _, of = connected_components(graph, directed=False)
    return _ordered(of, label, queries)


def _nearest_between_regions(z: np.ndarray, label: np.ndarray, of: np.ndarray, tries: int = 8) -> np.ndarray:
    """Pairs (P, 2): for every region but the largest of its class, its codes nearest to codes of the class's other regions."""
    from scipy.spatial import cKDTree

    pairs = []
    for k in np.unique(label):
        own = np.flatnonzero(label == k)
        names, sizes = np.unique(of[own], return_counts=True)
        for name in names[names != names[sizes.argmax()]]:
            inside, outside = own[of[own] == name], own[of[own] != name]
            distance, near = cKDTree(z[outside]).query(z[inside], k=np.arange(1, min(tries, len(outside)) + 1))
            best = np.argsort(distance, axis=None)[:tries]
            pairs.append(np.stack([inside[best // near.shape[1]], outside[near.ravel()[best]]], 1))
    return np.concatenate(pairs) if pairs else np.zeros((0, 2), int)


def _ordered(of: np.ndarray, label: np.ndarray, queries: int) -> Regions:
    """Regions by class, then by size."""
    names, first, sizes = np.unique(of, return_index=True, return_counts=True)
    order = np.lexsort((-sizes, label[first]))
    place = np.empty(len(names), int)
    place[order] = np.arange(len(names))
    classes = label[first][order]
    main = np.concatenate([[True], classes[1:] != classes[:-1]])
    return Regions(place[np.searchsorted(names, of)], classes, first[order], main, queries)


def zero_shot(world: World, found: Explored, rows: Tensor, target: Tensor) -> Tensor:
    """Walk to targets that were unknown while the space was explored, with what was found alone.

    Each walk goes straight to the found code of the target class that is nearest to its input's code, in steps of the world's
    length and at most `max_episode_steps`. Without a found code of that class it fails. The frames of
    a table's walk depend on its input: what was found from one input need not hold for another.

    Args:
        world: whose task says when a walk has arrived.
        found: of the same latent space.
        rows: (B,) held-out inputs.
        target: (B,) classes.

    Returns:
        (B,) bool, whether each arrived.

    Example:
        >>> from envs import make_world
        >>> world = make_world(data="iris", manifold="pca", task="reach")
        >>> found = explore(world, queries=2048)
        >>> zero_shot(world, found, torch.tensor([0, 1]), torch.tensor([1, 1])).shape
        torch.Size([2])
    """
    from envs.core import dynamics

    cells = world.held_out.cells
    state, _ = dynamics.enter(world, world.held_out.x[rows], target, None if cells is None else cells[rows])
    ends, known = state.z.clone(), torch.zeros(len(rows), dtype=torch.bool)
    for k in target.unique():
        codes, own = found.z[found.label == k], target == k
        if len(codes):
            ends[own] = codes[torch.cdist(state.z[own], codes).argmin(1)]
            known[own] = True
    arrived = torch.zeros(len(rows), dtype=torch.bool)
    for _ in range(world.max_episode_steps):
        way = (ends - state.z) / world.step_length
        state, info = dynamics.step(world, state, way / way.norm(dim=1, keepdim=True).clamp_min(1.0))
        arrived |= info.is_success
    return arrived & known
