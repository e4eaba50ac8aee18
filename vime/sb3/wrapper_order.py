"""Checks of the order of vector environment wrappers."""

from __future__ import annotations

from collections.abc import Iterator

from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecMonitor, VecNormalize

from vime.errors import WrapperOrderError

ORDER = "adapter -> VecMonitor -> CuriosityVecEnvWrapper -> VecNormalize"


def chain(venv: VecEnv) -> Iterator[VecEnv]:
    """Yield ``venv`` and everything it wraps, from the outside in."""
    while isinstance(venv, VecEnvWrapper):
        yield venv
        venv = venv.venv
    yield venv


def check_below(venv: VecEnv, curiosity: type[VecEnvWrapper]) -> None:
    """Check that ``venv`` may be wrapped with curiosity.

    Raises:
        WrapperOrderError: It is not monitored, it is normalised, or it already has a curiosity wrapper.
    """
    inside = list(chain(venv))
    for layer in inside:
        if isinstance(layer, VecNormalize):
            raise WrapperOrderError(
                f"VecNormalize is below curiosity, so that the scale of its observations would drift; the order is {ORDER}"
            )
        if isinstance(layer, curiosity):
            raise WrapperOrderError(f"the environment is already wrapped by {curiosity.__name__}: wrap it once; {ORDER}")
    if any(isinstance(layer, VecMonitor) for layer in inside):
        return
    try:
        monitored = all(venv.env_is_wrapped(Monitor))
    except (AttributeError, NotImplementedError):
        # A native adapter has no single environments that could say so.
        monitored = False
    if not monitored:
        raise WrapperOrderError(
            "no VecMonitor is below curiosity, so that reported returns would contain the bonus; the order is "
            f"{ORDER}: CuriosityVecEnvWrapper(VecMonitor(venv), bonus)"
        )


def check_above(outermost: VecEnv, wrapper: VecEnvWrapper) -> None:
    """Check that ``wrapper`` is inside ``outermost``, with no VecMonitor around it.

    Raises:
        WrapperOrderError: It is not.
    """
    around: list[VecEnv] = []
    for layer in chain(outermost):
        if layer is wrapper:
            break
        around.append(layer)
    else:
        raise WrapperOrderError(
            "the callback's CuriosityVecEnvWrapper is not in the model's environment: pass the wrapped one to the "
            "model, and the callback of the same wrapper to learn()"
        )
    if any(isinstance(layer, VecMonitor) for layer in around):
        raise WrapperOrderError(
            f"a VecMonitor is above curiosity, so that reported returns would contain the bonus; the order is {ORDER}"
        )
