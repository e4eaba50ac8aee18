"""State as one flat dict of tensors: safetensors saves it as it is, and torch.load reads it with weights_only=True.

Numbers become 0-d float64 or int64 tensors, so that they come back bit for bit; nested parts are joined by dots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]


class StateMismatchError(ValueError):
    """A state that was saved by something of another shape, kind or version."""


def number(value: float | int | bool) -> Tensor:
    """0-d tensor that holds ``value`` exactly: int64 for whole numbers and booleans, float64 otherwise."""
    if isinstance(value, (bool, int)):
        return torch.tensor(int(value), dtype=torch.int64)
    return torch.tensor(float(value), dtype=torch.float64)


def nest(**parts: Mapping[str, Tensor]) -> State:
    """{"part.key": tensor} from named parts; tensors are cloned, so that later training does not change the state."""
    return {f"{part}.{key}": value.detach().clone() for part, state in parts.items() for key, value in state.items()}


def part_of(state: Mapping[str, Tensor], part: str, required: bool = True) -> State:
    """The entries below ``part.``, without the prefix.

    StateMismatchError where there are none and some are required.
    """
    prefix = part + "."
    found = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    if required and not found:
        raise StateMismatchError(
            f"the state has no entries below {prefix!r}; it has {sorted({k.split('.')[0] for k in state})}: "
            "was it saved by another kind of bonus, or by the wrapper rather than by the bonus alone?"
        )
    return found


def expect_like(state: Mapping[str, Tensor], like: Mapping[str, Tensor], owner: str) -> None:
    """Raise StateMismatchError, naming the key and both shapes, unless ``state`` has the keys and shapes of
    ``like``.
    """
    missing, extra = sorted(set(like) - set(state)), sorted(set(state) - set(like))
    if missing or extra:
        raise StateMismatchError(
            f"the state of {owner} lacks {missing or 'nothing'} and has {extra or 'nothing'} beyond what is expected; "
            "build it with the same options as the one that was saved"
        )
    for key, value in like.items():
        if tuple(state[key].shape) != tuple(value.shape):
            raise StateMismatchError(
                f"the state of {owner} has {key!r} of shape {tuple(state[key].shape)}, this one needs "
                f"{tuple(value.shape)}; "
                "build it with the same spaces, hidden sizes and options as the one that was saved"
            )


def optimizer_state(optimizer: torch.optim.Optimizer) -> State:
    """Per-parameter tensors of an Adam-like optimizer, keyed "<parameter number>.<name>"."""
    saved: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {f"{i}.{name}": torch.as_tensor(value) for i, entry in saved.items() for name, value in entry.items()}


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor], owner: str) -> None:
    """Inverse of :func:`optimizer_state`; hyperparameters such as the learning rate stay those of ``optimizer``."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        index, name = key.split(".", 1)
        entries.setdefault(int(index), {})[name] = value.clone()
    for i, entry in entries.items():
        for name, value in entry.items():
            if i >= len(parameters) or (value.ndim > 0 and value.shape != parameters[i].shape):
                raise StateMismatchError(
                    f"the optimizer state of {owner} has {name!r} of shape {tuple(value.shape)} for parameter {i}, "
                    "which "
                    "does not fit; build it with the same hidden sizes as the one that was saved"
                )
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
