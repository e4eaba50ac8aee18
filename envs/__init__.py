"""Latent spaces as Gymnasium environments.

Importing this package registers the ids of `envs.registration.SPECS`; ``gym.register_envs(envs)`` makes the import explicit.

Example:
    >>> import gymnasium as gym
    >>> import envs
    >>> env = gym.make("Manifold/Digits-v0")
    >>> observation, info = env.reset(seed=0)
    >>> observation.shape
    (36,)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from envs.config import WorldConfig
from envs.errors import ManifoldError, UnknownNameError, UntrustedNameError
from envs.registration import SPECS, register_all

if TYPE_CHECKING:
    from envs.building.world import make_world
    from envs.classifiers import Classifier
    from envs.core.initial_latent import INITIAL_LATENTS
    from envs.core.moves import MOVES, Move
    from envs.core.tasks import TASKS, Task
    from envs.core.world import World
    from envs.datasets import DATASETS
    from envs.gym.latent_env import LatentEnv
    from envs.gym.latent_vector_env import LatentVectorEnv
    from envs.manifolds import MANIFOLDS, Manifold

__version__ = "0.1.0"  # that of pyproject.toml; a test compares them

__all__ = [
    "DATASETS",
    "INITIAL_LATENTS",
    "MANIFOLDS",
    "MOVES",
    "SPECS",
    "TASKS",
    "Classifier",
    "LatentEnv",
    "LatentVectorEnv",
    "Manifold",
    "ManifoldError",
    "Move",
    "Task",
    "UnknownNameError",
    "UntrustedNameError",
    "World",
    "WorldConfig",
    "__version__",
    "make_world",
]

_LAZY = {
    "Classifier": "envs.classifiers",
    "DATASETS": "envs.datasets",
    "INITIAL_LATENTS": "envs.core.initial_latent",
    "LatentEnv": "envs.gym.latent_env",
    "LatentVectorEnv": "envs.gym.latent_vector_env",
    "MANIFOLDS": "envs.manifolds",
    "MOVES": "envs.core.moves",
    "Manifold": "envs.manifolds",
    "Move": "envs.core.moves",
    "TASKS": "envs.core.tasks",
    "Task": "envs.core.tasks",
    "World": "envs.core.world",
    "make_world": "envs.building.world",
}

register_all()


def __getattr__(name: str) -> Any:
    """Names that need torch are imported on first use, so that ``--help`` of a script is quick."""
    if name not in _LAZY:
        raise AttributeError(f"module 'envs' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
