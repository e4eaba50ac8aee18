"""Zero-inflated, skewed, exclusive and linked columns: encoded, decoded, held, walked."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agents.constraints import constrained
from envs import World, make_world
from envs.core.factual import Factual
from envs.datasets.tables import describe_rows
from envs.errors import ManifoldError
from envs.manifolds import TableVAE
from envs.modalities.columns import Table, read_description
from envs.modalities.data_frame import read_frame
from envs.modalities.table import TableUnits

NAMES = ["age", "school", "years", "gain", "loss"]
SCHOOLS = {"basic": 9, "middle": 11, "high": 13, "college": 16}


def people(n: int = 600, seed: int = 0) -> np.ndarray:
    """Rows in which the school determines the years, and at most one of gain (log-normal) and loss is not 0."""
    random = np.random.default_rng(seed)
    school = random.choice(list(SCHOOLS), n)
    which = random.random(n)
    gain = np.where(which < 0.2, np.exp(random.normal(8, 1.2, n)).round(), 0).astype(int)
    loss = np.where(which > 0.85, random.normal(1900, 300, n).round(), 0).astype(int)
    rows = np.empty((n, 5), dtype=object)
    columns: list[Any] = [random.integers(18, 80, n), school, [SCHOOLS[s] for s in school], gain, loss]
    for j, column in enumerate(columns):
        rows[:, j] = [value.item() if isinstance(value, np.generic) else value for value in column]
    return rows


@lru_cache
def table_of(**settings: Any) -> TableUnits:
    """Units of these rows; `settings`: column -> key=value."""
    about = {name: dict([setting.split("=")]) for name, setting in settings.items()}
    columns = {name: {key: yaml.safe_load(value) for key, value in own.items()} for name, own in about.items()}
    return TableUnits.of_table(people(), describe_rows(people(), NAMES, {"columns": columns}))


def factual_of(units: TableUnits, rows: Any) -> Factual:
    x, cells = units.entered(rows)
    return Factual(x, cells, x.clone())


# ---- the description ---------------------------------------------------------------------------------------------------


def test_the_kinds_are_noticed_printed_and_read_again() -> None:
    table = describe_rows(people(), NAMES, {})
    about = {column.name: column.as_dict() for column in table.columns}
    assert about["years"]["linked_to"] == "school"
    assert (about["gain"]["zero_inflated"], about["gain"]["scale"]) == (True, "log")
    assert (about["loss"]["zero_inflated"], about["loss"]["exclusive_with"]) == (True, "gain")
    assert "scale" not in about["loss"]
    assert "zero_inflated" not in about["age"]
    for text in (table.as_yaml(), json.dumps(yaml.safe_load(table.as_yaml()))):
        assert describe_rows(people(), NAMES, read_description(yaml.safe_load(text))).columns == table.columns


def test_each_guess_can_be_turned_off() -> None:
    off = {
        "years": {"linked_to": False},
        "gain": {"zero_inflated": False, "scale": "linear"},
        "loss": {"exclusive_with": False, "zero_inflated": False},
    }
    columns = {column.name: column for column in describe_rows(people(), NAMES, {"columns": off}).columns}
    assert [columns[name].width for name in NAMES] == [1, 4, 1, 1, 1]
    apart = {column.name: column for column in describe_rows(people(), NAMES, {"loss": {"exclusive_with": False}}).columns}
    assert [apart[name].width for name in NAMES] == [1, 4, 0, 3, 3]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"gain": {"scale": "logg"}}, "did you mean 'log'"),
        ({"gain": {"zero_inflated": "yes"}}, "zero_inflated is true or false"),
        ({"school": {"kind": "category", "zero_inflated": True}}, "zero_inflated is for numbers"),
        ({"loss": {"exclusive_with": 3}}, "exclusive_with is the name of a column"),
        ({"age": {"exclusive_with": "gain"}}, "'age' is none: set zero_inflated"),
        ({"age": {"linked_to": "school"}}, r"row \d+, column 'age': '\d+' occurs with '\w+' of 'school'"),
        ({"years": {"linked_to": "schoo"}}, "did you mean 'school'"),
        ({"gain": {"zero_inflated": True, "range": [-1, 1e9], "only": "up"}}, "need a range from 0 upwards"),
    ],
)
def test_descriptions_of_kinds_that_do_not_fit(columns: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ManifoldError, match=complaint):
        describe_rows(people(), NAMES, {"columns": columns})


# ---- encoded rows ------------------------------------------------------------------------------------------------------


def test_an_encoded_row_by_hand() -> None:
    units, rows = table_of(), people()
    # age; school (basic, college, high, middle); gain's value; its gate: gain, loss, none; loss's value
    assert units.data_shape == (1 + 4 + 1 + 3 + 1,)
    assert units.blocks == [(1, 4), (6, 3)]
    assert units.opens == [[5, 6], [9, 7]]
    gains = np.array([row[3] for row in rows if row[3]], dtype=float)
    losses = np.array([row[4] for row in rows if row[4]], dtype=float)
    logs = np.arcsinh(gains / np.quantile(gains, 0.01))
    x = units.inward([[40, "college", 16, 5000, 0], [40, "basic", 9, 0, 2000], [40, "high", 13, 0, 0]]).numpy()
    assert x[0, 5] == pytest.approx((np.arcsinh(5000 / np.quantile(gains, 0.01)) - logs.mean()) / logs.std(), abs=1e-5)
    assert x[1, 9] == pytest.approx((2000 - losses.mean()) / losses.std(), abs=1e-5)
    assert x[:, 6:9].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert x[0, 9] == x[1, 5] == x[2, 5] == x[2, 9] == 0
    assert units.places_of(2) == [1, 2, 3, 4]  # the years have those of the school
    assert units.places_of(4) == [9, 6, 7, 8]


def test_rows_come_back_and_what_did_not_move_is_the_user_s_own() -> None:
    units, rows = table_of(), people(200, seed=1)
    rows[:2] = [[30, "high", 12, 700, 80], [30, "high", 13, 0, 0]]  # a pair and two amounts that no row of the data has
    x, cells = units.entered(rows)
    assert units.rows(x, factual_of(units, rows)).tolist() == rows.tolist()
    assert units.rows(x)[2:].tolist() == rows[2:].tolist()
    assert units.rows(x)[0].tolist() == [30, "high", 13, 700, 0]  # without the input: what the data have
    assert cells[0].tolist()[2:] == [12, 700, 80]


@given(st.integers(0, 10_000), st.floats(0.1, 6))
def test_no_soft_row_has_both_or_a_pair_that_the_data_lack(seed: int, size: float) -> None:
    units = table_of()
    random = torch.Generator().manual_seed(seed)
    soft = size * torch.randn(8, units.data_shape[0], generator=random)
    start = factual_of(units, people(8, seed=seed % 7))
    for rows in (units.rows(soft), units.rows(units.bounded(soft.abs(), start.x), start)):
        for row in rows:
            assert row[2] == SCHOOLS[row[1]]
            assert not (row[3] and row[4])
        units.inward(rows)  # valid
    valid = units.outward(soft)
    torch.testing.assert_close(units.outward(valid), valid, atol=1e-4, rtol=0)


def test_a_value_of_an_opened_gate_is_the_decoded_one_and_closed_ones_are_zero() -> None:
    units = table_of()
    start = factual_of(units, [[40, "high", 13, 0, 0]])
    base = units.inward([[40, "high", 13, 5000, 0]])
    base[:, 6:9] = torch.tensor([0.2, 0.0, 0.8])  # the reconstruction is no reason to show a gain
    start = start._replace(base=base)
    assert units.rows(units.laid(base, start), start).tolist() == [[40, "high", 13, 0, 0]]
    later = base.clone()
    later[:, 6:9] = torch.tensor([0.7, 0.0, 0.3])
    row = units.rows(units.laid(later, start), start)[0].tolist()
    assert row[4] == 0
    assert row[3] == pytest.approx(5000, rel=0.15)  # within the dead zone of what is decoded
    assert float(units.laid(base, start)[0, 5].abs()) < 1e-6


# ---- what walks may not change -------------------------------------------------------------------------------------------


def frames_of(units: TableUnits, rows: Any, seed: int = 0) -> np.ndarray:
    """Rows of random frames of walks from these rows, (rows, 40, columns)."""
    start = factual_of(units, rows)
    random = torch.Generator().manual_seed(seed)
    found = [
        units.rows(units.laid(start.base + 2 * torch.randn(start.x.shape, generator=random), start), start) for _ in range(40)
    ]
    return np.stack(found, axis=1)


def test_immutable_and_one_way_columns_hold_through_gates_and_links() -> None:
    rows = people(60, seed=3)
    free = frames_of(table_of(), rows)
    assert (free[:, :, 3] != rows[:, None, 3]).any()
    assert (free[:, :, 2] < rows[:, None, 2]).any()
    held = frames_of(table_of(gain="immutable=true", years="only=up"), rows)
    assert (held[:, :, 3] == rows[:, None, 3]).all()
    assert (held[:, :, 4] != rows[:, None, 4]).any()
    assert (held[:, :, 2] >= rows[:, None, 2]).all()
    assert (held[:, :, 2] > rows[:, None, 2]).any()
    up = frames_of(table_of(gain="only=up", loss="only=down"), rows)
    assert (up[:, :, 3] >= rows[:, None, 3]).all()
    assert (up[:, :, 4] <= rows[:, None, 4]).all()
    same = frames_of(table_of(years="immutable=true"), rows)
    assert (same[:, :, 1] == rows[:, None, 1]).all()


@lru_cache
def world() -> World:
    def classifier(rows: np.ndarray) -> np.ndarray:
        rich = 1 / (1 + np.exp(-(rows[:, 0].astype(float) / 20 + rows[:, 2].astype(float) / 4 + (rows[:, 3] > 0) - 6)))
        return np.stack([1 - rich, rich], axis=1)

    return make_world(
        data=people(), columns={**{name: {} for name in NAMES}, "age": {"immutable": False}}, held_out=people(200, seed=5), classifier=classifier,
        class_names=["poor", "rich"], latent_dim=4, fit={"epochs": 40},
    )  # fmt: skip


def test_constraints_hold_through_gates_and_links() -> None:
    rows = people(60, seed=3)
    units: Any = constrained(world(), ["age", "school", "gain"], {"gain": (100, 4000)}).units
    found = frames_of(units, rows)
    assert (found[:, :, 4] == rows[:, None, 4]).all()
    assert (found[:, :, 2] == rows[:, None, 2]).all()  # the years may not vary, so the school cannot
    moved = found[:, :, 3] != rows[:, None, 3]
    assert moved.any()
    assert (
        (found[:, :, 3][moved] >= 100) & (found[:, :, 3][moved] <= np.maximum(4000, rows[:, None, 3].repeat(40, 1)[moved]))
    ).all()
    with pytest.raises(ManifoldError, match="nothing may vary"):
        constrained(constrained(world(), ["age"]), ["gain"])  # its gate still closes, as the loss shares it
    units = constrained(world(), permitted_range={"years": (11, 13)}).units
    found = frames_of(units, rows)
    assert all(11 <= row[2] <= 13 or row[2] == own[2] for frames, own in zip(found, rows, strict=True) for row in frames)
    assert (frames_of(world().units, rows)[:, :, 4] != rows[:, None, 4]).any()  # type: ignore[arg-type]


# ---- the manifold --------------------------------------------------------------------------------------------------------


def test_decoded_rows_have_each_state_as_often_as_the_data() -> None:
    made = world()
    assert isinstance(made.manifold, TableVAE)
    assert made.manifold.gates == [(5, 6), (9, 7)]
    units: Any = made.units
    decoded = units.rows(made.manifold.decode(made.reference.z))
    real = units.rows(made.reference.x)
    for j in (3, 4):
        error = 3 * np.sqrt(0.2 * 0.8 / len(real))  # of a rate near 0.2
        assert abs((decoded[:, j] != 0).mean() - (real[:, j] != 0).mean()) < error  # as plain numbers: off by more than 0.5
    assert not ((decoded[:, 3] != 0) & (decoded[:, 4] != 0)).any()


def test_a_number_counts_where_it_has_a_value() -> None:
    vae = TableVAE(size=4, blocks=[(2, 2)], latent_dim=1, hidden=(4,), gates=[(1, 2)])
    x = torch.tensor([[0.0, 3.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    errors = vae._errors(torch.tensor([[1.0, 2.0, 0.0, 0.0], [1.0, 9.0, 0.0, 0.0]]), x)
    assert errors.tolist() == [1.0, 4.0, 0.0, 0.0]
    again = TableVAE(**json.loads(json.dumps(vae.settings)))
    assert again.gates == vae.gates
    assert "gates" not in TableVAE(size=4, blocks=[(2, 2)], latent_dim=1).settings  # as saved before


@pytest.mark.parametrize("sparse", [True, False])
def test_paths_begin_at_the_input_and_their_ends_keep_the_relations(sparse: bool) -> None:
    from agents.explain import explain

    made = world()
    paths = explain(made, range(80), walker="line", sparse=sparse)
    units: Any = made.units
    cells = made.held_out.cells
    assert cells is not None
    opened = 0
    for path in paths:
        factual = made.factual_of(made.held_out.x[path.index : path.index + 1], cells=cells[path.index : path.index + 1])
        rows = units.rows(torch.from_numpy(np.array(path.frames(made))), factual)
        assert rows[0].tolist() == units.values(cells[path.index : path.index + 1])[0].tolist()
        for row in rows:
            assert row[2] == SCHOOLS[row[1]]
            assert not (row[3] and row[4])
        opened += bool(rows[-1][3])
    assert np.mean([path.success for path in paths]) > 0.8
    assert 0 < opened / len(paths) < 0.6  # as plain numbers: 0.9 and more


def test_codes_keep_their_zeros_and_other_types_their_values() -> None:
    import pandas

    frame = pandas.DataFrame(
        {
            "code": ["00171", "00200", "01000"] * 40,
            "kind": pandas.Categorical(["a", "b", "c", "c"] * 30),
            "count": pandas.array([1, 2, None, 4, 5, 6] * 20, dtype="Int64"),
            "flag": [True, False] * 60,
            "spent": [0.0, 0.0, 1.5, 0.0, 7.25, 0.0, 31.0, 2.0, 0.0, 0.0, 9.5, 0.0] * 10,
        }
    )
    table: Table = describe_rows(read_frame(frame)[0], list(frame.columns), {}, partial=True)
    kinds = {column.name: column.kind for column in table.columns}
    assert kinds == {"code": "category", "kind": "category", "count": "number", "flag": "category", "spent": "number"}
    assert next(column for column in table.columns if column.name == "spent").zero_inflated

    def classifier(rows: Any) -> np.ndarray:
        assert list(rows.columns) == list(frame.columns)
        assert rows["kind"].dtype == frame["kind"].dtype
        assert rows["count"].dtype == frame["count"].dtype
        rich = rows["flag"].astype(float).to_numpy() * 0.8 + 0.1
        return np.stack([1 - rich, rich], axis=1)

    made = make_world(data=frame, classifier=classifier, class_names=["no", "yes"], manifold="pca", latent_dim=2)
    rows = made.units.values(made.reference.cells)  # type: ignore[attr-defined]
    assert set(rows[:, 0]) == {"00171", "00200", "01000"}
    assert {type(value) for value in rows[:, 3]} <= {bool, np.bool_}
