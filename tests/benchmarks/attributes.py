"""Attribute vectors on digits: how much one dot product knows, and what a biased sample does to them.

    python -m tests.benchmarks.attributes                       # beds 0, 1 and 2

Per bed (split, classifier and manifold of tests/benchmarks/digits_bed.py) and attribute: accuracy of always saying the
majority, accuracy and AUC of AtDot, and the same of logistic regression on the codes, the ceiling of a linear direction.
Vectors, thresholds and regressions are fitted on the starts and judged on the held-out digits. Attributes but the last are
measured from the pixels (envs/geometry/strokes.py); medians are those of the starts. Manifolds: the VAE, and two trained with
the network: a joint VAE and classifier, which learns the labels of the bed's classifier, and that classifier's own embedding.

The biased sample: starts are drawn so that four fifths of those with the attribute have the nuisance, and one fifth of those
without. Told is how far a step along the vector changes the nuisance in decoded held-out digits for each unit that it changes
the attribute (both in standard deviations), over 20 draws a bed. Finished cells are kept in --cache. Writes
docs/results/attributes.md and .json.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from agents.cli import prepare_process
from tests.benchmarks.digits_cells import ROOT
from tests.benchmarks.gan_cells import FITTING, kept_cell
from tests.benchmarks.results import as_json

DRAWS, SHARE = 20, 0.8
BIASED = (("slant", "thickness"), ("thickness", "slant"), ("loops", "thickness"), ("loops", "slant"))
FILES = (*FITTING, "envs/geometry/*.py", "tests/benchmarks/attributes.py", "tests/benchmarks/digits_bed.py")
MANIFOLDS = {"vae": "VAE", "joint": "joint VAE and classifier", "embedding": "classifier's embedding"}
STEP = 1.0  # length of the step along a vector, in its own length


def measured(world: Any, truth: Any) -> dict[str, Any]:
    """Attribute -> (values on starts, values on held-out digits), float."""
    import torch

    from envs.geometry.strokes import STROKES

    x, y = world.reference.x, world.held_out.x
    found = {attribute.name: (attribute.measure(x), attribute.measure(y)) for attribute in STROKES}
    found["digit >= 5"] = (torch.as_tensor(truth).float(), world.held_out.truth.float())
    return found


def binary(name: str, values: tuple[Any, Any]) -> tuple[Any, Any]:
    """Who has it, on starts and held-out digits: a loop, a digit from 5 on, else more than the starts' median."""
    cut = 4.5 if name == "digit >= 5" else 0.5 if name == "loops" else float(values[0].median())
    return values[0] > cut, values[1] > cut


def table(world: Any, values: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Attribute -> figures of a bed."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    from envs.geometry.attributes import AtDot

    z, codes = world.reference.z, world.manifold.encode(world.held_out.x)
    rows = {}
    for name, pair in values.items():
        train, test = binary(name, pair)
        dot = AtDot.fit(z, train)
        ceiling = LogisticRegression(max_iter=2000).fit(z.numpy(), train.numpy())
        scores = ceiling.decision_function(codes.numpy())
        majority = bool(train.float().mean() > 0.5)
        rows[name] = {
            "majority": float((test == majority).float().mean()),
            "AtDot accuracy": dot.accuracy(codes, test),
            "AtDot AUC": dot.auc(codes, test),
            "logistic accuracy": float(((scores > 0) == test.numpy()).mean()),
            "logistic AUC": float(roc_auc_score(test.numpy(), scores)),
        }
    return rows


def biased_rows(has: Any, nuisance: Any, generator: Any) -> Any:
    """Rows drawn so that SHARE of those with the attribute have the nuisance, and 1 - SHARE of those without."""
    import torch

    cells = [torch.nonzero((has == a) & (nuisance == b)).flatten() for a in (True, False) for b in (True, False)]
    shares = [SHARE, 1 - SHARE, 1 - SHARE, SHARE]
    n = min(len(cell) / share for cell, share in zip(cells, shares, strict=True))
    kept = [cell[torch.randperm(len(cell), generator=generator)[: int(n * share)]]
            for cell, share in zip(cells, shares, strict=True)]  # fmt: skip
    return torch.cat(kept)


def biased(world: Any, values: dict[str, Any], attribute: str, nuisance: str, seed: int) -> list[dict[str, float]]:
    """Plain and balanced vector of each biased draw: what they change, and their cosine with the nuisance's own vector."""
    import torch

    from envs.geometry.attributes import attribute_vector
    from envs.geometry.strokes import STROKES

    measure = {item.name: item.measure for item in STROKES}
    z, codes = world.reference.z, world.manifold.encode(world.held_out.x)
    has, also = binary(attribute, values[attribute])[0], binary(nuisance, values[nuisance])[0]
    own = attribute_vector(z, also, has)  # of the nuisance, on all starts, balanced
    before = world.manifold.decode(codes)
    scale = {name: float(measure[name](before).std()) for name in (attribute, nuisance)}
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(DRAWS):
        rows = biased_rows(has, also, generator)
        row = {"rows": float(len(rows))}
        for kind, others in (("plain", None), ("balanced", also[rows])):
            vector = attribute_vector(z[rows], has[rows], others)
            after = world.manifold.decode(world.manifold.prior.project(codes + STEP * vector))
            change = {name: float((measure[name](after) - measure[name](before)).mean()) / scale[name]
                      for name in (attribute, nuisance)}  # fmt: skip
            row[f"{kind}: change of attribute"] = change[attribute]
            row[f"{kind}: nuisance a unit of attribute"] = change[nuisance] / change[attribute]
            row[f"{kind}: cosine"] = float(torch.nn.functional.cosine_similarity(vector, own, dim=0))
        # What the attribute and the nuisance share by nature: the balanced vector of all starts.
        vector = attribute_vector(z, has, also)
        row["unbiased: cosine"] = float(torch.nn.functional.cosine_similarity(vector, own, dim=0))
        found.append(row)
    return found


def cell(kind: str, seed: int) -> dict[str, Any]:
    """The figures of a manifold of a bed."""
    import torch

    from envs.datasets import DATASETS
    from tests.benchmarks.digits_bed import make_bed

    world = make_bed(seed, kind).world
    with torch.inference_mode():
        values = measured(world, DATASETS["digits"](seed=seed).truth)
        pairs = {
            f"{attribute}, {nuisance}": biased(world, values, attribute, nuisance, seed) for attribute, nuisance in BIASED
        }
        return {"table": table(world, values), "biased": pairs}


def estimate(values: list[float]) -> dict[str, float]:
    """Mean and the 2.5 % and 97.5 % quantiles over draws and beds."""
    import numpy as np

    low, high = np.quantile(values, [0.025, 0.975])
    return {"value": fmean(values), "low": float(low), "high": float(high), "n": len(values)}


def markdown(page: dict[str, Any]) -> str:
    """The tables as a page."""
    names = list(next(iter(next(iter(page["attributes"].values())).values())))
    beds = ", ".join(map(str, page["beds"]))
    lines = ["# Attribute vectors on digits", ""]
    lines += [f"Made by `{page['command']}`: fitted on 1,257 starts, judged on 540 held-out digits"]
    lines += [f"of the beds {beds}. Mean over the beds, and least to largest.", ""]
    lines += ["| attribute | manifold | " + " | ".join(names) + " |", "|---|---|" + "---:|" * len(names)]
    for name in next(iter(page["attributes"].values())):
        for kind, rows in page["attributes"].items():
            cells = [f"{fmean(values):.3f} ({min(values):.3f} to {max(values):.3f})" for values in rows[name].values()]
            lines.append(f"| {name} | {MANIFOLDS[kind]} | " + " | ".join(cells) + " |")
    lines += ["", "## A biased sample", ""]
    lines += ["Four fifths of those with the attribute have the nuisance, one fifth of those without. Change of the"]
    lines += ["nuisance for each unit by which a step along the vector changes the attribute, both in standard deviations"]
    lines += ["of decoded held-out digits; cosine of the vector with the nuisance's own. Mean over 20 draws in each bed,"]
    lines += ["and the interval that holds 95 % of them."]
    for kind, pairs in page["biased"].items():
        lines += ["", f"### {MANIFOLDS[kind]}", ""]
        lines += ["| attribute, nuisance | vector | nuisance a unit of attribute | cosine | change of attribute |"]
        lines += ["|---|---|---:|---:|---:|"]
        for pair, row in pairs.items():
            for vector in ("plain", "balanced"):
                columns = ("nuisance a unit of attribute", "cosine", "change of attribute")
                cells = [_text(row[f"{vector}: {what}"]) for what in columns]
                lines.append(f"| {pair} | {vector} | " + " | ".join(cells) + " |")
            lines.append(f"| {pair} | balanced, all starts | | {_text(row['unbiased: cosine'])} | |")
    return "\n".join(lines) + "\n"


def _text(found: dict[str, float]) -> str:
    return f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "attributes", metavar="STEM")
    options = parser.parse_args()
    prepare_process()
    from tqdm import tqdm

    tables: dict[str, dict[str, dict[str, list[float]]]] = {kind: {} for kind in MANIFOLDS}
    draws: dict[str, dict[str, list[dict[str, float]]]] = {kind: {} for kind in MANIFOLDS}
    for kind, seed in tqdm([(kind, seed) for kind in MANIFOLDS for seed in options.beds], desc="beds", dynamic_ncols=True):
        found = kept_cell(options.cache, {"attributes": kind, "bed": seed}, FILES, partial(cell, kind, seed))
        for name, row in found["table"].items():
            for column, value in row.items():
                tables[kind].setdefault(name, {}).setdefault(column, []).append(value)
        for pair, rows in found["biased"].items():
            draws[kind].setdefault(pair, []).extend(rows)
    folded = {
        kind: {pair: {name: estimate([row[name] for row in found]) for name in found[0]} for pair, found in pairs.items()}
        for kind, pairs in draws.items()
    }
    page = {"command": shlex.join(["python", "-m", "tests.benchmarks.attributes", *sys.argv[1:]]), "beds": options.beds,
            "python": platform.python_version(), "attributes": tables, "biased": folded}  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(as_json(page))
    options.out.with_suffix(".md").write_text(markdown(page))
    print(markdown(page))
    print(f"wrote {options.out}.json and .md")


if __name__ == "__main__":
    main()
