"""Latent spaces as Gymnasium environments.

Importing this package registers the ids of `envs.registration.SPECS`; ``gym.register_envs(envs)`` says so to linters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envs.config import WorldConfig
from envs.errors import ManifoldError, UnknownNameError
from envs.registration import SPECS, register_all

if TYPE_CHECKING:
    from envs.building.world import make_world
    from envs.core.world import World
    from envs.gym.latent_env import LatentEnv
    from envs.gym.latent_vector_env import LatentVectorEnv

__all__ = ["SPECS", "LatentEnv", "LatentVectorEnv", "ManifoldError", "UnknownNameError", "World", "WorldConfig", "make_world"]

_LAZY = {
    "LatentEnv": "envs.gym.latent_env",
    "LatentVectorEnv": "envs.gym.latent_vector_env",
    "World": "envs.core.world",
    "make_world": "envs.building.world",
}

register_all()


def __getattr__(name: str) -> Any:
    """Classes are loaded on first use, so that ``--help`` of a script needs no torch."""
    if name not in _LAZY:
        raise AttributeError(f"module 'envs' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
