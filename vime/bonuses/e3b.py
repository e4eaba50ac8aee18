"""Exploration by elliptical episodic bonuses."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from gymnasium import spaces
from torch import Tensor

from vime.arguments import positive_number
from vime.bonuses.base import Bonus
from vime.pool import Transitions
from vime.posteriors.leverage import Leverage
from vime.serialization import State, nest, part_of


class E3B(Bonus):
    """phi^T C^-1 phi, with C = ridge I + sum phi phi^T over all transitions so far: how unusual the features are.

    phi are the whitened features of the next observation. For a linear model of unit noise it is twice the information gain
    of a transition, to first order. In place of the paper's episodes there is the whole training, as for the other bonuses.

    Reference: Henaff, Raileanu, Jiang, Rocktaeschel, "Exploration via Elliptical Episodic Bonuses", 2022, eq. 2.

    Args:
        ridge: Added to the diagonal of C; the bonus of the first transition is its squared length over ``ridge``.
        shared: Options of :class:`vime.Bonus`.

    Example:
        >>> import gymnasium as gym, numpy as np
        >>> import vime
        >>> env = gym.make("Pendulum-v1")
        >>> bonus = vime.make_bonus("e3b", env.observation_space, env.action_space, min_pool=64)
        >>> obs, act, nxt = (np.random.default_rng(0).normal(size=(64, k)) for k in (3, 1, 3))
        >>> bonus.add(obs, act, nxt)
        >>> figures = bonus.fit()
        >>> bool(bonus.score(obs, act, nxt + 9).mean() > bonus.score(obs, act, nxt).mean())
        True
    """

    name: ClassVar[str] = "e3b"
    score_name: ClassVar[str] = "elliptical_bonus"
    units: ClassVar[str] = "squared whitened features"
    predicts_change: ClassVar[bool] = False
    score_options: ClassVar[tuple[str, ...]] = ("ridge", "first_changes")

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        *,
        ridge: float = 0.1,
        **shared: Any,
    ):
        super().__init__(observation_space, action_space, **shared)
        self.ridge = positive_number("ridge", ridge)
        self.ellipsoid = Leverage(self.target_size, 1)

    def _score(self, batch: Transitions) -> Tensor:
        targets, counts = self.surprising(batch)
        return self.ellipsoid(targets * counts)

    def _fit(self, updates: int) -> dict[str, float]:
        rows = self.target_whitener(self.pool.all().target)
        self.ellipsoid.begin(1.0 / self.ridge, torch.ones(1, dtype=torch.float32))
        self.ellipsoid.add(rows, rows.new_zeros(len(rows), 1))
        return {}

    def _model_state(self) -> State:
        return nest(ellipsoid=self.ellipsoid.state())

    def _load_model_state(self, state: State) -> None:
        self.ellipsoid.load(part_of(state, "ellipsoid"))
