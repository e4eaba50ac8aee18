"""Shortest latent paths on digits, against the straight line on one fine grid.

    python -m tests.benchmarks.geodesics                        # beds 0, 1 and 2, 60 pairs each

Pairs of starts drawn at random in each bed (tests/benchmarks/digits_bed.py). Every path is taken on the same 200 points.
Energy and length are in pixels of the bed's own decoder, as shares of the straight latent line's; beside them how far the
path lies from data (latent distance to the nearest start's code), how unsure an ensemble of decoders is on it (norm of its
standard deviation), and how long it is in class probabilities (Fisher-Rao), over the closed-form distance of its ends.
Intervals are 95 % bootstraps over pairs. Then the time of graph paths for a thousand pairs. Writes docs/results/geodesics.md
and .json.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from agents.cli import prepare_process
from tests.benchmarks.digits_cells import ROOT

PAIRS, MEMBERS, THOUSAND, AIM = 60, 4, 1000, 2.0
WEIGHTS = (1.0, 10.0)
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

    view, a, b = pixels(world.manifold), world.starts.z[first], world.starts.z[last]

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
    answers = curves.probabilities(world.manifold, world.classifier.predict_proba)
    flat = curve.flatten(0, 1)
    with torch.inference_mode():
        ends = [world.classifier.predict_proba(world.manifold.decode(part)) for part in (curve[0], curve[-1])]
        near = torch.cdist(flat, world.starts.z).amin(1).reshape(curve.shape[:2]).mean(0)
        return {
            "energy": curves.energy(view, curve) / curves.energy(view, line),
            "length": curves.length(view, curve) / curves.length(view, line),
            "from data": near,
            "uncertainty": ensemble.uncertainty(flat).reshape(curve.shape[:2]).mean(0),
            "fisher_rao": curves.length(answers, curve) / curves.fisher_rao(*ends).clamp_min(0.05),
        }


def markdown(page: dict[str, Any]) -> str:
    """The tables as a page."""
    beds = ", ".join(map(str, page["beds"]))
    lines = ["# Geodesics on digits", ""]
    lines += [f"Made by `{page['command']}`: {page['pairs']} pairs of starts in each of the beds {beds},"]
    lines += [f"{page['members']} decoders in the ensemble, every path on 200 points. Mean over pairs [95 % bootstrap"]
    lines += ["interval]; CPU-ms a path.", ""]
    lines += ["| path | " + " | ".join(MEASURES.values()) + " | worst energy | CPU-ms |"]
    lines += ["|---|" + "---:|" * (len(MEASURES) + 2)]
    for name, row in page["rows"].items():
        cells = [f"{row[m]['value']:.3f} [{row[m]['low']:.3f}, {row[m]['high']:.3f}]" for m in MEASURES]
        lines.append(f"| {name} | " + " | ".join([*cells, f"{row['worst energy']:.2f}", f"{row['cpu_ms']:.1f}"]) + " |")
    graph = page["graph"]
    reached = "reached" if max(graph["pairs_seconds"]) < AIM else "NOT reached"
    build, pairs = max(graph["build_seconds"]), max(graph["pairs_seconds"])
    lines += ["", f"Graph of {graph['nodes']} codes, {graph['edges']} edges: built in {build:.2f} s, a thousand pairs in"]
    lines += [f"{pairs:.2f} s of wall time (the slowest bed; under {AIM:g} s was asked: {reached})."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "geodesics", metavar="STEM")
    options = parser.parse_args()
    prepare_process()
    import torch
    from tqdm import tqdm

    from agents.explanation import metrics_bootstrap as bootstrap
    from envs.geometry.curves import pixels
    from envs.geometry.graph import LatentGraph
    from envs.geometry.uncertainty import DecoderEnsemble
    from tests.benchmarks.digits_bed import make_bed

    values: dict[str, dict[str, list[float]]] = {}
    seconds: dict[str, float] = {}
    graphs: dict[str, Any] = {"build_seconds": [], "pairs_seconds": []}
    for seed in tqdm(options.beds, desc="beds", dynamic_ncols=True):
        world = make_bed(seed).world
        generator = torch.Generator().manual_seed(seed)
        n = len(world.starts.z)
        first = torch.randint(n, (options.pairs,), generator=generator)
        last = (first + torch.randint(1, n, (options.pairs,), generator=generator)) % n
        ensemble = DecoderEnsemble.fit(world.manifold, world.starts.x, members=MEMBERS, seed=seed)
        started = time.perf_counter()
        graph = LatentGraph(pixels(world.manifold), world.starts.z)
        graphs["build_seconds"].append(time.perf_counter() - started)
        many = torch.randint(n, (2, THOUSAND), generator=generator)
        started = time.perf_counter()
        graph.between(*many)
        graphs["pairs_seconds"].append(time.perf_counter() - started)
        graphs |= {"nodes": n, "edges": graph.matrix.nnz // 2}
        found = paths(world, ensemble, graph, first, last)
        line = found["line"][0]
        for name, (curve, spent) in found.items():
            seconds[name] = seconds.get(name, 0.0) + spent
            for measure, row in measures(world, ensemble, curve, line).items():
                values.setdefault(name, {}).setdefault(measure, []).extend(row.tolist())
    count = options.pairs * len(options.beds)
    rows = {}
    for name, columns in values.items():
        rows[name] = {measure: bootstrap.mean(column).as_dict() for measure, column in columns.items()}
        rows[name] |= {"worst energy": max(columns["energy"]), "cpu_ms": 1000 * seconds[name] / count}
    page = {"command": shlex.join(["python", "-m", "tests.benchmarks.geodesics", *sys.argv[1:]]), "beds": options.beds,
            "pairs": options.pairs, "members": MEMBERS, "python": platform.python_version(), "rows": rows,
            "graph": graphs}  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps(page, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(markdown(page))
    print(markdown(page))
    print(f"wrote {options.out}.json and .md")


if __name__ == "__main__":
    main()
