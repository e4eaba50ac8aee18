"""Explain inputs of a world: from each, a walk to where the classifier's prediction changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.console.cli import UserError, progress_bar
from agents.console.deferred import in_usual_torch
from agents.console.threads import one_threaded
from envs.errors import ManifoldError
from envs.reading import checks

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from agents.explanation.inputs import Inputs
    from agents.explanation.targets import Aim
    from agents.runs.run import Run
    from agents.trajectories.recording import Origin
    from agents.trajectories.trajectory import Trajectory
    from agents.walkers.walker import Walker
    from envs.core.state import State
    from envs.core.world import World

BATCH = 2048  # inputs in one batch: larger is cheaper per input
WITHIN_BUDGET = 8  # inputs in one batch if the queries are limited: what is found before the limit is kept


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
    convincing: bool = False,
    progress: bool = False,
    on_batch: Callable[[list[Trajectory]], Any] | None = None,
) -> Any:
    """Walk from inputs to where the classifier's prediction changes.

    Args:
        source: a run (or its folder), or a world.
        inputs: a row of `split`, a list, array or range of rows, None for all of them, or data in the user's own units: one
            input of the data's shape or a batch.
        target: class name or index for all, a list of one each, `own` for the most typical form of the predicted class, or
            None: the nearest other class. Groups of classes are a set or ``any of a, b``, of ordered classes ``>= medium``.
            For a score ``>= 0.7``, ``<= 3``, ``2..4``, or a change of the input's own, ``+10 %`` or ``-5``; for labels
            ``flip a, hold b``; or an object of `envs.goals`.
        walker: a name of `agents.walkers.WALKERS`, ``module:object``, or a walker; None: the run's policy (the line, if that
            explained clearly more inputs at the end of the training), and with target `own` the line.
        rows: rows of `split`, instead of `inputs`: needed where whole numbers could be either.
        split: what rows are counted in: `held_out`, `reference`, or `own`: row numbers of the user's .csv file (from 0), or
            index labels of the user's data frame.
        max_steps: maximum number of steps; None: the world's limit.
        seed: of walkers that sample.
        skip_present: leave out inputs that are of the target class already, instead of an error.
        fallback: walk along the line from inputs for which the walker found no path; the path then names `line`, and the
            queries of both count. None: only where no walker is named. False: the run's policy alone.
        sparse: for tables and series, change few columns or intervals and keep the others; False: all that the walk changes.
        convincing: for pictures, plan the end anew, and continue, until an ensemble predicts the target class: small networks
            that learn the classifier's labels of reference inputs (`agents.walkers.planning.pictures.ensemble`). They are
            fitted on first use, in seconds, and cost no query; the further steps do.
        progress: show a bar.
        on_batch: called with the paths of each finished batch of inputs, for example to save them.

    Returns:
        A `Trajectory` for one row or input, else a list of them in the order of the inputs. With a run that was trained with
        a curiosity measured in nats (vime, bald), they hold the information gain of each step.

    Raises:
        ManifoldError: inputs or targets that do not fit; the message says what would.
        QueryBudgetError: the classifier may not be queried further; its `paths` are those that were found.
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
    from agents.explanation.information_gain import bonus_in_nats
    from agents.explanation.inputs import gather
    from agents.explanation.targets import read_aims
    from agents.runs.world_record import describe_world
    from agents.trajectories.recording import Origin
    from agents.trajectories.world import installed_versions

    world, run = world_and_run(source)
    by_default = walker is None
    if by_default and run is not None and run.trails_the_line and fallback is not False:
        walker = "line"
    chosen = choose_walker(walker, run)
    fallback = by_default and run is not None if fallback is None else fallback
    given = gather(world, inputs, split, rows)
    paths: list[Trajectory] = []
    with _stopped_by_budget(paths, len(given.x)):
        aims = read_aims(world, target, given, skip_present)
    search = _Search(
        run, bonus_in_nats(run), by_default, torch.Generator().manual_seed(seed), max_steps, fallback, sparse, convincing
    )
    origin = Origin(seed, versions=installed_versions())
    size = min(BATCH, world.classifier.batch_size or BATCH) if world.classifier.budget is None else WITHIN_BUDGET
    with progress_bar(len(given.x), "explaining", progress, unit="input") as bar, _stopped_by_budget(paths, len(given.x)):
        for aim, places in _batches(aims, size):
            bar.set_postfix_str(f"{world.classifier.queries:,} queries", refresh=False)
            if aim.world is not world:
                chosen = at_another_goal(choose_walker(walker, run), world, aim.world)
            origin = origin._replace(environment=describe_world(aim.world), requested=aim.requested)
            batch = _batch(aim, places, given, skip_present)
            found = search.paths_of(batch, chosen, origin)
            paths += found
            if on_batch is not None:
                on_batch(found)
            bar.update(len(places))
    if len(aims) > 1:
        paths.sort(key=lambda path: path.position or 0)
    return paths[0] if given.single else paths


class _Batch(NamedTuple):
    """Walks of some inputs at frame 0.

    Attributes:
        aim: where they go.
        rows: places of the inputs among all that are given.
        given: all inputs.
        state: of the walks.
        queries: made so far (B,).
        present: (B,) bool: inputs that are of their target class already.
    """

    aim: Aim
    rows: list[int]
    given: Inputs
    state: State
    queries: Tensor
    present: Tensor


def _batch(aim: Aim, places: range, given: Inputs, skip_present: bool) -> _Batch:
    """Frame 0 of the inputs at some places of an aim.

    Raises:
        ManifoldError: an input that breaks a constraint, or is of its target class already and may not be left out.
    """
    import torch

    from agents.constraints.rules import check_inputs

    rows = [aim.rows[k] for k in places]
    targets = None if aim.targets is None else [aim.targets[k] for k in places]
    state, queries, present = enter_aimed(
        aim.walked_in, given.x[rows], targets, None if given.cells is None else given.cells[rows]
    )
    if given.held is not None:
        state = state._replace(held=given.held[rows])
    check_inputs(aim.world.units, state.cells, lambda i: _name(given, rows[i]))
    if bool(present.any()) and (given.single or not skip_present):
        _refuse(aim.world, [rows[int(i)] for i in torch.nonzero(present)], given, state.source[present], aim.requested)
    return _Batch(aim, rows, given, state, queries + aim.queries, present)


@dataclass(frozen=True)
class _Search:
    """How paths are searched; arguments as for `explain`, `curious` is the bonus of the run, if it is in nats."""

    run: Run | None
    curious: Any
    by_default: bool
    generator: Generator
    max_steps: int | None
    fallback: bool
    sparse: bool
    convincing: bool

    def paths_of(self, batch: _Batch, chosen: Walker, origin: Origin) -> list[Trajectory]:
        """The paths of a batch, in the order of its inputs."""
        import numpy as np
        import torch

        from agents.explanation.information_gain import information_gain
        from agents.trajectories.recording import trajectories_of
        from agents.walkers.base import select
        from agents.walkers.planning.pictures.ensemble import picture_ensemble_of
        from agents.walkers.retarget import to_the_end_class
        from agents.walkers.strategy import find_paths
        from agents.walkers.walker import rows_queried_before

        world, walked_in, given = batch.aim.world, batch.aim.walked_in, batch.given
        check = picture_ensemble_of(world) if self.convincing else None
        found: dict[int, Trajectory] = {}
        for walker, group in _groups(world, batch.state, chosen, self.by_default):
            items = torch.from_numpy(np.flatnonzero(group.numpy() & ~batch.present.numpy()))
            if len(items) == 0:
                continue
            start, walk, by = find_paths(
                walker, walked_in, select(batch.state, items), batch.queries[items], self.generator, self.max_steps,
                fallback=self.fallback, sparse=self.sparse, check=check,
            )  # fmt: skip
            if self.curious is not None:
                walk = walk._replace(gain=information_gain(self.curious, world, start, walk))
            if walked_in is not world:
                start, walk = to_the_end_class(world, start, walk)
            policy = self.run if getattr(walker, "needs_model", False) else None
            before = rows_queried_before(walker, world) if policy is None else policy.queries
            rows = [batch.rows[i] for i in items.tolist()]
            made = trajectories_of(
                world, start, walk, origin._replace(training_queries=before), walker=by,
                index=None if given.rows is None else [given.rows[row] for row in rows],
                rows=None if given.labels is None else [given.labels[row] for row in rows],
            )  # fmt: skip
            for row, path in zip(rows, made, strict=True):
                position = row if given.kept is None else given.kept[row]
                path.__dict__.update(world=world, position=position)  # of this process alone: neither is saved
            found |= dict(zip(items.tolist(), made, strict=True))
        return [found[i] for i in sorted(found)]


@contextmanager
def _stopped_by_budget(paths: list[Trajectory], count: int) -> Iterator[None]:
    """Within, an exhausted query budget hands over the paths that were found for some of so many inputs."""
    from envs.errors import QueryBudgetError

    try:
        yield
    except QueryBudgetError as error:
        stopped = QueryBudgetError(f"{error}. {len(paths)} of {count} inputs were explained")
        stopped.paths = paths
        raise stopped from error


def choose_walker(walker: str | Walker | None, run: Run | None) -> Walker:
    """The walker of a name (None and `policy`: the run's trained agent, with retries), or the given object.

    Raises:
        ManifoldError: an unknown name, or a policy without a run.
    """
    from agents.walkers import make_walker

    if walker is not None and not isinstance(walker, str):
        return walker
    if walker in (None, "policy") and run is not None:
        return run.walker
    return make_walker(walker or "policy")


def world_and_run(source: Any) -> tuple[World, Run | None]:
    """The world, and the run behind it if there is one; of a name, a registered id or a run's folder."""
    from envs.registration import SPECS

    if isinstance(source, str) and source in SPECS:
        from envs.building.world import make_world_named

        return make_world_named(source, {}), None
    if isinstance(source, str | Path):
        from agents.runs.run import load_run

        source = load_run(source)
    if hasattr(source, "manifold"):
        return source, None
    if getattr(source, "world", None) is None:
        name = getattr(getattr(source, "folder", None), "root", type(source).__name__)
        raise UserError(f"{str(name)!r} has no latent space to walk in: give a run of a Manifold/ environment, or a world")
    return source.world, source


def enter_aimed(
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
        present = torch.zeros(len(x), dtype=torch.bool) if world.task.group is None else world.task.in_group(state.source)
        return state, queries, present
    wanted = torch.tensor([-1 if target is None else target for target in targets], dtype=torch.int64)
    state, queries = dynamics.enter(world, x, wanted.clamp_min(0), cells)
    own = wanted < 0
    if bool(own.any()):
        state = dynamics.refresh(world, state._replace(target=torch.where(own, state.source, state.target)))
    return state, queries, wanted == state.source


def _batches(aims: Sequence[Aim], size: int) -> Iterator[tuple[Aim, range]]:
    """Each aim with places of at most `size` of its inputs."""
    for aim in aims:
        for low in range(0, len(aim.rows), size):
            yield aim, range(low, min(low + size, len(aim.rows)))


def at_another_goal(walker: Walker, trained: World, world: World) -> Walker:
    """The walker in a world with another goal than that of its training: an agent walks without its surrogate.

    Raises:
        ManifoldError: an agent that was trained for another number of outcomes.
    """
    from agents.walkers.policy import RETRIES, PolicyWalker

    if not getattr(walker, "needs_model", False):
        return walker
    if world.classes != trained.classes:
        raise ManifoldError(
            f"the run was trained for the goal {str(trained.goal)!r} with {trained.classes} outcomes, and "
            f"{str(world.goal)!r} has {world.classes}: train with goal={str(world.goal)!r}, or name a walker that "
            "needs no training, such as the line"
        )
    return PolicyWalker(walker.model, retries=RETRIES) if isinstance(walker, PolicyWalker) else walker


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


def _refuse(world: World, rows: list[int], given: Inputs, present: Tensor, requested: str | None) -> None:
    """Raise an error that names the inputs whose target is the class that they are predicted as."""
    name = _name(given, rows[0])
    target = world.class_names[int(present[0])] if requested is None else requested
    more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
    instead = "ask for another class, or for 'own' to walk to that class's most typical form"
    raise ManifoldError(
        f"target {target!r} is what the classifier already says of {name}{more}: "
        + (instead if requested is None else "ask for another target")
    )
