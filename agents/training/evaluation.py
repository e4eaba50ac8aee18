"""How well a policy walks while it is being trained: held-out inputs, deterministic actions, all in one batch."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from envs.core.world import World

MOST_STEPS = 1_000_000  # of an evaluation: an environment without a step limit may never end an episode


def evaluate_in_world(model: Any, world: World, episodes: int, seed: int, with_line: bool = False) -> dict[str, float]:
    """Walk ``episodes`` held-out inputs (drawn once by ``seed``, targets too) by the deterministic policy.

    Returns:
        success_rate, line_success_rate (of the straight latent line on the same inputs; `with_line`, and where its ends are
        known without further queries), class_kept (share of inputs whose frame 0 is called like them), mean_ep_length
        (steps), mean_reward, mean_queries (rows an input, those of frame 0 included).
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
    return {
        **compared,
        "success_rate": float(walk.success.float().mean()),
        "class_kept": float((state.prediction.argmax(1) == state.source).float().mean()),
        "mean_ep_length": float(walk.length.float().mean()),
        "mean_reward": float(walk.rewards.sum(0).mean()),
        "mean_queries": float(walk.queries.float().mean()),
    }


def evaluate_in_environment(model: Any, env_id: str, kwargs: dict[str, Any], episodes: int, seed: int) -> dict[str, float]:
    """The same for an environment that is no latent space: whole episodes of fresh environments, as many as end within a
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
