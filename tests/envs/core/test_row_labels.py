"""Rows keep the numbers of the user's file or data frame, whichever split they are in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import envs
from envs.core.row_labels import RowLabels, plain_label
from envs.errors import ManifoldError

FAST: dict[str, Any] = {"manifold": "pca", "latent_dim": 2, "progress": False}


def people(n: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"age": random.integers(18, 80, n), "work": random.choice(["a", "b"], n)})
    return frame.assign(rich=np.where(frame["age"] + random.normal(0, 5, n) > 50, "yes", "no"))


def test_rows_of_a_file_keep_their_numbers_and_lines(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    text = people().to_csv(index=False).splitlines()
    file.write_text("\n".join([*text[:5], "", *text[5:]]) + "\n")  # an empty line, which is not a row
    world = envs.make_world(data=str(file), target_column="rich", **FAST)
    known = world.row_labels
    assert known is not None
    assert sorted([*known.reference, *known.held_out]) == list(range(60))
    again = pd.read_csv(file)
    for split, rows in (("reference", world.reference.cells), ("held_out", world.held_out.cells)):
        assert rows is not None
        assert world.units.as_frame(rows)["age"].tolist() == again["age"].iloc[list(known.of(split))].tolist()  # type: ignore[attr-defined]
    assert known.words(3) == "row 3 (line 5 of the file)"
    assert known.words(4) == "row 4 (line 7 of the file)"
    with pytest.raises(ManifoldError, match="row 60 is not in the file: it has the rows 0 to 59"):
        known.place(60)


def test_rows_of_a_frame_keep_their_labels() -> None:
    frame = people().rename(columns={"age": "years"}).set_index(pd.Index([f"p{k}" for k in range(60)]))
    x, later = frame[["years"]].iloc[:40], frame[["years"]].iloc[40:]
    model = LogisticRegression().fit(x, frame["rich"].iloc[:40])
    world = envs.make_world(data=x, held_out=later, classifier=model, **{**FAST, "latent_dim": 1})
    assert world.row_labels == RowLabels(list(x.index), list(later.index))
    assert world.row_labels.place("p41") == ("held_out", 1)
    assert world.replace(tau=0.8).row_labels is world.row_labels
    assert world.replace(held_out=world.held_out).row_labels is None  # other rows, perhaps
    with pytest.raises(ManifoldError, match=r"no row of the data frame has the label 3; its index begins with 'p0'"):
        world.row_labels.place(3)


def test_two_rows_of_one_label_are_refused() -> None:
    with pytest.raises(ManifoldError, match="2 rows of the data frame have the label 1: make its index unique"):
        RowLabels([0], [1, 1]).place(1)


def test_arrays_have_no_labels() -> None:
    assert envs.make_world(data="iris", progress=False).row_labels is None


def test_labels_are_plain_in_files() -> None:
    assert [plain_label(label) for label in (np.int64(3), "a", 2.5, True, pd.Timestamp("2020-01-01"))] == [
        3, "a", "2.5", "True", "2020-01-01 00:00:00",
    ]  # fmt: skip
