"""A search for settings of a training: Optuna proposes, trainings answer, a folder keeps both; a second call goes on."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.console.cli import UserError, progress_bar
from agents.engine.spread import spread
from agents.engine.trainings import MEASURES, Interval, Training, carry_out, claim, interval, seeds_of
from agents.files import write_whole, writing
from agents.training.config import TrainConfig
from envs.errors import UnknownNameError
from envs.files import in_home
from envs.reading import checks
from envs.reading.files import read_yaml

if TYPE_CHECKING:
    import optuna

KEYS = ("train", "search", "seeds", "trials", "measure", "minimise", "seed")
JOURNAL, TABLE = "journal.log", "trials.csv"


class Choice(NamedTuple):
    """What a setting may be: one of `choices`, or a number from `low` to `high`.

    Attributes:
        choices: plain values; empty for a range.
        low, high: both included; whole numbers if both are.
        log: search the logarithm.
        step: of a grid between them; None: every number.

    Example:
        >>> Choice.read([4, 8], "n_epochs").choices
        (4, 8)
    """

    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None

    @classmethod
    def read(cls, given: Any, name: str) -> Choice:
        """From a list of choices, or a mapping with low, high and perhaps log or step."""
        if isinstance(given, list):
            if not given or not all(value is None or isinstance(value, str | bool | int | float) for value in given):
                raise UserError(f"search {name}: choices are a list of texts and numbers, not {given!r:.60}")
            return cls(tuple(given))
        found = checks.mapping(given, f"search {name}", error=UserError)
        if unknown := [key for key in found if key not in ("low", "high", "log", "step")]:
            raise UnknownNameError(f"key of search {name}", unknown[0], ["low", "high", "log", "step"])
        log = checks.flag(found.get("log", False), f"search {name}: log", error=UserError)
        low, high = (checks.number(found.get(end), f"search {name}: {end}", error=UserError) for end in ("low", "high"))
        step = found.get("step")
        if low >= high or (log and low <= 0) or (log and step is not None):
            raise UserError(f"search {name}: low {low:g} must be below high {high:g}; log needs a low above 0, and no step")
        if step is not None:
            checks.number(step, f"search {name}: step", error=UserError)
        whole = all(isinstance(end, int) for end in (found["low"], found["high"]))
        kind = int if whole else float
        return cls((), kind(low), kind(high), log, step)

    def suggested(self, trial: optuna.Trial, name: str) -> Any:
        """The value that the trial proposes."""
        if self.choices:
            return trial.suggest_categorical(name, self.choices)
        suggest = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        step: Any = {} if self.step is None else {"step": self.step}
        return suggest(name, self.low, self.high, log=self.log, **step)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Sweep:
    """What is searched.

    Args:
        train: settings of all trainings, by the names of `agents.TrainConfig`.
        search: name of a setting (``n_envs``, ``hyperparams.learning_rate``, ``env_kwargs.step``) -> `Choice`.
        seeds: each trial trains with all of them.
        trials: how many in all.
        measure: of `agents.engine.trainings.MEASURES`; its mean over the seeds counts.
        minimise: search the smallest value instead of the largest.
        seed: of the search.

    Example:
        >>> Sweep.read({"train": {"data": "iris"}, "search": {"n_envs": [2, 4]}, "trials": 2}).measure
        'success_rate'
    """

    train: Mapping[str, Any]
    search: Mapping[str, Choice]
    seeds: tuple[int, ...] = (0,)
    trials: int = 20
    measure: str = "success_rate"
    minimise: bool = False
    seed: int = 0

    @classmethod
    def read(cls, source: str | Path | Mapping[str, Any]) -> Sweep:
        """From a .yml file, or what it holds.

        Raises:
            UserError, UnknownNameError: a key, setting or value that there is not; the message says which are.
        """
        given = read_yaml(in_home(source), error=UserError) if isinstance(source, str | Path) else source
        found = checks.mapping(given, "the sweep", error=UserError)
        for key in found:
            if key not in KEYS:
                raise UnknownNameError("key of a sweep", key, KEYS)
        train = {n: in_home(v) for n, v in checks.mapping(found.get("train", {}), "train", error=UserError).items()}
        search = checks.mapping(found.get("search", {}), "search", error=UserError)
        if not search:
            raise UserError("a sweep needs search: the settings to search, each a list of choices or {low: .., high: ..}")
        known = {field.name: field for field in fields(TrainConfig)}
        for name in (*train, *search):
            first, _, inner = str(name).partition(".")
            if first not in known or first in ("seed", "log_folder", "trained_agent", "progress"):
                raise UnknownNameError("setting of a training in a sweep", name, sorted(known))
            if inner and "dict" not in str(known[first].type):
                raise UserError(f"search {name}: {first} has no settings within")
        for name in search:
            first, _, inner = name.partition(".")
            if (inner and inner in train.get(first, {})) or (not inner and first in train):
                raise UserError(f"{name} is given in train and in search: leave it out of one")
        measure = checks.text(found.get("measure", "success_rate"), "measure", error=UserError)
        if measure not in MEASURES:
            raise UnknownNameError("measure of a sweep", measure, MEASURES)
        choices = {name: Choice.read(value, name) for name, value in search.items()}
        return cls(
            train, choices, tuple(seeds_of(str(found.get("seeds", 0)))),
            checks.whole(found.get("trials", 20), "trials", 1, 100_000, error=UserError), measure,
            checks.flag(found.get("minimise", False), "minimise", error=UserError),
            checks.seed(found.get("seed", 0), error=UserError),
        )  # fmt: skip

    def settings(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a trial with these searched values."""
        made: dict[str, Any] = {name: dict(value) if isinstance(value, dict) else value for name, value in self.train.items()}
        for name, value in params.items():
            first, _, inner = name.partition(".")
            if inner:
                made.setdefault(first, {})[inner] = value
            else:
                made[first] = value
        return made


class Proposal(NamedTuple):
    """A trial: its number in the study, and its trainings."""

    number: int
    trainings: tuple[Training, ...]


def answer(proposal: Proposal) -> list[dict[str, Any]]:
    """One row a seed, see `agents.engine.trainings.carry_out`."""
    return [carry_out(training) for training in proposal.trainings]


def run_sweep(
    sweep: Sweep | str | Path | Mapping[str, Any],
    out: str | Path,
    *,
    engine: str = "local",
    jobs: int = 1,
    address: str | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Search settings of a training.

    Trial k lies in ``OUT/trial-k/seed-S``, and one TensorBoard over `out` shows all. A second call with the same sweep goes
    on: what was under way is trained to its end, and `trials` may have grown.

    Args:
        sweep: see `Sweep.read`.
        out: folder of the trials, their journal and the table ``trials.csv``.
        engine: a key of `agents.engine.spread.POOLS`.
        jobs: trials at once, each in one process with one thread.
        address: of a Ray cluster.
        progress: show a bar, on a terminal.

    Returns:
        The table, the best trial first: ``trial``, ``state``, ``value`` with its interval ``low`` and ``high``, the searched
        settings, and ``error``.

    Raises:
        UserError: Optuna is not installed, a folder of another sweep, or a sweep that cannot be read.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise UserError("Optuna is not installed: pip install 'manifold-traversal[sweep]'") from None
    sweep = sweep if isinstance(sweep, Sweep) else Sweep.read(sweep)
    folder = Path(in_home(str(out))).resolve()
    searched = {name: choice._asdict() for name, choice in sweep.search.items()}
    job = {"train": dict(sweep.train), "search": searched, "seeds": list(sweep.seeds), "measure": sweep.measure}
    claim(folder, job | {"minimise": sweep.minimise, "seed": sweep.seed})
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))), study_name="sweep", load_if_exists=True,
            direction="minimize" if sweep.minimise else "maximize",
        )  # fmt: skip
        # A sampler's random state is not kept: the same number of earlier trials gives the same proposals.
        study.sampler = optuna.samplers.TPESampler(seed=sweep.seed + len(study.trials), constant_liar=jobs > 1)
        with progress_bar(sweep.trials, "trials", progress, unit="trial") as bar:
            bar.update(sum(trial.state.is_finished() for trial in study.trials))
            for proposal, rows in spread(answer, _trials(study, sweep, folder), engine, jobs, address):
                _record(study, sweep, proposal, rows)
                _write(folder / TABLE, table(study, sweep))
                bar.update(1)
        return table(study, sweep)
    finally:
        optuna.logging.set_verbosity(before)


def _trials(study: optuna.Study, sweep: Sweep, folder: Path) -> Iterator[Proposal]:
    """The trials that an earlier call began, then new ones."""
    from optuna.trial import TrialState

    def proposed(number: int, params: Mapping[str, Any]) -> Proposal:
        settings, place = sweep.settings(params), folder / f"trial-{number}"
        return Proposal(number, tuple(Training({**settings, "seed": s}, str(place / f"seed-{s}")) for s in sweep.seeds))

    for begun in study.trials:
        if begun.state.is_finished():
            continue
        if len(begun.params) < len(sweep.search):  # killed while it was proposed
            study.tell(begun.number, state=TrialState.FAIL)
        else:
            yield proposed(begun.number, begun.params)
    while len(study.trials) < sweep.trials:
        trial = study.ask()
        yield proposed(trial.number, {name: choice.suggested(trial, name) for name, choice in sweep.search.items()})


def _record(study: optuna.Study, sweep: Sweep, proposal: Proposal, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record what a trial gave; one with a failed training, or without the measure, has failed."""
    import optuna
    from optuna.trial import TrialState

    found = interval(row[sweep.measure] for row in rows)
    errors = [str(row["error"]) for row in rows if row["error"] is not None]
    if found.n < len(rows) and not errors:
        errors = [f"the trainings report no {sweep.measure}"]
    trial = optuna.Trial(study, study.trials[proposal.number]._trial_id)
    trial.set_user_attr("interval", list(found))
    trial.set_user_attr("error", errors[0] if errors else None)
    study.tell(proposal.number, None if errors else found.value, state=TrialState.FAIL if errors else None)


def table(study: optuna.Study, sweep: Sweep) -> list[dict[str, Any]]:
    """One row a trial, the best first; failed and unfinished ones last."""
    rows = []
    for trial in study.trials:
        kept = Interval(*trial.user_attrs.get("interval", (math.nan, math.nan, math.nan, 0)))
        rows.append(
            {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                "value": trial.value,
                "low": kept.low,
                "high": kept.high,
            }
            | {name: trial.params.get(name) for name in sweep.search}
            | {"error": trial.user_attrs.get("error")}
        )
    sign = 1 if sweep.minimise else -1
    return sorted(rows, key=lambda row: (row["value"] is None, sign * (row["value"] or 0.0), row["trial"]))


def _write(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with writing("the table of trials", "make room, then the same command goes on"):
        write_whole(file, text.getvalue())


def as_text(rows: Sequence[Mapping[str, Any]], sweep: Sweep, most: int = 10) -> str:
    """The best trials for a terminal."""
    lines = [f"{'trial':>6}  {sweep.measure.replace('_', ' ')}, mean over {len(sweep.seeds)} seeds [95 % interval]; settings"]
    for row in rows[:most]:
        inside = "" if math.isnan(row["low"]) else f" [{row['low']:.4g}, {row['high']:.4g}]"
        value = row["state"] if row["value"] is None else f"{row['value']:.4g}{inside}"
        said = " ".join(f"{name}:{json.dumps(row[name])}" for name in sweep.search)
        lines.append(f"{row['trial']:>6}  {value}; {said}" + (f"; {row['error']}" if row["error"] else ""))
    return "\n".join(lines)
