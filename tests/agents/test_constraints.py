"""Columns that may vary, and permitted ranges, on a mixed table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents import Explainer, UserError, constrained
from agents.constraints.apply import constraints_of
from agents.constraints.binding import binding
from agents.constraints.rules_file import read_rules
from envs import ManifoldError, UnknownNameError, make_world

pandas = pytest.importorskip("pandas")


def approves(frame: Any) -> np.ndarray:
    """The classifier: income less what a renter lacks, in classes 0 and 1."""
    good = 1 / (1 + np.exp(-(frame["income"].to_numpy(float) - 40 - 8 * (frame["home"] == "rent").to_numpy()) / 4))
    return np.stack([1 - good, good], axis=1)


@pytest.fixture(scope="module")
def world() -> Any:
    """120 loans: two numbers and a category."""
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "age": rng.integers(20, 70, 120),
            "income": rng.normal(40, 12, 120).round(1),
            "home": rng.choice(["own", "rent", "other"], 120),
        }
    )
    return make_world(
        data=frame,
        classifier=approves,
        class_names=["refused", "approved"],
        fit={"epochs": 20},
        latent_dim=2,
        free="age",
        progress=False,
    )


def test_what_may_not_vary_stays_and_ranges_hold_on_every_frame(world: Any) -> None:
    refused = [row for row in range(len(world.held_out.x)) if int(world.reference.label[row]) == 0][:8]
    explainer = Explainer(world)
    free = explainer.explain(rows=refused, sparse=False)
    assert any(path.to_pandas()["home"].nunique() > 1 or path.to_pandas()["age"].nunique() > 1 for path in free)
    for path in explainer.explain(rows=refused, features_to_vary=["income"], permitted_range={"income": (0, 60)}):
        rows = path.to_pandas()
        assert rows["home"].nunique() == rows["age"].nunique() == 1
        assert rows["income"].max() <= max(60, rows["income"].iloc[0])


def test_a_world_without_constraints_is_the_world_itself(world: Any) -> None:
    assert constrained(world) is world
    assert constrained(world, permitted_range={"income": (0, 50)}).manifold is world.manifold


def test_what_cannot_be_constrained_is_refused(world: Any) -> None:
    with pytest.raises(UnknownNameError, match="'home'"):
        constrained(world, ["hom"])
    with pytest.raises(ManifoldError, match="holds categories"):
        constrained(world, permitted_range={"home": (0, 1)})
    with pytest.raises(ManifoldError, match=r"\['income'\]"):
        constrained(world, "income")
    with pytest.raises(ManifoldError, match="for tables"):
        constrained(make_world(data="digits", progress=False), ["age"])


@pytest.fixture(scope="module")
def budgets() -> Any:
    """150 households whose total is rent + food; the class is whether the total passes 1,500. Schools are in an order."""
    rng = np.random.default_rng(1)
    rent, food = rng.integers(300, 1500, 150), rng.integers(200, 900, 150)
    frame = pandas.DataFrame(
        {"rent": rent, "food": food, "total": rent + food, "years": rng.integers(0, 30, 150),
         "school": rng.choice(["primary", "secondary", "college"], 150)}
    )  # fmt: skip

    def high(rows: Any) -> np.ndarray:
        good = 1 / (1 + np.exp(-(rows["total"].to_numpy(float) - 1500 + 300 * (rows["school"] == "college").to_numpy()) / 100))
        return np.stack([1 - good, good], axis=1)

    return make_world(data=frame, classifier=high, class_names=["low", "high"], fit={"epochs": 10}, progress=False)


RULES: dict[str, Any] = {
    "direction": {"years": "up"},
    "ordered": {"school": ["primary", "secondary", "college"]},
    "relations": ["total = rent + food"],
}


def broken(world: Any, path: Any) -> list[str]:
    """The rules of `RULES` that a frame of a path breaks."""
    rows, order = path.to_pandas(), RULES["ordered"]["school"]
    ranks = [order.index(name) for name in rows["school"]]
    found = ["relation"] if not (rows["total"] == rows["rent"] + rows["food"]).all() else []
    found += ["direction"] if not (rows["years"] >= rows["years"].iloc[0]).all() else []
    return found + (["order"] if min(ranks) < ranks[0] else [])


@pytest.mark.parametrize("walker", ["line", "greedy"])
@pytest.mark.parametrize("sparse", [True, False])
def test_no_frame_breaks_a_rule(budgets: Any, walker: str, sparse: bool) -> None:
    from agents.replay import compare
    from agents.walkers import make_walker

    chosen = make_walker(walker)
    free = Explainer(budgets, chosen).explain(rows=range(12), sparse=False)
    assert any(broken(budgets, path) for path in free)
    paths = Explainer(budgets, chosen).explain(rows=range(12), rules=RULES, sparse=sparse)
    assert any(path.success and path.steps for path in paths)
    for path in paths:
        assert broken(path.world, path) == []
        assert compare(path, path.world).reproduced


def test_random_codes_break_no_rule(budgets: Any) -> None:
    import torch
    from hypothesis import given, settings
    from hypothesis import strategies as st

    world = constrained(budgets, permitted_range={"rent": (300, 900)}, forbidden={"school": [("primary", "college")]}, **RULES)
    x, cells = world.held_out.x, world.held_out.cells

    @settings(max_examples=40, deadline=None)
    @given(seed=st.integers(0, 2**31), row=st.integers(0, len(x) - 1), scale=st.floats(0.1, 20))
    def one(seed: int, row: int, scale: float) -> None:
        z = scale * torch.randn(8, world.latent_dim, generator=torch.Generator().manual_seed(seed))
        factual = world.factual_of(x[row : row + 1], None, cells[row : row + 1]).chosen(torch.zeros(8, dtype=torch.int64))
        rows, own = world.units.as_frame(world.units.exact(world.decode(z, factual), factual)), cells[row]
        assert (rows["total"] == rows["rent"] + rows["food"]).all()
        assert (rows["years"] >= float(own[3])).all()
        assert (rows["rent"] <= max(900, float(own[0]))).all()
        school = world.units.as_frame(cells[row : row + 1])["school"].iloc[0]
        if school == "primary":
            assert "college" not in set(rows["school"])
        if school == "college":
            assert set(rows["school"]) == {"college"}

    one()


def test_categories_are_named_as_the_data_write_them() -> None:
    rows = pandas.DataFrame({"size": [1.0, 2.0, 3.0, 4.5] * 10, "kind": [" a", " b", " c", " b"] * 10})
    rule = {"kind": list(rows["kind"].unique())}
    made = make_world(data=rows, classifier=lambda rows: np.eye(2)[(rows["size"] > 2).to_numpy(int)], class_names=["s", "l"],
                      fit={"epochs": 1}, progress=False)  # fmt: skip
    plain = constrained(made, ordered={"kind": ["a", "b", "c"]})
    assert constraints_of(constrained(made, ordered=rule)) == constraints_of(plain)


def test_rules_are_kept_with_a_path_and_rebuilt(budgets: Any) -> None:
    from agents.constraints import constrained_as, constraints_of

    world = constrained(budgets, **RULES)
    again = constrained_as(budgets, {"constraints": constraints_of(world)})
    assert constraints_of(again) == constraints_of(world)
    assert again.units.relations[0].text == "total = rent + food"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"direction": {"rent": "sideways"}}, "'up' or 'down'"),
        ({"direction": {"school": "up"}}, "use ordered="),
        ({"ordered": {"school": ["primary", "college"]}}, r"leaves out \['secondary'\]"),
        ({"ordered": {"rent": ["1", "2"]}}, "holds numbers"),
        ({"forbidden": {"school": [("primary", "colege")]}}, "'college'"),
        ({"relations": ["total=rent+food"]}, "with spaces around"),
        ({"relations": ["total = rent + fod"]}, "'food'"),
        ({"relations": ["total = rent + school"]}, "relations are between numbers"),
        ({"relations": ["total = rent + food", "total = 2 * years"]}, "two relations share the column 'total'"),
        ({"relations": ["total = rent + food"], "features_to_vary": ["rent", "school"]}, "fixes .* because"),
    ],
)
def test_rules_that_do_not_fit_are_refused(budgets: Any, rules: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifoldError, match=message):
        constrained(budgets, **rules)


def test_an_input_that_breaks_a_relation_is_named(budgets: Any) -> None:
    row = {"rent": 500, "food": 400, "total": 950, "years": 3, "school": "college"}
    with pytest.raises(ManifoldError, match=r"input 0 itself breaks the relation 'total = rent \+ food' by 50"):
        Explainer(budgets, "line").explain(row, rules={"relations": ["total = rent + food"]})


def test_a_failed_path_names_the_constraint_that_binds(world: Any) -> None:
    explainer = Explainer(world, walker="line")
    refused = [row for row in range(len(world.held_out.x)) if explainer.explain(rows=row).source == 0][:3]
    for row in refused:
        path = explainer.explain(rows=row, permitted_range={"income": (0, 1)}, features_to_vary=["income"])
        assert not path.success
        before = world.classifier.queries
        found = binding(path)
        assert found.queries == world.classifier.queries - before
        assert "permitted_range of income" in found.names
        assert not found.untried
        few = binding(path, budget=1)
        assert len(few.untried) == 2
        assert "not tried" in few.sentence


def test_where_nothing_binds_that_is_said(world: Any) -> None:
    path = Explainer(world, walker="line").explain(rows=0)
    with pytest.raises(UserError, match="nothing binds"):
        binding(path)


def test_a_forbidden_move_can_name_a_missing_value() -> None:
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({"income": rng.normal(40, 12, 150).round(1), "home": rng.choice(["own", "rent", None], 150)})

    def missing_is_good(rows: Any) -> np.ndarray:
        good = np.where(rows["home"].isna(), 0.9, 0.1)
        return np.stack([1 - good, good], axis=1)

    settings: dict[str, Any] = {"class_names": ["no", "yes"], "fit": {"epochs": 20}, "progress": False}
    made = make_world(data=frame, classifier=missing_is_good, **settings)
    explainer = Explainer(made, walker="line")
    rows = [row for row, home in enumerate(made.units.rows(made.held_out.x)[:, 1]) if home == "own"][:4]
    assert any(path.success for path in explainer.explain(rows=rows))
    for path in explainer.explain(rows=rows, rules={"forbidden": {"home": [("own", "missing")]}}):
        assert not path.to_pandas()["home"].isna().any()
    with pytest.raises(UnknownNameError, match="missing"):
        constrained(made, forbidden={"home": [("own", "mising")]})
    with pytest.raises(ManifoldError, match="leave out the missing value"):
        constrained(made, ordered={"home": ["own", "rent", "missing"]})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "a mapping with some of the keys"),
        ("directions: {income: up}", "direction"),
        ("features_to_vary: income", "is a list"),
        ("direction: [income]", "is a mapping"),
    ],
)
def test_a_file_of_rules_is_checked(text: str, said: str, tmp_path: Any) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_rules(file)


def test_a_file_of_rules_is_the_keywords(tmp_path: Any) -> None:
    for name, text in (
        ("a.yml", "relations: [a = b]\ndirection: {c: up}"),
        ("a.json", '{"relations": ["a = b"], "direction": {"c": "up"}}'),
    ):
        (tmp_path / name).write_text(text)
        assert read_rules(tmp_path / name) == {"relations": ["a = b"], "direction": {"c": "up"}}
