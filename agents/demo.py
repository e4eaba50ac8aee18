"""The demo: train an agent, explain held-out digits, and write everything into a run folder.

The folder holds the paths (.npz), their film strips (.png), one animation (.gif), TensorBoard's logs and the report.
It needs no network, no display and no writable home folder; two demos at once get a run folder each.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.console.cli import SEEDS, STEPS, ScriptConfig, UserError, option, parse_config, prepare_process, program, run_main

if TYPE_CHECKING:
    from agents.runs.run import Run
    from agents.trajectories.trajectory import Trajectory

EVALUATIONS = 10  # during the training, on held-out inputs; their queries are counted apart
TOLD = 5  # paths that are summarised at the end


@dataclass(kw_only=True)
class DemoConfig(ScriptConfig):
    """Train an agent on handwritten digits, explain held-out ones, and write a run folder with a report."""

    env: str = option("Manifold/Digits-v0", "environment id")
    n_timesteps: int = option(200_000, "training steps", "-n", metavar="N", **STEPS)
    paths: int = option(12, "how many held-out inputs to show", metavar="N", low=1)
    seed: int = option(0, "seed of everything random", metavar="N", **SEEDS)
    log_folder: str = option("runs", "where the run folder is made", "-f", metavar="DIR")
    progress: bool = option(True, "show progress bars", "-P")


def demo(config: DemoConfig) -> tuple[Run, list[Trajectory]]:
    """Train, explain every held-out input, and write the pictures and the report of the first ``config.paths``.

    Returns:
        The run and the paths of all held-out inputs.
    """
    from agents.explain import explain
    from agents.explanation.figures.style import prepare_matplotlib
    from agents.explanation.metrics.evaluate import evaluate_paths
    from agents.train import train

    prepare_matplotlib()
    print(f"1/3  An agent learns to walk in {config.env}, to where the classifier's answer changes.", flush=True)
    run = train(
        env=config.env,
        algo="ppo",
        n_timesteps=config.n_timesteps,
        seed=config.seed,
        progress=config.progress,
        log_folder=config.log_folder,
        eval_freq=max(config.n_timesteps // EVALUATIONS, 1),
        pictures=False,  # `write` logs them once
    )
    print("2/3  It explains every held-out input, towards whichever other class is nearest.", flush=True)
    paths: list[Trajectory] = explain(run, None, seed=config.seed, fallback=False, progress=config.progress)
    print("3/3  Pictures, logs and the report.", flush=True)
    assert run.world is not None  # explain() has refused environments that are not latent space
    for path in paths[: config.paths]:
        path.contributions()
        path.badge()
    write(run, paths, paths[: config.paths], evaluate_paths(run.world, paths), config)
    return run, paths


def write(
    run: Run, paths: Sequence[Trajectory], shown: Sequence[Trajectory], metrics: dict[str, Any], config: DemoConfig
) -> None:
    """Paths, film strips, an animation, TensorBoard logs and the report, into the run folder."""
    from agents.console.cli import progress_bar
    from agents.explanation import tensorboard
    from agents.explanation.figures.gif import save_gif
    from agents.explanation.figures.path import film_strip
    from agents.explanation.report.page import Extras, write_report
    from agents.files import write_whole
    from agents.training.event_files import EventWriter

    world, root = run.world, run.folder.root
    files = []
    with progress_bar(len(shown), "drawing", config.progress, "path") as bar:
        for path in shown:
            files.append(run.folder.add_trajectory(path))
            write_whole(files[-1].with_suffix(".png"), film_strip(path, world))
            bar.update(1)
    longest = max(range(len(shown)), key=lambda i: (shown[i].success, shown[i].steps))
    save_gif(shown[longest], world, files[longest].with_suffix(".gif"))
    with EventWriter(root) as writer:
        tensorboard.log_metrics(writer, metrics, run.steps)
        tensorboard.log_patterns(writer, world, paths, run.steps)
        tensorboard.log_paths(writer, world, shown, run.steps, most=4)
    tensorboard.log_projector(root / "latent_space", world, shown, run.steps)
    command = f"python -m agents.demo --env {config.env} --n-timesteps {config.n_timesteps} --seed {config.seed}"
    made = {
        "command": command,
        "training": f"{run.steps:,} steps, {run.queries:,} classifier rows",
        "targets": "whichever other class has the nearest known input",
        "measured over": f"all {len(paths)} held-out inputs, with 95 % bootstrap intervals",
    }
    extras = [Extras(file=f"paths/{file.name}") for file in files]
    write_report(root / "report.html", shown, world, metrics=metrics, made=made, extras=extras)


def results_text(run: Run, paths: Sequence[Trajectory], shown: int) -> str:
    """The results in plain sentences, and the next commands."""
    import statistics

    reached = [path for path in paths if path.success]
    lines = ["", f"The agent found a path for {len(reached)} of {len(paths)} held-out inputs."]
    if reached:
        queries = statistics.mean(path.queries for path in paths)
        steps = statistics.median(path.steps for path in reached)
        lines.append(
            f"A path takes {steps:g} steps (median) and {queries:.1f} classifier queries; "
            f"training made {run.queries:,} queries before."
        )
    lines.append("")
    lines += [
        f"  {number}. {path.headline}\n     {path.summary()}" for number, path in enumerate(paths[: min(shown, TOLD)], start=1)
    ]
    folder, python = shlex.quote(str(run.folder.root)), shlex.quote(_interpreter())
    runs = shlex.quote(str(run.folder.root.parent))  # TensorBoard calls a run by its folder beneath this one
    lines += [
        "",
        "Look further:",
        f"  report       open {shlex.quote(str(run.folder.root / 'report.html'))} in a browser",
        f"  TensorBoard  {python} -m tensorboard.main --logdir {runs} --load_fast=false",
        f"  replay       {python} -m agents.replay {folder} --path 1",
        f"  another      {python} -m agents.explain {folder} --index 42",
    ]
    return "\n".join(lines)


def _interpreter() -> str:
    """The interpreter's path, relative where it lies in the current folder."""
    try:
        return str(Path(sys.executable).relative_to(Path.cwd()))
    except ValueError:
        return sys.executable


def main(argv: Sequence[str] | None = None) -> int:
    """The command, see `DemoConfig`."""
    config = parse_config(DemoConfig, argv, program("demo"))
    if config.paths < 1:
        raise UserError(f"--paths {config.paths}: at least one input has to be shown")
    from envs.registration import spec_kwargs

    spec_kwargs(config.env)  # before anything is trained: only latent spaces can be explained
    prepare_process(config.num_threads)
    run, paths = demo(config)
    print(results_text(run, paths, config.paths))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
