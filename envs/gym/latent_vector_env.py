"""The native vector environment: n walks in one batch, one decode and one classifier call a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from envs.core import dynamics
from envs.core.factual import nothing_held
from envs.core.starts import Starts
from envs.core.state import State
from envs.core.world import World
from envs.errors import ManifoldError
from envs.gym.coverage import Coverage
from envs.gym.episodes import BLOCK, Draws, chosen, drawn, slipped
from envs.gym.latent_env import world_from, world_spaces
from envs.gym.rendering import Renderer
from envs.runtime.plain import plain
from envs.runtime.torch_defaults import in_usual_torch

MANY = 16  # walks from which preparing all starts pays
SHARED = ("z0", "factual", "cells", "base", "source", "target")  # parts of the state that a step does not change


class LatentVectorEnv(gym.vector.VectorEnv):
    """`n` walks of one world, stepped together; see `LatentEnv` for the spaces, the reward and the arguments.

    The i-th walk equals a `LatentEnv` that is reset with ``seed + i``, up to rounding in batched matrix products. A step
    queries one row for each walk that moves: walks that are being reset (NEXT_STEP) or have ended (DISABLED) need no query.

    Args:
        num_envs: n.
        world: a built world; without it, the remaining keywords go to `make_world`.
        autoreset_mode: NEXT_STEP (Gymnasium's default), SAME_STEP (for Stable-Baselines3: ``final_obs`` and ``final_info``
            are in the infos) or DISABLED (reset by ``options={"reset_mask": ...}``).
        max_episode_steps: steps after which a walk is truncated.
        render_mode: ``rgb_array``, ``ansi`` or None; `render` returns one frame a walk.

    Example:
        >>> import gymnasium as gym
        >>> import envs
        >>> venv = gym.make_vec("Manifold/Digits-v0", num_envs=4)
        >>> observations, infos = venv.reset(seed=0)
        >>> observations.shape
        (4, 36)
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 4, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        *,
        world: World | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        if num_envs < 1:
            raise ManifoldError(f"num_envs must be at least 1, not {num_envs}")
        self.num_envs = num_envs
        self.world = world_from(world, kwargs)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ManifoldError(f"render_mode must be one of {self.metadata['render_modes']} or None, not {render_mode!r}")
        self.max_episode_steps = max_episode_steps or self.world.max_episode_steps
        self.render_mode = render_mode
        self.single_observation_space, self.single_action_space = world_spaces(self.world)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._starts = Starts(self.world) if num_envs >= MANY else None
        self._draws: Draws | None = None
        self._state: State | None = None
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._over = np.zeros(num_envs, dtype=bool)
        self._renderers: list[Renderer] = []
        self._coverage = Coverage(self.world) if self.world.task.scores_coverage else None

    @property
    def state(self) -> State:
        """The present state of the walks."""
        if self._state is None:
            raise gym.error.ResetNeeded("call reset() before step() or state")
        return self._state

    @in_usual_torch
    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start every walk, or those of ``options["reset_mask"]``.

        Args:
            seed: one number (walk i takes seed + i) or one a walk; None continues the present draws.
            options: ``index``, ``target``, ``split`` (see `envs.gym.episodes.chosen`) and ``reset_mask`` (n,) bool.
        """
        seed = plain(seed)
        requested = dict(options or {})
        mask = np.asarray(requested.pop("reset_mask", np.ones(self.num_envs, dtype=bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise ManifoldError(f"reset_mask must be ({self.num_envs},) bool with at least one True, got {mask!r}")
        if self._state is None and not mask.all():
            raise gym.error.ResetNeeded("the first reset must start every walk: leave reset_mask out")
        if seed is not None or self._draws is None:
            seeds = [None if seed is None else seed + i for i in range(self.num_envs)] if not isinstance(seed, list) else seed
            if len(seeds) != self.num_envs:
                raise ManifoldError(f"{len(seeds)} seeds for {self.num_envs} environments")
            self._seed(seeds, np.flatnonzero(mask))
        rows = np.flatnonzero(mask)
        assert self._draws is not None
        numbers = self._draws(rows)
        state, queries = (
            chosen(self.world, requested, numbers) if requested else (drawn(self.world, numbers), torch.zeros(len(rows)))
        )
        self._put(rows, state)
        if self.render_mode is not None:
            self._trace(rows, restart=True)
        counted = np.zeros(self.num_envs, dtype=np.int64)
        counted[rows] = queries.numpy()
        return self._observation(), {"queries": counted, "_queries": mask.copy()}

    def _seed(self, seeds: list[int | None], rows: np.ndarray) -> None:
        """New generators for the walks `rows`; without a seed, present draws continue."""
        first = self._draws is None
        if self._draws is None:
            self._draws = Draws([seeding.np_random(seed)[0] for seed in seeds])
            self._slips = self._draws.spawned(self.world.latent_dim + 1)
        for i in rows:
            if seeds[i] is not None and not first:
                self._draws.generators[i], self._draws.position[i] = seeding.np_random(seeds[i])[0], BLOCK
                if self.world.config.slip:
                    self._slips.generators[i], self._slips.position[i] = self._draws.generators[i].spawn(1)[0], BLOCK

    @in_usual_torch
    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Move every walk that is not over; the autoreset mode decides what happens to the others.

        Raises:
            ManifoldError: actions of another shape, or not finite.
        """
        state = self.state
        action = self._checked(actions)
        resetting = self._over.copy() if self._over.any() else None
        if resetting is not None and self.autoreset_mode is AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded(
                f"walks {np.flatnonzero(resetting).tolist()} are over: call reset(options={{'reset_mask': mask}}) first"
            )
        rows = None if resetting is None else np.flatnonzero(~resetting)
        if self.world.config.slip:
            moving = np.arange(self.num_envs) if rows is None else rows
            action = action.clone()
            action[moving] = slipped(self.world, action[moving], self._slips(moving))
        if rows is None:
            self._state, info = dynamics.step(self.world, state, action)
        else:
            info = self._step_some(state, action, rows)
        self._steps += 1
        moved = np.ones(self.num_envs, dtype=bool) if resetting is None else ~resetting
        reward, terminated, success, length, typicality, queries, goal = (self._spread(value.numpy(), rows) for value in info)
        truncated = (self._steps >= self.max_episode_steps) & ~terminated
        values = {"is_success": success, "step_length": length, "typicality": typicality, "queries": queries}
        if not self.world.label_only:
            values["target_probability"] = goal
        if self._coverage is not None:
            self._coverage.see(self.state.z, self.state.prediction)
            values |= {name: np.full(self.num_envs, value) for name, value in self._coverage.figures.items()}
        infos: dict[str, Any] = {**values, **{"_" + name: moved for name in values}}
        if resetting is not None:
            self._restart(np.flatnonzero(resetting))
            truncated &= moved
        self._over = terminated | truncated
        if self.render_mode is not None:
            self._trace(np.flatnonzero(moved))
        observation = self._observation()
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._over.any():
            over = self._over
            infos |= {"final_obs": observation, "_final_obs": over, "final_info": {**infos}, "_final_info": over}
            self._over = np.zeros(self.num_envs, dtype=bool)
            done = np.flatnonzero(over)
            begun = self._restart(done, stepped=resetting is None)
            observation = observation.copy()
            observation[done] = dynamics.observe(self.world, begun).numpy()
        return observation, reward, terminated, truncated, infos

    def _step_some(self, state: State, action: torch.Tensor, rows: np.ndarray) -> dynamics.StepInfo:
        """Step the walks `rows` alone."""
        index = torch.from_numpy(rows)
        moved, info = dynamics.step(self.world, State(*(value[index] for value in state)), action[index])
        self._put(rows, moved, fresh=False)
        return info

    def _spread(self, value: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        """Values of `rows` in an array for all walks, zero for the others."""
        if rows is None:
            return value
        full = np.zeros(self.num_envs, dtype=value.dtype)
        full[rows] = value
        return full

    def _restart(self, rows: np.ndarray, stepped: bool = False) -> State:
        """Begin random episodes for the walks `rows`, and return their states."""
        assert self._draws is not None
        begun = drawn(self.world, self._draws(rows), self._starts)
        self._put(rows, begun, stepped=stepped)
        if self.render_mode is not None:
            self._trace(rows, restart=True)
        return begun

    def _put(self, rows: np.ndarray, state: State, fresh: bool = True, stepped: bool = False) -> None:
        """Set the states of the walks `rows`. `fresh`: they begin at step 0. `stepped`: all walks have just made a step."""
        if self._state is None or len(rows) == self.num_envs:
            self._state = state
        else:
            # Only arrays that a step has just made are written in place: earlier states must not change.
            parts = {}
            for name, old, new in zip(State._fields, self._state, state, strict=True):
                if not old.shape[-1]:
                    continue
                part = old.numpy()
                if not stepped or name in SHARED:
                    part = part.copy()
                    parts[name] = torch.from_numpy(part)
                part[rows] = new.numpy()
            self._state = self._state._replace(**parts)
        if fresh:
            self._steps[rows] = 0
            self._over[rows] = False

    def _checked(self, actions: np.ndarray) -> torch.Tensor:
        """Actions (n, d) as float32; others are refused."""
        array = np.asarray(actions, dtype=np.float32)
        if array.shape != self.action_space.shape:
            raise ManifoldError(f"actions must have shape {self.action_space.shape}, got {array.shape}")
        if not np.isfinite(array.sum()) and not np.isfinite(array).all():
            raise ManifoldError(
                f"actions must be finite; walk {int(np.argwhere(~np.isfinite(array))[0, 0])} was given NaN or infinity"
            )
        return torch.from_numpy(array)

    def _observation(self) -> np.ndarray:
        return dynamics.observe(self.world, self.state).numpy()

    def _trace(self, rows: np.ndarray, restart: bool = False) -> None:
        """Record the states of the walks, for `render`."""
        if not self._renderers:
            self._renderers = [Renderer(self.world) for _ in range(self.num_envs)]
        for i in rows:
            self._renderers[i].see(self.state, int(i), restart)

    def render(self) -> tuple[Any, ...] | None:
        """One frame a walk: an image (H, W, 3) uint8, or text; None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(renderer.draw(self.render_mode) for renderer in self._renderers)

    def state_dict(self) -> dict[str, Any]:
        """Arrays from which the walks and their random draws continue exactly."""
        assert self._draws is not None
        walks = {f"state/{name}": value.numpy().copy() for name, value in self.state._asdict().items()}
        draws = {f"draws/{name}": value for name, value in self._draws.state_dict().items()}
        if self.world.config.slip:
            draws |= {f"slips/{name}": value for name, value in self._slips.state_dict().items()}
        seen = self._coverage.state_dict() if self._coverage is not None else {}
        draws |= {f"coverage/{name}": value for name, value in seen.items()}
        return {**walks, **draws, "steps": self._steps.copy(), "over": self._over.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict` of an environment with as many walks.

        Raises:
            ManifoldError: another number of walks.
        """
        if len(state["steps"]) != self.num_envs:
            raise ManifoldError(f"the saved state has {len(state['steps'])} walks, this environment {self.num_envs}")
        if self._draws is None:
            self._draws = Draws([])
        self._draws.load_state_dict({name[6:]: value for name, value in state.items() if name.startswith("draws/")})
        if self.world.config.slip:
            self._slips = Draws([])
            self._slips.load_state_dict({name[6:]: value for name, value in state.items() if name.startswith("slips/")})
        parts = {name[6:]: torch.from_numpy(value.copy()) for name, value in state.items() if name.startswith("state/")}
        if "base" not in parts:  # saved before states held the user's own cells
            factual = self.world.factual_of(parts["factual"], parts["z0"])
            parts |= {"cells": factual.cells, "base": factual.base}
        parts.setdefault("held", nothing_held(parts["factual"], self.world.units.anchored))  # saved before states had it
        self._state = State(**parts)
        self._steps, self._over = state["steps"].copy(), state["over"].copy()
        if self._coverage is not None:
            self._coverage.load_state_dict({name[9:]: value for name, value in state.items() if name.startswith("coverage/")})
        if self.render_mode is not None:
            self._trace(np.arange(self.num_envs), restart=True)
