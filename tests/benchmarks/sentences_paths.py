"""Review sentences explained: the trained agent beside walkers, judged by an oracle and a language model that it never met.

    python -m tests.benchmarks.sentences_paths                   # 3 splits
    python -m tests.benchmarks.sentences_paths --seeds 0 --cache FOLDER

A flip counts where the path arrives (p >= 0.9 for the other class), frame 0 still has the input's class, and the oracle puts
the end into the target class. Whether an end reads as English is not part of it: a bound on the perplexity rewards bland
sentences, and `sentences_edits` has better judges. Edit distances are to the input. See sentences/split.py. The page shows
twenty paths of the agent, from the first twenty held-out sentences.

`--held-out dev` is for choosing settings and writes no page.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from agents.explain import explain
from agents.explanation.metrics.evaluate import evaluate_paths
from agents.training.environments import trained_walk
from agents.walkers.policy import PolicyWalker
from envs.building.reference import make_reference
from envs.manifolds import SentenceVAE
from envs.modalities.alignment import edit_distance
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.models import trained
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.tables import listed, spread, table
from tests.benchmarks.harness.walks import SOURCES
from tests.benchmarks.sentences.split import LONGEST, review_split

WALKERS = {
    "agent": "the agent",
    "agent alone": "the agent's policy alone: no planned last step, no second try",
    "line": "line to the nearest neighbour of another class",
    "spheres": "growing spheres",
    "random": "random",
    "line plain": "the line, entered at the code and decoded without an anchor",
}
SHOWN = 20
STEPS = 40_000
SEARCHED = 50  # sentences of SST that growing spheres are walked from: they look at hundreds of candidates each
COLUMNS = {
    "arrived": "arrived", "kept": "frame 0 keeps the class", "oracle": "oracle agrees, of those arrived",
    "flipped": "**flips that count**", "perplexity_ratio": "perplexity, ends over real", "edit": "words changed",
    "edit_frame_0": "words changed at frame 0", "knn_ratio": "typicality (kNN ratio)", "queries": "queries", "steps": "steps",
    "planned": "last step planned", "training_queries": "queries before",
}  # fmt: skip
CAUSES = ("frame 0 is of another class", "not arrived", "the oracle disagrees")
DIGITS = {"training_queries": 0, "edit": 1, "edit_frame_0": 1, "queries": 1, "steps": 1}  # of the other columns: 3


# ---- run --------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def split_of(seed: int, cache: Path, held_out: str) -> Any:
    """The split of a seed."""
    return review_split(seed, cache, held_out)


def facts_of(seed: int, cache: Path, held_out: str) -> dict[str, Any]:
    """What is known of a split."""
    return dict(split_of(seed, cache, held_out).facts)


def figures(split: Any, paths: list[Any], source: str) -> dict[str, Any]:
    """The measures of one walker's paths from the sentences of a source."""
    real = split.language.perplexity(split.real[source])
    ends = [path.texts[-1] for path in paths]
    arrived = np.array([path.success for path in paths])
    kept = np.array([path.predicted[0] == path.source for path in paths])
    oracle = split.oracle.predict(ends) == np.array([path.target for path in paths])
    counted = arrived & kept & oracle
    measured = evaluate_paths(split.world, paths, resamples=10)
    reached = [end for end, there in zip(ends, arrived, strict=True) if there]
    changed = [edit_distance(path.texts[0], path.texts[-1]) for path in paths if path.success]
    causes, left = {}, np.ones(len(paths), dtype=bool)
    for cause, good in zip(CAUSES, (kept, arrived, oracle), strict=True):
        causes[cause] = float((left & ~good).mean())
        left &= good
    return {
        "arrived": float(arrived.mean()), "kept": float(kept.mean()),
        "oracle": float(oracle[arrived].mean()) if arrived.any() else float("nan"),
        "flipped": float(counted.mean()),
        "perplexity_ratio": split.language.perplexity(reached) / real if reached else float("nan"),
        "edit": fmean(changed) if changed else float("nan"),
        "edit_frame_0": fmean([edit_distance(path.texts[0], path.texts[1]) for path in paths]),
        "knn_ratio": measured["knn_ratio"].value,
        "queries": fmean([path.queries for path in paths]), "steps": fmean([path.steps for path in paths]),
        "planned": float(np.mean([path.planned for path in paths])),
        "training_queries": max(path.training_queries for path in paths), "causes": causes, "paths": len(paths),
    }  # fmt: skip


def walked(name: str, split: Any, seed: int, steps: int, folder: Path, most: int | None) -> tuple[list[Any], float]:
    """All paths of a walker, and the CPU-seconds of its training."""
    rows = range(SEARCHED if name == "spheres" else len(split.world.held_out.x) if most is None else most)
    if not name.startswith("agent"):
        return explain(trained_walk(split.world), rows, walker=name.split()[0], seed=seed), 0.0
    how: dict[str, Any] = {"algo": "ppo", "n_timesteps": steps, "seed": seed, "pictures": False}
    run = trained(folder, split.world, **how)
    walker = PolicyWalker(run.model, None, refine=0) if name == "agent alone" else None
    return explain(run, rows, walker=walker, seed=seed, fallback=False), float(run.progress["cpu_seconds"])


def plain(split: Any) -> Any:
    """The same split without what this page is about: walks begin at the code, and decoding ignores the input."""
    vae = split.world.manifold
    assert isinstance(vae, SentenceVAE)
    twin = SentenceVAE(**{**vae.settings, "anchor": 0.0})
    twin.load_state_dict(vae.state_dict())
    twin.vocabulary = vae.vocabulary  # it knows the words of the inputs
    twin.eval().requires_grad_(False)
    reference = split.world.reference
    again = make_reference(twin, split.world.classifier, reference.x, reference.z, split.world.units)
    return dataclasses.replace(split, world=split.world.replace(manifold=twin, reference=again, initial_latent="code"))


def measured(name: str, seed: int, steps: int, most: int | None, held_out: str, cache: Path) -> dict[str, Any]:
    """A walker on a split: a row for each source of sentences, and the first paths."""
    split = split_of(seed, cache, held_out)
    own = plain(split) if name.endswith("plain") else split
    paths, seconds = walked(name, own, seed, steps, cache / f"agent_{held_out}_{seed}_{steps}", most)
    first = len(split.real["SST"])
    about = {"walker": name, "seed": seed}
    rows = [{**about, "source": source, "cpu_seconds": seconds, **figures(own, part, source)}
            for source, part in (("SST", paths[:first]), ("rt-polarity", paths[first:])) if part]  # fmt: skip
    return {"rows": rows, "shown": [story(path) for path in paths[:SHOWN]]}


def story(path: Any) -> list[str]:
    """A path as lines, without frames whose sentence did not change."""
    ends = f"{path.class_names[path.source]} to {path.class_names[path.target]}"
    lines = [f"{ends}, {'arrived' if path.success else 'not arrived'}", "", f"    input      {path.texts[0]}"]
    for t, text in enumerate(path.texts[1:]):
        if t in (0, path.steps) or text != path.texts[t]:
            lines.append(f"    {t:2d} p {path.predictions[t, path.target]:.2f}  {text}")
    return lines


def measure(options: Options) -> Iterator[Record]:
    """Every walker on every split."""
    sources = (*SOURCES, "tests/benchmarks/sentences/*.py", "tests/benchmarks/sentences_paths.py")
    cache, splits = options.cache / "sentences", []
    for seed in options.seeds:
        where = {"seed": seed, "held_out": options.held_out}
        facts = options.runner.one(Run({"sentences facts": where}, partial(facts_of, seed, cache, options.held_out), sources))
        how = (seed, options.steps, options.most, options.held_out, cache)
        runs = [Run({"sentences": name, **where, "how": how[1:3]}, partial(measured, name, *how), sources)
                for name in options.walkers]  # fmt: skip
        found = dict(zip(options.walkers, options.runner(runs, f"split {seed}"), strict=True))
        rows = [row for part in found.values() for row in part["rows"]]
        splits.append({"facts": facts, "rows": rows, "shown": found["agent"]["shown"] if "agent" in found else []})
        if options.held_out == "dev":
            print(json.dumps(splits[-1], indent=1))
    if options.held_out != "dev":
        yield {"steps": options.steps, "judged": options.judged or options.before.get("judged", ""), "splits": splits}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """Measures and causes of failure by source, facts of the splits, and the agent's paths."""
    splits = record["splits"]
    rows = [row for split in splits for row in split["rows"]]
    agent = [row["flipped"] for row in rows if row["walker"] == "agent" and row["source"] == "SST"]
    facts = [split["facts"] for split in splits]
    return render(
        "sentences_paths", longest=LONGEST, count=len(splits), steps=record["steps"], searched=SEARCHED,
        verdict=verdict(agent), share=spread(agent, 3), judged=record["judged"],
        sst=measures(rows, "SST"), sst_causes=causes(rows, "SST"),
        rt=measures(rows, "rt-polarity"), rt_causes=causes(rows, "rt-polarity"),
        facts="\n".join(f"- {name.replace('_', ' ')}: {listed(f'{f[name]:.4g}' for f in facts)}" for name in facts[0]),
        shown="\n".join("\n".join([f"{n}. {lines[0]}", *lines[1:], ""]) for n, lines in enumerate(splits[0]["shown"], 1)),
        seeds=" ".join(map(str, dict.fromkeys(row["seed"] for row in rows))),
    )  # fmt: skip


def verdict(agent: list[float]) -> str:
    """Whether the agent's share of flips is what it should be."""
    if min(agent) >= 0.95:
        return "reached in every split"
    return "reached on average" if fmean(agent) >= 0.95 else "**missed**"


def measures(rows: list[dict[str, Any]], source: str) -> str:
    """Measures of all walkers on the sentences of a source."""
    cells = [[title, *(spread([row[name] for row in own], DIGITS.get(name, 3)) for name in COLUMNS)]
             for title, own in by_walker(rows, source)]  # fmt: skip
    return table(["walker", *COLUMNS.values()], cells, "l")


def causes(rows: list[dict[str, Any]], source: str) -> str:
    """Why paths do not count, the first reason of each."""
    cells = []
    for title, own in by_walker(rows, source):
        shares = [fmean(r["flipped"] for r in own), *(fmean(r["causes"][cause] for r in own) for cause in CAUSES)]
        cells.append([title, *(f"{share:.3f}" for share in shares)])
    return table(["walker", "counts", *CAUSES], cells, "l")


def by_walker(rows: list[dict[str, Any]], source: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(title of the walker, its rows on the sentences of a source)."""
    for walker, title in WALKERS.items():
        if own := [row for row in rows if row["walker"] == walker and row["source"] == source]:
            yield title, own


EXPERIMENT = Experiment(
    "sentences_paths", __doc__, measure, page,
    flags={
        "--seeds": whole_numbers(0, 1, 2),
        "--steps": {"type": int, "default": STEPS, "help": "of training"},
        "--most": {"type": int, "help": "held-out sentences at most (default: all)"},
        "--walkers": one_of(list(WALKERS)),
        "--held-out": {"choices": ("test", "dev"), "default": "test"},
        "--judged": {"help": "what a reader says of the paths (default: what the page says already)"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
