"""Mixed tables: a CSV becomes columns, columns an encoding, and every decoded row a valid one in the user's own values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from envs import World, WorldConfig, make_world
from envs.datasets import TableUnits, load_csv
from envs.datasets.tables import describe_rows, read_csv
from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds import Manifold, TableVAE
from envs.modalities.columns import MISSING, read_description

DESCRIPTION = {
    "columns": {
        "age": {"kind": "number", "range": [0, 120], "only": "up"},
        "sex": {"immutable": True},
        "hours": {"kind": "number", "integer": False},
    }
}


def people(n: int = 240, seed: int = 0) -> str:
    """A CSV of made-up people: who is older, works more and is a clerk is rich; some values are missing."""
    random = np.random.default_rng(seed)
    age = random.integers(18, 80, n)
    hours = (random.uniform(10, 60, n)).round(1)
    work = random.choice(["clerk", "farmer", "?"], n, p=[0.5, 0.4, 0.1])
    sex = random.choice(["f", "m"], n)
    wealth = [str(v) if random.random() > 0.15 else "NA" for v in random.integers(0, 9, n)]
    rich = (age / 80 + hours / 60 + (work == "clerk")) > 1.6
    lines = [
        f"{a},{w},{h},{s},{v},{'rich' if r else 'poor'}"
        for a, w, h, s, v, r in zip(age, work, hours, sex, wealth, rich, strict=True)
    ]
    return "age,work,hours,sex,wealth,class\n" + "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "people.csv"
    path.write_text(people())
    return path


@pytest.fixture(scope="module")
def world(file: Path) -> World:
    return make_world(data=str(file), target_column="class", columns=DESCRIPTION, latent_dim=4)


def units_of(world: World) -> TableUnits:
    assert isinstance(world.units, TableUnits)
    return world.units


# ---- columns ---------------------------------------------------------------------------------------------------------


def test_columns_are_guessed_from_the_values(file: Path) -> None:
    data = load_csv(file, target="class")
    found = {column.name: column for column in data.table.columns}
    assert [c.kind for c in found.values()] == ["number", "category", "number", "category", "number"]
    assert found["age"].integer
    assert not found["hours"].integer
    assert found["work"].categories == ("clerk", "farmer")
    assert found["work"].missing == "?"
    assert found["wealth"].missing == "NA"
    assert (found["wealth"].low, found["wealth"].high) == (0, 8)
    assert data.class_names == ["poor", "rich"]
    assert len(data.x) == 168
    assert data.held_out is not None
    assert len(data.held_out) == 72


def test_a_guess_written_down_describes_the_same_columns(file: Path, tmp_path: Path) -> None:
    data = load_csv(file, target="class")
    for name, text in (("c.yml", data.table.as_yaml()), ("c.json", json.dumps(yaml.safe_load(data.table.as_yaml())))):
        (tmp_path / name).write_text(text)
        assert load_csv(file, tmp_path / name).table == data.table


def test_texts_with_a_value_for_each_row_are_taken_for_names_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name;v\n" + "\n".join(f"person {i};{i % 5}" for i in range(30)))
    assert [column.name for column in load_csv(path).table.columns] == ["v"]


# ---- rows in and out -------------------------------------------------------------------------------------------------


def test_rows_come_back_in_the_user_s_own_values(world: World, file: Path) -> None:
    data, units = load_csv(file, DESCRIPTION, "class"), units_of(world)
    back = units.rows(units.inward(data.x))
    for row, again in zip(data.x, back, strict=True):
        for own, found in zip(row, again, strict=True):
            assert found == own or (found != found and own != own)
            assert type(found) is type(own)


def test_an_encoded_row_is_one_hot_and_standardised(world: World) -> None:
    x = world.reference.x
    assert x.shape[1] == 1 + 3 + 1 + 2 + 3
    for first, count in units_of(world).blocks:
        assert torch.equal(x[:, first : first + count].sum(1), torch.ones(len(x)))
    assert float(x[:, 0].mean()) == pytest.approx(0, abs=1e-5)
    assert float(x[:, 0].std(correction=0)) == pytest.approx(1, abs=1e-5)
    unknown = x[:, -1] == 1
    assert unknown.any()
    assert torch.equal(x[unknown, -3], torch.zeros(int(unknown.sum())))


@given(st.integers(0, 10_000), st.floats(0.1, 6))
def test_every_soft_row_has_a_valid_nearest_row(world: World, seed: int, size: float) -> None:
    units = units_of(world)
    x = size * torch.randn(6, units.data_shape[0], generator=torch.Generator().manual_seed(seed))
    valid = units.outward(x)
    assert torch.allclose(units.outward(valid), valid, atol=1e-6)  # valid rows are their own nearest ones
    rows = units.rows(x)
    units.inward(rows)  # refuses whatever is not valid
    assert torch.allclose(units.inward(rows), valid, atol=1e-4)


def test_dictionaries_and_single_rows_are_taken(world: World) -> None:
    units = units_of(world)
    row = {"age": 40, "work": "clerk", "hours": 38.5, "sex": "f", "wealth": None}
    assert torch.equal(units.inward([row]), units.inward([[40.0, "clerk", "38.5", "f", float("nan")]]))


# ---- walks -------------------------------------------------------------------------------------------------------------


def test_frames_are_soft_valid_in_range_and_keep_what_is_immutable(world: World) -> None:
    units, random = units_of(world), torch.Generator().manual_seed(0)
    z = 2 * torch.randn(300, 4, generator=random)
    factual = world.reference.x[torch.randint(len(world.reference.x), (300,), generator=random)]
    frames = world.decode(z, factual)
    assert bool((frames >= units.low - 1e-6).all())
    assert bool((frames <= units.high + 1e-6).all())
    for first, count in units.blocks:
        torch.testing.assert_close(frames[:, first : first + count].sum(1), torch.ones(300))
    rows, inputs = units.rows(frames), units.rows(factual)
    assert (rows[:, 3] == inputs[:, 3]).all()
    assert (rows[:, 0] >= inputs[:, 0]).all()
    free = units.rows(world.manifold.decode(z))
    assert (free[:, 3] != inputs[:, 3]).any()  # the decoder alone would have changed it
    assert (free[:, 0] < inputs[:, 0]).any()


def test_every_state_of_an_environment_holds_them_too(world: World) -> None:
    from envs import LatentVectorEnv

    env, units = LatentVectorEnv(8, world=world), units_of(world)
    env.reset(seed=0)
    random = np.random.default_rng(0)
    for _ in range(10):
        state = env.state
        assert (units.rows(state.frame)[:, 3] == units.rows(state.factual)[:, 3]).all()
        env.step(random.uniform(-1, 1, env.action_space.shape).astype(np.float32))
    env.close()


def test_the_answer_belongs_to_the_row_that_is_shown(world: World) -> None:
    units = units_of(world)
    z = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
    frames = world.decode(z, world.reference.x[:50])
    again = world.classifier.predict_proba(units.inward(units.rows(frames)))
    torch.testing.assert_close(world.classifier.predict_proba(frames), again, atol=1e-4, rtol=0)


def test_a_row_is_rendered_as_the_user_writes_it(world: World) -> None:
    shown = world.render(world.reference.x[0])
    assert isinstance(shown, dict)
    assert list(shown) == ["age", "work", "hours", "sex", "wealth"]
    assert isinstance(shown["age"], int)
    assert shown["sex"] in ("f", "m")
    unknown = int((world.reference.x[:, -1] == 1).nonzero()[0, 0])
    assert world.render(world.reference.x[unknown])["wealth"] == "missing"


def test_a_world_comes_back_from_its_spec(file: Path) -> None:
    world = make_world(data=str(file), target_column="class", columns=DESCRIPTION, latent_dim=4, manifold="pca")
    again = make_world(WorldConfig.from_json(json.loads(json.dumps(world.config.to_json()))))
    assert torch.equal(again.reference.frame, world.reference.frame)
    assert torch.equal(again.reference.prediction, world.reference.prediction)


def test_gym_makes_it_by_id(file: Path) -> None:
    import gymnasium as gym

    env = gym.make("Manifold/Custom-v0", data=str(file), target_column="class", latent_dim=2, manifold="pca")
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    env.close()


# ---- the manifold ------------------------------------------------------------------------------------------------------


def test_its_derivatives_are_those_of_the_decoder(world: World) -> None:
    vae = world.manifold
    assert isinstance(vae, TableVAE)
    z = 0.5 * torch.randn(5, 4, generator=torch.Generator().manual_seed(2))
    exact = Manifold.jacobian(vae, z)
    exact[:, vae.held] = 0
    inside = (vae.decode(z) > vae.low + 1e-4) & (vae.decode(z) < vae.high - 1e-4) | ~vae.is_number
    jacobian = vae.jacobian(z)
    torch.testing.assert_close(jacobian[inside], exact[inside], atol=1e-5, rtol=1e-4)
    tangent, cotangent = torch.randn(5, 4), torch.randn(5, vae.data_shape[0])
    torch.testing.assert_close(vae.jvp(z, tangent), torch.bmm(jacobian, tangent[:, :, None])[:, :, 0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(vae.vjp(z, cotangent), torch.bmm(cotangent[:, None], jacobian)[:, 0], atol=1e-5, rtol=1e-4)


def test_it_is_saved_and_loaded(world: World, tmp_path: Path) -> None:
    world.manifold.save(tmp_path)
    again = Manifold.load(tmp_path)
    assert torch.equal(again.decode(world.reference.z), world.manifold.decode(world.reference.z))


# ---- the classifier ----------------------------------------------------------------------------------------------------


class Own:
    """A classifier of the user's own rows: whoever is a clerk is rich."""

    classes_ = ["poor", "rich"]

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        assert rows.shape[1] == 5
        rich = np.array([0.9 if row[1] == "clerk" else 0.2 for row in rows])
        return np.stack([1 - rich, rich], 1)


def test_a_pipeline_of_the_user_s_own_rows_is_asked_in_the_user_s_values(file: Path) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    data = load_csv(file, target="class")
    units = TableUnits.of_table(data.x, data.table)
    encode = make_column_transformer((OrdinalEncoder(), [1, 3]), remainder="passthrough")
    pipeline = make_pipeline(encode, HistGradientBoostingClassifier(max_iter=20, random_state=0))
    pipeline.fit(units.rows(units.inward(data.x)), np.array(data.class_names)[data.truth])
    world = make_world(data=str(file), target_column="class", classifier=pipeline, latent_dim=3, manifold="pca")
    assert world.class_names == ["poor", "rich"]
    truth = torch.as_tensor(data.truth)
    assert float((world.reference.label == truth).float().mean()) > 0.9


def test_own_rows_and_encoded_rows_by_input_shape(file: Path) -> None:
    linear: dict[str, Any] = {"latent_dim": 2, "manifold": "pca"}
    world = make_world(data=str(file), target_column="class", classifier=Own(), **linear)
    clerks = world.units.rows(world.reference.x)[:, 1] == "clerk"  # type: ignore[attr-defined]
    assert (world.reference.label.numpy() == clerks).all()
    seen: list[tuple[int, ...]] = []

    def encoded(rows: np.ndarray) -> np.ndarray:
        seen.append(rows.shape[1:])
        rich = 1 / (1 + np.exp(-4 * rows[:, 0]))
        return np.stack([1 - rich, rich], 1)

    make_world(data=str(file), target_column="class", classifier=encoded, class_names=["a", "b"], input_shape=(10,), **linear)
    assert set(seen) == {(10,)}
    with pytest.raises(ManifoldError, match="fits neither"):
        make_world(data=str(file), target_column="class", classifier=Own(), input_shape=(7,))


def test_without_classes_or_classifier_there_is_an_error_that_says_so(file: Path) -> None:
    with pytest.raises(ManifoldError, match="pass classifier="):
        make_world(data=str(file))


def test_rows_in_memory_are_a_mixed_table_once_described() -> None:
    rows = np.array([[i % 7, "ab"[i % 2], "xyz"[i % 3]] for i in range(60)], dtype=object)
    about: dict[str, Any] = {"n": {"kind": "number"}, "u": {"kind": "category"}, "v": {"immutable": True}}
    world = make_world(
        data=rows, columns=about, classifier=lambda r: np.stack([(r[:, 1] == "a") * 0.8 + 0.1, (r[:, 1] != "a") * 0.8 + 0.1], 1),
        class_names=["a", "b"], latent_dim=2, manifold="pca",
    )  # fmt: skip
    assert world.units.columns == ["n", "u", "v"]
    assert world.units.shown(world.reference.x[8]) == {"n": 1, "u": "a", "v": "z"}
    with pytest.raises(ManifoldError, match="2 column names for 3 columns"):
        describe_rows(rows, ["n", "u"], about)


# ---- bad input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("a,b\n", "0 rows"),
        ("a,a\n1,2\n3,4\n", "line 1: two columns are called 'a'"),
        ("a,\n1,2\n3,4\n", "line 1: column 2 has no name"),
        ("a,b\n1,2\n3\n", "line 3: 1 values, the first line names 2 columns"),
        ('a,b\n1,2\n"3,4\n', "cannot read"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(ManifoldError, match=complaint):
        read_csv(tmp_path / "bad.csv")


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(ManifoldError, match="no data file"):
        load_csv(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("a,b\nä,1\n".encode("latin-1"))
    with pytest.raises(ManifoldError, match="not a UTF-8 text"):
        load_csv(tmp_path / "latin.csv")


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"work": {"kind": "number"}}, r"line 2, column 'work': '\w+' is not a number"),
        ({"age": {"range": [18, 30]}}, r"line \d+, column 'age': \d+ is outside its range 18 to 30"),
        ({"hours": {"integer": True}}, r"line \d+, column 'hours': [\d.]+ is not a whole number"),
        ({"work": {"categories": ["clerk"]}}, r"line \d+, column 'work': 'farmer' is none of its categories 'clerk'"),
        ({"agee": {"kind": "number"}}, "did you mean 'age'"),
        ({"age": {"knd": "number"}}, "did you mean 'kind'"),
        ({"age": {"kind": "numbr"}}, "did you mean 'number'"),
        ({"age": {"range": [5, 1]}}, r"range is \[least, largest\]"),
        ({"sex": {"kind": "category", "range": [0, 1]}}, "has no range"),
        ({"age": {"immutable": "yes"}}, "immutable is true or false"),
        ({"age": {"only": "more"}}, "only is up, down or both"),
        ({"wealth": {"only": "up"}}, "without missing values"),
        ({"sex": {"kind": "category", "only": "up"}}, "is for numbers"),
        ({n: {"kind": "ignore"} for n in ("age", "work", "hours", "sex", "wealth")}, "no column is left"),
    ],
)
def test_descriptions_that_do_not_fit(file: Path, columns: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ManifoldError, match=complaint):
        load_csv(file, {"columns": columns}, "class")


def test_target_columns_that_hold_no_classes(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'class'"):
        load_csv(file, target="clas")
    for cells, complaint in (
        ("1,a\n2,a\n", "only one class"),
        ("1,a\n2,b\n3,c\n", "too many for classes"),
        ("1,a\n2,?\n", "line 3"),
    ):
        (tmp_path / "t.csv").write_text("v,y\n" + cells)
        with pytest.raises(ManifoldError, match=complaint):
            load_csv(tmp_path / "t.csv", target="y")


def test_inputs_that_do_not_fit(world: World) -> None:
    units = units_of(world)
    good = [40, "clerk", 38.5, "f", 3]
    for place, value, complaint in (
        (0, "old", "row 1, column 'age': 'old' is not a number"),
        (0, 40.5, "40.5 is not a whole number"),
        (0, 130, "130 is outside its range 0 to 120"),
        (0, None, "no value of this column was missing"),
        (1, "baker", "'baker' is none of its categories 'clerk', 'farmer'"),
    ):
        bad = [*good]
        bad[place] = value  # type: ignore[call-overload]
        with pytest.raises(ManifoldError, match=complaint):
            units.inward([good, bad])
    with pytest.raises(ManifoldError, match="do not fit"):
        units.inward([[1, 2]])
    with pytest.raises(ManifoldError, match="lack the columns"):
        units.inward([{"age": 3}])


def test_descriptions_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ManifoldError, match="no column description"):
        read_description(tmp_path / "none.yml")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ManifoldError, match="cannot read"):
        read_description(tmp_path / "bad.json")
    (tmp_path / "list.yml").write_text("- a\n")
    with pytest.raises(ManifoldError, match="a mapping is needed"):
        read_description(tmp_path / "list.yml")
    with pytest.raises(UnknownNameError, match="target"):
        read_description({"targett": "x", "columns": {}})


def test_an_estimator_fitted_to_a_data_frame_is_shown_one(file: Path) -> None:
    import pandas
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = pandas.read_csv(file, keep_default_na=False, na_values=[""])
    target, columns = "class", ["hours", "work", "age"]  # some of the table's, in another order
    change = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["work"]), (StandardScaler(), ["hours", "age"]))
    model = make_pipeline(change, LogisticRegression()).fit(frame[columns], frame[target])
    world = make_world(data=str(file), target_column=target, classifier=model)
    rows = pandas.DataFrame(world.units.rows(world.held_out.x[:9]), columns=[c.name for c in world.units.table.columns])
    expected = model.predict_proba(rows[columns].astype({"hours": float, "age": float}))
    np.testing.assert_allclose(world.classifier.predict_proba(world.held_out.x[:9]).numpy(), expected, atol=1e-5)
    other = LogisticRegression().fit(frame[["age"]].assign(shoe=1.0), frame[target])
    with pytest.raises(ManifoldError, match=r"this table lacks.*shoe"):
        make_world(data=str(file), target_column=target, classifier=other)


def test_a_held_column_that_no_decoder_knows_does_not_shorten_the_step(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    age, city = random.integers(18, 80, 300), random.choice(["a", "b", "c"], 300)  # the city says nothing of anything
    lines = [f"{a},{c},{a + random.normal(0, 4):.1f},{'yes' if a > 50 else 'no'}" for a, c in zip(age, city, strict=True)]
    file = tmp_path / "held.csv"
    file.write_text("\n".join(["age,city,years,old", *lines]))
    world = make_world(data=str(file), columns={"target": "old", "columns": {"city": {"kind": "category", "immutable": True}}})
    z, x = world.reference.z[:200], world.reference.x[:200]
    action = torch.nn.functional.normalize(torch.randn(z.shape, generator=torch.Generator().manual_seed(0)), dim=1)
    moved = world.manifold.prior.project(world.move(world.manifold, z, action, world.step_length))
    step = (world.coordinates_of(moved, x) - world.coordinates_of(z, x)).norm(dim=1).median()
    assert float(step) == pytest.approx(world.class_distance / 8, rel=0.3)


def test_numbers_whose_spread_overflows_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,y\n" + "".join(f"{k / 4},{k % 3},{k % 2}\n" for k in range(24)) + "1e308,1,0\n")
    with pytest.raises(ManifoldError, match=r"column 'a' holds numbers of up to 1e\+308, whose spread"):
        make_world(data=str(tmp_path / "a.csv"), target_column="y", manifold="pca")


@pytest.mark.parametrize("missing", [3, [["?"]], True, {"a": 1}])
def test_marks_of_missing_values_are_a_list(missing: object) -> None:
    with pytest.raises(ManifoldError, match="missing: is a list of the cells that stand for no value"):
        read_description({"missing": missing, "columns": {}})
    assert read_description({"missing": None, "columns": {}})["missing"] == list(MISSING)


def test_categories_that_are_numbers_are_found_by_value(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"  # as pandas writes a column of floats with two values
    rows = [f"{k % 2 + 1}.0,{k}.5,{'yes' if k % 2 else 'no'}" for k in range(40)]
    file.write_text("\n".join(["kind,size,class", *rows]))
    world = make_world(data=str(file), manifold="pca", target_column="class", progress=False)
    assert world.units.entered([{"kind": kind, "size": 3.5} for kind in (2, 2.0, "2", "2.0")])[1][:, 0].unique().numel() == 1
