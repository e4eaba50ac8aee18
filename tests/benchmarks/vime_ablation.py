"""Which parts of the curiosity matter? One changed at a time, on pairs and seeds that no final figure uses.

    python -m tests.benchmarks.vime_ablation

Each row changes one thing of VIME as shipped for latent spaces (agents/hyperparameters/curiosity.yml): what the network
foretells, its noise, how it learns and from what, how the gain is scaled, realised or expected gain, how eta goes over the
training, a value head of its own; two rivals at the same eta stand beside it. Two tasks under the protocol's PPO
(vime_protocol.yml, `ablation`): DigitsOnePair, how many pairs are found and solved; DigitsExplore, latent cells covered.
Finished cells are kept, see vime_cells. Writes docs/results/vime_ablation.json and .md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agents.cli import prepare_process
from tests.benchmarks.vime_cells import Cell, manifold_cell
from tests.benchmarks.vime_manifold import EXPLORE, PAIR, cell_of, options_of
from tests.benchmarks.vime_plan import Runner, arguments, protocol, write
from tests.benchmarks.vime_statistics import iqm, told

PLAN = protocol()
ROWS: dict[str, dict[str, Any]] = {
    "no curiosity": {"arm": "none"},
    "VIME as shipped": {},
    "predicts the frame alone": {"prediction_target": "frame"},
    "predicts the label alone": {"prediction_target": "prediction"},
    "predicts the next code alone": {"prediction_target": "code"},
    "noise learned per input": {"noise": "heteroscedastic"},
    "expected gain (BALD)": {"arm": "bald"},
    "each number on a scale of its own": {"common_scale": False},
    "50 updates a fit": {"updates": 50},
    "100 updates a fit, steps of 0.001 (as rivals)": {"updates": 100, "learning_rate": 1e-3},
    "noise of 1": {"noise": 1.0},
    "noise of 0.1": {"noise": 0.1},
    "scaled by the last rollout's median alone": {"window": 1},
    "remembers the last 10,000 transitions": {"pool_size": 10_000},
    "eta falls to zero over the first half": {"decay": 0.5},
    "eta falls with success, to zero at a tenth": {"success_decay": 0.1},
    "value head of its own": {"algo": "ppo2v"},
    "value head of its own, eta falls over the first half": {"algo": "ppo2v", "decay": 0.5},
    "not centred": {"centre": False},
    "not VIME: L2": {"arm": "l2"},
    "not VIME: RND": {"arm": "rnd"},
}
"""What each row changes: ``arm`` and ``algo``, or options of the curiosity."""


SHIPPED = {"decay": None, "success_decay": None}
"""In the shipped form eta stays as it is, whatever the protocol's schedule."""


def cells(env: str, change: dict[str, Any]) -> list[Cell]:
    """The trainings of one row."""
    plan, change = PLAN["ablation"], dict(change)
    arm, algo = change.pop("arm", "vime"), change.pop("algo", "ppo")
    eta = None if arm == "none" else plan["eta"]
    if env == PAIR:
        first, every, count = plan["pairs"]
        made = [cell_of(env, arm, eta, plan["first_seed"] + i, pair=first + every * i) for i in range(count)]
    else:
        made = [cell_of(env, arm, eta, plan["first_seed"] + i) for i in range(plan["explore_seeds"])]
    options = dict(options_of(arm, EXPLORE))  # those of latent spaces, whatever the task's own group says
    return [replace(cell, algo=algo, options={**options, **SHIPPED, **change}) for cell in made]


def row_of(runner: Runner, name: str, change: dict[str, Any]) -> dict[str, Any]:
    """Figures of one row; a task that is not there yet is left out."""
    row: dict[str, Any] = {}
    if found := runner(cells(PAIR, change), f"pairs, {name}"):
        row["pairs"] = len(found)
        row["found"] = sum(figures["first_reward"] is not None for figures in found)
        row["solved"] = sum(figures["training_success"]["success"] >= PLAN["manifold"]["solved"] for figures in found)
        row["success"] = iqm([[figures["training_success"]["success"] for figures in found]])
    if found := runner(cells(EXPLORE, change), f"explore, {name}"):
        row["cells"] = [figures["covered"][-1][0] for figures in found]
    return row


def page(rows: dict[str, dict[str, Any]]) -> str:
    """The table as a page."""
    plan, tasks = PLAN["ablation"], PLAN["manifold"]["tasks"]
    first, every, count = plan["pairs"]
    lines = [
        "# What matters in VIME on the manifold",
        "",
        "Made by `python -m tests.benchmarks.vime_ablation`. Each row changes one thing of VIME as shipped for latent spaces",
        f"(eta {plan['eta']:g}). Pairs: {count} of DigitsOnePair, ranks {first} + {every} i, {tasks[PAIR]['steps']:,} steps,",
        f"a seed each from {plan['first_seed']} on; solved where half of the episodes in the last fifth arrive. Cells: latent",
        f"cells covered on DigitsExplore in {tasks[EXPLORE]['steps']:,} steps, {plan['explore_seeds']} seeds from",
        f"{plan['first_seed']} on. None of these is a final pair or seed. With so few pairs two or three are noise.",
        "",
        "| form | pairs found | pairs solved | success in training, IQM | cells covered, mean (each) |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, row in rows.items():
        pairs = "- | - | -"
        if "pairs" in row:
            pairs = f"{row['found']} of {row['pairs']} | {row['solved']} | {told(row['success'])}"
        each = row.get("cells")
        covered = f"{sum(each) / len(each):.0f} ({', '.join(map(str, each))})" if each else "-"
        lines.append(f"| {name} | {pairs} | {covered} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """The script."""
    options = arguments(__doc__, [PAIR, EXPLORE])
    prepare_process()
    runner = Runner(options, manifold_cell)
    found = runner.rows(row_of, [(runner, name, change) for name, change in ROWS.items()])
    rows = {name: row for name, row in zip(ROWS, found, strict=True) if row}
    write("vime_ablation", rows, page(rows))
    if runner.missing:
        print(f"{runner.missing} cells are missing: run without --merge")


if __name__ == "__main__":
    main()
