"""Run folders: numbering, whole checkpoints, and errors on missing or damaged ones."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.console.cli import UserError
from agents.files import write_whole
from agents.runs import checkpoint_files
from agents.runs.checkpoint_files import read_tree, write_tree
from agents.runs.folder import RunFolder

CONFIG = {"algo": "ppo", "env": {"id": "A/B-v0", "kwargs": {}}, "hyperparameters": {}, "seed": 0, "n_envs": 1}


def a_run(root: Path, steps: tuple[int, ...] = (10, 20)) -> RunFolder:
    folder = RunFolder.create(root, "ppo", "A/B-v0")
    folder.write_config({**CONFIG, "n_timesteps": 100})
    for s in steps:
        folder.save_checkpoint(s, {"policy": {"w": torch.full((2,), float(s))}, "progress": {"n": s, "x": np.arange(s)}})
    return folder


def test_numbers_go_up_and_processes_at_once_get_distinct_ones(tmp_path: Path) -> None:
    assert RunFolder.create(tmp_path, "ppo", "A/B-v0").root == tmp_path / "ppo" / "A-B-v0_1"
    (tmp_path / "ppo" / "A-B-v0_7").mkdir()
    (tmp_path / "ppo" / "A-B-v0_old").mkdir()
    assert RunFolder.create(tmp_path, "ppo", "A/B-v0").root.name == "A-B-v0_8"
    # Processes of their own: a fork of this one may inherit locks that threads of other tests hold.
    program = (
        "import sys; from agents.runs.folder import RunFolder\n"
        "for _ in range(6): print(RunFolder.create(sys.argv[1], 'ppo', 'A/B-v0').root)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    made = [line for process in running for line in process.communicate()[0].splitlines()]
    assert len(made) == len(set(made)) == 24


def test_checkpoints_come_back_whole(tmp_path: Path) -> None:
    run = RunFolder.open(a_run(tmp_path).root)
    assert run.checkpoints() == [10, 20]
    assert run.latest_checkpoint() == 20
    state = run.load_checkpoint()
    assert state["policy"]["w"].tolist() == [20.0, 20.0]
    np.testing.assert_array_equal(state["progress"]["x"], np.arange(20))
    assert run.load_checkpoint(10, only=("policy",)).keys() == {"policy"}
    with pytest.raises(UserError, match="no checkpoint at 15 steps; it has \\[10, 20\\]"):
        run.load_checkpoint(15)
    modes = {p.name: p.stat().st_mode & 0o077 for p in (run.root / "checkpoints" / "10").iterdir()}
    assert len(set(modes.values())) == 1  # as the umask says, all alike


def test_only_the_newest_are_kept_if_asked(tmp_path: Path) -> None:
    run = a_run(tmp_path, (1, 2, 3))
    run.save_checkpoint(4, {"policy": {"w": torch.zeros(1)}}, keep=2)
    assert run.checkpoints() == [3, 4]


def test_open_finds_latest_and_shorthands(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run in"):
        RunFolder.open("latest", tmp_path)
    first, second = a_run(tmp_path), a_run(tmp_path)
    os.utime(first.root / "config.json", (1, 1))
    assert RunFolder.open("latest", tmp_path).root == second.root
    assert RunFolder.open("ppo/A-B-v0_1", tmp_path).root == first.root
    assert RunFolder.open("A-B-v0_1", tmp_path).root == first.root
    assert RunFolder.open(first.root / "config.json").root == first.root
    with pytest.raises(UserError, match=r"no run folder 'A-B-v0_9'.*known.*A-B-v0_1"):
        RunFolder.open("A-B-v0_9", tmp_path)


def test_the_example_is_offered_where_there_is_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "example").mkdir()
    (tmp_path / "example" / "config.json").write_text("{}")
    with pytest.raises(UserError, match="example"):
        RunFolder.open("latest", root=tmp_path)
    with pytest.raises(UserError, match=r"known: .*example"):
        RunFolder.open("exmple", root=tmp_path)


@pytest.mark.parametrize("name", ["policy.safetensors", "progress.npz", "progress.json"])
def test_damage_is_named(tmp_path: Path, name: str) -> None:
    run = a_run(tmp_path)
    file = run.root / "checkpoints" / "20" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}.*damaged.*sha256.*other checkpoints of this run: 10"):
        RunFolder.open(run.root).load_checkpoint(20)
    file.unlink()
    with pytest.raises(UserError, match=rf"{name}.*missing"):
        RunFolder.open(run.root).load_checkpoint(20)
    with pytest.warns(UserWarning, match=rf"{name}.*missing.*skipped, and the checkpoint at 10 steps is taken"):
        assert RunFolder.open(run.root).load_checkpoint()["progress"]["n"] == 10
    (run.root / "checkpoints" / "10" / name).unlink()
    with pytest.raises(UserError, match=rf"20/{name}.*missing"):
        RunFolder.open(run.root).load_checkpoint()


def test_damaged_manifest_and_config_are_named(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    manifest, config = run.root / "checkpoints" / "20" / "manifest.json", run.root / "config.json"
    kept = manifest.read_text()
    for content, word in (("{", "damaged"), ("[]", "damaged"), ("{}", "damaged"), ("\xff", "damaged")):
        manifest.write_bytes(content.encode("latin-1"))
        with pytest.raises(UserError, match=rf"manifest.json.*{word}"):
            RunFolder.open(run.root).load_checkpoint(20)
    manifest.unlink()
    with pytest.raises(UserError, match=r"manifest.json.*missing"):
        RunFolder.open(run.root).load_checkpoint(20)
    with pytest.warns(UserWarning, match=r"manifest.json.*missing.*is skipped"):
        assert RunFolder.open(run.root).latest_checkpoint() == 10
    manifest.write_text(kept)
    told = json.loads(config.read_text())
    config.write_text(json.dumps({k: v for k, v in told.items() if k != "seed"}))
    with pytest.raises(UserError, match=r"config.json.*lacks seed"):
        RunFolder.open(run.root)
    config.write_text(json.dumps({**told, "format_version": 99}))
    with pytest.raises(UserError, match="format version 99"):
        RunFolder.open(run.root)
    config.unlink()
    with pytest.raises(UserError, match=r"no config.json"):
        RunFolder.open(run.root)


def test_an_empty_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no checkpoint"):
        a_run(tmp_path, ()).load_checkpoint()


def test_a_full_disk_leaves_the_older_checkpoints_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(tmp_path)
    original = checkpoint_files.write_tree

    def full(folder: Path, name: str, tree: Any) -> None:
        original(folder, name, tree)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint_files, "write_tree", full)
    with pytest.raises(OSError, match="No space left"):
        run.save_checkpoint(30, {"policy": {"w": torch.zeros(2)}, "progress": {"n": 30}})
    with pytest.raises(OSError, match="No space left"):
        run.save_checkpoint(20, {"policy": {"w": torch.zeros(2)}, "progress": {"n": 30}})
    assert sorted(p.name for p in (run.root / "checkpoints").iterdir()) == ["10", "20"]
    assert RunFolder.open(run.root).load_checkpoint()["progress"]["n"] == 20


def test_write_whole_keeps_the_old_content_on_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.json"
    write_whole(file, "old")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert file.read_text() == "old"


def test_an_unwritable_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--log-folder"):
        RunFolder.create(tmp_path / "file", "ppo", "A/B-v0")


def test_trees_come_back_bit_for_bit(tmp_path: Path) -> None:
    tree = {
        "text": "é",
        "big": 2**127 + 1,
        "float": 0.1 + 0.2,
        "nothing": None,
        "yes": True,
        "list": [1, (2, "x"), {"a": np.float32(0.1)}],
        3: {"@": "not a mark", "array": np.arange(6, dtype=np.uint64).reshape(2, 3) + np.uint64(2**63)},
        "tensor": torch.tensor([0.1, float("inf")]),
        "bool": np.array([True, False]),
        "empty": np.zeros((0, 3)),
        "infinite": float("-inf"),
    }
    write_tree(tmp_path, "tree", tree)
    back = read_tree(tmp_path, "tree")
    assert list(map(str, sorted(map(str, back)))) == sorted(map(str, tree))
    for key in ("text", "big", "float", "nothing", "yes", "infinite"):
        assert back[key] == tree[key]
    assert back["list"] == tree["list"]
    assert back["list"][2]["a"].dtype == np.float32
    assert back[3]["@"] == "not a mark"
    np.testing.assert_array_equal(back[3]["array"], tree[3]["array"])  # type: ignore[index]
    assert back[3]["array"].dtype == np.uint64
    assert torch.equal(back["tensor"], tree["tensor"])
    assert back["bool"].dtype == bool
    assert back["empty"].shape == (0, 3)


def test_objects_are_refused_when_saved_and_pickles_when_read(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"tree\.a\[1\] is a Path|tree\.a\[1\] is a PosixPath"):
        write_tree(tmp_path, "tree", {"a": [1, tmp_path]})

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path(tmp_path / "ran").touch, ())

    run = a_run(tmp_path / "runs", (10,))
    folder = run.root / "checkpoints" / "10"
    (folder / "optimizers.pt").write_bytes(pickle.dumps(Evil()))
    with open(folder / "extra.npz", "wb") as file:
        np.savez(file, a0=np.array([Evil()], dtype=object))
    (folder / "extra.json").write_text('{"@": "array", "key": "a0"}')
    for name in ("optimizers", "extra"):
        with pytest.raises((pickle.UnpicklingError, ValueError)):
            checkpoint_files.read_state(folder, only=(name,))
    assert not (tmp_path / "ran").exists()


def test_an_sb3_zip_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.zip"
    file.write_bytes(b"")
    with pytest.raises(UserError, match=r"unpickles.*runs whatever code.*--trust"):
        RunFolder.open(file)


def test_latest_is_the_run_that_was_trained_last_whatever_was_touched(tmp_path: Path) -> None:
    times = {"2026-01-02T00:00:00+00:00": 2, "2026-01-03T00:00:00.250+00:00": 1, "2026-01-03T00:00:00+00:00": 3}
    made = {}
    for created, touched in times.items():
        folder = RunFolder.create(tmp_path, "ppo", "A/B-v0")
        folder.write_config({**CONFIG, "n_timesteps": 100, "created": created})
        for file in folder.root.rglob("*"):
            os.utime(file, (touched, touched))
        made[created] = folder
    newest = made["2026-01-03T00:00:00.250+00:00"]
    assert RunFolder.open("latest", tmp_path).root == newest.root
    oldest = made["2026-01-02T00:00:00+00:00"]
    for file in (oldest.root, *oldest.root.rglob("*")):
        os.utime(file)
    assert RunFolder.open("latest", tmp_path).root == newest.root
    with oldest.lock():  # it is trained further
        pass
    assert RunFolder.open("latest", tmp_path).root == oldest.root


def test_latest_leaves_a_damaged_run_out(tmp_path: Path) -> None:
    good, bad = a_run(tmp_path), a_run(tmp_path)
    (bad.root / "config.json").write_text("{")
    with pytest.warns(UserWarning, match=r"A-B-v0_2.*config.json.*damaged.*not taken for the latest"):
        assert RunFolder.open("latest", tmp_path).root == good.root


def test_latest_counts_runs_that_say_no_time(tmp_path: Path) -> None:
    for _ in range(11):
        last = a_run(tmp_path)
    assert RunFolder.open("latest", tmp_path).root == last.root  # the 11th, not the 9th
