"""Statistics and page of `tests.benchmarks.transport`."""

from __future__ import annotations

from typing import Any

import numpy as np

MARGIN = 0.05
#: rows that should be as good as random codes, and the linear ones that should be worse
MATCHED = ("2-point matched", "4-point matched", "walk, matched")
LINEAR = ("2-point linear", "4-point linear", "walk, plain")


def compared(values: dict[str, dict[str, list[float]]], what: str) -> dict[str, dict[str, Any]]:
    """Operation -> its mean, and its difference from random codes as a share of the gap, with a 95 % interval.

    The gap is 4-point linear less random. Differences are taken repeat by repeat; the gap's own uncertainty is in the
    interval too, by resampling repeats.
    """
    table = {name: np.array(row[what]) for name, row in values.items()}
    generator = np.random.default_rng(0)
    repeats = len(table["random"])
    index = generator.integers(0, repeats, (2000, repeats))
    random, worst = table["random"], table["4-point linear"]
    gap = worst[index].mean(1) - random[index].mean(1)
    found = {}
    for name, column in table.items():
        share = (column[index].mean(1) - random[index].mean(1)) / gap
        low, high = np.quantile(share, [0.025, 0.975])
        spread = float(column.std(ddof=1))
        value = float((column.mean() - random.mean()) / (worst.mean() - random.mean()))
        found[name] = {"mean": float(column.mean()), "spread": spread, "share": value, "low": float(low), "high": float(high)}
    return found


def markdown(page: dict[str, Any]) -> str:
    """The tables as a page."""
    floor = page["floor"]
    lines = [f"# Operations on latent codes: {page['data']}", "", f"Made by `{page['command']}`."]
    lines += [
        f"{page['samples']} samples, {page['repeats']} repeats. Frechet distance in classifier features (lower is better),"
    ]
    lines += ["inception score of the classifier (higher is better), each with its standard deviation over repeats."]
    lines += ["*Share of the gap*: the difference from random codes as a share of the gap between 4-point linear and"]
    lines += ["random [95 % interval over repeats]; a row is as random codes where the interval lies within"]
    lines += [f"±{MARGIN:.0%}. Real data: distance {floor['distance']:.2f} (one half of the training data against the other),"]
    lines += [f"score {floor['score']:.2f}.", ""]
    lines += summary(page["generators"])
    for name, found in page["generators"].items():
        lines += ["", f"## {name}", "", "| codes | distance | share of the gap | score | share of the gap | as random? |"]
        lines += ["|---|---:|---:|---:|---:|---|"]
        for row in found["distance"]:
            d, s = found["distance"][row], found["score"][row]
            cells = [f"{d['mean']:.2f} ± {d['spread']:.2f}", _share(d), f"{s['mean']:.3f} ± {s['spread']:.3f}", _share(s)]
            lines.append(f"| {row} | " + " | ".join(cells) + f" | {_verdict(row, d, s)} |")
    return "\n".join(lines) + "\n"


def summary(generators: dict[str, Any]) -> list[str]:
    """One table over all generators: bounds of the matched rows, and which linear rows are measurably worse than random."""
    titles = ["generator", "gap, distance", *(f"{row}: distance, score" for row in MATCHED), "worse than random"]
    lines = ["Bound: the end of the interval that is further from 0, as a share of the gap; within 5 % is as random.", ""]
    lines += ["| " + " | ".join(titles) + " |", "|---|---:|" + "---:|" * len(MATCHED) + "---|"]
    for name, found in generators.items():
        gap = found["distance"]["4-point linear"]["mean"] - found["distance"]["random"]["mean"]
        cells = [f"{bound(found['distance'][row]):.1%}, {bound(found['score'][row]):.1%}" for row in MATCHED]
        worse = [row for row in LINEAR if found["distance"][row]["low"] > MARGIN and gap > 0]
        lines.append(f"| {name} | {gap:.2f} | " + " | ".join([*cells, ", ".join(worse) or "none"]) + " |")
    every = [found[what][row] for found in generators.values() for what in ("distance", "score") for row in MATCHED]
    lines += ["", f"Matched rows that are as random: {sum(map(equivalent, every))} of {len(every)}."]
    return lines


def bound(found: dict[str, Any]) -> float:
    """The end of the interval of a difference that lies further from 0."""
    return max(abs(found["low"]), abs(found["high"]))


def _share(found: dict[str, Any]) -> str:
    return f"{found['share']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"


def equivalent(found: dict[str, Any]) -> bool:
    """Whether the interval of the difference lies within the margin."""
    return bool(bound(found) <= MARGIN)


def _verdict(row: str, distance: dict[str, Any], score: dict[str, Any]) -> str:
    if row == "random":
        return ""
    told = [name for name, found in (("distance", distance), ("score", score)) if equivalent(found)]
    return "both" if len(told) == 2 else f"{told[0]} only" if told else "no"
