"""What is measured of one case, from `make_world` to the report."""

from __future__ import annotations

import importlib.util
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.benchmarks.harness.runs import cpu_seconds
from tests.benchmarks.own.cases import Case, Entry
from tests.benchmarks.own.unlike import differing, nearest_unlike, put_back


def measured(
    entry: Entry, seed: int, steps: int | None, items: int, figures: Callable[..., dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Figures of a case.

    Args:
        entry: the case.
        seed: of data, classifier and training.
        steps: of the training; None: the default.
        items: held-out rows that are explained.
        figures: what is measured of the case, with the arguments of `_figures`, which is the default.

    Returns:
        `skipped` (the package that is not installed), `refused` (the message, and whether it is the one that had to come), or
        figures; `traceback` where anything but a refusal was raised.
    """
    from envs.errors import ManifoldError

    if entry.needs is not None and importlib.util.find_spec(entry.needs) is None:
        return {"skipped": entry.needs}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = (figures or _figures)(entry.make(seed), seed, steps, items)
        except ManifoldError as error:
            expected = entry.must_refuse is not None and entry.must_refuse in str(error)
            found = {"refused": str(error), "expected": expected}
        except Exception:
            found = {"traceback": traceback.format_exc()}
    if entry.must_refuse is not None and "refused" not in found:
        found["not_refused"] = entry.must_refuse
    own = sorted({str(warning.message)[:200] for warning in caught if issubclass(warning.category, UserWarning)})
    return {**found, "warnings": own[:8]}


def _figures(case: Case, seed: int, steps: int | None, items: int) -> dict[str, Any]:
    from agents.evaluate import evaluate
    from agents.explain import explain
    from agents.explainer import Explainer
    from agents.train import report, train
    from envs.building.world import make_world

    world, building = cpu_seconds(lambda: make_world(**case.settings, seed=seed, progress=False))
    found = {**agreement(world, case), "build_seconds": building, "task": world.task.name, "modality": world.modality}
    rows = list(range(min(items, len(world.held_out.x))))
    with tempfile.TemporaryDirectory() as folder:
        run, training = cpu_seconds(
            lambda: train(world=world, log_folder=folder, seed=seed, n_timesteps=steps, progress=False, pictures=False)
        )
        found |= {"train_seconds": training, "train_steps": run.steps, "train_queries": run.queries}
        found |= {name: run.evaluation.get(name) for name in ("success_rate", "class_kept", "line_success_rate")}
        agent = explain(run, rows=rows, walker="policy", fallback=False)
        paths, seconds = cpu_seconds(lambda: explain(run, rows=rows))
        found |= {"explain_ms": 1000 * seconds / len(rows), "items": len(rows)}
        far = out_of_reach(world, paths)
        found |= {
            "out_of_reach": len(far) / len(rows),
            "agent_found": share(agent, far),
            "found": share(paths, far),
            "line_found": share(explain(world, rows=rows, walker="line"), far),
            "trails_the_line": run.trails_the_line,
            "train_longer": "train longer" in report(run),
        }
        found |= {"by_the_line": float(np.mean([path.walker == "line" for path in paths]))}
        found |= {"queries": float(np.mean([path.queries for path in paths])), **flips(world, case, paths, far)}
        measures = evaluate(run, ["policy", "line"], targets="nearest", inputs=rows, closely=0, alone=0, seed=seed)
        for walker, values in measures.items():
            found |= {f"{walker}_{name}": value(values, name) for name in ("knn_ratio", "oracle", "validity", "class_kept")}
        page = Explainer(run).report(Path(folder) / "report.html", paths[:4])
        found["report_bytes"] = page.stat().st_size
    if world.modality == "table":
        found |= without_a_walk(world, rows)
    return found


def value(measures: dict[str, Any], name: str) -> float | None:
    """A measure's value; None where it was not taken."""
    found = getattr(measures.get(name), "value", None)
    return None if found is None or not np.isfinite(found) else float(found)


def share(paths: list[Any], far: set[int]) -> float | None:
    """Of the paths that end in another predicted class than the input's; those from inputs in `far` do not count."""
    counted = [path.success for i, path in enumerate(paths) if i not in far]
    return float(np.mean(counted)) if counted else None


def out_of_reach(world: Any, paths: list[Any]) -> set[int]:
    """Places of the failed paths from whose input no other class is within reach.

    What a walk may not change, such as an age, which only rises, is laid on all reference rows: the classifier puts none of
    these rows into another class than the input's.
    """
    far: set[int] = set()
    if world.modality != "table" or not world.units.holds:
        return far
    known = world.reference.x
    for i, path in enumerate(paths):
        if path.success:
            continue
        here = path.factual(world)
        around = here.repeated(len(known))
        predicted = world.predictions(world.units.hold(known.clone(), here.x), around).argmax(1)
        if bool((predicted == path.source).all()):
            far.add(i)
    return far


def agreement(world: Any, case: Case) -> dict[str, Any]:
    """The classifier as the world asks it of the held-out rows, against the user's own call for the same rows."""
    if case.answers is None:
        return {"agreement": None, "largest": None}
    rows = case.rows(world) if callable(case.rows) else case.rows
    x, cells = world.units.entered(rows)
    asked = torch.cat(
        [
            world.classifier.predict_proba(a, b if b.shape[1] else None)
            for a, b in zip(x.split(1000), cells.split(1000), strict=True)
        ]
    ).numpy()
    true = case.answers(rows)
    return {
        "agreement": float((asked.argmax(1) == true.argmax(1)).mean()),
        "largest": float(np.abs(asked - true).max()),
    }


def flips(world: Any, case: Case, paths: list[Any], far: set[int]) -> dict[str, Any]:
    """Whether the ends of paths, as rows in the user's own values, have another class by the user's own call; and the columns
    that differ from the input. All paths count but those from inputs in `far`: one without an end in another class flips
    nothing."""
    from agents.trajectories.display import rows_in_user_units

    ends = [path.frames(world)[-1:] for path in paths]
    source = np.array([path.source for path in paths])
    counted = [i not in far for i in range(len(paths))]
    if world.modality != "table":
        shown = world.units.outward(torch.from_numpy(np.concatenate(ends))).numpy()
        predicted = source if case.answers is None else case.answers(shown).argmax(1)
        return {"flips": float((predicted != source)[counted].mean()), "columns_changed": None}
    cells = torch.cat(
        [world.units.exact(torch.from_numpy(end), path.factual(world)) for end, path in zip(ends, paths, strict=True)]
    )
    own = torch.stack([torch.from_numpy(path.source_cells) for path in paths])
    found = [path.success for path in paths]
    changed = differing(own, cells).sum(1).double().numpy()[found]
    if case.answers is None:
        predicted = world.classifier.predict_proba(world.units.encode(cells), cells).argmax(1).numpy()
    else:
        frame = rows_in_user_units(world, paths, ends)
        given = case.settings["data"]
        named = hasattr(given, "columns") or isinstance(given, str)
        predicted = case.answers(
            frame if named else frame.to_numpy().astype(given.dtype if given.dtype.kind == "f" else float)
        ).argmax(1)
    return {
        "flips": float((predicted != source)[counted].mean()),
        "columns_changed": float(changed.mean()) if len(changed) else None,
    }


def without_a_walk(world: Any, rows: list[int]) -> dict[str, Any]:
    """The nearest row of another class, and the same with columns put back."""
    index = torch.tensor(rows)
    x, cells = world.held_out.x[index], world.held_out.cells[index]
    source = world.classifier.predict_proba(x, cells).argmax(1)
    plain = nearest_unlike(world, x, source)
    found: dict[str, Any] = {}
    ways: dict[str, Callable[[], Any]] = {
        "unlike": lambda: plain,
        "put_back": lambda: put_back(world, cells, source, plain.cells),
    }
    for name, way in ways.items():
        made, seconds = cpu_seconds(way)
        values = judged(world, made.cells)
        found |= {
            f"{name}_found": float((values["classes"] != source).float().mean()),
            f"{name}_columns": float(differing(cells, made.cells).sum(1).double().mean()),
            f"{name}_knn_ratio": values["knn_ratio"],
            f"{name}_oracle": values["oracle"],
            f"{name}_queries": float(made.queries.mean()),
            f"{name}_ms": 1000 * seconds / len(rows),
        }
    return found


def judged(world: Any, cells: torch.Tensor) -> dict[str, Any]:
    """Classes (B,) of rows of cells (B, C), their kNN ratio, and the share that an independent network sees alike."""
    from agents.explanation.metrics.evaluate import reference_of
    from agents.explanation.metrics.oracle import oracles_of
    from agents.explanation.metrics.path import knn_distance_to_class

    known = reference_of(world)
    oracles = oracles_of(known.bank, known.bank_classes, world.classes, None, False)
    ends = world.units.encode(cells)
    classes = world.classifier.predict_proba(ends, cells).argmax(1)
    near = knn_distance_to_class(ends.numpy(), classes.numpy(), known.bank, known.bank_classes)
    return {
        "classes": classes,
        "knn_ratio": float(near.mean() / known.typical_distance()),
        "oracle": float((oracles.sees(ends.numpy()) == classes.numpy()).mean()),
    }
