"""The state of a training, so complete that a resumed run equals the uninterrupted one to the last byte.

``capture_state`` is called where SB3 is about to collect the next rollout: the update is done, the rollout buffer is
empty. Captured are networks, optimizers, SB3's counters, the replay buffer, the episodes under way with their
generators, the curiosity and the process's global generators. State-dependent exploration (``use_sde``) is the
exception: its noise matrix is drawn anew, so such a run goes on but doesn't repeat.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecMonitor

from agents.console.cli import UserError
from agents.runs.random_state import global_random_state, set_global_random_state
from envs.reading import checks
from vime.errors import VimeError

COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_current_progress_remaining")
CURIOSITY = "CuriosityVecEnvWrapper"
REPLAY_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def capture_state(model: BaseAlgorithm, whole_episodes: bool = False, **extra: Any) -> dict[str, Any]:
    """Everything needed to go on.

    Args:
        model: an SB3 algorithm between two rollouts.
        whole_episodes: the training was stopped in the middle of a rollout: the resumed run starts new episodes.
        extra: further plain data kept under ``progress`` (queries so far, seconds).
    """
    layers = list(_layers(model.get_env()))
    parameters = model.get_parameters()
    policy = parameters.pop("policy")
    training: dict[str, Any] = {name: getattr(model, name) for name in COUNTERS if hasattr(model, name)}
    training["episode_infos"] = [{key: float(value) for key, value in info.items()} for info in model.ep_info_buffer or ()]
    training["episode_successes"] = [float(value) for value in model.ep_success_buffer or ()]
    training["tensors"] = {name: getattr(model, name) for name in model._get_torch_save_params()[1]}
    training["action_space"] = model.action_space.np_random.bit_generator.state
    if not whole_episodes:
        training["last_obs"] = np.array(model._last_obs)
        training["last_episode_starts"] = np.array(model._last_episode_starts)
    return {
        "policy": policy,
        "optimizers": parameters,
        "training": training,
        "environment": [_layer_state(layer) for layer in layers if type(layer).__name__ != CURIOSITY],
        "curiosity": next((layer.state_dict() for layer in layers if type(layer).__name__ == CURIOSITY), None),  # type: ignore[attr-defined]
        "random": global_random_state(),
        "replay_buffer": _replay_state(getattr(model, "replay_buffer", None)),
        "progress": {"whole_episodes": whole_episodes, **extra},
    }


def restore_state(model: BaseAlgorithm, state: dict[str, Any]) -> None:
    """Put ``model`` (built with the same settings and environment) where the state was captured.

    The global generators are not touched: call :func:`restore_random_state` right before the next rollout.

    Raises:
        UserError: the state lacks something, or holds what does not fit the model.
    """
    with _named("the checkpoint does not fit its run"):
        _restore(model, state)


@contextmanager
def _named(where: str) -> Iterator[None]:
    """What setting a wrong or damaged state raises, as an error that says so."""
    try:
        yield
    except KeyError as error:
        raise UserError(f"{where}: it lacks {error}; go on from another checkpoint, or train again") from error
    except (TypeError, ValueError, AttributeError, IndexError, RuntimeError, ArithmeticError) as error:
        if isinstance(error, UserError | VimeError):
            raise
        raise UserError(f"{where}: {error}; go on from another checkpoint, or train again") from error


def _restore(model: BaseAlgorithm, state: dict[str, Any]) -> None:
    """See :func:`restore_state`."""
    model.set_parameters({"policy": state["policy"], **state["optimizers"]}, exact_match=True, device=model.device)
    training = state["training"]
    for name in COUNTERS:
        if name in training:
            kind = checks.number if name == "_current_progress_remaining" else checks.whole
            kind(training[name], f"the checkpoint's {name}", error=UserError)
            setattr(model, name, training[name])
    with torch.no_grad():
        for name, value in training["tensors"].items():
            getattr(model, name).copy_(value)
    model.ep_info_buffer = deque(training["episode_infos"], maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(training["episode_successes"], maxlen=model._stats_window_size)
    model.action_space.np_random.bit_generator.state = training["action_space"]
    layers = list(_layers(model.get_env()))
    if "curiosity" in state:
        curious = [layer for layer in layers if type(layer).__name__ == CURIOSITY]
        curious[0].load_state_dict(state["curiosity"])  # type: ignore[attr-defined]
        layers.remove(curious[0])
    saved_names, names = [layer["name"] for layer in state["environment"]], [type(layer).__name__ for layer in layers]
    if names != saved_names:
        raise UserError(f"the checkpoint was saved with the wrappers {saved_names}, the environment has {names}")
    for layer, saved in zip(layers, state["environment"], strict=True):
        _restore_layer(layer, saved)
    if any(layer["state"] is None and not layer["stateless"] for layer in state["environment"]):
        training.pop("last_obs", None)  # an environment that cannot save its episodes: begin new ones
    if "last_obs" in training:
        model._last_obs = training["last_obs"]
        model._last_episode_starts = training["last_episode_starts"]
    else:
        model._last_obs = None
    if state.get("replay_buffer") is not None:
        _restore_replay(model.replay_buffer, state["replay_buffer"])  # type: ignore[attr-defined]


def restore_random_state(state: dict[str, Any]) -> None:
    """Set the process's global generators to where they were when ``state`` was captured.

    Raises:
        UserError: the state of a generator is damaged.
    """
    with _named("the checkpoint's random state is damaged"):
        set_global_random_state(state["random"])


def _layers(env: VecEnv | None) -> Iterator[VecEnv]:
    """The environment's wrappers from the outermost to the innermost."""
    while env is not None:
        yield env
        env = env.venv if isinstance(env, VecEnvWrapper) else None


def _layer_state(layer: VecEnv) -> dict[str, Any]:
    """One wrapper's state: its own ``state_dict``, VecMonitor's running sums, or None."""
    name = type(layer).__name__
    if isinstance(layer, VecMonitor):
        sums = {"returns": layer.episode_returns, "lengths": layer.episode_lengths, "count": layer.episode_count}
        return {"name": name, "stateless": False, "state": sums}
    if "state_dict" not in dir(type(layer)):  # VecEnvWrapper's __getattr__ would find the inner one's
        return {"name": name, "stateless": isinstance(layer, VecEnvWrapper), "state": None}
    try:
        return {"name": name, "stateless": False, "state": layer.state_dict()}  # type: ignore[attr-defined]
    except UserError:
        return {"name": name, "stateless": False, "state": None}


def _restore_layer(layer: VecEnv, saved: dict[str, Any]) -> None:
    state = saved["state"]
    if state is None:
        return
    if isinstance(layer, VecMonitor):
        layer.episode_returns, layer.episode_lengths = state["returns"].copy(), state["lengths"].copy()
        layer.episode_count = state["count"]
    else:
        layer.load_state_dict(state)  # type: ignore[attr-defined]


def _replay_state(buffer: ReplayBuffer | None) -> dict[str, Any] | None:
    """The filled part of a replay buffer."""
    if buffer is None:
        return None
    filled = buffer.buffer_size if buffer.full else buffer.pos
    arrays = {name: getattr(buffer, name)[:filled] for name in REPLAY_ARRAYS if hasattr(buffer, name)}
    return {"position": buffer.pos, "full": buffer.full, "size": buffer.buffer_size, "arrays": arrays}


def _restore_replay(buffer: ReplayBuffer, state: dict[str, Any]) -> None:
    if state["size"] != buffer.buffer_size:
        raise UserError(
            f"the checkpoint's replay buffer holds {state['size']} steps an environment, this one {buffer.buffer_size}"
        )
    buffer.pos, buffer.full = state["position"], state["full"]
    for name, value in state["arrays"].items():
        getattr(buffer, name)[: len(value)] = value
