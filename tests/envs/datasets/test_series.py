"""Files of series: .ts and .csv, read and refused."""

from __future__ import annotations

import numpy as np
import pytest

import envs
from envs.datasets.oscillator import CLASSES, load
from envs.datasets.series import load_series_csv, load_ts, read_ts
from envs.errors import ManifoldError, UnknownNameError

HEADER = "#made here\n@problemName Two\n@univariate true\n@classLabel true a b\n@data\n"


def written(folder, text, name="x.ts"):
    (folder / name).write_text(text)
    return folder / name


def as_ts(x: np.ndarray, labels: list[str]) -> str:
    lines = [":".join([*(",".join(map(repr, channel.tolist())) for channel in row), label])
             for row, label in zip(x, labels, strict=True)]  # fmt: skip
    return HEADER + "\n".join(lines) + "\n"


@pytest.mark.parametrize("channels", [1, 3])
def test_a_ts_file_comes_back_as_it_was_written(tmp_path, channels):
    x = np.random.default_rng(0).standard_normal((6, channels, 9))
    labels = ["a", "b"] * 3
    found, told, names = read_ts(written(tmp_path, as_ts(x, labels)))
    assert np.array_equal(found, x[:, 0] if channels == 1 else x)
    assert (told, names) == (labels, ["a", "b"])


def test_train_and_test_files_that_lie_together_are_the_split(tmp_path):
    x = np.random.default_rng(0).standard_normal((8, 1, 9))
    written(tmp_path, as_ts(x[:6], ["a", "b"] * 3), "Two_TRAIN.ts")
    written(tmp_path, as_ts(x[6:], ["b", "a"]), "Two_TEST.ts")
    data = load_ts(tmp_path / "Two_TRAIN.ts")
    assert data.x.shape == (6, 9)
    assert data.held_out_truth.tolist() == [1, 0]
    assert data.class_names == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEADER + "1,2,3:a\n1,2:b\n", "line 7: 1 channels of .2. points, line 6 has 1 of 3"),
        (HEADER + "1,?,3:a\n1,2,3:b\n", "line 6: holds a gap"),
        (HEADER + "1,x,3:a\n1,2,3:b\n", "line 6: holds no numbers"),
        (HEADER + "1,2,3:c\n1,2,3:b\n", "'c'"),
        (HEADER + "1,2,3:a\n", "holds 1 series"),
        ("1,2,3\n", "line 1: a line such as @data"),
        ("@\n" + HEADER + ":a\n1,2,3:b\n", "holds no numbers"),
        (HEADER + "a\n1,2,3:b\n", "line 6: a class without a series"),
        (HEADER.replace("@univariate", "@timeStamps true\n@univariate") + "(1,2):a\n", "time stamps"),
    ],
)
def test_damaged_ts_files_are_refused_with_their_line(tmp_path, text, told):
    with pytest.raises(ManifoldError, match=told):
        load_ts(written(tmp_path, text))


def test_a_missing_ts_file_is_named(tmp_path):
    with pytest.raises(ManifoldError, match=r"no data file .*none\.ts"):
        envs.make_world(data=tmp_path / "none.ts")


def test_the_columns_of_a_csv_file_are_points(tmp_path):
    x = np.random.default_rng(0).standard_normal((20, 4)).round(3)
    lines = ["kind,t0,t1,t2,t3", *(f"{'ab'[k % 2]},{','.join(map(str, row))}" for k, row in enumerate(x.tolist()))]
    file = written(tmp_path, "\n".join(lines), "x.csv")
    data = load_series_csv(file, "kind")
    assert data.x.shape == (14, 4)
    assert np.array_equal(data.x, x[data.labels])
    assert [data.class_names[k] for k in data.truth] == ["ab"[row % 2] for row in data.labels]
    with pytest.raises(ManifoldError, match=r"line 2, column 'kind' is 'a'.*--target-column"):
        load_series_csv(file)
    with pytest.raises(UnknownNameError, match="kind"):
        load_series_csv(file, "kin")


def test_oscillators_are_the_same_for_the_same_seed():
    one, other = load(seed=3), load(seed=3)
    assert np.array_equal(one.x, other.x)
    assert not np.array_equal(one.x, load(seed=4).x)
    assert np.bincount(one.truth).tolist() == [200] * len(CLASSES)
