"""Many rows, explained in parts: the same results by every engine, nothing lost and nothing twice after a kill."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import agents
from agents.console.cli import UserError
from agents.engine import dataset, work
from agents.engine.dataset import explain_dataset
from agents.engine.parts import MANIFEST, Parts, read_results
from agents.explain import main
from envs import make_world

RUN = str(Path("runs/example").resolve())
ROWS, PART, SMALL = 300, 50, 3  # rows of a part; small ones, so that a kill comes in the middle


@pytest.fixture(scope="module")
def run() -> Any:
    return agents.load_run(RUN)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory, run: Any) -> Path:
    """Decoded latents as rows."""
    file = tmp_path_factory.mktemp("rows") / "rows.npy"
    codes = run.world.manifold.prior.sample(ROWS, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        np.save(file, run.world.units.outward(run.world.manifold.decode(codes)).numpy())
    return file


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, run: Any, digits: Path) -> dict[str, str]:
    """Digests of the parts that one process made."""
    folder = tmp_path_factory.mktemp("undisturbed")
    explain_dataset(run, digits, folder, batch_size=PART, frames=True, progress=False)
    return digests(folder)


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.glob("part-*"))}


def test_every_row_has_one_result_in_its_order(tmp_path: Path, run: Any, digits: Path) -> None:
    parts = explain_dataset(run, digits, tmp_path, batch_size=PART, progress=False)
    rows = read_results(tmp_path)
    assert [row["row"] for row in rows] == list(range(ROWS))
    assert sum(parts.statuses.values()) == ROWS
    assert parts.missing == []
    paths = agents.Explainer(run).explain(np.load(digits)[:PART])
    for row, path in zip(rows, paths, strict=False):
        assert row["success"] == path.success
        assert row["queries"] == path.queries
        assert row["source"] == path.class_names[path.source]
        assert row["p_end"] == pytest.approx(float(path.predictions[-1, path.target]))


def test_a_second_call_makes_only_the_missing_parts(
    tmp_path: Path, run: Any, digits: Path, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"batch_size": PART, "frames": True, "progress": False}
    explain_dataset(run, digits, tmp_path, **settings)
    (tmp_path / "part-000002.parquet").unlink()
    (tmp_path / "part-000004.parquet").write_bytes(b"cut")  # written, but the manifest does not name it
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    del manifest["done"]["4"]
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    made, real = [], work.write_part
    monkeypatch.setattr(work, "write_part", lambda rows, file, types: made.append(file.name) or real(rows, file, types))
    explain_dataset(run, digits, tmp_path, **settings)
    assert made == ["part-000002.parquet", "part-000004.parquet"]
    assert digests(tmp_path) == undisturbed


@pytest.mark.parametrize("change", [{"seed": 1}, {"batch_size": 10}, {"target": "9"}, {"kind": "jsonl"}])
def test_results_of_another_job_are_refused(tmp_path: Path, run: Any, digits: Path, change: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"batch_size": ROWS, "progress": False}
    explain_dataset(run, digits, tmp_path, **settings)
    with pytest.raises(UserError, match=r"results of another job: \w+ was .*--out"):
        explain_dataset(run, digits, tmp_path, **(settings | change))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 1, "job": 3, "done": {}}', '{"format_version": 9}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(UserError, match=MANIFEST):
        Parts(tmp_path, {}, 1, "jsonl")


def test_rows_of_the_target_class_have_no_path(tmp_path: Path, run: Any, digits: Path) -> None:
    parts = explain_dataset(run, digits, tmp_path, target="9", kind="jsonl", progress=False)
    present = [row for row in read_results(tmp_path) if row["status"] == work.PRESENT]
    with torch.inference_mode():
        answer = run.world.classifier.predict_proba(run.world.units.inward(np.load(digits))).argmax(1)
    assert [row["row"] for row in present] == (answer == 9).nonzero()[:, 0].tolist()
    assert parts.statuses[work.PRESENT] == len(present) > 0


def test_a_row_that_fails_is_reported_in_its_place(tmp_path: Path) -> None:
    """The classifier refuses some rows, and the table cannot represent one."""
    x = np.random.default_rng(0).normal(size=(200, 3))

    def classifier(rows: np.ndarray) -> np.ndarray:
        if (np.abs(rows[:, 0] - 0.123) < 1e-9).any():
            raise ValueError("no such customer")
        p = 1 / (1 + np.exp(-5 * rows[:, 1]))
        return np.stack([1 - p, p], axis=1)

    world = make_world(data=x, classifier=classifier, class_names=["no", "yes"], manifold="pca", progress=False)
    rows = x[:40].copy()
    rows[7, 0], rows[23, 2] = 0.123, np.nan
    np.save(tmp_path / "rows.npy", rows)
    explain_dataset(world, tmp_path / "rows.npy", tmp_path / "out", walker="line", batch_size=20, progress=False)
    found = read_results(tmp_path / "out")
    assert {row["row"]: row["status"] for row in found if row["status"] == work.LEFT_OUT} == {7: "left out", 23: "left out"}
    assert "no such customer" in found[7]["reason"]
    assert found[23]["reason"]
    assert sum(row["success"] for row in found) > 30
    assert isinstance(found[0]["end_column 1"], float), found[0]


def test_a_classifier_that_always_fails_ends_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(100, 2))
    down = []

    def classifier(rows: np.ndarray) -> np.ndarray:
        if down:
            raise ConnectionError("the server is down")
        p = 1 / (1 + np.exp(-5 * rows[:, 1]))
        return np.stack([1 - p, p], axis=1)

    world = make_world(data=x, classifier=classifier, class_names=["no", "yes"], manifold="pca", progress=False)
    np.save(tmp_path / "rows.npy", x)
    down.append(True)
    with pytest.raises(Exception, match="the server is down"):
        explain_dataset(world, tmp_path / "rows.npy", tmp_path / "out", walker="line", progress=False)
    assert not list((tmp_path / "out").glob("part-*"))


def test_columns_have_the_same_types_in_every_part(tmp_path: Path, run: Any, digits: Path) -> None:
    from pyarrow import parquet

    explain_dataset(run, digits, tmp_path, batch_size=PART, frames=True, progress=False)
    schemas = [parquet.read_schema(file) for file in sorted(tmp_path.glob("part-*"))]
    assert all(schema == schemas[0] for schema in schemas)
    assert str(schemas[0].field("codes").type).count("list<") == 2


def test_a_live_world_is_explained_by_one_process(tmp_path: Path, digits: Path, run: Any) -> None:
    with pytest.raises(UserError, match="jobs=1"):
        explain_dataset(run.world, digits, tmp_path, jobs=2)


def test_missing_libraries_are_named(tmp_path: Path, digits: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"manifold-traversal\[ray\]"):
        explain_dataset(run, digits, tmp_path / "a", engine="ray", progress=False)
    monkeypatch.setattr(dataset, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"manifold-traversal\[parquet\]"):
        explain_dataset(run, digits, tmp_path / "b", kind="parquet")
    with pytest.raises(UserError, match="known are local, ray"):
        explain_dataset(run, digits, tmp_path / "c", engine="spark")


def test_the_command_counts_by_status(tmp_path: Path, digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [RUN, "--engine", "local", "--input", str(digits), "--out", str(tmp_path / "out"), "--part-size", "100"]
    assert main(arguments) == 0
    assert "300 rows in 3 parts" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert sum(json.loads(capsys.readouterr().out)["statuses"].values()) == ROWS
    for wrong in (["--engine", "local"], ["--jobs", "2", "--index", "1"], [*arguments, "--lime", "plain"]):
        with pytest.raises(UserError):
            main([RUN, *wrong] if wrong[0] != RUN else wrong)


# ---- workers, nodes and drivers that are killed --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def in_small_parts(tmp_path_factory: pytest.TempPathFactory, run: Any, digits: Path) -> dict[str, str]:
    """Digests of small parts that one process made."""
    folder = tmp_path_factory.mktemp("small")
    explain_dataset(run, digits, folder, batch_size=SMALL, frames=True, progress=False)
    return digests(folder)


def command(digits: Path, out: Path, *more: str, part: int = SMALL) -> list[str]:
    given = [RUN, "--input", str(digits), "--out", str(out), "--part-size", str(part), "--keep-frames"]
    return [sys.executable, "-m", "agents.explain", *given, *more]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_give_the_same_bytes(tmp_path: Path, digits: Path, undisturbed: dict[str, str]) -> None:
    subprocess.run(command(digits, tmp_path, "--engine", "local", "--jobs", "2", part=PART), check=True)
    assert digests(tmp_path) == undisturbed


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_driver_loses_only_the_parts_under_way(tmp_path: Path, digits: Path, in_small_parts: dict[str, str]) -> None:
    driver = subprocess.Popen(command(digits, tmp_path, "--engine", "local", "--jobs", "2"), start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("part-*")) and driver.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(driver.pid, signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    assert 0 < len(digests(tmp_path)) < len(in_small_parts)
    explain_dataset(RUN, digits, tmp_path, batch_size=SMALL, frames=True, progress=False)
    assert digests(tmp_path) == in_small_parts
    assert [row["row"] for row in read_results(tmp_path)] == list(range(ROWS))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_node_is_replaced(tmp_path: Path, digits: Path, in_small_parts: dict[str, str]) -> None:
    """Two nodes of a Ray cluster; one is removed as soon as a part is there."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    node = cluster.add_node(num_cpus=1)
    try:
        driver = subprocess.Popen(
            command(digits, tmp_path, "--engine", "ray", "--jobs", "2", "--address", cluster.address),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 240
        while not list(tmp_path.glob("part-*")) and driver.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        before = len(digests(tmp_path))
        cluster.remove_node(node, allow_graceful=False)
        output, _ = driver.communicate(timeout=400)
        assert driver.returncode == 0, output
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert 0 < before < len(in_small_parts)
    assert digests(tmp_path) == in_small_parts


def test_scores_are_columns_and_goals_out_of_reach_are_named(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(60, 3)).round(3)
    world = make_world(data=rows, classifier=lambda x: 30 * x[:, 0], outputs="score", manifold="pca", progress=False)
    np.save(tmp_path / "rows.npy", rows[:6])
    explain_dataset(world, tmp_path / "rows.npy", tmp_path / "out", target="+20 %", walker="line", progress=False)
    found = read_results(tmp_path / "out")
    explained = [row for row in found if row["status"] == "explained"]
    assert explained
    for row in explained:
        assert row["score_first"] == pytest.approx(30 * rows[row["row"], 0], rel=1e-4)
        assert row["score_end"] >= row["score_first"] + 0.2 * abs(row["score_first"]) - 1e-3
    np.save(tmp_path / "far.npy", np.array([rows[np.argmax(rows[:, 0])], rows[0]]))
    explain_dataset(world, tmp_path / "far.npy", tmp_path / "far", target="+20 %", walker="line", progress=False)
    far = read_results(tmp_path / "far")[0]
    assert far["status"] == "left out"
    assert "no reference row is at the goal" in far["reason"]


def test_the_command_without_a_run_walks_the_line(tmp_path: Path) -> None:
    from agents.engine.parts import read_results
    from agents.explain import main

    (tmp_path / "rows.csv").write_text("a,b\n" + "\n".join(f"{k / 7:.3f},{(k * 5) % 11}" for k in range(40)))
    flags = ["--data", str(tmp_path / "rows.csv"), "--classifier", f"{__name__}:above", "--manifold", "pca"]
    flags += ["--env-kwargs", "class_names:['low', 'high']"]
    assert main([*flags, "--engine", "local", "--input", str(tmp_path / "rows.csv"), "--out", str(tmp_path / "out")]) == 0
    assert {row["walker"] for row in read_results(tmp_path / "out")} == {"line"}


def above(rows: Any) -> Any:
    """Class `high` where the first column is large."""
    return 1 / (1 + np.exp(-4 * (np.asarray(rows, dtype=float)[:, 0] - 3)))
