"""Whether what a training learned is still made of numbers: NaN and infinity are never saved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from agents.console.cli import UserError


class DivergedTrainingError(UserError):
    """A network or its optimizer holds NaN or infinity; the message names where."""


def check_finite(model: Any) -> None:
    """Raise DivergedTrainingError unless weights, optimizer states and present actions of an SB3 algorithm are finite."""
    for name, tensor in _tensors(model.get_parameters(), ""):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            count = int((~torch.isfinite(tensor)).sum())
            raise DivergedTrainingError(
                f"{count} of the {tensor.numel():,} numbers of {name} are NaN or infinite after {model.num_timesteps:,} steps"
            )
    if model._last_obs is not None and not _acts(model):
        raise DivergedTrainingError(
            f"the policy's actions are NaN or infinite after {model.num_timesteps:,} steps (its weights are finite, but huge)"
        )


def _acts(model: Any) -> bool:
    """Whether the deterministic policy's actions are finite; torch's distributions refuse other means with a ValueError."""
    try:
        actions, _ = model.predict(model._last_obs, deterministic=True)
    except ValueError:
        return False
    return bool(np.isfinite(actions).all())


def _tensors(tree: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of nested dicts and lists, each with the path of keys that leads to it."""
    if isinstance(tree, torch.Tensor):
        yield name, tree
    elif isinstance(tree, dict | list | tuple):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _tensors(value, f"{name}.{key}" if name else str(key))
