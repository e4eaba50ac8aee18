"""The single environment: `envs.core.dynamics` with a batch of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces

from envs.building.world import make_world
from envs.core import dynamics
from envs.core.guidance import LIMIT
from envs.core.state import State
from envs.core.world import World
from envs.errors import ManifoldError
from envs.gym.coverage import Coverage
from envs.gym.episodes import Draws, chosen, drawn, slipped
from envs.gym.rendering import Renderer
from envs.runtime.plain import plain
from envs.runtime.torch_defaults import in_usual_torch


def world_from(world: World | None, kwargs: Mapping[str, Any]) -> World:
    """The given world, or the one that the keywords describe.

    Raises:
        ManifoldError: both are given.
    """
    if world is None:
        return make_world(**kwargs)
    if kwargs:
        raise ManifoldError(f"pass either world= or {', '.join(kwargs)}: a built world has them already")
    return world


def world_spaces(world: World) -> tuple[spaces.Box, spaces.Box]:
    """Observation and action space of a world."""
    d, k = world.latent_dim, world.classes
    # Codes are divided by the typical radius; the corner of a box lies at most sqrt(d) further out.
    edge = np.full(2 * d, 1.0 + 1e-5, dtype=np.float32)
    static = np.full(world.manifold.static_size, world.config.loudness + 1e-5)
    guidance = np.full(world.obs_dim - 2 * d - 2 * k - len(static), LIMIT)
    low = np.concatenate([-edge, np.full(k, -1.0 - 1e-5), np.zeros(k), -guidance, -static]).astype(np.float32)
    high = np.concatenate([edge, np.zeros(k), np.ones(k), guidance, static]).astype(np.float32)
    return spaces.Box(low, high, dtype=np.float32), spaces.Box(-1.0, 1.0, (d,), dtype=np.float32)


class LatentEnv(gym.Env[np.ndarray, np.ndarray]):
    """A walk along a latent manifold to where the classifier's prediction changes.

    ## Description
    An input is encoded. Each action moves its code; each code is decoded to a frame, and the classifier, a black box, predicts
    the frame's class. The task defines where the walk arrives: for shipped data, at a target class with probability at least
    tau; for the user's own data or classifier, at the first frame whose most probable class is the target. The frames from
    the input to there are the explanation.

    ## Action space
    ``Box(-1, 1, (d,))``. Actions longer than 1 are shortened to the unit ball; a full action moves `step_length`, calibrated
    so that its median effect on the decoded data is an eighth of the distance between classes.

    ## Observation space
    ``Box`` of 2 d + 2 K numbers: the code and the initial code divided by the typical radius, the prediction as log
    max(p, 1e-4) scaled to [-1, 0], and the target's one-hot. If the classifier returns only labels, the prediction part is the
    label's one-hot less one. The observation does not hold the time step. With ``guidance=True``, it has 2 d more numbers: the
    downhill direction of the costs that are known without a query (see `envs.core.guidance`). With ``distractors``, 8 numbers
    of noise follow (see `envs.manifolds.Distracted`).

    ## Reward
    A bonus for arriving, minus the increase of the state's cost (its distance to the input and, if weighted, to the target
    class's own data), minus a small cost a step, plus gamma Phi' - Phi, where the potential Phi is the scaled log probability
    of the target (0 at the end). See `envs.core.weights.Weights`. The label-only task pays 1 for arriving and nothing else.

    ## Episode end
    ``terminated`` on arrival. Gymnasium's TimeLimit wrapper truncates at the step limit.

    ## Info
    ``is_success``, ``step_length`` (in data space), ``typicality`` (1: as typical as real data), ``queries`` (of this step, in
    rows), and ``target_probability`` unless labels alone are shown.

    ## Arguments
    The settings of `envs.config.WorldConfig`, or a built ``world=``. Strings and numbers suffice, so that Gymnasium's spec
    goes through JSON. `reset` takes ``options={"index": 3, "target": "9", "split": "held_out"}``.

    ## Version history
    v0: first version.

    Example:
        >>> import gymnasium as gym
        >>> import envs
        >>> env = gym.make("Manifold/Digits-v0")
        >>> observation, info = env.reset(seed=0, options={"index": 3, "target": "9"})
        >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        >>> info["queries"]
        1
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 4}

    def __init__(self, *, world: World | None = None, render_mode: str | None = None, **kwargs: Any) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ManifoldError(f"render_mode must be one of {self.metadata['render_modes']} or None, not {render_mode!r}")
        self.world = world_from(world, kwargs)
        self.render_mode = render_mode
        self.observation_space, self.action_space = world_spaces(self.world)
        self._draws: Draws | None = None
        self._state: State | None = None
        self._renderer = Renderer(self.world)
        self._coverage = Coverage(self.world) if self.world.task.scores_coverage else None

    @property
    def state(self) -> State:
        """The present state of the walk, a batch of one."""
        if self._state is None:
            raise gym.error.ResetNeeded("call reset() before step() or state")
        return self._state

    @in_usual_torch
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a walk; see `envs.gym.episodes.chosen` for the options."""
        seed = plain(seed)
        super().reset(seed=seed)
        if seed is not None or self._draws is None:
            self._draws = Draws([self.np_random])
            self._slips = self._draws.spawned(self.world.latent_dim + 1)
        numbers = self._draws(np.zeros(1, dtype=np.int64))
        if options:
            self._state, queries = chosen(self.world, options, numbers)
        else:
            self._state, queries = drawn(self.world, numbers), torch.zeros(1)
        self._renderer.see(self._state, 0, restart=True)
        return self._observation(), {"queries": int(queries[0])}

    @in_usual_torch
    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move once.

        Raises:
            ManifoldError: an action of another shape, or not finite.
        """
        array = np.asarray(action, dtype=np.float32)
        if array.shape != self.action_space.shape:
            raise ManifoldError(f"an action must have shape {self.action_space.shape}, got {array.shape}")
        if not np.isfinite(array).all():
            raise ManifoldError(f"an action must be finite, got {array.tolist()}")
        given = torch.from_numpy(array)[None]
        if self.world.config.slip:
            given = slipped(self.world, given, self._slips(np.zeros(1, dtype=np.int64)))
        self._state, step = dynamics.step(self.world, self.state, given)
        self._renderer.see(self._state, 0)
        info: dict[str, Any] = {
            "is_success": bool(step.is_success[0]),
            "step_length": float(step.step_length[0]),
            "typicality": float(step.typicality[0]),
            "queries": int(step.queries[0]),
        }
        if not self.world.label_only:
            info["target_probability"] = float(step.goal[0])
        if self._coverage is not None:
            self._coverage.see(self._state.z, self._state.prediction)
            info |= self._coverage.figures
        return self._observation(), float(step.reward[0]), bool(step.terminated[0]), False, info

    def _observation(self) -> np.ndarray:
        return dynamics.observe(self.world, self.state)[0].numpy().copy()

    def render(self) -> Any:
        """The frame beside the map of the latent space with the path so far (``rgb_array``), or text (``ansi``)."""
        return None if self.render_mode is None else self._renderer.draw(self.render_mode)
