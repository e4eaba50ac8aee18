"""Columns that look protected are immutable by default in the user's own tables, and are freed by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents import Explainer
from envs import ManifoldError, UnknownNameError, make_world
from envs.building import protection
from envs.modalities.protected import looks

pandas = pytest.importorskip("pandas")


def people(words: bool) -> Any:
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({"Age": rng.integers(20, 70, 120), "income": rng.normal(40, 12, 120).round(1)})
    return frame.assign(sex=rng.choice(["f", "m"], 120), job=rng.choice(["a", "b"], 120)) if words else frame


def approves(rows: Any) -> np.ndarray:
    good = 1 / (1 + np.exp(-(rows["income"].to_numpy(float) + rows["Age"].to_numpy(float) / 3 - 55) / 5))
    return np.stack([1 - good, good], axis=1)


def world_of(words: bool = True, **settings: Any) -> Any:
    fit = {"fit": {"epochs": 5}} if words else {"manifold": "pca"}
    return make_world(data=people(words), classifier=approves, class_names=["no", "yes"], progress=False, **fit, **settings)


@pytest.mark.parametrize("name", ["age", "Age (years)", "SEX", "native-country", "countryOfBirth", "applicant_gender"])
def test_names_that_look_protected(name: str) -> None:
    assert looks(name)


@pytest.mark.parametrize("name", ["mortgage", "wages", "country", "essex", "average", "stage", "traceback"])
def test_names_that_do_not(name: str) -> None:
    assert not looks(name)


@pytest.mark.parametrize("words", [True, False])
def test_they_are_held_and_said_once(words: bool, capsys: pytest.CaptureFixture[str]) -> None:
    protection._said.clear()
    world = world_of(words)
    said = capsys.readouterr().err
    assert f"protected: {'Age, sex' if words else 'Age'}; --free {'Age,sex' if words else 'Age'}" in said
    assert said.count("\n") == 1
    world_of(words)
    assert capsys.readouterr().err == ""
    for path in Explainer(world, "line").explain(rows=range(20), sparse=False):
        rows = path.to_pandas()
        assert rows["Age"].nunique() == 1
        assert not words or rows["sex"].nunique() == 1


@pytest.mark.parametrize("words", [True, False])
def test_a_freed_age_only_rises(words: bool) -> None:
    paths = Explainer(world_of(words, free="Age" if words else ["Age"]), "line").explain(rows=range(40), sparse=False)
    ages = [path.to_pandas()["Age"] for path in paths]
    assert any(rows.iloc[-1] > rows.iloc[0] for rows in ages)
    assert all((rows >= rows.iloc[0]).all() for rows in ages)


@pytest.mark.parametrize(("free", "others"), [("Age", "sex"), ("sex", "Age"), ("Age,sex", "")])
def test_freeing_one_column_leaves_the_rules_of_the_others(free: str, others: str) -> None:
    units = world_of(free=free).units
    for name in ("Age", "sex"):
        held = units.held[units.places_of(units.columns.index(name))]
        assert held.all() if name == others else not held.any()
    if "Age" in free:
        low = units.encode(torch.tensor([[45.0, 40.0, 0.0, 0.0], [30.0, 40.0, 0.0, 0.0]], dtype=torch.float64))
        assert units.hold(low[1:].clone(), low[:1])[0, 0] == low[0, 0], "a freed age only rises, whatever is freed after it"


def test_a_description_decides() -> None:
    described = {"Age": {"only": "both"}, "sex": {"immutable": False}}
    world = world_of(columns=described)
    assert not world.units.held.any()
    ages = [path.to_pandas()["Age"] for path in Explainer(world, "line").explain(rows=range(40), sparse=False)]
    assert any(rows.iloc[-1] < rows.iloc[0] for rows in ages)
    assert any(rows.iloc[-1] > rows.iloc[0] for rows in ages)


def test_what_cannot_be_freed_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="'Age'"):
        world_of(free=["Agee"])
    with pytest.raises(ManifoldError, match="only tables have columns"):
        make_world(data="digits", free=["age"], progress=False)
    with pytest.raises(ManifoldError, match=r"nothing may vary.*free=\[\.\.\.\]"):
        Explainer(world_of(), "line").explain(rows=[0], features_to_vary=["Age", "sex"])


def test_it_is_rebuilt_from_the_record() -> None:
    from envs import WorldConfig

    world = world_of(free=["Age"])
    assert WorldConfig.from_json(world.config.to_json()).free == ["Age"]
