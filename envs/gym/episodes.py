"""The beginning of an episode: reproducible random draws, and the `options` of `reset`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.core import dynamics
from envs.core.starts import Starts
from envs.core.state import State
from envs.core.world import World
from envs.errors import ManifoldError, UnknownNameError

BLOCK = 64  # episodes drawn at a time: one generator call in 64 resets keeps autoreset cheap
OPTIONS = ("index", "target", "split", "reset_mask")


class Draws:
    """Uniform numbers for episodes of n environments (two each: reference row and target), one generator an environment.

    The i-th of n environments draws what a single environment with the same seed draws.

    Args:
        generators: one an environment.
        width: numbers an episode.

    Example:
        >>> Draws([np.random.default_rng(0)])(np.array([0])).shape
        (1, 2)
    """

    def __init__(self, generators: Sequence[np.random.Generator], width: int = 2) -> None:
        self.generators = list(generators)
        n = len(self.generators)
        self.block = np.zeros((n, BLOCK, width))
        self.position = np.full(n, BLOCK)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """The next numbers of the environments `rows` (m,): (m, width) in [0, 1)."""
        position = self.position[rows]
        if position.max(initial=0) >= BLOCK:
            for i in rows[position >= BLOCK]:
                self.block[i] = self.generators[i].random(self.block.shape[1:])
                self.position[i] = 0
            position = self.position[rows]
        self.position[rows] = position + 1
        return self.block[rows, position]

    def spawned(self, width: int) -> Draws:
        """Draws of this width, independent of these and defined by the same seeds."""
        return Draws([generator.spawn(1)[0] for generator in self.generators], width)

    def state_dict(self) -> dict[str, Any]:
        """Arrays from which the draws continue exactly."""
        states = [generator.bit_generator.state for generator in self.generators]
        words = [[state["state"]["state"], state["state"]["inc"]] for state in states]
        split = [[part for word in pair for part in (word >> 64, word & (2**64 - 1))] for pair in words]
        return {
            "generators": np.array(split, dtype=np.uint64),
            "has_uint32": np.array([[state["has_uint32"], state["uinteger"]] for state in states], dtype=np.uint64),
            "block": self.block.copy(),
            "position": self.position.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.generators = []
        for words, half in zip(state["generators"].tolist(), state["has_uint32"].tolist(), strict=True):
            bits = np.random.PCG64()
            pair = {"state": (words[0] << 64) | words[1], "inc": (words[2] << 64) | words[3]}
            whole: Any = {"bit_generator": "PCG64", "state": pair, "has_uint32": half[0], "uinteger": half[1]}
            bits.state = whole
            self.generators.append(np.random.Generator(bits))
        self.block, self.position = state["block"].copy(), state["position"].copy()


def slipped(world: World, action: Tensor, draws: np.ndarray) -> Tensor:
    """Actions (m, d), each replaced with probability `WorldConfig.slip` by one of its length in a random direction.

    Args:
        world: of the walks.
        action: (m, d).
        draws: (m, d + 1) uniform numbers.
    """
    direction = torch.special.ndtri(torch.from_numpy(draws[:, 1:]).clamp(1e-12, 1 - 1e-12)).to(action)
    other = direction * (action.norm(dim=1) / direction.norm(dim=1).clamp_min(1e-12))[:, None]
    return torch.where(torch.from_numpy(draws[:, :1] < world.config.slip), other, action)


def drawn(world: World, draws: np.ndarray, starts: Starts | None = None) -> State:
    """States of random reference rows with random targets, from two uniform numbers each (m, 2), by `starts` if they are
    prepared. No query."""
    index, target = world.task.begin(world.reference, draws)
    return dynamics.start(world, index, target) if starts is None else starts(index, target)


def chosen(world: World, options: Mapping[str, Any], draws: np.ndarray) -> tuple[State, Tensor]:
    """States for the `options` of `reset`.

    Args:
        world: of the walks.
        options: ``index``, row(s) of the split; ``split``, ``reference`` (the default, no query) or ``held_out`` (queried, see
            `dynamics.enter`); ``target``, class name(s) or index(es). Several values are one for each of the m walks. The
            source class as target means its prototype (see `envs.core.tasks`).
        draws: (m, 2) uniform numbers, for options that are not given.

    Returns:
        The states, and (m,) queries in rows.

    Raises:
        ManifoldError: an index outside the split, an unknown class, or a target for a task that takes none.
    """
    for name in options:
        if name not in OPTIONS:
            raise UnknownNameError("reset option", name, OPTIONS)
    m = len(draws)
    split = options.get("split", "reference")
    if split not in ("reference", "held_out"):
        raise UnknownNameError("split", split, ("reference", "held_out"))
    rows = len(world.reference.x if split == "reference" else world.held_out.x)
    u = torch.from_numpy(draws)
    index = (u[:, 0] * rows).long()
    if options.get("index") is not None:
        wanted = np.asarray(options["index"])
        if wanted.dtype.kind not in "iu" or wanted.shape not in ((), (1,), (m,)):
            raise ManifoldError(
                f"index must be a whole number, or one for each of the {m} walks that are reset, not {options['index']!r}"
            )
        index = torch.as_tensor(np.broadcast_to(wanted, (m,)).astype(np.int64))
        if int(index.min()) < 0 or int(index.max()) >= rows:
            raise ManifoldError(f"index {options['index']} is outside the split {split!r} of {rows} rows (0 to {rows - 1})")
    requested = options.get("target")
    target = None
    if requested is not None:
        names = [requested] * m if isinstance(requested, str) or np.ndim(requested) == 0 else list(requested)
        if len(names) != m:
            raise ManifoldError(f"{len(names)} targets for {m} environments")
        target = torch.tensor([world.class_index(name.item() if isinstance(name, np.generic) else name) for name in names])
    if split == "reference":
        source = world.reference.label[index]
        if target is None:
            target = world.task.targets(source, u[:, 1], world.classes)
        else:
            _check_target(world, source, target)
        return dynamics.start(world, index, target), torch.zeros(m, dtype=torch.int64)
    cells = None if world.held_out.cells is None else world.held_out.cells[index]
    state, queries = dynamics.enter(world, world.held_out.x[index], target, cells)
    if target is not None:
        _check_target(world, state.source, target)
    else:
        state = state._replace(target=world.task.targets(state.source, u[:, 1], world.classes))
        state = dynamics.refresh(world, state)
    return state, queries


def _check_target(world: World, source: Tensor, target: Tensor) -> None:
    """Refuse targets that the task does not take."""
    if not world.task.takes_target and (target != source).any():
        wrong = int((target != source).nonzero()[0, 0])
        raise ManifoldError(
            f"the task {world.task.name!r} starts from the input's own class, {world.class_names[int(source[wrong])]!r}; "
            f"target {world.class_names[int(target[wrong])]!r} makes no sense there: leave it out, or use task='reach'"
        )
