"""What the benchmarks of curiosity share: the fixed protocol (vime_protocol.yml), trainings, and the choice of eta."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.curiosity.training import Training
from tests.benchmarks.curiosity.variants import VARIANTS
from tests.benchmarks.harness.experiment import Options, one_of

PROTOCOL: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "vime_protocol.yml").read_text())
Figures = Callable[[Training], dict[str, Any]]
Score = Callable[[dict[str, Any]], tuple[float, ...]]


def flags(tasks: Iterable[str], algorithms: Sequence[str] = ("ppo",)) -> dict[str, dict[str, Any]]:
    """Flags of the benchmarks of curiosity."""
    return {
        "--tasks": one_of(list(tasks)),
        "--arms": one_of([*PROTOCOL["arms"], *VARIANTS], *PROTOCOL["arms"]),
        "--algorithms": one_of(algorithms),
        "--merge": {"action": "store_true", "help": "train nothing: write the tables from the trainings that are kept"},
        "--keep": {"action": "store_true", "help": "rows that are not measured now stay as the page has them"},
        "--untuned": {"action": "store_true", "help": "choose no eta: take the shipped one, and mark it in the table"},
        "--seeds": {"type": int, "metavar": "N", "help": "only the first N seeds or pairs of each row, also for tuning"},
    }


class Trainings:
    """Figures of trainings, with the flags of `flags`: `--seeds`, `--untuned`."""

    def __init__(self, options: Options, figures: Figures) -> None:
        self.options, self.figures = options, figures

    def __call__(self, trainings: Sequence[Training], label: str) -> list[dict[str, Any]]:
        """Figures of each; with ``--merge`` of those that are kept."""
        return list(self.options.runner([one.run(self.figures) for one in trainings[: self.options.seeds]], label))

    def best_eta(
        self, plan: dict[str, Any], make: Callable[[float, int], Training], score: Score, label: str, seeds: Iterable[int] = ()
    ) -> tuple[float | None, dict[str, Any]]:
        """The eta of the grid with the best mean score over the seeds (default: the tuning seeds), and the score of each;
        no scores if it is not tuned."""
        if self.options.untuned:
            return plan["default_eta"], {}
        scores: dict[float, tuple[float, ...]] = {}
        for eta in plan["eta_grid"]:
            found = self([make(eta, seed) for seed in seeds or PROTOCOL["tuning_seeds"]], f"{label}, eta {eta:g}")
            if found:
                each = [score(figures) for figures in found]
                scores[eta] = tuple(sum(column) / len(each) for column in zip(*each, strict=True))
        if not scores:
            return None, {}
        return max(scores, key=lambda eta: scores[eta]), {f"{eta:g}": list(value) for eta, value in scores.items()}


def score_by(measure: str) -> Score:
    """Eta is chosen by a measure of the last fifth of the training; among equals, by the earlier first reward."""

    def score(figures: dict[str, Any]) -> tuple[float, float]:
        first = figures["first_reward"]
        return figures["training_success"][measure], -1.0 if first is None else -first / 1e6

    return score


def schedule_text(schedule: dict[str, float | None]) -> str:
    """How eta goes over the training, in words."""
    decay, success_decay = schedule.get("decay"), schedule.get("success_decay")
    ways = [] if decay is None else [f"in a line to zero over the first {decay:.0%} of the training"]
    ways += [] if success_decay is None else [f"with the success rate, to zero at {success_decay:.0%} of the recent episodes"]
    return f"falls {' and '.join(ways)}" if ways else "is constant"


def versions_text(rows: Mapping[str, dict[str, Any]]) -> str:
    """What the runs of the rows, by name, were trained with."""
    versions = sorted({version for row in rows.values() for version in row["torch"]})
    mixed = [name for name, row in rows.items() if len(row["torch"]) > 1]
    text = f"Trained with torch {' and '.join(versions)}, one thread a training; CPU s are those of a shared machine."
    return text + (f"\nSeeds of both in one row: {', '.join(mixed)}." if mixed else "")


def eta_text(row: dict[str, Any]) -> str:
    """An arm's eta; a star where it was not tuned."""
    return "-" if row["eta"] is None else f"{row['eta']:g}{'' if row['tuning'] else '*'}"


def first_reward_text(row: dict[str, Any], steps: int) -> str:
    """Steps to the first reward; a run without one counts as the whole budget."""
    return f"{row['first_reward']:,.0f}" if row["first_reward"] < steps else "never"
