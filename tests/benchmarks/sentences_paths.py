"""Review sentences explained: the trained agent beside walkers, judged by an oracle and a language model that it never met.

    python -m tests.benchmarks.sentences_paths                   # 3 beds
    python -m tests.benchmarks.sentences_paths --seeds 0 --cache FOLDER

A flip counts where the path arrives (p >= 0.9 for the other class), frame 0 still has the input's class, the oracle puts the
end into the class asked for, and the end is at most 1.5 times as perplexing as real sentences are together. Edit distances are
to the input. The bed stands in sentences_bed.py. Writes docs/results/sentences_paths.json and .md, with twenty paths of the
agent, the first twenty held-out sentences.

Cells (a walker on a bed) that the cache holds already are not walked again; `--held-out dev` is for choosing settings and
writes no page.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from agents.cli import prepare_process
from agents.files import write_whole
from tests.benchmarks.results import as_json
from tests.benchmarks.sentences_bed import LONGEST, Bed, make_bed
from tests.benchmarks.sentences_data import RESULTS, ROOT

WALKERS = {
    "agent": "the agent",
    "agent alone": "the agent's policy alone: no planned last step, no second try",
    "line": "line to the nearest unlike neighbour",
    "spheres": "growing spheres",
    "random": "random",
    "line plain": "the line, entered at the code and decoded without an anchor",
}
WORSE = 1.5  # times the perplexity of real sentences
SHOWN = 20
STEPS = 40_000
SEARCHED = 50  # sentences of SST that growing spheres are walked from: they look at hundreds of candidates each
COLUMNS = {
    "arrived": "arrived", "kept": "frame 0 keeps the class", "oracle": "oracle agrees, of those arrived",
    "fluent": "end at most 1.5 times as perplexing, of those arrived", "flipped": "**flips that count**",
    "perplexity_ratio": "perplexity, ends over real", "edit": "words changed", "edit_frame_0": "words changed at frame 0",
    "knn_ratio": "typicality (kNN ratio)", "queries": "queries", "steps": "steps", "planned": "last step planned",
    "training_queries": "queries before",
}  # fmt: skip
CAUSES = ("frame 0 is of another class", "not arrived", "the oracle disagrees", "too perplexing")


def figures(bed: Bed, paths: list[Any], source: str) -> dict[str, Any]:
    """The measures of one walker's paths from the sentences of a source."""
    from agents.explanation.metrics.evaluate import evaluate_paths
    from envs.modalities.alignment import edit_distance

    real = bed.language.perplexity(bed.real[source])
    ends = [path.texts[-1] for path in paths]
    arrived = np.array([path.success for path in paths])
    kept = np.array([path.predicted[0] == path.source for path in paths])
    oracle = bed.oracle.predict(ends) == np.array([path.target for path in paths])
    fluent = bed.language.each(ends) <= WORSE * real
    counted = arrived & kept & oracle & fluent
    measured = evaluate_paths(bed.world, paths, resamples=10)
    reached = [end for end, there in zip(ends, arrived, strict=True) if there]
    changed = [edit_distance(path.texts[0], path.texts[-1]) for path in paths if path.success]
    causes, left = {}, np.ones(len(paths), dtype=bool)
    for cause, good in zip(CAUSES, (kept, arrived, oracle, fluent), strict=True):
        causes[cause] = float((left & ~good).mean())
        left &= good
    return {
        "arrived": float(arrived.mean()), "kept": float(kept.mean()),
        "oracle": float(oracle[arrived].mean()) if arrived.any() else float("nan"),
        "fluent": float(fluent[arrived].mean()) if arrived.any() else float("nan"),
        "flipped": float(counted.mean()),
        "perplexity_ratio": bed.language.perplexity(reached) / real if reached else float("nan"),
        "edit": fmean(changed) if changed else float("nan"),
        "edit_frame_0": fmean([edit_distance(path.texts[0], path.texts[1]) for path in paths]),
        "knn_ratio": measured["knn_ratio"].value,
        "queries": fmean([path.queries for path in paths]), "steps": fmean([path.steps for path in paths]),
        "planned": float(np.mean([path.planned for path in paths])),
        "training_queries": max(path.training_queries for path in paths), "causes": causes, "paths": len(paths),
    }  # fmt: skip


def agent_of(bed: Bed, seed: int, steps: int, place: Path) -> Any:
    """The run of an agent on this bed; it is trained where the folder holds none yet."""
    from agents.runs.run import load_run
    from agents.train import train

    if done := list(place.glob("ppo/*/summary.json")):
        return load_run(done[0].parent, world=bed.world)
    quiet: dict[str, Any] = {"log_folder": str(place), "eval_episodes": 0, "pictures": False}
    return train(world=bed.world, algo="ppo", n_timesteps=steps, seed=seed, **quiet)


def walked(name: str, bed: Bed, seed: int, steps: int, folder: Path, most: int | None) -> tuple[list[Any], float]:
    """All paths of a walker, and the CPU-seconds of its training."""
    from agents.explain import explain
    from agents.training.environments import trained_walk
    from agents.walkers.policy import PolicyWalker

    rows = range(SEARCHED if name == "spheres" else len(bed.world.held_out.x) if most is None else most)
    if not name.startswith("agent"):
        return explain(trained_walk(bed.world), rows, walker=name.split()[0], seed=seed), 0.0
    run = agent_of(bed, seed, steps, folder / "agent")
    walker = PolicyWalker(run.model, None, refine=0) if name == "agent alone" else None
    return explain(run, rows, walker=walker, seed=seed, fallback=False), float(run.progress["cpu_seconds"])


def plain(bed: Bed) -> Bed:
    """The same bed without what this page is about: walks enter at the code, and codes are decoded whatever the input is."""
    from envs.core.reference_data import make_reference
    from envs.manifolds import SentenceVAE

    vae = bed.world.manifold
    assert isinstance(vae, SentenceVAE)
    twin = SentenceVAE(**{**vae.settings, "anchor": 0.0})
    twin.load_state_dict(vae.state_dict())
    twin.vocabulary = vae.vocabulary  # it has met the words of the inputs
    twin.eval().requires_grad_(False)
    reference = bed.world.reference
    again = make_reference(twin, bed.world.classifier, reference.x, reference.z, bed.world.units)
    return dataclasses.replace(bed, world=bed.world.replace(manifold=twin, reference=again, entry="code"))


def cells(seed: int, cache: Path, steps: int, most: int | None, walkers: list[str], held_out: str) -> dict[str, Any]:
    """What is known of a bed: facts, a row a walker and source, and the agent's first paths; what was found is kept."""
    folder = cache / f"paths_{held_out}_{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    bed = None
    for name in walkers:
        if (folder / f"{name}.json").is_file():
            continue
        if bed is None:
            bed = make_bed(seed, cache, held_out)
            write_whole(folder / "bed.json", json.dumps(bed.facts, indent=1))
        own = plain(bed) if name.endswith("plain") else bed
        paths, spent = walked(name, own, seed, steps, folder, most)
        first = len(bed.real["SST"])
        parts = {"SST": paths[:first], "rt-polarity": paths[first:]}
        rows = [{"walker": name, "seed": seed, "source": source, "cpu_seconds": spent, **figures(own, part, source)}
                for source, part in parts.items() if part]  # fmt: skip
        for row in rows:
            print(json.dumps(row), flush=True)
        told = [story(path) for path in paths[:SHOWN]]
        write_whole(folder / f"{name}.json", json.dumps({"rows": rows, "shown": told}, indent=1))
    kept = {name: json.loads((folder / f"{name}.json").read_text()) for name in walkers}
    facts = json.loads((folder / "bed.json").read_text())
    return {"facts": facts, "rows": [row for part in kept.values() for row in part["rows"]],
            "shown": kept["agent"]["shown"] if "agent" in kept else []}  # fmt: skip


def story(path: Any) -> list[str]:
    """A path as lines; frames whose sentence did not change are left out."""
    ends = f"{path.class_names[path.source]} to {path.class_names[path.target]}"
    lines = [f"{ends}, {'arrived' if path.success else 'not arrived'}", "", f"    input      {path.texts[0]}"]
    for t, text in enumerate(path.texts[1:]):
        if t in (0, path.steps) or text != path.texts[t]:
            lines.append(f"    {t:2d} p {path.predictions[t, path.target]:.2f}  {text}")
    return lines


def spread(values: list[float], name: str) -> str:
    """Mean, and the smallest and largest of several beds."""
    digits = 0 if name == "training_queries" else 1 if name in ("edit", "edit_frame_0", "queries", "steps") else 3
    ends = f" ({min(values):,.{digits}f} to {max(values):,.{digits}f})" if len(values) > 1 else ""
    return f"{fmean(values):,.{digits}f}{ends}"


def table(rows: list[dict[str, Any]], source: str) -> list[str]:
    """Measures of all walkers on the sentences of a source."""
    head = ["walker", *COLUMNS.values()]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for walker, told in WALKERS.items():
        own = [row for row in rows if row["walker"] == walker and row["source"] == source]
        if own:
            lines.append(f"| {told} | {' | '.join(spread([row[name] for row in own], name) for name in COLUMNS)} |")
    return lines


def causes(rows: list[dict[str, Any]], source: str) -> list[str]:
    """Why paths do not count, the first reason of each."""
    lines = [f"| walker | counts | {' | '.join(CAUSES)} |", f"|{'---|' * (len(CAUSES) + 2)}"]
    for walker, told in WALKERS.items():
        own = [row for row in rows if row["walker"] == walker and row["source"] == source]
        if own:
            shares = [fmean([row["causes"][cause] for row in own]) for cause in CAUSES]
            lines.append(f"| {told} | {' | '.join(f'{v:.3f}' for v in (fmean([r['flipped'] for r in own]), *shares))} |")
    return lines


def page_of(found: list[dict[str, Any]], steps: int, judged: str, flags: str) -> str:
    """The page; `flags` are those of the command that makes it again."""
    rows = [row for bed in found for row in bed["rows"]]
    agent = [row["flipped"] for row in rows if row["walker"] == "agent" and row["source"] == "SST"]
    verdict = "reached in every bed" if min(agent) >= 0.95 else "reached on average" if fmean(agent) >= 0.95 else "**missed**"
    facts = [bed["facts"] for bed in found]
    about = [f"- {name.replace('_', ' ')}: " + ", ".join(f"{f[name]:.4g}" for f in facts) for name in facts[0]]
    told = [line for number, lines in enumerate(found[0]["shown"], start=1)
            for line in [f"{number}. {lines[0]}", *lines[1:], ""]]  # fmt: skip
    return "\n".join([
        "# Paths through review sentences", "",
        f"Held-out sentences of up to {LONGEST} words, towards the other sentiment; {len(found)} seed(s) of bed and agent:",
        f"mean (smallest to largest). The agent is PPO, {steps:,} steps, from a policy that was first taught to follow the",
        "compass; its last step is planned and failures are walked again (the next row is without). Frames lean on",
        "the input ([Sentences](../concepts/sentences.md)); the last row is without that. Nothing was fitted to a sentence of",
        "SST's test set or of the tenth of rt-polarity that was held out. Settings were chosen on SST's development set, with",
        "beds that were not fitted to it either. Queries before: the training's and the starts'; those of the manifold's fit",
        f"stand below. Growing spheres are walked from the first {SEARCHED} sentences of SST alone.", "",
        f"**Share flipped by the agent on SST at least 0.95: {verdict} ({spread(agent, 'flipped')}).**", "",
        "## SST", "", *table(rows, "SST"), "", "Why paths do not count, the first reason of each:", "",
        *causes(rows, "SST"), "",
        "## rt-polarity", "", *table(rows, "rt-polarity"), "", *causes(rows, "rt-polarity"), "",
        "## The beds", "", "Seed by seed:", "", *about, "",
        "## Twenty paths of the agent, not picked", "", judged, "",
        "The first held-out sentences of the first seed; frames whose sentence did not change are left out.", "", *told,
        f"`python -m tests.benchmarks.sentences_paths {flags}` makes this page again.", "",
    ])  # fmt: skip


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=STEPS, help="of training")
    parser.add_argument("--most", type=int, help="held-out sentences at most (default: all)")
    parser.add_argument("--walkers", nargs="+", choices=WALKERS, default=list(WALKERS))
    parser.add_argument("--held-out", choices=("test", "dev"), default="test")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache" / "sentences")
    parser.add_argument("--judged", help="what a reader says of the paths (default: what the page says already)")
    chosen = parser.parse_args()
    prepare_process()
    found = [cells(seed, chosen.cache, chosen.steps, chosen.most, chosen.walkers, chosen.held_out) for seed in chosen.seeds]
    if chosen.held_out == "dev":
        return
    file = RESULTS / "sentences_paths.json"
    judged = chosen.judged or (json.loads(file.read_text()).get("judged", "") if file.is_file() else "")
    record = {"python": platform.python_version(), "steps": chosen.steps, "judged": judged, "beds": found}
    write_whole(file, as_json(record))
    flags = f"--seeds {' '.join(map(str, chosen.seeds))} --steps {chosen.steps}"
    page = page_of(found, chosen.steps, judged, flags)
    write_whole(RESULTS / "sentences_paths.md", page)
    print(page)


if __name__ == "__main__":
    main()
