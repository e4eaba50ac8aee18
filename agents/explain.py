"""Explain inputs by walks: ``python -m agents.explain RUN --index 42 --target 9``, or `explain` from Python.

::

    from agents.explain import explain
    path = explain(run, 42, target="9")                      # a held-out digit, by the trained agent
    paths = explain(world, X, walker="line")                 # your own inputs, without training
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.console.cli import (
    QUERY_FLAGS,
    SEEDS,
    STEPS,
    WORLD_FLAGS,
    DataConfig,
    UserError,
    described_world,
    option,
    parse_config,
    prepare_process,
    program,
    query_options,
    run_main,
)
from agents.explanation.explain import explain, world_and_run
from agents.walkers import WALKERS, default_walker

if TYPE_CHECKING:
    from agents.runs.run import Run
    from agents.trajectories.trajectory import Trajectory
    from envs.core.world import World

__all__ = ["ExplainConfig", "explain", "main"]


@dataclass(kw_only=True)
class ExplainConfig(DataConfig):
    """Explain inputs: walk from each along the manifold to where the classifier's prediction changes."""

    run: str = option("latest", "run folder, or 'latest'; left out with --env or --data", positional=True, metavar="RUN")
    index: list[int] = option([], "which input(s) of the split", metavar="N")  # noqa: RUF009
    all: bool = option(False, "explain every input of the split")
    target: str | None = option(
        None,
        "class to reach, 'any of a, b', or of ordered classes '>= medium'; of a score '>= 0.7', '2..4', '+10 %' (or "
        "--target=-5); of labels 'flip a, hold b'; 'own': the own class's most typical form (default: whichever other class "
        "is nearest)",
    )
    split: str | None = option(
        None, "which data --index counts in (default: own, rows of your file counted from 0, if it has rows; else held_out)",
        choices=("own", "held_out", "reference"),
    )  # fmt: skip
    input: str | None = option(None, "your own input(s): .npz, .npy, .csv, .txt or a picture", metavar="FILE")
    walker: str | None = option(
        None, f"{', '.join(WALKERS)}, or module:object (default: the run's policy, or the line if that found more)"
    )
    sparse: bool = option(True, "tables and series: change few columns or intervals; --no-sparse: all that the walk changes")
    ways: int = option(1, "up to N paths for each input, which change different parts", metavar="N", low=1, high=20)
    scenarios: bool = option(
        False, "the nearest path, the most typical one and, with --features-to-vary, one that changes those columns alone"
    )
    features_to_vary: list[str] = option([], "columns of a table that may change", metavar="COLUMN")  # noqa: RUF009
    rules: str | None = option(None, "further constraints on a table's row (.yml or .json)", metavar="FILE")
    part_names: dict[str, Any] = option({}, "your names for columns or parts, which headlines then use")  # noqa: RUF009
    convincing: bool = option(False, "pictures: continue until an ensemble, fitted first (seconds), predicts the target")
    fallback: bool = option(True, "use the line where the run's policy finds no path; --no-fallback: the policy alone")
    max_steps: int | None = option(None, "maximum steps of a path (default: the environment's limit)", metavar="N", **STEPS)
    seed: int = option(0, "seed of walkers that sample", metavar="N", **SEEDS)
    checkpoint: int | None = option(None, "steps of the run's checkpoint (default: the last)", metavar="STEPS", low=0)
    out: str | None = option(None, "folder for the results (default: the run's paths/)", metavar="DIR")
    format: list[str] = option(  # noqa: RUF009
        ["npz", "png"], "files to write for each path; npz can be replayed", choices=("npz", "png", "gif", "json")
    )
    contributions: bool = option(
        True, "compute what each changed part contributes, with further queries, for up to five inputs"
    )
    badge: bool = option(False, "check each end with other classifiers, which are fitted first (seconds)")
    lime: str = option(
        "none", "LIME along each path, into lime/ beside it: on the manifold at every frame, or the lime library's at three",
        choices=("none", "latent", "plain"),
    )  # fmt: skip
    engine: str | None = option(
        None, "explain the many rows of --input in parts, into --out: 'local', processes of this machine, or 'ray', a cluster",
        choices=("local", "ray"),
    )  # fmt: skip
    jobs: int = option(1, "workers of --engine, each with one thread", "-j", metavar="N", low=1)
    address: str | None = option(None, "address of the Ray cluster; 'auto': the running one (default: a local one)")
    part_size: int = option(
        1000, "rows of a part, which is explained in one batch and written as one file", metavar="N", low=1
    )
    keep_frames: bool = option(False, "with --engine: keep the codes and predictions of all frames")
    redact: list[str] = option(  # noqa: RUF009
        [], "columns of a table to hide and to leave out of saved paths", metavar="COLUMN"
    )
    json: bool = option(False, "print the results as one JSON object, and nothing else, on stdout")
    log_folder: str = option("runs", "where runs are looked up", "-f", metavar="DIR")
    progress: bool = option(True, "show a progress bar with --all, on a terminal", "-P")


def main(argv: Sequence[str] | None = None) -> int:
    """The command, see `ExplainConfig`."""
    config = parse_config(ExplainConfig, argv, program("explain"))
    without_run = described_world(config)[0] is not None
    if without_run and config.walker == "policy":
        raise UserError("--walker policy is a run's trained agent, and there is no run: leave it out, or name another walker")
    if sum((bool(config.index), config.all, config.input is not None)) != 1:
        raise UserError("say what to explain: --index N, --all, or --input FILE (one of them)")
    if config.engine is None and (config.jobs > 1 or config.address is not None or config.keep_frames):
        raise UserError("--jobs, --address and --keep-frames belong to --engine local or --engine ray")
    if config.lime != "none" and without_run and config.out is None:
        raise UserError(f"--lime {config.lime} is written beside the saved paths: name a folder with --out DIR")
    if config.lime != "none" and config.redact:
        raise UserError(f"--lime {config.lime} writes figures of all columns: leave out it or --redact")
    if config.ways > 1 and config.scenarios:
        raise UserError("--ways and --scenarios are two ways to show several paths: leave out one of them")
    if config.part_names and (config.all or not config.contributions):
        raise UserError("--part-names are names of contributions, which --all and --no-contributions leave out")
    for name in ("ways", "scenarios", "features_to_vary", "rules", "part_names"):
        if config.engine is not None and getattr(config, name) != getattr(ExplainConfig(), name):
            raise UserError(f"--{name.replace('_', '-')} is for single explanations: leave out it or --engine")
    prepare_process(config.num_threads)
    if config.engine is not None:
        from agents.engine.command import explain_parts

        return explain_parts(config, open_source(config))
    from agents.constraints.binding import binding
    from agents.explanation.alternatives.result import flat, sentences
    from agents.explanation.contributions.names import rename_parts
    from agents.explanation.first_answer import first_answer
    from agents.explanation.inputs import inputs_of_file
    from agents.explanation.output import SHOWN, add_contributions, columns_said, for_machines, report, save
    from agents.redaction import redacted
    from envs.errors import QueryBudgetError

    source, explain_with = source_and_explainer(config, *world_and_run(open_source(config)))
    world, run = world_and_run(source)
    inputs = inputs_of_file(world, config.input) if config.input else None
    count = 0 if inputs is None else inputs.given or len(inputs.x)
    bar = config.progress and config.all
    # Several inputs may include some of the target class, which are left out; for a single input that is an error.
    many = config.all or count > 1
    rows = config.index or None
    split = config.split or ("own" if rows and world.row_labels is not None else "held_out")
    folder = config.out if config.out is not None else None if run is None else run.folder.root / "paths"
    files: list[Path] = []

    def keep(made: list[Trajectory]) -> None:
        try:
            if config.contributions and not config.all and len(made) <= SHOWN * (3 if config.scenarios else config.ways):
                add_contributions(made)
                unused = rename_parts(made, config.part_names, world)
                if unused and not world.units.anchored:
                    print(f"--part-names: no changed part is called {', '.join(map(repr, unused))}", file=sys.stderr)
            if config.badge:
                for path in made:
                    path.badge()
        finally:  # a query budget may be used up
            if folder is not None:
                save(redacted(made, world, config.redact), world, folder, config.format, bar, files)

    stopped = None
    try:
        walker = config.walker or (default_walker(world) if run is None else None)
        found = explain_with(source, inputs, config.target, walker=walker, rows=rows, split=split,
                      max_steps=config.max_steps, seed=config.seed, skip_present=many,
                      fallback=None if config.fallback else False, sparse=config.sparse, convincing=config.convincing,
                      progress=bar, on_batch=keep)  # fmt: skip
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {len(files)} paths are saved in {folder}" if files else "") from None
    except QueryBudgetError as error:
        stopped, found = error, list(error.paths)
        if not found:
            raise UserError(f"{error}: go on with a larger --classifier-budget") from None
        if not files:
            with suppress(QueryBudgetError):
                keep(found)
    paths, summaries = redacted(flat(found), world, config.redact), sentences(found, world, config.all)
    if config.json:
        more = {"alternatives": summaries} if summaries else {}
        print(json.dumps({"paths": for_machines(paths, files), **columns_said(world), **more}, allow_nan=False))
        out: Any = sys.stderr
    else:
        report(paths, files, brief=config.all, world=world)
        out = sys.stdout
    for line in summaries:
        print(line, file=out)
    for path in flat(found) if hasattr(world, "unconstrained") and not config.all else ():
        if not path.success:
            print(f"{path.name}: {binding(path).sentence}", file=out)
    if stopped is not None:
        saved = f", and saved in {folder}" if files else ""
        raise UserError(f"{stopped}{saved}: go on with a larger --classifier-budget, or with --index for the other inputs")
    if run is None and config.data is not None and world.classifier.budget is None:  # it makes queries
        flags = {name: value for name in (*WORLD_FLAGS, *QUERY_FLAGS) if (value := getattr(config, name)) is not None}
        for line in first_answer(world, flags, program("train"), walker == "line"):
            print(line, file=out)
    if run is not None and config.walker is None and not summaries and (said := who_walked(run, paths, config.fallback)):
        print(said, file=out)
    if config.lime != "none":
        from agents.explanation.local.lime_figure import save_lime

        made = save_lime(paths, files, world, config.lime, config.seed)
        print(f"{config.lime} LIME of {len(made)} path{'' if len(made) == 1 else 's'} in {made[0].parent}", file=out)
    explained = len(found) if isinstance(found, list) else 1
    if inputs is not None and many and (skipped := len(inputs.x) - explained):
        why = f"the classifier calls them {config.target!r} already"
        why += "" if world.goal is None else ", or no reference row is there"
        print(f"left out {skipped} of {len(inputs.x)} inputs: {why}", file=out)
    return 0


def source_and_explainer(config: ExplainConfig, world: World, run: Run | None) -> tuple[Run | World, Any]:
    """The run or world with the constraints of the flags, and the function that explains: one path, ways or scenarios.

    Raises:
        UserError: the columns that may vary are given twice.
        ManifoldError: constraints that do not fit.
    """
    from agents.constraints.apply import constrained_source
    from agents.constraints.rules_file import read_rules
    from agents.explanation.alternatives import scenarios, several_ways

    constraints = {} if config.rules is None else read_rules(config.rules)
    if config.features_to_vary and not config.scenarios:
        if "features_to_vary" in constraints:
            raise UserError(f"--features-to-vary, and features_to_vary in {config.rules}: leave out one of them")
        constraints["features_to_vary"] = config.features_to_vary
    source = constrained_source(world, run, **constraints)
    if config.scenarios:
        return source, partial(scenarios, features_to_vary=config.features_to_vary)
    return source, explain if config.ways == 1 else partial(several_ways, n=config.ways)


def who_walked(run: Run, paths: Sequence[Trajectory], fallback: bool = True) -> str | None:
    """One line where the line took inputs in place of the run's policy; None where the policy took all."""
    lines = [path for path in paths if path.walker == "line" and path.target != path.source]
    if not lines or not fallback:
        return None
    rates = run.evaluation
    why = "where the policy found no path"
    why += ", or more columns change on its own" if any(path.held for path in lines) else ""
    if run.trails_the_line:
        return (
            f"the line walked: at the training's end it found {rates['line_success_rate']:.2f} of held-out inputs, the policy "
            f"{rates['success_rate']:.2f} (train longer, or name --walker policy)"
        )
    return (
        f"the line walked for {len(lines)} of {len(paths)} input{'' if len(paths) == 1 else 's'}, "
        f"{why} (--no-fallback: the policy alone)"
    )


def open_source(config: Any) -> Run | World:
    """The run of the command line, or the world that its flags describe.

    Raises:
        UserError: a run and flags of a world together, or flags that describe no world by themselves.
    """
    env_id, kwargs = described_world(config)
    if env_id is not None and config.run != "latest":
        raise UserError(f"the run {config.run!r} has its own data and classifier: leave out either it or the flags of a world")
    if env_id is None:
        for name in ("env_kwargs", *WORLD_FLAGS):
            if getattr(config, name):
                flag = "--" + name.replace("_", "-")
                raise UserError(f"{flag} belongs to --env ID or --data FILE; a run has its own settings in its config.json")
        from agents.runs.run import load_run

        return load_run(config.run, config.checkpoint, trust=config.trust, root=config.log_folder, query=query_options(config))
    from envs.building.world import make_world_named
    from envs.reading.trust import trusting

    with trusting(config.trust):  # a saved manifold's folder may name what it is made of
        return make_world_named(env_id, kwargs, getattr(config, "progress", True))


if __name__ == "__main__":
    sys.exit(run_main(main))
