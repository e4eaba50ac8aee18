"""The native vector environment of the control tasks: n systems in one array."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from envs.control import TASKS
from envs.control.task import ControlTask
from envs.errors import ManifoldError, UnknownNameError
from envs.gym.episodes import BLOCK, Draws

OPTIONS = ("reset_mask", "state")


def task_named(task: str | ControlTask, settings: Mapping[str, Any] | None = None) -> ControlTask:
    """The task of a key of `envs.control.TASKS` with its settings; a task is returned as it is.

    Raises:
        UnknownNameError: If there is no such task.
        TypeError: If it has no such setting, in Python's own words: torchrl tries settings out.
        ManifoldError: If settings come with a task that exists already.
    """
    settings = settings or {}
    if isinstance(task, ControlTask):
        if settings:
            raise ManifoldError(f"{', '.join(settings)}: this task exists already and has its settings; leave them out")
        return task
    if task not in TASKS:
        raise UnknownNameError("control task", task, TASKS)
    known = [name for name in inspect.signature(TASKS[task]).parameters if name not in ("args", "kwargs")]
    for name in settings:
        if name not in known:
            own = ", ".join(known) or "none"
            raise TypeError(f"the control task {task!r} got an unexpected keyword argument {name!r}; its settings: {own}")
    return TASKS[task](**settings)


def checked_mode(render_mode: str | None) -> str | None:
    """Check a render mode.

    Raises:
        UnknownNameError: If the control tasks do not have it.
    """
    if render_mode not in (None, "rgb_array"):
        raise UnknownNameError("render mode", render_mode, ("rgb_array",))
    return render_mode


class ControlVectorEnv(gym.vector.VectorEnv):
    """`n` systems of one control task in one array. System i equals a `ControlEnv` that was reset with seed ``seed + i``.

    Args:
        num_envs: Number of systems n.
        task: Key of `envs.control.TASKS`, or a task.
        max_episode_steps: Steps after which an episode is truncated.
        autoreset_mode: NEXT_STEP (Gymnasium's default), SAME_STEP (for Stable-Baselines3) or DISABLED (reset by
            ``options={"reset_mask": ...}``).
        render_mode: ``rgb_array`` or None.
        settings: Of the task, such as ``size`` of `envs.control.DeepSea`.

    Raises:
        ManifoldError: If there is no system.
        UnknownNameError: If there is no such task or render mode.
        TypeError: If the task has no such setting.

    Example:
        >>> import gymnasium as gym
        >>> env = gym.make_vec("VIME/SparseMountainCar-v0", num_envs=3)
        >>> observation, info = env.reset(seed=0)
        >>> observation.shape
        (3, 2)
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        *,
        task: str | ControlTask,
        max_episode_steps: int,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        if num_envs < 1:
            raise ManifoldError(f"num_envs must be at least 1, not {num_envs}")
        self.num_envs = num_envs
        self.task = task_named(task, settings)
        self.max_episode_steps = max_episode_steps
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.render_mode = checked_mode(render_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = self.task.observation_space
        self.single_action_space = self.task.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._draws: Draws | None = None
        self._state: np.ndarray | None = None
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._over = np.zeros(num_envs, dtype=bool)
        self._paid = np.zeros(num_envs, dtype=bool)

    @property
    def state(self) -> np.ndarray:
        """Physical states, (n, S)."""
        if self._state is None:
            raise gym.error.ResetNeeded("call reset() before step() or state")
        return self._state

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start every system, or those of a mask.

        Args:
            seed: Seed of system 0 (system i gets ``seed + i``), or one seed per system.
            options: ``reset_mask``, (n,) bool; ``state``, initial states (S,) or (n, S).

        Raises:
            ManifoldError: If the mask, the states or the seeds have another shape, or states are not finite.
            UnknownNameError: If there is no such option.
        """
        for name in options or {}:
            if name not in OPTIONS:
                raise UnknownNameError("reset option", name, OPTIONS)
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, dtype=bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise ManifoldError(f"reset_mask must be ({self.num_envs},) bool with at least one True, got {mask!r}")
        if self._state is None and not mask.all():
            raise gym.error.ResetNeeded("the first reset must start every system: omit reset_mask")
        if seed is not None or self._draws is None:
            seeds = seed if isinstance(seed, list) else [None if seed is None else seed + i for i in range(self.num_envs)]
            if len(seeds) != self.num_envs:
                raise ManifoldError(f"{len(seeds)} seeds for {self.num_envs} environments")
            self._seed(seeds, mask)
        self._begin(np.flatnonzero(mask), (options or {}).get("state"))
        return self.task.observe(self.state), {}

    def _seed(self, seeds: list[int | None], mask: np.ndarray) -> None:
        """Set new generators for the masked systems. Systems without a seed continue their present draws, if there are any."""
        if self._draws is None:
            self._draws = Draws([seeding.np_random(seed)[0] for seed in seeds], self.task.draws)
            return
        for i in np.flatnonzero(mask):
            if seeds[i] is not None:
                self._draws.generators[i], self._draws.position[i] = seeding.np_random(seeds[i])[0], BLOCK

    def _begin(self, rows: np.ndarray, given: Any = None) -> None:
        """Start an episode in the systems `rows`."""
        assert self._draws is not None
        begun = self.task.start(self._draws(rows))
        if given is not None:
            begun = self._given(given, begun.shape[1])[rows]
        self._state = np.zeros((self.num_envs, begun.shape[1])) if self._state is None else self._state.copy()
        self._state[rows] = begun
        self._steps[rows], self._over[rows], self._paid[rows] = 0, False, False

    def _given(self, state: Any, size: int) -> np.ndarray:
        """The states (n, S) given by the caller."""
        array = np.asarray(state, dtype=np.float64)
        if array.shape not in ((size,), (self.num_envs, size)) or not np.isfinite(array).all():
            raise ManifoldError(
                f"state must hold {', '.join(self.task.state_names)}: shape ({size},) or ({self.num_envs}, {size}), "
                f"finite; got {state!r}"
            )
        return np.broadcast_to(array, (self.num_envs, size))

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advance every system whose episode is not over. Actions (n, 1) are clipped to [-1, 1]; of a ``Discrete`` space (n,).

        Raises:
            ManifoldError: If actions have another shape or are not finite.
        """
        state, action = self.state, self._checked(actions)
        resetting = self._over.copy()
        if resetting.any() and self.autoreset_mode is AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded(
                f"systems {np.flatnonzero(resetting).tolist()} are over: call reset(options={{'reset_mask': mask}}) first"
            )
        moved = ~resetting
        self._state = np.where(moved[:, None], self.task.advance(state, action), state)
        self._steps += 1
        reward = np.where(moved, self.task.reward(self._state), 0.0)
        terminated = self.task.terminated(self._state) & moved
        truncated = (self._steps >= self.max_episode_steps) & ~terminated & moved
        self._paid |= reward > 0
        infos: dict[str, Any] = {"is_success": self._paid.copy(), "_is_success": moved}
        if resetting.any():
            self._begin(np.flatnonzero(resetting))
        self._over = terminated | truncated
        observation = self.task.observe(self._state)
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._over.any():
            over, final = self._over, observation
            infos |= {"final_obs": final, "_final_obs": over, "final_info": {**infos}, "_final_info": over}
            self._begin(np.flatnonzero(over))
            self._over = np.zeros(self.num_envs, dtype=bool)
            observation = self.task.observe(self._state)
        return observation, reward, terminated, truncated, infos

    def _checked(self, actions: np.ndarray) -> np.ndarray:
        """Actions (n,), checked: in [-1, 1], or numbers of a ``Discrete`` space."""
        array = np.asarray(actions, dtype=np.float64)
        if array.shape != self.action_space.shape:
            raise ManifoldError(f"actions must have shape {self.action_space.shape}, got {array.shape}")
        if not np.isfinite(array).all():
            raise ManifoldError(
                f"actions must be finite; system {int(np.argwhere(~np.isfinite(array))[0, 0])} was given NaN or infinity"
            )
        if not isinstance(self.single_action_space, gym.spaces.Discrete):
            return np.clip(array[:, 0], -1.0, 1.0)
        if not np.isin(array, np.arange(self.single_action_space.n)).all():
            raise ManifoldError(f"actions must be numbers from 0 to {self.single_action_space.n - 1}, got {array.tolist()}")
        return array

    def render(self) -> tuple[np.ndarray, ...] | None:
        """One RGB image (H, W, 3) uint8 per system; None without a render mode."""
        return None if self.render_mode is None else tuple(self.task.picture(state) for state in self.state)

    def state_dict(self) -> dict[str, Any]:
        """Plain arrays from which `load_state_dict` continues the episodes and random draws exactly."""
        assert self._draws is not None
        draws = {f"draws/{name}": value for name, value in self._draws.state_dict().items()}
        own = {"state": self.state.copy(), "steps": self._steps.copy(), "over": self._over.copy(), "paid": self._paid.copy()}
        return {**own, **draws}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from the `state_dict` of an environment with as many systems.

        Raises:
            ManifoldError: If the number of systems differs.
        """
        if len(state["steps"]) != self.num_envs:
            raise ManifoldError(f"the saved state has {len(state['steps'])} systems, this environment {self.num_envs}")
        if self._draws is None:
            self._draws = Draws([], self.task.draws)
        self._draws.load_state_dict({name[6:]: value for name, value in state.items() if name.startswith("draws/")})
        self._state, self._steps = state["state"].copy(), state["steps"].copy()
        self._over, self._paid = state["over"].copy(), state["paid"].copy()
