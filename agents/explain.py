"""Explain inputs by walks: ``python -m agents.explain RUN --index 42 --target 9``, or :func:`explain` from Python.

::

    from agents.explain import explain
    path = explain(run, 42, target="9")                      # a held-out digit, by the trained agent
    paths = explain(world, X, walker="line")                 # your own inputs, without training
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.console.cli import (
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
    progress_bar,
    run_main,
)
from agents.console.deferred import in_usual_torch
from agents.console.threads import one_threaded
from agents.walkers import WALKERS
from envs.reading import checks

if TYPE_CHECKING:
    from torch import Tensor

    from agents.explanation.inputs import Inputs
    from agents.runs.run import Run
    from agents.trajectories.trajectory import Trajectory
    from agents.walkers.walker import Walker
    from envs.core.state import State
    from envs.core.world import World

BATCH = 2048  # inputs in one batch: larger is cheaper per input
RETRIES = 2  # sampled walks for inputs that the deterministic policy did not explain


@dataclass(kw_only=True)
class ExplainConfig(DataConfig):
    """Explain inputs: walk from each along the manifold to where the classifier's prediction changes."""

    run: str = option("latest", "run folder, or 'latest'; left out with --env or --data", positional=True, metavar="RUN")
    index: list[int] = option([], "which input(s) of the split", metavar="N")  # noqa: RUF009
    all: bool = option(False, "explain every input of the split")
    target: str | None = option(
        None, "class to reach; 'own': the own class's most typical form (default: whichever other class is nearest)"
    )
    split: str | None = option(
        None, "which data --index counts in (default: own, rows of your file counted from 0, if it has rows; else held_out)",
        choices=("own", "held_out", "reference"),
    )  # fmt: skip
    input: str | None = option(None, "your own input(s): .npz, .npy, .csv, .txt or a picture", metavar="FILE")
    walker: str | None = option(
        None, f"{', '.join(WALKERS)}, or module:object (default: the run's policy, or the line if that found more)"
    )
    sparse: bool = option(True, "of tables, change few columns; --no-sparse: as many as the walk does")
    fallback: bool = option(True, "use the line where the run's policy finds no path; --no-fallback: the policy alone")
    max_steps: int | None = option(None, "most steps of a path (default: the environment's limit)", metavar="N", **STEPS)
    seed: int = option(0, "seed of walkers that sample", metavar="N", **SEEDS)
    checkpoint: int | None = option(None, "steps of the run's checkpoint (default: the last)", metavar="STEPS", low=0)
    out: str | None = option(None, "folder for the results (default: the run's paths/)", metavar="DIR")
    format: list[str] = option(  # noqa: RUF009
        ["npz", "png"], "what is written of each path: npz can be replayed", choices=("npz", "png", "gif", "json")
    )
    contributions: bool = option(
        True, "what each changed part is worth, by queries of its own, for up to five inputs; --no-contributions: not"
    )
    badge: bool = option(False, "whether each end holds up, by other classifiers that are fitted first (seconds)")
    lime: str = option(
        "none", "LIME along each path, into lime/ beside it: on the manifold at every frame, or the lime library's at three",
        choices=("none", "latent", "plain"),
    )  # fmt: skip
    engine: str | None = option(
        None, "explain the many rows of --input in parts, into --out: 'local', processes of this machine, or 'ray', a cluster",
        choices=("local", "ray"),
    )  # fmt: skip
    jobs: int = option(1, "workers of --engine, each with one thread", "-j", metavar="N", low=1)
    address: str | None = option(None, "of the Ray cluster; 'auto': the running one (default: one of this machine alone)")
    part_size: int = option(
        1000, "rows of a part, which is explained in one batch and written as one file", metavar="N", low=1
    )
    keep_frames: bool = option(False, "with --engine: keep the codes and predictions of all frames")
    redact: list[str] = option(  # noqa: RUF009
        [], "columns of a table that are shown as hidden, and left out of saved paths", metavar="COLUMN"
    )
    json: bool = option(False, "print the results as one JSON object, and nothing else, on stdout")
    log_folder: str = option("runs", "where runs are looked up", "-f", metavar="DIR")
    progress: bool = option(True, "show a progress bar with --all, on a terminal", "-P")


@one_threaded
@in_usual_torch
def explain(
    source: Run | World | str | Path,
    inputs: Any = None,
    target: Any = None,
    walker: str | Walker | None = None,
    *,
    rows: Any = None,
    split: str = "held_out",
    max_steps: int | None = None,
    seed: int = 0,
    skip_present: bool = False,
    fallback: bool | None = None,
    sparse: bool = True,
    progress: bool = False,
    on_batch: Callable[[list[Trajectory]], Any] | None = None,
) -> Any:
    """Walk from inputs to where the classifier's prediction changes.

    Args:
        source: a run (or its folder), or a world.
        inputs: a row of `split`, a list, array or range of rows, None for all of them, or data in the user's own units: one
            input of the data's shape or a batch.
        target: class name or index for all, a list of one each, `own` for the most typical form of the predicted class, or
            None: the nearest other class.
        walker: a name of `agents.walkers.WALKERS`, ``module:object``, or a walker; None: the run's policy (the line, if that
            explained clearly more inputs at the end of the training), and with target `own` the line.
        rows: rows of `split`, instead of `inputs`: needed where whole numbers could be either.
        split: what rows are counted in: `held_out`, `reference`, or `own`: row numbers of the user's .csv file (from 0), or
            index labels of the user's data frame.
        max_steps: most steps of a path; None: the world's limit.
        seed: of walkers that sample.
        skip_present: leave out inputs that are of the target class already, instead of an error.
        fallback: walk along the line from inputs for which the walker found no path; the path then names `line`, and the
            queries of both count. None: only where no walker is named. False: the run's policy alone.
        sparse: of tables, change few columns, the others keep the input's values; False: as many as the walk changes.
        progress: show a bar.
        on_batch: called with the paths of each finished batch of inputs, for example to save them.

    Returns:
        A `Trajectory` for one row or input, else a list of them in the order of the inputs. With a run that was trained with
        a curiosity measured in nats (vime, bald), they hold the information gain of each step.

    Raises:
        ManifoldError: inputs or targets that do not fit; the message says what would.
        UserError: a run that cannot be read.

    Example:
        >>> import envs
        >>> from agents.explain import explain
        >>> path = explain(envs.make_world(data="iris", progress=False), 0, walker="line")
        >>> path.success
        True
    """
    import torch

    from envs.runtime.plain import plain

    max_steps, seed = plain(max_steps), plain(seed)
    if max_steps is not None and max_steps < 1:
        raise UserError(f"max_steps {max_steps}: a walk needs at least one step")
    checks.seed(seed, error=UserError)
    from agents.constraints.rules import check_inputs
    from agents.explanation.information_gain import bonus_in_nats, information_gain
    from agents.explanation.inputs import gather, read_targets
    from agents.runs.world_record import describe_world
    from agents.trajectories.recording import trajectories_of
    from agents.trajectories.world import installed_versions
    from agents.walkers.base import select
    from agents.walkers.retarget import to_the_end_class
    from agents.walkers.strategy import find_paths
    from agents.walkers.walker import rows_queried_before

    world, run = world_and_run(source)
    by_default = walker is None
    if by_default and run is not None and run.trails_the_line and fallback is not False:
        walker = "line"
    chosen, curious = choose_walker(walker, run), bonus_in_nats(run)
    fallback = by_default and run is not None if fallback is None else fallback
    given = gather(world, inputs, split, rows)
    targets = read_targets(world, target, len(given.x) if given.given is None else given.given)
    if targets is not None and given.kept is not None:
        targets = [targets[row] for row in given.kept]
    walked_in = world.untargeted if targets is None else world
    generator = torch.Generator().manual_seed(seed)
    versions, environment = installed_versions(), describe_world(world)
    paths: list[Trajectory] = []
    with progress_bar(len(given.x), "explaining", progress, unit="input") as bar:
        for low in range(0, len(given.x), BATCH):
            now = range(low, min(low + BATCH, len(given.x)))
            part = None if targets is None else [targets[row] for row in now]
            own = None if given.cells is None else given.cells[low : now.stop]
            state, queries, present = _enter(world, given.x[low : now.stop], part, own)
            check_inputs(world.units, state.cells, lambda i, low=low: _name(given, low + i))  # type: ignore[misc]
            bar.update(len(now))
            if bool(present.any()) and (given.single or not skip_present):
                _refuse(world, [low + int(i) for i in torch.nonzero(present)], given, state)
            found: dict[int, Trajectory] = {}
            for walks, group in _groups(world, state, chosen, by_default):
                items = torch.nonzero(group & ~present).flatten()
                if len(items) == 0:
                    continue
                start, walk, by = find_paths(
                    walks,
                    walked_in,
                    select(state, items),
                    queries[items],
                    generator,
                    max_steps,
                    fallback=fallback,
                    sparse=sparse,
                )
                if curious is not None:
                    walk = walk._replace(gain=information_gain(curious, world, start, walk))
                if walked_in is not world:
                    start, walk = to_the_end_class(world, start, walk)
                policy = run if getattr(walks, "needs_model", False) else None
                queried_before = rows_queried_before(walks, world) if policy is None else policy.queries
                made = trajectories_of(
                    world, start, walk, walker=by, seed=seed, versions=versions, training_queries=queried_before,
                    index=None if given.rows is None else [given.rows[low + i] for i in items.tolist()],
                    rows=None if given.labels is None else [given.labels[low + i] for i in items.tolist()],
                    environment=environment,
                )  # fmt: skip
                for i, path in zip(items.tolist(), made, strict=True):
                    position = low + i if given.kept is None else given.kept[low + i]
                    path.__dict__.update(world=world, position=position)  # of this process alone: neither is saved
                found |= dict(zip(items.tolist(), made, strict=True))
            ordered = [found[i] for i in sorted(found)]
            paths += ordered
            if on_batch is not None:
                on_batch(ordered)
    return paths[0] if given.single else paths


def choose_walker(walker: str | Walker | None, run: Run | None) -> Walker:
    """The walker of a name (None and `policy`: the run's trained agent, with retries), or the given object.

    Raises:
        ManifoldError: an unknown name, or a policy without a run.
    """
    from agents.walkers import make_walker

    if walker is not None and not isinstance(walker, str):
        return walker
    if walker in (None, "policy") and run is not None:
        return make_walker("policy", run.model, run.surrogate, retries=RETRIES, ensemble=run.ensemble)
    return make_walker(walker or "policy")


def world_and_run(source: Any) -> tuple[World, Run | None]:
    """The world, and the run behind it if there is one."""
    if isinstance(source, str | Path):
        from agents.runs.run import load_run

        source = load_run(source)
    if hasattr(source, "manifold"):
        return source, None
    if getattr(source, "world", None) is None:
        name = getattr(getattr(source, "folder", None), "root", type(source).__name__)
        raise UserError(f"{str(name)!r} has no latent space to walk in: give a run of a Manifold/ environment, or a world")
    return source.world, source


def _enter(
    world: World, x: Tensor, targets: list[int | None] | None, cells: Tensor | None = None
) -> tuple[State, Tensor, Tensor]:
    """States at frame 0 of inputs x with the user's own cells, the queries made for each (B,), and (B,) bool: which inputs
    are of their target class already.

    A target None is the predicted class of the input.
    """
    import torch

    from envs.core import dynamics

    if targets is None:
        state, queries = dynamics.enter(world, x, cells=cells)
        return state, queries, torch.zeros(len(x), dtype=torch.bool)
    asked = torch.tensor([-1 if target is None else target for target in targets], dtype=torch.int64)
    state, queries = dynamics.enter(world, x, asked.clamp_min(0), cells)
    own = asked < 0
    if bool(own.any()):
        state = dynamics.refresh(world, state._replace(target=torch.where(own, state.source, state.target)))
    return state, queries, asked == state.source


def _groups(world: World, state: State, chosen: Walker, by_default: bool) -> list[tuple[Walker, Tensor]]:
    """Pairs of a walker and a mask (B,) of the items that it takes.

    An agent that was trained to reach other classes was not trained for the typical form of the own class: by default, the
    line takes such items.
    """
    own = state.target == state.source
    if by_default and getattr(chosen, "needs_model", False) and world.task.takes_target and bool(own.any()):
        from agents.walkers import make_walker

        return [(chosen, ~own), (make_walker("line"), own)]
    return [(chosen, own | ~own)]


def _name(given: Inputs, row: int) -> str:
    known = given.labels if given.labels is not None else given.rows
    return f"input {row}" if known is None else f"row {known[row]}"


def _refuse(world: World, rows: list[int], given: Inputs, state: State) -> None:
    """Raise an error that names the inputs whose target is the class that they are predicted as."""
    from envs.errors import ManifoldError

    name = _name(given, rows[0])
    present = world.class_names[int(state.source[rows[0] % BATCH])]
    more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
    raise ManifoldError(
        f"target {present!r} is what the classifier already says of {name}{more}: ask for another class, "
        "or for 'own' to walk to that class's most typical form"
    )


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
    prepare_process(config.num_threads)
    if config.engine is not None:
        from agents.engine.command import explain_parts

        return explain_parts(config, open_source(config))
    from agents.explanation.first_answer import first_answer
    from agents.explanation.inputs import inputs_of_file
    from agents.explanation.output import SHOWN, add_contributions, for_machines, report, save
    from agents.redaction import redacted

    source = open_source(config)
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
        if config.contributions and not config.all and len(made) <= SHOWN:
            add_contributions(made)
        if config.badge:
            for path in made:
                path.badge()
        if folder is not None:
            save(redacted(made, world, config.redact), world, folder, config.format, bar, files)

    try:
        walker = config.walker or ("line" if run is None else None)
        paths = explain(source, inputs, config.target, walker, rows=rows, split=split,
                        max_steps=config.max_steps, seed=config.seed, skip_present=many,
                        fallback=None if config.fallback else False, sparse=config.sparse,
                        progress=bar, on_batch=keep)  # fmt: skip
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {len(files)} paths are saved in {folder}" if files else "") from None
    paths = redacted(paths if isinstance(paths, list) else [paths], world, config.redact)
    if config.json:
        print(json.dumps({"paths": for_machines(paths, files)}, allow_nan=False))
        out: Any = sys.stderr
    else:
        report(paths, files, brief=config.all, world=world)
        out = sys.stdout
    if run is None and config.data is not None:
        flags = {name: value for name in WORLD_FLAGS if (value := getattr(config, name)) is not None}
        for line in first_answer(world, flags, program("train"), walker == "line"):
            print(line, file=out)
    if run is not None and config.walker is None and (said := who_walked(run, paths, config.fallback)):
        print(said, file=out)
    if config.lime != "none":
        from agents.explanation.local.lime_figure import save_lime

        made = save_lime(paths, files, world, config.lime, config.seed)
        print(f"{config.lime} LIME of {len(made)} path{'' if len(made) == 1 else 's'} in {made[0].parent}", file=out)
    if inputs is not None and many and (skipped := len(inputs.x) - len(paths)):
        print(f"left out {skipped} of {len(inputs.x)} inputs: the classifier calls them {config.target!r} already", file=out)
    return 0


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

        return load_run(config.run, config.checkpoint, trust=config.trust, root=config.log_folder)
    from envs.building.world import make_world_named
    from envs.reading.trust import trusting

    with trusting(config.trust):  # a saved manifold's folder may name what it is made of
        return make_world_named(env_id, kwargs, getattr(config, "progress", True))


if __name__ == "__main__":
    sys.exit(run_main(main))
