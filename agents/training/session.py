"""From the settings of a training to its parts (world, environments, algorithm): new ones, or those of an old run."""

from __future__ import annotations

import datetime
import math
import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from agents.console.cli import MOST_STEPS, WORLD_FLAGS, UserError, described_world, query_options
from agents.runs.checkpoint import restore_state
from agents.runs.checks import MOST_ENVS
from agents.runs.config import RunConfig
from agents.runs.folder import RunFolder
from agents.runs.run import totals_of, world_of
from agents.runs.world_record import describe_world
from agents.training.algorithms import algorithm_class, is_on_policy, linear_schedule, load_hyperparameters, make_model
from agents.training.diagnosis import diagnose, lines_of
from agents.training.environments import (
    add_curiosity,
    curiosity_settings,
    laid_over,
    make_vec_env,
    make_world_of,
    tell_guess,
    trained_walk,
)
from envs.errors import UnknownNameError
from envs.reading import checks
from envs.reading.trust import named, trusting
from envs.registration import CUSTOM
from vime.bonuses import bonus_class

DEVICES = ("cpu", "cuda", "mps", "xpu")  # where SB3's networks compute

if TYPE_CHECKING:
    from agents.training.config import TrainConfig
    from envs.core.world import World


@dataclass
class Session:
    """The parts of one training: ``config`` is what config.json holds; classifier rows that other things were queried for
    (``counted_before``), and for the diagnosis (``evaluated_before``)."""

    config: RunConfig
    world: World | None
    model: Any
    resumed: dict[str, Any] | None
    counted_before: int
    evaluated_before: int = 0


def check_settings(config: TrainConfig) -> None:
    """Refuse invalid settings, before anything heavy is built."""
    named(config.trust)
    if config.trained_agent is not None and config.trained_agent.endswith(".zip") and config.trained_agent not in config.trust:
        raise UserError(
            f"-i {config.trained_agent} is an SB3 .zip. Reading one unpickles it, which runs whatever code its maker "
            f"put there: if you trust that maker, add --trust {config.trained_agent}"
        )
    if config.n_timesteps is not None and not 1 <= config.n_timesteps <= MOST_STEPS:
        raise UserError(f"-n {config.n_timesteps}: at least one step is needed, and at most {MOST_STEPS:,}")
    if config.curiosity not in (None, "none"):
        bonus_class(config.curiosity)
    if config.eta is not None and not 0 <= config.eta < math.inf:
        raise UserError(f"--eta {config.eta}: the weight of a bonus is a finite number of at least 0, never negative")
    if config.n_envs is not None:
        checks.whole(config.n_envs, "n_envs", 1, MOST_ENVS, error=UserError)
    if "eta" in config.curiosity_kwargs:
        raise UserError("--curiosity-kwargs eta: the weight of the bonus has a flag of its own, --eta")
    if config.trained_agent is None and config.curiosity in (None, "none"):
        for name, value in (("--eta", config.eta), ("--curiosity-kwargs", config.curiosity_kwargs or None)):
            if value is not None:
                raise UserError(f"{name} {value} sets a curiosity, and there is none: add --curiosity vime (or another)")
    if config.seed is not None and not 0 <= config.seed < 2**32:
        raise UserError(f"--seed {config.seed}: a seed is a whole number from 0 to 2^32 - 1")
    for name in ("save_freq", "eval_freq", "eval_episodes", "keep_checkpoints"):
        if (getattr(config, name) or 0) < 0:
            raise UserError(f"--{name.replace('_', '-')} {getattr(config, name)}: a number of 0 or more is needed")
    if config.checkpoint is not None and (config.trained_agent is None or config.trained_agent.endswith(".zip")):
        raise UserError(f"--checkpoint {config.checkpoint} chooses a checkpoint of a run to resume: name the run with -i RUN")
    try:
        device = torch.device(config.device)
    except RuntimeError:
        raise UserError(f"--device {config.device!r} is not a device; use cpu, cuda or cuda:N") from None
    if device.type not in DEVICES:
        raise UserError(f"--device {config.device!r} cannot compute; use {', '.join(DEVICES)}")
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise UserError(f"--device {config.device}: this machine has no such GPU (or a torch without CUDA); use --device cpu")


def begin(config: TrainConfig, world: World | None) -> Session:
    """A new training."""
    algo, seed = config.algo or "ppo", config.seed or 0
    env_id, own = _environment(config, world)
    settings = load_hyperparameters(algo, env_id, config.hyperparams, config.n_envs)
    kwargs = {**settings.pop("env_kwargs", {}), **own}
    counted = looked = 0
    given = world
    if world is not None:
        counted = world.classifier.queries  # earlier queries of the caller are not part of this training
        world = world.replace(gamma=settings["gamma"]) if "gamma" in settings else world
    else:
        if env_id.startswith("Manifold/") and "gamma" in settings:
            kwargs.setdefault("gamma", settings["gamma"])  # the shaping potential discounts as the run does
        with trusting(config.trust):  # a saved manifold's folder may name what it is made of
            world = make_world_of(env_id, kwargs, config.progress)
    diagnosis = None
    if world is not None:
        guessed = given is None and world.config.columns is None
        world = trained_walk(world.replace(config=world.config.portable()))
        over = laid_over(algo, world, config.n_timesteps)
        settings |= {k: v for k, v in over.items() if k not in (config.hyperparams or {})}
        before = world.classifier.queries
        diagnosis = None if world.task.scores_coverage else diagnose(world, seed, ask=env_id == CUSTOM)
        looked = world.classifier.queries - before  # counts as evaluation
        if diagnosis is not None:
            print("\n".join(lines_of(diagnosis, world)), file=sys.stderr)
        if guessed:
            tell_guess(world)
    curiosity = None
    if config.curiosity is not None and config.curiosity != "none":
        curiosity = curiosity_settings(config.curiosity, config.eta, config.curiosity_kwargs, world, env_id)
    made = RunConfig(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        algo=algo,
        env={"id": env_id, "kwargs": kwargs if world is None else {}},
        world=None if world is None else describe_world(world),
        hyperparameters=settings,
        seed=seed,
        num_threads=config.num_threads,
        n_envs=settings["n_envs"],
        n_timesteps=config.n_timesteps or int(settings.get("n_timesteps", 200_000)),
        curiosity=curiosity,
        reference=None if diagnosis is None else diagnosis.as_dict(),
        versions=_versions(),
    )
    model = _model(config.device, made, world)
    if config.trained_agent is not None:
        _take_parameters(model, algo, config.trained_agent)
    elif (teacher := settings.get("warm_start")) is not None:
        from agents.training.warm_start import FEWEST, TEACHERS, follow_the_teacher

        if teacher not in TEACHERS:
            raise UnknownNameError("warm_start", str(teacher), TEACHERS)
        guided = TEACHERS[teacher].needs_guidance
        if world is None or (guided and not world.guidance) or not is_on_policy(algo):
            raise UserError(
                f"warm_start:{teacher} is for on-policy algorithms in a latent space{' with guidance' if guided else ''}; "
                "leave it out"
            )
        walks = max(FEWEST, TEACHERS[teacher].count(made.n_timesteps))
        made = replace(made, warm_start=follow_the_teacher(model, world, seed, teacher, walks))
    return Session(made, world, model, None, counted, looked)


def _environment(config: TrainConfig, world: World | None) -> tuple[str, dict[str, Any]]:
    """The requested id and its keyword arguments."""
    if world is not None:
        clash = [name for name in ("env", "env_kwargs") if getattr(config, name)]
        clash += [*world_flags(config), *query_options(config)]
        if clash:
            raise UserError(f"train(world=...) together with {', '.join(clash)}: the world already determines the environment")
        return CUSTOM, dict(config.env_kwargs)
    env_id, kwargs = described_world(config)
    return env_id or "Manifold/Digits-v0", kwargs


def world_flags(config: TrainConfig) -> list[str]:
    """The names of the settings of a world that have a flag of their own and were given."""
    return [name for name in WORLD_FLAGS if getattr(config, name) is not None]


def resume(config: TrainConfig, world: World | None, folder: RunFolder) -> Session:
    """An old training, where its last whole checkpoint was, or the one that ``config.checkpoint`` names."""
    made = folder.run_config()
    given_flags = {
        "--env": (config.env, made.env_id),
        "--algo": (config.algo, made.algo),
        "--seed": (config.seed, made.seed),
        "--n-envs": (config.n_envs, made.n_envs),
        "--curiosity": (config.curiosity, "none" if made.curiosity is None else made.curiosity.name),
    }
    for flag, (given, own) in given_flags.items():
        if given is not None and given != own:
            raise UserError(
                f"{flag} {given}: the run {str(folder.root)!r} has {own}, and a resumed run keeps it; leave {flag} out"
            )
    for name in ("hyperparams", "env_kwargs", "eta", "curiosity_kwargs", *world_flags(config)):
        if getattr(config, name):
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{flag}: a resumed run keeps what {str(folder.root / 'config.json')!r} says; leave it out")
    folder.refuse_untrusted_objects(config.trust)
    steps = folder.latest_checkpoint() if config.checkpoint is None else config.checkpoint
    before = made.n_timesteps
    if config.num_threads != made.num_threads:
        print(
            f"the run was trained with --num-threads {made.num_threads} and goes on with {config.num_threads}: sums are "
            "rounded in another order, so the policy will differ slightly from one of an uninterrupted training; "
            f"--num-threads {made.num_threads} avoids that",
            file=sys.stderr,
        )
    made = replace(made, n_timesteps=config.n_timesteps or before, num_threads=config.num_threads)
    if steps >= made.n_timesteps:
        raise UserError(
            f"{str(folder.root)!r} has done {steps:,} steps, {made.n_timesteps:,} are requested in all: request more with -n"
        )
    state = folder.load_checkpoint(steps, config.device)
    world = world_of(folder, world, config.trust, query_options(config))
    model = _model(config.device, made, world)
    restore_state(model, state)
    state["progress"] = {**state["progress"], **totals_of(folder, steps, state["progress"])[0]}
    if (note := schedule_note(made.hyperparameters.get("learning_rate"), steps, before, made.n_timesteps)) is not None:
        print(note, file=sys.stderr)
    return Session(made, world, model, state, 0)


def schedule_note(rate: Any, steps: int, before: int, total: int) -> str | None:
    """A note on a falling learning rate in a training that is extended; None where there is nothing to say.

    Args:
        rate: the setting, such as ``lin_3e-4``.
        steps: done so far.
        before: steps in all of the training so far.
        total: steps in all from now on.
    """
    if total == before or not isinstance(rate, str):
        return None
    schedule = linear_schedule(rate)
    old, new = (schedule(max(0.0, 1 - steps / end)) for end in (before, total))
    return (
        f"learning_rate {rate} is stretched to {total:,} steps: at {steps:,} it goes from {old:.3g} to {new:.3g}, and falls "
        f"to 0 at {total:,}; a training of {total:,} steps from the start differs"
    )


def _model(device: str, config: RunConfig, world: World | None) -> Any:
    """The environments with their wrappers, and the algorithm upon them."""
    env: Any = make_vec_env(config.env_id, config.env_kwargs, world, config.n_envs)
    if config.curiosity is not None:
        env = add_curiosity(env, config.curiosity, config.seed, world)
    return make_model(config.algo, env, config.hyperparameters, config.seed, device)


def _take_parameters(model: Any, algo: str, file: str) -> None:
    """The networks of an SB3 .zip, which the user trusts, into a new model."""
    if not os.path.isfile(file):
        raise UserError(f"-i {file}: there is no such file")
    loaded = algorithm_class(algo).load(file, device=model.device)
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
    from agents.trajectories.world import installed_versions

    return {"python": ".".join(map(str, sys.version_info[:3])), **installed_versions()}
