"""The one table of registered ids. A new id is one line here."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from envs.errors import UnknownNameError

NAMESPACE = "Manifold"
MAX_EPISODE_STEPS = 20

SPECS: dict[str, dict[str, Any]] = {
    "Manifold/Digits-v0": {"data": "digits"},
    "Manifold/DigitsLabelOnly-v0": {"data": "digits", "task": "reach_label", "label_only": True},
    "Manifold/Custom-v0": {"data": "iris"},
}


def register_all() -> None:
    """Register every id with Gymnasium; a second call changes nothing."""
    for env_id, kwargs in SPECS.items():
        if env_id not in gym.registry:
            gym.register(
                env_id,
                entry_point="envs.latent_env:LatentEnv",
                vector_entry_point="envs.latent_vector_env:LatentVectorEnv",
                max_episode_steps=MAX_EPISODE_STEPS,
                kwargs=kwargs,
            )


def spec_kwargs(env_id: str) -> dict[str, Any]:
    """Keyword arguments of a registered id.

    Raises:
        UnknownNameError: no such id; close ones are offered.
    """
    if env_id not in SPECS:
        raise UnknownNameError("environment id", env_id, SPECS)
    return {**SPECS[env_id]}
