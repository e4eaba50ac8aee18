"""The fixed protocol of the benchmarks of curiosity (vime_protocol.yml), and what both share: cells in order, choosing eta."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import yaml

from agents.cli import prepare_process
from tests.benchmarks.results import as_json
from tests.benchmarks.vime_cells import CACHE, ROOT, Cell, kept

PROTOCOL = Path(__file__).with_name("vime_protocol.yml")
RESULTS = ROOT / "docs" / "results"
Measure = Callable[[Cell], dict[str, Any]]
Score = Callable[[dict[str, Any]], tuple[float, ...]]
RowT = TypeVar("RowT")


def protocol() -> dict[str, Any]:
    """The YAML file."""
    return dict(yaml.safe_load(PROTOCOL.read_text()))


def arguments(doc: str | None, tasks: Iterable[str], algorithms: Sequence[str] = ("ppo",)) -> argparse.Namespace:
    """The flags that both scripts have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(tasks), choices=list(tasks), metavar="NAME")
    parser.add_argument("--arms", nargs="+", default=protocol()["arms"], choices=protocol()["arms"], metavar="NAME")
    parser.add_argument("--algorithms", nargs="+", default=list(algorithms), choices=list(algorithms), metavar="NAME")
    parser.add_argument("--merge", action="store_true", help="run nothing: write the tables from the cells that are there")
    parser.add_argument("--keep", action="store_true", help="rows that are not measured now stay as the page has them")
    parser.add_argument("--untuned", action="store_true", help="choose no eta: take the shipped one, and say so in the table")
    parser.add_argument("--seeds", type=int, metavar="N", help="only the first N seeds or pairs of each row, tuning ones, too")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="cells at a time, each in a process of its own")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help="where finished cells are kept")
    return parser.parse_args()


class Runner:
    """Measures cells or finds them; `missing` counts those that were asked for and are not there (with ``--merge``)."""

    def __init__(self, options: argparse.Namespace, measure: Measure) -> None:
        from tqdm import tqdm

        self.options, self.measure, self.missing = options, measure, 0
        self.pool: ProcessPoolExecutor | None = None
        if options.jobs > 1 and not options.merge:
            spawn = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(options.jobs, mp_context=spawn, initializer=prepare_process)
        self.lock = threading.Lock()
        self.asked: dict[str, Future[dict[str, Any] | None]] = {}
        self.bar = tqdm(total=0, unit="cell", dynamic_ncols=True, disable=options.merge)

    def rows(self, measured: Callable[..., RowT], wanted: Sequence[tuple[Any, ...]]) -> list[RowT]:
        """``measured(*arguments)`` for each; side by side where cells are, since choosing an eta waits for its cells."""
        if self.pool is None:
            return [measured(*arguments) for arguments in wanted]
        with self.pool, ThreadPoolExecutor(len(wanted)) as threads:
            try:
                return list(threads.map(lambda arguments: measured(*arguments), wanted))
            except BaseException:
                self.pool.shutdown(wait=False, cancel_futures=True)  # what waits need not be measured before this is told
                raise

    def __call__(self, cells: Sequence[Cell], label: str) -> list[dict[str, Any]]:
        """Figures of the cells; with ``--merge`` of those that are finished."""
        cells = cells[: self.options.seeds]
        if self.options.merge:
            found = [kept(cell, None, self.options.cache) for cell in cells]
            self.missing += sum(figures is None for figures in found)
            return [figures for figures in found if figures is not None]
        futures = [self._submitted(cell, label) for cell in cells]
        return [figures for future in futures if (figures := future.result()) is not None]

    def _submitted(self, cell: Cell, label: str) -> Future[dict[str, Any] | None]:
        """The cell's figures, now or later; a cell that two rows ask for is measured once."""
        with self.lock:
            known = self.asked.get(repr(cell))
            if known is not None:
                return known
            self.bar.total += 1
            self.bar.set_description(label)
            if self.pool is None:
                future: Future[dict[str, Any] | None] = Future()
                future.set_result(kept(cell, self.measure, self.options.cache))
            else:
                future = self.pool.submit(kept, cell, self.measure, self.options.cache)
            self.asked[repr(cell)] = future
        future.add_done_callback(lambda _: self.bar.update())
        return future

    def best_eta(
        self, plan: dict[str, Any], make: Callable[[float, int], Cell], score: Score, label: str, seeds: Iterable[int] = ()
    ) -> tuple[float | None, dict[str, Any]]:
        """The eta of the grid with the best mean score over the seeds (the tuning seeds), and what each reached (empty: not
        tuned)."""
        if self.options.untuned:
            return plan["default_eta"], {}
        reached: dict[float, tuple[float, ...]] = {}
        for eta in plan["eta_grid"]:
            found = self([make(eta, seed) for seed in seeds or protocol()["tuning_seeds"]], f"{label}, eta {eta:g}")
            if found:
                scores = [score(figures) for figures in found]
                reached[eta] = tuple(sum(column) / len(scores) for column in zip(*scores, strict=True))
        if not reached:
            return None, {}
        return max(reached, key=lambda eta: reached[eta]), {f"{eta:g}": list(value) for eta, value in reached.items()}


def schedule_told(schedule: dict[str, float | None]) -> str:
    """How eta goes over the training, in words; the same for every bonus."""
    decay, success_decay = schedule.get("decay"), schedule.get("success_decay")
    ways = [] if decay is None else [f"in a line to zero over the first {decay:.0%} of the training"]
    ways += [] if success_decay is None else [f"with the success rate, to zero at {success_decay:.0%} of the recent episodes"]
    return f"falls {' and '.join(ways)}" if ways else "is constant"


FRESH = """This is the third edition. The first had a constant eta that was not tuned; bonuses found more and solved less,
because at that weight the walk goes on exploring. The second let eta fall with success, and tuned it on three seeds or pairs:
too few, so that the pairs got an eta at which no curiosity is left. This one tunes on more (pairs: ten) and over whole
trainings of the mountain car; on the manifold PPO updates four times as often, in every arm. Both were decided on tuning
seeds and pairs. All final seeds and pairs are fresh: no bonus had run on them before."""


def versions_told(rows: Mapping[str, dict[str, Any]]) -> str:
    """What the cells of the rows, by name, were trained with."""
    versions = sorted({version for row in rows.values() for version in row["torch"]})
    mixed = [name for name, row in rows.items() if len(row["torch"]) > 1]
    told = f"Trained with torch {' and '.join(versions)}, one thread a training; CPU s are those of a shared machine."
    return told + (f"\nSeeds of both in one row: {', '.join(mixed)}." if mixed else "")


def eta_told(row: dict[str, Any]) -> str:
    """An arm's eta; a star where it was not tuned."""
    return "-" if row["eta"] is None else f"{row['eta']:g}{'' if row['tuning'] else '*'}"


def kept_rows(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """With ``--keep`` what docs/results/NAME.json holds, for new rows to be laid over."""
    return dict(json.loads((RESULTS / f"{name}.json").read_text())) if options.keep else {}


def write(name: str, found: dict[str, Any], page: str) -> None:
    """docs/results/NAME.json and .md."""
    from agents.atomic import write_whole

    RESULTS.mkdir(parents=True, exist_ok=True)
    write_whole(RESULTS / f"{name}.json", as_json(found))
    write_whole(RESULTS / f"{name}.md", page)
    print(page)
    print(f"wrote docs/results/{name}.json and .md")
