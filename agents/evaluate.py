"""Measure explanations: ``python -m agents.evaluate RUN --walker policy line``, or :func:`evaluate` from Python.

Each walker explains all held-out inputs: the same inputs, targets and stop rule. The rows of the table are described in
`agents.explanation.metrics.evaluate.MEASURES`.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.console.cli import (
    SEEDS,
    STEPS,
    DataConfig,
    UserError,
    option,
    parse_config,
    prepare_process,
    program,
    run_main,
)
from agents.console.deferred import in_usual_torch, with_plain_arguments
from agents.console.threads import one_threaded
from agents.files import write_whole, writing
from agents.walkers import WALKERS, walkers_for

if TYPE_CHECKING:
    from agents.explanation.metrics.evaluate import Reference
    from agents.runs.run import Run
    from agents.trajectories.trajectory import Trajectory
    from agents.walkers.walker import Walker
    from envs.core.world import World

MOST_DIVIDED = 100  # paths whose contributions are computed for patterns


@dataclass(kw_only=True)
class EvaluateConfig(DataConfig):
    """Explain all held-out inputs by the run's agent and by other walkers, and measure validity, distance, typicality,
    path shape and cost of what they find, with 95 % bootstrap intervals."""

    run: str = option("latest", "run folder, or 'latest'; left out with --env or --data", positional=True, metavar="RUN")
    walker: list[str] = option(  # noqa: RUF009
        [], f"walkers to compare: {', '.join(WALKERS)}, or all (default: policy and line)", metavar="NAME"
    )
    targets: str = option("random", "target class of each input", choices=("random", "nearest"))
    inputs: int | None = option(None, "only this many held-out inputs (default: all)", metavar="N")
    sparse: bool = option(True, "tables and series: change few columns or intervals; --no-sparse: all that the walk changes")
    max_steps: int | None = option(None, "maximum steps of a path (default: the environment's limit)", metavar="N", **STEPS)
    seed: int = option(0, "seed of random targets, of walkers that draw, and of the bootstrap", metavar="N", **SEEDS)
    oracles: bool = option(True, "fit independent oracles of end points (once per data set, a few seconds)")
    closely: int = option(100, "number of paths compared with a geodesic and by latent LIME; 0: none", metavar="N", low=0)
    alone: int = option(20, "number of inputs explained one at a time for the latency; 0: none", metavar="N", low=0)
    patterns: bool = option(False, "say what the paths from one class to another have in common (takes queries)")
    stability: int = option(
        0, "measure how many flips survive K retrained classifiers and near-identical inputs; 0: skip", metavar="K",
        low=0, high=50,
    )  # fmt: skip
    audit: bool = option(
        False, "tables: how often protected columns change in flips, and whether each alone flips answers (up to 100 rows)"
    )
    protected: list[str] = option([], "with --audit: the columns (default: those that look protected)", metavar="COLUMN")  # noqa: RUF009
    checkpoint: int | None = option(None, "steps of the run's checkpoint (default: the last)", metavar="STEPS", low=0)
    json: bool = option(False, "print the measures as one JSON object, and nothing else, on stdout")
    out: str | None = option(None, "write the measures as JSON to this file, too", metavar="FILE")
    log_folder: str = option("runs", "where runs are looked up", "-f", metavar="DIR")
    progress: bool = option(True, "show a progress bar", "-P")


@one_threaded
@in_usual_torch
@with_plain_arguments
def evaluate(
    source: Run | World | str | Path,
    walkers: Sequence[str | Walker] = ("policy", "line"),
    *,
    targets: str = "random",
    inputs: Any = None,
    max_steps: int | None = None,
    seed: int = 0,
    sparse: bool = True,
    reference: Reference | None = None,
    oracles: bool = True,
    closely: int = 100,
    alone: int = 20,
    patterns: bool = False,
    stability: int = 0,
    retrain: Callable[[int], Any] | None = None,
    cache: str | Path | None = None,
    progress: bool = False,
) -> dict[str, dict[str, Any]]:
    """The measures of every walker on the same held-out inputs and targets.

    Args:
        source: a run (or its folder), or a world.
        walkers: names or walkers; `policy` is the run's agent.
        targets: `random` (another class, drawn by `seed`) or `nearest`; ignored where the task takes no target (leave,
            prototype).
        inputs: rows of the held-out split; None: all of them.
        max_steps: maximum number of steps; None: the world's limit.
        seed: of targets, walkers and bootstrap.
        sparse: see `agents.explain.explain`.
        reference: real data and their classes, for the typicality ratio and the oracles; None: the world's own.
        oracles: fit independent oracles of end points, for `im1` and `oracle`: once per data set.
        closely: number of paths compared with a geodesic and by latent LIME (see `evaluate_paths`).
        alone: number of inputs explained one at a time, for the latency.
        patterns: add what the paths from one class to another have in common, with the contributions of the first hundred.
        stability: number of classifiers trained again, see `agents.explanation.across.stability.stability`; 0: not measured.
        retrain: from a seed to such a classifier; None: see there.
        cache: folder for fitted oracles; None: in memory alone.
        progress: show bars.

    Returns:
        walker -> measure -> `Estimate`. Besides `MEASURES`, each walker has `training_queries` (made before), `break_even`
        (rival -> number of explanations after which this walker has made fewer queries in all; None: never), `cpu_ms` (CPU
        time per explanation in the batch), `alone_p50_ms` and `alone_p95_ms` (CPU time of one explained alone),
        `analysis_queries` (made for the measures, not for explanations), `failed` (rows not explained) and, for the user's
        own file or data frame, `failed_rows` (their row numbers or labels there).

    Example:
        >>> import envs
        >>> from agents.evaluate import evaluate
        >>> world = envs.make_world(data="iris", progress=False)
        >>> found = evaluate(world, ["line"], inputs=range(3), oracles=False, closely=0, alone=0)
        >>> found["line"]["validity"].n
        3
    """
    from agents.explanation.explain import choose_walker, explain, world_and_run
    from agents.explanation.metrics.cost import break_even, time_alone
    from agents.explanation.metrics.evaluate import evaluate_paths, reference_of
    from agents.explanation.metrics.oracle import oracles_of

    world, run = world_and_run(source)
    chosen = [choose_walker(walker, run) for walker in walkers]  # all names are read before anything walks
    rows = list(range(len(world.held_out.x))) if inputs is None else [int(row) for row in inputs]
    wanted = draw_targets(world, rows, seed) if targets == "random" else None
    known = reference_of(world) if reference is None else reference
    fitted = oracles_of(known.bank, known.bank_classes, world.classes, cache, progress) if oracles else None
    found: dict[str, dict[str, Any]] = {}
    for walker in chosen:
        started = time.process_time()
        paths = explain(
            run or world, None, wanted, walker, rows=rows, max_steps=max_steps, seed=seed, sparse=sparse, progress=progress
        )
        seconds = time.process_time() - started
        asked = world.classifier.queries
        measures: dict[str, Any] = dict(evaluate_paths(world, paths, known, seed=seed, oracles=fitted, closely=closely))
        if patterns:
            measures["patterns"] = common_to(paths, world)
        if stability:
            from agents.explanation.across.stability import stability as stable

            measures["stability"] = stable(paths, run or world, stability, retrain, walker, seed).to_json()
        measures["analysis_queries"] = world.classifier.queries - asked
        measures["training_queries"] = paths[0].training_queries if paths else 0
        measures["cpu_ms"] = 1000 * seconds / max(len(paths), 1)
        one = partial(_explain_alone, run or world, walker, max_steps, seed, sparse)
        goals = [None] * len(rows) if wanted is None else wanted
        measures |= time_alone(one, list(zip(rows, goals, strict=True))[: max(alone, 0)], seed)
        measures["failed"] = [path.index for path in paths if not path.success]
        if world.row_labels is not None:
            measures["failed_rows"] = [path.row for path in paths if not path.success]
        name, k = walker.name, 2
        while name in found:
            name, k = f"{walker.name} {k}", k + 1
        found[name] = measures
    for name, counts in break_even(found).items():
        found[name]["break_even"] = counts
    return found


def common_to(paths: Sequence[Trajectory], world: World) -> list[dict[str, Any]]:
    """`agents.explanation.across.patterns.patterns` in JSON's types, of the first hundred paths, with their contributions,
    which take queries."""
    from agents.explanation.across.patterns import patterns
    from agents.explanation.report.statement import add_contributions

    add_contributions(paths[:MOST_DIVIDED], world)
    return [pattern.to_json() for pattern in patterns(paths[:MOST_DIVIDED], world)]


def _explain_alone(
    source: Run | World, walker: Walker, max_steps: int | None, seed: int, sparse: bool, item: tuple[int, Any]
) -> None:
    from agents.explain import explain

    row, target = item
    explain(source, row, target, walker, max_steps=max_steps, seed=seed, sparse=sparse)


def draw_targets(world: World, rows: Sequence[int], seed: int) -> list[int] | None:
    """A random other class for each held-out row, independent of the other rows; None where the task takes no target.

    Each input costs one query, which is part of no explanation.
    """
    import torch

    if not world.task.takes_target:
        return None
    generator = torch.Generator().manual_seed(seed)
    shift = torch.randint(1, world.classes, (len(world.held_out.x),), generator=generator)[list(rows)]
    source = world.answers_held_out(list(rows)).argmax(1)
    return [int(target) for target in (source + shift) % world.classes]


def plain(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The measures as JSON: an Estimate becomes its value, interval and n; NaN becomes None."""

    def one(value: Any) -> Any:
        if hasattr(value, "as_dict"):
            return value.as_dict()
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {walker: {name: one(value) for name, value in measures.items()} for walker, measures in found.items()}


def kept_line(share: float, kind: str = "class") -> str:
    """The share of inputs whose frame 0 keeps the class, or the outcome of a goal."""
    return f"frame 0 keeps the {kind} for {share:.2f} of inputs" + (
        "" if share == 1 else f": for the others the reconstruction is already predicted as another {kind}"
    )


SIDE_BY_SIDE = 3  # walkers a table holds, with their intervals, in a terminal of usual width


def tables(found: dict[str, dict[str, Any]], goal: Any = None) -> list[Any]:
    """Rich tables of a few walkers each: one row per measure, one column per walker, values with their 95 % intervals.

    Args:
        found: measures of `evaluate`.
        goal: of the world, on a score or on labels, for the words; None: classes.
    """
    names = list(found)
    # As even as can be: four walkers are two and two.
    count = max(1, -(-len(names) // SIDE_BY_SIDE))
    cuts = [round(i * len(names) / count) for i in range(count + 1)]
    return [table({name: found[name] for name in names[a:b]}, goal) for a, b in pairwise(cuts)]


def table(found: dict[str, dict[str, Any]], goal: Any = None) -> Any:
    """A rich table: one row per measure, one column per walker, values with their 95 % intervals; arguments as in `tables`."""
    from rich.table import Table
    from rich.text import Text

    from agents.console.terminal import name_cell
    from agents.explanation.metrics.measures import measures_of

    out = Table(box=None, pad_edge=False)
    out.add_column("measure", no_wrap=True)
    for walker in found:
        out.add_column(Text(name_cell(walker.replace("_", " "))), justify="right", no_wrap=True)
    for name, measure in measures_of(goal).items():
        if any(name not in measures for measures in found.values()):
            continue  # of another kind of data: words of a text
        if all(measures[name].n == 0 for measures in found.values()):
            continue  # of no path
        out.add_row(measure.label, *(_cell(measures[name]) for measures in found.values()))
    out.add_row("training queries", *(f"{measures['training_queries']:,}" for measures in found.values()))
    out.add_row("CPU-ms each, in a batch", *(f"{measures['cpu_ms']:.2f}" for measures in found.values()))
    for name, title in (("alone_p50_ms", "CPU-ms alone, median"), ("alone_p95_ms", "CPU-ms alone, 95 %")):
        if any(measures[name].n for measures in found.values()):
            out.add_row(title, *(_cell(measures[name]) for measures in found.values()))
    return out


def break_even_lines(found: dict[str, dict[str, Any]]) -> list[str]:
    """One line per walker with training queries: when these pay off against each rival that made fewer."""
    lines = []
    for walker, measures in found.items():
        counts = measures["break_even"].items()
        counted = [f"than {rival}: after {n:,} explanations" for rival, n in counts if n is not None]
        never = [rival for rival, n in counts if n is None]
        counted += [f"than {', '.join(never)}: never"] if never else []
        if counted:
            lines.append(f"{walker} made fewer queries in all {'; '.join(counted)}")
    return lines


def _cell(estimate: Any) -> str:
    if estimate.n == 0:
        return "-"
    width = 0 if abs(estimate.value) >= 100 else 1 if abs(estimate.value) >= 20 else 3
    text = f"{estimate.value:.{width}f}"
    if estimate.low == estimate.high:
        return text
    return f"{text} [{estimate.low:.{width}f}, {estimate.high:.{width}f}]"


def main(argv: Sequence[str] | None = None) -> int:
    """The command, see `EvaluateConfig`."""
    config = parse_config(EvaluateConfig, argv, program("evaluate"))
    if config.inputs is not None and config.inputs < 1:
        raise UserError(f"--inputs {config.inputs}: at least 1 is needed")
    if config.protected and not config.audit:
        raise UserError("--protected names columns of --audit: add --audit, or leave it out")
    if config.out is not None and not Path(config.out).resolve().parent.is_dir():
        raise UserError(f"--out {config.out}: there is no folder {Path(config.out).resolve().parent}")
    prepare_process(config.num_threads)
    from agents.console.terminal import console as visible_console
    from agents.explain import open_source
    from agents.explanation.explain import world_and_run

    source = open_source(config)
    world, run = world_and_run(source)
    names = list(config.walker) or (["policy", "line"] if run is not None else ["line"])
    if "all" in names:
        names = walkers_for(world, has_model=run is not None)
    count = len(world.held_out.x) if config.inputs is None else min(config.inputs, len(world.held_out.x))
    found = evaluate(
        source, names, targets=config.targets, inputs=range(count), max_steps=config.max_steps, seed=config.seed,
        sparse=config.sparse, patterns=config.patterns, stability=config.stability,
        oracles=config.oracles, closely=config.closely, alone=config.alone, cache=Path(config.log_folder) / ".oracles",
        progress=config.progress,
    )  # fmt: skip
    audited = None
    if config.audit:
        from agents.explanation.across.audit import MOST_ROWS, audit

        audited = audit(source, config.protected or None, min(count, MOST_ROWS), names[0], config.seed)
    about = {"inputs": count, "targets": config.targets, "seed": config.seed}
    about |= {"task": world.task.name, "tau": world.task.tau}
    more = {} if audited is None else {"audit": audited.to_json()}
    measured = json.dumps({"settings": about, "walkers": plain(found), **more}, indent=1, allow_nan=False)
    if config.json:
        print(measured)
    else:
        _show(config, world, found, count, visible_console(highlight=False))
        print(*([] if audited is None else audited.lines), sep="\n", end="" if audited is None else "\n")
    if config.out is not None:
        with writing("the measures", "the tables above hold them: make room, or choose another place with --out FILE"):
            write_whole(Path(config.out), measured + "\n")
        print(f"wrote {config.out}", file=sys.stderr if config.json else sys.stdout)
    return 0


def _show(config: EvaluateConfig, world: World, found: dict[str, dict[str, Any]], count: int, console: Any) -> None:
    """Print the tables and the notes beneath them."""
    from agents.explanation.across.patterns import pattern_lines
    from agents.explanation.across.stability import stability_lines
    from agents.trajectories.goal import kind_of_end

    for part in tables(found, world.goal):
        console.print(part)
        console.print()
    rule = world.stop_rule
    print(f"{count} held-out inputs, {config.targets} targets, stop at {rule}; [95 % bootstrap intervals]")
    for line in break_even_lines(found):
        print(line)
    print(kept_line(next(iter(found.values()))["class_kept"].value, kind_of_end(world.goal)))
    for walker, measures in found.items():
        if (stable := measures.get("stability")) is not None:
            print(*(f"{walker}: {line}" for line in stability_lines(stable)), sep="\n")
        for line in pattern_lines(measures.get("patterns", [])):
            console.print(f"{walker}: {line}", markup=False, soft_wrap=True)
        if failed := measures.get("failed_rows", measures["failed"]):
            more = " ..." if len(failed) > 20 else ""
            what = "rows " if "failed_rows" in measures else ""
            print(f"{walker}: not explained: {what}{', '.join(map(str, failed[:20]))}{more}")


if __name__ == "__main__":
    sys.exit(run_main(main))
