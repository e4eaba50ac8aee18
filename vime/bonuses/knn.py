"""Distance to the nearest stored observations."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from gymnasium import spaces
from torch import Tensor

from vime.bonuses.base import Bonus
from vime.errors import OptionError, StateMismatchError
from vime.pool import Transitions
from vime.serialization import State

CHUNK = 1024


class KNN(Bonus):
    """ln(1 + mean distance of the next observation to its nearest neighbours in a memory), at least 0.

    This is the particle estimate of state entropy, in the space of whitened features instead of a random encoder's.

    Reference: Seo et al., "State Entropy Maximization with Random Encoders for Efficient Exploration", 2021, eq. 3.

    Args:
        neighbours: Number of nearest neighbours, usually 3 to 12. Many: a smoother score, which takes longer to fall after a
            visit.
        memory: Number of transitions that are drawn from the pool at each fit; the cost of a score is linear in it.
        shared: Options of :class:`vime.Bonus`.

    Example:
        >>> import gymnasium as gym, numpy as np
        >>> import vime
        >>> env = gym.make("Pendulum-v1")
        >>> bonus = vime.make_bonus("knn", env.observation_space, env.action_space, min_pool=64)
        >>> obs, act, nxt = (np.random.default_rng(0).normal(size=(64, k)) for k in (3, 1, 3))
        >>> bonus.add(obs, act, nxt)
        >>> figures = bonus.fit()
        >>> bool(bonus.score(obs, act, nxt + 9).mean() > bonus.score(obs, act, nxt).mean())
        True
    """

    name: ClassVar[str] = "knn"
    score_name: ClassVar[str] = "log_knn_distance"
    units: ClassVar[str] = "log whitened distance"
    predicts_change: ClassVar[bool] = False
    score_options: ClassVar[tuple[str, ...]] = ("neighbours", "first_changes")

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        neighbours: int = 3,
        memory: int = 4096,
        **shared: Any,
    ):
        super().__init__(observation_space, action_space, **shared)
        if not 1 <= neighbours <= min(memory, self.min_pool):
            raise OptionError(
                f"neighbours must be from 1 to the smaller of memory ({memory}) and min_pool ({self.min_pool}), got "
                f"{neighbours}"
            )
        self.neighbours, self.memory_size = neighbours, memory
        self.memory = torch.zeros(0, self.target_size, dtype=torch.float32)

    def _score(self, batch: Transitions) -> Tensor:
        targets, counts = self.surprising(batch)
        columns = counts if counts.ndim == 1 else counts.any(0)
        memory, rows = self.memory[:, columns], targets[:, columns]
        nearest = [torch.cdist(part, memory).topk(self.neighbours, largest=False).values.mean(1) for part in rows.split(CHUNK)]
        return torch.log1p(torch.cat(nearest))

    def _fit(self, updates: int) -> dict[str, float]:
        stored = self.pool.all()
        if len(self.pool) > self.memory_size:
            # Without replacement: a repeated row would be its own nearest neighbour.
            chosen = torch.randperm(len(self.pool), generator=self.random.generator)[: self.memory_size]
            stored = Transitions(*(column[chosen] for column in stored))
        self.memory = self.target_whitener(stored.target)
        return {"memory": float(len(self.memory))}

    def _model_state(self) -> State:
        return {"memory": self.memory}

    def _load_model_state(self, state: State) -> None:
        memory = state["memory"]
        if memory.ndim != 2 or memory.shape[1] != self.target_size or len(memory) > self.memory_size:
            raise StateMismatchError(
                f"the saved memory has shape {tuple(memory.shape)}, this one holds up to ({self.memory_size}, "
                f"{self.target_size}): pass memory={len(memory)} or more, and the saved one's predict="
            )
        self.memory = memory.clone()
