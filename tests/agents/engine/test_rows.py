"""Rows of files by number."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents
from agents.console.cli import UserError
from agents.engine.dataset import explain_dataset
from agents.engine.parts import read_results
from agents.engine.rows import open_rows
from agents.engine.work import LEFT_OUT
from envs import make_world

pandas = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def table() -> Any:
    rng = np.random.default_rng(0)
    return pandas.DataFrame(
        {"age": rng.integers(18, 80, 120), "work": rng.choice(["office", "field"], 120), "hours": rng.normal(40, 8, 120)}
    )


@pytest.fixture(scope="module")
def world(table: Any) -> Any:
    def classifier(rows: Any) -> np.ndarray:
        p = 1 / (1 + np.exp(-(rows["hours"].to_numpy() - 40) / 2))
        return np.stack([1 - p, p], axis=1)

    return make_world(data=table, classifier=classifier, class_names=["no", "yes"], progress=False)


def test_parquet_is_read_by_parts_across_row_groups(tmp_path: Path, world: Any, table: Any) -> None:
    table[["work", "hours", "age"]].assign(other=1).to_parquet(tmp_path / "rows.parquet", row_group_size=7)
    rows = open_rows(world, tmp_path / "rows.parquet")
    assert rows.size == 120
    for start, stop in ((0, 1), (5, 9), (6, 7), (13, 120), (0, 120)):
        found = rows.read(start, stop)
        expected = table.iloc[start:stop].reset_index(drop=True)
        pandas.testing.assert_frame_equal(found[list(table.columns)].reset_index(drop=True), expected)


def test_parquet_and_csv_give_the_same_results(tmp_path: Path, world: Any, table: Any) -> None:
    table.to_parquet(tmp_path / "rows.parquet")
    table.to_csv(tmp_path / "rows.csv", index=False)
    found = []
    for name in ("rows.parquet", "rows.csv"):
        explain_dataset(world, tmp_path / name, tmp_path / f"out_{name}", walker="line", batch_size=50, progress=False)
        found.append(read_results(tmp_path / f"out_{name}"))
    assert found[0] == found[1]
    assert {"end_age", "end_work", "end_hours"} <= set(found[0][0])
    assert isinstance(found[0][0]["end_work"], str)


def test_a_csv_row_that_the_table_cannot_hold_keeps_its_number(tmp_path: Path, world: Any, table: Any) -> None:
    changed = table.head(10).copy()
    changed.loc[3, "work"] = "moon"
    changed.to_csv(tmp_path / "rows.csv", index=False)
    explain_dataset(world, tmp_path / "rows.csv", tmp_path / "out", walker="line", progress=False)
    found = read_results(tmp_path / "out")
    assert [row["row"] for row in found] == list(range(10))
    assert [row["row"] for row in found if row["status"] == LEFT_OUT] == [3]
    assert "moon" in found[3]["reason"]


def test_a_folder_of_pictures_is_in_the_order_of_the_names(tmp_path: Path) -> None:
    from PIL import Image

    digits = make_world(data="digits")
    pictures = (digits.reference.x[:3].numpy() * 255).astype(np.uint8)
    for k, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{k}.png")
    rows = open_rows(digits, tmp_path)
    assert rows.size == 3
    np.testing.assert_allclose(rows.read(1, 3), pictures[1:] / 255, atol=1e-6)


def test_files_that_do_not_fit_are_named(tmp_path: Path, world: Any, table: Any) -> None:
    with pytest.raises(UserError, match="no such file"):
        open_rows(world, tmp_path / "none.parquet")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match="no Parquet file"):
        open_rows(world, tmp_path / "cut.parquet")
    table[["age"]].to_parquet(tmp_path / "few.parquet")
    with pytest.raises(UserError, match=r"lacks the columns \['work', 'hours'\]"):
        open_rows(world, tmp_path / "few.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures"):
        open_rows(world, tmp_path / "empty")


def test_an_explainer_writes_what_pandas_reads_as_one_folder(tmp_path: Path, world: Any, table: Any) -> None:
    table.to_parquet(tmp_path / "rows.parquet")
    agents.Explainer(world, "line").explain_dataset(
        tmp_path / "rows.parquet", tmp_path / "out", batch_size=50, kind="parquet", progress=False
    )
    found = pandas.read_parquet(tmp_path / "out")
    assert found["row"].tolist() == list(range(120))
    assert found["end_hours"].dtype == float
