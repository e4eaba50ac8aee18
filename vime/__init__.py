"""Curiosity for reinforcement learning: information gain of a Pyro Bayesian network, and rivals to it.

    bonus = vime.VIME(env.observation_space, env.action_space)       # score -> add -> fit
    venv = vime.CuriosityVecEnvWrapper(VecMonitor(adapter), bonus)   # for Stable-Baselines3
    PPO("MlpPolicy", venv).learn(100_000, callback=venv.callback())

Importing this package loads nothing else; names are resolved when they are first used, and Stable-Baselines3 is needed
only for what lives in :mod:`vime.sb3`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vime.bonuses import BONUSES, make_bonus
    from vime.bonuses.base import Bonus, NotFittedError
    from vime.bnn.dynamics import DynamicsBNN
    from vime.errors import VimeError
    from vime.information_gain import closed_form_gain, expected_gain
    from vime.mixer import BonusMixer, linear_eta
    from vime.normalizer import MedianNormalizer
    from vime.sb3.rollout_callback import CuriosityCallback
    from vime.sb3.vec_env_wrapper import CuriosityVecEnvWrapper
    from vime.serialization import StateMismatchError
    from vime.pool import PoolTooSmallError, TransitionPool, Transitions
    from vime.bonuses.vime import VIME

_HOME = {
    "BONUSES": "vime.bonuses",
    "Bonus": "vime.bonuses.base",
    "BonusMixer": "vime.mixer",
    "CuriosityCallback": "vime.sb3.rollout_callback",
    "CuriosityVecEnvWrapper": "vime.sb3.vec_env_wrapper",
    "DynamicsBNN": "vime.bnn.dynamics",
    "MedianNormalizer": "vime.normalizer",
    "NotFittedError": "vime.bonuses.base",
    "PoolTooSmallError": "vime.pool",
    "StateMismatchError": "vime.serialization",
    "TransitionPool": "vime.pool",
    "Transitions": "vime.pool",
    "VIME": "vime.bonuses.vime",
    "VimeError": "vime.errors",
    "closed_form_gain": "vime.information_gain",
    "expected_gain": "vime.information_gain",
    "linear_eta": "vime.mixer",
    "make_bonus": "vime.bonuses",
}

__all__ = [
    "BONUSES",
    "VIME",
    "Bonus",
    "BonusMixer",
    "CuriosityCallback",
    "CuriosityVecEnvWrapper",
    "DynamicsBNN",
    "MedianNormalizer",
    "NotFittedError",
    "PoolTooSmallError",
    "StateMismatchError",
    "TransitionPool",
    "Transitions",
    "VimeError",
    "closed_form_gain",
    "expected_gain",
    "linear_eta",
    "make_bonus",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vime' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
