"""Shortest latent paths on digits, against the straight line on one fine grid.

    python -m tests.benchmarks.geodesics                        # splits 0, 1 and 2, 60 pairs each

Pairs of starts drawn at random in each split (`harness.splits.digits_split`). Every path is taken on the same 200 points.
Energy and length are in pixels of the split's own decoder, as shares of the straight latent line's; beside them how far the
path lies from data (latent distance to the nearest start's code), how unsure an ensemble of decoders is on it (norm of its
standard deviation), and how long it is in class probabilities (Fisher-Rao), over the closed-form distance of its ends.
Manifolds: the VAE, and those trained with the network, a joint VAE and classifier and the classifier's own embedding.
Intervals are 95 % bootstraps over pairs. Then the time of graph paths for a thousand pairs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from agents.explanation.metrics import bootstrap
from envs.geometry import curves
from envs.geometry.curves import along, pixels, straight
from envs.geometry.geodesics import geodesic
from envs.geometry.graph import LatentGraph
from envs.geometry.interpolation import slerp
from envs.geometry.uncertainty import DecoderEnsemble
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render, whole_numbers
from tests.benchmarks.harness.models import FITTING
from tests.benchmarks.harness.runs import Run, cpu_seconds
from tests.benchmarks.harness.splits import digits_split
from tests.benchmarks.harness.tables import listed, table, within

PAIRS, MEMBERS, THOUSAND, AIM = 60, 4, 1000, 2.0
WEIGHTS = (1.0, 10.0)
SOURCES = (*FITTING, "envs/geometry/*.py", "tests/benchmarks/geodesics.py", "tests/benchmarks/harness/splits.py")
MANIFOLDS = {"vae": "VAE", "joint": "Joint VAE and classifier", "embedding": "The classifier's embedding (white box)"}
MEASURES = {
    "energy": "energy / line's",
    "length": "length / line's",
    "from data": "distance to data",
    "uncertainty": "uncertainty",
    "fisher_rao": "Fisher-Rao length / least",
}


# ---- run --------------------------------------------------------------------------------------------------------------


def paths(world: Any, ensemble: Any, graph: Any, first: Any, last: Any) -> dict[str, tuple[Any, float]]:
    """Name -> (curves (200, P, d), CPU-seconds for all pairs)."""
    view, a, b = pixels(world.manifold), world.reference.z[first], world.reference.z[last]

    def over_graph() -> Any:
        return along(graph.between(first, last).points, by_length=True)

    found = {
        "line": cpu_seconds(lambda: straight(a, b)),
        "slerp": cpu_seconds(lambda: slerp(a, b, torch.linspace(0, 1, 200))),
        "spline": cpu_seconds(lambda: geodesic(view, a, b).points()),
        "mean of decoders, spline": cpu_seconds(lambda: geodesic(DecoderEnsemble(ensemble.members, 0.0), a, b).points()),
    }
    for weight in WEIGHTS:
        uncertain = DecoderEnsemble(ensemble.members, weight)
        found[f"uncertainty x {weight:g}, spline"] = cpu_seconds(
            lambda uncertain=uncertain: geodesic(uncertain, a, b).points()
        )
    found["graph"] = cpu_seconds(over_graph)
    found["graph, then spline"] = cpu_seconds(lambda: geodesic(view, a, b, start=graph.between(first, last).points).points())
    return found


def measures(world: Any, ensemble: Any, curve: Any, line: Any) -> dict[str, Any]:
    """Measure -> values (P,) of curves (200, P, d)."""
    view = curves.pixels(world.manifold)
    classes = curves.probabilities(world.manifold, world.classifier.predict_proba)
    flat = curve.flatten(0, 1)
    with torch.inference_mode():
        ends = [world.classifier.predict_proba(world.manifold.decode(part)) for part in (curve[0], curve[-1])]
        near = torch.cdist(flat, world.reference.z).amin(1).reshape(curve.shape[:2]).mean(0)
        return {
            "energy": curves.energy(view, curve) / curves.energy(view, line),
            "length": curves.length(view, curve) / curves.length(view, line),
            "from data": near,
            "uncertainty": ensemble.uncertainty(flat).reshape(curve.shape[:2]).mean(0),
            "fisher_rao": curves.length(classes, curve) / curves.fisher_rao(*ends).clamp_min(0.05),
        }


def measured(kind: str, seed: int, count: int) -> dict[str, Any]:
    """Figures of `count` pairs on a manifold of a split: values and CPU-seconds of each way, and the graph's times."""
    world = digits_split(seed, kind).world
    generator = torch.Generator().manual_seed(seed)
    n = len(world.reference.z)
    first = torch.randint(n, (count,), generator=generator)
    last = (first + torch.randint(1, n, (count,), generator=generator)) % n
    ensemble = DecoderEnsemble.fit(world.manifold, world.reference.x, members=MEMBERS, seed=seed)
    started = time.perf_counter()
    graph = LatentGraph(pixels(world.manifold), world.reference.z)
    times = {"nodes": n, "edges": graph.matrix.nnz // 2, "build_seconds": time.perf_counter() - started}
    many = torch.randint(n, (2, THOUSAND), generator=generator)
    started = time.perf_counter()
    graph.between(*many)
    times["pairs_seconds"] = time.perf_counter() - started
    found = paths(world, ensemble, graph, first, last)
    line = found["line"][0]
    rows = {}
    for name, (curve, spent) in found.items():
        values = {measure: row.tolist() for measure, row in measures(world, ensemble, curve, line).items()}
        rows[name] = {"values": values, "seconds": spent}
    return {"rows": rows, "graph": times}


def folded(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """The splits of a manifold as one: means with intervals over all pairs."""
    rows = {}
    for name in cells[0]["rows"]:
        parts = [cell["rows"][name] for cell in cells]
        columns = {measure: [v for part in parts for v in part["values"][measure]] for measure in MEASURES}
        rows[name] = {measure: bootstrap.mean(column).as_dict() for measure, column in columns.items()}
        rows[name]["worst energy"] = max(columns["energy"])
        rows[name]["cpu_ms"] = 1000 * sum(part["seconds"] for part in parts) / len(columns["energy"])
    graphs = [cell["graph"] for cell in cells]
    graph = {name: [each[name] for each in graphs] for name in ("build_seconds", "pairs_seconds")}
    return {"rows": rows, "graph": {**graphs[-1], **graph}}


def measure(options: Options) -> Iterator[Record]:
    """Every manifold of every split."""
    manifolds = {}
    for kind in MANIFOLDS:
        key = {"geodesics": kind, "pairs": options.pairs}
        runs = [Run({**key, "split": seed}, partial(measured, kind, seed, options.pairs), SOURCES) for seed in options.splits]
        manifolds[kind] = folded(options.runner(runs, kind))
        yield {"splits": options.splits, "pairs": options.pairs, "members": MEMBERS, "manifolds": manifolds}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """A table a manifold, and the time of its graph."""
    sections = []
    for kind, found in record["manifolds"].items():
        rows = [
            [name, *(within(row[m], 3) for m in MEASURES), f"{row['worst energy']:.2f}", f"{row['cpu_ms']:.1f}"]
            for name, row in found["rows"].items()
        ]
        graph = found["graph"]
        build, pairs = max(graph["build_seconds"]), max(graph["pairs_seconds"])
        sections += ["", f"## {MANIFOLDS[kind]}", "", table(["path", *MEASURES.values(), "worst energy", "CPU-ms"], rows)]
        sections += [
            "",
            f"Graph of {graph['nodes']} codes, {graph['edges']} edges: built in {build:.2f} s, a thousand pairs in",
        ]
        aim = f"under {AIM:g} s was the aim: {'reached' if pairs < AIM else 'NOT reached'}"
        sections += [f"{pairs:.2f} s of wall time (the slowest split; {aim})."]
    return render("geodesics", **{**record, "splits": listed(record["splits"]), "sections": "\n".join(sections)})


EXPERIMENT = Experiment(
    "geodesics", __doc__, measure, page,
    flags={"--splits": whole_numbers(0, 1, 2), "--pairs": {"type": int, "default": PAIRS}},
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
