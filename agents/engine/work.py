"""Explaining one part of the rows, in whatever process: the same rows give the same results everywhere."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.console.cli import UserError
from agents.engine.parts import write_part
from agents.engine.rows import Rows, open_rows
from envs.datasets import TableUnits
from envs.errors import ManifoldError, QueryBudgetError
from envs.modalities.rows import RowUnits

if TYPE_CHECKING:
    from pathlib import Path

    from agents.runs.run import Run
    from agents.trajectories.trajectory import Trajectory
    from envs.core.world import World

EXPLAINED, NOT_FOUND, PRESENT, LEFT_OUT = "explained", "not found", "of the target class already", "left out"
RESULT = {
    "row": "int64", "status": "string", "reason": "string", "source": "string", "target": "string", "end": "string",
    "success": "bool_", "p_first": "float64", "p_end": "float64", "steps": "int64", "queries": "int64", "walker": "string",
    "distance": "float64", "typicality": "float64",
}  # fmt: skip
SCORES = {"score_first": "float64", "score_end": "float64"}  # of models with a score
FRAMES = {"codes": "list<list<float32>>", "predictions": "list<list<float32>>"}
ANSWERS = ("repeat", "temperature")  # options of queries that change what the classifier answers
MOST_FAILURES = 20  # rows of one part that fail by themselves: with more the classifier, not a row, is at fault


@dataclass(frozen=True)
class Job:
    """What is explained, and how: plain data, so that a worker in another process can be given it.

    Args:
        run: run folder.
        rows: file or folder of the rows, see `agents.engine.rows.open_rows`.
        target: class name or index for all; None: the nearest other class.
        walker: name; None: the run's policy.
        fallback: whether the line takes rows for which the policy finds no path.
        max_steps: maximum number of steps; None: the world's limit.
        seed: of walkers that sample.
        batch_size: rows of a part, which are explained in one batch.
        frames: keep the codes and predictions of all frames of each path.
        checkpoint: of the run; None: the last.
        trust: names that may be loaded, see `agents.load_run`.
        query: options of the classifier's queries over those of the run, as pairs, see `envs.query_options.QueryOptions`.
    """

    run: str
    rows: str
    target: Any = None
    walker: str | None = None
    fallback: bool = True
    max_steps: int | None = None
    seed: int = 0
    batch_size: int = 1000
    frames: bool = False
    checkpoint: int | None = None
    trust: tuple[str, ...] = ()
    query: tuple[tuple[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """All that the results depend on."""
        plain = {name: value for name, value in asdict(self).items() if name not in ("trust", "query")}
        query = {name: value for name, value in self.query if name in ANSWERS}
        return {**plain, "query": query} if query else plain


class Worker:
    """Explains parts. It loads the run once, at its first part.

    Args:
        job: what to explain.
        source: the world or run in this process; None: the run of `job`.
    """

    def __init__(self, job: Job, source: World | Run | None = None) -> None:
        self.job, self._source = job, source

    @cached_property
    def source(self) -> World | Run:
        """The world or run that explains."""
        if self._source is not None:
            return self._source
        from agents.runs.run import load_run

        return load_run(self.job.run, self.job.checkpoint, trust=self.job.trust, query=dict(self.job.query))

    @cached_property
    def world(self) -> World:
        """Where the rows are explained."""
        from agents.explanation.explain import world_and_run

        return world_and_run(self.source)[0]

    @cached_property
    def rows(self) -> Rows:
        """The rows."""
        return open_rows(self.world, self.job.rows)

    def bounds(self, part: int) -> tuple[int, int]:
        """First row of a part, and the one after its last."""
        start = part * self.job.batch_size
        return start, min(start + self.job.batch_size, self.rows.size)

    def __call__(self, part: int, file: Path) -> dict[str, int]:
        """Explain a part, and write its results to `file`; the number of its rows by status."""
        return write_part(self.explain(*self.bounds(part)), file, self.types)

    def explain(self, start: int, stop: int) -> list[dict[str, Any]]:
        """Results of the rows from `start` up to `stop`, one mapping a row."""
        return self._results(self.rows.read(start, stop), start, 0, stop - start, [])

    def _results(self, given: Any, start: int, low: int, high: int, failures: list[str]) -> list[dict[str, Any]]:
        """Results of the given rows from `low` up to `high`.

        A batch that fails is halved until the rows are found that fail by themselves; their messages join `failures`.
        """
        from agents.explanation.explain import explain

        job = self.job
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what they say of a row is in its result
                paths = explain(
                    self.source, given[low:high], job.target, job.walker, max_steps=job.max_steps, seed=job.seed,
                    skip_present=True, fallback=None if job.fallback else False,
                )  # fmt: skip
        except QueryBudgetError:
            raise  # no row is at fault
        except (ManifoldError, UserError) as error:
            if high - low > 1:
                parts = (low, (low + high) // 2), ((low + high) // 2, high)
                return [result for part in parts for result in self._results(given, start, *part, failures)]
            failures.append(str(error))
            if len(failures) > MOST_FAILURES:
                raise
            return [self._empty(start + low, LEFT_OUT, str(error))]
        made = {low + path.position: result for path, result in zip(paths, self._rows_of(paths), strict=True)}
        return [
            self._empty(start + i, EXPLAINED) | made[i] if i in made else self._empty(start + i, *self._why(given[i : i + 1]))
            for i in range(low, high)
        ]

    def _why(self, row: Any) -> tuple[str, str | None]:
        """Status and reason of a row that has no path though others of its batch have. A query for a target that is relative
        to the row's score."""
        from agents.explanation.inputs import gather
        from agents.explanation.targets import read_aims

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read_aims(self.world, self.job.target, gather(self.world, row))
        except ManifoldError as error:
            return LEFT_OUT, str(error)
        return PRESENT, None

    def _rows_of(self, paths: list[Trajectory]) -> list[dict[str, Any]]:
        """Results of paths."""
        return [self._result(path) | end for path, end in zip(paths, self._ends(paths), strict=True)]

    def _ends(self, paths: list[Trajectory]) -> list[dict[str, Any]]:
        """The rows at the ends of paths through a table in the user's units; the sentences of text; nothing for pictures."""
        import torch

        units, columns = self.world.units, self._columns
        if not paths or not columns:
            return [{} if path.texts is None else {"text": path.texts[-1]} for path in paths]
        cells = [units.exact(torch.from_numpy(path.frames(self.world)[-1:]), path.factual(self.world)) for path in paths]
        values = units.values(torch.cat(cells))  # type: ignore[attr-defined, arg-type]
        return [dict(zip(columns, map(_plain, row, columns.values()), strict=True)) for row in values]

    def _result(self, path: Trajectory) -> dict[str, Any]:
        shown, scores = path.predictions, path.scores
        result = {
            "status": EXPLAINED if path.success else NOT_FOUND,
            "source": path.class_names[path.source],
            "target": path.class_names[path.target],
            "end": path.class_names[int(path.predicted[-1])],
            "success": path.success,
            "p_first": None if shown is None else float(shown[0, path.target]),
            "p_end": None if shown is None else float(shown[-1, path.target]),
            **({} if scores is None else {"score_first": float(scores[0]), "score_end": float(scores[-1])}),
            "steps": path.steps,
            "queries": path.queries,
            "walker": path.walker,
            "distance": None if path.distances is None else float(path.distances[-1]),
            "typicality": None if path.typicality is None else float(path.typicality[-1]),
        }
        if self.job.frames:
            result |= {"codes": path.z.tolist(), "predictions": None if shown is None else shown.tolist()}
        return result

    def _empty(self, row: int, status: str, reason: str | None = None) -> dict[str, Any]:
        """The result of a row without a path."""
        known = {"row": row, "status": status, "reason": reason, "success": False, "queries": 0}
        return dict.fromkeys(self.types) | known

    @cached_property
    def types(self) -> dict[str, str]:
        """The columns of the results, each with the name of its Arrow type."""
        found = RESULT | self._columns
        if self.world.modality == "text":
            found |= {"text": "string"}
        if self.world.goal is not None and self.world.goal.scored:
            found |= SCORES
        return found | FRAMES if self.job.frames else found

    @cached_property
    def _columns(self) -> dict[str, str]:
        """Columns for the end of a path through a table, with their types; columns without names are numbered."""
        units = self.world.units
        if not isinstance(units, RowUnits):
            return {}
        if isinstance(units, TableUnits):
            return {
                f"end_{column.name}": "float64" if column.kind == "number" and not column.date else "string"
                for column in units.table.columns
            }
        return {f"end_{name}": "float64" for name in units.columns or range(len(units.mean))}


def _plain(value: Any, kind: str) -> Any:
    """A cell as a type of the results holds it; None for a missing number."""
    if kind == "string":
        return None if value is None or value != value else str(value)
    try:
        number = float(value)
    except (TypeError, ValueError):  # the user's text for a missing number
        return None
    return None if np.isnan(number) else number
