"""Curiosity for reinforcement learning: the information gain of a Bayesian network (Pyro), and other bonuses.

    bonus = vime.VIME(env.observation_space, env.action_space)       # score -> add -> fit
    venv = vime.CuriosityVecEnvWrapper(VecMonitor(adapter), bonus)   # for Stable-Baselines3
    PPO("MlpPolicy", venv).learn(100_000, callback=venv.callback())

Importing this package imports nothing else. A name is imported when it is first used; only the names of :mod:`vime.sb3` need
Stable-Baselines3.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vime.bnn.dynamics import DynamicsBNN
    from vime.bonuses import BONUSES, bonus_class, make_bonus
    from vime.bonuses.bald import BALD
    from vime.bonuses.base import Bonus
    from vime.bonuses.counts import Counts
    from vime.bonuses.disagreement import Disagreement
    from vime.bonuses.e3b import E3B
    from vime.bonuses.icm import ICM
    from vime.bonuses.knn import KNN
    from vime.bonuses.l2 import L2Error
    from vime.bonuses.noveld import NovelD
    from vime.bonuses.rnd import RND
    from vime.bonuses.vime import VIME
    from vime.errors import (
        DivergedError,
        InputError,
        MissingInfoError,
        ModeError,
        NotFittedError,
        OptionError,
        OptionTypeError,
        PoolTooSmallError,
        StateMismatchError,
        UsageError,
        VimeError,
        WrapperOrderError,
    )
    from vime.information_gain import closed_form_gain, expected_gain, gradient_step_gain, linearized_gain
    from vime.information_gain.estimators import ESTIMATORS
    from vime.mixer import BonusMixer, linear_eta
    from vime.normalizer import MedianNormalizer
    from vime.pool import TransitionPool, Transitions
    from vime.posteriors import POSTERIORS
    from vime.prediction_target import PredictionTarget
    from vime.sb3.rollout_callback import CuriosityCallback
    from vime.sb3.two_value_ppo import TwoValuePPO
    from vime.sb3.vec_env_wrapper import CuriosityVecEnvWrapper

__version__ = "0.1.0"

_HOME = {
    "BALD": "vime.bonuses.bald",
    "BONUSES": "vime.bonuses",
    "E3B": "vime.bonuses.e3b",
    "ESTIMATORS": "vime.information_gain.estimators",
    "ICM": "vime.bonuses.icm",
    "KNN": "vime.bonuses.knn",
    "POSTERIORS": "vime.posteriors",
    "RND": "vime.bonuses.rnd",
    "VIME": "vime.bonuses.vime",
    "Bonus": "vime.bonuses.base",
    "BonusMixer": "vime.mixer",
    "Counts": "vime.bonuses.counts",
    "CuriosityCallback": "vime.sb3.rollout_callback",
    "CuriosityVecEnvWrapper": "vime.sb3.vec_env_wrapper",
    "Disagreement": "vime.bonuses.disagreement",
    "DivergedError": "vime.errors",
    "DynamicsBNN": "vime.bnn.dynamics",
    "InputError": "vime.errors",
    "L2Error": "vime.bonuses.l2",
    "MedianNormalizer": "vime.normalizer",
    "MissingInfoError": "vime.errors",
    "ModeError": "vime.errors",
    "NotFittedError": "vime.errors",
    "NovelD": "vime.bonuses.noveld",
    "OptionError": "vime.errors",
    "OptionTypeError": "vime.errors",
    "PoolTooSmallError": "vime.errors",
    "PredictionTarget": "vime.prediction_target",
    "StateMismatchError": "vime.errors",
    "TransitionPool": "vime.pool",
    "Transitions": "vime.pool",
    "TwoValuePPO": "vime.sb3.two_value_ppo",
    "UsageError": "vime.errors",
    "VimeError": "vime.errors",
    "WrapperOrderError": "vime.errors",
    "bonus_class": "vime.bonuses",
    "closed_form_gain": "vime.information_gain",
    "expected_gain": "vime.information_gain",
    "gradient_step_gain": "vime.information_gain.gradient_step",
    "linear_eta": "vime.mixer",
    "linearized_gain": "vime.information_gain",
    "make_bonus": "vime.bonuses",
}

__all__ = [
    "BALD",
    "BONUSES",
    "E3B",
    "ESTIMATORS",
    "ICM",
    "KNN",
    "POSTERIORS",
    "RND",
    "VIME",
    "Bonus",
    "BonusMixer",
    "Counts",
    "CuriosityCallback",
    "CuriosityVecEnvWrapper",
    "Disagreement",
    "DivergedError",
    "DynamicsBNN",
    "InputError",
    "L2Error",
    "MedianNormalizer",
    "MissingInfoError",
    "ModeError",
    "NotFittedError",
    "NovelD",
    "OptionError",
    "OptionTypeError",
    "PoolTooSmallError",
    "PredictionTarget",
    "StateMismatchError",
    "TransitionPool",
    "Transitions",
    "TwoValuePPO",
    "UsageError",
    "VimeError",
    "WrapperOrderError",
    "__version__",
    "bonus_class",
    "closed_form_gain",
    "expected_gain",
    "gradient_step_gain",
    "linear_eta",
    "linearized_gain",
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
