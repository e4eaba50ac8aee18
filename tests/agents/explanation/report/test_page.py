"""The report: its numbers are the paths' numbers, names stay text, and nothing in it reaches for the network."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import envs
from agents.console.cli import UserError
from agents.explain import explain
from agents.explanation.figures.style import png
from agents.explanation.report.extras import columns_slopes, slopes_view
from agents.explanation.report.page import Extras, Panel, View, render_report, write_report
from agents.report import main
from agents.trajectories.trajectory import Trajectory, TrajectoryError
from envs.core.world import World
from envs.errors import ManifoldError


class Page(HTMLParser):
    """Tags with their attributes, and the texts of JSON blocks."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: list[str] = []
        self._json = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._json = tag == "script" and dict(attrs).get("type") == "application/json"

    def handle_data(self, data: str) -> None:
        if self._json:
            self.blocks.append(data)
            self._json = False

    @property
    def data(self) -> list[dict[str, Any]]:
        return [json.loads(block) for block in self.blocks]


@pytest.fixture(scope="module")
def world() -> World:
    return envs.make_world(data="digits")


@pytest.fixture(scope="module")
def paths(world: World) -> list[Trajectory]:
    return explain(world, [0, 4, 10], walker="line")


def test_the_page_s_numbers_are_the_paths_numbers(world: World, paths: list[Trajectory]) -> None:
    page = Page(render_report(paths, world))
    assert len(page.data) == len(paths)
    for data, path in zip(page.data, paths, strict=True):
        assert data["rows"] == path.table()
        assert path.predictions is not None
        by_name = {bar["name"]: bar["values"] for bar in data["bars"]}
        assert by_name[path.class_names[path.target]] == path.predictions[:, path.target].tolist()
        assert len(data["points"]) == len(data["texts"]) == path.steps + 1


def test_every_frame_s_picture_is_the_decoded_frame(world: World, paths: list[Trajectory]) -> None:
    page = Page(render_report(paths[:1], world))
    shown = [attrs["src"] for tag, attrs in page.tags if tag == "img" and "thumb" in (attrs.get("class") or "")]
    frames = paths[0].frames(world)
    assert len(shown) == len(frames) + 1
    for source, x in zip(shown, [paths[0].source_input, *frames], strict=True):
        assert source is not None
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("L"))
        assert np.abs(pixels / 255 - x).max() <= 0.5 / 255 + 1e-6


def test_nothing_is_loaded_from_anywhere(world: World, paths: list[Trajectory]) -> None:
    text = render_report(paths, world)
    for tag, attrs in Page(text).tags:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            target = attrs.get(name)
            assert target is None or target.startswith(("data:", "#")), (tag, name, target)
    assert "//" not in re.sub(r"data:[^\"']*|<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|https?:", text)
    assert "default-src 'none'" in text


def test_names_with_markup_stay_text(world: World, paths: list[Trajectory]) -> None:
    evil = [*paths[0].class_names]
    evil[paths[0].source] = "</script><script>alert(1)</script>"
    evil[paths[0].target] = "<img src=x onerror=alert(2)>"
    renamed = world.replace(classifier=Renamed(world.classifier, evil))
    page = Page(render_report([replace(paths[0], class_names=evil)], renamed, title="<b>me</b>", made={"<i>": "<u>"}))
    assert not any(tag == "u" for tag, _ in page.tags)
    assert sum(tag == "script" for tag, _ in page.tags) == 2  # the page's own and one JSON block
    assert not any("onerror" in attrs for _, attrs in page.tags)
    assert page.data[0]["rows"][0]["class"] in evil


class Renamed:
    """A classifier whose classes have other names."""

    def __init__(self, inner: Any, names: list[str]) -> None:
        self.inner, self.class_names, self.label_only = inner, names, inner.label_only

    def predict_proba(self, x: Any) -> Any:
        return self.inner.predict_proba(x)


def test_a_path_of_one_frame_has_a_page(world: World, paths: list[Trajectory]) -> None:
    path = paths[0]
    assert path.predictions is not None
    one = replace(
        path, z=path.z[:1], predictions=path.predictions[:1], actions=path.actions[:0], rewards=path.rewards[:0],
        step_lengths=path.step_lengths[:0], information_gain=np.zeros(0), typicality=None, distances=None,
    )  # fmt: skip
    texts = Page(render_report([one], world)).data[0]["texts"]
    assert len(texts) == 1
    assert texts[0].startswith("Frame 0 of 0, the reconstruction of the input: class ")


def test_tables_are_shown_in_the_user_s_units() -> None:
    world = envs.make_world(data="iris")
    path = explain(world, 0, walker="line")
    text = render_report([path], world)
    cells = Page(text).data[0]["cells"]
    assert [cell["name"] for cell in cells] == list(world.units.columns)
    raw = np.asarray(world.units.outward(world.held_out.x[0])).ravel()
    assert [float(cell["input"]) for cell in cells] == pytest.approx(raw.tolist(), abs=0.006)


def test_label_only_pages_hold_no_probability() -> None:
    world = envs.make_world(data="digits", task="reach_label", label_only=True)
    page = Page(render_report([explain(world, 0, walker="line")], world))
    data = page.data[0]
    assert all(bar["values"] is None for bar in data["bars"])
    assert not any("p_target" in row for row in data["rows"])
    assert "robability" not in json.dumps(data["texts"])


def test_information_gain_is_drawn_where_it_was_measured(world: World, paths: list[Trajectory]) -> None:
    path = max(paths, key=lambda p: p.steps)
    measured = replace(path, information_gain=np.linspace(0.1, 0.2, path.steps))
    bars = [tag for tag, attrs in Page(render_report([measured], world)).tags if attrs.get("class") == "gain"]
    assert len(bars) == path.steps
    assert 'class="gain"' not in render_report([path], world)


def test_further_views_panels_and_figures_find_their_place(world: World, paths: list[Trajectory]) -> None:
    dot = png(np.zeros((2, 2, 3), np.uint8))
    view, panel = View("LIME", "why", [dot] * (paths[0].steps + 1)), Panel("route", "how", dot)
    extras = Extras([view], [panel], {"l2": 1.25}, "p.npz")
    text = render_report(paths[:1], world, extras=[extras], metrics={"validity": 0.5, "gone": float("nan")})
    for part in ("LIME", "route", "1.25", "p.npz", "validity", "not measured"):
        assert part in text
    assert len(Page(text).data[0]["views"]) == 2


def test_what_is_told_of_shown_paths_and_of_measured_ones_is_kept_apart(world: World, paths: list[Trajectory]) -> None:
    metrics = {"step_bound_share": 1.0, "class_switches": 1.0}
    text = render_report(paths, world, metrics=metrics, made={"measured over": "all 540", "targets": "the nearest"})
    assert f"{sum(path.success for path in paths)} of {len(paths)}" in text
    for part in ("of the paths shown here", "Over all 540.", "Targets: the nearest.", "no bound", "changes of the"):
        assert part in text
    bounded = render_report(paths, world.replace(max_step=1 / 6), metrics=metrics)
    assert "no bound" not in bounded


def test_measures_that_were_not_taken_are_named_together(world: World, paths: list[Trajectory]) -> None:
    text = render_report(paths[:1], world, metrics={"validity": 1.0, "im1": float("nan"), "oracle": float("nan")})
    assert text.count("not measured") == 1
    assert "IM1, oracle agrees" in text


def test_a_planned_last_step_says_so(world: World, paths: list[Trajectory]) -> None:
    path = max(paths, key=lambda p: p.steps)
    plain, planned = render_report([path], world), render_report([replace(path, planned=1)], world)
    assert "planned" not in plain
    assert f"{path.steps} planned</span>" in planned
    assert f"{path.steps} (planned)" in planned
    told = Page(planned).data[0]["texts"]
    assert ["planned step" in text for text in told] == [False] * path.steps + [True]
    two = render_report([replace(path, planned=2)], world)
    assert "The last 2 steps were planned" in two
    assert ["planned step" in text for text in Page(two).data[0]["texts"]] == [False] * (path.steps - 1) + [True, True]


def test_slopes_of_pictures_are_a_view_and_of_tables_bars(world: World, paths: list[Trajectory]) -> None:
    path = paths[0]
    slopes = np.zeros((path.steps + 1, 8, 8), np.float32)
    slopes[:, 2, 3], slopes[:, 5, 5] = 1.0, -1.0
    view = slopes_view(path, slopes, np.full(path.steps + 1, 0.8))
    assert "0.80 to 0.80" in view.note
    pixels = np.asarray(Image.open(io.BytesIO(view.images[0])).convert("RGB")).astype(int)
    assert pixels[2, 3, 0] > pixels[2, 3, 2]  # orange: more
    assert pixels[5, 5, 2] > pixels[5, 5, 0]  # blue: less
    assert pixels[0, 0].min() > 240
    iris = envs.make_world(data="iris")
    flower = explain(iris, 0, walker="line")
    found = np.arange(4.0)[None] * np.ones((flower.steps + 1, 1))
    told = columns_slopes(flower, found, np.full(flower.steps + 1, np.nan), iris, most=2)
    assert told.names == iris.units.columns[2:]
    data = Page(render_report([flower], iris, extras=[Extras(slopes=told)])).data[0]
    assert data["slopes"]["values"] == [[2.0, 3.0]] * (flower.steps + 1)
    assert data["slopes"]["largest"] == 3.0


def test_a_category_s_slope_is_that_of_its_present_value(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("n,c,y\n" + "".join(f"{i % 9},{'ab'[i % 2]},{i % 2}\n" for i in range(60)))
    table = envs.make_world(data=str(tmp_path / "t.csv"), target_column="y", manifold="pca", latent_dim=2)
    path = explain(table, 0, walker="line")
    slopes = np.tile([5.0, 10.0, 20.0], (path.steps + 1, 1))  # of n, of c = a, of c = b
    found = columns_slopes(path, slopes, np.full(path.steps + 1, np.nan), table)
    rows = table.units.rows(torch.from_numpy(path.frames(table)))  # type: ignore[attr-defined]
    assert found.values == [[5.0, 10.0 if row[1] == "a" else 20.0] for row in rows]


def test_mixed_rows_are_shown_in_the_user_s_own_values(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("n,c,y\n" + "".join(f"{i % 9},{'ab'[i % 2]},{i % 2}\n" for i in range(60)))
    table = envs.make_world(data=str(tmp_path / "t.csv"), target_column="y", manifold="pca", latent_dim=2)
    path = explain(table, 0, walker="line")
    cells = Page(render_report([path], table)).data[0]["cells"]
    rows = table.units.rows(torch.from_numpy(path.frames(table)))  # type: ignore[attr-defined]
    assert [cell["texts"] for cell in cells] == [[str(row[j]) for row in rows] for j in range(2)]


def test_controls_and_pictures_have_names_for_screen_readers(world: World, paths: list[Trajectory]) -> None:
    tags = Page(render_report(paths, world)).tags
    assert all(attrs.get("aria-label") for tag, attrs in tags if tag in ("button", "input"))
    assert all("alt" in attrs for tag, attrs in tags if tag == "img")
    assert sum(attrs.get("aria-live") == "polite" for _, attrs in tags) == len(paths)


def test_twenty_digits_fit_into_two_megabytes(world: World, tmp_path: Path) -> None:
    file = write_report(tmp_path / "report.html", explain(world, range(20), walker="line"), world)
    assert file.stat().st_size < 2_000_000
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_foreign_world_and_no_paths_leave_no_file(world: World, paths: list[Trajectory], tmp_path: Path) -> None:
    with pytest.raises(TrajectoryError):
        write_report(tmp_path / "report.html", paths, envs.make_world(data="iris"))
    with pytest.raises(ValueError, match="at least one path"):
        write_report(tmp_path / "report.html", [], world)
    assert not list(tmp_path.iterdir())


def test_lime_of_sentences_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    world = envs.make_world(data="sentences")
    file = explain(world, 0, walker="line").save(tmp_path / "path.npz")
    with pytest.raises(ManifoldError, match=r"words cannot move by a little.*--lime plain"):
        main([str(file), "--lime", "--out", str(tmp_path / "page.html")])
    assert not (tmp_path / "page.html").exists()


def test_lime_at_every_frame_is_a_layer_on_request(paths: list[Trajectory], tmp_path: Path) -> None:
    file = paths[0].save(tmp_path / "path")
    assert main([str(file), "--lime", "--out", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert "latent LIME" in text
    views = Page(text).data[0]["views"]
    assert [len(view) for view in views] == [paths[0].steps + 1] * 2
    assert len(set(views[1])) > 1  # the explanation changes along the way


@pytest.mark.slow
def test_the_route_through_a_treeview_is_a_layer_on_request(paths: list[Trajectory], tmp_path: Path) -> None:
    file = paths[0].save(tmp_path / "path")
    assert main([str(file), "--treeview", "--out", str(tmp_path / "page.html")]) == 0
    tags = Page((tmp_path / "page.html").read_text()).tags
    assert any(tag == "img" and attrs.get("alt") == "Route through the TreeView" for tag, attrs in tags)


def test_the_script_reports_a_path_and_leaves_out_what_it_cannot_read(
    paths: list[Trajectory], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = paths[0].save(tmp_path / "path")
    assert main([str(file), "--out", str(tmp_path / "page.html")]) == 0
    assert Page((tmp_path / "page.html").read_text()).data[0]["rows"] == paths[0].table()
    file.write_bytes(b"nothing")
    with pytest.raises(UserError, match="none of its 1 paths"):
        main([str(file)])
    assert "left out" in capsys.readouterr().err
