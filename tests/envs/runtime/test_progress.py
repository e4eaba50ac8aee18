"""Progress bars: on by default on a terminal, never written to a pipe."""

from __future__ import annotations

import inspect
import io

import pytest

from agents.console.cli import progress_bar as counted_bar
from agents.train import TrainConfig
from envs import make_world
from envs.runtime.progress import on_terminal, progress_bar


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_bars_are_shown_on_a_terminal_alone(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    assert list(progress_bar(range(3), "fitting", True)) == [0, 1, 2]
    with counted_bar(3, "training") as bar:
        bar.update(3)
    assert ("fitting" in stream.getvalue()) == terminal
    assert ("training" in stream.getvalue()) == terminal
    assert on_terminal(True) == terminal


def test_who_wants_none_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    assert list(progress_bar(range(3), "fitting", False)) == [0, 1, 2]
    with counted_bar(3, "training", enabled=False) as bar:
        bar.update(3)
    assert stream.getvalue() == ""


def test_fits_and_trainings_show_them_by_default() -> None:
    assert inspect.signature(make_world).parameters["progress"].default is True
    assert TrainConfig().progress
