"""Stable-Baselines3's VecEnv over a Gymnasium vector environment: one decode and one classifier call for all.

SB3 refuses a ``gymnasium.vector.VectorEnv`` and ships no adapter. The adapter asks for ``AutoresetMode.SAME_STEP``,
which is SB3's own convention (the observation returned at an episode's end is the next episode's first), so that
nothing has to be computed here: a step is a call of the vector environment and the renaming of a few fields of the
episodes that ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from agents.console.cli import UserError
from agents.walkers.planning.surrogate import QueriedRows
from envs.gym.latent_vector_env import LatentVectorEnv


class LatentVecEnv(VecEnv):
    """A batch of n environments for SB3's algorithms.

    ``step`` returns observations (n, obs_dim) float32, rewards (n,) float32, dones (n,) bool and n info dicts. The
    dict of an episode that ended holds ``terminal_observation`` (obs_dim,), ``TimeLimit.truncated`` (truncated and not
    terminated) and every number of the environment's final info (``is_success``, ``queries`` ...); the others are
    empty. Batch users read arrays instead:

    Attributes:
        final_observations: (n, obs_dim): what the last step led to, before any reset.
        done_mask: (n,) bool: whose episode the last step ended.
        step_infos: the vector environment's own infos of the last step (a dict of arrays).
        queried: a sample of the queries, for the planned last step.

    Args:
        venv: a vector environment with a flat Box observation, in SAME_STEP mode.

    Raises:
        UserError: the vector environment resets in another mode.
    """

    def __init__(self, venv: VectorEnv) -> None:
        mode = venv.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise UserError(
                f"the vector environment's autoreset_mode is {mode}, SB3 needs AutoresetMode.SAME_STEP: "
                "make it with autoreset_mode=AutoresetMode.SAME_STEP"
            )
        self.venv = venv
        super().__init__(venv.num_envs, venv.single_observation_space, venv.single_action_space)
        shape = venv.single_observation_space.shape
        if shape is None:
            raise UserError(f"observation space {venv.single_observation_space} has no shape; a Box is needed")
        self.final_observations = np.zeros((self.num_envs, *shape), dtype=np.float32)
        self.done_mask = np.zeros(self.num_envs, dtype=bool)
        self.step_infos: dict[str, Any] = {}
        self.queried = QueriedRows()
        self._actions = np.zeros((self.num_envs, *(venv.single_action_space.shape or ())), dtype=np.float32)

    def reset(self) -> np.ndarray:
        """Observations (n, obs_dim) of new episodes; ``seed`` and ``set_options`` hold for this reset alone."""
        options = self._options[0] or None
        if any((other or None) is not options and other != self._options[0] for other in self._options):
            raise UserError("set_options got different options for single environments; give one dict, with arrays inside")
        # An int s gives environment i the seed s + i, as Gymnasium documents: the same list that VecEnv.seed made.
        obs, infos = self.venv.reset(seed=self._seeds[0], options=options)
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [{key: infos[key][i] for key in _plain_keys(infos, i)} for i in range(self.num_envs)]
        self.done_mask = np.zeros(self.num_envs, dtype=bool)
        self.final_observations = obs
        return obs

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        obs, rewards, terminated, truncated, infos = self.venv.step(self._actions)
        self._check_finite("reward", rewards)
        self._check_finite("observation", obs)
        dones = np.logical_or(terminated, truncated)
        info_dicts: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        final_observations = obs
        done_indices = np.flatnonzero(dones)
        if done_indices.size:
            final_observations = obs.copy()
            final = infos["final_obs"]
            final_info = infos.get("final_info", {})
            numbers = [key for key in final_info if not key.startswith("_") and isinstance(final_info[key], np.ndarray)]
            timed_out = np.logical_and(truncated, np.logical_not(terminated))
            for i in done_indices.tolist():
                final_observations[i] = final[i]
                info = {key: final_info[key][i] for key in numbers}
                info["terminal_observation"] = final_observations[i]
                info["TimeLimit.truncated"] = bool(timed_out[i])
                if "is_success" in info:
                    info["is_success"] = bool(info["is_success"])
                info_dicts[i] = info
        self.final_observations, self.done_mask, self.step_infos = final_observations, dones, infos
        if isinstance(walks := self.venv.unwrapped, LatentVectorEnv):
            state = walks.state
            self.queried.see(state.z, state.prediction, state.home if walks.world.frames_depend_on_inputs else None)
        return obs, np.asarray(rewards, dtype=np.float32), dones, info_dicts

    def _check_finite(self, what: str, values: np.ndarray) -> None:
        """Raise UserError where an environment's own numbers are none: they would spoil every weight that learns from them."""
        if np.isfinite(values).all():
            return
        bad = int(np.flatnonzero(~np.isfinite(values).reshape(self.num_envs, -1).all(axis=1))[0])
        spec = getattr(self.venv, "spec", None)
        name = type(self.venv.unwrapped).__name__ if spec is None else spec.id
        raise UserError(
            f"{name} gave the {what} {np.asarray(values)[bad]} in environment {bad} of {self.num_envs}, on the action "
            f"{np.asarray(self._actions)[bad]}: every {what} must be a finite number; correct the environment's step()"
        )

    def close(self) -> None:
        self.venv.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The vector environment's attribute, once for each index: the environments of a batch share theirs."""
        value = getattr(self.venv, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set the attribute for the whole batch.

        Raises:
            UserError: ``indices`` name a part of the batch only.
        """
        self._need_all(indices, f"set_attr({attr_name!r})")
        setattr(self.venv, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call the vector environment's method once; its result stands once for each index."""
        result = getattr(self.venv, method_name)(*method_args, **method_kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """A batch has no single environments that could be wrapped: False for each."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """One (H, W, 3) uint8 picture for each environment (render mode ``rgb_array``)."""
        return list(self.venv.render() or ())  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on exactly (plain data), if the vector environment offers it.

        Raises:
            UserError: it does not.
        """
        inner = self.venv.unwrapped
        if not hasattr(inner, "state_dict"):
            raise UserError(f"{type(inner).__name__} has no state_dict: episodes under way cannot be saved")
        return {"environment": inner.state_dict(), "queried": self.queried.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`state_dict` was taken."""
        self.venv.unwrapped.load_state_dict(state["environment"])  # type: ignore[attr-defined]
        self.queried.load_state_dict(state["queried"])

    def _need_all(self, indices: VecEnvIndices, call: str) -> None:
        chosen: Iterable[int] = self._get_indices(indices)
        if set(chosen) != set(range(self.num_envs)):
            raise UserError(f"{call} for indices {indices}: a batch shares its attributes; leave indices out")


def _plain_keys(infos: dict[str, Any], i: int) -> list[str]:
    """The keys of a vector info that hold a value for environment i."""
    return [
        key
        for key, value in infos.items()
        if not key.startswith("_") and isinstance(value, np.ndarray) and _has(infos.get("_" + key), i)
    ]


def _has(mask: np.ndarray | None, i: int) -> bool:
    return mask is None or bool(mask[i])
