"""Review sentences explained: the trained agent beside walkers, judged by an oracle and a language model that it never met.

    python -m tests.benchmarks.sentences_paths                   # 3 beds
    python -m tests.benchmarks.sentences_paths --seeds 0 --cache FOLDER

A flip counts where the path arrives (p >= 0.9 for the other class), frame 0 still has the input's class, the oracle puts the
end into the class asked for, and the end is at most 1.5 times as perplexing as real sentences are together. Edit distances are
to the input. The bed stands in sentences_bed.py. Writes docs/results/sentences_paths.json and .md, with twenty paths of the
agent, the first twenty held-out sentences.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from agents.atomic import write_whole
from agents.cli import prepare_process
from tests.benchmarks.sentences_bed import LONGEST, Bed, make_bed
from tests.benchmarks.sentences_data import RESULTS

RIVALS = ("line", "spheres", "random")
WORSE = 1.5  # times the perplexity of real sentences
SHOWN = 20
COLUMNS = {
    "arrived": "arrived", "kept": "frame 0 keeps the class", "oracle": "oracle agrees, of those arrived",
    "fluent": "end at most 1.5 times as perplexing", "flipped": "**flips that count**", "flipped_of_kept": "of those kept",
    "perplexity_ratio": "perplexity, ends over real", "edit": "words changed", "knn_ratio": "typicality (kNN ratio)",
    "queries": "queries", "steps": "steps", "training_queries": "queries in training",
}  # fmt: skip


def figures(bed: Bed, paths: list[Any]) -> dict[str, float]:
    """The measures of one walker's paths."""
    from agents.explanation.metrics import evaluate_paths
    from envs.alignment import edit_distance

    real = bed.language.perplexity(bed.real)
    ends = [path.texts[-1] for path in paths]
    arrived = np.array([path.success for path in paths])
    kept = np.array([path.predicted[0] == path.source for path in paths])
    oracle = bed.oracle.predict(ends) == np.array([path.target for path in paths])
    fluent = bed.language.each(ends) <= WORSE * real
    counted = arrived & kept & oracle & fluent
    measured = evaluate_paths(bed.world, paths, resamples=10)
    reached = [end for end, there in zip(ends, arrived, strict=True) if there]
    changed = [edit_distance(path.texts[0], path.texts[-1]) for path in paths if path.success]
    return {
        "arrived": float(arrived.mean()), "kept": float(kept.mean()),
        "oracle": float(oracle[arrived].mean()) if arrived.any() else float("nan"),
        "fluent": float(fluent[arrived].mean()) if arrived.any() else float("nan"),
        "flipped": float(counted.mean()), "flipped_of_kept": float(counted[kept].mean()),
        "perplexity_ratio": bed.language.perplexity(reached) / real if reached else float("nan"),
        "edit": fmean(changed) if changed else float("nan"), "knn_ratio": measured["knn_ratio"].value,
        "queries": fmean([path.queries for path in paths]), "steps": fmean([path.steps for path in paths]),
        "training_queries": max(path.training_queries for path in paths),
    }  # fmt: skip


def cells(
    seed: int, cache: Path | None, steps: int, most: int, rivals: list[str]
) -> tuple[list[dict[str, Any]], dict[str, Any], list[Any]]:
    """(a row a walker, facts of the bed, the agent's first paths)."""
    from agents.explain import explain
    from agents.train import train
    from agents.training_env import trained_walk

    bed = make_bed(seed, cache)
    rows = range(min(most, len(bed.world.held_out.x)))
    world, _ = trained_walk(bed.world, {})
    found = []
    for rival in rivals:
        paths = explain(world, rows, walker=rival, seed=seed)
        found.append({"walker": rival, "seed": seed, **figures(bed, paths)})
        print(json.dumps(found[-1]), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        run = train(world=world, algo="ppo", n_timesteps=steps, seed=seed, log_folder=folder, eval_episodes=0, pictures=False)
        seconds = time.process_time() - began
        paths = explain(run, rows, seed=seed)
    found.append({"walker": "agent", "seed": seed, "cpu_seconds": seconds, **figures(bed, paths)})
    print(json.dumps(found[-1]), flush=True)
    return found, bed.facts, paths[:SHOWN]


def page_of(
    rows: list[dict[str, Any]], facts: list[dict[str, Any]], shown: list[Any], steps: int, judged: str, flags: str
) -> str:
    """The page; `flags` are those of the command that makes it again."""
    head = ["walker", *COLUMNS.values()]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for walker in ("agent", *RIVALS):
        own = [row for row in rows if row["walker"] == walker]
        if not own:
            continue
        cells_of = []
        for name in COLUMNS:
            values = [row[name] for row in own]
            digits = 0 if name == "training_queries" else 1 if name in ("edit", "queries", "steps") else 3
            text = f"{fmean(values):,.{digits}f}"
            spread = f" ({min(values):,.{digits}f} to {max(values):,.{digits}f})" if len(values) > 1 else ""
            cells_of.append(text + spread)
        lines.append(f"| {walker} | {' | '.join(cells_of)} |")
    agent = [row["flipped"] for row in rows if row["walker"] == "agent"]
    verdict = "reached" if min(agent) >= 0.95 else "**missed**"
    about = [f"- {name.replace('_', ' ')}: " + ", ".join(f"{f[name]:.4g}" for f in facts) for name in facts[0]]
    told = []
    for number, path in enumerate(shown, start=1):
        ends = f"{path.class_names[path.source]} to {path.class_names[path.target]}"
        told += [f"{number}. {ends}, {'arrived' if path.success else 'not arrived'}", "", f"    input      {path.texts[0]}"]
        for t, text in enumerate(path.texts[1:]):
            if t in (0, path.steps) or text != path.texts[t]:
                told.append(f"    {t:2d} p {path.answers[t, path.target]:.2f}  {text}")
        told.append("")
    seeds = len({row["seed"] for row in rows})
    return "\n".join([
        "# Paths through review sentences", "",
        f"SST test sentences of up to {LONGEST} words, towards the other sentiment; {seeds} seed(s) of bed and agent. The",
        f"agent is PPO, {steps:,} steps. Nothing was fitted to a sentence that stands in SST's test set.", "",
        *lines, "", f"Share flipped at least 0.95: {verdict}.", "", "The bed, seed by seed:", "", *about, "",
        "## Twenty paths of the agent, not picked", "", judged, "",
        "The first held-out sentences; frames whose sentence did not change are left out.", "", *told,
        f"`python -m tests.benchmarks.sentences_paths {flags}` makes this page again.", "",
    ])  # fmt: skip


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=80_000, help="of training")
    parser.add_argument("--most", type=int, default=200, help="held-out sentences at most")
    parser.add_argument("--rivals", nargs="+", choices=RIVALS, default=list(RIVALS))
    parser.add_argument("--cache", type=Path, help="folder of fitted manifolds")
    parser.add_argument("--judged", default="", help="what a reader says of the paths, for the page")
    chosen = parser.parse_args()
    prepare_process()
    rows, facts, shown = [], [], []
    for seed in chosen.seeds:
        found, fact, paths = cells(seed, chosen.cache, chosen.steps, chosen.most, chosen.rivals)
        rows += found
        facts.append(fact)
        shown = shown or paths
    record = {"python": platform.python_version(), "steps": chosen.steps, "beds": facts, "rows": rows}
    write_whole(RESULTS / "sentences_paths.json", json.dumps(record, indent=1) + "\n")
    flags = f"--seeds {' '.join(map(str, chosen.seeds))} --rivals {' '.join(chosen.rivals)} "
    flags += f"--steps {chosen.steps} --most {chosen.most}"
    page = page_of(rows, facts, shown, chosen.steps, chosen.judged, flags)
    write_whole(RESULTS / "sentences_paths.md", page)
    print(page)


if __name__ == "__main__":
    main()
