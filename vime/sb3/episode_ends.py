"""Reads the info dicts of a vector environment at the end of episodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from vime.errors import MissingInfoError
from vime.spaces import SpaceEncoder

Infos = list[dict[str, Any]]


def successes(dones: np.ndarray, infos: Infos) -> list[bool]:
    """Return whether each of the episodes that ended in this step succeeded.

    Raises:
        MissingInfoError: An info dict of such an episode lacks ``is_success``.
    """
    ended = [infos[i] for i in np.flatnonzero(dones)]
    if any("is_success" not in info for info in ended):
        raise MissingInfoError(
            "an episode ended without infos[i]['is_success'], which success_decay= depends on: set it in the "
            "environment, or use decay= instead"
        )
    return [bool(info["is_success"]) for info in ended]


def true_next(encode: SpaceEncoder, rows: Tensor, dones: np.ndarray, infos: Infos) -> Tensor:
    """Return the observations (n_envs, O) that followed: at the end of an episode its last one, not the reset's.

    Args:
        encode: Encoder of observations.
        rows: Encoded observations (n_envs, O) that the environment returned.
        dones: (n_envs,) whether an episode ended.
        infos: Info dicts of the step.

    Raises:
        MissingInfoError: An info dict lacks the last observation.
    """
    ended = np.flatnonzero(dones)
    if not len(ended):
        return rows
    missing = [int(i) for i in ended if "terminal_observation" not in infos[i]]
    if missing:
        raise MissingInfoError(
            f"environments {missing[:8]} ended without infos[i]['terminal_observation']: a vector environment that resets "
            "itself must put the last observation there, as those of Stable-Baselines3 do"
        )
    last = _stack(encode.space, [infos[i]["terminal_observation"] for i in ended])
    following = rows.clone()
    following[torch.from_numpy(ended)] = encode(last, ended.tolist())
    return following


def with_extrinsic(infos: Infos, rewards: np.ndarray) -> Infos:
    """Return copies of the infos with ``extrinsic_reward``; an adapter may share one dict between environments."""
    return [{**info, "extrinsic_reward": reward} for info, reward in zip(infos, rewards.tolist(), strict=True)]


def _stack(space: spaces.Space[Any], items: list[Any]) -> Any:
    """Stack single elements of ``space`` to a batch for :class:`vime.spaces.SpaceEncoder`."""
    if isinstance(space, spaces.Dict):
        return {key: _stack(part, [item[key] for item in items]) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_stack(part, [item[i] for item in items]) for i, part in enumerate(space.spaces))
    return np.stack([np.asarray(item) for item in items])
