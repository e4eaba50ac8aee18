"""Damaged files of every kind are read or end in a named error: no traceback, no hang."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.console.cli import UserError
from agents.runs.run import load_run, totals_of
from agents.train import report, train
from agents.trajectories.trajectory import Trajectory
from envs import ManifoldError
from envs.reading.checks import number, whole
from envs.reading.files import DEEPEST, member, parse_json, read_bytes, read_json, read_npy, read_npz, read_text, read_yaml
from tests.benchmarks.faults.campaign import run_kind
from tests.benchmarks.faults.kinds import KINDS

STATES = ("training state", "environments' state", "curiosity's state", "random state", "progress", "summary")
SLOW = {"run": 40, "environment of a path": 60, **dict.fromkeys(STATES, 20)}  # each of these mutants takes a world or a model
TOLERANT = ("metrics", "lock")  # damaged lines are dropped; a damaged lock names no process


@pytest.mark.parametrize("kind", KINDS)
def test_mutants_are_read_or_end_in_a_named_error(kind: str, tmp_path: Path) -> None:
    result = run_kind(kind, SLOW.get(kind, 200), tmp_path / "files")
    assert not result.failures, "\n".join(f"seed {seed}: {told}" for seed, told in result.failures[:5])
    assert not result.ran
    assert result.named > 0 or kind in TOLERANT


@pytest.mark.slow
@pytest.mark.parametrize("kind", SLOW)
def test_as_many_mutants_of_the_slow_kinds(kind: str, tmp_path: Path) -> None:
    result = run_kind(kind, 200, tmp_path / "files")
    assert not result.failures, "\n".join(f"seed {seed}: {told}" for seed, told in result.failures[:5])
    assert not result.ran


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000, "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1)])
def test_deep_json_is_a_named_error(text: str) -> None:
    with pytest.raises(ManifoldError, match=f"config.*nested more than {DEEPEST} deep|config.*damaged"):
        parse_json(text, "config.json")


def test_long_numbers_are_a_named_error() -> None:
    with pytest.raises(ManifoldError, match=r"config.json.*5,000 digits"):
        parse_json('{"a": ' + "9" * 5000 + "}", "config.json")
    assert parse_json(f'{{"a": {2**127}}}', "config.json") == {"a": 2**127}  # the state of a generator


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_devices_and_folders_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder").mkdir()
    for place, told in ((tmp_path / "pipe.csv", "a pipe"), (Path("/dev/zero"), "a device"), (tmp_path / "folder", "a folder")):
        with pytest.raises(ManifoldError, match=told):
            read_bytes(place)
    (tmp_path / "large").write_bytes(b"x" * 100)
    with pytest.raises(ManifoldError, match="100 bytes; at most 50"):
        read_bytes(tmp_path / "large", 50)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "none")
    with pytest.raises(ManifoldError, match="is not a file name"):
        read_bytes("a\0b")


def test_what_an_archive_declares_is_checked_before_it_is_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w", force_zip64=True) as stream:
        for _ in range(40):
            stream.write(bytes(1 << 20))
    with pytest.raises(ManifoldError, match="would unpack from"):
        read_npz(file, limit=1 << 20)
    with pytest.raises(ManifoldError, match="would unpack from"):
        read_npz(file, limit=(1 << 20) * 39)
    # A header may declare what its bytes don't hold.
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
    (tmp_path / "huge.npy").write_bytes(content.getvalue())
    with pytest.raises(ManifoldError, match=r"shape \(1000000000000,\)"):
        read_npy(tmp_path / "huge.npy")


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    arrays = {
        "plain": np.arange(6, dtype=np.int16).reshape(2, 3), "fortran": np.asfortranarray(np.random.rand(3, 4)),  # noqa: NPY002
        "empty": np.zeros((0, 3)), "scalar": np.array(2.5), "texts": np.array(["a", "bc"]), "flags": np.array([True, False]),
        "big": np.arange(3, dtype=">f8"),
    }  # fmt: skip
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    for name, found in read_npz(tmp_path / "a.npz").items():
        np.testing.assert_array_equal(found, arrays[name])
        assert (found.dtype, found.shape) == (arrays[name].dtype, arrays[name].shape)
        assert found.flags.writeable
    np.save(tmp_path / "a.npy", arrays["fortran"])
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), arrays["fortran"])


def test_texts_and_yaml_name_the_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ManifoldError, match=r"a.yml, line 2.*0xff"):
        read_text(file)
    file.write_text("a: &x [1]\nb: *x\n")
    with pytest.raises(ManifoldError, match=r"a.yml, line 2: aliases"):
        read_yaml(file)
    file.write_text("a: 2020-99-99\n")
    with pytest.raises(ManifoldError, match=r"a\.yml"):
        read_yaml(file)
    file.write_bytes(b"\xef\xbb\xbf{}")  # a byte order mark
    assert read_json(file) == {}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "C:a", "a\0", 3, None])
def test_members_have_plain_names(name: object, tmp_path: Path) -> None:
    with pytest.raises(ManifoldError, match="not a name of a file in that folder"):
        member(tmp_path, name)


@pytest.mark.parametrize("value", [True, "1", None, 1.5, -1, 11, 10**400, np.float32(2)])
def test_whole_numbers_are_checked(value: object) -> None:
    with pytest.raises(ManifoldError, match=r"step.*whole number of at least 0 and at most 10"):
        whole(value, "step", 0, 10)


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), 0, 1.5, 10**400])
def test_numbers_are_checked(value: object) -> None:
    with pytest.raises(ManifoldError, match=r"gamma.*number above 0 and at most 1"):
        number(value, "gamma", 0, 1, above=True)


def test_numbers_of_numpy_are_numbers() -> None:
    assert whole(np.int64(3), "n") == 3
    assert number(np.float32(0.5), "p", 0, 1) == 0.5


def test_the_example_is_read() -> None:
    files = sorted((Path(__file__).parents[2] / "runs" / "example" / "paths").glob("*.npz"))
    assert files
    assert all(Trajectory.load(file).steps for file in files)


def test_a_training_is_reported_with_the_counts_of_its_checkpoint_where_the_summary_lacks_them(tmp_path: Path) -> None:
    quick: dict[str, Any] = {"n_timesteps": 64, "n_envs": 4, "eval_episodes": 4, "hyperparams": {"n_steps": 16}}
    run = train(**quick, log_folder=str(tmp_path), progress=False, pictures=False)
    whole = json.loads((run.folder.root / "summary.json").read_text())
    (run.folder.root / "summary.json").write_text(json.dumps({**dict.fromkeys(whole), "steps": 64}))
    again = load_run(run.folder.root)
    assert again.progress["training_queries"] == run.progress["training_queries"]
    assert again.evaluation == {}
    assert "success rate" not in report(again)
    with pytest.raises(UserError, match="is damaged: seconds is None"):
        totals_of(run.folder, 64, {**again.progress, "seconds": None})
