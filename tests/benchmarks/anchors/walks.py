"""Every walker, the measures of their paths, and the run that comes with the repository."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.anchors.material import walked, world_of
from tests.benchmarks.anchors.values import Measured, System

EXAMPLE = Path(__file__).resolve().parents[3] / "runs" / "example"
WALKERS: dict[str, dict[str, Any]] = {
    "line": {}, "slerp": {}, "matched": {}, "geodesic": {"steps": 30}, "graph": {}, "spheres": {"samples": 40}, "face": {},
    "random": {}, "greedy": {"candidates": 8}, "gradient": {}, "pullback_gradient": {},
}  # fmt: skip


def digits_walk(name: str, rows: int) -> Measured:
    """Walks from the first held-out digits."""
    from agents.explain import explain
    from agents.walkers import make_walker

    return walked(explain(world_of(), range(rows), walker=make_walker(name, **WALKERS[name]), max_steps=40))


def path_measures() -> Measured:
    """The measures of an evaluation on a few walks."""
    from agents.explain import explain
    from agents.explanation.metrics.evaluate import evaluate_paths

    found = evaluate_paths(world_of(), explain(world_of(), range(8), walker="line"), resamples=50, closely=2)
    return {name: float(estimate.value) for name, estimate in found.items() if math.isfinite(estimate.value)}


def example_replay() -> Measured:
    """Every path of runs/example, walked again."""
    from agents.replay import compare
    from agents.runs.world_record import build_world
    from agents.trajectories.trajectory import Trajectory

    paths = [Trajectory.load(file) for file in sorted((EXAMPLE / "paths").glob("*.npz"))]
    reproduced = sum(compare(path, build_world(path.environment)).reproduced for path in paths)
    return {**walked(paths), "reproduced": reproduced}


def example_policy() -> Measured:
    """The trained agent of runs/example with its planned last steps, on the first held-out digits."""
    from agents.explain import explain
    from agents.runs.run import load_run

    paths = explain(load_run(EXAMPLE), range(8))
    return {**walked(paths), "planned": sum(path.planned for path in paths)}


SYSTEMS = {
    **{f"walk {name}": System(partial(digits_walk, name, 20 if name == "line" else 6)) for name in WALKERS},
    "path measures": System(path_measures),
    "example replay": System(example_replay),
    "example policy": System(example_policy),
}
