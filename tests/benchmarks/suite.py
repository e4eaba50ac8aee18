"""The exploration suite: any bonus on any of its cells, with the figures that comparisons of few runs need.

    python -m tests.benchmarks.suite --tune                       # choose eta on the tuning seeds, once for each bonus
    python -m tests.benchmarks.suite --bonus none vime rnd --ids DeepSea-20 Explore --seeds 10
    python -m tests.benchmarks.suite --bonus mine:Bonus --ids DeepSea-14 --seeds 3 --out mine

Cells, budgets and seeds are fixed in suite.yml. Runs are kept, so that an interrupted command goes on where it was. A bonus of
one's own is ``module:object``, a subclass of `vime.Bonus`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.explanation.explored import Explored, explore, zero_shot
from agents.training.environments import curiosity_settings, is_latent, make_world_of
from tests.benchmarks.curiosity.suite_figures import CELLS, DISTRACTORS, PLAN, POINTS, aims, losses, solving
from tests.benchmarks.curiosity.training import Training, control_figures, manifold_figures
from tests.benchmarks.curiosity.variants import VARIANTS, bonus_of
from tests.benchmarks.harness.experiment import RESULTS, Experiment, Options, Record, one_of, render
from tests.benchmarks.harness.statistics import fisher, iqm, median, probability_of_improvement, profile
from tests.benchmarks.harness.tables import table, within
from vime.bonuses import BONUSES, bonus_class

TUNING = "suite_tuning"
ZERO_SHOT_WALKS = 300
THRESHOLDS = np.linspace(0.0, 1.0, 21)
IMAGES = RESULTS.parent / "images"


# ---- run --------------------------------------------------------------------------------------------------------------


@cache
def options_of(cell: str, bonus: str) -> dict[str, Any]:
    """Options of a bonus in a cell: those that ship for its kind of environment, the variant's, and the cell's schedule."""
    if bonus == "none":
        return {}
    one, (name, variant) = CELLS[cell], bonus_of(bonus)
    world = make_world_of(one["env"], one.get("kwargs", {}), progress=False)
    schedule = {"success_decay": one["success_decay"]} if "success_decay" in one else {}
    return {**curiosity_settings(name, None, schedule, world, one["env"]).options, **variant}


def training_of(cell: str, bonus: str, eta: float | None, index: int, tuning: bool = False) -> Training:
    """The training of a cell with this index, on final or on tuning seeds and pairs."""
    one = CELLS[cell]
    kwargs = dict(one.get("kwargs", {}))
    pairs = one.get("tuning_pairs" if tuning else "pairs")
    if pairs is not None:
        kwargs["pair"] = pairs["first"] + index * pairs["every"]
    seed = PLAN["tuning_seeds"][index] if tuning else PLAN["first_final_seed"] + index
    options = dict(options_of(cell, bonus))
    return Training(one["env"], "ppo", bonus, one["steps"], seed, one["settings"], eta, options, kwargs)


def measured(cell: str, bonus: str, eta: float | None, count: int, options: Options, tuning: bool = False) -> list[Record]:
    """Figures of the first `count` runs of a cell, each with its score and its curve."""
    runs = [training_of(cell, bonus, eta, i, tuning).run(figures_of(cell)) for i in range(count)]
    return [summary(cell, found) for found in options.runner(runs, f"{cell} {bonus}")]


def zero_shot_figures(one: Training, queries: int) -> dict[str, Any]:
    """Explore without a reward, then walk held-out inputs to random other classes, with what the first queries found."""
    world = make_world_of(one.env, dict(one.env_kwargs), progress=False)
    assert world is not None
    found = explore(world, one.arm, queries, one.seed, one.eta or 0.0, step=0.05)
    draw = torch.Generator().manual_seed(one.seed)
    rows = torch.randint(len(world.held_out.x), (ZERO_SHOT_WALKS,), generator=draw)
    target = world.task.targets(world.answers_held_out(rows).argmax(1), torch.rand(len(rows), generator=draw), world.classes)
    shares = []
    for part in range(1, POINTS + 1):
        known = Explored(*(value[: queries * part // POINTS] for value in found))
        shares.append(float(zero_shot(world, known, rows, target).float().mean()))
    return {"first_reward": None, "training_success": {"success": shares[-1]}, "curve": shares}


def figures_of(cell: str) -> Callable[[Training], dict[str, Any]]:
    """What measures one training of a cell."""
    if CELLS[cell].get("zero_shot"):
        return partial(zero_shot_figures, queries=CELLS[cell]["steps"])
    return manifold_figures if is_latent(CELLS[cell]["env"]) else control_figures


def summary(cell: str, found: Mapping[str, Any]) -> Record:
    """What is kept of one run."""
    full = CELLS[cell].get("full")
    if full is None:
        score, curve = found["training_success"]["success"], [value or 0.0 for value in found["curve"]]
    else:
        curve = [min(cells / full, 1.0) for cells, _ in found["covered"]]
        score = curve[-1]
        curve = np.interp(np.linspace(0, 1, POINTS + 1)[1:], np.linspace(0, 1, len(curve) + 1)[1:], curve).tolist()
    own = {"score": float(score), "curve": [round(value, 4) for value in curve], "first_reward": found["first_reward"]}
    if full is not None:
        own |= {"cells": found["covered"][-1][0], "regions": found["covered"][-1][1]}
    return own | {"cpu_seconds": round(found["cpu_seconds"], 2)}


def tuned(cell: str, bonus: str) -> tuple[float | None, bool]:
    """The eta of a bonus in a cell, and whether it was chosen on tuning seeds; else the one that its id ships with, if any."""
    if bonus == "none":
        return None, True
    file = RESULTS / f"{TUNING}.json"
    known = json.loads(file.read_text(encoding="utf-8"))["cells"] if file.is_file() else {}
    scores = known.get(CELLS[cell].get("tuned_as", cell), {}).get(bonus, {})
    if scores:
        return float(best(scores)), True
    shipped = curiosity_settings(bonus_of(bonus)[0], None, {}, None, CELLS[cell]["env"]).eta
    return PLAN["default_eta"] if shipped is None else shipped, False


def best(scores: Mapping[str, Any]) -> str:
    """The eta with the best mean score; among equals the one whose reward came first."""
    return max(scores, key=lambda eta: (np.mean(scores[eta]["score"]), -np.mean(scores[eta]["first"])))


def tune(options: Options) -> Iterator[Record]:
    """Cell -> bonus -> eta -> scores of the tuning seeds. Etas and bonuses that were measured before are kept."""
    cells: Record = dict(options.before.get("cells", {}))
    for cell in options.ids:
        if "tuned_as" in CELLS[cell]:
            continue
        for bonus in [name for name in options.bonus if name != "none"]:
            own = cells.setdefault(cell, {}).setdefault(bonus, {})
            for eta in options.etas:
                found = measured(cell, bonus, eta, min(options.seeds, len(PLAN["tuning_seeds"])), options, tuning=True)
                if found:
                    steps = CELLS[cell]["steps"]
                    own[f"{eta:g}"] = {
                        "score": [run["score"] for run in found],
                        "first": [steps if run["first_reward"] is None else run["first_reward"] for run in found],
                        "cpu_seconds": median([run["cpu_seconds"] for run in found]),
                    }
            yield {**options.before, "cells": cells}
    yield {**options.before, "cells": cells}


def strength(options: Options) -> Iterator[Record]:
    """Loudness -> latent cells that a bonus covers on the tuning seeds among distractors; at 0 they are silent."""
    found: Record = {}
    for loudness in (0.0, *PLAN["loudness_grid"]):
        eta, _ = tuned(DISTRACTORS, PLAN["loudness_bonus"])
        runs = [training_of(DISTRACTORS, PLAN["loudness_bonus"], eta, i, tuning=True) for i in range(options.seeds)]
        runs = [replace(run, env_kwargs={"loudness": loudness}) for run in runs]
        kept = options.runner([run.run(manifold_figures) for run in runs], f"loudness {loudness:g}")
        found[f"{loudness:g}"] = [run["covered"][-1][0] for run in kept]
        yield {**options.before, "loudness": found}


def compare(options: Options) -> Iterator[Record]:
    """Cell -> bonus -> eta, options and runs. Cells and bonuses that were measured before are kept."""
    cells: Record = dict(options.before.get("cells", {}))
    for cell in options.ids:
        for bonus in options.bonus:
            eta, chosen = tuned(cell, bonus)
            found = measured(cell, bonus, eta, options.seeds, options)
            if found:
                row = {"eta": eta, "tuned": chosen, "options": options_of(cell, bonus), "runs": found}
                cells.setdefault(cell, {})[bonus] = row
            yield {"cells": cells}
    draw({"cells": cells}, (options.out or IMAGES / "suite").with_suffix(".png"))


def measure(options: Options) -> Iterator[Record]:
    """Choose the strength of the distractors, choose eta, or compare."""
    for name in options.bonus:
        if name not in (*VARIANTS, "none"):
            bonus_class(name)  # raises for a name that does not exist, before anything is trained
    yield from (strength if options.strength else tune if options.tune else compare)(options)


# ---- analyse ----------------------------------------------------------------------------------------------------------


def scores_of(record: Record, bonus: str, cells: list[str]) -> list[list[float]]:
    """Scores of a bonus, one list a cell."""
    return [[run["score"] for run in record["cells"][cell][bonus]["runs"]] for cell in cells]


def shared(record: Record) -> tuple[list[str], list[str]]:
    """The bonuses that were measured on more than half of the cells, and the cells that all of these were measured on."""
    cells: Record = record["cells"]
    every = dict.fromkeys(bonus for arms in cells.values() for bonus in arms)
    bonuses = [bonus for bonus in every if 2 * sum(bonus in arms for arms in cells.values()) > len(cells)]
    return bonuses, [cell for cell, arms in cells.items() if set(bonuses) <= set(arms)]


def draw(record: Record, file: Path) -> None:
    """Draw the interquartile means, the performance profiles and the curves of all bonuses on the shared cells."""
    from agents.explanation.figures.style import figure_png, pyplot_figure

    bonuses, cells = shared(record)
    if not cells:
        return
    figure = pyplot_figure(11, 3.2)
    means, profiles, curves = figure.subplots(1, 3)
    for place, bonus in enumerate(bonuses):
        scores, colour = scores_of(record, bonus, cells), f"C{place}"
        mean = iqm(scores)
        means.plot([mean["low"], mean["high"]], [place, place], color=colour, linewidth=6, alpha=0.4, solid_capstyle="butt")
        means.plot(mean["value"], place, "|", color=colour, markersize=14)
        share = profile(scores, THRESHOLDS)
        profiles.plot(THRESHOLDS, share["value"], color=colour, label=bonus)
        profiles.fill_between(THRESHOLDS, share["low"], share["high"], color=colour, alpha=0.15, linewidth=0)
        runs = [[run["curve"] for run in record["cells"][cell][bonus]["runs"]] for cell in cells]
        course = [iqm([[curve[i] for curve in cell] for cell in runs]) for i in range(POINTS)]
        at = np.arange(1, POINTS + 1) / POINTS
        curves.plot(at, [one["value"] for one in course], color=colour)
        curves.fill_between(at, [one["low"] for one in course], [one["high"] for one in course], color=colour, alpha=0.15,
                            linewidth=0)  # fmt: skip
    means.set_yticks(range(len(bonuses)), bonuses)
    means.set(xlabel="score, interquartile mean", title="All shared cells")
    profiles.set(xlabel="score", ylabel="share of runs with at least this score", title="Performance profile", ylim=(0, 1))
    profiles.legend(frameon=False, fontsize=8)
    curves.set(xlabel="share of the budget", ylabel="score, interquartile mean", title="Sample efficiency", ylim=(0, None))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(figure_png(figure))


def first_text(runs: list[Record], steps: int) -> str:
    """Median steps to the first reward; a run without one counts as the whole budget."""
    first = median([steps if run["first_reward"] is None else run["first_reward"] for run in runs])
    assert first is not None
    return f"{first:,.0f}" if first < steps else "never"


def cell_section(cell: str, arms: Mapping[str, Any]) -> str:
    """The table of one cell."""
    one = CELLS[cell]
    coverage = "full" in one
    titles = ["bonus", "eta", "runs", "score, IQM"]
    titles += ["cells, each", "regions, mean"] if coverage else ["solved", "p against none", "steps to first reward, median"]
    rows = []
    for bonus, row in arms.items():
        runs = row["runs"]
        eta = "-" if row["eta"] is None else f"{row['eta']:g}" + ("" if row["tuned"] else "*")
        entry: list[Any] = [bonus, eta, len(runs), within(iqm([[run["score"] for run in runs]]))]
        if coverage:
            entry += [", ".join(f"{run['cells']}" for run in runs), f"{np.mean([run['regions'] for run in runs]):.1f}"]
        else:
            solved = sum(run["score"] >= PLAN["solved"] for run in runs)
            plain = arms.get("none", {}).get("runs", [])
            of_plain = sum(run["score"] >= PLAN["solved"] for run in plain)
            p = f"{fisher(solved, len(runs), of_plain, len(plain)):.3g}" if plain and bonus != "none" else "-"
            entry += [f"{solved} of {len(runs)}", p, first_text(runs, one["steps"])]
        rows.append([*entry, f"{median([run['cpu_seconds'] for run in runs]):.0f}"])
    settings = "".join(f", {name} {value}" for name, value in one.get("kwargs", {}).items())
    return f"## {cell}\n\n`{one['env']}`{settings}, PPO, {one['steps']:,} steps.\n\n" + table([*titles, "CPU s"], rows)


def page(record: Record) -> str:
    """The tables of a comparison, or of the tuning."""
    if all("runs" not in row for arms in record["cells"].values() for row in arms.values()):
        return tuning_page(record)
    bonuses, cells = shared(record)
    scores = {bonus: scores_of(record, bonus, cells) for bonus in bonuses}
    mean = [[bonus, within(iqm(scores[bonus]))] for bonus in bonuses]
    better = [
        [a, *(within(None if a == b else probability_of_improvement(scores[a], scores[b])) for b in bonuses)] for a in bonuses
    ]
    return render(
        "suite", shared=", ".join(cells) or "none", bonuses=", ".join(bonuses),
        solved=f"{PLAN['solved']:.0%}", means=table(["bonus", "score, IQM"], mean),
        better=table(["P(row > column)", *bonuses], better), losses=losses(record["cells"]),
        solving=solving(record["cells"]), aims=aims(record["cells"]),
        missing=", ".join(cell for cell in CELLS if cell not in record["cells"]) or "none",
        sections="\n\n".join(cell_section(cell, arms) for cell, arms in record["cells"].items()),
    )  # fmt: skip


def tuning_page(record: Record) -> str:
    """One table a cell: mean score of each bonus at each eta; the chosen one is bold."""
    sections = []
    for cell, arms in record["cells"].items():
        etas = sorted({eta for scores in arms.values() for eta in scores}, key=float)
        rows = []
        for bonus, scores in arms.items():
            chosen = best(scores)
            texts = {eta: f"{np.mean(one['score']):.2f}" for eta, one in scores.items()}
            texts[chosen] = f"**{texts[chosen]}**"
            seeds = len(scores[chosen]["score"])
            rows.append([bonus, *(texts.get(eta, "-") for eta in etas), seeds, f"{scores[chosen]['cpu_seconds']:.0f}"])
        sections.append(f"## {cell}\n\n" + table(["bonus", *(f"eta {eta}" for eta in etas), "seeds", "CPU s a run"], rows))
    if "loudness" in record:
        silent = np.mean(record["loudness"]["0"])
        rows = [
            [eta, ", ".join(map(str, cells)), f"{1 - np.mean(cells) / silent:.0%}"]
            for eta, cells in record["loudness"].items()
        ]
        titles = ["loudness", f"cells that {PLAN['loudness_bonus']} covers, each seed", "loss of the mean"]
        sections.append("## Strength of the distractors\n\n" + table(titles, rows, "llr"))
    return render("suite_tuning", sections="\n\n".join(sections))


FLAGS: dict[str, dict[str, Any]] = {
    "--bonus": {"nargs": "+", "default": ["none", "vime", "l2", "rnd"], "metavar": "NAME",
                "help": f"none, {', '.join([*BONUSES, *VARIANTS])}, or module:object"},
    "--ids": one_of(list(CELLS), help=f"cells of suite.yml: {', '.join(CELLS)}"),
    "--seeds": {"type": int, "default": 10, "metavar": "N", "help": "runs a cell and bonus"},
    "--etas": {"type": float, "nargs": "+", "default": PLAN["eta_grid"], "metavar": "ETA", "help": "grid of --tune"},
    "--tune": {"action": "store_true", "help": "choose eta on the tuning seeds, into docs/results/suite_tuning.json"},
    "--strength": {"action": "store_true", "help": "measure how much coverage L2 loses to distractors of each loudness"},
    "--merge": {"action": "store_true", "help": "train nothing: write the tables from the trainings that are kept"},
}  # fmt: skip
EXPERIMENT = Experiment(
    "suite", __doc__, measure, page, flags=FLAGS, files=("suite", TUNING), stamped=False,
    file_of=lambda options: TUNING if options.tune or options.strength else "suite",
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
