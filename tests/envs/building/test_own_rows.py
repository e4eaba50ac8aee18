"""The classifier receives the user's own rows bit for bit, columns by name, in the container that it was fitted to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from envs import World, make_world
from envs.datasets import NumberUnits
from envs.errors import ManifoldError

FAST: dict[str, Any] = {"manifold": "pca", "latent_dim": 2}


def agree(world: World, estimator: Any, rows: Any) -> None:
    """The estimator's answers on the user's own rows are the world's, on inputs and on frames 0, bit for bit."""
    true = estimator.predict_proba(rows).astype(np.float32)
    x, cells = world.units.entered(rows)
    np.testing.assert_array_equal(world.classifier.predict_proba(x, cells).numpy(), true)
    z = world.manifold.encode(x)
    factual = world.factual_of(x, z, cells)
    frames = world.decode(z, factual)
    assert torch.equal(frames, x)
    np.testing.assert_array_equal(world.predictions(frames, factual).numpy(), true)


def flowers(n: int = 150) -> tuple[pd.DataFrame, np.ndarray]:
    """A frame of numbers of very different sizes, and classes that hang on all of them."""
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 4)) * [1.0, 30.0, 1e3, 1e5] + [0.0, 200.0, 1e4, 1e6]
    y = (x[:, 0] + x[:, 1] / 30 - x[:, 2] / 1e3 + x[:, 3] / 1e5 > 6.67).astype(int)
    return pd.DataFrame(x, columns=["a", "b", "c", "d"]), y


# ---- columns by name -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["frame", "columns", "array"])
def test_columns_go_by_the_names_that_the_classifier_was_fitted_to(given: str) -> None:
    frame, y = flowers()
    order = ["d", "b", "a", "c"] if given != "array" else list(frame.columns)
    forest = RandomForestClassifier(20, random_state=0).fit(frame[order], y)
    if given == "frame":
        world = make_world(data=frame, classifier=forest, **FAST)
    elif given == "columns":
        world = make_world(data=frame.to_numpy(), columns=list(frame.columns), classifier=forest, **FAST)
    else:
        world = make_world(data=frame.to_numpy(), classifier=forest, **FAST)
    assert world.units.columns == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(world.reference.label.numpy(), forest.predict(frame[order]))
    assert world.round_trip is not None
    assert (world.round_trip.agreement, world.round_trip.largest) == (1.0, 0.0)
    inside, cells = world.units.entered(frame[order])  # a reordered frame is put into order
    np.testing.assert_array_equal(cells.numpy(), frame.to_numpy())
    one, own = world.units.entered(frame.iloc[3])
    assert torch.equal(one[0], inside[3])
    assert torch.equal(world.units.entered([frame.iloc[3].to_dict()])[1], own)


def test_frames_with_other_columns_are_refused_by_name() -> None:
    frame, y = flowers()
    forest = RandomForestClassifier(5, random_state=0).fit(frame, y)
    world = make_world(data=frame, classifier=forest, **FAST)
    for other, complaint in (
        (frame.drop(columns="b"), r"lacks the columns \['b'\]"),
        (frame.assign(e=1.0), r"has the columns \['e'\], which this world has not"),
        (frame.rename(columns={"a": "A"}), r"lacks the columns \['a'\] and has the columns \['A'\]"),
        (frame[["a", "b", "c", "d", "d"]], "two columns called 'd'"),
    ):
        with pytest.raises(ManifoldError, match=complaint):
            world.units.entered(other)
    with pytest.raises(ManifoldError, match=r"lack the columns \['d'\]"):
        world.units.entered(frame.iloc[0].drop("d"))
    with pytest.raises(ManifoldError, match=r"fitted to the columns .* this table lacks \['a'\]"):
        make_world(data=frame.rename(columns={"a": "A"}), classifier=forest, **FAST)
    with pytest.raises(ManifoldError, match="leave columns= out"):
        make_world(data=frame, columns=["p", "q", "r", "s"], classifier=forest, **FAST)
    with pytest.raises(ManifoldError, match="two columns called 'b'"):
        make_world(data=frame.set_axis(["a", "b", "b", "d"], axis=1), classifier=forest, **FAST)
    nameless = make_world(data=frame.to_numpy(), classifier=DecisionTreeClassifier().fit(frame.to_numpy(), y), **FAST)
    with pytest.raises(ManifoldError, match="made of rows without names"):
        nameless.units.entered(frame)


# ---- bit for bit -----------------------------------------------------------------------------------------------------


def test_numbers_reach_the_classifier_as_they_are() -> None:
    random = np.random.default_rng(0)
    rows = np.stack(
        [random.integers(1_000_000_000, 4_000_000_000, 200), random.uniform(52.0, 52.001, 200).round(6)], axis=1
    ).astype(np.float64)
    seen: list[np.ndarray] = []

    def asked(given: np.ndarray) -> np.ndarray:
        seen.append(given)
        p = 0.1 + 0.8 * (given[:, 0] > 2.5e9)
        return np.stack([1 - p, p], 1)

    world = make_world(data=rows, classifier=asked, class_names=["a", "b"], **FAST)
    for part in seen:
        assert part.dtype == np.float64
        assert np.isin(part, rows).all()
    tree = DecisionTreeClassifier(random_state=0).fit(rows, (rows[:, 1] * 1e6).round() % 2 > 0)
    agree(make_world(data=rows, classifier=tree, **FAST), tree, rows)
    held = make_world(
        data=rows, columns={"id": {"kind": "number", "immutable": True}, "place": {"kind": "number"}},
        classifier=asked, class_names=["a", "b"], check_rows=0, **FAST,
    )  # fmt: skip
    seen.clear()
    factual = held.reference.factual
    moved = held.decode(held.reference.z + 0.7, factual)
    held.predictions(moved, factual)
    assert seen[-1][:, 0].tolist() == rows[:, 0].tolist()
    assert (seen[-1][:, 1] != rows[:, 1]).any()
    assert world.units.entered(rows)[1].numpy().tolist() == rows.tolist()


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (np.array([[2**53 + 1, 1], [3, 4], [5, 6]]), r"column 'column 0': 9007199254740993 is beyond 2\*\*53"),
        (np.array([["2020-01-01"], ["2021-01-01"]], dtype="datetime64[D]"), "column 'column 0' holds dates"),
        (pd.DataFrame({"when": pd.to_datetime(["2020-01-01", "2021-02-03"]), "v": [1, 2]}), "column 'when' holds dates"),
        (pd.DataFrame({"id": [2**53 + 1, 4], "v": [1.5, 2]}), r"column 'id': 9007199254740993 is beyond"),
    ],
)
def test_what_no_float_holds_is_refused_by_name(rows: Any, complaint: str) -> None:
    with pytest.raises(ManifoldError, match=complaint):
        make_world(data=rows, classifier=lambda x: x, class_names=["a", "b"], **FAST)


# ---- categories ------------------------------------------------------------------------------------------------------


def workers(n: int = 160) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows as pandas reads them: blanks, booleans, a column of two whole numbers, missing categories."""
    random = np.random.default_rng(1)
    work = random.choice([" Private", " State-gov", " ?"], n)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 80, n),
            "work": work,
            "member": random.random(n) > 0.5,
            "sex": random.integers(1, 3, n),
            "town": random.choice(np.array(["Rome", "Bern", None], dtype=object), n),
            "hours": random.uniform(10, 60, n).round(1),
        }
    )
    y = ((frame["age"] > 40).astype(int) + (work == " Private") + frame["member"] + (frame["sex"] == 1) > 2).to_numpy()
    return frame, y.astype(int)


def pipeline(frame: pd.DataFrame, y: np.ndarray) -> Any:
    """One-hot categories that ignore what they do not know, which is how a changed value goes unnoticed."""
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["work", "member", "sex", "town"]), remainder="passthrough"
    )
    return make_pipeline(encode, LogisticRegression(max_iter=500)).fit(frame, y)


def test_a_mixed_frame_is_taken_as_it_is_and_asked_as_it_is() -> None:
    frame, y = workers()
    fitted = pipeline(frame[["hours", "town", "work", "age", "sex", "member"]], y)
    world = make_world(data=frame, classifier=fitted, **FAST)
    agree(world, fitted, frame)
    row = world.units.values(world.units.entered(frame.iloc[:1])[1])[0]  # type: ignore[attr-defined]
    assert [type(value) for value in row] == [int, str, bool, int, type(frame["town"].iloc[0]), float]
    changed = world.units.as_frame(world.reference.cells)  # type: ignore[attr-defined]
    pd.testing.assert_frame_equal(changed, frame)


def test_two_values_of_one_category_stay_apart() -> None:
    rows = np.array([[" a", 1.0], ["a", 2.0], ["b", 3.0], [" a", 4.0], [None, 5.0], [float("nan"), 6.0]] * 4, dtype=object)
    seen: list[Any] = []

    def asked(given: np.ndarray) -> np.ndarray:
        seen.extend(given[:, 0].tolist())
        p = np.array([0.9 if value == " a" else 0.2 for value in given[:, 0]])
        return np.stack([1 - p, p], 1)

    about: dict[str, Any] = {"letter": {"kind": "category"}, "n": {"kind": "number"}}
    world = make_world(data=rows, columns=about, classifier=asked, class_names=["no", "yes"], **FAST)
    assert {repr(value) for value in seen} == {"' a'", "'a'", "'b'", "None", "nan"}
    assert world.reference.label.tolist() == [int(value == " a") for value in rows[:, 0]]
    assert world.units.table.columns[0].categories == ("a", "b")  # type: ignore[attr-defined]
    _, cells = world.units.entered([{"letter": "a ", "n": 2}])  # as nobody wrote it: the commonest way to write it
    assert world.units.values(cells)[0][0] == " a"  # type: ignore[attr-defined]


def test_pandas_categories_keep_their_type_and_order() -> None:
    frame, _ = workers()
    frame["work"] = pd.Categorical(frame["work"], categories=[" State-gov", " ?", " Private"])

    class Native:
        """A classifier of pandas categories, as gradient boosting libraries are."""

        classes_ = np.array([0, 1])

        def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
            assert list(rows.dtypes) == list(frame.dtypes)
            assert list(rows.columns) == list(frame.columns)
            p = 0.1 + 0.8 * (rows["work"].cat.codes == 2).to_numpy()
            return np.stack([1 - p, p], 1)

    world = make_world(data=frame, classifier=Native(), **FAST)
    agree(world, Native(), frame)


def test_codes_with_zeros_in_front_stay_text(tmp_path: Path) -> None:
    frame, y = workers()
    frame["code"] = ["00171", "00020", "01000", "00007"] * 40
    file = tmp_path / "people.csv"
    frame.assign(rich=y).to_csv(file, index=False)
    world = make_world(data=str(file), target_column="rich", **FAST)
    column = next(c for c in world.units.table.columns if c.name == "code")  # type: ignore[attr-defined]
    assert column.categories == ("00007", "00020", "00171", "01000")
    assert {row[6] for row in world.units.rows(world.reference.x)} == set(column.categories)  # type: ignore[attr-defined]


def test_a_csv_is_asked_as_pandas_reads_it(tmp_path: Path) -> None:
    frame, y = workers()
    file = tmp_path / "people.csv"
    frame.assign(rich=y).to_csv(file, index=False)
    again = pd.read_csv(file)
    fitted = pipeline(again.drop(columns="rich"), again["rich"].to_numpy())
    world = make_world(data=str(file), target_column="rich", classifier=fitted, **FAST)
    assert world.round_trip is not None
    assert world.round_trip.largest <= 1e-6
    own = [again.columns.get_loc(name) for name in world.units.columns]
    true = fitted.predict(again.drop(columns="rich"))
    asked = torch.cat([world.reference.cells, world.held_out.cells])  # type: ignore[list-item]
    rows = world.units.as_frame(asked)  # type: ignore[attr-defined]
    assert len(own) == rows.shape[1] == 6
    assert sorted(fitted.predict(rows).tolist()) == sorted(true.tolist())
    assert {repr(v) for v in rows["member"]} == {"True", "False"}
    assert {repr(v) for v in rows["work"]} == {"' Private'", "' State-gov'", "' ?'"}


def test_adult_as_pandas_reads_it(adult: pd.DataFrame) -> None:
    y = (adult.pop("income") == " >50K").to_numpy().astype(int)
    kinds = [name for name in adult if adult[name].dtype.kind not in "iuf"]
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), kinds), remainder="passthrough")
    fitted = make_pipeline(encode, DecisionTreeClassifier(max_depth=8, random_state=0)).fit(adult, y)
    world = make_world(data=adult, classifier=fitted, **FAST)
    agree(world, fitted, adult)


@pytest.fixture
def adult() -> pd.DataFrame:
    import os

    file = Path(os.environ.get("MANIFOLD_DATA", "")) / "adult" / "adult.data"
    if not file.is_file():
        pytest.skip("no adult.data in $MANIFOLD_DATA")
    names = (
        "age workclass fnlwgt education education-num marital occupation relationship race sex gain loss hours country income"
    )
    return pd.read_csv(file, names=names.split(), nrows=3000)


# ---- the round trip is checked ----------------------------------------------------------------------------------------


class Lossy(NumberUnits):
    """Units that lose what a tree goes by."""

    def values(self, cells: torch.Tensor) -> np.ndarray:
        return np.round(super().values(cells), 1)

    array = values


def test_another_classifier_than_the_user_s_is_refused_with_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, _ = flowers()
    rows = frame.to_numpy() / [1, 1e4, 1e5, 1e6]
    y = (rows[:, 1] * 1e3).round() % 2 == 0
    tree = DecisionTreeClassifier(random_state=0).fit(rows, y)
    monkeypatch.setattr("envs.building.data.NumberUnits", Lossy)
    with pytest.raises(ManifoldError, match=r"labels agree for 0\.\d+ of 150 rows.*differ in 'column 0', 'column 1'"):
        make_world(data=rows, classifier=tree, **FAST)
    y[:] = rows[:, 0] > 0
    coarse = DecisionTreeClassifier(random_state=0).fit(rows, y)
    assert make_world(data=rows, classifier=coarse, check_rows=0, **FAST).round_trip is None


def test_probabilities_alone_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, _ = flowers()
    monkeypatch.setattr("envs.building.data.NumberUnits", Lossy)
    steady = LogisticRegression().fit(frame.to_numpy()[:, :1], frame["a"] > 0)
    far = frame.to_numpy()[np.abs(frame["a"].to_numpy()) > 0.2, :1]
    with pytest.warns(UserWarning, match=r"labels agree for 1\.000 .* differ in 'column 0'"):
        make_world(data=far, classifier=steady, manifold="pca", latent_dim=1)


def test_a_noisy_classifier_passes_and_its_queries_are_counted() -> None:
    frame, _ = flowers()
    random = np.random.default_rng(0)

    def noisy(rows: np.ndarray) -> np.ndarray:
        p = np.clip(0.2 + 0.6 * (rows[:, 0] > 0) + random.normal(0, 0.02, len(rows)), 0, 1)
        return np.stack([1 - p, p], 1)

    asked: dict[str, Any] = {"data": frame.to_numpy(), "classifier": noisy, "class_names": ["a", "b"], **FAST}
    world = make_world(**asked)
    assert world.round_trip is not None
    assert world.round_trip.noise > 0
    assert world.round_trip.queries == 2 * 150
    assert world.classifier.queries == 2 * 150 + 150  # and once about each start
    few = make_world(**asked, check_rows=10)
    assert few.round_trip is not None
    assert (few.round_trip.rows, few.round_trip.queries) == (10, 20)


def test_columns_of_a_frame_that_are_ignored_may_be_in_rows_later() -> None:
    frame, y = workers()
    fitted = pipeline(frame, y)
    named = frame.assign(name=[f"person {i}" for i in range(len(frame))])
    world = make_world(data=named, classifier=fitted, **FAST)
    assert world.units.columns == list(frame.columns)
    assert torch.equal(world.units.entered(named)[1], world.units.entered(frame)[1])
    with pytest.raises(ManifoldError, match=r"has the columns \['more'\]"):
        world.units.entered(named.assign(more=1))
    with pytest.raises(ManifoldError, match=r"lacks \['name'\]"):
        make_world(data=named, classifier=LogisticNamed(named), **FAST)


class LogisticNamed:
    """A classifier that was fitted to a column which is ignored."""

    classes_ = np.array([0, 1])

    def __init__(self, frame: pd.DataFrame) -> None:
        self.feature_names_in_ = np.array(frame.columns)

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        raise AssertionError("not asked")


# ---- files -----------------------------------------------------------------------------------------------------------


def test_a_table_in_a_tsv_of_another_encoding(tmp_path: Path) -> None:
    frame, y = workers()
    frame = frame.assign(town=frame["town"].replace({"Rome": "Zürich"}), rich=y)
    file = tmp_path / "people.tsv"
    frame.to_csv(file, index=False, sep="\t", encoding="cp1252")
    with pytest.raises(ManifoldError, match=r"not a UTF-8 text.*encoding=cp1252"):
        make_world(data=str(file), target_column="rich", **FAST)
    with pytest.raises(ManifoldError, match="encoding"):
        make_world(data=str(file), target_column="rich", encoding="cp125x", **FAST)
    world = make_world(data=str(file), target_column="rich", encoding="cp1252", **FAST)
    town = next(c for c in world.units.table.columns if c.name == "town")  # type: ignore[attr-defined]
    assert town.categories == ("Bern", "Zürich")

    from agents.explanation.inputs import read_file

    assert len(read_file(world, file)) == len(frame)


def test_mixed_rows_without_names_say_what_describes_them() -> None:
    rows = np.array([["A11", 1.0], ["A12", 2.0]] * 5, dtype=object)
    with pytest.raises(ManifoldError, match="columns="):
        make_world(data=rows, classifier=lambda x: x, class_names=["a", "b"], **FAST)


def test_a_torch_module_of_another_type_is_asked_bit_for_bit() -> None:
    rows = np.stack([np.linspace(1e9, 2e9, 60).round(), np.linspace(0, 1, 60)], 1)
    seen: list[torch.Tensor] = []

    class Double(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.detach().clone())
            logit = (x[:, :1] - 1.5e9) / 1e8 * self.weight
            return torch.cat([-logit, logit], 1)

    world = make_world(data=rows, classifier=Double(), class_names=["a", "b"], **FAST)
    assert world.round_trip is not None
    assert world.round_trip.largest == 0
    for part in seen[2:]:  # after the looks at its shape
        assert np.isin(part.numpy(), rows).all()


@pytest.mark.parametrize("module", [True, False])
def test_pictures_of_any_layout_come_back_as_they_are(module: bool) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (50, 6, 5, 3)).astype(np.uint8)

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(48, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x / 255)

    def function(x: np.ndarray) -> np.ndarray:
        assert x.dtype == np.uint8
        assert x.shape[1:] == (3, 6, 5)
        p = (x[:, 0].reshape(len(x), -1).mean(1) / 255).astype(np.float32)
        return np.stack([1 - p, p], 1)

    classifier: Any = Net() if module else function
    shape = None if module else (3, 6, 5)
    world = make_world(
        data=pictures, classifier=classifier, input_shape=shape, class_names=["a", "b"], pixel_range=(0, 255), **FAST
    )
    assert world.round_trip is not None
    assert (world.round_trip.rows, world.round_trip.agreement) == (50, 1.0)
    assert world.round_trip.largest <= 1e-6


def test_walks_without_a_target_may_end_at_known_rows_of_every_other_class() -> None:
    from agents.walkers.goals import arriving_reference

    world = make_world(manifold="pca", latent_dim=2)  # iris
    assert world.untargeted.reference.end_predictions is world.reference.end_predictions
    assert (
        world.replace(gamma=0.9).reference.end_predictions is world.reference.end_predictions
    )  # what was queried stays known
    assert world.classifier.queries == 2 * len(world.reference.x)
    label, end = world.reference.label, world.reference.end_predictions.argmax(1)
    assert arriving_reference(world.untargeted, 0, 1).tolist() == ((label != 0) & (end != 0)).tolist()
    assert arriving_reference(world, 0, 1).tolist() == ((label == 1) & (end == 1)).tolist()
