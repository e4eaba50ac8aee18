"""Where a session has not been: the expected information gain of a curiosity network that learns from its steps alone."""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
from torch import Tensor

from agents.app.errors import RequestError
from agents.explanation.information_gain import expected_gain_map
from agents.training.environments import curiosity_settings, latent_features
from envs.core import dynamics
from envs.core.state import State
from envs.core.world import World
from envs.gym.latent_env import world_spaces

LEAST = 8  # steps from which a network learns
MOST = 5000  # steps that are remembered
SIZE = 32  # cells along each side of the map


class SessionSteps:
    """The steps of one session, and the network that learns from them: VIME's, with the settings of latent spaces.

    Steps of walks with another goal on a score or labels than the world's are left out: their predictions have another
    meaning.

    Args:
        world: of the explorer.

    Attributes:
        steps: observation, action and next observation of each step.

    Example:
        >>> from envs import make_world
        >>> SessionSteps(make_world()).steps
        deque([], maxlen=5000)
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.steps: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=MOST)

    def add(self, world: World, before: State, action: Tensor, after: State) -> None:
        """Remember one step."""
        if world.classifier is self.world.classifier:
            first, last = (dynamics.observe(world, state).clone() for state in (before, after))
            self.steps.append((first, action.clone(), last))

    def gains(self) -> np.ndarray:
        """Expected gain on the map (n, n) in nats, row 0 at the bottom, of a network that is fitted anew. No query.

        Raises:
            RequestError: too few steps.
        """
        from vime import make_bonus

        if len(self.steps) < LEAST:
            raise RequestError(
                f"the curiosity network learns from your steps and has {len(self.steps)} of the {LEAST} that it needs: "
                f"take {LEAST - len(self.steps)} more"
            )
        settings = curiosity_settings("vime", None, {}, self.world).options | {"min_pool": LEAST}
        spaces = world_spaces(self.world)
        bonus = make_bonus("vime", spaces[0], spaces[1], seed=0, **latent_features(self.world), **settings)
        bonus.add(*(torch.cat(part) for part in zip(*self.steps, strict=True)))
        bonus.fit()
        return expected_gain_map(bonus, self.world, SIZE).gains
