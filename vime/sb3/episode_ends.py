"""What the info dicts of a vector environment say of a step, and of the episodes that ended with it."""

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
    """Whether each of the episodes that ended now succeeded; MissingInfoError where the environment does not say."""
    ended = [infos[i] for i in np.flatnonzero(dones)]
    if any("is_success" not in info for info in ended):
        raise MissingInfoError(
            "an episode ended without infos[i]['is_success'], by which success_decay= takes the bonus away: let the "
            "environment say it, or use decay= instead"
        )
    return [bool(info["is_success"]) for info in ended]


def true_next(encode: SpaceEncoder, rows: Tensor, dones: np.ndarray, infos: Infos) -> Tensor:
    """The observations (n_envs, O) that truly followed: those of finished episodes instead of those after the reset.

    rows: the encoded observations that the environment returned. MissingInfoError where it does not keep the last ones.
    """
    ended = np.flatnonzero(dones)
    if not len(ended):
        return rows
    missing = [int(i) for i in ended if "terminal_observation" not in infos[i]]
    if missing:
        raise MissingInfoError(
            f"environments {missing[:8]} ended without infos[i]['terminal_observation']: a vector environment that resets "
            "itself must put the last observation there, as Stable-Baselines3's own do"
        )
    last = _stack(encode.space, [infos[i]["terminal_observation"] for i in ended])
    following = rows.clone()
    following[torch.from_numpy(ended)] = encode(last, ended.tolist())
    return following


def with_extrinsic(infos: Infos, rewards: np.ndarray) -> Infos:
    """The infos and the reward without a bonus; a new dict each, because an adapter may return one and the same for all."""
    return [{**info, "extrinsic_reward": reward} for info, reward in zip(infos, rewards.tolist(), strict=True)]


def _stack(space: spaces.Space[Any], items: list[Any]) -> Any:
    """Single elements of ``space`` -> a batch as :class:`vime.spaces.SpaceEncoder` takes it."""
    if isinstance(space, spaces.Dict):
        return {key: _stack(part, [item[key] for item in items]) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_stack(part, [item[i] for item in items]) for i, part in enumerate(space.spaces))
    return np.stack([np.asarray(item) for item in items])
