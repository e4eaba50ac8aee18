"""Output in any encoding, files in UTF-8 on every system, no home folder, `~` in paths, another working directory."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.console.cli import ScriptConfig, parse_config, run_main, write_any_text
from agents.explain import ExplainConfig
from agents.explain import main as explain
from agents.runs.folder import RunFolder
from agents.train import train
from envs.files import in_home

ROOT = Path(__file__).resolve().parents[2]
FLOWERS = ["--env", "Manifold/Custom-v0", "--walker", "line", "--index", "0"]


@pytest.fixture
def flowers(tmp_path: Path) -> list[str]:
    """Arguments of `agents.explain` for flowers whose classes have names that few terminals can show."""
    names = ascii(["山鳶尾", "変色鳶尾→", "é…"])
    return [*FLOWERS, "--env-kwargs", "data:iris", f"class_names:{names}", "--out", str(tmp_path / "out")]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_scripts_write_into_any_terminal(encoding: str, flowers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
    monkeypatch.setattr("sys.stdout", streams[0])
    monkeypatch.setattr("sys.stderr", streams[1])
    assert run_main(explain, [*flowers, "--format", "json"]) == 0
    assert run_main(explain, [*FLOWERS, "--input", "山.csv", "--target", "é→"]) == 2
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)  # type: ignore[attr-defined]
    assert ("\\u5909" in out) == (encoding != "utf-8")
    assert err.startswith("error: ")


def test_signs_that_a_terminal_lacks_are_spelt(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    write_any_text()
    print("a → b … 猫 █ é \udc80")
    stream.flush()
    assert stream.buffer.getvalue() == b"a -> b ... \\u732b ? \\xe9 \\udc80\n"  # type: ignore[attr-defined]


def test_a_bare_system_runs_the_scripts(tmp_path: Path, flowers: list[str]) -> None:
    """No home, no locale, another working directory, a strict umask; and every warning is an error."""
    bare = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS")}
    bare |= {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    before = os.umask(0o077)
    try:
        strict, formats = ["-X", "dev", "-W", "error"], ["--format", "npz", "png", "json", "gif"]
        command = [sys.executable, *strict, "-m", "agents.explain", *flowers, *formats]
        done = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, check=False)
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    done.stdout.decode("ascii")
    files = list((tmp_path / "out").iterdir())
    assert sorted(file.suffix for file in files) == [".gif", ".json", ".npz", ".png"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    told = json.loads(next(file for file in files if file.suffix == ".json").read_text(encoding="utf-8"))
    assert told["class_names"] == ["山鳶尾", "変色鳶尾→", "é…"]


@pytest.mark.parametrize("package", ["agents", "envs", "vime"])
def test_every_text_file_is_opened_with_its_encoding(package: str) -> None:
    """Python's default is the locale's, which is not UTF-8 everywhere."""
    found = []
    for file in sorted((ROOT / package).rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and _opens_text(call) and "encoding" not in {word.arg for word in call.keywords}:
                found.append(f"{file.relative_to(ROOT)}:{call.lineno}")
    assert found == []


def _opens_text(call: ast.Call) -> bool:
    """Whether a call opens a file as text: read_text, write_text, or open without a mode of bytes."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("read_text", "write_text"):
        return isinstance(call.func, ast.Attribute)
    owner = call.func.value.id if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) else ""
    if name != "open" or owner in ("os", "Image", "RunFolder", "gzip", "archive"):
        return False
    modes = [part.value for part in [*call.args, *(word.value for word in call.keywords)] if isinstance(part, ast.Constant)]
    return not any(isinstance(mode, str) and "b" in mode for mode in modes)


def test_a_tilde_is_the_home_wherever_a_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    config = parse_config(ExplainConfig, ["~/runs/a", "--out=~/out", "--target=~x", "-f", "~/runs"])
    assert (config.run, config.out, config.target, config.log_folder) == (
        str(tmp_path / "runs" / "a"), str(tmp_path / "out"), "~x", str(tmp_path / "runs")
    )  # fmt: skip
    assert in_home(3) == 3
    assert isinstance(config, ScriptConfig)
    x = np.random.default_rng(0).normal([5, 3, 4, 1], 1.0, (60, 4))
    np.savez(tmp_path / "own.npz", x=x)
    (tmp_path / "short_or_long.py").write_text(
        "import numpy as np\ndef model(x):\n    p = 1 / (1 + np.exp(4 - x[:, 2]))\n    return np.stack([1 - p, p], axis=1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    small = {"n_steps": 8, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}}
    own = {"data": "~/own.npz", "classifier": "short_or_long:model", "manifold": "pca"}
    run = train(**own, env_kwargs={"class_names": ["a", "b"]}, log_folder="~/runs", n_timesteps=16, n_envs=2,
                hyperparams=small, eval_episodes=0, pictures=False)  # fmt: skip
    assert run.folder.root.is_relative_to(tmp_path / "runs")
    assert RunFolder.open("~/runs/ppo/Manifold-Custom-v0_1").root == run.folder.root
    assert RunFolder.open("latest", "~/runs").root == run.folder.root
