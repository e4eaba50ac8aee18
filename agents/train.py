"""Train an agent that explains: ``python -m agents.train --env Manifold/Digits-v0 --algo ppo``, or :func:`train` from Python.

::

    from agents.train import train
    run = train(env="Manifold/Digits-v0", algo="ppo", n_timesteps=200_000)
    run = train(world=envs.make_world(data=X, classifier=forest))          # live objects
"""

from __future__ import annotations

import dataclasses
import inspect
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agents.console.cli import UserError, parse_config, prepare_process, program, run_main
from agents.console.deferred import in_usual_torch
from agents.training.config import TrainCommand, TrainConfig

if TYPE_CHECKING:
    from agents.runs.run import Run
    from envs.core.world import World


def _listing_settings(function: Callable[..., Run]) -> Callable[..., Run]:
    """The function with a signature that lists every field of `TrainConfig`, for ``help()`` and notebooks."""
    signature = inspect.signature(function)
    own = [part for part in signature.parameters.values() if part.kind is not part.VAR_KEYWORD]
    listed = [
        inspect.Parameter(
            part.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=part.type,
            default=part.default if part.default_factory is dataclasses.MISSING else part.default_factory(),
        )
        for part in dataclasses.fields(TrainConfig)
    ]
    function.__signature__ = signature.replace(parameters=[*own, *listed])  # type: ignore[attr-defined]
    return function


@_listing_settings
@in_usual_torch
def train(config: TrainConfig | None = None, *, world: World | None = None, **settings: Any) -> Run:
    """Train an agent, or resume a training with ``trained_agent=``.

    Args:
        config: the settings, described in `agents.TrainConfig`.
        world: a live world, instead of ``env`` or ``data``.
        settings: single fields of `agents.TrainConfig`; they override those of `config`.

    Returns:
        The run; its folder holds at least one checkpoint.

    Raises:
        UserError: an invalid setting; no run folder is left behind.
        ManifoldError: data, classifier or manifold that do not fit together; no run folder is left behind.
        TrainingInterrupted: SIGINT or SIGTERM (a KeyboardInterrupt); the steps done so far are saved.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     quick = dict(n_timesteps=128, n_envs=2, hyperparams={"n_steps": 64}, eval_episodes=0, pictures=False)
        ...     run = train(data="iris", log_folder=folder, progress=False, **quick)
        >>> run.steps
        128
    """
    from agents.training.loop import train_alone
    from envs.files import in_home
    from envs.runtime.plain import plain

    if not isinstance(config, TrainConfig | None):
        raise UserError(f"train({config!r}): settings are given by name, as in train(env=...), or as a TrainConfig")
    try:
        config = replace(config if config is not None else TrainConfig(), **settings)
        named = {
            name: name_of(kind, name) for name in ("algo", "curiosity") if isinstance(kind := getattr(config, name), type)
        }
        config = replace(config, **plain({**vars(config), **named}))
    except TypeError:
        unknown = sorted(set(settings) - set(TrainConfig.__dataclass_fields__))
        raise UserError(
            f"train() has no setting {', '.join(unknown)}; it has {', '.join(TrainConfig.__dataclass_fields__)}"
        ) from None
    config = replace(config, **{name: in_home(value) for name, value in vars(config).items()})
    if config.num_threads < 1:
        raise UserError(f"num_threads {config.num_threads}: at least 1 is needed")
    return train_alone(config, world)


def name_of(kind: type, setting: str) -> str:
    """``module:object`` of a class, by which a saved run finds it again; `setting` is what it was passed as.

    Raises:
        UserError: the class lives in a script, a notebook or a function.
    """
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
        raise UserError(
            f"{setting}={kind.__qualname__}: a saved run finds the class by its name, and {kind.__module__!r} cannot be "
            "imported elsewhere: put the class into a module of its own, at the top level"
        )
    return f"{kind.__module__}:{kind.__qualname__}"


def load_run(*args: Any, **keywords: Any) -> Run:
    """Read a run back, see `agents.runs.run.load_run`."""
    from agents.runs.run import load_run as load

    return load(*args, **keywords)


def main(argv: Sequence[str] | None = None) -> int:
    """The command, see `agents.training.config.TrainCommand`."""
    command = parse_config(TrainCommand, argv, program("train"))
    prepare_process(command.num_threads)
    config = TrainConfig(**{field.name: getattr(command, field.name) for field in dataclasses.fields(TrainConfig)})
    if command.seeds is not None:
        return several(command, config)
    if (command.jobs, command.engine, command.address) != (1, "local", None):
        raise UserError("--jobs, --engine and --address are for several trainings: name their seeds, such as --seeds 0-4")
    run = train(config)
    print(report(run))
    return 0


def several(command: TrainCommand, config: TrainConfig) -> int:
    """Train with every seed of the command, and print a table; exit code 1 if a training failed."""
    from agents.engine.trainings import as_text, seeds_of, train_seeds

    assert command.seeds is not None
    if config.seed is not None:
        raise UserError(f"--seed {config.seed} together with --seeds {command.seeds}: leave one of them out")
    rows = train_seeds(
        config, seeds=seeds_of(command.seeds), engine=command.engine, jobs=command.jobs, address=command.address
    )
    print(as_text(rows))
    print(f"TensorBoard       tensorboard --logdir {shlex.quote(config.log_folder)} --load_fast=false")
    return int(any(row["error"] is not None for row in rows))


def report(run: Run) -> str:
    """The text that the command prints at its end."""
    folder, progress, rate = run.folder.root, run.progress, run.evaluation.get("success_rate")
    requested = run.folder.run_config().n_timesteps
    rounded = f" ({requested:,} were requested; rollouts are not cut)" if run.steps > requested else ""
    lines = [
        f"run folder        {folder}",
        f"steps             {run.steps:,}{rounded} in {progress['seconds']:.0f} s ({progress['cpu_seconds']:.0f} CPU-s)",
    ]
    if run.world is not None:
        asked, looked = progress["training_queries"], progress["evaluation_queries"]
        lines.append(f"classifier rows   {asked:,} in training, {looked:,} in evaluation and pictures")
    if rate is not None:
        of_what = "held-out inputs" if run.world is not None else "evaluation episodes"
        lines.append(f"success rate      {rate:.3f} of {of_what} (deterministic policy)")
        lines += success_advice(run)
    elif "mean_reward" in run.evaluation:
        lines.append(f"mean return       {run.evaluation['mean_reward']:.3f} (deterministic policy)")
    place = quoted(run)
    if run.world is not None:
        lines.append(f"explain           python -m agents.explain {place} --index 0")
        lines.append(f"then replay it    python -m agents.replay {place}")
    runs = shlex.quote(str(run.folder.root.parent))  # TensorBoard calls a run by its folder beneath this one
    lines.append(f"TensorBoard       tensorboard --logdir {runs} --load_fast=false")
    return "\n".join(lines)


ENOUGH = 0.9  # success of an agent that needs no advice


def success_advice(run: Run) -> list[str]:
    """Advice where few held-out inputs are explained: a reconstruction in another class, or a training that was too short."""
    from agents.trajectories.goal import kind_of_end

    found, world = run.evaluation, run.world
    if world is None or world.task.scores_coverage or "class_kept" not in found:
        return []
    rate, kept, line = found["success_rate"], found["class_kept"], found.get("line_success_rate")
    lines = [] if kept == 1 else [f"                  frame 0 keeps the {kind_of_end(world.goal)} for {kept:.2f} of inputs"]
    if rate < ENOUGH * kept:
        lower = " (or lower tau)" if world.task.takes_tau and not world.label_only else ""
        more = f"python -m agents.train -i {quoted(run)} -n {2 * run.steps}"
        lines.append(f"                  success {rate:.2f}: train longer{lower}: {more}")
    if line is not None and (rate < ENOUGH * kept or run.trails_the_line):
        use = ", so explain uses it (--walker policy: the agent)" if run.trails_the_line else ""
        lines.append(f"                  the straight line finds {line:.2f} of the same inputs{use}")
    return lines


def quoted(run: Run) -> str:
    """The run folder, quoted for a shell."""
    folder = str(run.folder.root)
    return f"'{folder}'" if " " in folder else folder


if __name__ == "__main__":
    sys.exit(run_main(main))
