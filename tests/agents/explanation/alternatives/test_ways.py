"""Several ways: each arrives, none is a copy, and a table's ways are those that the classifier knows."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import torch

import envs
from agents import Explainer, Trajectory, UserError, constrained
from agents.explain import main
from agents.explanation.alternatives import Alternatives, scenarios, several_ways
from agents.explanation.alternatives.changes import MOST_OVERLAP, change_of, overlap
from envs.errors import ManifoldError, UnknownNameError

NAMES = ["alpha", "beta", "gamma", "delta"]


def any_is_high(rows: np.ndarray) -> np.ndarray:
    """Class `yes` if one of the first three columns is above 1; the fourth never counts."""
    return 1 / (1 + np.exp(-6 * (np.asarray(rows, dtype=float)[:, :3].max(1) - 1)))


@pytest.fixture(scope="module")
def toy() -> Any:
    rows = np.random.default_rng(0).normal(0, 1, (400, 4))
    settings: dict[str, Any] = {"columns": NAMES, "class_names": ["no", "yes"], "manifold": "pca", "latent_dim": 4}
    return envs.make_world(data=rows, classifier=any_is_high, progress=False, **settings)


def changed(path: Trajectory) -> set[str]:
    return {part.name for part in path.contributions().parts}


def test_the_ways_of_a_classifier_that_looks_at_each_column_alone(toy: Any) -> None:
    found = several_ways(toy, [-0.5, -0.6, -0.4, 0.2], n=5, walker="line")
    assert isinstance(found, Alternatives)
    assert sorted(map(sorted, map(changed, found))) == [["alpha"], ["beta"], ["gamma"]]
    assert found.sentence.startswith("3 ways found of 5 wanted: ")
    assert [path.scenario for path in found] == ["way 1", "way 2", "way 3"]
    assert all(path.success for path in found)


def test_no_way_is_padded_and_none_contains_another(toy: Any) -> None:
    for found in several_ways(toy, range(12), n=4, walker="line"):
        sets = [changed(path) for path in found]
        assert not any(a <= b for i, a in enumerate(sets) for j, b in enumerate(sets) if i != j)
        assert all("delta" not in names for names in sets) or len(found) == 1


def test_constraints_hold_in_every_way(toy: Any) -> None:
    explainer = Explainer(toy, walker="line")
    found = explainer.explain([-0.5, -0.6, -0.4, 0.2], n=3, features_to_vary=["alpha", "gamma"])
    assert sorted(map(sorted, map(changed, found))) == [["alpha"], ["gamma"]]


def test_queries_of_all_walks_are_counted(toy: Any) -> None:
    several_ways(toy, 3, n=3, walker="line")  # the reference rows are queried once
    before = toy.classifier.queries
    found = several_ways(toy, 3, n=3, walker="line")
    assert toy.classifier.queries - before == found.queries + sum(path.queries for path in found)


def test_a_way_can_be_saved_and_replayed(toy: Any, tmp_path: Any) -> None:
    way = several_ways(toy, 3, n=2, walker="line")[-1]
    read = Trajectory.load(way.save(tmp_path / "way.npz"))
    assert read.scenario == way.scenario
    assert np.array_equal(read.frames(toy), way.frames(toy))


@pytest.mark.parametrize("data", ["digits", "sentences"])
def test_ways_of_pictures_and_text_differ_in_what_they_change(data: str) -> None:
    world = envs.make_world(data=data, progress=False)
    for found in several_ways(world, range(3), n=3, walker="line"):
        assert all(path.success and path.target == found[0].target for path in found)
        moved = [change_of(path, world) for path in found]
        assert all(overlap(a, b) <= MOST_OVERLAP for i, a in enumerate(moved) for b in moved[:i])


def test_a_path_that_does_not_arrive_is_no_way(toy: Any) -> None:
    found = Explainer(toy, walker="line").explain([-0.5, -0.6, -0.4, 0.2], n=2, features_to_vary=["delta"])
    assert found.sentence == "0 ways found of 2 wanted. The walk did not arrive."
    assert not found[0].success
    assert found[0].scenario is None


def test_several_inputs_keep_their_order_and_rows(toy: Any) -> None:
    together = several_ways(toy, [5, 2, 9], n=2, walker="line")
    assert [found[0].index for found in together] == [5, 2, 9]
    alone = several_ways(toy, 2, n=2, walker="line")
    for path, other in zip(alone, together[1], strict=True):
        np.testing.assert_allclose(path.z, other.z, atol=1e-5)


def test_ways_as_a_data_frame_keep_the_user_s_rows() -> None:
    pandas = pytest.importorskip("pandas")
    data = pandas.DataFrame(np.random.default_rng(0).normal(0, 1, (300, 4)), columns=NAMES)
    settings: dict[str, Any] = {"class_names": ["no", "yes"], "manifold": "pca", "latent_dim": 4, "progress": False}
    explainer = Explainer(envs.make_world(data=data, classifier=any_is_high, **settings), walker="line")
    given = pandas.DataFrame([[-0.5, -0.6, -0.4, 0.2], [-0.9, -0.8, -0.4, 0.2]], columns=NAMES, index=["ann", "bob"])
    found = explainer.explain_to_frame(given, n=2)
    assert list(found.index) == ["ann", "ann", "bob", "bob"]
    assert list(found["scenario"]) == ["way 1", "way 2"] * 2


@pytest.mark.parametrize("n", [0, 21, 2.5, True])
def test_numbers_of_ways(toy: Any, n: Any) -> None:
    with pytest.raises(UserError, match="whole number of ways from 1 to 20"):
        several_ways(toy, 0, n=n, walker="line")


def test_scenarios_of_a_table(toy: Any) -> None:
    found = scenarios(toy, [-0.5, -0.6, -0.4, 0.2], walker="line", features_to_vary=["beta"])
    only = next(path for path in found if "only beta" in str(path.scenario))
    assert changed(only) == {"beta"}
    ends = [path.frames(toy)[-1] for path in found]
    assert not any(np.allclose(a, b) for i, a in enumerate(ends) for b in ends[:i])
    nearest = next(path for path in found if "nearest" in str(path.scenario))
    assert all(nearest.distances[-1] <= path.distances[-1] + 1e-6 for path in found if path is not only)


def test_a_scenario_that_is_not_found_is_said(toy: Any) -> None:
    found = scenarios(toy, [-0.5, -0.6, -0.4, 0.2], walker="line", features_to_vary=["delta"])
    assert "no path was found that changes only delta" in found.sentence
    assert all("only" not in str(path.scenario) for path in found)


def test_columns_of_a_relation_are_named_together() -> None:
    rows = np.random.default_rng(0).normal(0, 1, (200, 3))
    rows[:, 0] = rows[:, 1] + rows[:, 2]
    settings: dict[str, Any] = {"columns": ["sum", "a", "b"], "class_names": ["no", "yes"], "manifold": "pca", "latent_dim": 2}
    made = envs.make_world(data=rows, classifier=any_is_high, progress=False, **settings)
    related = constrained(made, relations=["sum = a + b"])
    with pytest.raises(ManifoldError, match="name them, too"):
        scenarios(related, 0, walker="line", features_to_vary=["a"])
    for path in scenarios(related, 0, walker="line", features_to_vary=["sum", "a", "b"]):
        end = related.units.exact(torch.from_numpy(path.frames(related)[-1:]), path.factual(related))[0].tolist()
        assert end[0] == pytest.approx(end[1] + end[2], abs=1e-6)
    for found in several_ways(related, range(4), n=3, walker="line"):
        for path in found:
            end = related.units.exact(torch.from_numpy(path.frames(related)[-1:]), path.factual(related))[0].tolist()
            assert end[0] == pytest.approx(end[1] + end[2], abs=1e-6)


def test_scenarios_refuse_unknown_columns(toy: Any) -> None:
    with pytest.raises(UnknownNameError, match="alpha"):
        scenarios(toy, 0, walker="line", features_to_vary=["alfa"])
    with pytest.raises(ValueError, match="is for tables"):
        scenarios(envs.make_world(data="digits", progress=False), 0, walker="line", features_to_vary=["x"])


def test_the_command_line(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text("direction: {petal length in cm: down}\n")
    own = ["--data", "iris", "--index", "0", "--rules", str(rules)]
    assert (
        main([*own, "--ways", "3", "--part-names", "petal width in cm:width <b>", "--out", str(tmp_path), "--format", "npz"])
        == 0
    )
    out = capsys.readouterr().out
    assert all(part in out for part in ("way 1: Predicted virginica", "2 ways found of 3 wanted", "width <b> 2.40"))
    assert len(list(tmp_path.glob("*.npz"))) == 2
    assert main([*own, "--scenarios", "--features-to-vary", "petal length in cm", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [path["scenario"] for path in told["paths"]][-1].endswith("only petal length in cm")
    assert len(told["alternatives"]) == 1


def test_the_ways_of_all_inputs_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", "iris", "--all", "--ways", "2"]) == 0
    out = capsys.readouterr().out
    assert "45 of 45 inputs explained" in out
    assert len(re.findall(r"paths an input: \d for \d+ inputs", out)) == 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--ways", "2", "--scenarios"], "leave out one"),
        (["--ways", "2", "--engine", "local"], "--ways is for single explanations"),
        (["--part-names", "a:b", "--no-contributions"], "names of contributions"),
        (["--rules", "nowhere.yml"], "there is no such file"),
        (["--part-names", "petal:b"], "petal length in cm"),
    ],
)  # fmt: skip
def test_flags_that_do_not_fit(flags: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        main(["--data", "iris", "--index", "0", *flags])


@pytest.mark.parametrize("how", ["ways", "scenarios"])
def test_every_path_goes_to_the_goal_that_was_asked_for(how: str) -> None:
    rows = np.random.default_rng(0).normal(0, 1, (300, 4))
    world = envs.make_world(data=rows, columns=NAMES, classifier=lambda x: np.asarray(x).sum(1), outputs="score",
                            manifold="pca", latent_dim=4, progress=False)  # fmt: skip
    explainer = Explainer(world, walker="line")
    given = {"rows": range(3), "target": "+1"}
    for found in (
        explainer.explain(n=2, **given) if how == "ways" else explainer.scenarios(features_to_vary=NAMES[:2], **given)
    ):
        assert len(found) > 1
        for path in found:
            assert path.requested == "+1"
            assert path.success
            assert 1 <= path.scores[-1] - path.scores[0] < 2.5  # the world's own goal is its median
