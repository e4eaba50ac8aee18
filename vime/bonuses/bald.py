"""Expected information gain (BALD) as a bonus: VIME's network, before the next observation is known."""

from __future__ import annotations

from typing import Any, ClassVar

from gymnasium import spaces

from vime.bonuses.vime import VIME
from vime.errors import OptionError


class BALD(VIME):
    """Mutual information between the weights and the next observation, in nats; a function of (obs, action) alone.

    It is prospective where :class:`VIME` is retrospective, and does not depend on noise in what happened: a noisy TV has no
    value. Only ``first_changes`` looks at what happened: a target that never varied has no expected gain, and its first change
    by c deviations adds 1/2 ln(1 + c^2) nats.

    Reference: Houlsby et al., "Bayesian Active Learning for Classification and Preference Learning", 2011, section 2.

    Args:
        draws: Samples of the network per score, at least 2.
        options: Of :class:`VIME`, except ``estimator``.

    Example:
        >>> import gymnasium as gym, numpy as np
        >>> import vime
        >>> env = gym.make("Pendulum-v1")
        >>> bonus = vime.make_bonus("bald", env.observation_space, env.action_space, min_pool=64, updates=10)
        >>> draw = np.random.default_rng(0)
        >>> obs, act, nxt = (draw.normal(size=(64, k)) for k in (3, 1, 3))
        >>> bonus.add(obs, act, nxt)
        >>> figures = bonus.fit()
        >>> bool((bonus.score(obs, act, nxt) == bonus.score(obs, act, nxt + 1)).all())
        True
    """

    name: ClassVar[str] = "bald"
    score_name: ClassVar[str] = "expected_info_gain_nats"

    def __init__(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], *, draws: int = 8, **options: Any
    ):
        if options.setdefault("estimator", "expected") != "expected":
            raise OptionError(f"BALD is the expected gain; for estimator={options['estimator']!r} use VIME")
        super().__init__(observation_space, action_space, draws=draws, **options)
