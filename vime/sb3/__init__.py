"""Curiosity for Stable-Baselines3, which only this part of vime needs. The order of wrappers is

    adapter (DummyVecEnv, a native VecEnv, ...) -> VecMonitor -> CuriosityVecEnvWrapper -> VecNormalize

so that reported returns are extrinsic and the bonus gets raw observations.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vime.errors import WrapperOrderError
    from vime.sb3.rollout_callback import CuriosityCallback
    from vime.sb3.two_value_ppo import TwoValuePPO
    from vime.sb3.vec_env_wrapper import CuriosityVecEnvWrapper

__all__ = ["CuriosityCallback", "CuriosityVecEnvWrapper", "TwoValuePPO", "WrapperOrderError"]

_HOME = {
    "CuriosityCallback": "vime.sb3.rollout_callback",
    "CuriosityVecEnvWrapper": "vime.sb3.vec_env_wrapper",
    "TwoValuePPO": "vime.sb3.two_value_ppo",
    "WrapperOrderError": "vime.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vime.sb3' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
