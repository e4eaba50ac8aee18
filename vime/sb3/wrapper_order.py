"""The one order in which vector environments may be wrapped, checked."""

from __future__ import annotations

from collections.abc import Iterator

from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecMonitor, VecNormalize

from vime.errors import VimeError

ORDER = "adapter -> VecMonitor -> CuriosityVecEnvWrapper -> VecNormalize"


class WrapperOrderError(VimeError, ValueError):
    """Wrappers in an order in which the bonus or the reported returns would be wrong."""


def chain(venv: VecEnv) -> Iterator[VecEnv]:
    """``venv`` and everything it wraps, from the outside in."""
    while isinstance(venv, VecEnvWrapper):
        yield venv
        venv = venv.venv
    yield venv


def check_below(venv: VecEnv, curiosity: type[VecEnvWrapper]) -> None:
    """WrapperOrderError unless ``venv`` may be wrapped with curiosity: monitored, not normalised, not yet curious."""
    inside = list(chain(venv))
    for layer in inside:
        if isinstance(layer, VecNormalize):
            raise WrapperOrderError(
                "VecNormalize lies below curiosity, which would see observations whose scale drifts; the order is "
                f"{ORDER}"
            )
        if isinstance(layer, curiosity):
            raise WrapperOrderError(
                f"the environment is already wrapped by {curiosity.__name__}: wrap it once; {ORDER}"
            )
    if any(isinstance(layer, VecMonitor) for layer in inside):
        return
    try:
        monitored = all(venv.env_is_wrapped(Monitor))
    except (AttributeError, NotImplementedError):
        # A native adapter has no single environments to ask: nobody says that they are monitored, and the error below follows.
        monitored = False
    if not monitored:
        raise WrapperOrderError(
            "no VecMonitor lies below curiosity, so that reported returns would contain the bonus; the order is "
            f"{ORDER}: "
            "CuriosityVecEnvWrapper(VecMonitor(venv), bonus)"
        )


def check_above(outermost: VecEnv, wrapper: VecEnvWrapper) -> None:
    """WrapperOrderError unless ``wrapper`` is inside ``outermost`` with no VecMonitor around it."""
    around: list[VecEnv] = []
    for layer in chain(outermost):
        if layer is wrapper:
            break
        around.append(layer)
    else:
        raise WrapperOrderError(
            "the callback's CuriosityVecEnvWrapper is not in the model's environment: give the model the wrapped one, "
            "and learn() the callback of that very wrapper"
        )
    if any(isinstance(layer, VecMonitor) for layer in around):
        raise WrapperOrderError(
            f"a VecMonitor lies above curiosity, so that reported returns would contain the bonus; the order is {ORDER}"
        )
