"""Attribute vectors on digits: how much does one dot product know, and what does a biased sample do to them?

    python -m tests.benchmarks.attributes                       # splits 0, 1 and 2

Per split (`harness.splits.digits_split`) and attribute: accuracy of always saying the majority, accuracy and AUC of AtDot,
and the same of logistic regression on the codes, the ceiling of a linear direction. Vectors, thresholds and regressions are
fitted on the starts and judged on the held-out digits. Attributes but the last are measured from the pixels
(envs/geometry/strokes.py); medians are those of the starts. Manifolds: the VAE, and two trained with the network: a joint
VAE and classifier, which learns the labels of the split's classifier, and that classifier's own embedding.

The biased sample: starts are drawn so that four fifths of those with the attribute have the nuisance, and one fifth of
those without. Reported is how far a step along the vector changes the nuisance in decoded held-out digits for each unit by
which it changes the attribute (both in standard deviations), over 20 draws a split.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from envs.datasets import DATASETS
from envs.geometry.attributes import AtDot, attribute_vector
from envs.geometry.strokes import STROKES
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render, whole_numbers
from tests.benchmarks.harness.models import FITTING
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.splits import digits_split
from tests.benchmarks.harness.statistics import quantiles
from tests.benchmarks.harness.tables import listed, spread, table, within

DRAWS, SHARE = 20, 0.8
BIASED = (("slant", "thickness"), ("thickness", "slant"), ("loops", "thickness"), ("loops", "slant"))
SOURCES = (*FITTING, "envs/geometry/*.py", "tests/benchmarks/attributes.py", "tests/benchmarks/harness/splits.py")
MANIFOLDS = {"vae": "VAE", "joint": "joint VAE and classifier", "embedding": "classifier's embedding"}
STEP = 1.0  # length of the step along a vector, in its own length


# ---- run --------------------------------------------------------------------------------------------------------------


def values_of(world: Any, truth: Any) -> dict[str, Any]:
    """Attribute -> (values on starts, values on held-out digits), float."""
    x, y = world.reference.x, world.held_out.x
    found = {attribute.name: (attribute.measure(x), attribute.measure(y)) for attribute in STROKES}
    found["digit >= 5"] = (torch.as_tensor(truth).float(), world.held_out.truth.float())
    return found


def binary(name: str, values: tuple[Any, Any]) -> tuple[Any, Any]:
    """Who has it, on starts and held-out digits: a loop, a digit from 5 on, else more than the starts' median."""
    cut = 4.5 if name == "digit >= 5" else 0.5 if name == "loops" else float(values[0].median())
    return values[0] > cut, values[1] > cut


def directions(world: Any, values: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Attribute -> figures of a split."""
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
    cells = [torch.nonzero((has == a) & (nuisance == b)).flatten() for a in (True, False) for b in (True, False)]
    shares = [SHARE, 1 - SHARE, 1 - SHARE, SHARE]
    n = min(len(cell) / share for cell, share in zip(cells, shares, strict=True))
    kept = [cell[torch.randperm(len(cell), generator=generator)[: int(n * share)]]
            for cell, share in zip(cells, shares, strict=True)]  # fmt: skip
    return torch.cat(kept)


def biased(world: Any, values: dict[str, Any], attribute: str, nuisance: str, seed: int) -> list[dict[str, float]]:
    """Plain and balanced vector of each biased draw: what they change, and their cosine with the nuisance's own vector."""
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


def measured(kind: str, seed: int) -> dict[str, Any]:
    """The figures of a manifold of a split."""
    world = digits_split(seed, kind).world
    with torch.inference_mode():
        values = values_of(world, DATASETS["digits"](seed=seed).truth)
        pairs = {
            f"{attribute}, {nuisance}": biased(world, values, attribute, nuisance, seed) for attribute, nuisance in BIASED
        }
        return {"table": directions(world, values), "biased": pairs}


def measure(options: Options) -> Iterator[Record]:
    """Every manifold of every split: attribute -> column -> a value a split; pair -> column -> interval over draws."""
    tables: dict[str, Any] = {}
    pairs: dict[str, Any] = {}
    for kind in MANIFOLDS:
        runs = [Run({"attributes": kind, "split": seed}, partial(measured, kind, seed), SOURCES) for seed in options.splits]
        found = options.runner(runs, kind)
        first = found[0]
        tables[kind] = {name: {column: [cell["table"][name][column] for cell in found] for column in row}
                        for name, row in first["table"].items()}  # fmt: skip
        draws = {pair: [row for cell in found for row in cell["biased"][pair]] for pair in first["biased"]}
        pairs[kind] = {pair: {name: quantiles([row[name] for row in rows]) for name in rows[0]}
                       for pair, rows in draws.items()}  # fmt: skip
    yield {"splits": options.splits, "attributes": tables, "biased": pairs}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """What the directions know, and what a biased sample does to them."""
    first = next(iter(record["attributes"].values()))
    rows = [
        [name, MANIFOLDS[kind], *(spread(values, 3) for values in found[name].values())]
        for name in first for kind, found in record["attributes"].items()
    ]  # fmt: skip
    columns = ("nuisance a unit of attribute", "cosine", "change of attribute")
    sections = []
    for kind, pairs in record["biased"].items():
        cells: list[list[str | None]] = []
        for pair, row in pairs.items():
            for vector in ("plain", "balanced"):
                cells.append([pair, vector, *(within(row[f"{vector}: {what}"]) for what in columns)])
            cells.append([pair, "balanced, all starts", None, within(row["unbiased: cosine"]), None])
        titles = ["attribute, nuisance", "vector", *columns]
        sections += ["", f"### {MANIFOLDS[kind]}", "", table(titles, cells, "llr")]
    return render(
        "attributes", command=record["command"], splits=listed(record["splits"]), sections="\n".join(sections),
        table=table(["attribute", "manifold", *next(iter(first.values()))], rows, "llr"),
    )  # fmt: skip


EXPERIMENT = Experiment("attributes", __doc__, measure, page, flags={"--splits": whole_numbers(0, 1, 2)})

if __name__ == "__main__":
    EXPERIMENT.main()
