"""Dates and durations: numbers of a unit inside, the user's own values outside, dates again for people."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import Explainer
from agents.explain import main as explain_main
from envs import ManifoldError, UnknownNameError, make_world
from envs.modalities.columns import read_description
from envs.modalities.dates import UNITS, Calendar, number_of

FIRST = datetime.date(2020, 1, 1)
RNG = np.random.default_rng(0)
OFFSETS = RNG.integers(0, 1500, 200)
INCOME = RNG.normal(50, 9, 200)
MOMENTS = st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1))
KINDS = {
    "datetime": lambda moment: moment,
    "date": lambda moment: moment.date(),
    "text": lambda moment: moment.isoformat(" ", "seconds"),
    "text of a day": lambda moment: moment.date().isoformat(),
    "aware": lambda moment: moment.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    "numpy": lambda moment: np.datetime64(moment, "us"),
    "pandas": lambda moment: pd.Timestamp(moment),
    "pandas, aware": lambda moment: pd.Timestamp(moment, tz="UTC"),
    "duration": lambda moment: moment - datetime.datetime(2000, 1, 1),
    "numpy duration": lambda moment: np.timedelta64(moment - datetime.datetime(2000, 1, 1)),
    "pandas duration": lambda moment: pd.Timedelta(moment - datetime.datetime(2000, 1, 1)),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(moments=st.lists(MOMENTS, min_size=1, max_size=4), unit=st.sampled_from(list(UNITS)))
def test_every_kind_of_date_comes_back_as_it_was(kind, moments, unit):
    values = [KINDS[kind](moment) for moment in moments]
    calendar = Calendar.of(values, unit, "when")
    again = [calendar.value(number_of(value, unit)) for value in values]
    assert again == values
    assert {type(value) for value in again} == {type(value) for value in values}


def frame_of(dates):
    return pd.DataFrame({"joined": dates, "income": INCOME, "city": np.where(INCOME > 50, "Bonn", "Rome")})


def by_days(days):
    return 1 / (1 + np.exp(-(np.asarray(days, dtype=float) - 700) / 100))


def test_a_frame_of_pandas_is_explained_in_dates(tmp_path):
    frame = frame_of(pd.Timestamp(FIRST) + pd.to_timedelta(OFFSETS, unit="D"))
    frame.loc[5, "joined"] = pd.NaT
    seen = set()

    def classifier(rows):
        seen.add(str(rows["joined"].dtype))
        return by_days((rows["joined"] - pd.Timestamp(FIRST)).dt.days.fillna(0))

    world_of = {"data": frame, "classifier": classifier, "class_names": ["new", "old"], "manifold": "pca", "progress": False}
    with pytest.raises(ManifoldError, match=r"'joined' holds dates .*dates=\{'joined': 'days'\} \(--dates joined=days\)"):
        make_world(**world_of)
    world = make_world(**world_of, dates={"joined": "days"})
    assert seen == {str(frame["joined"].dtype)}
    assert world.round_trip is not None
    assert world.round_trip.largest == 0
    explainer = Explainer(world, "line")
    path = explainer.explain(frame.iloc[0])
    assert path.success
    end = explainer.paths_to_pandas([path])["joined"].iloc[0]
    assert end == end.normalize()
    assert f"→ {end.date()}" in path.headline
    assert str(end.date()) in explainer.report(tmp_path / "r.html", [path]).read_text()
    held = explainer.explain(frame.iloc[0], permitted_range={"joined": ["2020-01-01", "2021-11-01"]})
    assert explainer.paths_to_pandas([held])["joined"].iloc[0] <= max(pd.Timestamp("2021-11-01"), frame["joined"].iloc[0])
    read = read_description(yaml.safe_load(world.units.table.as_yaml()))
    again = make_world(**world_of, columns=read)
    assert again.units.table.columns == world.units.table.columns


def test_a_frame_of_polars_keeps_its_type():
    frame = pl.DataFrame({"joined": [FIRST + datetime.timedelta(days=int(n)) for n in OFFSETS], "income": INCOME})

    def classifier(rows):
        assert rows["joined"].dtype == pl.Date
        return by_days((rows["joined"] - FIRST).dt.total_days())

    world = make_world(
        data=frame,
        classifier=classifier,
        class_names=["new", "old"],
        dates={"joined": "weeks"},
        manifold="pca",
        progress=False,
    )
    assert Explainer(world, "line").explain(frame[:1])[0].success


def test_the_command_reads_and_shows_dates(tmp_path, capsys):
    days = [(FIRST + datetime.timedelta(days=int(n))).isoformat() for n in OFFSETS]
    frame = frame_of(days).assign(member=np.where(OFFSETS > 700, "old", "new"))
    frame.to_csv(tmp_path / "people.csv", index=False)
    asked = [
        "--data",
        str(tmp_path / "people.csv"),
        "--target-column",
        "member",
        "--index",
        "3",
        "--walker",
        "line",
        "--manifold",
        "pca",
    ]
    assert explain_main([*asked, "--no-contributions", "--dates", "joined=days"]) == 0
    assert f"joined {days[3]} → 20" in capsys.readouterr().out
    world = make_world(
        data=str(tmp_path / "people.csv"), target_column="member", dates={"joined": "days"}, manifold="pca", progress=False
    )
    later = frame.iloc[:3].drop(columns="member").assign(joined=["2099-01-01", "2021-05-05", "soon"])
    with pytest.warns(UserWarning, match=r"2099-01-01 is outside its range .*explained as 20(.|\n)*'soon' is not a date"):
        assert len(Explainer(world, "line").explain(later)) == 2


def test_wrong_dates_are_refused_with_their_place():
    frame = frame_of([*["2020-03-04"] * 199, "4.3.2020"])
    world_of = {"data": frame, "classifier": lambda rows: rows, "class_names": ["a", "b"], "progress": False}
    with pytest.raises(ManifoldError, match=r"row 199, column 'joined': '4.3.2020' is not a date .*write dates as 2024-03-01"):
        make_world(**world_of, dates={"joined": "days"})
    with pytest.raises(ManifoldError, match="dates in several forms"):
        make_world(**{**world_of, "data": frame_of([*["2020-03-04"] * 199, "2020-03-04 10:00"])}, dates={"joined": "days"})
    with pytest.raises(UnknownNameError, match=r"column 'joined' 'day': did you mean 'days'"):
        make_world(**world_of, dates={"joined": "day"})
    with pytest.raises(UnknownNameError, match="column in the description 'joind'"):
        make_world(**world_of, dates={"joind": "days"})
    with pytest.raises(ManifoldError, match="scale is not for dates"):
        make_world(**world_of, columns={"joined": {"kind": "date", "scale": "log"}})


def test_units_and_descriptions_of_columns_are_shown_and_kept(tmp_path):
    rows = np.stack([RNG.normal(70, 9, 150), RNG.normal(170, 9, 150)], axis=1)
    columns = {
        "weight": {"kind": "number", "unit": "kg", "description": "body weight without clothes"},
        "height": {"kind": "number", "unit": "cm"},
    }
    world = make_world(
        data=rows, columns=columns, class_names=["light", "heavy"], manifold="pca", progress=False,
        classifier=lambda given: 1 / (1 + np.exp(-(given[:, 0].astype(float) - 70))),
    )  # fmt: skip
    explainer = Explainer(world, "line")
    path = explainer.explain(rows[0])
    assert " kg → " in path.headline
    page = explainer.report(tmp_path / "r.html", [path]).read_text()
    assert "body weight without clothes" in page
    assert " kg" in page
    assert " kg" in world.units.difference(world.held_out.x[0], world.held_out.x[1])
    assert explainer.paths_to_pandas([path]).attrs["units"] == {"weight": "kg", "height": "cm"}
    assert "unit: kg, description: body weight" in world.units.table.as_yaml()


def test_durations_are_read_back_from_what_python_and_pandas_print() -> None:
    for hours in (0, 2, 27, -1, 24 * 400 + 0.5):
        value = datetime.timedelta(hours=hours)
        for printed in (str(value), str(pd.Timedelta(value)), f"  {value} "):
            assert number_of(printed, "hours") == hours, printed
    for wrong in ("2 hours", "1 days 2", "days", "25:61"):
        with pytest.raises(ValueError, match=r"isoformat|date"):
            number_of(wrong, "hours")
    with pytest.raises(ManifoldError, match="holds durations as text"):
        Calendar.of(["0 days 02:00:00", "1 days 00:00:00"], "hours", "wait")
