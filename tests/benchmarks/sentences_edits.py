"""Edits of review sentences: the planned walk beside walkers and searches with the same proposals, and independent judges.

    python -m tests.benchmarks.sentences_edits                   # 3 splits
    python -m tests.benchmarks.sentences_edits --seeds 0 --cache FOLDER --most 100 --walkers edits "beam ranked"

A flip counts where the path arrives (p >= 0.9 for the other class), frame 0 is the input, the oracle puts the end into the
target class, and the end is English to one of two judges: link-grammar parses it whole, or its SLOR is at least the 25th
percentile of real sentences. Real held-out sentences that the classifier gives p >= 0.9 are judged in the same way. See
sentences/edits_split.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from agents.explain import explain
from envs.manifolds import Edits
from envs.modalities.alignment import edit_distance, edits
from envs.modalities.vocabulary import tokens
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run, cpu_seconds
from tests.benchmarks.harness.statistics import interval
from tests.benchmarks.harness.tables import spread, table
from tests.benchmarks.harness.walks import SOURCES
from tests.benchmarks.sentences.edit_rivals import Found, beam, of_trajectory, unbound
from tests.benchmarks.sentences.edits_grammar import TASKS, grammar_task
from tests.benchmarks.sentences.edits_split import LONGEST, EditsSplit, Similarity, edits_split, parses, smollm2

BUDGET = 15  # queries
PROPOSERS = {"corpus": "", "smollm2": ", SmolLM2's proposals"}
WALKERS = {
    "edits": "**planned edits** (walker `edits`)",
    "line": "line",
    "spheres": "growing spheres",
    "greedy": "greedy replacement, by fluency",
    "greedy ranked": "greedy replacement, ranked by the codes",
    "beam": "beam search, by fluency",
    "beam ranked": "beam search, ranked by the codes",
    "beam x10": "beam search, by fluency, 10 times the queries",
    "beam ranked x10": "beam search, ranked by the codes, 10 times the queries",
}
#: width of the beam, candidates of each sentence, budget, whether ranked by the codes
SEARCHES: dict[str, tuple[int, int, int, bool]] = {
    "greedy": (1, 5, BUDGET, False), "greedy ranked": (1, 5, BUDGET, True),
    "beam": (2, 3, BUDGET, False), "beam ranked": (2, 3, BUDGET, True),
    "beam x10": (5, 10, 10 * BUDGET, False), "beam ranked x10": (5, 10, 10 * BUDGET, True),
}  # fmt: skip
PRETRAINED = ("edits", "beam ranked")  # walked with SmolLM2's proposals
UNBOUND = 50  # sentences of the search that need not write English
SEARCHED = 8  # sentences that growing spheres are walked from: they look at hundreds of candidates each
SHOWN = 20
TASK_SENTENCES = 100  # of the grammar
TIMED = 8  # sentences whose proposals are timed
REAL = 300  # held-out sentences that are judged for comparison
COLUMNS = {
    "flipped": "flipped", "counts": "**counts**", "oracle": "oracle agrees, of those flipped", "parsed": "ends parse",
    "slor": "SLOR of ends", "share": "share of words edited, mean", "median_share": "median", "similarity": "similarity",
}  # fmt: skip
MORE = {
    "middle_parsed": "middle frames parse", "middle_slor": "SLOR of middle frames",
    "monotone": "steps on which p does not fall", "one_span": "steps of one span", "queries": "queries", "steps": "steps",
    "perplexity": "perplexity of ends", "seconds": "CPU-seconds of a walk",
    "proposing": "of its proposals",
}  # fmt: skip
TASK = {
    "classifier_accuracy": "classifier accuracy", "flipped": "flipped", "right": "the grammar agrees, of those flipped",
    "produced": "ends that the grammar produces", "kept": "and the other attributes stay",
    "share": "share of words edited, mean", "queries": "queries", "steps": "steps",
}  # fmt: skip
DIGITS = {
    "slor": 2,
    "middle_slor": 2,
    "queries": 1,
    "steps": 1,
    "perplexity": 0,
    "seconds": 2,
    "proposing": 2,
}  # of the other columns: 3


# ---- run --------------------------------------------------------------------------------------------------------------


def walked(name: str, split: EditsSplit, most: int) -> list[Found]:
    """All paths of a walker or search."""
    world = split.world
    rows = range(min(most, SEARCHED if name == "spheres" else most, len(world.held_out.x)))
    if name in SEARCHES:
        return [beam(world, world.held_out.x[k], *SEARCHES[name]) for k in rows]
    return [of_trajectory(path) for path in explain(world, rows, walker=name, seed=0)]


def spans(one: str, other: str) -> int:
    """Spans of words in which two sentences differ."""
    a, b = one.split(), other.split()
    kept = [i is not None and j is not None and a[i] == b[j] for i, j in edits(a, b)]
    return sum(not now and before for before, now in zip([True, *kept], kept, strict=False))


def figures(split: EditsSplit, paths: Sequence[Found], inputs: Sequence[str], real: dict[str, Any]) -> dict[str, Any]:
    """The measures of one walker's paths; lists hold a value a path or a frame."""
    flipped = np.array([path.success for path in paths])
    ends = [path.texts[-1] for path in paths]
    same = np.array([path.texts[0] == " ".join(tokens(text)) for path, text in zip(paths, inputs, strict=True)])
    oracle = split.oracle.predict(ends) == np.array([path.target for path in paths])
    parsed, slor = parses(ends), split.judge.slor(ends)
    counts = flipped & same & oracle & (parsed | (slor >= real["slor_25"]))
    there = [k for k in range(len(paths)) if flipped[k]]
    shares = [edit_distance(paths[k].texts[0], ends[k]) / len(tokens(inputs[k])) for k in there]
    middle = [text for k in there for text in paths[k].texts[1:-1]]
    steps = [(a, b) for k in there for a, b in zip(paths[k].texts, paths[k].texts[1:], strict=False)]
    rises = [b - a for k in there for a, b in zip(paths[k].p, paths[k].p[1:], strict=False)]
    alike = Similarity()([paths[k].texts[0] for k in there], [ends[k] for k in there]) if there else np.zeros(0)
    return {
        "flipped": interval(flipped), "counts": interval(counts), "oracle": _mean(oracle[there]),
        "parsed": _mean(parsed[there]), "slor": _mean(slor[there]), "share": _mean(shares),
        "median_share": float(np.median(shares)) if shares else None,
        "similarity": _mean(alike), "middle_parsed": _mean(parses(middle)) if middle else None,
        "middle_slor": _mean(split.judge.slor(middle)) if middle else None,
        "monotone": _mean(np.array(rises) >= -0.01), "one_span": _mean([spans(a, b) <= 1 for a, b in steps]),
        "queries": _mean([path.queries for path in paths]), "most_queries": max(path.queries for path in paths),
        "steps": _mean([len(paths[k].texts) - 1 for k in there]),
        "perplexity": _mean(split.judge.perplexity([ends[k] for k in there])) if there else None,
        "middle_frames": len(middle), "paths": len(paths),
    }  # fmt: skip


def _mean(values: Any) -> list[float] | None:
    return interval(np.asarray(values, dtype=float)) if len(values) else None


def real_sentences(split: EditsSplit) -> dict[str, Any]:
    """Held-out sentences under the same judges."""
    x = split.world.held_out.x[:REAL]
    texts = split.world.units.texts(x)
    assert texts is not None
    p = split.world.classifier.predict_proba(x).numpy()
    parsed, slor = parses(texts), split.judge.slor(texts)
    least = float(np.quantile(slor, 0.25))
    sure = p.max(1) >= 0.9
    good = (split.oracle.predict(texts) == p.argmax(1)) & (parsed | (slor >= least))
    return {"slor_25": least, "parsed": interval(parsed), "slor": interval(slor), "sure": int(sure.sum()),
            "counts": interval(good[sure]), "perplexity": float(split.judge.perplexity(texts).mean())}  # fmt: skip


class Where(NamedTuple):
    """A split, and how many of its sentences are walked from."""

    seed: int
    held_out: str
    epochs: int | None
    proposer: str
    most: int


@lru_cache(maxsize=1)
def opened(seed: int, held_out: str, epochs: int | None, proposer: str, cache: Path) -> EditsSplit:
    """The split of a seed."""
    return edits_split(seed, cache, held_out, epochs, smollm2() if proposer == "smollm2" else None)


def described(where: Where, cache: Path) -> dict[str, Any]:
    """What is known of a split: its facts, real sentences under the judges, and the cost of proposals."""
    split = opened(*where[:4], cache)
    real, manifold, x = real_sentences(split), split.world.manifold, split.world.held_out.x
    assert isinstance(manifold, Edits)
    with mock.patch.dict(os.environ, {"MANIFOLD_CACHE": ""}):  # proposals that were kept cost nothing
        manifold.graph(x[0])  # opens the model
        _, proposing = cpu_seconds(lambda: [manifold.graph(row) for row in x[1 : 1 + TIMED]])
    least = [unbound(split.world, row) for row in x[: min(where.most, UNBOUND)]]
    real["unbound"] = {"mean": fmean(least), "median": float(np.median(least))}
    return {"facts": split.facts, "proposer": where.proposer, "seed": where.seed, "real": real, "proposing": proposing / TIMED}


def measured(name: str, where: Where, real: dict[str, Any], cache: Path) -> dict[str, Any]:
    """A walker on a split: its measures, and its first paths."""
    split = opened(*where[:4], cache)
    manifold, x = split.world.manifold, split.world.held_out.x[: where.most]
    assert isinstance(manifold, Edits)
    for row in x:
        manifold.graph(row)  # once for all walkers
    paths, seconds = cpu_seconds(partial(walked, name, split, where.most))
    inputs = [str(text) for text in split.world.units.texts(x[: len(paths)]) or []]
    row = {"walker": name, "proposer": where.proposer, "seed": where.seed, **figures(split, paths, inputs, real)}
    return {"row": row | {"seconds": seconds / len(paths)}, "shown": [story(split, path) for path in paths[:SHOWN]]}


def story(split: EditsSplit, path: Found) -> list[str]:
    """A path as lines."""
    names = split.world.class_names
    lines = [f"{names[path.source]} to {names[path.target]}, {'arrived' if path.success else 'not arrived'}", ""]
    return [*lines, *(f"    p {p:.2f}  {text}" for text, p in zip(path.texts, path.p, strict=True))]


def measure(options: Options) -> Iterator[Record]:
    """Every walker on every split."""
    sources = (*SOURCES, "tests/benchmarks/sentences/*.py", "tests/benchmarks/sentences_edits.py")
    splits = []
    for proposer, seed in product(options.proposers, options.seeds):
        walkers, most = tuple(options.walkers), options.most
        if proposer != "corpus":
            if seed != options.seeds[0]:
                continue
            walkers, most = PRETRAINED, min(most, options.pretrained)
        where, cache = Where(seed, options.held_out, options.epochs, proposer, most), options.cache / "sentences"
        split = options.runner.one(Run({"edits split": where}, partial(described, where, cache), sources), f"split {seed}")
        found = options.runner(
            [
                Run({"edits": name, "where": where}, partial(measured, name, where, split["real"], cache), sources)
                for name in walkers
            ],
            f"split {seed}, {proposer}",
        )
        rows = [{**part["row"], "proposing": split["proposing"]} for part in found]
        shown: list[list[str]] = next((part["shown"] for part in found if part["row"]["walker"] == "edits"), [])
        splits.append({**split, "rows": rows, "shown": shown})
    tasks = []
    for name in options.tasks or ():
        how = (name, options.seeds[0], min(options.most, TASK_SENTENCES))
        call: Callable[[], dict[str, Any]] = partial(grammar_task, *how, options.cache / "sentences")
        tasks.append(options.runner.one(Run({"edits grammar": how}, call, sources), name))
    yield {
        "most": options.most,
        "epochs": options.epochs,
        "splits": splits,
        "tasks": tasks,
        "read": options.before.get("read"),
    }


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """Measures by walker, what real sentences reach, and the paths of the planned walk."""
    splits = record["splits"]
    rows = [row for split in splits for row in split["rows"]]
    first = [split for split in splits if split["proposer"] == splits[0]["proposer"]]
    real, facts = [split["real"] for split in first], [split["facts"] for split in first]
    spheres = f" Growing spheres are walked from {SEARCHED} sentences."
    return render(
        "sentences_edits", longest=LONGEST, count=len({split["seed"] for split in splits}),
        most=record["most"], budget=BUDGET, searched=spheres if any(row["walker"] == "spheres" for row in rows) else "",
        verdicts="\n\n".join(
            verdict(proposer, own, real)
            for proposer in PROPOSERS
            if (own := [row for row in rows if (row["walker"], row["proposer"]) == ("edits", proposer)])
        ),
        note=f"{record['note']}\n" if record.get("note") else "", first=measures(rows, COLUMNS), second=measures(rows, MORE),
        real_counts=spread([_of(r["counts"]) for r in real], 3), real_parsed=spread([_of(r["parsed"]) for r in real], 3),
        real_slor=spread([_of(r["slor"]) for r in real], 2), real_perplexity=spread([r["perplexity"] for r in real], 0),
        facts="\n".join(f"- {name.replace('_', ' ')}: {spread([f[name] for f in facts], 3)}" for name in facts[0]),
        shown="\n".join("\n".join([f"{n}. {lines[0]}", *lines[1:], ""]) for n, lines in enumerate(splits[0]["shown"], 1)),
        last="the masked model" if splits[0]["proposer"] == "corpus" else "SmolLM2",
        unbound=spread([r["unbound"]["mean"] for r in real], 3),
        unbound_median=spread([r["unbound"]["median"] for r in real], 3), task=tasks(record["tasks"]),
        read=readings(record.get("read")), command=record["command"], rivals=beside_rivals(rows),
        seeds=" ".join(str(row) for row in dict.fromkeys(row["seed"] for row in rows)),
    )  # fmt: skip


def verdict(proposer: str, own: Sequence[dict[str, Any]], real: Sequence[dict[str, Any]]) -> str:
    """Which targets the planned walk reaches, on average over seeds."""

    def mean(rows: Sequence[dict[str, Any]], name: str) -> float:
        return fmean(found for row in rows if (found := _of(row[name])) is not None)

    reached = {
        "share flipped at least 0.99": mean(own, "flipped") >= 0.99,
        "counts at least as often as real sentences, less 0.03": mean(own, "counts") >= mean(real, "counts") - 0.03,
        "words edited, mean at most 0.30": mean(own, "share") <= 0.30,
        "median at most 0.25": mean(own, "median_share") <= 0.25,
        "similarity at least 0.80": mean(own, "similarity") >= 0.80,
        "ends parse as often as real sentences": mean(own, "parsed") >= mean(real, "parsed"),
        "p does not fall on at least 0.95 of the steps": mean(own, "monotone") >= 0.95,
        f"at most {BUDGET} queries": max(row["most_queries"] for row in own) <= BUDGET,
        "proposals in at most 5 CPU-seconds": mean(own, "proposing") <= 5,
        "a walk in at most 0.05": mean(own, "seconds") <= 0.05,
    }
    verdicts = "; ".join(f"{name}: {'reached' if yes else '**missed**'}" for name, yes in reached.items())
    return f"The planned walk{PROPOSERS[proposer] or ', proposals of the masked model'}: {verdicts}."


#: measures on which the planned walk is compared with its rivals: whether more is better
COMPARED = {
    "counts": True, "share": False, "slor": True, "middle_parsed": True, "middle_slor": True, "queries": False,
}  # fmt: skip


def beside_rivals(rows: Sequence[dict[str, Any]]) -> str:
    """Where the 95 % intervals of the planned walk and a search with the same proposals do not meet, of one seed."""
    lines, beaten = [], False
    for rival in ("greedy ranked", "beam ranked", "beam ranked x10"):
        pair = [next((r for r in rows if (r["walker"], r["proposer"]) == (name, "corpus")), None) for name in ("edits", rival)]
        if pair[0] is None or pair[1] is None:
            continue
        words: dict[str, list[str]] = {"better": [], "worse": []}
        for name, more in COMPARED.items():
            own, other = pair[0][name], pair[1][name]
            if own and other and (own[1] > other[2] or own[2] < other[1]):
                words["better" if (own[0] > other[0]) == more else "worse"].append((COLUMNS | MORE)[name].strip("*"))
        beaten |= bool(words["worse"])
        found = "; ".join(f"{how} in {', '.join(names) or 'none'}" for how, names in words.items())
        lines.append(f"Against {WALKERS[rival]}, by intervals that do not meet: {found}.")
    lines += (
        ["A rival is better by interval."]
        if beaten
        else ["No rival is better by interval: the planned walk stays the default."]
    )
    return "\n".join(lines)


def _of(value: Any) -> float | None:
    """The mean of an interval, or the number itself."""
    return value[0] if isinstance(value, list) else value


def cell(rows: Sequence[dict[str, Any]], name: str) -> str:
    """A measure over seeds: mean, and the least and the largest; of one seed, its bootstrap interval."""
    digits, values = DIGITS.get(name, 3), [row[name] for row in rows if row[name] is not None]
    if len(values) == 1 and isinstance(values[0], list):
        mean, low, high = values[0]
        return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
    return spread(map(_of, values), digits)


def measures(rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> str:
    """A table of all walkers."""
    cells = []
    for (walker, title), (proposer, added) in product(WALKERS.items(), PROPOSERS.items()):
        if own := [row for row in rows if (row["walker"], row["proposer"]) == (walker, proposer)]:
            cells.append([title + added, *(cell(own, name) for name in columns)])
    return table(["walker", *columns.values()], cells, "l")


def tasks(rows: Sequence[dict[str, Any]]) -> str:
    """A table of the attributes of the grammar."""
    cells = [
        [name, *(cell([row for row in rows if row["task"] == name], column) for column in TASK)]
        for name in dict.fromkeys(row["task"] for row in rows)
    ]
    return table(["asked", *TASK.values()], cells, "l")


def readings(read: dict[str, Any] | None) -> str:
    """What readers said of sentences without context."""
    if not read:
        return "Not read yet."
    rows = [[kind, str(own["read"]), *(f"{share:.3f}" for share in own["english"])] for kind, own in read["kinds"].items()]
    return table(["sentences", "read", *read["readers"]], rows, "l")


EXPERIMENT = Experiment(
    "sentences_edits", __doc__, measure, page,
    flags={
        "--seeds": whole_numbers(0, 1, 2),
        "--most": {"type": int, "default": 500, "help": "held-out sentences at most"},
        "--pretrained": {"type": int, "default": 40, "help": "sentences with SmolLM2's proposals at most, of the first seed"},
        "--epochs": {"type": int, "help": "of the masked model (default: that of the fit)"},
        "--walkers": one_of(list(WALKERS)),
        "--proposers": one_of(list(PROPOSERS)),
        "--tasks": one_of(list(TASKS)),
        "--held-out": {"choices": ("test", "dev"), "default": "test"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
