"""The harness of the benchmarks: every page follows from its JSON, runs are kept and taken once, numbers and tables."""

from __future__ import annotations

import doctest
import inspect
import json
import math
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import __main__ as listing
from tests.benchmarks import digits_manifolds, digits_paths
from tests.benchmarks.curiosity import training
from tests.benchmarks.digits_manifolds import SHOWN, made_by
from tests.benchmarks.harness import experiment, runs, tables, walks
from tests.benchmarks.harness.experiment import PAGES, RESULTS, Experiment, as_json, read, recorded, render
from tests.benchmarks.harness.runs import Run, Runner, kept, timed
from tests.benchmarks.harness.tables import judged, plus_minus, spread, table, within

EXPERIMENTS = list(listing.experiments(listing.names()))
PAGE_OF = {file: one for one in EXPERIMENTS for file in one.results}


def refuse(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


# ---- pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", PAGE_OF)
def test_a_page_follows_from_its_json_byte_for_byte(file):
    want = (RESULTS / f"{file}.md").read_text(encoding="utf-8")
    assert PAGE_OF[file].page(read(RESULTS / file)) == want, f"run python -m tests.benchmarks --analyse {PAGE_OF[file].name}"


def test_every_page_of_results_has_an_experiment_and_every_template_is_used():
    assert {file.stem for file in RESULTS.glob("*.md")} - {"index"} == set(PAGE_OF)
    assert {file.stem for file in RESULTS.glob("*.json")} == set(PAGE_OF)
    code = "".join(file.read_text() for file in listing.Path(listing.__file__).parent.glob("*.py"))
    for file in PAGES.glob("*.md"):
        stem = file.stem.rsplit("_", 1)[0]
        assert f'"{file.stem}"' in code or f'f"{stem}_{{' in code, file.name


@pytest.mark.parametrize("one", EXPERIMENTS, ids=lambda one: one.name)
def test_an_experiment_is_named_after_its_module_and_explains_its_flags(one):
    text = one.parser().format_help()
    assert f"python -m tests.benchmarks.{one.name}" in text
    for flag in ("--analyse", "--jobs", "--fresh", "--cache", "--out"):
        assert flag in text


@pytest.mark.parametrize("file", PAGE_OF)
def test_results_are_json_that_any_reader_takes(file):
    json.loads((RESULTS / f"{file}.json").read_text(encoding="utf-8"), parse_constant=refuse)


def test_analysing_again_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "RESULTS", tmp_path)
    for end in ("json", "md"):
        (tmp_path / f"lime.{end}").write_text((RESULTS / f"lime.{end}").read_text() if end == "json" else "old")
    listing.main(["--analyse", "lime"])
    assert (tmp_path / "lime.md").read_text() == (RESULTS / "lime.md").read_text()
    with pytest.raises(SystemExit):
        listing.main(["--analyse", "no_such_benchmark"])


@pytest.mark.parametrize("module", [experiment, runs, tables, training], ids=lambda module: module.__name__)
def test_the_examples_of_the_docstrings_run(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


# ---- running ----------------------------------------------------------------------------------------------------------


def counting(options) -> Any:
    for n in range(options.count):
        yield {"n": n, "nan": math.nan, "before": options.before.get("n")}


COUNT = Experiment(
    "count", "Counts.", counting, lambda record: f"{record['command']}: {record['n']}\n",
    flags={"--count": {"type": int, "default": 2}},
)  # fmt: skip


def test_an_experiment_writes_every_record_and_its_page(tmp_path, capsys):
    out = ["--out", str(tmp_path / "count"), "--cache", str(tmp_path)]
    COUNT.main(["--count", "3", *out])
    found = json.loads((tmp_path / "count.json").read_text(), parse_constant=refuse)
    assert (found["n"], found["nan"], found["before"]) == (2, None, None)
    assert found["python"].count(".") == 2
    page = (tmp_path / "count.md").read_text()
    assert page == "python -m tests.benchmarks.count --count 3: 2\n", "folders are left out of the command"
    assert page in capsys.readouterr().out
    COUNT.main(out)
    assert read(tmp_path / "count")["before"] == 2
    (tmp_path / "count.md").unlink()
    COUNT.main(["--analyse", *out])
    assert (tmp_path / "count.md").read_text() == "python -m tests.benchmarks.count: 1\n"


def test_an_interrupted_experiment_keeps_what_it_found(tmp_path):
    def broken(options) -> Any:
        yield {"n": 7}
        raise ZeroDivisionError

    one = Experiment("count", "Breaks.", broken, lambda record: f"{record['n']}\n")
    with pytest.raises(ZeroDivisionError):
        one.main(["--out", str(tmp_path / "count"), "--cache", str(tmp_path)])
    assert read(tmp_path / "count")["n"] == 7
    assert (tmp_path / "count.md").read_text() == "7\n"


def test_a_recorded_command_has_no_folder_of_this_machine():
    given = [
        "--splits",
        "0",
        "1",
        "--cache",
        "/a",
        "--out=/b",
        "--seeds",
        "3",
        "--fresh",
        "--cfrl-environment",
        "/c",
        "--keep",
    ]
    assert recorded(given) == ["--splits", "0", "1", "--seeds", "3", "--cfrl-environment", "DIR", "--keep"]


def test_what_is_not_finite_is_null_however_deep_and_the_rest_stays():
    page = {"a": math.nan, "b": [1.5, (math.inf, "x")], "c": {"d": -math.inf, "e": None, "f": True, "g": 0}}
    text = as_json(page)
    found = json.loads(text, parse_constant=refuse)
    assert found == {"a": None, "b": [1.5, [None, "x"]], "c": {"d": None, "e": None, "f": True, "g": 0}}
    assert text.endswith("}\n")


def test_numpys_numbers_are_refused_rather_than_written_as_text():
    with pytest.raises(TypeError):
        as_json({"a": {1, 2}})


def test_a_template_needs_all_its_fields():
    assert "Made by `x`" in render("umap_map", command="x", seeds="0", inverted=60, table="|")
    with pytest.raises(KeyError):
        render("umap_map", command="x")


# ---- runs that are kept -----------------------------------------------------------------------------------------------


def told_seed(seed: int) -> dict[str, Any]:
    """A measurement that another process can take."""
    return {"seed": seed, "by": os.getpid()}


def fails(seed: int) -> dict[str, Any]:
    """Goes wrong for the first seed, and takes a while for the others."""
    time.sleep(0.1 if seed else 0)
    return {"value": 1 / seed}


def seeds_of(measure: Any, *seeds: int) -> list[Run]:
    return [Run({"seed": seed}, partial(measure, seed)) for seed in seeds]


def test_runs_are_measured_once_and_known_by_key_and_source(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("1")
    asked = []

    def measure() -> dict[str, int]:
        asked.append(1)
        return {"value": len(asked)}

    def value(key: dict[str, int], **how: bool) -> Any:
        found = kept(Run(key, measure, ("*.py",)), tmp_path / "cache", **how)
        return found and found["value"]

    assert value({"seed": 0}, only=True) is None
    assert [value({"seed": 0}), value({"seed": 0}), value({"seed": 1})] == [1, 1, 2]
    (tmp_path / "a.py").write_text("2")
    assert value({"seed": 0}) == 3
    assert value({"seed": 0}, fresh=True) == 4
    assert len(list((tmp_path / "cache").iterdir())) == 3, "files are whole or not there"
    assert all(json.loads(file.read_text())["found"] for file in (tmp_path / "cache").iterdir())


def test_runs_side_by_side_are_those_taken_one_by_one(tmp_path):
    wanted = [(("first"), (1, 2, 3)), ("second", (3, 4))]
    for jobs in (1, 2):
        with Runner(tmp_path / str(jobs), jobs) as runner:
            rows = runner.rows(lambda label, seeds: runner(seeds_of(told_seed, *seeds), label), wanted)
        assert len(list((tmp_path / str(jobs)).iterdir())) == 4, "seed 3 is needed twice and measured once"
        assert [[figures["seed"] for figures in row] for row in rows] == [[1, 2, 3], [3, 4]]
        assert all((figures["by"] != os.getpid()) == (jobs == 2) for row in rows for figures in row)


def test_a_run_that_fails_in_another_process_ends_the_benchmark(tmp_path):
    with pytest.raises(ZeroDivisionError), Runner(tmp_path, 2) as runner:
        runner.rows(lambda seeds: runner(seeds_of(fails, *seeds)), [(range(60),)])
    assert len(list(tmp_path.iterdir())) < 50, "those that wait are not measured first"


def test_runs_that_are_only_looked_up_are_counted_where_they_are_missing(tmp_path):
    Runner(tmp_path)(seeds_of(told_seed, 1))
    runner = Runner(tmp_path, only_kept=True)
    assert [figures["seed"] for figures in runner(seeds_of(told_seed, 0, 1, 2))] == [1]
    assert runner.missing == 2


def test_a_timed_run_notes_its_cost(tmp_path):
    (run,) = seeds_of(told_seed, 5)
    found = timed(run).measure()
    assert found["seed"] == 5
    assert found["cpu_seconds"] >= 0
    assert found["torch"]
    assert timed(run).digest == run.digest


# ---- numbers and tables -----------------------------------------------------------------------------------------------


def test_a_range_is_that_of_what_is_known_and_a_dash_where_nothing_is():
    assert spread([1.0, math.nan, 3.0], 1) == "2.0 (1.0 to 3.0)"
    assert spread([math.nan, None], 2) == "–"
    assert spread([1234.5], 0) == "1,234"
    assert spread([2.0, 2.0], 1) == "2.0 (2.0 to 2.0)"
    assert spread([2.0, 2.0], 1, always=False) == "2.0"


def test_deviations_intervals_and_aims():
    assert plus_minus([1.0, 3.0], 1) == "2.0 ± 1.4"
    assert plus_minus([1.0], 1) == "1.0"
    assert plus_minus([], 1) == "-"
    assert within({"value": 0.711, "low": 0.46, "high": 0.844, "n": 3}) == "0.71 [0.46, 0.84]"
    assert within({"value": None, "low": None, "high": None, "n": 0}) == within(None) == "-"
    assert judged({"a": (">=", 0.6)}, "a", 0.6) == ">= 0.6: reached"
    assert judged({"a": ("<=", 12.0)}, "a", 12.5) == "<= 12: NOT reached"
    assert judged({}, "a", 1.0) == ""


def test_a_table_aligns_its_columns_and_leaves_out_what_does_not_apply():
    assert table(["", "n", "m"], [["a", 1, None], ["b", "", 2]]) == "| | n | m |\n|---|---:|---:|\n| a | 1 | |\n| b |  | 2 |"
    assert table(["a", "b", "c"], [], "lrl").splitlines()[1] == "|---|---:|---|"


# ---- rows that were made before ---------------------------------------------------------------------------------------


def cell(value: float | None) -> dict:
    own = {"training_queries": 10, "training_cpu_seconds": 1.0}
    facts = {"class_kept": 0.9, "reconstruction_mse": 0.01, "accuracy": 0.97}
    return {**own, "measures": {name: {"value": value} for name in SHOWN if name not in own}, "split": facts}


def test_rows_of_other_manifolds_stay_as_they_were_made(tmp_path, monkeypatch):
    out = tmp_path / "page"
    old = {"pca": {"agent": [cell(0.5)], "line": [cell(0.25)]}, "umap": {"agent": [cell(None)], "line": []}}
    out.with_suffix(".json").write_text(json.dumps({"command": "python old", "cells": old}))
    monkeypatch.setattr(digits_manifolds, "agent_run", lambda *args: Run({"agent": 1}, partial(cell, 0.75)))
    monkeypatch.setattr(digits_manifolds, "rival_run", lambda *args: Run({"rival": 1}, partial(cell, None)))
    here = ["--out", str(out), "--cache", str(tmp_path / "cache")]
    digits_manifolds.EXPERIMENT.main(["--manifolds", "umap", "--splits", "0", "--keep", *here])
    page = json.loads(out.with_suffix(".json").read_text(), parse_constant=refuse)
    assert page["cells"]["pca"] == old["pca"]
    assert page["cells"]["umap"]["agent"][0]["measures"]["validity"]["value"] == 0.75
    assert page["made"]["pca"] == "python old"
    assert page["made"]["umap"].startswith("python -m tests.benchmarks.digits_manifolds --manifolds umap")
    text = out.with_suffix(".md").read_text()
    assert "| PCA, 8-d | agent | 1 | 0.5000 |" in text
    assert "| UMAP, 2-d, network decoder | agent | 1 | 0.7500 |" in text
    assert "| UMAP, 2-d, network decoder | line | 1 | – |" in text
    assert "Rows of PCA, 8-d: made by `python old`." in text
    assert "nan" not in text.lower()


def test_one_command_is_given_in_one_line():
    assert made_by({"pca": "a", "umap": "a"}) == "Made by `a`."


def test_results_are_written_in_one_place_alone():
    folder = Path(listing.__file__).parent
    for file in folder.glob("*.py"):
        if file.stem in listing.names():
            assert "json.dumps(" not in file.read_text().replace("print(json.dumps(", ""), file.name
    assert experiment.RESULTS == RESULTS


def test_every_variant_of_the_digits_changes_settings_that_exist():
    for changes in digits_paths.VARIANTS.values():
        recipe = walks.recipe_of(changes or {})
        inspect.signature(walks.agent_walker).bind(None, **recipe["walker"])
