"""Goal-conditioned walks: Dict observations and `compute_reward`, as hindsight experience replay needs them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from envs.errors import ManifoldError
from envs.gym.latent_env import LatentEnv, world_spaces

Observation = dict[str, np.ndarray]


class GoalEnv(gym.Env[Observation, np.ndarray]):
    """A walk whose goal is a class, as a goal-conditioned environment (Plappert and others, "Multi-Goal Reinforcement
    Learning", 2018).

    The observation is a ``Dict``: ``observation`` is that of `LatentEnv` without the target, ``achieved_goal`` the prediction
    (K,) for the present frame (one-hot if the classifier returns only labels), and ``desired_goal`` the target's one-hot (K,).
    The reward is 0 on arrival and -1 before. A walk that arrived at another class than the desired one shows how that class
    is reached: stable-baselines3's ``HerReplayBuffer`` learns from it through `compute_reward`.

    Args:
        render_mode: see `LatentEnv`.
        kwargs: the settings of `envs.config.WorldConfig`, or a built ``world=``. The task takes a target.

    Raises:
        ManifoldError: a task without targets, or guidance features, which depend on the target.

    Example:
        >>> import gymnasium as gym
        >>> import envs
        >>> env = gym.make("Manifold/DigitsGoal-v0")
        >>> observation, info = env.reset(seed=0, options={"target": "9"})
        >>> observation["desired_goal"].argmax()
        np.int64(9)
        >>> float(env.unwrapped.compute_reward(observation["desired_goal"], observation["desired_goal"], {}))
        0.0
    """

    metadata = LatentEnv.metadata

    def __init__(self, *, render_mode: str | None = None, **kwargs: Any) -> None:
        self.walk = LatentEnv(render_mode=render_mode, **kwargs)
        self.world, self.render_mode = self.walk.world, render_mode
        if not self.world.task.takes_target or self.world.task.takes_pair or self.world.guidance:
            what = "guidance=True" if self.world.guidance else f"the task {self.world.task.name!r}"
            raise ManifoldError(
                f"a goal-conditioned walk has a target of its own in each episode, which {what} does not allow"
            )
        (whole, self.action_space), k = world_spaces(self.world), self.world.classes
        goal = spaces.Box(0.0, 1.0, (k,), dtype=np.float32)
        own = spaces.Box(self._without_target(whole.low), self._without_target(whole.high), dtype=np.float32)
        self.observation_space: gym.Space[Any] = spaces.Dict({"observation": own, "achieved_goal": goal, "desired_goal": goal})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Start a walk; the options are those of `LatentEnv.reset`.

        Raises:
            ManifoldError: a target that is the input's own class.
        """
        super().reset(seed=seed)
        observation, info = self.walk.reset(seed=seed, options=options)
        state = self.walk.state
        if int(state.target[0]) == int(state.source[0]):
            name = self.world.class_names[int(state.target[0])]
            raise ManifoldError(f"the input is of class {name!r} already, which is not a goal: choose another target or index")
        return self._parts(observation), info

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move once; see `LatentEnv.step`."""
        observation, _, terminated, truncated, info = self.walk.step(action)
        parts = self._parts(observation)
        reward = float(self.compute_reward(parts["achieved_goal"], parts["desired_goal"], info))
        return parts, reward, terminated, truncated, info

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.ndarray:
        """Rewards (B,) or () of goals (B, K) or (K,): 0 where the desired class has been achieved, else -1."""
        probability = (achieved_goal * desired_goal).sum(-1)
        return np.asarray(np.where(probability >= self.world.task.tau, 0.0, -1.0), dtype=np.float32)

    def render(self) -> Any:
        """See `LatentEnv.render`."""
        return self.walk.render()

    def _without_target(self, observation: np.ndarray) -> np.ndarray:
        first = 2 * self.world.latent_dim + self.world.classes
        return np.delete(observation, slice(first, first + self.world.classes))

    def _parts(self, observation: np.ndarray) -> Observation:
        state = self.walk.state
        return {
            "observation": self._without_target(observation),
            "achieved_goal": state.prediction[0].numpy().clip(0.0, 1.0),
            "desired_goal": self.world.one_hot[int(state.target[0])].numpy().copy(),
        }
