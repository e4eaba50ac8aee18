"""Each system still computes what tests/benchmarks/anchors.json records; a difference is detected and named."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.benchmarks.anchors import __main__ as script
from tests.benchmarks.anchors.comparison import PORTABLE_TOLERANCE, SYSTEMS, described, difference, gap, measured
from tests.benchmarks.anchors.values import Measured, System, digest, figures, without_digests

RECORDED: dict[str, Measured] = json.loads((Path(__file__).parent / "benchmarks" / "anchors.json").read_text())


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if s.slow else ()) for name, s in SYSTEMS.items()])
def test_a_system_computes_what_it_did(name: str) -> None:
    system = SYSTEMS[name]
    if system.needs is not None:
        pytest.importorskip(system.needs, reason=f"the extra with {system.needs} is not installed")
    values = measured(system)
    assert values
    if system.portable:
        found = difference(RECORDED[name], without_digests(values))
        assert found.size <= PORTABLE_TOLERANCE, (
            f"{name}: {found.entry!r} was {RECORDED[name].get(found.entry)} and is {values.get(found.entry)}. If that is "
            "meant, record it: python -m tests.benchmarks.anchors --write tests/benchmarks/anchors.json --portable "
            f"--only {name!r}"
        )


def test_what_is_recorded_holds_on_every_processor() -> None:
    assert set(RECORDED) == {name for name, system in SYSTEMS.items() if system.portable}
    assert not any(isinstance(value, str) for values in RECORDED.values() for value in values.values())


def test_values_notice_every_kind_of_change() -> None:
    assert gap([1.0, 2.0], [1.0, 2.0 + 2e-7]) == pytest.approx(1e-7)
    assert gap(0.0, 1e-9) == pytest.approx(1e-7)  # near zero the scale is 0.01
    for before, now in ((3, 4), (True, False), (True, 1), ("a", "b"), ([1.0], [1.0, 2.0]), (1.0, "a")):
        assert gap(before, now) == math.inf
    assert difference({"a": 1.0, "b": 2.0}, {"a": 1.5, "b": 2.0}) == ("a", 0.5)
    assert difference({"a": 1.0}, {"a": 1.0, "b": 2.0}) == ("b", math.inf)
    assert difference({"a": 1.0, "b": 2.0}, {"a": 1.0}) == ("b", math.inf)


def test_entries_that_were_renamed_do_not_hide_the_others() -> None:
    text = described({"a": 1.0, "old": 2.0}, {"a": 1.5, "new": 2.0})
    assert text == "only recorded: old; only measured now: new; largest difference: 0.5, in 'a'"
    assert described({"a": "x", "b": 1.0}, {"a": "y", "b": 1.0}) == "largest difference: not equal, in 'a'"


def test_arrays_become_figures_and_digests_that_order_changes() -> None:
    one, other = figures([1.0, 2.0, 3.0]), figures([1.0, 3.0, 2.0])
    assert one[:2] == other[:2]
    assert one[2] != other[2]
    assert digest(["a", "b"]) != digest(["b", "a"])
    assert digest([figures([1.0])]) != digest([figures([2.0])])


@pytest.fixture
def two_systems(monkeypatch: pytest.MonkeyPatch) -> dict[str, System]:
    """A table of two systems in the place of the real one."""
    systems = {"still": System(lambda: {"z": 1.0, "text": "x"}), "moving": System(lambda: {"z": [1.0, 2.0], "n": 3})}
    monkeypatch.setattr(script, "SYSTEMS", systems)
    monkeypatch.setenv("MANIFOLD_CACHE", "")
    return systems


def test_the_script_says_what_is_the_same_and_what_differs(
    two_systems: dict[str, System], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "before.json"
    assert script.main(["--write", str(file)]) == 0
    assert script.main(["--compare", str(file)]) == 0
    two_systems["moving"] = System(lambda: {"z": [1.0, 2.5], "n": 3})
    two_systems["new"] = System(lambda: {"z": 1.0})
    del two_systems["still"]
    capsys.readouterr()
    assert script.main(["--compare", str(file)]) == 1
    moving, new, still, _ = capsys.readouterr().out.splitlines()
    assert "DIFFERS (largest difference: 0.25, in 'z')" in moving
    assert "NOT RECORDED" in new
    assert still.startswith("still")
    assert "MISSING" in still
    assert script.main(["--compare", str(file), "--only", "moving"]) == 1


def test_a_system_that_fails_hides_no_other(
    two_systems: dict[str, System], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "before.json"
    two_systems["still"] = System(lambda: {"z": 1 / 0})
    two_systems["nan"] = System(lambda: {"z": [math.nan]})
    assert script.main(["--write", str(file)]) == 1
    text = capsys.readouterr().out
    assert "FAILED: ZeroDivisionError" in text
    assert "FAILED: ValueError: the entry 'z' is not finite" in text
    assert set(json.loads(file.read_text())) == {"moving"}


def test_portable_records_hold_no_digests_and_keep_what_is_not_measured_again(
    two_systems: dict[str, System], tmp_path: Path
) -> None:
    file = tmp_path / "portable.json"
    two_systems["here"] = System(lambda: {"z": 1.0}, portable=False)
    assert script.main(["--write", str(file), "--portable"]) == 0
    two_systems["moving"] = System(lambda: {"z": 9.0})
    assert script.main(["--write", str(file), "--portable", "--only", "still"]) == 0
    assert json.loads(file.read_text()) == {"still": {"z": 1.0}, "moving": {"z": [1.0, 2.0], "n": 3}}


def test_bad_arguments_are_named(two_systems: dict[str, System], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = str(tmp_path / "nowhere.json")
    for arguments, part in (
        (["--compare", nowhere], "there is no such file"),
        (["--write", nowhere, "--only", "other"], "invalid choice: 'other'"),
        (["--compare", nowhere, "--portable"], "--portable belongs to --write"),
    ):
        with pytest.raises(SystemExit):
            script.main(arguments)
        assert part in capsys.readouterr().err
