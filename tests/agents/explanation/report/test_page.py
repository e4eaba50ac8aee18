"""The report: its numbers are the paths' numbers, names stay text, and it makes no network request."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.text import Text
from PIL import Image

import envs
from agents.console.cli import UserError
from agents.explain import explain
from agents.explanation.alternatives import several_ways
from agents.explanation.badge.result import Badge
from agents.explanation.contributions import contributions
from agents.explanation.figures.style import data_uri, png
from agents.explanation.headline import headline
from agents.explanation.report.card import Card, turning_point
from agents.explanation.report.export import export
from agents.explanation.report.extras import columns_slopes, slopes_view
from agents.explanation.report.faces.picture import _parts as picture_parts
from agents.explanation.report.faces.picture import rings
from agents.explanation.report.page import Extras, Panel, View, render_report, write_report
from agents.explanation.report.statement import add_contributions, statement
from agents.report import CARD_FORMATS, main
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
        assert path.predictions is not None
        assert data["p"] == [round(p, 4) for p in path.predictions[:, path.target].tolist()]
        assert data["steps"] == list(range(path.steps + 1))
        assert data["classes"] == [row["class"] for row in path.table()]
        assert len(data["frames"]) == len(data["texts"]) == path.steps + 1


def test_every_frame_s_picture_is_the_decoded_frame(world: World, paths: list[Trajectory]) -> None:
    page, path = Page(render_report(paths[:1], world)), paths[0]
    frames = path.frames(world)
    stills = [attrs["src"] for tag, attrs in page.tags if tag == "img" and "big" in (attrs.get("class") or "")]
    turn = turning_point(path)
    shown = [*page.data[0]["frames"], *stills]
    for source, x in zip(shown, [*frames, path.source_input, frames[turn], frames[-1]], strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("L"))
        assert np.abs(pixels / 255 - x).max() <= 0.5 / 255 + 1e-6


def test_every_card_shows_input_turning_point_end_and_headline_without_a_script(world: World, paths: list[Trajectory]) -> None:
    text = re.sub(r"<script.*?</script>", "", render_report(paths, world), flags=re.DOTALL)
    for path, found in zip(paths, contributions(paths, world), strict=True):
        assert escape(headline(path, found, world)) in text
    assert len(re.findall(r'<figure class="still[ "]', text)) == 3 * len(paths)


def test_contributions_are_bars_that_add_up(world: World, paths: list[Trajectory]) -> None:
    for path in paths:
        found = path.contributions(world)
        said = statement(path, world)
        assert len(said.bars) == len(found.parts)
        assert sum(bar.value for bar in said.bars) == pytest.approx(said.end - said.start)
        edges = [(bar.low, bar.high) if bar.raises else (bar.high, bar.low) for bar in said.bars]
        assert edges[0][0] == pytest.approx(said.start)
        assert edges[-1][1] == pytest.approx(said.end)
        for (_, reached), (begun, _) in pairwise(edges):
            assert reached == pytest.approx(begun)


def test_bars_that_fall_below_zero_stay_on_their_axis(world: World, paths: list[Trajectory]) -> None:
    found = contributions(paths[0], world)
    rise = (found.total + 1.2) / 2
    falling = [replace(found.parts[0], value=value) for value in (-1.2, rise, rise)]
    path = replace(paths[0], saved_contributions=replace(found, parts=falling))
    said = statement(path, world)
    assert min(bar.low for bar in said.bars) < 0
    drawn = [(said.shown.share(bar.low), said.shown.share(bar.high)) for bar in said.bars]
    assert all(0 <= low < high <= 1 for low, high in drawn)
    places = re.findall(r"left:(-?[\d.]+)%;width:([\d.]+)%", render_report([path], world))
    assert places
    assert all(float(left) >= 0 and float(left) + float(width) <= 100.11 for left, width in places)


def test_saved_contributions_cost_no_query(world: World, paths: list[Trajectory]) -> None:
    saved = [replace(path, saved_contributions=contributions(path, world)) for path in paths]
    before = world.classifier.queries
    assert add_contributions(saved, world) == 0
    assert world.classifier.queries == before


def test_rings_enclose_what_differs_from_the_input() -> None:
    change = np.zeros((8, 8))
    change[1, 1:4], change[6, 5:7] = 0.9, -0.8
    more, less = rings(change)
    assert (more.more, less.more) == (True, False)
    assert more.outline.count("h1") == 6
    assert more.outline.count("v1") == 2
    assert rings(np.full((8, 8), 0.01)) == []


def test_labels_of_parts_lie_apart_and_a_change_of_hue_is_ringed() -> None:
    change = np.zeros((32, 32))
    change[10:20, 10:20] = 0.5
    change[14, 15], change[14, 16] = 0.6, 0.6  # the largest changes of two parts are neighbours
    left = np.broadcast_to(np.arange(32) < 16, (32, 32))
    first, second = picture_parts([left, ~left], change, np.abs(change))
    assert np.hypot(first.x - second.x, first.y - second.y) >= 0.14 * 32
    hue, noise = np.zeros((32, 32)), np.zeros((32, 32))
    hue[4:8, 4:8] = 0.4  # as bright as before
    noise[20, 20] = 0.01
    (only,) = picture_parts([np.ones((32, 32), bool)], noise, hue + noise)
    assert (only.outline.count("h1"), only.outline.count("v1")) == (8, 8)
    assert max(only.x, only.y) < 8


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
    assert page.data[0]["classes"][0] in evil


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


def test_tables_are_shown_in_the_user_s_units_and_compared_with_the_input() -> None:
    world = envs.make_world(data="iris")
    path = explain(world, 0, walker="line")
    rows = Card(1, path, world).face.context["rows"]
    assert [row["name"] for row in rows] == list(world.units.columns)
    raw = np.asarray(world.units.outward(world.held_out.x[0])).ravel()
    assert [float(row["input"]) for row in rows] == pytest.approx(raw.tolist(), abs=0.006)
    for row in rows:
        assert row["end"]["move"] == np.sign(float(row["end"]["text"]) - float(row["input"]))


def test_label_only_pages_hold_no_probability() -> None:
    world = envs.make_world(data="digits", task="reach_label", label_only=True)
    page = Page(render_report([explain(world, 0, walker="line")], world))
    data = page.data[0]
    assert data["p"] is None
    assert "robability" not in json.dumps(data["texts"])
    assert not any("curve" in (attrs.get("class") or "").split() for _, attrs in page.tags)


def test_information_gain_is_drawn_where_it_was_measured(world: World, paths: list[Trajectory]) -> None:
    path = max(paths, key=lambda p: p.steps)
    measured = replace(path, information_gain=np.linspace(0.1, 0.2, path.steps))
    bars = [tag for tag, attrs in Page(render_report([measured], world)).tags if attrs.get("class") == "gain"]
    assert len(bars) == path.steps
    assert 'class="gain"' not in render_report([path], world)


def test_further_views_panels_and_figures_find_their_place(world: World, paths: list[Trajectory]) -> None:
    dot = data_uri(png(np.zeros((2, 2, 3), np.uint8)))
    view, panel = View("LIME", "why", [dot] * (paths[0].steps + 1)), Panel("route", "how", b"<svg></svg>")
    extras = Extras([view], [panel], {"l2": 1.25}, "p.npz")
    text = render_report(paths[:1], world, extras=[extras], metrics={"validity": 0.5, "gone": float("nan")})
    for part in ("LIME", "<svg></svg></div>", "1.25", "p.npz", "validity", "not measured"):
        assert part in text
    assert Page(text).data[0]["views"] == [[dot] * (paths[0].steps + 1)]


def test_what_is_told_of_shown_paths_and_of_measured_ones_is_kept_apart(world: World, paths: list[Trajectory]) -> None:
    metrics = {"step_bound_share": 1.0, "class_switches": 1.0}
    text = render_report(paths, world, metrics=metrics, made={"measured over": "all 540", "targets": "the nearest"})
    for part in (f"{sum(path.success for path in paths)} of {len(paths)} paths reached the target", "Measures over all 540",
                 "Targets: the nearest.", "no bound", "changes of the"):  # fmt: skip
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
    image = Image.open(io.BytesIO(base64.b64decode(view.images[0].partition(",")[2])))
    pixels = np.asarray(image.convert("RGBA")).astype(int)
    assert pixels[2, 3, 2] > pixels[2, 3, 0]  # blue: raises p(target)
    assert pixels[5, 5, 0] > pixels[5, 5, 2]  # orange: lowers it
    assert pixels[0, 0, 3] == 0  # no slope: the page shines through, light or dark
    withheld = slopes_view(path, slopes, np.array([0.3, *[0.8] * path.steps]))
    assert "Do not rely on frame 0" in withheld.note
    assert withheld.images[0] != withheld.images[1]
    iris = envs.make_world(data="iris")
    flower = explain(iris, 0, walker="line")
    found = np.arange(4.0)[None] * np.ones((flower.steps + 1, 1))
    weighed = columns_slopes(flower, found, np.full(flower.steps + 1, np.nan), iris, most=2)
    assert weighed.names == iris.units.columns[2:]
    assert weighed.values == [[2.0, 3.0]] * (flower.steps + 1)
    assert weighed.largest == 3.0
    page = render_report([flower], iris, extras=[Extras(slopes=weighed)])
    assert "+2.000" in page
    assert "+3.000" in page


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
    card = Card(1, path, table)
    rows = table.units.rows(torch.from_numpy(path.frames(table)))  # type: ignore[attr-defined]
    names = [row["name"] for row in card.face.context["rows"]]
    shown = [[cell["text"] for cell in frame] for frame in card.face.frames]
    assert shown == [[str(row["nc".index(name)]) for name in names] for row in rows]


def test_pictures_and_controls_have_names_for_screen_readers(world: World, paths: list[Trajectory]) -> None:
    tags = Page(render_report(paths, world)).tags
    ranges = [attrs for tag, attrs in tags if tag == "input" and attrs.get("type") == "range"]
    assert len(ranges) == len(paths)
    assert all(attrs.get("aria-label") for attrs in ranges)
    assert all("alt" in attrs for tag, attrs in tags if tag == "img")


def test_a_page_holds_no_reference_row() -> None:
    world = envs.make_world(data="iris")
    path = explain(world, 0, walker="line")
    text = render_report([path], world)
    path_values = {f"{v:.6g}" for x in (path.source_input, *path.frames(world)) for v in np.ravel(x)}
    rows = [[f"{v:.6g}" for v in row] for row in world.reference.x.numpy()]
    assert not any(all(v in text for v in row) for row in rows if not set(row) & path_values)


def test_two_hundred_digits_fit_into_five_megabytes(world: World, paths: list[Trajectory], tmp_path: Path) -> None:
    saved = [replace(path, saved_contributions=contributions(path, world)) for path in paths]
    file = write_report(tmp_path / "report.html", (saved * 67)[:200], world, badges=False)
    assert file.stat().st_size < 5_000_000
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
    file = judged(paths[0]).save(tmp_path / "path")
    assert main([str(file), "--lime", "--out", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert "latent LIME" in text
    (view,) = Page(text).data[0]["views"]
    assert len(view) == paths[0].steps + 1
    assert len(set(view)) > 1  # the explanation changes along the way


@pytest.mark.slow
def test_the_route_through_a_treeview_is_a_layer_on_request(paths: list[Trajectory], tmp_path: Path) -> None:
    file = judged(paths[0]).save(tmp_path / "path")
    assert main([str(file), "--treeview", "--out", str(tmp_path / "page.html")]) == 0
    tags = Page((tmp_path / "page.html").read_text()).tags
    assert any(tag == "div" and attrs.get("aria-label") == "Route through the TreeView" for tag, attrs in tags)
    assert "b'<svg" not in (tmp_path / "page.html").read_text()


def test_the_script_reports_a_path_and_leaves_out_what_it_cannot_read(
    paths: list[Trajectory], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = judged(paths[0]).save(tmp_path / "path")
    assert main([str(file), "--out", str(tmp_path / "page.html")]) == 0
    assert Page((tmp_path / "page.html").read_text()).data[0]["classes"] == [row["class"] for row in paths[0].table()]
    file.write_bytes(b"nothing")
    with pytest.raises(UserError, match="none of its 1 paths"):
        main([str(file)])
    assert "left out" in capsys.readouterr().err


def judged(path: Trajectory, kind: str = "holds", *reasons: str) -> Trajectory:
    """The path with a badge, so that none is computed."""
    return replace(path, saved_badge=Badge(kind, list(reasons)))


def test_a_doubtful_end_says_do_not_rely_on_it(world: World, paths: list[Trajectory]) -> None:
    alone = judged(paths[0], "flips this model only", "Other classifiers give the end p(4) = 0.20.", "Typicality is 1.")
    text = render_report([alone, judged(paths[1])], world)
    assert text.count("Do not rely on this path.") == 1
    assert "Other classifiers give the end p(4) = 0.20." in text
    assert "1 with the badge “holds”, 1 with the badge “flips this model only”" in text
    assert 'data-badge="flips this model only"' in text
    assert '<span class="sign holds" aria-hidden="true"></span> holds' in text  # the index says what its signs mean


@pytest.mark.parametrize("kind", CARD_FORMATS)
def test_a_card_is_written_in_every_format(
    paths: list[Trajectory], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    file = judged(paths[1], "unusual end", "The end's typicality is 0.20.").save(tmp_path / "path")
    out = tmp_path / f"card.{kind}"
    assert main([str(file), "--card", "1", "--format", kind, "--out", str(out)]) == 0
    start = {"png": b"\x89PNG", "gif": b"GIF89a", "pdf": b"%PDF", "json": b"{"}[kind]
    assert out.read_bytes().startswith(start)
    if kind == "json":
        said = json.loads(out.read_text())["card"]
        assert said["badge"] == "unusual end"
        assert sum(part["value"] for part in said["contributions"]) > 0.5


def test_a_card_that_is_not_there_is_refused(paths: list[Trajectory], tmp_path: Path) -> None:
    file = paths[0].save(tmp_path / "path")
    with pytest.raises(UserError, match=r"--card 2.* has 1 paths"):
        main([str(file), "--card", "2"])


@pytest.mark.parametrize("data", ["iris", "sentences"])
def test_cards_of_tables_and_sentences_are_drawn(data: str) -> None:
    world = envs.make_world(data=data)
    path = explain(world, 0, walker="line")
    path.contributions(world)
    card = export(Card(1, path, world, mapped=False), "png")
    assert Image.open(io.BytesIO(card)).width > 900
    with pytest.raises(envs.UnknownNameError, match="format of a card 'jpeg'"):
        export(Card(1, path, world, mapped=False), "jpeg")


@pytest.mark.parametrize("data", ["iris", "digits", "sentences"])
def test_ways_from_one_input_share_a_card(data: str) -> None:
    world = envs.make_world(data=data, progress=False)
    first, alone = several_ways(world, 0, n=2, walker="line"), explain(world, 1, walker="line")
    html = render_report([*first, alone], world, title=None)
    assert html.count("<article") == 2
    assert "2 inputs explained" in html
    assert "way 1:" in html
    assert html.count("<h4>way 2") == 1
    assert html.count('class="row ends"') == (data == "iris")


def test_the_name_of_a_way_is_escaped() -> None:
    world = envs.make_world(progress=False)
    ways = [replace(path, scenario=f"<b>{k}</b>") for k, path in enumerate(several_ways(world, 0, n=2, walker="line"))]
    html = render_report(ways, world)
    assert "<b>1</b>" not in html
    assert "&lt;b&gt;1&lt;/b&gt;" in html


@pytest.mark.parametrize("data", ["iris", "digits", "oscillator"])
def test_no_two_texts_of_a_card_s_figure_overlap(data: str) -> None:
    from agents.explanation.report.export import card_figure

    world = envs.make_world(data=data)
    path = explain(world, 3, walker="line")
    path.contributions(world)
    figure = card_figure(Card(1, path, world))
    figure.draw_without_rendering()
    ticks = {tick for axes in figure.findobj(Axes) for tick in (*axes.get_xticklabels(), *axes.get_yticklabels())}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip() and text not in ticks]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    pictures = [axes.get_window_extent() for axes in figure.findobj(Axes) if axes.images]
    for k, (words, box) in enumerate(boxes):
        for other, beside in boxes[k + 1 :]:
            wide = min(box.x1, beside.x1) - max(box.x0, beside.x0)
            high = min(box.y1, beside.y1) - max(box.y0, beside.y0)
            assert wide <= 2 or high <= 3, f"{words!r} overlaps {other!r}"
        for picture in pictures:
            inside = picture.x0 < box.x0 and box.x1 < picture.x1  # the number of a ring
            assert inside or picture.x1 <= box.x0 or box.x1 <= picture.x0 or not picture.y0 < box.y0 < picture.y1, words
