"""The table of registered ids. A new id is one line in `SPECS`."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from envs.errors import UnknownNameError

NAMESPACE = "Manifold"
MAX_EPISODE_STEPS = 20
CUSTOM = f"{NAMESPACE}/Custom-v0"  # the id for the user's own data

SMALL_STEPS: dict[str, Any] = {"data": "digits", "step": 0.05, "max_episode_steps": 80}
ONE_PAIR = {**SMALL_STEPS, "task": "one_pair", "label_only": True}
EXPLORE = {**SMALL_STEPS, "task": "explore"}

# id -> the settings of its `envs.config.WorldConfig` that are not the default; plain values, because Gymnasium keeps JSON.
SPECS: dict[str, dict[str, Any]] = {
    "Manifold/Digits-v0": {"data": "digits"},
    "Manifold/DigitsLabelOnly-v0": {"data": "digits", "task": "reach_label", "label_only": True},
    "Manifold/DigitsGAN-v0": {"data": "digits", "manifold": "digits_gan"},
    "Manifold/MNIST-v0": {"data": "mnist_decoded"},
    "Manifold/FashionMNIST-v0": {"data": "fashion_mnist_decoded"},
    "Manifold/OmniglotGAN-v0": {"data": "omniglot_decoded", "max_episode_steps": 60},
    "Manifold/DigitsPCA-v0": {"data": "digits", "manifold": "pca"},
    "Manifold/DigitsUMAP-v0": {"data": "digits", "manifold": "digits_umap", "max_episode_steps": 80},
    "Manifold/DigitsJoint-v0": {"data": "digits", "manifold": "digits_joint"},
    "Manifold/DigitsEmbedding-v0": {"data": "digits", "manifold": "digits_embedding"},
    "Manifold/Oscillator-v0": {"data": "oscillator"},
    "Manifold/Sentences-v0": {"data": "sentences"},
    "Manifold/SentenceEdits-v0": {"data": "sentences", "manifold": "sentences_edits"},
    "Manifold/DigitsLabelOnlyLong-v0": {**SMALL_STEPS, "task": "reach_label", "label_only": True},
    "Manifold/DigitsOnePair-v0": ONE_PAIR,
    "Manifold/DigitsExplore-v0": EXPLORE,
    "Manifold/DigitsSlip-v0": {**ONE_PAIR, "slip": 0.25},
    "Manifold/DigitsWalls-v0": {**ONE_PAIR, "move": "walled"},
    "Manifold/DigitsDistractors-v0": {**EXPLORE, "distractors": 2},
    CUSTOM: {"data": "iris"},
}
GOAL = f"{NAMESPACE}/DigitsGoal-v0"  # goal-conditioned, with Dict observations
GOALS: dict[str, dict[str, Any]] = {GOAL: {"data": "digits", "task": "reach_label", "label_only": True}}

# Control tasks without a latent space: the key in envs.control.TASKS and the step limit.
CONTROL: dict[str, tuple[str, int]] = {
    "VIME/SparseMountainCar-v0": ("mountain_car", 200),
    "VIME/SparseCartPoleSwingUp-v0": ("cart_pole_swing_up", 500),
    "VIME/SparsePendulum-v0": ("pendulum", 200),
    "VIME/DeepSea-v0": ("deep_sea", 100),  # it ends by itself, after `size` steps
}
HALF_CHEETAH = "VIME/SparseHalfCheetah-v0"  # needs the extra [mujoco]


def register_all() -> None:
    """Register every id with Gymnasium. Calling it again is harmless."""
    for env_id, (task, limit) in CONTROL.items():
        if env_id not in gym.registry:
            gym.register(
                env_id,
                entry_point="envs.control.env:ControlEnv",
                vector_entry_point="envs.control.vector_env:ControlVectorEnv",
                max_episode_steps=limit,
                kwargs={"task": task},
            )
    if HALF_CHEETAH not in gym.registry:
        gym.register(HALF_CHEETAH, entry_point="envs.control.half_cheetah:SparseHalfCheetah", max_episode_steps=500)
    for env_id, kwargs in GOALS.items():
        if env_id not in gym.registry:
            gym.register(env_id, entry_point="envs.gym.goal_env:GoalEnv", max_episode_steps=MAX_EPISODE_STEPS, kwargs=kwargs)
    for env_id, kwargs in SPECS.items():
        if env_id not in gym.registry:
            gym.register(
                env_id,
                entry_point="envs.gym.latent_env:LatentEnv",
                vector_entry_point="envs.gym.latent_vector_env:LatentVectorEnv",
                max_episode_steps=kwargs.get("max_episode_steps", MAX_EPISODE_STEPS),
                kwargs=kwargs,
            )


def spec_kwargs(env_id: str) -> dict[str, Any]:
    """Keyword arguments of a registered id.

    Raises:
        UnknownNameError: no such id; close ones are offered.

    Example:
        >>> spec_kwargs("Manifold/DigitsPCA-v0")
        {'data': 'digits', 'manifold': 'pca'}
    """
    if env_id not in SPECS:
        raise UnknownNameError("environment id", env_id, [*SPECS, *GOALS, *CONTROL])
    return {**SPECS[env_id]}
