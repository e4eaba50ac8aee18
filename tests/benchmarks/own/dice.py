"""DiCE beside the walks on own tables: its random, genetic and k-d tree search, by the Python of another environment.

Mothilal, Sharma and Tan, "Explaining Machine Learning Classifiers through Diverse Counterfactual Explanations", FAT* 2020;
the package dice-ml, which needs other versions of its libraries than this project.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.benchmarks.harness.tables import DASH, known, table
from tests.benchmarks.own.measured import judged
from tests.benchmarks.own.mixed import adult, by_name, german
from tests.benchmarks.own.numeric import _table, forest
from tests.benchmarks.own.unlike import differing

WORKER = Path(__file__).with_name("dice_worker.py")
DATA = ("breast cancer", "German", "Adult")
METHODS = ("random", "genetic", "kdtree")
ROWS = 10  # that are explained
PATIENCE = 100  # CPU seconds of one search, over all rows


def _data(name: str) -> tuple[Any, np.ndarray]:
    if name == "German":
        return german()
    if name == "Adult":
        frame, classes = adult(3000)
        return frame, classes
    frame, classes, names = _table("breast_cancer")
    return frame, names[classes]


def figures(
    environment: str, seed: int, names: Sequence[str], rows: int = ROWS, held: Sequence[str] = (), without: Sequence[str] = ()
) -> dict[str, Any]:
    """Figures of some data sets: of every method, and of the line, for the same rows and forests fitted alike.

    Args:
        environment: of DiCE.
        seed: of split, forest and searches.
        names: of the data.
        rows: that are explained.
        held: columns that no way may change; age then only rises.
        without: columns that are left out.
    """
    from agents.explain import explain
    from envs.building.world import make_world
    from tests.benchmarks.own.cases import split

    found: dict[str, Any] = {"rows": rows, "seed": seed}
    for name in names:
        frame, classes = _data(name)
        frame = frame.drop(columns=[column for column in without if column in frame])
        x, held_out, y, _ = split(frame, classes, seed)
        asked = held_out[:rows]
        model = by_name(x, forest(seed)).fit(x, y)
        world = make_world(data=x, held_out=asked, classifier=model, seed=seed, progress=False, free=_free(frame, held))
        inputs, cells = world.units.entered(asked)
        source = world.classifier.predict_proba(inputs, cells).argmax(1)
        paths = explain(world, rows=range(rows), walker="line")
        ends = torch.stack([_end(world, path) for path in paths])
        reached = torch.tensor([path.success for path in paths])
        line = _of_ends(world, cells, source, ends, reached)
        found[name] = {"line": {**line, "queries": fmean(path.queries for path in paths)}}
        with tempfile.TemporaryDirectory() as place:
            texts = [column for column in frame if frame[column].dtype.kind not in "iufb"]
            numbers = [column for column in frame if column not in texts]
            folder = Path(place)
            (folder / "settings.json").write_text(json.dumps({
                "seed": seed, "texts": texts, "numbers": numbers,
                "vary": [column for column in frame if column not in held] if held else "all",
                "rising": ["age"] if held else [],
            }))  # fmt: skip
            x.assign(answer=y).to_csv(folder / "known.csv", index=False)
            asked.to_csv(folder / "asked.csv", index=False)
            for method in METHODS:
                found[name][method] = _searched(environment, folder, method, world, asked, cells, source, texts)
    return found


def _free(frame: Any, held: Sequence[str]) -> list[str]:
    """Columns whose names look protected: DiCE changes them, and so does the line here, unless they are held."""
    looks = ("age", "race", "sex", "native-country", "A9", "A13", "A20")
    return [name for name in looks if name in frame and name not in held]


def _end(world: Any, path: Any) -> Tensor:
    return world.units.exact(torch.from_numpy(path.frames(world)[-1:]), path.factual(world))[0]


def _searched(
    environment: str, folder: Path, method: str, world: Any, asked: Any, cells: Tensor, source: Tensor, texts: list[str]
) -> dict[str, Any]:
    """One search by the worker; what went wrong, where it fails, and how many rows were done, where it takes too long."""
    import pandas

    python = str(Path(environment).resolve() / "bin" / "python")
    done = subprocess.run(
        [python, str(WORKER), str(folder), method, str(PATIENCE)], capture_output=True, text=True,
        env={name: text for name, text in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    late = done.returncode in (-signal.SIGXCPU, -signal.SIGKILL)
    if done.returncode and not late:
        return {"failed": (done.stderr.strip().splitlines() or ["?"])[-1][:200]}
    if not (folder / f"{method}.json").is_file():
        return {"failed": f"no row within {PATIENCE} CPU-s"}
    answer = json.loads((folder / f"{method}.json").read_text())
    total, count = len(asked), len(answer["found"])
    asked, cells, source = asked[:count], cells[:count], source[:count]
    ends = pandas.read_csv(folder / f"{method}.csv", dtype=dict.fromkeys(texts, str), keep_default_na=False)
    given = torch.tensor(answer["found"])
    rows = asked.reset_index(drop=True).copy()
    for name in rows:
        kind = rows[name].dtype
        rows[name] = [
            kind.type(float(ends[name][i])) if kind.kind in "iuf" and there else ends[name][i] if there else rows[name][i]
            for i, there in enumerate(answer["found"])
        ]
    own = [world.class_names[k] for k in source.tolist()]
    end = world.units.entered(rows)[1]
    figures = _of_ends(world, cells, source, end, given)
    agree = fmean(a == b for a, b in zip(answer["labels"], own, strict=True))
    costs = {"queries": fmean(answer["queries"]), "cpu_seconds": fmean(answer["seconds"])}
    failed = {"failed": f"{count} of {total} rows within {PATIENCE} CPU-s; the figures are theirs"} if late else {}
    return {**figures, **costs, **failed, "same_label": agree, "errors": answer["errors"][:3]}


def _of_ends(world: Any, cells: Tensor, source: Tensor, ends: Tensor, given: Tensor) -> dict[str, Any]:
    """Share of ends (B, C) with another class than `source` (B,), and of those the changed columns, kNN ratio and judge."""
    classes = world.classifier.predict_proba(world.units.encode(ends), ends).argmax(1)
    good = given & (classes != source)
    if not bool(good.any()):
        return {"found": 0.0}
    more = judged(world, ends[good])
    columns = float(differing(cells[good], ends[good]).sum(1).double().mean())
    return {"found": float(good.double().mean()), "columns": columns, "knn_ratio": more["knn_ratio"], "oracle": more["oracle"]}


def part_of(record: dict[str, Any]) -> str:
    """The part of the page."""
    found = record.get("dice")
    if not found:
        return "Not measured: pass `--dice-environment DIR`, a virtual environment in which `pip install dice-ml` was run."
    text = (
        f"Made by `{record['dice_command']}`: forests of 50 trees, {found['rows']} held-out rows each, one counterfactual a "
        f"row, seed {found['seed']}. Every column may change. DiCE runs with its defaults in an environment of its own, on a "
        "forest that is fitted alike there; its ends are judged here, by the forest of this environment. The line needs no "
        "training.\n\n"
    )
    return text + rows_of(found)


def rows_of(found: dict[str, Any]) -> str:
    """The table of `figures`, and what failed."""

    def of(row: dict[str, Any], name: str, digits: int) -> str:
        values = known([row.get(name)])
        return f"{values[0]:,.{digits}f}" if values else DASH

    lines, failed = [], []
    for name, rows in found.items():
        for method, row in rows.items() if isinstance(rows, dict) else ():
            shown = method if method == "line" else f"DiCE, {method}"
            digits = (("found", 2), ("columns", 1), ("knn_ratio", 2), ("oracle", 2), ("queries", 0), ("cpu_seconds", 2))
            lines.append([f"{name}, {shown}", *(of(row, key, places) for key, places in digits)])
            failed += [f"{name}, {shown}: {row['failed']}"] if "failed" in row else []
    titles = ("data and search", "found", "columns", "kNN ratio", "judge", "queries", "CPU-s a row")
    return table(titles, lines) + (f"\n\nFailed: {'; '.join(failed)}." if failed else "")
