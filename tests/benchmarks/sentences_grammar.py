"""Sentence VAEs on a corpus whose entropy is known: does the code stay in use, and what does that cost in likelihood?

    python -m tests.benchmarks.sentences_grammar                 # 3 seeds, every way of training
    python -m tests.benchmarks.sentences_grammar --seeds 0 --ways default plain

No model can have a negative log likelihood below the corpus's entropy, so the excess over it is what a model still lacks.
Measured on 600 fresh sentences by importance sampling (200 samples each); the standard error is of the paired difference to
the true log probability of the very sentences, which takes the choice of the sentences out. Finished cells are kept in
--cache, so that an interrupted run goes on where it was. Writes docs/results/sentences_grammar.json and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import warnings
from pathlib import Path
from statistics import fmean
from typing import Any

from agents.cli import prepare_process
from agents.files import write_whole
from tests.benchmarks.results import as_json
from tests.benchmarks.sentences_data import RESULTS

FRESH, SAMPLES, SENTENCES = 600, 200, 12_000
PLAIN: dict[str, Any] = {
    "feed_code": False, "annealing": "none", "free_bits": 0.0, "word_keep": 1.0, "encoder_keep": 1.0, "epochs": 8,
}  # fmt: skip
WAYS: dict[str, dict[str, Any]] = {
    "plain": PLAIN,
    "code at every step": {**PLAIN, "feed_code": True},
    "sigmoid annealing": {**PLAIN, "annealing": "sigmoid"},
    "cyclical annealing": {**PLAIN, "annealing": "cyclical"},
    "sigmoid, half of the words dropped": {**PLAIN, "annealing": "sigmoid", "word_keep": 0.5},
    "sigmoid, inputless": {**PLAIN, "annealing": "sigmoid", "word_keep": 0.0},
    "default": {},
}
SHORT = {
    "plain": "plain: the code is the first state alone",
    "default": "default: code at every step, sigmoid, free bits 0.2, 5 % of the encoder's words unknown",
}


def cell(way: str, seed: int) -> dict[str, Any]:
    """One fitted model, measured; nats a sentence."""
    import torch

    from envs.datasets import grammar
    from envs.manifolds import SentenceVAE

    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the plain run is meant to collapse, and says so in `flagged`
        vae = SentenceVAE.fit([s.text for s in grammar.sample(SENTENCES, seed)], seed=seed, **WAYS[way])
    seconds = time.process_time() - began
    fresh = [s.text for s in grammar.sample(FRESH, 10_000 + seed)]
    x = vae.vocabulary.ids(fresh)
    nll = vae.importance_weighted_nll(x, SAMPLES, seed)
    paired = nll + torch.tensor([grammar.log_prob(text) for text in fresh])
    account = vae.account
    return {
        "way": way, "seed": seed, "cpu_seconds": seconds, "bound": account["nll"], "reconstruction": account["reconstruction"],
        "kl": account["kl"], "active_units": account["active_units"], "flagged": account["collapsed"],
        "iw_nll": float(nll.mean()), "iw_se": float(nll.std() / FRESH**0.5),
        "excess": float(paired.mean()), "excess_se": float(paired.std() / FRESH**0.5),
    }  # fmt: skip


def kept(way: str, seed: int, cache: Path | None) -> dict[str, Any]:
    """A cell, from the cache if it was finished before."""
    file = None if cache is None else cache / f"grammar_{list(WAYS).index(way)}_{seed}.json"
    if file is not None and file.is_file():
        found: dict[str, Any] = json.loads(file.read_text())
        return found
    made = cell(way, seed)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(made))
    return made


def table(cells: list[dict[str, Any]], entropy: float) -> str:
    """The page."""
    head = ["training", "bound", "reconstruction", "KL", "active units", "flagged", "IW-NLL", "over the entropy", "CPU-s"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for way in dict.fromkeys(c["way"] for c in cells):
        rows = [c for c in cells if c["way"] == way]

        def spread(name: str, digits: int = 2, rows: list[dict[str, Any]] = rows) -> str:
            values = [row[name] for row in rows]
            text = f"{fmean(values):.{digits}f}"
            return text if len(values) == 1 else f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"

        lines.append(
            f"| {SHORT.get(way, way)} | {spread('bound')} | {spread('reconstruction')} | {spread('kl', 3)} | "
            f"{spread('active_units', 0)} | {sum(r['flagged'] for r in rows)} of {len(rows)} | {spread('iw_nll')} | "
            f"{spread('excess')}, se {fmean([r['excess_se'] for r in rows]):.3f} | {spread('cpu_seconds', 0)} |"
        )
    default = [c for c in cells if c["way"] == "default"]
    plain = [c for c in cells if c["way"] == "plain"]
    verdicts = []
    if default:
        below = all(c["excess"] <= 0.3 for c in default)
        above = all(c["excess"] >= -3 * c["excess_se"] for c in default)
        verdicts.append(f"- default: excess at most 0.3 nats: {_yes(below)}; not below the entropy by 3 se: {_yes(above)}")
        verdicts.append(f"- default: KL at least 2 nats: {_yes(all(c['kl'] >= 2 for c in default))}")
    if plain:
        collapsed = all(c["kl"] < 0.05 and c["flagged"] for c in plain)
        verdicts.append(f"- plain: collapses (KL below 0.05) and is flagged: {_yes(collapsed)}")
    seeds = len({c["seed"] for c in cells})
    about = (
        f"Entropy {entropy:.3f} nats a sentence. {SENTENCES:,} sentences to fit, {FRESH:,} fresh ones to measure, {SAMPLES} "
        f"samples for IW-NLL; {seeds} seed{'s' if seeds > 1 else ''}, mean and range over them. Nats a sentence, end mark "
        "included."
    )
    how = "`python -m tests.benchmarks.sentences_grammar` makes this page again."
    return "\n".join(["# Sentence VAEs on the grammar", "", about, "", *lines, "", *verdicts, "", how, ""])


def _yes(reached: bool) -> str:
    return "reached" if reached else "**missed**"


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--cache", type=Path, help="folder of finished cells")
    chosen = parser.parse_args()
    prepare_process()
    from envs.datasets import grammar

    cells = []
    for way in chosen.ways:
        for seed in chosen.seeds:
            cells.append(kept(way, seed, chosen.cache))
            print(json.dumps(cells[-1]), flush=True)
    page = table(cells, grammar.entropy())
    record = {"entropy": grammar.entropy(), "python": platform.python_version(), "cells": cells}
    write_whole(RESULTS / "sentences_grammar.json", as_json(record))
    write_whole(RESULTS / "sentences_grammar.md", page)
    print(page)


if __name__ == "__main__":
    main()
