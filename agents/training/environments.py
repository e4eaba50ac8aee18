"""The environments of a training: a world by id or live, its batched VecEnv, and the curiosity around it.

Order of the wrappers, from the inside: LatentVecEnv, VecMonitor (so that ``rollout/ep_rew_mean`` stays the
environment's own reward), the curiosity.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecMonitor

import envs
from agents.console.cli import UserError
from agents.runs.config import CuriosityConfig
from agents.training.algorithms import HYPERPARAMETER_FOLDER, settings_of
from agents.training.prediction_target import LatentFeatures
from agents.training.vec_env import LatentVecEnv
from envs.building.world import make_world_named
from envs.core.horizon import measured_horizon
from envs.errors import ManifoldError, UnknownNameError
from envs.reading.files import read_yaml
from envs.registration import SPECS, spec_kwargs
from vime.bonuses import bonus_class

if TYPE_CHECKING:
    from envs.core.world import World

OURS = {"self", "observation_space", "action_space", "seed", "predict", "as_change", "given", "args", "kwargs"}


def make_world_of(env_id: str, kwargs: dict[str, Any], progress: bool = True) -> World | None:
    """The world behind an id, or None for an id of Gymnasium's that is not a latent space.

    Raises:
        ManifoldError, gymnasium.error.Error: unknown id (close ones are offered) or arguments.
    """
    return make_world_named(env_id, kwargs, progress) if is_latent(env_id) else None


def is_latent(env_id: str) -> bool:
    """Whether an id is one of a latent space. Ids are looked up and never imported, as Gymnasium does with ``module:id``.

    Raises:
        UnknownNameError: it is not registered; close ones are offered.
    """
    if env_id not in SPECS and env_id not in gymnasium.registry:
        spec_kwargs(env_id)  # raises, with close names
    return env_id in SPECS


def tell_guess(world: World) -> None:
    """Print the guessed description of a table's columns on stderr; it can be saved and edited."""
    table = getattr(world.units, "table", None)
    if table is not None:
        print(
            "the columns were guessed; to correct them, save this as columns.yml, edit it and add "
            f"--columns columns.yml\n{table.as_yaml()}",
            file=sys.stderr,
        )


def _settings(kind: str, part: str | None) -> dict[str, Any]:
    """The settings of the ``walk``, or of an algorithm, for one kind of walks: the file ``walks_KIND.yml``, if there is one.

    A kind is a modality (``text``), or ``long``.
    """
    file = HYPERPARAMETER_FOLDER / f"walks_{kind}.yml"
    return read_yaml(file, aliases=True).get(part, {}) if file.is_file() else {}


def trained_walk(world: World) -> World:
    """The world set up for training (walks.yml, walks_text.yml); what its config sets stays.

    Where straight lines to other classes do not fit into the usual step limit, they set it (`envs.core.horizon`).
    """
    if world.task.scores_coverage:
        return world  # its reward is none, and must stay so
    groups = read_yaml(HYPERPARAMETER_FOLDER / "walks.yml", aliases=True)
    settings = dict(groups["labels" if world.label_only else "probabilities"])
    if not world.label_only and (over := _settings(world.modality, "walk")):
        settings |= {**over, "reward": {**settings["reward"], **over["reward"]}}
    if world.manifold.on_graph:  # a step leads to a neighbour: it has no other length
        settings = {name: value for name, value in settings.items() if name not in ("step", "max_step")}
    config = world.config
    chosen = {name: value for name, value in settings.items() if getattr(config, name) is None}
    if config.reward is not None and "reward" in settings:
        chosen["reward"] = {**settings["reward"], **config.reward}
    world = world.replace(**chosen)
    if config.max_episode_steps is None and (limit := _measured_limit(world)) is not None:
        world = world.replace(max_episode_steps=limit)
    return world


def _measured_limit(world: World) -> int | None:
    """`measured_horizon` of a world whose walks lead to another class by its probability; None of others."""
    measurable = not world.units.codes_are_coordinates and world.task.towards_target and not world.label_only
    return measured_horizon(world) if measurable else None


def laid_over(algo: str, world: World, steps: int | None) -> dict[str, Any]:
    """Settings of an algorithm that depend on the world once it is set up for training: its modality, or a long horizon.

    Settings of a modality that name a teacher are left out if the teacher needs guidance and the world has none, or if the
    training is too short for it.

    Args:
        algo: a name of `agents.training.algorithms.ALGORITHMS`.
        world: set up for training.
        steps: of the training; None: the default.
    """
    from agents.training.warm_start import TEACHERS

    part, task = settings_of(algo), world.task
    own = _settings(world.modality, part) if task.towards_target and not task.scores_coverage else {}
    teacher = TEACHERS.get(own.get("warm_start", ""))
    suits = teacher is None or ((world.guidance or not teacher.needs_guidance) and (steps is None or teacher.count(steps)))
    if own and suits:
        return own
    return {} if _measured_limit(world) is None else _settings("long", part)


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
    try:
        made = gymnasium.make_vec(env_id, n_envs, vectorization_mode="sync", vector_kwargs=single, **kwargs)
    except (ManifoldError, gymnasium.error.Error):
        raise
    except Exception as error:  # another author's constructor, which may raise anything for values it cannot have
        if not kwargs:
            raise
        raise UserError(f"{env_id} cannot be made with {kwargs!r:.200}: {type(error).__name__}: {error}") from error
    return VecMonitor(LatentVecEnv(made))


def add_curiosity(env: VecEnv, config: CuriosityConfig, seed: int, world: World | None) -> Any:
    """The curiosity wrapper around ``env``; its ``callback()`` belongs to the training.

    Args:
        env: a monitored VecEnv.
        config: its name, weight and options.
        seed: of the bonus's own generator.
        world: if given, the bonus predicts decoded frames and predictions, see `agents.training.prediction_target`.

    Raises:
        UnknownNameError, UserError, VimeError: an option that neither takes (close ones are offered), a value that they
            refuse, or a bonus that cannot be imported.
    """
    import inspect

    from vime import BonusMixer, CuriosityVecEnvWrapper, make_bonus

    wrapping = {"mode", "fit_every", *inspect.signature(BonusMixer.__init__).parameters} - {"self", "eta"}
    options = dict(config.options)
    mixing = {key: options.pop(key) for key in list(options) if key in wrapping}
    if config.eta is not None:
        mixing["eta"] = config.eta
    if world is not None:
        options = {**latent_features(world, options.pop("prediction_target", "both")), **options}
    kind = bonus_class(config.name)
    makers = [inspect.signature(owner).parameters for owner in kind.__mro__[:-1]]
    known = {p.name for own in makers for p in own.values() if p.kind is not p.VAR_KEYWORD} | wrapping
    known |= set() if world is None else {"prediction_target"}
    for name in config.options:
        if name not in known - OURS:
            raise UnknownNameError(f"setting of --curiosity {config.name}", name, sorted(known - OURS))
    try:
        bonus = make_bonus(kind, env.observation_space, env.action_space, seed=seed, **options)
        return CuriosityVecEnvWrapper(env, bonus, **mixing)
    except (TypeError, ValueError) as error:
        raise UserError(f"--curiosity {config.name} refuses its settings {config.options}: {error}") from error


def latent_features(world: World, prediction_target: str = "both") -> dict[str, Any]:
    """Options of a bonus that make it predict decoded frames and predictions, see `agents.training.prediction_target`."""
    features = LatentFeatures(world, prediction_target)
    return {"predict": features, "as_change": features.as_change, "given": features.given, "common_scale": True}


def curiosity_settings(
    name: str, eta: float | None, options: dict[str, Any], world: World | None, env_id: str = ""
) -> CuriosityConfig:
    """The curiosity of a run: its name, eta and options, given ones over those of curiosity.yml.

    Args:
        name, eta, options: as requested; eta None: that of the file.
        world: the latent space, or None for an environment that is none.
        env_id: the environment's own group in the file.
    """
    groups = read_yaml(HYPERPARAMETER_FOLDER / "curiosity.yml", aliases=True)
    latent = groups["latent"].get(name, {}) if world is not None else {}
    own = {**latent, **groups.get(env_id, {}).get(name, {})}
    usual = own.pop("eta", None)
    return CuriosityConfig(name=name, eta=usual if eta is None else eta, options={**own, **options})


def curiosity_of(env: Any) -> Any:
    """The curiosity wrapper among the wrappers of ``env``, or None."""
    while env is not None and type(env).__name__ != "CuriosityVecEnvWrapper":
        env = getattr(env, "venv", None) if isinstance(env, VecEnvWrapper) else None
    return env
