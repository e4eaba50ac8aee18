"""Curiosity for Stable-Baselines3; the only part of vime that needs it. The one order of wrappers is

    adapter (DummyVecEnv, a native VecEnv, ...) -> VecMonitor -> CuriosityVecEnvWrapper -> VecNormalize

so that reported returns stay extrinsic and the bonus sees raw observations.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vime.sb3.rollout_callback import CuriosityCallback
    from vime.sb3.two_value_ppo import TwoValuePPO
    from vime.sb3.vec_env_wrapper import CuriosityVecEnvWrapper
    from vime.sb3.wrapper_order import WrapperOrderError

__all__ = ["CuriosityCallback", "CuriosityVecEnvWrapper", "TwoValuePPO", "WrapperOrderError"]

_HOME = {
    "CuriosityCallback": "vime.sb3.rollout_callback",
    "CuriosityVecEnvWrapper": "vime.sb3.vec_env_wrapper",
    "TwoValuePPO": "vime.sb3.two_value_ppo",
    "WrapperOrderError": "vime.sb3.wrapper_order",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vime.sb3' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
