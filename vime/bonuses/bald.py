"""Expected information gain as a bonus: VIME's network, asked before the next observation is known."""

from __future__ import annotations

from typing import Any, ClassVar

from gymnasium import spaces

from vime.bonuses.vime import VIME


class BALD(VIME):
    """Mutual information between weights and next observation, in nats; looks at (obs, action) alone.

    Prospective where :class:`VIME` is retrospective, and blind to the noise of what happened: a noisy television
    offers nothing. Same options as VIME but for ``estimator``. [Houlsby et al. 2011; openai/vime issue 2]
    """

    name: ClassVar[str] = "bald"
    score_name: ClassVar[str] = "expected_info_gain_nats"

    def __init__(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], *, draws: int = 8, **options: Any
    ):
        if options.setdefault("estimator", "expected") != "expected":
            raise ValueError(f"BALD is the expected gain; for estimator={options['estimator']!r} use VIME")
        super().__init__(observation_space, action_space, draws=draws, **options)
