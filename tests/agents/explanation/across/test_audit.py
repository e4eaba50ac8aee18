"""The audit: a classifier that looks at one column is audited as that, and queries are counted."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas
import pytest

import envs
from agents import UserError, audit
from agents.evaluate import main
from agents.explain import explain
from agents.explanation.across.audit import CAVEAT, MOST_ROWS
from agents.explanation.report.page import render_report
from envs.errors import UnknownNameError

ROWS = 240


def people(seed: int = 0) -> pandas.DataFrame:
    random = np.random.default_rng(seed)
    return pandas.DataFrame({
        "age": random.integers(18, 80, ROWS),
        "sex": random.choice(["Female", "Male"], ROWS),
        "race": random.choice(["A", "B", "C"], ROWS),
        "income": random.normal(50, 15, ROWS).round(1),
    })  # fmt: skip


def by_sex(rows: pandas.DataFrame) -> np.ndarray:
    return np.where(rows["sex"] == "Male", 0.9, 0.1)


def by_income(rows: pandas.DataFrame) -> np.ndarray:
    return 1 / (1 + np.exp(-(rows["income"].to_numpy(float) - 50) / 3))


def world(classifier: Any) -> Any:
    return envs.make_world(data=people(), classifier=classifier, class_names=["no", "yes"], manifold="pca", latent_dim=4,
                           progress=False)  # fmt: skip


@pytest.fixture(scope="module")
def sexist() -> Any:
    return world(by_sex)


def test_a_classifier_of_one_protected_column(sexist: Any) -> None:
    before = sexist.classifier.queries
    found = audit(sexist, rows=40)
    assert found.queries == sexist.classifier.queries - before
    assert [column.name for column in found.columns] == ["age", "sex", "race"]
    sex, others = found.columns[1], [found.columns[0], found.columns[2]]
    assert sex.flipped == sex.rows == found.rows == 40
    assert sex.changed == sex.flips > 0
    assert all(column.flipped == 0 for column in others)
    assert sum(rows for _, rows in sex.values.values()) == 40
    assert sex.sentence.startswith(f"sex changes in {sex.flips} of {sex.flips} flips (1.00 [")
    assert "flips 40 of 40 answers (1.00 [0.91, 1.00])" in sex.sentence


def test_a_classifier_of_another_column() -> None:
    found = audit(world(by_income), rows=40)
    assert all(column.flipped == 0 for column in found.columns)
    assert found.lines[-1] == CAVEAT


def test_every_value_of_a_number_and_a_category_is_asked(sexist: Any) -> None:
    age, _, race = audit(sexist, rows=10).columns
    assert set(race.values) == {"A", "B", "C"}
    assert len(age.values) == 5
    assert sum(rows for _, rows in race.values.values()) == 20


def test_the_world_stays_as_it_was(sexist: Any) -> None:
    held = sexist.units.held.clone()
    audit(sexist, rows=3)
    assert sexist.units.held.equal(held)


def test_numbers_alone() -> None:
    rows = np.random.default_rng(1).normal(0, 1, (200, 3))
    names: dict[str, Any] = {"columns": ["age", "b", "c"], "class_names": ["no", "yes"]}

    def old(given: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-9 * np.asarray(given, dtype=float)[:, 0]))

    made = envs.make_world(data=rows, classifier=old, manifold="pca", latent_dim=3, progress=False, **names)
    age = audit(made, rows=30).columns[0]
    assert age.flipped == 30
    assert age.changed == age.flips > 0


def test_what_cannot_be_audited(sexist: Any) -> None:
    with pytest.raises(UnknownNameError, match="sex"):
        audit(sexist, ["sexx"])
    with pytest.raises(UserError, match=f"1 to {MOST_ROWS}"):
        audit(sexist, rows=101)
    with pytest.raises(UserError, match="no column looks protected"):
        audit(envs.make_world(progress=False))
    with pytest.raises(UserError, match="these data have none"):
        audit(envs.make_world(data="digits", progress=False))


def test_the_report_has_a_section_with_names_escaped() -> None:
    rows = np.random.default_rng(1).normal(0, 1, (200, 2))
    names: dict[str, Any] = {"columns": ["<b>sex</b>", "b"], "class_names": ["no", "yes"], "manifold": "pca"}
    made = envs.make_world(data=rows, classifier=lambda x: (np.asarray(x)[:, 1] > 0) * 0.8 + 0.1, progress=False, **names)
    html = render_report(explain(made, range(2), walker="line"), made, audit=audit(made, rows=5))
    assert "Audit of protected columns" in html
    assert CAVEAT.split(",")[0] in html
    assert "<b>sex" not in html


def test_the_command_line(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--data", "iris", "--inputs", "5", "--alone", "0", "--closely", "0", "--no-oracles"]
    out = tmp_path / "found.json"
    assert main([*quick, "--audit", "--protected", "petal width in cm", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "petal width in cm changes in" in said
    assert CAVEAT in said
    column = json.loads(out.read_text())["audit"]["columns"][0]
    assert column["changes"]["n"] == 5
    with pytest.raises(UserError, match="add --audit"):
        main([*quick, "--protected", "sex"])


def test_dates_are_shown_as_dates() -> None:

    frame = pandas.DataFrame({"joined": pandas.date_range("2020-01-01", periods=60, freq="7D"), "size": np.linspace(0, 1, 60)})
    world = envs.make_world(data=frame, columns={"joined": {"kind": "date", "unit": "days"}}, class_names=["no", "yes"],
                            classifier=lambda rows: (rows["joined"] > "2020-08-01").astype(float), manifold="pca",
                            progress=False)  # fmt: skip
    assert all(value.startswith("202") and "-" in value for value in audit(world, ["joined"], rows=10).columns[0].values)
