"""Saved states: one flat dict of tensors, which safetensors and ``torch.load(weights_only=True)`` read.

Numbers are 0-d float64 or int64 tensors and come back bit for bit. Text is stored as UTF-8 bytes, options as JSON. The keys
of nested parts are joined by dots.
"""

from __future__ import annotations

import json
import numbers
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vime.errors import StateMismatchError

State = dict[str, Tensor]
OPTIONS = "options"
"""Key of the options with which a state was saved."""
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""Adam's state of each parameter."""


# ---- writing --------------------------------------------------------------------------------------------------------


def number(value: float | int | bool) -> Tensor:
    """Return a 0-d tensor that holds ``value`` exactly: int64 for integers and booleans, float64 otherwise."""
    if isinstance(value, numbers.Integral):  # bool is one
        return torch.tensor(int(value), dtype=torch.int64)
    return torch.tensor(float(value), dtype=torch.float64)


def text(value: str) -> Tensor:
    """Return the UTF-8 bytes of ``value`` as a uint8 vector."""
    return torch.tensor(list(value.encode()), dtype=torch.uint8)


def options_as_text(options: Mapping[str, Any]) -> Tensor:
    """Return options of plain Python values as one :func:`text` of canonical JSON."""
    return text(json.dumps(options, sort_keys=True, separators=(",", ":")))


def nest(**parts: Mapping[str, Tensor]) -> State:
    """Return ``{"part.key": tensor}`` from named parts; tensors are cloned, so that later training does not change them."""
    return {f"{part}.{key}": value.detach().clone() for part, state in parts.items() for key, value in state.items()}


# ---- reading --------------------------------------------------------------------------------------------------------


def part_of(state: Mapping[str, Tensor], part: str, required: bool = True) -> State:
    """Return the entries below ``part.``, without the prefix.

    Raises:
        StateMismatchError: There are none and ``required`` is True.
    """
    prefix = part + "."
    found = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    if required and not found:
        raise StateMismatchError(
            f"the state has no entries below {prefix!r}; it has {sorted({k.split('.')[0] for k in state})}: "
            "was it saved by another kind of bonus, or by the wrapper rather than by the bonus alone?"
        )
    return found


def entry(state: Mapping[str, Tensor], key: str, owner: str) -> Tensor:
    """Return ``state[key]``, or raise StateMismatchError if it is missing."""
    if key not in state:
        raise StateMismatchError(f"the state of {owner} lacks {key!r}: it is incomplete, or of another version")
    return state[key]


def scalar(state: Mapping[str, Tensor], key: str, owner: str) -> float:
    """Return a number that :func:`number` wrote, or raise StateMismatchError."""
    value = entry(state, key, owner)
    if value.numel() != 1:
        raise StateMismatchError(f"the state of {owner} has {key!r} of shape {tuple(value.shape)} instead of one number")
    found: float = value.item()
    return found


def whole(state: Mapping[str, Tensor], key: str, owner: str) -> int:
    """Return an integer of at least 0 that :func:`number` wrote, or raise StateMismatchError."""
    value = scalar(state, key, owner)
    if not value >= 0 or value != value // 1:
        raise StateMismatchError(f"the state of {owner} has {key}={value}, which is not a whole number of at least 0")
    return int(value)


def read_text(state: Mapping[str, Tensor], key: str, owner: str) -> str:
    """Inverse of :func:`text`; raises StateMismatchError if the entry is not text."""
    value = entry(state, key, owner)
    try:
        return bytes(value.tolist()).decode()
    except (TypeError, ValueError) as error:
        raise StateMismatchError(f"the state of {owner} has {key!r} that is not text: {error}") from error


def expect_like(state: Mapping[str, Tensor], like: Mapping[str, Tensor], owner: str) -> None:
    """Check that ``state`` has the keys and shapes of ``like``.

    Raises:
        StateMismatchError: It has not; the message names the key and both shapes.
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


def expect_options(state: Mapping[str, Tensor], options: Mapping[str, Any], owner: str) -> None:
    """Check that ``state`` was saved with ``options``.

    Options that only one of the two has are ignored, and so are states without options.

    Raises:
        StateMismatchError: An option differs; the message names both values.
    """
    if OPTIONS not in state:
        return
    try:
        saved = dict(json.loads(read_text(state, OPTIONS, owner)))
    except (TypeError, ValueError, RecursionError) as error:
        raise StateMismatchError(f"the state of {owner} has options that cannot be read: {error}") from error
    present = json.loads(json.dumps(options))  # tuples are lists, as in the saved ones
    differing = [name for name in present if name in saved and saved[name] != present[name]]
    if differing:
        those, these = (", ".join(f"{name}={of[name]!r}" for name in differing) for of in (saved, present))
        raise StateMismatchError(
            f"the state of {owner} was saved with {those}, this one has {these}, which changes the meaning of the state: "
            f"build it with {those}"
        )


# ---- optimizers -----------------------------------------------------------------------------------------------------


def optimizer_state(optimizer: torch.optim.Optimizer) -> State:
    """Return the per-parameter tensors of an Adam-like optimizer, with keys ``"<parameter number>.<name>"``."""
    saved: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {f"{i}.{name}": torch.as_tensor(value) for i, moments in saved.items() for name, value in moments.items()}


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor], owner: str) -> None:
    """Inverse of :func:`optimizer_state`. Hyperparameters such as the learning rate stay those of ``optimizer``.

    Raises:
        StateMismatchError: Another number of parameters, other shapes, or a missing moment.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        index, _, name = key.partition(".")
        known = index.isdecimal() and int(index) < len(parameters)
        allowed = {tuple(parameters[int(index)].shape)} if known else set()
        if known and name not in MOMENTS[1:]:
            allowed.add(())  # counters
        if tuple(value.shape) not in allowed:
            raise StateMismatchError(
                f"the optimizer state of {owner} has {name!r} of shape {tuple(value.shape)} for parameter {index}, "
                "which does not fit; build it with the same hidden sizes as the one that was saved"
            )
        entries.setdefault(int(index), {})[name] = value.clone()
    for i, found in entries.items():
        for name in MOMENTS:
            entry(found, name, f"the optimizer of {owner}, parameter {i},")
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
