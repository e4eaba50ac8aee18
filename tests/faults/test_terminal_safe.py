"""Control characters in names of classes, columns and files are shown on a terminal, never sent to it."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.table import Table
from tqdm import tqdm

import envs
from agents import explain, replay, train
from agents.console.cli import UserError, run_main
from agents.console.terminal import VisibleStream, console, visible, visible_output
from agents.explanation.output import step_table
from agents.training.diagnosis import ClassFacts, Diagnosis, lines_of
from agents.trajectories.trajectory import Trajectory

CLASSIFIER = """
import numpy as np


def classify(rows):
    p = 1 / (1 + np.exp(-4 * rows[:, 0]))
    return np.stack((1 - p, p), 1)
"""
EVIL = "\x1b[2J\x1b]0;owned\x07no\r\x9b31m\u202e"
SENT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_what_is_shown_of_a_name() -> None:
    assert visible(EVIL) == "\\x1b[2J\\x1b]0;owned\\x07no\\x0d\\x9b31m\\u202e"
    assert visible("naïve → 日本\tx\n") == "naïve → 日本\tx\n"
    assert visible(visible(EVIL)) == visible(EVIL)
    assert visible("\ud800") == "\\ud800"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows whose columns and classes have hostile names."""
    folder = tmp_path_factory.mktemp("rows")
    x = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    np.savez(folder / "rows.npz", x=x, truth=(x[:, 0] > 0).astype(int), columns=np.array([f"{EVIL}{k}" for k in range(3)]),
             class_names=np.array([f"{EVIL}a", f"{EVIL}b"]))  # fmt: skip
    return folder / "rows.npz"


def test_scripts_send_no_control_characters_of_names(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("named_parts.py").write_text(CLASSIFIER)
    code = run_main(
        train.main,
        ["--data", str(table), "--manifold", "pca", "--classifier", "named_parts:classify", "-n", "16", "--n-envs", "2",
         "-params", "n_steps:8", "--eval-episodes", "0", "--no-pictures"],
    )  # fmt: skip
    assert code == 0, capsys.readouterr().err
    assert run_main(explain.main, ["latest", "--index", "0", "1", "--walker", "line", "--format", "npz", "--out", "out"]) == 0
    assert run_main(replay.main, [str(next(Path("out").glob("*.npz")))]) in (0, 1, 2)
    assert run_main(explain.main, ["latest", "--index", "0", "--target", EVIL]) == 2
    assert run_main(explain.main, [f"runs/{EVIL}", "--index", "0"]) == 2
    shown = capsys.readouterr()
    assert "\\x1b[2J" in shown.out
    for text in (shown.out, shown.err):
        assert not SENT.search(text.replace("\r\n", "\n")), ascii(SENT.search(text))


def test_errors_and_tracebacks_of_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(argv: object) -> int:
        print(EVIL)
        raise UserError(f"unknown class {EVIL}")

    assert run_main(fails, []) == 2
    shown = capsys.readouterr()
    assert not SENT.search(shown.out + shown.err)
    assert "unknown class \\x1b[2J" in shown.err


def test_the_own_colours_of_tables_are_sent_but_not_those_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    table = Table(title="t")
    table.add_column("c", style="red")
    table.add_row("\x1b[2Jname")
    console(force_terminal=True, color_system="standard", width=60).print(table)
    sent = stream.getvalue()
    assert "\x1b[31m" in sent
    assert "\x1b[2J" not in sent
    assert "\\x1b[2J" in sent


def test_progress_bars_stay_in_their_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with visible_output():
        for _ in tqdm(range(3), file=sys.stderr, mininterval=0):
            pass
        assert isinstance(sys.stderr, VisibleStream)
    assert sys.stderr is stream
    assert "\r" in stream.getvalue()
    assert "\\x" not in stream.getvalue()


def test_names_do_not_break_the_columns_of_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Widths are those of what is shown: escapes, letters of two columns and long names."""
    from rich.cells import cell_len

    path = envs_path([EVIL, "猫" * 60, "e\u0301 line\nbreak"])
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    console(width=200).print(step_table(path))
    lines = [line.rstrip("\n") for line in stream.getvalue().splitlines()]
    assert len(lines) == 1 + len(path.z)
    assert len({cell_len(line) for line in lines}) == 1
    assert not SENT.search("".join(lines))


def test_a_text_cell_is_measured_as_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    table = Table("name", "n", box=None)
    table.add_row("\x1b[2J\x07" * 3, "1")
    table.add_row("a", "2")
    console(width=80, highlight=False).print(table, markup=False)
    lines = stream.getvalue().splitlines()
    assert lines[1].rstrip().rindex("1") == lines[2].rstrip().rindex("2")


def test_the_table_of_classes_keeps_its_columns() -> None:
    from rich.cells import cell_len

    world = envs.make_world(data="iris")
    names = [EVIL, "猫" * 60, "e\u0301"]
    facts = Diagnosis({name: ClassFacts(1, 1.0, 1.0) for name in names})
    rows = lines_of(facts, world)[1:5]
    assert len({cell_len(row) for row in rows}) == 1
    assert max(map(cell_len, rows)) < 100


def envs_path(names: list[str]) -> Trajectory:
    """A path from a class of the first name to one of the second."""
    path: Trajectory = explain.explain(envs.make_world(data="iris"), 0, walker="line")
    return replace(path, class_names=names, source=0, target=1)
