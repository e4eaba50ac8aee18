"""A query budget stops explanations and trainings cleanly: what was found is kept, and the message says how to go on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agents import load_run
from agents.console.cli import QUERY_FLAGS, UserError, parse_config, run_main
from agents.engine.command import explain_parts
from agents.engine.dataset import explain_dataset
from agents.engine.parts import read_results
from agents.engine.work import Job, Worker
from agents.explain import ExplainConfig, explain
from agents.explain import main as explain_main
from agents.train import train
from envs import make_world
from envs.errors import QueryBudgetError
from envs.query_options import QueryOptions

EXAMPLE = Path(__file__).resolve().parents[2] / "runs" / "example"
QUICK = {"n_envs": 4, "hyperparams": {"n_steps": 64}, "eval_episodes": 0, "pictures": False, "progress": False}


def test_the_flags_are_the_options():
    assert {name.removeprefix("classifier_") for name in QUERY_FLAGS} == set(QueryOptions.__dataclass_fields__)


def test_an_explanation_hands_over_what_it_found():
    everything = explain(make_world(data="iris", progress=False), None, walker="line")
    needed = make_world(data="iris", progress=False).classifier.queries
    world = make_world(data="iris", query={"budget": needed + 200}, progress=False)
    with pytest.raises(QueryBudgetError, match=r"used up: .* of 45 inputs were explained") as stopped:
        explain(world, None, walker="line")
    found = stopped.value.paths
    assert 0 < len(found) < 45
    assert len(found) % 8 == 0
    for path, whole in zip(found, everything, strict=False):
        assert path.predicted.tolist() == whole.predicted.tolist()


def test_the_command_saves_what_it_found(tmp_path, capsys):
    needed = make_world(data="iris", progress=False).classifier.queries
    arguments = ["--data", "iris", "--all", "--walker", "line", "--out", str(tmp_path), "--format", "npz"]
    assert run_main(explain_main, [*arguments, "--classifier-budget", str(needed + 200)]) == 2
    saved = len(list(tmp_path.glob("*.npz")))
    assert 0 < saved < 45
    assert f"{saved} of 45 inputs were explained, and saved in {tmp_path}: go on with a larger" in capsys.readouterr().err
    assert run_main(explain_main, [*arguments, "--classifier-budget", "20"]) == 2


def test_a_training_saves_its_steps_and_goes_on_within_another_budget(tmp_path):
    needed = make_world(data="iris", progress=False).classifier.queries
    settings = {"data": "iris", "n_timesteps": 2048, "log_folder": str(tmp_path), **QUICK}
    with pytest.raises(UserError, match=r"used up: .* steps are saved\. Go on with: .* -i .*counts anew in each command"):
        train(**settings, classifier_budget=needed + 600)
    saved = load_run("latest", root=str(tmp_path))
    assert 0 < saved.steps < 2048
    assert saved.world.config.query == {"budget": needed + 600}
    run = train(
        trained_agent=str(saved.folder.root), n_timesteps=1024, classifier_budget=10**6, eval_episodes=0, pictures=False,
        progress=False,
    )  # fmt: skip
    assert run.steps >= 1024
    larger = load_run("latest", root=str(tmp_path), query={"cache": True})
    assert larger.world.classifier.options == QueryOptions(budget=needed + 600, cache=True)


def test_many_rows_stop_between_parts_and_go_on(tmp_path):
    world = make_world(data="iris", query={"budget": 10**6}, progress=False)
    np.savetxt(tmp_path / "rows.csv", np.random.default_rng(0).normal([5.8, 3.0, 3.7, 1.2], size=(12, 4)), delimiter=",",
               header=",".join(world.units.columns), comments="")  # fmt: skip
    job = {"out": tmp_path / "out", "walker": "line", "batch_size": 4, "kind": "jsonl", "progress": False}
    whole = explain_dataset(world, tmp_path / "rows.csv", **{**job, "out": tmp_path / "whole"})
    small = make_world(data="iris", progress=False).classifier.queries + 60
    with pytest.raises(QueryBudgetError):
        explain_dataset(make_world(data="iris", query={"budget": small}, progress=False), tmp_path / "rows.csv", **job)
    explain_dataset(world, tmp_path / "rows.csv", **job)
    assert list(read_results(tmp_path / "out")) == list(read_results(whole.folder))


def test_several_workers_share_no_budget(tmp_path):
    arguments = ["latest", "--input", "rows.csv", "--out", str(tmp_path), "--engine", "local", "--jobs", "2"]
    config = parse_config(ExplainConfig, [*arguments, "--classifier-budget", "10"])
    with pytest.raises(UserError, match="each would count its own queries"):
        explain_parts(config, make_world(data="iris", progress=False))


def test_workers_load_the_run_with_the_query_options_of_the_flags():
    job = Job(str(EXAMPLE), "rows.csv", query=(("cache", True), ("repeat", 2)))
    assert hash(job) is not None
    assert job.as_dict()["query"] == {"repeat": 2}, "a larger budget, or a cache, goes on in the same folder"
    assert "query" not in Job("run", "rows.csv").as_dict(), "what folders of earlier jobs hold"
    options = Worker(job).world.classifier.options
    assert (options.cache, options.repeat) == (True, 2)


def test_results_of_many_rows_hold_dates(tmp_path):
    days = [f"2020-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 11)]
    frame = pd.DataFrame({"joined": days, "income": np.random.default_rng(0).normal(size=120)})

    def late(rows):
        return (pd.to_datetime(rows["joined"]).dt.month / 12).to_numpy()

    world = make_world(
        data=frame, classifier=late, class_names=["early", "late"], dates={"joined": "days"}, manifold="pca", progress=False
    )
    frame[:6].to_csv(tmp_path / "rows.csv", index=False)
    parts = explain_dataset(world, tmp_path / "rows.csv", tmp_path / "out", walker="line", kind="jsonl", progress=False)
    ends = [row["end_joined"] for row in read_results(parts.folder)]
    assert all(end.startswith("2020-") for end in ends)


def test_paths_come_in_batches_of_the_size_of_a_call():
    made = []
    explain(make_world(data="iris", query={"batch_size": 20}, progress=False), None, walker="line", on_batch=made.append)
    assert [len(paths) for paths in made] == [20, 20, 5]


@pytest.mark.parametrize("flags", [["--ways", "3"], ["--scenarios"], []])
def test_a_budget_that_ends_at_further_walks_or_contributions_keeps_the_paths(tmp_path, capsys, flags):
    world = make_world(data="iris", progress=False)
    explain(world, [0, 1], walker="line")
    arguments = [
        "--data",
        "iris",
        "--index",
        "0",
        "1",
        "--split",
        "held_out",
        "--out",
        str(tmp_path),
        "--format",
        "npz",
        *flags,
    ]
    assert run_main(explain_main, [*arguments, "--classifier-budget", str(world.classifier.queries + 3)]) == 2
    shown = capsys.readouterr()
    assert len(list(tmp_path.glob("*.npz"))) == 2
    assert "go on with a larger --classifier-budget" in shown.err
    assert shown.out.count("From ") == 2
