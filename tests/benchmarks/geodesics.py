"""Shortest latent paths on digits, against the straight line on one fine grid.

    python -m tests.benchmarks.geodesics                        # beds 0, 1 and 2, 60 pairs each

Pairs of starts drawn at random in each bed (tests/benchmarks/digits_bed.py). Every path is taken on the same 200 points.
Energy and length are in pixels of the bed's own decoder, as shares of the straight latent line's; beside them how far the
path lies from data (latent distance to the nearest start's code), how unsure an ensemble of decoders is on it (norm of its
standard deviation), and how long it is in class probabilities (Fisher-Rao), over the closed-form distance of its ends.
Manifolds: the VAE, and those trained with the network, a joint VAE and classifier and the classifier's own embedding.
Intervals are 95 % bootstraps over pairs. Then the time of graph paths for a thousand pairs. Writes docs/results/geodesics.md
and .json.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from agents.cli import prepare_process
from tests.benchmarks.digits_cells import ROOT
from tests.benchmarks.gan_cells import FITTING, kept_cell
from tests.benchmarks.results import as_json

PAIRS, MEMBERS, THOUSAND, AIM = 60, 4, 1000, 2.0
WEIGHTS = (1.0, 10.0)
FILES = (*FITTING, "envs/geometry/*.py", "tests/benchmarks/geodesics.py", "tests/benchmarks/digits_bed.py")
MANIFOLDS = {"vae": "VAE", "joint": "Joint VAE and classifier", "embedding": "The classifier's embedding (white box)"}
MEASURES = {
    "energy": "energy / line's",
    "length": "length / line's",
    "from data": "distance to data",
    "uncertainty": "uncertainty",
    "fisher_rao": "Fisher-Rao length / least",
}


def paths(world: Any, ensemble: Any, graph: Any, first: Any, last: Any) -> dict[str, tuple[Any, float]]:
    """name -> (curves (200, P, d), CPU-seconds for all pairs)."""
    import torch

    from envs.geometry.curves import along, pixels, straight
    from envs.geometry.geodesics import geodesic
    from envs.geometry.interpolation import slerp
    from envs.geometry.uncertainty import DecoderEnsemble

    view, a, b = pixels(world.manifold), world.reference.z[first], world.reference.z[last]

    def timed(make: Any) -> tuple[Any, float]:
        started = time.process_time()
        made = make()
        return made, time.process_time() - started

    def over_graph() -> Any:
        return along(graph.between(first, last).points, by_length=True)

    found = {
        "line": timed(lambda: straight(a, b)),
        "slerp": timed(lambda: slerp(a, b, torch.linspace(0, 1, 200))),
        "spline": timed(lambda: geodesic(view, a, b).points()),
        "mean of decoders, spline": timed(lambda: geodesic(DecoderEnsemble(ensemble.members, 0.0), a, b).points()),
    }
    for weight in WEIGHTS:
        uncertain = DecoderEnsemble(ensemble.members, weight)
        found[f"uncertainty x {weight:g}, spline"] = timed(lambda uncertain=uncertain: geodesic(uncertain, a, b).points())
    found["graph"] = timed(over_graph)
    found["graph, then spline"] = timed(lambda: geodesic(view, a, b, start=graph.between(first, last).points).points())
    return found


def measures(world: Any, ensemble: Any, curve: Any, line: Any) -> dict[str, Any]:
    """Measure -> values (P,) of curves (200, P, d)."""
    import torch

    from envs.geometry import curves

    view = curves.pixels(world.manifold)
    predictions = curves.probabilities(world.manifold, world.classifier.predict_proba)
    flat = curve.flatten(0, 1)
    with torch.inference_mode():
        ends = [world.classifier.predict_proba(world.manifold.decode(part)) for part in (curve[0], curve[-1])]
        near = torch.cdist(flat, world.reference.z).amin(1).reshape(curve.shape[:2]).mean(0)
        return {
            "energy": curves.energy(view, curve) / curves.energy(view, line),
            "length": curves.length(view, curve) / curves.length(view, line),
            "from data": near,
            "uncertainty": ensemble.uncertainty(flat).reshape(curve.shape[:2]).mean(0),
            "fisher_rao": curves.length(predictions, curve) / curves.fisher_rao(*ends).clamp_min(0.05),
        }


def markdown(page: dict[str, Any]) -> str:
    """The tables as a page."""
    beds = ", ".join(map(str, page["beds"]))
    lines = ["# Geodesics on digits", ""]
    lines += [f"Made by `{page['command']}`: {page['pairs']} pairs of starts in each of the beds {beds},"]
    lines += [f"{page['members']} decoders in the ensemble, every path on 200 points. Mean over pairs [95 % bootstrap"]
    lines += ["interval]; CPU-ms a path."]
    for kind, found in page["manifolds"].items():
        lines += ["", f"## {MANIFOLDS[kind]}", ""]
        lines += ["| path | " + " | ".join(MEASURES.values()) + " | worst energy | CPU-ms |"]
        lines += ["|---|" + "---:|" * (len(MEASURES) + 2)]
        for name, row in found["rows"].items():
            cells = [f"{row[m]['value']:.3f} [{row[m]['low']:.3f}, {row[m]['high']:.3f}]" for m in MEASURES]
            lines.append(f"| {name} | " + " | ".join([*cells, f"{row['worst energy']:.2f}", f"{row['cpu_ms']:.1f}"]) + " |")
        graph = found["graph"]
        reached = "reached" if max(graph["pairs_seconds"]) < AIM else "NOT reached"
        build, pairs = max(graph["build_seconds"]), max(graph["pairs_seconds"])
        lines += ["", f"Graph of {graph['nodes']} codes, {graph['edges']} edges: built in {build:.2f} s, a thousand pairs in"]
        lines += [f"{pairs:.2f} s of wall time (the slowest bed; under {AIM:g} s was asked: {reached})."]
    return "\n".join(lines) + "\n"


def measured(kind: str, seed: int, count: int) -> dict[str, Any]:
    """Figures of `count` pairs on a manifold of a bed: values and CPU-seconds of each way, and the graph's times."""
    import torch

    from envs.geometry.curves import pixels
    from envs.geometry.graph import LatentGraph
    from envs.geometry.uncertainty import DecoderEnsemble
    from tests.benchmarks.digits_bed import make_bed

    world = make_bed(seed, kind).world
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
    """The beds of a manifold as one: means with intervals over all pairs."""
    from agents.explanation.metrics import bootstrap

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


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "geodesics", metavar="STEM")
    options = parser.parse_args()
    prepare_process()
    from tqdm import tqdm

    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in MANIFOLDS}
    for kind, seed in tqdm([(kind, seed) for kind in MANIFOLDS for seed in options.beds], desc="beds", dynamic_ncols=True):
        key = {"geodesics": kind, "bed": seed, "pairs": options.pairs}
        found[kind].append(kept_cell(options.cache, key, FILES, partial(measured, kind, seed, options.pairs)))
    page = {"command": shlex.join(["python", "-m", "tests.benchmarks.geodesics", *sys.argv[1:]]), "beds": options.beds,
            "pairs": options.pairs, "members": MEMBERS, "python": platform.python_version(),
            "manifolds": {kind: folded(cells) for kind, cells in found.items()}}  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(as_json(page))
    options.out.with_suffix(".md").write_text(markdown(page))
    print(markdown(page))
    print(f"wrote {options.out}.json and .md")


if __name__ == "__main__":
    main()
