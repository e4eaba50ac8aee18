"""The commands one after the other on a model with a score: a regressor on a table, and a torch scalar on pictures."""

from __future__ import annotations

import json
import textwrap

import pytest

from agents import evaluate, explain, load_run, replay, report, train
from agents.console.cli import UserError
from agents.runs.folder import RunFolder

MODELS = """
    import numpy, torch
    from sklearn.datasets import load_diabetes, load_digits
    from sklearn.linear_model import LinearRegression

    table = load_diabetes(scaled=False)
    rows = table.data[:200]
    fitted = LinearRegression().fit(rows, table.target[:200])
    pictures = load_digits().images[:300]

    class Slope(torch.nn.Module):
        def forward(self, pixels):
            pixels = pixels.float()
            return (pixels[:, :, 4:].mean((1, 2)) - pixels[:, :, :4].mean((1, 2)))

    slope = Slope()
"""


@pytest.fixture
def models(tmp_path, monkeypatch):
    (tmp_path / "goal_models.py").write_text(textwrap.dedent(MODELS))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


FLAGS = {
    "table": ["--data", "goal_models:rows", "--classifier", "goal_models:fitted"],
    "pictures": [
        "--data", "goal_models:pictures", "--classifier", "goal_models:slope", "--outputs", "score", "--env-kwargs",
        "pixel_range:[0,16]", "latent_dim:4", "fit:{'epochs':3}",
    ],
}  # fmt: skip
TARGETS = {"table": ("+10 %", "-5"), "pictures": ("+2", "-1")}
QUICK = ["-n", "128", "--n-envs", "2", "--no-progress", "--no-pictures", "--hyperparams", "n_steps:64"]


@pytest.mark.parametrize("data", ["table", pytest.param("pictures", marks=pytest.mark.slow)])
def test_train_explain_evaluate_report_and_replay(data, models, capsys):
    more = ["manifold:pca"] if data == "table" else []
    flags = FLAGS[data] + (["--env-kwargs", *more] if more else [])
    assert train.main([*flags, *QUICK, "--eval-episodes", "8", "-f", "runs"]) == 0
    assert "success rate" in capsys.readouterr().out
    run = str(next((models / "runs/ppo").iterdir()))
    for target in TARGETS[data]:
        assert explain.main([run, "--split", "held_out", "--index", "1", "2", "3", f"--target={target}", "--json"]) == 0
        paths = json.loads(capsys.readouterr().out)["paths"]
        assert paths
        assert all("score" in path["frames"][0] for path in paths)
        assert all(path["headline"].startswith("Predicted ") for path in paths)
    assert (
        explain.main([run, "--index", "1", "--walker", "policy", "--split", "held_out", f"--target={TARGETS[data][0]}"]) == 0
    )
    assert "score" in capsys.readouterr().out
    assert evaluate.main([run, "--inputs", "8", "--no-oracles", "--closely", "0", "--alone", "0"]) == 0
    assert "stop at the goal >= " in capsys.readouterr().out
    assert report.main([run]) == 0
    page = (models / run / "report.html").read_text()
    assert "score" in page
    assert "goal" in page
    capsys.readouterr()
    assert replay.main([run, "--all", "--no-show"]) == 0
    found = capsys.readouterr().out
    assert "NOT reproduced" not in found
    assert "paths reproduced" in found
    kept = load_run(run)
    assert kept.world.goal.text == kept.world.config.goal
    assert kept.world.classifier.queries <= 64


def test_a_run_for_one_limit_refuses_a_range_and_says_what_to_do(models):
    flags = [*FLAGS["table"], "--goal", ">= 150", "--env-kwargs", "manifold:pca"]
    assert train.main([*flags, *QUICK, "--eval-episodes", "0", "-f", "runs"]) == 0
    run = RunFolder.open("latest", "runs").root
    assert load_run(run).world.goal.text == ">= 150"
    with pytest.raises(
        (UserError, ValueError), match=r"trained for the goal '>= 150' with 2 outcomes.*train with goal='100..120'"
    ):
        explain.main([str(run), "--index", "1", "--split", "held_out", "--target", "100..120", "--walker", "policy"])
    assert explain.main([str(run), "--index", "1", "--split", "held_out", "--target", "100..120", "--walker", "line"]) == 0
