"""Novelty difference: what is newer than where the agent came from."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from gymnasium import spaces
from torch import Tensor

from vime.arguments import is_real
from vime.bonuses.rnd import RND
from vime.errors import OptionError
from vime.pool import Transitions


class NovelD(RND):
    """max(0, novelty(next) - alpha novelty(present)), with the novelty of random network distillation.

    The agent is paid at the boundary of what it knows, and not for staying beyond it. The paper's restriction to the first
    visit in an episode is left out: a score depends on the transition alone.

    Reference: Zhang et al., "NovelD: A Simple yet Effective Exploration Criterion", 2021, eq. 3.

    Args:
        alpha: From 0 (RND) to 1; the paper uses 0.5.
        options: Of :class:`vime.RND`.

    Example:
        >>> import gymnasium as gym, numpy as np
        >>> import vime
        >>> env = gym.make("Pendulum-v1")
        >>> bonus = vime.make_bonus("noveld", env.observation_space, env.action_space, min_pool=64, updates=50)
        >>> obs, act, nxt = (np.random.default_rng(0).normal(size=(64, k)) for k in (3, 1, 3))
        >>> bonus.add(obs, act, nxt)
        >>> figures = bonus.fit()
        >>> bool(bonus.score(obs, act, obs + 9).mean() > bonus.score(obs + 9, act, obs + 9).mean())
        True
    """

    name: ClassVar[str] = "noveld"
    score_name: ClassVar[str] = "novelty_difference"
    score_options: ClassVar[tuple[str, ...]] = ("alpha",)

    def __init__(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], *, alpha: float = 0.5, **options: Any
    ):
        super().__init__(observation_space, action_space, **options)
        if not is_real(alpha) or not 0 <= alpha <= 1:
            raise OptionError(f"alpha must be from 0 to 1, got {alpha!r}")
        self.alpha = float(alpha)

    def _score(self, batch: Transitions) -> Tensor:
        return torch.relu(self._errors(batch.target) - self.alpha * self._errors(self.prediction_target(batch.obs)))
