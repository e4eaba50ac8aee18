"""Pages of results: what JSON cannot say is null, dashes for what is unknown, rows that were made before stay."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from tests.benchmarks import digits_manifolds
from tests.benchmarks.digits_manifolds import SHOWN, made_by, markdown, spread, standing
from tests.benchmarks.results import as_json

FOLDER = Path(__file__).parent / "benchmarks"


def refuse(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def test_what_is_not_finite_is_null_however_deep_and_the_rest_stays():
    page = {"a": math.nan, "b": [1.5, (math.inf, "x")], "c": {"d": -math.inf, "e": None, "f": True, "g": 0}}
    text = as_json(page)
    found = json.loads(text, parse_constant=refuse)
    assert found == {"a": None, "b": [1.5, [None, "x"]], "c": {"d": None, "e": None, "f": True, "g": 0}}
    assert text.endswith("}\n")


def test_numpys_numbers_are_refused_rather_than_written_as_text():
    with pytest.raises(TypeError):
        as_json({"a": {1, 2}})


def test_every_page_of_results_is_written_by_it():
    for file in FOLDER.glob("*.py"):
        for line in re.findall(r".*(?:with_suffix\(\"\.json\"\)|RESULTS / |results / ).*\.json.*", file.read_text()):
            assert "json.dumps" not in line, f"{file.name}: {line}"


def test_a_range_is_that_of_the_beds_where_it_is_known_and_a_dash_where_it_never_is():
    assert spread([1.0, math.nan, 3.0], 1) == "2.0 (1.0 to 3.0)"
    assert spread([math.nan, math.nan], 2) == "–"
    assert spread([1234.5], 0) == "1,234"


def cell(value: float | None) -> dict:
    own = {"training_queries": 10, "training_cpu_seconds": 1.0, "bed_seed": 0}
    facts = {"class_kept": 0.9, "reconstruction_mse": 0.01, "accuracy": 0.97}
    return {**own, "measures": {name: {"value": value} for name in SHOWN if name not in own}, "bed": facts}


def test_rows_of_other_manifolds_stay_as_they_were_made(tmp_path, monkeypatch):
    out = tmp_path / "page"
    old = {"pca": {"agent": [cell(0.5)], "line": [cell(0.25)]}, "umap": {"agent": [cell(None)], "line": []}}
    out.with_suffix(".json").write_text(json.dumps({"command": "python old", "cells": old}))
    monkeypatch.setattr(digits_manifolds, "agent_cell", lambda *args, **kwargs: cell(0.75))
    monkeypatch.setattr(digits_manifolds, "rival_cell", lambda *args, **kwargs: cell(None))
    monkeypatch.setattr("sys.argv", ["x", "--manifolds", "umap", "--beds", "0", "--keep", "--out", str(out)])
    digits_manifolds.main()
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
    again = standing(out.with_suffix(".json"))
    assert markdown(again["cells"], again["made"]) == text
    assert standing(tmp_path / "none.json") == {"cells": {}, "made": {}}


def test_one_command_is_told_in_one_line():
    assert made_by({"pca": "a", "umap": "a"}) == ["Made by `a`."]
