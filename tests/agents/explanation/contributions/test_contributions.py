"""Contributions: they add up, know the parts that matter, cost what they say, and come back from disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import envs
from agents.errors import UserError
from agents.explain import explain
from agents.explanation.contributions import Contributions, contributions
from agents.explanation.contributions.compute import key_frames
from agents.explanation.contributions.orders import Segment, cost, credit, segment
from agents.trajectories.trajectory import Trajectory, TrajectoryError
from envs.classifiers.base import Classifier
from envs.core.world import World


@pytest.fixture(scope="module")
def sentences() -> World:
    return envs.make_world(data="sentences")


class Known(Classifier):
    """p(second class) is a known function of the data."""

    def __init__(self, function: Any, names: list[str]) -> None:
        super().__init__(names)
        self.function = function

    def _predict(self, x: torch.Tensor) -> torch.Tensor:
        p = torch.stack([self.function(row) for row in x.double()])[:, None]
        out = torch.zeros(len(x), len(self.class_names), dtype=torch.float64)
        out[:, :1], out[:, 1:2] = 1 - p, p
        return out


def asked_of(path: Trajectory, world: World, function: Any, **settings: Any) -> Contributions:
    """The contributions to the second class of a classifier that is known, along the path."""
    known = dataclasses.replace(world, classifier=Known(function, world.class_names))
    with torch.inference_mode():
        frames = torch.from_numpy(path.frames(world))
        p = known.classifier.predict_proba(frames).float().numpy()
    told = dataclasses.replace(path, source=0, target=1, predictions=p)
    return contributions(told, known, **settings)


# --- orders -----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 7), st.integers(1, 4), st.integers(0, 99))
def test_credits_add_up_in_every_order(parts: int, pairs: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    found = segment(parts, 2 * pairs, generator)
    p = generator.uniform(size=len(found.switched))
    full, empty = found.switched.all(1).argmax(), (~found.switched).all(1).argmax()
    np.testing.assert_allclose(credit(found, p).sum(1), p[full] - p[empty], atol=1e-12)
    assert len(found.switched) <= 2 + cost(parts, 2 * pairs)
    assert len({row.tobytes() for row in found.switched}) == len(found.switched)


def test_all_orders_are_counted_where_that_costs_no_more() -> None:
    """Against the definition: the mean of a part's step over all orders."""
    from itertools import permutations

    generator = np.random.default_rng(0)
    every = segment(4, 6, generator)
    assert every.orders is None
    p = generator.uniform(size=16)
    value = {row.tobytes(): p[k] for k, row in enumerate(every.switched)}
    expected = np.zeros(4)
    for order in permutations(range(4)):
        on = np.zeros(4, bool)
        for k in order:
            before = value[on.tobytes()]
            on = on.copy()
            on[k] = True
            expected[k] += (value[on.tobytes()] - before) / 24
    np.testing.assert_allclose(credit(every, p)[0], expected, atol=1e-12)
    order = np.array([[0, 1, 3, 7, 15], [0, 8, 12, 14, 15]])  # 0, 1, 2, 3 and its reverse
    along = credit(Segment(every.switched, order), p)
    np.testing.assert_allclose(along[0], np.diff(p[order[0]]))
    np.testing.assert_allclose(along[1], np.diff(p[order[1]])[::-1])


@given(st.integers(2, 4), st.integers(0, 99))
def test_parts_that_do_the_same_get_the_same(parts: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    every = segment(parts, 6, generator)
    others = every.switched[:, 2:] @ (1 << np.arange(parts - 2))
    p = generator.uniform(size=(3, 2**parts))[every.switched[:, :2].sum(1), others]  # by how many of the first two are on
    first, second = credit(every, p)[0, :2]
    assert first == pytest.approx(second, abs=1e-12)


def test_key_frames_divide_the_movement_of_p() -> None:
    assert key_frames(np.array([0.1, 0.1, 0.1, 0.1]), 6) == [0, 3]
    assert key_frames(np.array([0.0, 0.0, 1.0, 1.0]), 6) == [0, 2, 3]
    assert key_frames(np.linspace(0, 1, 21), 4) == [0, 5, 10, 15, 20]


# --- contributions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["digits", "iris", "sentences"])
def test_they_sum_to_the_rise_and_every_query_is_counted(kind: str, request: pytest.FixtureRequest) -> None:
    world: World = request.getfixturevalue(kind)
    paths = explain(world, range(12), walker="line")
    before = world.classifier.queries
    found = contributions(paths, world)
    assert world.classifier.queries - before == sum(each.queries for each in found)
    for path, each in zip(paths, found, strict=True):
        assert each.efficiency_error < 1e-6
        assert each.end == pytest.approx(float(path.predictions[-1, path.target]), abs=1e-5)
        assert each.start == pytest.approx(float(world.answers_held_out([path.index])[0, path.target]), abs=1e-5)
        assert each.called >= each.start
        assert each.parts == sorted(each.parts, key=lambda part: -part.value)
    single = contributions(paths[3], world)
    np.testing.assert_allclose([p.value for p in single.parts], [p.value for p in found[3].parts], atol=1e-5)
    assert single.queries == found[3].queries


@settings(max_examples=15)
@given(st.integers(0, 40), st.integers(0, 5), st.sampled_from([2, 4, 8]))
def test_they_sum_to_the_rise_of_any_path(digits: World, index: int, seed: int, orders: int) -> None:
    path = explain(digits, index, walker="line")
    found = contributions(path, orders=orders, seed=seed, max_queries=2000, segments=1 + seed)
    assert found.efficiency_error < 1e-6
    assert all(part.spread >= 0 for part in found.parts)


def test_of_an_additive_classifier_they_are_its_terms(iris: World) -> None:
    path = explain(iris, 4, walker="line")
    weight = torch.tensor([0.02, -0.03, 0.05, 0.04], dtype=torch.float64)
    found = asked_of(path, iris, lambda x: 0.5 + x @ weight)
    frames = path.frames(iris)
    terms = dict(zip(iris.units.columns, (weight.numpy() * (frames[-1] - path.source_input)), strict=True))
    assert {part.name: pytest.approx(part.value, abs=1e-6) for part in found.parts} == {
        p.name: terms[p.name] for p in found.parts
    }
    assert all(part.spread < 1e-6 for part in found.parts)


def test_a_part_that_does_not_matter_gets_exactly_nothing(iris: World) -> None:
    path = explain(iris, 0, walker="line", sparse=False)
    found = asked_of(path, iris, lambda x: torch.sigmoid(3 * x[2] - 1))
    assert found.parts[0].name == iris.units.columns[2] or found.parts[-1].name == iris.units.columns[2]
    assert [part.value for part in found.parts if part.name != iris.units.columns[2]] == [0.0] * (len(found.parts) - 1)
    looked = next(part for part in found.parts if part.name == iris.units.columns[2])
    assert looked.value == pytest.approx(found.total)


def test_a_classifier_that_looks_at_one_region_is_explained_by_it(digits: World) -> None:
    path = explain(digits, 11, walker="line")
    everywhere = contributions(path)
    mask = everywhere.parts[0].mask
    assert mask is not None
    assert mask.any()
    chosen = torch.from_numpy(mask)
    found = asked_of(path, digits, lambda x: torch.sigmoid(x[chosen].mean() - 0.5))
    for part in found.parts:
        assert (part.value != 0) == bool((part.mask & mask).any())
    assert sum(part.value for part in found.parts if (part.mask & mask).any()) == pytest.approx(found.total)


def test_the_seed_decides_the_orders_and_nothing_else_does(digits: World) -> None:
    path = explain(digits, 20, walker="line")
    torch.manual_seed(1)
    first = contributions(path, seed=3)
    torch.manual_seed(2)
    assert contributions(path, seed=3) == first
    several = contributions(path, orders=2, segments=3)
    assert not several.exact
    assert contributions(path, orders=2, segments=3, seed=1) != several
    assert path.saved_contributions is None


def test_a_budget_bounds_the_queries(digits: World) -> None:
    path = explain(digits, 33, walker="line")
    free = contributions(path, segments=6)
    tight = contributions(path, max_queries=free.queries // 2, segments=6)
    assert tight.queries <= free.queries // 2
    assert len(tight.frames) < len(free.frames)
    assert tight.efficiency_error < 1e-6
    before = digits.classifier.queries
    with pytest.raises(UserError, match=r"changed parts .* take \d+ queries .* max_queries is 3: raise max_queries to"):
        contributions(path, max_queries=3)
    assert digits.classifier.queries == before
    with pytest.raises(UserError, match="orders=3: an even number"):
        contributions(path, orders=3)
    with pytest.raises(UserError, match="segments=0: at least one"):
        contributions(path, segments=0)


def test_parts_carry_the_users_names(iris: World) -> None:
    path = explain(iris, 0, walker="line", sparse=False)
    names = {"petal length in cm": "<b>petal</b> length " * 20}
    found = contributions(path, part_names=names)
    assert any(part.name == names["petal length in cm"] for part in found.parts)
    assert [part.name for part in contributions(path, part_names=str.upper).parts] == [
        part.name.upper() for part in contributions(path).parts
    ]


def test_label_only_classifiers_have_contributions_of_the_label() -> None:
    world = envs.make_world(data="iris", label_only=True)
    found = contributions(explain(world, 0, walker="line"))
    assert found.total == 1.0
    assert found.efficiency_error < 1e-6


# --- with the path ----------------------------------------------------------------------------------------------------


def test_they_are_saved_with_the_path(digits: World, tmp_path: Path) -> None:
    path = explain(digits, 11, walker="line")
    plain = Trajectory.load(path.save(tmp_path / "plain"))
    assert plain.saved_contributions is None
    found = path.contributions()
    assert path.contributions() is found
    back = Trajectory.load(path.save(tmp_path / "path"))
    assert back == path == plain, "what is derived from a path does not make it another one"
    before = digits.classifier.queries
    assert back.contributions() == found
    assert back.headline == path.headline
    assert digits.classifier.queries == before
    with pytest.raises(UserError, match="read from a file: give the world"):
        plain.contributions()
    assert plain.contributions(digits) == found
    assert Contributions.from_json(found.to_json()) == found
    assert '"saved_contributions"' in path.to_json()


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("start",), 2.0, "start"),
        (("parts",), {}, "lists"),
        (("parts", 0, "value"), "0.1", "value"),
        (("parts", 0, "where"), {"rows": 8, "columns": 8, "runs": [60, 9]}, "outside of the picture"),
        (("parts", 0, "where"), {"rows": 10**9, "columns": 10**9, "runs": []}, "too large"),
        (("parts", 0, "where"), {"row": 8}, "pixels, a column or words"),
        (("parts", 0, "more"), 1, "fields"),
        (("more",), 1, "fields"),
    ],
)
def test_damaged_ones_are_refused(digits: World, place: tuple[Any, ...], value: Any, said: str) -> None:
    path = explain(digits, 11, walker="line")
    found: Any = path.contributions().to_json()
    inner = found
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    with pytest.raises(TrajectoryError, match=said):
        dataclasses.replace(path, saved_contributions=found)


def test_large_pictures_in_colour_have_few_parts_which_name_their_place_and_colour() -> None:
    from agents.explanation.contributions.picture_words import region_words
    from envs.modalities.regions import MOST, regions

    generator = torch.Generator().manual_seed(0)
    before = torch.full((3, 64, 64), 0.4) + 0.01 * torch.rand(3, 64, 64, generator=generator)
    after = before + 0.01 * torch.rand(3, 64, 64, generator=generator)
    after[:, 4:16, 4:16] += torch.tensor([0.3, -0.15, -0.15])[:, None, None]
    after[:, 44:60, 44:60] -= 0.35
    after[:, 44:60, 4:16] += torch.tensor([0.4, 0.4, 0.0])[:, None, None]
    frames = torch.stack([before, after])
    found = regions(frames)
    assert len(found) <= MOST
    plain: Any = SimpleNamespace(config=SimpleNamespace(data=None))
    told = dict(region_words(plain, found, frames))
    assert told["the top left"] == "is redder"
    assert told["the bottom right"] == "is darker"
    assert told["the bottom left"] == "is brighter and yellower"
    grey = regions(frames.mean(1))
    assert set(dict(region_words(plain, grey, frames.mean(1))).values()) <= {"is brighter", "is darker", "has changed"}
