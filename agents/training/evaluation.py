"""How well a policy walks while it is being trained: held-out inputs, deterministic actions, all in one batch."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from envs.core.factual import Factual
    from envs.core.world import World

MOST_ROWS = 2000  # reference rows for the kNN ratio
MOST_STEPS = 1_000_000  # of an evaluation: an environment without a step limit may never end an episode


def evaluate_in_world(model: Any, world: World, episodes: int, seed: int, with_line: bool = False) -> dict[str, float]:
    """Walk ``episodes`` held-out inputs (drawn once by ``seed``, targets too) by the deterministic policy.

    Returns:
        success_rate, line_success_rate (of the straight latent line on the same inputs; `with_line`, and where its ends are
        known without further queries), class_kept (share of inputs whose frame 0 is called like them), mean_ep_length
        (steps), mean_reward, mean_queries (rows an input, those of frame 0 included), knn_ratio (of the walks that arrived,
        if any did; 1 is as typical as real data).
    """
    from agents.walkers.line import LineWalker
    from agents.walkers.policy import PolicyWalker
    from envs.gym.episodes import chosen

    random = np.random.default_rng(seed)
    rows = random.permutation(len(world.held_out.x))[:episodes]
    state, queries = chosen(world, {"split": "held_out", "index": rows}, random.random((len(rows), 2)))
    walk = PolicyWalker(model).walk(world, state, queries, torch.Generator().manual_seed(seed))
    compared: dict[str, float] = {}
    if with_line and world.reference.known_end_predictions is not None and not world.task.scores_coverage:
        line = LineWalker().walk(world, state, queries, torch.Generator().manual_seed(seed))
        compared["line_success_rate"] = float(line.success.float().mean())
    arrived = torch.nonzero(walk.success & (walk.length > 0)).flatten()
    if len(arrived):
        last = walk.length[arrived], arrived
        ratio = _knn_ratio(world, walk.z[last], state.home.chosen(arrived), walk.predictions[last].argmax(1))
        compared |= {"knn_ratio": ratio} if np.isfinite(ratio) else {}
    return {
        **compared,
        "success_rate": float(walk.success.float().mean()),
        "class_kept": float((state.prediction.argmax(1) == state.source).float().mean()),
        "mean_ep_length": float(walk.length.float().mean()),
        "mean_reward": float(walk.rewards.sum(0).mean()),
        "mean_queries": float(walk.queries.float().mean()),
    }


def _knn_ratio(world: World, z: torch.Tensor, home: Factual, label: torch.Tensor) -> float:
    """Mean distance of ends z (B, d) to the five nearest reference rows of their class (B,), over the same for real rows; both
    among a fixed part of the reference rows."""
    from agents.explanation.metrics.path import knn_distance_to_class

    reference, typical = world.reference, world.reference.__dict__.get("typical_knn")
    part = torch.linspace(0, len(reference.x) - 1, min(MOST_ROWS, len(reference.x))).long()
    bank, classes = reference.coordinates[part].numpy(), reference.label[part].numpy()
    if typical is None:  # kept: each evaluation of a training needs it
        typical = float(np.mean(knn_distance_to_class(bank, classes, bank, classes, exclude_self=True)))
        reference.__dict__["typical_knn"] = typical
    with torch.inference_mode():
        place = world.manifold.coordinates(z, world.decode(z, home)).numpy()
    return float(np.mean(knn_distance_to_class(place, label.numpy(), bank, classes))) / typical


def evaluate_in_environment(model: Any, env_id: str, kwargs: dict[str, Any], episodes: int, seed: int) -> dict[str, float]:
    """The same for an environment that is not a latent space: whole episodes of fresh environments, as many as end within a
    million steps; nothing where none does."""
    from agents.training.environments import make_vec_env

    n_envs = min(episodes, 16)
    env = make_vec_env(env_id, kwargs, None, n_envs)
    env.seed(seed)
    obs = env.reset()
    ended: list[dict[str, Any]] = []
    for _ in range(max(MOST_STEPS // n_envs, 1)):
        if len(ended) >= episodes:
            break
        action, _ = model.predict(obs, deterministic=True)
        obs, _, _, infos = env.step(action)
        ended += [info for info in infos if "episode" in info]
    env.close()
    if len(ended) < episodes:
        warnings.warn(
            f"the evaluation stopped after {MOST_STEPS:,} steps with {len(ended)} of {episodes} episodes ended: {env_id} has "
            "no step limit, or a long one; register it with max_episode_steps, or use fewer --eval-episodes",
            stacklevel=2,
        )
    if not ended:
        return {}
    result = {
        "mean_reward": float(np.mean([info["episode"]["r"] for info in ended[:episodes]])),
        "mean_ep_length": float(np.mean([info["episode"]["l"] for info in ended[:episodes]])),
    }
    if all("is_success" in info for info in ended):
        result["success_rate"] = float(np.mean([info["is_success"] for info in ended[:episodes]]))
    return result
