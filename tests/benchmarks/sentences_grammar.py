"""Sentence VAEs on a corpus whose entropy is known: does the code stay in use, and what does that cost in likelihood?

    python -m tests.benchmarks.sentences_grammar                 # 3 seeds, every way of training
    python -m tests.benchmarks.sentences_grammar --seeds 0 --ways default plain

No model can have a negative log likelihood below the corpus's entropy, so the excess over it is what a model still lacks.
Measured on 600 fresh sentences by importance sampling (200 samples each); the standard error is of the paired difference to
the true log probability of the very sentences, which takes the choice of the sentences out.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from statistics import fmean
from typing import Any

import torch

from envs.datasets import grammar
from envs.manifolds import SentenceVAE
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run, cpu_seconds
from tests.benchmarks.harness.tables import spread, table

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


# ---- run --------------------------------------------------------------------------------------------------------------


def measured(way: str, seed: int) -> dict[str, Any]:
    """One fitted model, measured; nats a sentence."""
    texts = [s.text for s in grammar.sample(SENTENCES, seed)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the plain run is meant to collapse, and says so in `flagged`
        vae, seconds = cpu_seconds(lambda: SentenceVAE.fit(texts, seed=seed, **WAYS[way]))
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


def measure(options: Options) -> Iterator[Record]:
    """Every way from every seed."""
    sources = ("envs/manifolds/sentence*.py", "envs/datasets/grammar.py")
    runs = [Run({"grammar": WAYS[way], "way": way, "seed": seed}, partial(measured, way, seed), sources)
            for way in options.ways for seed in options.seeds]  # fmt: skip
    yield {"entropy": grammar.entropy(), "cells": options.runner(runs, "models")}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """One table, and whether the aims were reached."""
    cells, rows = record["cells"], []
    for way in dict.fromkeys(c["way"] for c in cells):
        own = [c for c in cells if c["way"] == way]

        def of(name: str, digits: int = 2, own: list[dict[str, Any]] = own) -> str:
            return spread([cell[name] for cell in own], digits)

        excess = f"{of('excess')}, se {fmean(cell['excess_se'] for cell in own):.3f}"
        rows.append([SHORT.get(way, way), of("bound"), of("reconstruction"), of("kl", 3), of("active_units", 0),
                     f"{sum(c['flagged'] for c in own)} of {len(own)}", of("iw_nll"), excess,
                     of("cpu_seconds", 0)])  # fmt: skip
    titles = ["training", "bound", "reconstruction", "KL", "active units", "flagged", "IW-NLL", "over the entropy", "CPU-s"]
    seeds = len({c["seed"] for c in cells})
    return render(
        "sentences_grammar", entropy=record["entropy"], sentences=SENTENCES, fresh=FRESH, samples=SAMPLES,
        seeds=f"{seeds} seed{'s' if seeds > 1 else ''}", table=table(titles, rows, "l"), verdicts="\n".join(verdicts(cells)),
    )  # fmt: skip


def verdicts(cells: list[dict[str, Any]]) -> list[str]:
    """The aims of the default and of the plain training."""
    default, plain = ([c for c in cells if c["way"] == way] for way in ("default", "plain"))
    found = {}
    if default:
        above = all(c["excess"] >= -3 * c["excess_se"] for c in default)
        small = all(c["excess"] <= 0.3 for c in default)
        found[f"default: excess at most 0.3 nats: {_yes(small)}; not below the entropy by 3 se"] = above
        found["default: KL at least 2 nats"] = all(c["kl"] >= 2 for c in default)
    if plain:
        found["plain: collapses (KL below 0.05) and is flagged"] = all(c["kl"] < 0.05 and c["flagged"] for c in plain)
    return [f"- {text}: {_yes(good)}" for text, good in found.items()]


def _yes(good: bool) -> str:
    return "reached" if good else "**missed**"


EXPERIMENT = Experiment(
    "sentences_grammar", __doc__, measure, page, flags={"--seeds": whole_numbers(0, 1, 2), "--ways": one_of(list(WAYS))}
)

if __name__ == "__main__":
    EXPERIMENT.main()
