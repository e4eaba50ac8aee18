"""From the settings of a training to its parts (world, environments, algorithm): new ones, or those of an old run."""

from __future__ import annotations

import datetime
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from agents.algorithms import ON_POLICY, algorithm_class, load_hyperparameters, make_model
from agents.checkpoint import restore_state
from agents.cli import UserError
from agents.run import totals_of, world_of
from agents.run_folder import RunFolder
from agents.training_env import (
    CURIOSITIES,
    add_curiosity,
    curiosity_settings,
    laid_over,
    make_vec_env,
    make_world_of,
    tell_guess,
    trained_walk,
)
from envs.errors import UnknownNameError
from envs.making import configure
from vime.bonuses import bonus_class

#: Endings of files that --data and --columns may name.
FILES = (".npz", ".csv", ".yml", ".yaml", ".json", ".txt", ".tsv", ".jsonl")

if TYPE_CHECKING:
    from agents.train import TrainConfig
    from envs.world import World


@dataclass
class Session:
    """The parts of one training: ``told`` is what config.json says."""

    told: dict[str, Any]
    world: World | None
    model: Any
    folder: RunFolder | None
    resumed: dict[str, Any] | None
    counted_before: int


def check_settings(config: TrainConfig) -> None:
    """Refuse what no training could use, before anything heavy is built."""
    if config.trained_agent is not None and config.trained_agent.endswith(".zip") and not config.trust:
        raise UserError(
            f"-i {config.trained_agent} is an SB3 .zip. Reading one unpickles it, which runs whatever code its maker "
            "put there: if you trust that maker, add --trust"
        )
    if config.n_timesteps is not None and config.n_timesteps < 1:
        raise UserError(f"-n {config.n_timesteps}: at least one step is needed")
    if config.curiosity is not None and config.curiosity not in CURIOSITIES:
        if ":" not in config.curiosity:
            raise UnknownNameError("curiosity", config.curiosity, [*CURIOSITIES, "module:object"])
        bonus_class(config.curiosity)
    if config.eta is not None and config.eta < 0:
        raise UserError(f"--eta {config.eta}: the weight of a bonus cannot be negative")
    if "eta" in config.curiosity_kwargs:
        raise UserError("--curiosity-kwargs eta: the weight of the bonus has a flag of its own, --eta")
    if config.trained_agent is None and config.curiosity in (None, "none"):
        for name, value in (("--eta", config.eta), ("--curiosity-kwargs", config.curiosity_kwargs or None)):
            if value is not None:
                raise UserError(f"{name} {value} sets a curiosity, and there is none: add --curiosity vime (or another)")
    if config.seed is not None and not 0 <= config.seed < 2**32:
        raise UserError(f"--seed {config.seed}: a seed lies between 0 and 2^32 - 1")
    for name in ("save_freq", "eval_freq", "eval_episodes", "keep_checkpoints"):
        if getattr(config, name) < 0:
            raise UserError(f"--{name.replace('_', '-')} {getattr(config, name)}: a number of 0 or more is needed")
    try:
        device = torch.device(config.device)
    except RuntimeError:
        raise UserError(f"--device {config.device!r} is no device; use cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise UserError(
            f"--device {config.device}: this machine has no such GPU (or a torch without CUDA); use --device cpu"
        )


def begin(config: TrainConfig, world: World | None) -> Session:
    """A new training."""
    algo, seed = config.algo or "ppo", config.seed or 0
    env_id, own = _environment(config, world)
    settings = load_hyperparameters(algo, env_id, config.hyperparams, config.n_envs)
    kwargs = {**settings.pop("env_kwargs", {}), **own}
    counted = 0
    if world is not None:
        counted = world.classifier.queries  # what the caller asked before is not this training's
        world = configure(world, gamma=settings["gamma"]) if "gamma" in settings else world
    else:
        if env_id.startswith("Manifold/") and "gamma" in settings:
            kwargs.setdefault("gamma", settings["gamma"])  # the shaping potential discounts as the run does
        world = make_world_of(env_id, kwargs, config.progress)
        if world is not None and "columns" not in kwargs:
            tell_guess(world)
    if world is not None:
        world, chosen = trained_walk(world, world.spec)
        kwargs = {**kwargs, **chosen}
        settings |= {k: v for k, v in laid_over(algo, world).items() if k not in (config.hyperparams or {})}
    told = {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "algo": algo,
        "env": {"id": env_id, "kwargs": kwargs},
        "hyperparameters": settings,
        "seed": seed,
        "n_envs": settings["n_envs"],
        "n_timesteps": config.n_timesteps or int(settings.get("n_timesteps", 200_000)),
        "curiosity": None,
        "versions": _versions(),
    }
    if config.curiosity not in (None, "none"):
        told["curiosity"] = curiosity_settings(
            config.curiosity, config.eta, config.curiosity_kwargs, world, env_id
        )
    if world is not None:
        told["class_names"], told["label_only"] = list(world.class_names), world.label_only
        if world.spec.get("live"):
            told["env"] = {"id": env_id, "kwargs": {k: v for k, v in world.spec.items() if k != "live"}, "live": True}
    model = _model(config, told, world)
    if config.trained_agent is not None:
        _take_parameters(model, algo, config.trained_agent)
    elif (teacher := settings.get("warm_start")) is not None:
        from agents.warm_start import TEACHERS, follow_the_teacher

        if teacher not in TEACHERS:
            raise UnknownNameError("warm_start", str(teacher), TEACHERS)
        if world is None or not (world.compass or teacher == "straight") or algo not in ON_POLICY:
            raise UserError(
                f"warm_start:{teacher} is for on-policy algorithms in a latent space"
                f"{' with a compass' if teacher == 'compass' else ''}; leave it out"
            )
        told["warm_start"] = follow_the_teacher(model, world, seed, teacher)
    return Session(told, world, model, None, None, counted)


def _environment(config: TrainConfig, world: World | None) -> tuple[str, dict[str, Any]]:
    """The id and the keyword arguments that the user asked for."""
    kwargs = dict(config.env_kwargs)
    if world is not None:
        own = ("env", "data", "data_dir", "classifier", "manifold", "columns", "target_column", "text_column", "encoding",
               "env_kwargs")  # fmt: skip
        clash = [name for name in own if getattr(config, name)]
        if clash:
            raise UserError(
                f"train(world=...) together with {', '.join(clash)}: the world already says what is walked in"
            )
        return "Manifold/Custom-v0", kwargs
    for name in ("data", "data_dir", "classifier", "manifold", "columns", "target_column", "text_column", "encoding"):
        if (value := getattr(config, name)) is not None:
            kwargs[name] = value
    for name in ("data", "columns"):
        if isinstance(kwargs.get(name), str) and kwargs[name].endswith(FILES):
            kwargs[name] = _portable(kwargs[name])
    if config.data_dir is not None:
        kwargs["data_dir"] = _portable(config.data_dir)
    if isinstance(kwargs.get("manifold"), str) and Path(kwargs["manifold"]).is_dir():
        kwargs["manifold"] = _portable(kwargs["manifold"])
    default = "Manifold/Custom-v0" if config.data or config.classifier or config.manifold else "Manifold/Digits-v0"
    return config.env or default, kwargs


def _portable(path: str) -> str:
    """A path below the present folder as a relative one; any other as it was given."""
    whole = Path(path).absolute()
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else path


def resume(config: TrainConfig, world: World | None) -> Session:
    """An old training, where its last checkpoint was."""
    assert config.trained_agent is not None
    folder = RunFolder.open(config.trained_agent, config.log_folder)
    told = dict(folder.config)
    curiosity = told["curiosity"]["name"] if told.get("curiosity") else "none"
    asked = {
        "--env": (config.env, told["env"]["id"]),
        "--algo": (config.algo, told["algo"]),
        "--seed": (config.seed, told["seed"]),
        "--n-envs": (config.n_envs, told["n_envs"]),
        "--curiosity": (config.curiosity, curiosity),
    }
    for flag, (given, own) in asked.items():
        if given is not None and given != own:
            raise UserError(
                f"{flag} {given}: the run {str(folder.root)!r} has {own}, and a resumed run keeps it; leave {flag} out"
            )
    parts = ("data", "data_dir", "classifier", "manifold", "columns", "target_column", "text_column", "encoding")
    for name in ("hyperparams", "env_kwargs", "eta", "curiosity_kwargs", *parts):
        if getattr(config, name):
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{flag}: a resumed run keeps what {str(folder.root / 'config.json')!r} says; leave it out")
    steps = folder.latest_checkpoint()
    told["n_timesteps"] = config.n_timesteps or told["n_timesteps"]
    if steps >= told["n_timesteps"]:
        raise UserError(
            f"{str(folder.root)!r} has done {steps:,} steps, {told['n_timesteps']:,} are asked for in all: "
            "ask for more with -n"
        )
    state = folder.load_checkpoint(steps, config.device)
    world = world_of(folder, world)
    model = _model(config, told, world)
    restore_state(model, state)
    state["progress"] = {**state["progress"], **totals_of(folder, steps, state["progress"])[0]}
    return Session(told, world, model, folder, state, 0)


def _model(config: TrainConfig, told: dict[str, Any], world: World | None) -> Any:
    """The environments with their wrappers, and the algorithm upon them."""
    env: Any = make_vec_env(told["env"]["id"], told["env"]["kwargs"], world, told["n_envs"])
    if told["curiosity"] is not None:
        env = add_curiosity(env, told["curiosity"], told["seed"], world)
    return make_model(told["algo"], env, told["hyperparameters"], told["seed"], config.device)


def _take_parameters(model: Any, algo: str, file: str) -> None:
    """The networks of an SB3 .zip, which the user trusts, into a new model."""
    if not Path(file).is_file():
        raise UserError(f"-i {file}: there is no such file")
    loaded = algorithm_class(algo).load(file, device=model.device)  # type: ignore[attr-defined]
    try:
        model.set_parameters(loaded.get_parameters(), device=model.device)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(
            f"the networks in {file!r} don't fit ({reason}); give its own net_arch: "
            "--hyperparams \"policy_kwargs:{'net_arch': [64, 64]}\""
        ) from None


def _versions() -> dict[str, str]:
    """Versions of what decides the result."""
    from agents.trajectory_world import installed_versions

    return {"python": ".".join(map(str, sys.version_info[:3])), **installed_versions()}
