"""Sentiment, topic, tense and length as directions of the code: AtDot beside logistic regression, on the grammar.

    python -m tests.benchmarks.sentences_attributes

The shipped manifold; vectors from the 2,000 starts, figures on 2,000 fresh sentences whose attributes are known. Along plus
and minus each vector the share of decoded sentences that have the attribute is read off by the grammar's own parser. Writes
docs/results/sentences_attributes.json and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
from typing import Any

import numpy as np

from agents.atomic import write_whole
from agents.cli import prepare_process
from tests.benchmarks.sentences_data import RESULTS

FRESH = 2000
STRETCHES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)


def members(sentences: list[Any]) -> dict[str, np.ndarray]:
    """name -> (N,) bool of every attribute."""
    from envs.datasets import grammar

    table = {"positive": np.array([s.sentiment == 1 for s in sentences]), "long": np.array([s.long == 1 for s in sentences])}
    table |= {topic: np.array([s.topic == k for s in sentences]) for k, topic in enumerate(grammar.TOPICS)}
    return table | {tense: np.array([s.tense == k for s in sentences]) for k, tense in enumerate(grammar.TENSES)}


def main() -> None:
    """The script."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    prepare_process()
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    from envs import make_world
    from envs.datasets import grammar
    from envs.geometry.attributes import AtDot

    world = make_world(data="sentences")
    vae = world.manifold
    known = [grammar.parse(text) for text in world.units.texts(world.starts.x)]
    fresh = grammar.sample(FRESH, 4242)
    with torch.inference_mode():
        z = vae.encode(world.units.inward([s.text for s in fresh]))
    own, others = members(known), members(fresh)
    rows, examples = [], []
    for name, has in own.items():
        found = AtDot.fit(world.starts.z, torch.from_numpy(has))
        ceiling = LogisticRegression(max_iter=2000).fit(world.starts.z.numpy(), has)
        told = torch.from_numpy(others[name])
        reach: dict[float, float] = {}
        lacking = z[~told][:300]
        for stretch in STRETCHES:
            texts = world.units.texts(vae.decode(vae.prior.project(lacking + stretch * found.vector)))
            parsed = [grammar.parse(t) for t in texts if np.isfinite(grammar.log_prob(t))]
            reach[stretch] = float(np.mean(members(parsed)[name])) if parsed else float("nan")
        rows.append({
            "attribute": name, "share": float(told.float().mean()), "auc": found.auc(z, told),
            "logistic_auc": float(roc_auc_score(told.numpy(), ceiling.decision_function(z.numpy()))),
            "accuracy": found.accuracy(z, told), "majority": float(max(told.float().mean(), 1 - told.float().mean())),
            "along": reach,
        })  # fmt: skip
        for stretch in (-1.0, 0.0, 1.0):
            code = vae.prior.project(lacking[:1] + stretch * found.vector)
            examples.append((name, stretch, world.units.texts(vae.decode(code))[0]))
    head = ["attribute", "share", "AtDot AUC", "logistic AUC", "AtDot accuracy", "majority"]
    head += [f"{s:+g} a" for s in STRETCHES]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for r in rows:
        along = " | ".join(f"{v:.2f}" for v in r["along"].values())
        cells = [f"{r[name]:.3f}" for name in ("share", "auc", "logistic_auc", "accuracy", "majority")]
        lines.append(f"| {r['attribute']} | {' | '.join(cells)} | {along} |")
    shown = [f"| {n} | {s:+g} | {t} |" for n, s, t in examples]
    page = "\n".join([
        "# Attributes of sentences as directions", "",
        f"Vectors from {len(known):,} sentences, figures on {FRESH:,} fresh ones. On the right: of 300 sentences that lack",
        "the attribute, the share that has it after their codes were moved by so many attribute vectors (read off by the",
        "parser; the few sentences that the grammar does not make are left out).",
        "", *lines, "", "One sentence of each, not picked: the first that lacks the attribute.", "",
        "| attribute | moved by | decoded |", "|---|---|---|", *shown, "",
        "`python -m tests.benchmarks.sentences_attributes` makes this page again.", "",
    ])  # fmt: skip
    record = {"python": platform.python_version(), "rows": rows, "examples": examples}
    write_whole(RESULTS / "sentences_attributes.json", json.dumps(record, indent=1) + "\n")
    write_whole(RESULTS / "sentences_attributes.md", page)
    print(page)


if __name__ == "__main__":
    main()
