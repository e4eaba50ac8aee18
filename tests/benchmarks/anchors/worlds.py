"""Every registered id, the settings of worlds, and worlds of the user's own objects."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tests.benchmarks.anchors.material import pushes, walked, world_of
from tests.benchmarks.anchors.values import Measured, System, figures


def world_walk(env_id: str, rows: int = 4) -> Measured:
    """A registered id: an episode of fixed actions from a held-out input, and lines from a few inputs."""
    import gymnasium as gym

    import envs  # registers the ids
    from agents.explain import explain

    gym.register_envs(envs)
    env = gym.make(env_id)
    [size] = env.action_space.shape  # type: ignore[misc]
    seen, rewards = [env.reset(seed=0)[0]], []
    for step in range(6):
        obs, reward, terminated, truncated, _ = env.step(pushes(step, 1, size)[0])
        seen.append(obs)
        rewards.append(float(reward))
        if terminated or truncated:
            break
    paths = explain(env.unwrapped.world, range(rows), walker="line", max_steps=40)  # type: ignore[attr-defined]
    return {**walked(paths), "episode": len(rewards), "obs": figures(seen), "episode rewards": figures(rewards)}


def batch_walk() -> Measured:
    """A vector environment with episodes that end."""
    import gymnasium as gym

    import envs  # registers the ids

    gym.register_envs(envs)
    venv = gym.make_vec("Manifold/Digits-v0", num_envs=6)
    seen, rewards, ends = [venv.reset(seed=0)[0]], [], 0
    [size] = venv.single_action_space.shape  # type: ignore[misc]
    for step in range(45):
        obs, reward, terminated, truncated, _ = venv.step(pushes(step, 6, size))
        seen.append(obs)
        rewards.append(reward)
        ends += int((terminated | truncated).sum())
    return {"obs": figures(seen), "rewards": figures(rewards), "ends": ends}


def guided_walk() -> Measured:
    """Observations that hold which way the known costs fall, while environments restart in the same step."""
    import gymnasium as gym

    import envs  # registers the ids

    gym.register_envs(envs)
    venv = gym.make_vec("Manifold/Digits-v0", num_envs=4, guidance=True, move="pullback", autoreset_mode="SameStep")
    seen, rewards = [venv.reset(seed=1)[0]], []
    [size] = venv.single_action_space.shape  # type: ignore[misc]
    for step in range(25):
        obs, reward, *_ = venv.step(pushes(step, 4, size))
        seen.append(obs)
        rewards.append(reward)
    return {"obs": figures(seen), "rewards": figures(rewards)}


def moves_and_entries() -> Measured:
    """Fixed actions under every move, the actions that aim at a code, and lines in worlds of other tasks and entries."""
    import torch

    from agents.explain import explain
    from agents.walkers.follow import aim
    from envs.core import dynamics
    from envs.core.moves import MOVES

    found: Measured = {}
    for name in MOVES:
        world = world_of().replace(move=name)
        state, _ = dynamics.enter(world, world.held_out.x[:4], torch.tensor([1, 2, 3, 4]))
        codes, p = [state.z], [state.prediction]
        for step in range(6):
            state, _ = dynamics.step(world, state, torch.from_numpy(pushes(step, 4, world.latent_dim)))
            codes.append(state.z)
            p.append(state.prediction)
        found |= {f"{name}: z": figures(torch.stack(codes)), f"{name}: p": figures(torch.stack(p))}
        found[f"{name}: aim"] = figures(aim(world, world.reference.z[:4], world.reference.z[4:8])[0])
    changes: dict[str, dict[str, Any]] = {"leave": {"task": "leave"}, "prototype": {"task": "prototype"}}
    for name, change in (changes | {"kept": {"initial_latent": "kept"}}).items():
        paths = explain(world_of().replace(**change), range(3), walker="line", max_steps=12)
        found |= {f"{name}: {key}": value for key, value in walked(paths).items()}
    return found


def own_parts() -> Measured:
    """Worlds of live objects: a random forest on raw pixels with a fitted manifold, and a generator without an encoder."""
    import torch
    from sklearn.ensemble import RandomForestClassifier

    from agents.explain import explain
    from envs import make_world
    from envs.datasets import DATASETS

    data: Any = DATASETS["digits"]()
    x, y = np.asarray(data.x[:300]), np.asarray(data.truth[:300])
    forest = RandomForestClassifier(20, random_state=0).fit(x.reshape(len(x), -1), y)
    decoder = world_of().manifold.decoder
    fitted = make_world(data=x, classifier=forest, input_shape=(64,), manifold="pca", latent_dim=6, label_only=True)
    generated = make_world(data=x[:60], classifier="digits", manifold=decoder, latent_dim=8)
    found: Measured = {"inverted": figures(generated.reference.z)}
    for name, world in (("forest", fitted), ("generator", generated)):
        paths = explain(world, x[:4], walker="line")
        found |= {f"{name}: {key}": value for key, value in walked(paths).items()}
    with torch.inference_mode():
        found["forest: p"] = figures(fitted.classifier.predict_proba(fitted.reference.x[:50]))
    return found


def control_episodes() -> Measured:
    """An episode of each control task under bursts of full force."""
    from gymnasium.spaces import Discrete

    from envs.control import TASKS
    from envs.control.vector_env import ControlVectorEnv

    found: Measured = {}
    for name in TASKS:
        venv = ControlVectorEnv(2, task=name, max_episode_steps=80)
        seen, rewards = [venv.reset(seed=7)[0]], []
        for step in range(120):
            force = np.sign(np.sin(0.11 * step + np.arange(2)))
            discrete = isinstance(venv.single_action_space, Discrete)
            obs, reward, *_ = venv.step((force > 0).astype(int) if discrete else force[:, None].astype(np.float32))
            seen.append(obs)
            rewards.append(reward)
        found |= {f"{name}: obs": figures(seen), f"{name}: rewards": figures(rewards)}
    return found


def cheetah_episode() -> Measured:
    """The half cheetah, whose physics are MuJoCo's."""
    import gymnasium as gym

    import envs  # registers the ids

    gym.register_envs(envs)
    env = gym.make("VIME/SparseHalfCheetah-v0")
    seen, rewards = [env.reset(seed=0)[0]], []
    for step in range(40):
        obs, reward, *_ = env.step(pushes(step, 1, 6)[0])
        seen.append(obs)
        rewards.append(float(reward))
    return {"obs": figures(seen), "rewards": figures(rewards)}


IDS: dict[str, dict[str, Any]] = {
    "Manifold/DigitsLabelOnly-v0": {},
    "Manifold/DigitsOnePair-v0": {},
    "Manifold/DigitsExplore-v0": {},
    "Manifold/DigitsGAN-v0": {},
    "Manifold/DigitsPCA-v0": {"portable": False},  # the signs of its axes are the linear algebra library's
    "Manifold/DigitsUMAP-v0": {},
    "Manifold/DigitsJoint-v0": {},
    "Manifold/DigitsEmbedding-v0": {},
    "Manifold/MNIST-v0": {},
    "Manifold/OmniglotGAN-v0": {"slow": True},
    "Manifold/Sentences-v0": {},
    "Manifold/Custom-v0": {"portable": False},  # fits its manifold
}
SYSTEMS = {
    **{f"world {name.removeprefix('Manifold/')}": System(partial(world_walk, name), **how) for name, how in IDS.items()},
    "batch walk": System(batch_walk),
    "guided walk": System(guided_walk),
    "moves and tasks": System(moves_and_entries),
    "own parts": System(own_parts, portable=False),
    "control": System(control_episodes),
    "control cheetah": System(cheetah_episode, portable=False, slow=True, needs="mujoco"),
}
