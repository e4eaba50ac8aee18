"""Figures of the exploration suite that compare bonuses: steps until a task is solved, what distractors cost, and the aims."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.harness.statistics import difference_of_medians, loss, median
from tests.benchmarks.harness.tables import table, within

PLAN: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "suite.yml").read_text(encoding="utf-8"))
CELLS: dict[str, dict[str, Any]] = PLAN["cells"]
DISTRACTORS, SILENT = "Distractors", "Silent"
POINTS = 20  # of a curve
OURS = "vime_linearized"  # the bonus that the page compares with the others
VARIANT = "vime_last_layer_anchored"
RIVALS = ("l2", "rnd")
Arms = Mapping[str, Any]


def steps_to_solve(run: Mapping[str, Any], steps: int) -> float:
    """End of the first of the curve's equal parts in which enough episodes succeed; the whole budget without one."""
    return next((part * steps / POINTS for part, share in enumerate(run["curve"], 1) if share >= PLAN["solved"]), steps)


def solved_after(cell: str, row: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Steps and CPU seconds until each run of a bonus has solved a cell."""
    steps = CELLS[cell]["steps"]
    took = [steps_to_solve(run, steps) for run in row["runs"]]
    return took, [run["cpu_seconds"] * own / steps for run, own in zip(row["runs"], took, strict=True)]


def earlier(cell: str, arms: Arms, bonus: str) -> dict[str, Any]:
    """Median steps of the default less those of another bonus, over the seeds or pairs that both ran on."""
    ours, theirs = (solved_after(cell, arms[name])[0] for name in (OURS, bonus))
    count = min(len(ours), len(theirs))
    return difference_of_medians(ours[:count], theirs[:count])


def steps_text(found: Mapping[str, float]) -> str:
    """A difference in steps with its interval."""
    return "{value:,.0f} [{low:,.0f}, {high:,.0f}]".format(**found)


def solving(cells: Mapping[str, Arms]) -> str:
    """Steps and CPU seconds until each bonus has solved a cell, and how much sooner the default has."""
    rows = []
    for cell, arms in cells.items():
        if "full" in CELLS[cell] or OURS not in arms:
            continue
        for bonus, row in arms.items():
            took, seconds = solved_after(cell, row)
            apart = "-" if bonus == OURS else steps_text(earlier(cell, arms, bonus))
            rows.append([cell, bonus, f"{median(took):,.0f}", apart, f"{median(seconds):.1f}"])
    return table(
        ["cell", "bonus", "steps to solve, median", f"{OURS} less this, median", "CPU s to solve, median"], rows, "llr"
    )


def covered(row: Mapping[str, Any]) -> list[float]:
    """Cells that each run covered."""
    return [run["cells"] for run in row["runs"]]


def lost_to_distractors(cells: Mapping[str, Arms], bonus: str) -> dict[str, Any]:
    """The share of its coverage that a bonus loses to the distractors."""
    return loss(covered(cells[DISTRACTORS][bonus]), covered(cells[SILENT][bonus]))


def losses(cells: Mapping[str, Arms]) -> str:
    """How much of its coverage each bonus loses to the distractors."""
    loud, silent = cells.get(DISTRACTORS, {}), cells.get(SILENT, {})
    rows = [[bonus, within(lost_to_distractors(cells, bonus))] for bonus in loud if bonus in silent]
    return table(["bonus", "share of the cells that is lost"], rows) if rows else ""


# ---- aims -------------------------------------------------------------------------------------------------------------

Judged = tuple[str, bool]


def solves(cell: str, least: int) -> Callable[[Mapping[str, Arms]], Judged]:
    """Whether the default solves at least so many runs of a cell."""

    def judge(cells: Mapping[str, Arms]) -> Judged:
        runs = cells[cell][OURS]["runs"]
        solved = sum(run["score"] >= PLAN["solved"] for run in runs)
        return f"{solved} of {len(runs)}", solved >= least

    return judge


def sooner(cell: str, bonus: str, apart: bool) -> Callable[[Mapping[str, Arms]], Judged]:
    """Whether the default solves a cell in fewer steps than a bonus (``apart``: with an interval below 0), or no more."""

    def judge(cells: Mapping[str, Arms]) -> Judged:
        found = earlier(cell, cells[cell], bonus)
        return steps_text(found), found["high"] < 0 if apart else found["value"] <= 0

    return judge


def cheaper(cell: str, most: float) -> Callable[[Mapping[str, Arms]], Judged]:
    """Whether the default solves a cell for at most so many times RND's CPU seconds."""

    def judge(cells: Mapping[str, Arms]) -> Judged:
        ours, theirs = (median(solved_after(cell, cells[cell][name])[1]) or 0.0 for name in (OURS, "rnd"))
        return f"{ours / theirs:.2f} times", ours / theirs <= most

    return judge


def covers(cell: str, bonus: str, apart: bool = False) -> Callable[[Mapping[str, Arms]], Judged]:
    """Whether a bonus covers no less than each rival but 5 % (``apart``: more than each, with an interval above 0)."""

    def judge(cells: Mapping[str, Arms]) -> Judged:
        found = {rival: loss(covered(cells[cell][rival]), covered(cells[cell][bonus])) for rival in RIVALS}
        text = ", ".join(f"{rival} covers {within(one)} less" for rival, one in found.items())
        return text, all(one["low"] > 0 if apart else one["value"] >= -0.05 for one in found.values())

    return judge


def keeps(bonus: str) -> Callable[[Mapping[str, Arms]], Judged]:
    """Whether a bonus loses at most a tenth of its coverage to distractors."""

    def judge(cells: Mapping[str, Arms]) -> Judged:
        found = lost_to_distractors(cells, bonus)
        return f"{within(found)} lost", found["value"] <= 0.1

    return judge


AIMS: dict[str, Callable[[Mapping[str, Arms]], Judged]] = {
    "OnePair: at least 29 of 30 pairs solved": solves("OnePair", 29),
    **{f"OnePair: fewer steps to solve than {name}, apart from 0": sooner("OnePair", name, apart=True) for name in RIVALS},
    "OnePair: CPU seconds to solve at most 1.25 times RND's": cheaper("OnePair", 1.25),
    "Explore: no fewer cells than L2 and RND by more than 5 %": covers("Explore", OURS),
    **{f"{cell}: solved no later than RND": sooner(cell, "rnd", apart=False) for cell in ("DeepSea-14", "DeepSea-20")},
    "Distractors: at most 10 % of the cells lost": keeps(OURS),
    f"Distractors: at most 10 % of the cells lost, {VARIANT}": keeps(VARIANT),
    "Distractors: more cells than L2 and RND, intervals apart": covers(DISTRACTORS, OURS, apart=True),
    f"Distractors: more cells than L2 and RND, intervals apart, {VARIANT}": covers(DISTRACTORS, VARIANT, apart=True),
    "MountainCar: 10 of 10 solved": solves("MountainCar", 10),
    "SwingUp: 10 of 10 solved": solves("SwingUp", 10),
}
"""What the suite was meant to show: the aim, and how the record is judged."""


def aims(cells: Mapping[str, Arms]) -> str:
    """Every aim with its figure; one whose cells were not run says so."""

    def rows() -> Iterator[list[str]]:
        for aim, judge in AIMS.items():
            try:
                figure, reached = judge(cells)
            except KeyError:
                yield [aim, "not measured", ""]
            else:
                yield [aim, figure, "reached" if reached else "missed"]

    return table(["aim", f"figure of {OURS}, if no other is named", ""], rows(), "lll")
