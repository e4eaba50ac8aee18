"""The same training with several seeds: each in a folder of its own, and a table of all. A second call finishes the rest."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from agents.console.cli import UserError, progress_bar
from agents.engine.spread import spread
from agents.files import write_whole, writing
from agents.training.config import TrainConfig
from envs.errors import ManifoldError
from envs.files import in_home
from envs.reading.files import parse_json, read_object

MANIFEST = "trainings.json"
MEASURES = ("success_rate", "mean_ep_length", "mean_queries", "mean_reward", "training_queries", "cpu_seconds", "steps")


class Training(NamedTuple):
    """One training.

    Attributes:
        settings: of `agents.TrainConfig`, by name.
        folder: where its run folder is made, or found again.

    Example:
        >>> Training({"data": "iris", "seed": 1}, "runs/seed-1").settings["seed"]
        1
    """

    settings: Mapping[str, Any]
    folder: str


class Interval(NamedTuple):
    """A mean over seeds with its 95 % interval (Student's t; not finite for a single seed).

    Example:
        >>> Interval(0.5, 0.4, 0.6, 3).n
        3
    """

    value: float
    low: float
    high: float
    n: int


def interval(values: Iterable[float | None]) -> Interval:
    """The mean of the values that are there, and its interval.

    Example:
        >>> interval([1.0, 2.0, 3.0]).value
        2.0
    """
    from scipy.special import stdtrit  # a hundredth of the time that scipy.stats takes to load

    found = [float(value) for value in values if value is not None]
    n = len(found)
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0)
    middle = sum(found) / n
    spread_ = math.sqrt(sum((value - middle) ** 2 for value in found) / (n - 1)) if n > 1 else math.nan
    half = float(stdtrit(n - 1, 0.975)) * spread_ / math.sqrt(n) if n > 1 else math.nan
    return Interval(middle, middle - half, middle + half, n)


def seeds_of(text: str) -> list[int]:
    """Seeds from a text such as ``0-4`` or ``0,3,7-9``.

    Raises:
        UserError: another text, no seed, or one twice.

    Example:
        >>> seeds_of("0-2,7")
        [0, 1, 2, 7]
    """
    found: list[int] = []
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        if not low.isdigit() or not (high or low).isdigit() or int(high or low) >= 2**32 or int(high or low) < int(low):
            raise UserError(f"seeds {text!r}: whole numbers from 0 to 2^32 - 1, such as 0-4 or 0,3,7-9")
        if int(high or low) - int(low) >= 10_000:
            raise UserError(f"seeds {text!r}: at most 10,000")
        found += range(int(low), int(high or low) + 1)
    if len(set(found)) < len(found):
        raise UserError(f"seeds {text!r}: a seed occurs twice")
    return found


def carry_out(training: Training) -> dict[str, Any]:
    """Train, go on with an interrupted training, or read a finished one.

    Returns:
        A row: ``seed``, ``run`` (the folder), ``error`` (None, or why there is no run), and `MEASURES`.
    """
    row: dict[str, Any] = {"seed": training.settings.get("seed"), "run": None, "error": None, **dict.fromkeys(MEASURES)}
    try:
        folder = _trained(training)
    except (UserError, ManifoldError) as error:
        return row | {"error": str(error)}
    found = read_object(folder / "summary.json", error=UserError)
    return row | {"run": str(folder)} | {name: found.get(name) for name in MEASURES}


def _trained(training: Training) -> Path:
    """The run folder, with all steps done."""
    from agents.runs.folder import RunFolder
    from agents.training.loop import train_alone
    from envs.runtime.torch_defaults import usual_torch

    def train(**settings: Any) -> Path:
        with usual_torch():
            return train_alone(TrainConfig(**settings)).folder.root

    quiet = {"progress": False, "pictures": False}
    for file in sorted(Path(training.folder).glob("*/*_*/config.json")):
        run = RunFolder.open(file.parent)
        done, wanted = run.checkpoints(), run.run_config().n_timesteps
        if done and done[-1] >= wanted and (run.root / "summary.json").is_file():
            return run.root
        if done and done[-1] < wanted:
            kept = {name: training.settings[name] for name in ("eval_episodes", "trust") if name in training.settings}
            return train(trained_agent=str(run.root), **quiet, **kept)
        shutil.rmtree(run.root)  # killed before its first checkpoint, or in the evaluation at its end
    return train(**{**quiet, **training.settings, "log_folder": training.folder})


def train_seeds(
    config: TrainConfig | None = None,
    *,
    seeds: Sequence[int],
    engine: str = "local",
    jobs: int = 1,
    address: str | None = None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """The same training with several seeds.

    The run of seed S lies in ``LOG_FOLDER/seed-S``, and one TensorBoard over the log folder shows all. A second call with the
    same settings goes on where an interrupted one stopped.

    Args:
        config: the settings.
        seeds: one training each.
        engine: a key of `agents.engine.spread.POOLS`.
        jobs: trainings at once, each with one thread.
        address: of a Ray cluster.
        settings: single fields of `agents.TrainConfig`; they override those of `config`. Live objects belong to one process.

    Returns:
        One row a seed, in the order of the seeds, see `carry_out`.

    Raises:
        UserError: a setting that files cannot hold, or a log folder with other trainings.

    Example:
        >>> import tempfile
        >>> quick = dict(n_timesteps=128, n_envs=2, hyperparams={"n_steps": 64}, eval_episodes=5)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     rows = train_seeds(data="iris", seeds=[0, 1], log_folder=folder, progress=False, **quick)
        >>> [(row["seed"], row["steps"]) for row in rows]
        [(0, 128), (1, 128)]
    """
    if unknown := sorted(set(settings) - {field.name for field in fields(TrainConfig)}):
        raise UserError(f"train_seeds() has no setting {', '.join(unknown)}")
    base = {name: in_home(value) for name, value in {**({} if config is None else _given(config)), **settings}.items()}
    if base.get("trained_agent") is not None:
        raise UserError("several seeds are new trainings, and trained_agent resumes one: leave one of them out")
    folder = Path(in_home(str(base.pop("log_folder", "runs")))).resolve()
    shown, _ = base.pop("progress", True), base.pop("seed", None)
    claim(folder, {"settings": base})
    tasks = [Training({**base, "seed": seed}, str(folder / f"seed-{seed}")) for seed in seeds]
    rows = {}
    with progress_bar(len(tasks), "trainings", shown, unit="run") as bar:
        for task, row in spread(carry_out, tasks, engine, jobs, address):
            rows[task.settings["seed"]] = row
            bar.update(1)
    return [rows[seed] for seed in seeds]


def claim(folder: Path, job: Mapping[str, Any]) -> None:
    """Make a folder the place of a job, or check that it is.

    Raises:
        UserError: the job cannot be written as JSON, or the folder belongs to another one.
    """
    try:
        wanted = parse_json(json.dumps(job), "the settings")
    except TypeError as error:
        raise UserError(f"workers read the settings from files, and {error}: name a file, a name or module:object") from None
    file = folder / MANIFEST
    if file.is_file():
        if (found := read_object(file, error=UserError)) != wanted:
            names = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
            raise UserError(f"{str(folder)!r} holds trainings with other {', '.join(names)}: choose another folder")
        return
    with writing("to the folder", "choose another one"):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(wanted, indent=1))


def _given(config: TrainConfig) -> dict[str, Any]:
    """The settings of a config that are not the defaults."""
    usual = TrainConfig()
    return {f.name: value for f in fields(TrainConfig) if (value := getattr(config, f.name)) != getattr(usual, f.name)}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Interval]:
    """Measure -> mean over the rows with its interval; measures that no row has are left out."""
    found = {name: interval(row.get(name) for row in rows) for name in MEASURES}
    return {name: value for name, value in found.items() if value.n}


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table that the command prints: one line a seed, then the means with 95 % intervals."""
    lines = [f"{'seed':>6}{'success':>9}{'steps':>10}{'queries':>11}{'CPU-s':>8}  run"]
    for row in rows:
        if row["error"] is not None:
            lines.append(f"{row['seed']:>6}  failed: {row['error']}")
            continue
        rate = "-" if row["success_rate"] is None else f"{row['success_rate']:.3f}"
        lines.append(
            f"{row['seed']:>6}{rate:>9}{row['steps']:>10,}{row['training_queries'] or 0:>11,}{row['cpu_seconds'] or 0:>8.1f}  "
            f"{row['run']}"
        )
    lines.append("mean over the seeds, 95 % interval (Student's t)")
    for name, found in summary(rows).items():
        inside = f" [{found.low:.4g}, {found.high:.4g}]" if found.n > 1 else ""
        lines.append(f"  {name.replace('_', ' '):<18}{found.value:.4g}{inside}")
    return "\n".join(lines)
