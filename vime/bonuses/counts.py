"""Counts of cells of the whitened features."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from gymnasium import spaces
from torch import Tensor

from vime.arguments import positive_number, whole_number
from vime.bonuses.base import Bonus
from vime.errors import StateMismatchError
from vime.pool import Transitions
from vime.serialization import State

PRIME = 1_000_003


class Counts(Bonus):
    """1 / sqrt(n + 1), n the number of visits of the next observation's cell.

    The cells are a grid over random projections of the whitened features, so that their number does not grow with the
    features: a pseudo-count in latent cells.

    Reference: Bellemare et al., "Unifying Count-Based Exploration and Intrinsic Motivation", 2016, eq. 10; Tang et al.,
    "#Exploration", 2017 (hashed cells).

    Args:
        dimensions: Number of projections; with as many features or fewer the features themselves are used.
        width: Width of a cell in standard deviations. Small: every transition is new. Large: nothing is.
        shared: Options of :class:`vime.Bonus`.

    Example:
        >>> import gymnasium as gym, numpy as np
        >>> import vime
        >>> env = gym.make("Pendulum-v1")
        >>> bonus = vime.make_bonus("counts", env.observation_space, env.action_space, min_pool=64)
        >>> obs, act, nxt = (np.random.default_rng(0).normal(size=(64, k)) for k in (3, 1, 3))
        >>> bonus.add(obs, act, nxt)
        >>> figures = bonus.fit()
        >>> bool(bonus.score(obs, act, nxt + 9).mean() > bonus.score(obs, act, nxt).mean())
        True
    """

    name: ClassVar[str] = "counts"
    score_name: ClassVar[str] = "count_bonus"
    units: ClassVar[str] = "1 / sqrt(visits)"
    predicts_change: ClassVar[bool] = False
    score_options: ClassVar[tuple[str, ...]] = ("width", "first_changes")

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        dimensions: int = 4,
        width: float = 1.0,
        **shared: Any,
    ):
        super().__init__(observation_space, action_space, **shared)
        self.width = positive_number("width", width)
        kept = whole_number("dimensions", dimensions)
        self.directions = torch.eye(self.target_size, dtype=torch.float32)
        if self.target_size > kept:
            drawn = torch.randn(self.target_size, kept, generator=self.random.generator, dtype=torch.float32)
            self.directions = drawn / drawn.norm(dim=0)
        self.cells = torch.zeros(0, dtype=torch.int64)
        self.visits = torch.zeros(0, dtype=torch.int64)

    def _cells(self, targets: Tensor) -> Tensor:
        """Numbers of the cells (B,) int64 of whitened features (B, D)."""
        places = torch.floor(targets @ self.directions / self.width).long()
        number = torch.zeros(len(places), dtype=torch.int64)
        for column in places.unbind(1):
            number = number * PRIME + column
        return number

    def _score(self, batch: Transitions) -> Tensor:
        cells = self._cells(self.surprising(batch)[0])
        places = torch.searchsorted(self.cells, cells).clamp(max=max(len(self.cells) - 1, 0))
        seen = torch.where(self.cells[places] == cells, self.visits[places], 0)
        return (seen.to(torch.float32) + 1.0).rsqrt()

    def _fit(self, updates: int) -> dict[str, float]:
        self.cells, self.visits = self._cells(self.target_whitener(self.pool.all().target)).unique(return_counts=True)
        return {"cells": float(len(self.cells))}

    def _model_state(self) -> State:
        return {"directions": self.directions, "cells": self.cells, "visits": self.visits}

    def _load_model_state(self, state: State) -> None:
        if state["directions"].shape != self.directions.shape or len(state["cells"]) != len(state["visits"]):
            raise StateMismatchError(
                f"the saved cells have directions of shape {tuple(state['directions'].shape)}, this one "
                f"{tuple(self.directions.shape)}: pass dimensions={state['directions'].shape[1]} and the saved one's predict="
            )
        self.directions, self.cells, self.visits = (state[k].clone() for k in ("directions", "cells", "visits"))
