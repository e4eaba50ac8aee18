"""Patterns: counts that are known, whatever the walks did."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import envs
from agents.evaluate import evaluate, main
from agents.explain import explain
from agents.explanation.across.patterns import pattern_lines, patterns
from agents.explanation.alternatives import several_ways
from agents.explanation.contributions.names import rename_parts
from agents.explanation.report.page import render_report
from agents.redaction import redacted


@pytest.fixture(scope="module")
def one_column() -> Any:
    """A classifier that looks at the first column alone."""
    rows = np.random.default_rng(0).normal(0, 1, (300, 3))

    def high(given: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-8 * np.asarray(given, dtype=float)[:, 0]))

    settings: dict[str, Any] = {"columns": ["income", "noise", "more noise"], "class_names": ["no", "yes"], "manifold": "pca"}
    return envs.make_world(data=rows, classifier=high, latent_dim=3, progress=False, **settings)


def test_a_classifier_of_one_column_is_told_by_it(one_column: Any) -> None:
    paths = explain(one_column, range(30), walker="line")
    for path in paths:
        path.contributions()
    found = {pattern.source: pattern for pattern in patterns(paths, one_column)}
    for source, way in (("no", "rises"), ("yes", "falls")):
        pattern = found[source]
        assert pattern.phrases[0] == (f"income {way}", pattern.count)
        assert pattern.columns[0].name == "income"
        assert pattern.columns[0].decides == pattern.count
        assert pattern.columns[0].usual.startswith("+" if way == "rises" else "-")
    assert sum(pattern.count + pattern.failed for pattern in found.values()) == 30


def test_without_contributions_nothing_decides(one_column: Any) -> None:
    pattern = patterns(explain(one_column, range(10), walker="line"), one_column)[0]
    assert pattern.columns[0].decides is None
    assert pattern.phrases[0][1] == pattern.count


def test_means_of_pictures_are_the_means() -> None:
    world = envs.make_world(data="digits", progress=False)
    paths = explain(world, range(30), target=[9] * 30, walker="line", skip_present=True)
    pattern = patterns(paths, world)[0]
    mine = [path for path in paths if path.class_names[path.source] == pattern.source and path.success]
    assert np.allclose(pattern.means[0], np.mean([path.source_input for path in mine], axis=0))
    assert np.allclose(pattern.means[1] - pattern.means[0], pattern.means[2])


def test_other_ways_of_an_input_count_once(one_column: Any) -> None:
    alone = explain(one_column, [0, 1, 2, 3], walker="line")
    ways = [path for found in several_ways(one_column, [0, 1, 2, 3], n=2, walker="line") for path in found]
    assert sum(p.count for p in patterns(alone, one_column)) == sum(p.count for p in patterns(ways, one_column))


def test_failed_paths_are_counted_apart(one_column: Any) -> None:
    paths = explain(one_column, range(10), walker="line")
    failed = [replace(path, success=False) for path in paths[:4]]
    found = patterns([*failed, *paths[4:]], one_column)
    assert sum(pattern.failed for pattern in found) == 4


def test_hidden_columns_stay_hidden(one_column: Any) -> None:
    paths = explain(one_column, range(10), walker="line")
    for path in paths:
        path.contributions()
    rename_parts(paths, {"income": "pay"}, one_column)
    closed = redacted(paths, one_column, ["income"])
    assert all(part.change == "(hidden)" for path in closed for part in path.saved_contributions.parts if part.name == "pay")
    found = patterns(closed, one_column)
    assert all(
        "rises" not in words and "falls" not in words for pattern in found for words, _ in pattern.phrases if "pay" in words
    )
    assert {column.usual for pattern in found for column in pattern.columns if column.name == "income"} <= {"(hidden)"}


def test_evaluate_reports_them(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--data", "iris", "--inputs", "12", "--alone", "0", "--closely", "0", "--no-oracles", "--out"]
    assert main([*quick, str(tmp_path / "found.json"), "--patterns"]) == 0
    told = json.loads((tmp_path / "found.json").read_text())["walkers"]["line"]["patterns"]
    assert pattern_lines(told)[0] in capsys.readouterr().out.replace("line: ", "")
    world = envs.make_world(progress=False)
    measured = evaluate(world, ["line"], inputs=range(6), oracles=False, closely=0, alone=0)["line"]
    assert "patterns" not in measured


def test_the_report_escapes_classes_and_names() -> None:
    rows = np.random.default_rng(0).normal(0, 1, (200, 2))
    names: dict[str, Any] = {"columns": ["<i>pay</i>", "b"], "class_names": ["<b>no</b>", "yes"]}

    def high(given: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-8 * np.asarray(given, dtype=float)[:, 0]))

    world = envs.make_world(data=rows, classifier=high, manifold="pca", progress=False, **names)
    html = render_report(explain(world, range(8), walker="line"), world)
    assert "What the paths have in common" in html
    assert "<b>no" not in html
    assert "<i>pay" not in html


def test_series_have_ways_scenarios_patterns_and_stability() -> None:
    import numpy as np

    from agents import Explainer, UserError, audit
    from agents.explanation.across.patterns import patterns
    from agents.explanation.across.stability import stability
    from envs import make_world

    rng, t = np.random.default_rng(0), np.linspace(0, 1, 48)
    kind = np.arange(80) % 2
    rows = np.sin(2 * np.pi * (2 + 3 * kind[:, None]) * (t + rng.uniform(0, 0.1, (80, 1)))) + rng.normal(0, 0.05, (80, 48))

    def fast(series: np.ndarray) -> np.ndarray:
        roughness = np.abs(np.diff(np.asarray(series).reshape(len(series), -1))).mean(1)
        return 1 / (1 + np.exp(-40 * (roughness - 0.3)))

    world = make_world(data=rows, modality="series", classifier=fast, class_names=["slow", "fast"], manifold="pca",
                       progress=False)  # fmt: skip
    explainer = Explainer(world, walker="line")
    assert len(explainer.explain(rows=0, n=2)) >= 1
    assert explainer.scenarios(rows=0).sentence.startswith("nearest")
    paths = explainer.explain(rows=range(6))
    assert sum(pattern.count for pattern in patterns(paths, world)) == len([path for path in paths if path.success])
    assert not any(" by " in words for pattern in patterns(paths, world) for words, _ in pattern.phrases)
    assert stability(paths, world, k=1, walker="line").same_parts.n == len([path for path in paths if path.success])
    with pytest.raises(UserError, match="columns of a table"):
        audit(world)
