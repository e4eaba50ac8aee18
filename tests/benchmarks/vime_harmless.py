"""What curiosity costs where it is not needed: labels alone, which plain PPO learns; three seeds an eta.

    python -m tests.benchmarks.vime_harmless

PPO as shipped on Manifold/DigitsLabelOnly-v0 with 128 environments, cut to 150,000 steps, without curiosity and with
`--curiosity vime` at the default weight (--etas: others). Told: the share of 200
held-out inputs that the agent explains at the end, and after how many steps nine of ten training walks arrived. This
says which weight does no harm; it cannot say that curiosity helps, because here there is nothing to find.

Finished trainings are kept (--cache), so an interrupted benchmark goes on. Writes docs/results/vime_harmless.json and .md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import yaml

from agents.cli import prepare_process
from agents.training.algorithms import HYPERPARAMETER_FOLDER
from tests.benchmarks.digits_cells import ROOT
from tests.benchmarks.results import as_json

ENV, N_ENVS, HELD_OUT = "Manifold/DigitsLabelOnly-v0", 128, 200
ENOUGH = 0.9
WEIGHTS = (0.0, 0.003)
"""0: no curiosity at all; and the default of curiosity.yml."""


def training(eta: float, seed: int, n_timesteps: int) -> dict[str, Any]:
    """One training's figures."""
    from agents.train import train

    curious = eta > 0
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            env=ENV,
            n_envs=N_ENVS,
            n_timesteps=n_timesteps,
            seed=seed,
            curiosity="vime" if curious else "none",
            eta=eta if curious else None,
            log_folder=folder,
            save_freq=0,
            eval_episodes=HELD_OUT,
            pictures=False,
        )
        lines = [json.loads(line) for line in (run.folder.root / "metrics.jsonl").read_text().splitlines()]
    shares = [line["curiosity/bonus_fraction"] for line in lines if "curiosity/bonus_fraction" in line]
    walks = [(line["time/total_timesteps"], line["rollout/success_rate"]) for line in lines if "rollout/success_rate" in line]
    return {
        "eta": eta,
        "seed": seed,
        "success": run.evaluation["success_rate"],
        "steps to nine of ten": next((steps for steps, share in walks if share >= ENOUGH), None),
        "curve": walks,
        "bonus_fraction": mean(shares or [0.0]),
    }


def cell(eta: float, seed: int, n_timesteps: int, cache: Path) -> dict[str, Any]:
    """The figures of a training, from the cache where it was done before with the same settings."""
    files = [HYPERPARAMETER_FOLDER / name for name in ("ppo.yml", "walks.yml", "curiosity.yml")]
    settings = [yaml.safe_load(file.read_text()) for file in files]
    settings[-1] = {**settings[-1]["vime"], "eta": eta} if eta else None
    about = json.dumps([ENV, N_ENVS, seed, n_timesteps, *settings])
    file = cache / "vime_harmless" / f"{hashlib.sha256(about.encode()).hexdigest()[:16]}.json"
    if file.is_file():
        kept: dict[str, Any] = json.loads(file.read_text())
        return kept
    found = training(eta, seed, n_timesteps)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found))
    return found


def markdown(cells: list[dict[str, Any]], n_timesteps: int, command: str) -> str:
    """The table as a page, a line an eta."""
    lines = [
        "# Curiosity where it is not needed",
        "",
        f"Made by `{command}`: PPO as shipped on {ENV}, {N_ENVS} environments, {n_timesteps:,} steps, VIME as",
        f"shipped but for its weight. Success: share of {HELD_OUT} held-out inputs explained at the end, a number a seed.",
        "Steps: until nine of ten training walks arrive. Plain PPO learns this task, so that the table can only show harm.",
        "",
        "| eta | success, by seed | mean | steps to nine of ten, by seed | bonus's share of all that is paid |",
        "|---:|---|---:|---|---:|",
    ]
    for eta in sorted({c["eta"] for c in cells}):
        own = [c for c in cells if c["eta"] == eta]
        success = ", ".join(f"{c['success']:.2f}" for c in own)
        steps = ", ".join("never" if c["steps to nine of ten"] is None else f"{c['steps to nine of ten']:,}" for c in own)
        name = f"{eta:g}" if eta else "none"
        share = mean(c["bonus_fraction"] for c in own)
        lines.append(f"| {name} | {success} | {mean(c['success'] for c in own):.3f} | {steps} | {share:.3f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--etas", type=float, nargs="+", default=list(WEIGHTS), help="weights of the bonus; 0: none")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--n-timesteps", type=int, default=150_000)
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "vime_harmless", metavar="STEM")
    options = parser.parse_args()
    prepare_process()
    from tqdm import tqdm

    found = []
    with tqdm([(eta, seed) for seed in options.seeds for eta in options.etas], desc="trainings", dynamic_ncols=True) as bar:
        for eta, seed in bar:
            bar.set_postfix_str(f"eta {eta:g}, seed {seed}")
            found.append(cell(eta, seed, options.n_timesteps, options.cache))
    page = markdown(found, options.n_timesteps, "python -m tests.benchmarks.vime_harmless")
    print(page)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    told = {"etas": options.etas, "seeds": options.seeds, "n_timesteps": options.n_timesteps, "cells": found}
    options.out.with_suffix(".json").write_text(as_json({"python": platform.python_version(), **told}))
    options.out.with_suffix(".md").write_text(page)
    print(f"wrote {options.out}.json and .md")


if __name__ == "__main__":
    main()
