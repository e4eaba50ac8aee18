"""Measure explanations: ``python -m agents.evaluate RUN --walker policy line``, or :func:`evaluate` from Python.

All held-out inputs are explained by each walker, the same inputs towards the same targets, to the same stop rule; what
the rows of the table mean stands in `agents.explanation.metrics.MEASURES`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.cli import ScriptConfig, UserError, option, parse_config, prepare_process, run_main
from agents.walkers import WALKERS

if TYPE_CHECKING:
    from agents.explanation.metrics import Reference
    from agents.run import Run
    from agents.walkers.base import Walker
    from envs.world import World


@dataclass(kw_only=True)
class EvaluateConfig(ScriptConfig):
    """Explain all held-out inputs by the run's agent and by other walkers, and measure validity, distance, typicality,
    path shape and cost of what they find, with 95 % bootstrap intervals."""

    run: str = option("latest", "run folder, or 'latest'; not needed with --env", positional=True, metavar="RUN")
    walker: list[str] = option(  # noqa: RUF009
        [], f"who walks, side by side: {', '.join(WALKERS)}, or all (default: policy and line)", metavar="NAME"
    )
    targets: str = option("random", "towards which class each input is walked", choices=("random", "nearest"))
    env: str | None = option(None, "environment id, to measure walkers without a run", metavar="ID")
    env_kwargs: dict[str, Any] = option({}, "arguments of the environment, e.g. tau:0.8 move:pullback")  # noqa: RUF009
    inputs: int | None = option(None, "only this many held-out inputs (default: all)", metavar="N")
    max_steps: int | None = option(None, "most steps of a path (default: the environment's limit)", metavar="N")
    seed: int = option(0, "seed of random targets, of walkers that draw, and of the bootstrap", metavar="N")
    checkpoint: int | None = option(None, "steps of the run's checkpoint (default: the last)", metavar="STEPS")
    json: str | None = option(None, "write the figures to this file, too", metavar="FILE")
    log_folder: str = option("runs", "where runs are looked up", "-f", metavar="DIR")
    progress: bool = option(True, "show a progress bar", "-P")


def evaluate(
    source: Run | World | str | Path,
    walkers: Sequence[str | Walker] = ("policy", "line"),
    *,
    targets: str = "random",
    inputs: Any = None,
    max_steps: int | None = None,
    seed: int = 0,
    reference: Reference | None = None,
    progress: bool = False,
) -> dict[str, dict[str, Any]]:
    """The measures of every walker on the same held-out inputs and targets.

    Args:
        source: a run (or its folder), or a world.
        walkers: names or walkers; `policy` is the run's agent.
        targets: `random` other class (drawn by `seed`) or `nearest`: whichever other class is. Worlds whose task takes
            no target (leave, prototype) pass over this.
        inputs: rows of the held-out split; None: all of them.
        max_steps: most steps of a path; None: the world's limit.
        seed: of targets, walkers and bootstrap.
        reference: real data for the typicality ratio; None: the world's own.
        progress: show bars.

    Returns:
        walker -> measure -> `Estimate`; beside the measures of `metrics.MEASURES` each walker has `training_queries`
        (rows asked before), `cpu_ms` (process time of one explanation in the batch) and `failed` (rows not explained).
    """
    from agents.explain import choose_walker, explain, world_and_run
    from agents.explanation.metrics import evaluate_paths

    world, run = world_and_run(source)
    chosen = [choose_walker(walker, run) for walker in walkers]  # all names are read before anything walks
    rows = list(range(len(world.held_out.x))) if inputs is None else [int(row) for row in inputs]
    wanted = draw_targets(world, rows, seed) if targets == "random" else None
    found: dict[str, dict[str, Any]] = {}
    for walker in chosen:
        started = time.process_time()
        paths = explain(run or world, rows, wanted, walker, max_steps=max_steps, seed=seed, progress=progress)
        seconds = time.process_time() - started
        measures: dict[str, Any] = dict(evaluate_paths(world, paths, reference, seed=seed))
        measures["training_queries"] = paths[0].training_queries if paths else 0
        measures["cpu_ms"] = 1000 * seconds / max(len(paths), 1)
        measures["failed"] = [path.index for path in paths if not path.success]
        name, k = walker.name, 2
        while name in found:
            name, k = f"{walker.name} {k}", k + 1
        found[name] = measures
    return found


def draw_targets(world: World, rows: Sequence[int], seed: int) -> list[int] | None:
    """A random other class for each held-out row; an input has the same target whichever others are asked about.

    The classifier is asked once about each input, outside of any explanation. None where the task takes no target.
    """
    import torch

    if world.task.name in ("leave", "prototype"):
        return None
    generator = torch.Generator().manual_seed(seed)
    shift = torch.randint(1, world.classes, (len(world.held_out.x),), generator=generator)[list(rows)]
    source = world.classifier.predict_proba(world.held_out.x[list(rows)]).argmax(1)
    return [int(target) for target in (source + shift) % world.classes]


def plain(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The figures as JSON holds them: an Estimate becomes its value, the ends of its interval and n."""
    return {
        walker: {name: value.as_dict() if hasattr(value, "as_dict") else value for name, value in measures.items()}
        for walker, measures in found.items()
    }


def table(found: dict[str, dict[str, Any]]) -> Any:
    """A rich table: one row a measure, one column a walker; with up to three walkers their 95 % intervals."""
    from rich.table import Table
    from rich.text import Text

    from agents.explanation.metrics import MEASURES

    out = Table(box=None, pad_edge=False)
    out.add_column("measure", no_wrap=True)
    for walker in found:
        out.add_column(Text(walker.replace("_", " ")), justify="right")
    for name in MEASURES:
        cells = [_cell(measures[name], interval=len(found) <= 3) for measures in found.values()]
        out.add_row(name.replace("_", " "), *cells)
    out.add_row("training queries", *(f"{measures['training_queries']:,}" for measures in found.values()))
    out.add_row("CPU-ms each", *(f"{measures['cpu_ms']:.2f}" for measures in found.values()))
    return out


def _cell(estimate: Any, interval: bool) -> str:
    if estimate.n == 0:
        return "-"
    width = 0 if abs(estimate.value) >= 100 else 1 if abs(estimate.value) >= 20 else 3
    text = f"{estimate.value:.{width}f}"
    if not interval or estimate.low == estimate.high:
        return text
    return f"{text} [{estimate.low:.{width}f}, {estimate.high:.{width}f}]"


def main(argv: Sequence[str] | None = None) -> int:
    """The script; see :class:`EvaluateConfig`."""
    config = parse_config(EvaluateConfig, argv, prog="python -m agents.evaluate")
    if config.inputs is not None and config.inputs < 1:
        raise UserError(f"--inputs {config.inputs}: at least 1 is needed")
    if config.json is not None and not Path(config.json).resolve().parent.is_dir():
        raise UserError(f"--json {config.json}: there is no folder {Path(config.json).resolve().parent}")
    prepare_process(config.num_threads)
    from rich.console import Console

    from agents.explain import open_source, world_and_run

    source = open_source(config)
    world, run = world_and_run(source)
    names = list(config.walker) or (["policy", "line"] if run is not None else ["line"])
    if "all" in names:
        black = world.label_only or world.classifier.torch_module is None
        names = [n for n in WALKERS if not (n == "policy" and run is None) and not (black and "gradient" in n)]
    count = len(world.held_out.x) if config.inputs is None else min(config.inputs, len(world.held_out.x))
    found = evaluate(
        source, names, targets=config.targets, inputs=range(count), max_steps=config.max_steps, seed=config.seed,
        progress=config.progress,
    )  # fmt: skip
    Console(highlight=False).print(table(found))
    rule = "the label" if world.label_only else f"p >= {world.task.tau:g}"
    print(f"{count} held-out inputs, {config.targets} targets, stop at {rule}; [95 % bootstrap intervals]")
    for walker, measures in found.items():
        if failed := measures["failed"]:
            more = " ..." if len(failed) > 20 else ""
            print(f"{walker}: not explained: {', '.join(map(str, failed[:20]))}{more}")
    if config.json is not None:
        about = {"inputs": count, "targets": config.targets, "tau": world.task.tau, "seed": config.seed}
        Path(config.json).write_text(json.dumps({"settings": about, "walkers": plain(found)}, indent=1) + "\n")
        print(f"wrote {config.json}")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
