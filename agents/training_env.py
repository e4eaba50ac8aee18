"""What a training walks in: a world by id or live, its batched VecEnv, and the curiosity on top.

Order of the wrappers, from the inside: LatentVecEnv, VecMonitor (so that ``rollout/ep_rew_mean`` stays the
environment's own reward), the curiosity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import torch
import yaml
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecMonitor

import envs
from agents.algorithms import HYPERPARAMETER_FOLDER
from agents.cli import UserError
from agents.sb3_vec_env import LatentVecEnv
from envs.making import configure, make_world_named
from envs.registration import SPECS, spec_kwargs

if TYPE_CHECKING:
    from envs.world import World

CURIOSITIES = ("none", "vime", "bald", "l2", "rnd", "disagreement", "knn")


def make_world_of(env_id: str, kwargs: dict[str, Any], progress: bool = False) -> World | None:
    """The world behind an id, or None for an id of Gymnasium's that is no latent space.

    Raises:
        ManifoldError, gymnasium.error.Error: unknown id (close ones are offered) or arguments.
    """
    if env_id not in SPECS:
        if env_id in gymnasium.registry:
            return None
        spec_kwargs(env_id)  # raises, with close names
    return make_world_named(env_id, kwargs, progress)


def trained_walk(world: World, given: dict[str, Any]) -> tuple[World, dict[str, Any]]:
    """The world set up for training (walks.yml), and the settings that this took; those that were `given` stay."""
    groups = yaml.safe_load((HYPERPARAMETER_FOLDER / "walks.yml").read_text())
    settings = groups["labels" if world.label_only else "probabilities"]
    chosen = {name: value for name, value in settings.items() if name not in given}
    if "reward" in settings and "reward" in given:
        chosen["reward"] = {**settings["reward"], **given["reward"]}
    return configure(world, **chosen), chosen


def make_vec_env(env_id: str, kwargs: dict[str, Any], world: World | None, n_envs: int) -> VecEnv:
    """n monitored environments: one batch over a world, or any other Gymnasium id's own."""
    if world is not None:
        batch = envs.LatentVectorEnv(n_envs, world=world, autoreset_mode=AutoresetMode.SAME_STEP)
        return VecMonitor(LatentVecEnv(batch))
    spec = gymnasium.spec(env_id)
    if spec.vector_entry_point is not None:
        try:
            return VecMonitor(
                LatentVecEnv(gymnasium.make_vec(env_id, n_envs, autoreset_mode=AutoresetMode.SAME_STEP, **kwargs))
            )
        except TypeError:
            pass  # a vector environment that cannot choose its mode: walk single ones
    single = {"autoreset_mode": AutoresetMode.SAME_STEP}
    return VecMonitor(
        LatentVecEnv(gymnasium.make_vec(env_id, n_envs, vectorization_mode="sync", vector_kwargs=single, **kwargs))
    )


def add_curiosity(env: VecEnv, told: dict[str, Any], seed: int, world: World | None) -> Any:
    """The curiosity wrapper around ``env``; its ``callback()`` belongs to the training.

    Args:
        env: a monitored VecEnv.
        told: ``name``, one of :data:`CURIOSITIES` but ``none``; ``eta``, the weight of the bonus (None: the wrapper's
            own); ``options``, further arguments of the wrapper or the bonus.
        seed: of the bonus's own generator.
        world: if given, the bonus predicts what is *seen*: the decoded frame and the classifier's answer. Both are
            computed from the observation, so that where only labels are shown nothing but the label goes in.

    Raises:
        UserError: an option that neither takes, or a value that they refuse.
    """
    import inspect

    from vime import BonusMixer, CuriosityVecEnvWrapper, make_bonus

    wrapping = {"mode", "fit_every", *inspect.signature(BonusMixer.__init__).parameters} - {"self", "eta"}
    options = dict(told["options"])
    mixing = {key: options.pop(key) for key in list(options) if key in wrapping}
    if told["eta"] is not None:
        mixing["eta"] = told["eta"]
    predict = None if world is None else SeenOf(world)
    try:
        bonus = make_bonus(told["name"], env.observation_space, env.action_space, seed=seed, predict=predict, **options)
        return CuriosityVecEnvWrapper(env, bonus, **mixing)
    except (TypeError, ValueError) as error:
        raise UserError(f"--curiosity {told['name']} refuses its settings {told['options']}: {error}") from error


def curiosity_of(env: Any) -> Any:
    """The curiosity wrapper among the wrappers of ``env``, or None."""
    while env is not None and type(env).__name__ != "CuriosityVecEnvWrapper":
        env = getattr(env, "venv", None) if isinstance(env, VecEnvWrapper) else None
    return env


class SeenOf:
    """What an observation shows: the decoded frame, flat, and the classifier's answer as the observation holds it.

    Where the next code lies is known beforehand (z' = z + a): a bonus that predicted it would be curious about nothing.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    def __call__(self, observations: torch.Tensor) -> torch.Tensor:
        """(B, obs_dim) -> (B, features + K)."""
        d, classes = self.world.latent_dim, self.world.classes
        with torch.inference_mode():
            z = observations[:, :d] * self.world.manifold.prior.radius
            seen = torch.cat(
                [self.world.manifold.decode(z).flatten(1), observations[:, 2 * d : 2 * d + classes]], dim=1
            )
        return seen.clone()
