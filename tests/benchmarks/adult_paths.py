"""Paths through a mixed table (UCI Adult): the trained agent, the latent line and growing spheres, side by side.

    python -m tests.benchmarks.adult_paths                   # 3 beds, one agent each
    python -m tests.benchmarks.adult_paths --beds 0          # a quick look

The data are looked for in $MANIFOLD_DATA/adult, else in shared/data/adult beside the checkout. Finished cells are kept in
--cache. Writes docs/results/adult_paths.json and .md. The bed stands in adult_bed.py.
"""

from __future__ import annotations

import argparse
import platform
import shlex
from pathlib import Path
from statistics import fmean
from typing import Any

from agents.cli import prepare_process
from tests.benchmarks.digits_cells import ROOT, bed_judges, kept
from tests.benchmarks.results import as_json

RIVALS: dict[str, dict[str, Any]] = {"line": {}, "spheres": {}}
MOST_STEPS = 100
COLUMNS: dict[str, tuple[str, int]] = {
    "validity": ("decision changed", 3),
    "changed_columns": ("columns changed, of 12", 2),
    "changed_since_frame_0": ("of them by the walk", 2),
    "immutables_violated": ("frames that break what is held", 0),
    "outside_range": ("frames outside a range", 0),
    "l2_input": ("L2", 3),
    "knn_ratio": ("kNN ratio", 3),
    "queries": ("queries", 1),
    "rising_share": ("rising", 3),
    "frames": ("frames", 0),
    "training_queries": ("training queries", 0),
    "cpu_ms": ("CPU-ms each", 2),
}


def rival_cell(name: str, seed: int, cache: Path, fresh: bool = False) -> dict[str, Any]:
    """The figures of a rival on a bed."""
    from agents.walkers import make_walker
    from tests.benchmarks.adult_bed import ITEMS, make_bed, measure

    def found() -> dict[str, Any]:
        bed = make_bed(seed, cache)
        walker, oracles = make_walker(name, **RIVALS.get(name, {})), bed_judges(bed, cache)
        return {**measure(bed, bed.world, walker, MOST_STEPS, oracles=oracles), "bed": bed.facts}

    return kept(cache, {"adult": name, "bed": seed, "items": ITEMS}, found, fresh)


def agent_cell(seed: int, cache: Path, steps: int, fresh: bool = False) -> dict[str, Any]:
    """The figures of an agent trained by the default recipe on a bed; the bed's seed is its own too."""
    from agents.explain import choose_walker
    from agents.train import train
    from tests.benchmarks.adult_bed import ITEMS, make_bed, measure

    def found() -> dict[str, Any]:
        bed = make_bed(seed, cache)
        folder = cache / "adult-runs"
        run = train(world=bed.world, algo="ppo", seed=seed, n_timesteps=steps, log_folder=str(folder), save_freq=0,
                    eval_episodes=0, pictures=False)  # fmt: skip
        figures = measure(bed, run, choose_walker(None, run), None, seed, bed_judges(bed, cache))
        figures["training_queries"] = run.queries + 2 * len(bed.world.reference.x)
        return {**figures, "training_cpu_seconds": run.progress["cpu_seconds"], "bed": bed.facts}

    return kept(cache, {"adult": "agent", "bed": seed, "items": ITEMS, "steps": steps}, found, fresh)


def spread(values: list[float], digits: int) -> str:
    """Mean over the beds and, in brackets, the least and the largest."""
    mean = f"{fmean(values):,.{digits}f}"
    return mean if min(values) == max(values) else f"{mean} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def markdown(rows: dict[str, list[dict[str, Any]]], command: str) -> str:
    """The table as a page."""
    lines = ["# Paths through a mixed table: UCI Adult", "", f"Made by `{command}`. Mean over the beds and, in brackets,"]
    lines += ["least and largest. 500 held-out people a bed, each towards the other income class, until the decision changes."]
    lines += ["All figures are of the nearest valid rows, which are what the classifier was asked; distances (one-hot and"]
    lines += ["standardised) over the people whose decision changed. kNN ratio 1.0 is as typical as real held-out people of"]
    lines += ["the class. A column counts as changed if its category differs, or its number by more than a tenth of a"]
    lines += ["standard deviation. Held: race, sex, native country; age can only rise. Frames are counted over all items.", ""]
    facts = {name: [cell["bed"][name] for cell in next(iter(rows.values()))] for name in next(iter(rows.values()))[0]["bed"]}
    lines += [", ".join(f"{name.replace('_', ' ')} {spread(values, 4)}" for name, values in facts.items()), ""]
    lines += ["| walker | " + " | ".join(title for title, _ in COLUMNS.values()) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for name, cells in rows.items():
        told = [spread([cell[column] for cell in cells], digits) for column, (_, digits) in COLUMNS.items()]
        lines.append(f"| {name} | " + " | ".join(told) + " |")
    return "\n".join([*lines, ""])


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=290_000, help="training steps of an agent")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "adult_paths", metavar="STEM")
    parser.add_argument("--fresh", action="store_true", help="measure kept cells again")
    options = parser.parse_args()
    prepare_process()
    from tqdm import tqdm

    rows: dict[str, list[dict[str, Any]]] = {}
    with tqdm([(bed, name) for bed in options.beds for name in [*RIVALS, "agent"]], desc="cells", unit="cell") as bar:
        for bed, name in bar:
            bar.set_postfix_str(f"bed {bed}, {name}")
            cell = (
                agent_cell(bed, options.cache, options.steps, options.fresh)
                if name == "agent"
                else rival_cell(name, bed, options.cache, options.fresh)
            )
            rows.setdefault(name, []).append(cell)
    told = ["--beds", *map(str, options.beds), "--steps", str(options.steps)]  # without the folders of this machine
    command = shlex.join(["python", "-m", "tests.benchmarks.adult_paths", *told])
    text = markdown(rows, command)
    print(text)
    page = {"command": command, "beds": options.beds, "python": platform.python_version(), "rows": rows}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(as_json(page))
    options.out.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
