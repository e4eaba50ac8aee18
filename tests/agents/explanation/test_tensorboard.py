"""TensorBoard's entries, read back from the files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard.writer import SummaryWriter

import envs
from agents.explain import explain
from agents.explanation import tensorboard
from agents.explanation.metrics.evaluate import evaluate_paths
from agents.trajectories.trajectory import Trajectory
from envs.core.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return envs.make_world(data="digits")


@pytest.fixture(scope="module")
def paths(world: World) -> list[Trajectory]:
    return explain(world, [0, 4], walker="line")


def read(folder: Path) -> Any:
    found = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    found.Reload()
    return found


def test_figures_pictures_and_tables_come_back(world: World, paths: list[Trajectory], tmp_path: Path) -> None:
    metrics = evaluate_paths(world, paths)
    with SummaryWriter(str(tmp_path)) as writer:
        logged = tensorboard.log_metrics(writer, metrics, 7)
        tensorboard.log_paths(writer, world, paths, 7, most=1)
    found, name = read(tmp_path), paths[0].name
    assert found.Scalars("explain/validity")[0].value == pytest.approx(metrics["validity"].value)
    assert found.Scalars("explain/validity")[0].step == 7
    assert set(logged) == {f"explain/{key}" for key in tensorboard.MAIN}
    every = found.Tensors("explain/measures/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "`explain/straightness`" in every
    tags = {f"{kind}/{name}" for kind in ("card", "film_strip", "animation")}
    assert set(found.Tags()["images"]) == tags | {"explain/map"}
    assert found.Images(f"animation/{name}")[0].encoded_image_string[:6] == b"GIF89a"
    table = found.Tensors(f"steps/{name}/text_summary")[0].tensor_proto.string_val[0].decode()
    assert len([line for line in table.splitlines() if line.startswith("|")]) == paths[0].steps + 3
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == []


def test_no_picture_costs_a_query(world: World, paths: list[Trajectory], tmp_path: Path) -> None:
    before = world.classifier.queries
    with SummaryWriter(str(tmp_path)) as writer:
        tensorboard.log_paths(writer, world, paths, 7)
    assert world.classifier.queries == before


def test_patterns_are_a_table_and_mean_pictures(world: World, tmp_path: Path) -> None:
    some = explain(world, range(12), target=[3] * 12, walker="line", skip_present=True)
    before = world.classifier.queries
    with SummaryWriter(tmp_path) as writer:
        tensorboard.log_patterns(writer, world, some, 1)
    assert world.classifier.queries == before
    found = read(tmp_path)
    assert "explain/mean_paths" in found.Tags()["images"]
    table = found.Tensors("explain/patterns/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "→ 3 |" in table


def test_label_only_paths_log_no_probability(tmp_path: Path) -> None:
    world = envs.make_world(data="digits", task="reach_label", label_only=True)
    path = explain(world, 0, walker="line")
    assert "p target" not in tensorboard.markdown_table(path)


def test_the_projector_draws_a_path_as_a_line(world: World, paths: list[Trajectory], tmp_path: Path) -> None:
    tensorboard.log_projector(tmp_path, world, paths)
    rows = [line.split("\t") for line in next(tmp_path.rglob("metadata.tsv")).read_text().splitlines()]
    assert (rows[0][0], rows[0][-1]) == ("class", "__seq_next__")  # the first column colours and labels the points
    own = [(i, row) for i, row in enumerate(rows[1:]) if row[1] == paths[0].name]
    assert [row[3] for _, row in own] == [str(i) for i, _ in own[1:]] + [""]
    assert not list(tmp_path.rglob("sprite.png"))  # thumbnails would hide the lines


def test_every_explain_tag_stands_on_the_page(world: World, paths: list[Trajectory], tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "tensorboard.md").read_text()
    with SummaryWriter(str(tmp_path)) as writer:
        tensorboard.log_metrics(writer, evaluate_paths(world, paths), 0)
    table = read(tmp_path).Tensors("explain/measures/text_summary")[0].tensor_proto.string_val[0].decode()
    tags = re.findall(r"`(explain/\w+)`", table)
    assert len(tags) > 20
    assert [tag for tag in tags if f"`{tag}`" not in page] == []


def test_names_with_markup_are_plain_text_in_tables_and_tags(paths: list[Trajectory]) -> None:
    odd = json.loads(paths[0].to_json())["class_names"]
    odd[paths[0].target] = "<b>|9*"
    from dataclasses import replace

    path = replace(paths[0], class_names=odd)
    assert "<b>" not in tensorboard.markdown_table(path)
    assert "/" not in tensorboard.tag_name(path)
    assert "<" not in tensorboard.tag_name(path)
