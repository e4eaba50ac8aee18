"""Rows that the table has not seen: clipped or left out one by one; runs that load without queries; evaluations that end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import envs
from agents import explain as script
from agents.console.cli import run_main
from agents.explain import explain
from agents.explanation.inputs import read_file
from agents.runs.run import load_run
from agents.train import train
from agents.training import evaluation as training_evaluation
from envs.errors import ManifoldError

SMALL = {"policy_kwargs": {"net_arch": [8]}, "n_steps": 8, "n_epochs": 1}


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People whose class hangs on age and work."""
    random, place = np.random.default_rng(0), tmp_path_factory.mktemp("a table")
    lines = ["age,work,class"]
    for _ in range(200):
        age, work = random.integers(18, 70), random.choice(["clerk", "farmer"])
        lines.append(f"{age},{work},{'rich' if age / 70 + 0.3 * (work == 'clerk') > 0.8 else 'poor'}")
    (place / "people.csv").write_text("\n".join(lines) + "\n")
    return place / "people.csv"


@pytest.fixture(scope="module")
def world(csv: Path) -> envs.World:
    return envs.make_world(data=str(csv), target_column="class", manifold="pca", latent_dim=2)


def test_a_value_outside_the_range_is_clipped_and_said(world: envs.World) -> None:
    with pytest.warns(UserWarning, match=r"row 1, column 'age': 80 is outside its range .* explained as 69"):
        paths = explain(world, [[30, "clerk"], [80, "farmer"]], walker="line")
    assert [float(world.units.rows(world.units.inward([[69, "farmer"]]))[0, 0])] == [69]
    np.testing.assert_array_equal(paths[1].source_input, world.units.inward([[69, "farmer"]])[0])
    with pytest.warns(UserWarning, match="explained as 69"):
        assert explain(world, {"age": 80, "work": "clerk"}, walker="line").source_input is not None


def test_what_cannot_be_held_is_left_out_row_by_row(world: envs.World) -> None:
    rows = [[30, "clerk"], [40, "pilot"], [50, "farmer"], ["old", "clerk"]]
    with pytest.warns(UserWarning, match=r"row 1, column 'work': 'pilot' .* left out") as caught:
        paths = explain(world, rows, target=["rich", "rich", "poor", "poor"], walker="line", skip_present=True)
    assert "row 3, column 'age'" in str(caught[0].message)
    every = {path.target for path in paths}
    assert every <= {0, 1}
    with pytest.warns(UserWarning, match="left out"):
        both = explain(world, rows, walker="line")
    assert len(both) == 2
    with pytest.raises(ManifoldError, match="'pilot' is none of its categories"):
        explain(world, [40, "pilot"], walker="line")
    with pytest.warns(UserWarning, match="left out"), pytest.raises(ManifoldError, match="4 inputs"):
        explain(world, rows, target=["rich"], walker="line")


def test_the_other_rows_keep_their_exact_values() -> None:
    random = np.random.default_rng(0)
    rows = np.empty((80, 2), dtype=object)
    rows[:, 0], rows[:, 1] = (1_000_000_000 + random.integers(0, 10**9, 80)).tolist(), random.choice([" a", "b"], 80)
    seen: list[list[Any]] = []

    def asked(given: np.ndarray) -> np.ndarray:
        seen.extend(given.tolist())
        p = np.array([0.8 if value == " a" else 0.2 for value in given[:, 1]])
        return np.stack([1 - p, p], 1)

    about = {"id": {"kind": "number"}, "letter": {"kind": "category"}}
    names = ["no", "yes"]
    world = envs.make_world(data=rows, columns=about, classifier=asked, class_names=names, manifold="pca", latent_dim=1)
    seen.clear()
    with pytest.warns(UserWarning, match=r"row 1, column 'letter': 'c' .* left out"):
        paths = explain(world, [rows[3].tolist(), [1_000_000_007, "c"], [7, "b"]], walker="line")
    assert len(paths) == 2
    assert seen[0] == rows[3].tolist()
    assert seen[1] == [min(rows[:, 0]), "b"]  # moved to the end of the range


def test_rows_of_plain_numbers_are_left_out_one_by_one(tmp_path: Path) -> None:
    world = envs.make_world(manifold="pca", latent_dim=2)
    rows = [[5.1, 3.5, 1.4, 0.2], [5.1, float("nan"), 1.4, 0.2], [6.7, 3.1, 5.6, 2.4]]
    with pytest.warns(UserWarning, match=r"nan at row 1 \(column 'sepal width"):
        paths = explain(world, rows, walker="line")
    assert [path.source_cells.tolist() for path in paths] == [rows[0], rows[2]]
    with pytest.raises(ManifoldError, match="do not fit"):
        explain(world, [[1.0] * 5] * 3, walker="line")
    (tmp_path / "new.csv").write_text("\n".join([",".join(world.units.columns), "5.1,3.5,1.4,0.2", "5,tall,1,1"]) + "\n")
    with pytest.warns(UserWarning, match=r"new.csv, line 3, .*'tall', a number is needed.* left out"):
        assert read_file(world, tmp_path / "new.csv").tolist() == [rows[0]]


def test_the_script_names_the_files_lines(csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "new.csv").write_text("age,work\n30,clerk\n80,farmer\n40,pilot\n")
    asked = ["--env", "Manifold/Custom-v0", "--walker", "line", "--input", str(tmp_path / "new.csv")]
    about = ["--env-kwargs", f"data:'{csv}'", "target_column:class", "manifold:pca", "latent_dim:2"]
    assert run_main(script.main, [*asked, *about]) == 0
    said = capsys.readouterr()
    assert "warning: not all rows are explained as they are:" in said.err
    assert "new.csv, line 3, column 'age': 80 is outside its range" in said.err
    assert "new.csv, line 4, column 'work': 'pilot'" in said.err
    assert ".py:" not in said.err


def test_a_saved_run_loads_with_a_spot_check_alone(csv: Path, tmp_path: Path) -> None:
    kwargs = {"manifold": "pca", "latent_dim": 2}
    run = train(data=str(csv), target_column="class", env_kwargs=kwargs, log_folder=str(tmp_path), n_timesteps=32, n_envs=4,
                hyperparams=SMALL, eval_episodes=0, pictures=False)  # fmt: skip
    loaded = load_run(run.folder.root)
    assert loaded.world.classifier.queries == 32
    assert loaded.world.reference.known_end_predictions is not None  # the line queries none of them, either
    for old, new in zip(run.world.reference, loaded.world.reference, strict=True):
        np.testing.assert_allclose(old.numpy(), new.numpy(), atol=1e-6)
    assert loaded.world.task.name == run.world.task.name == "flip"
    assert loaded.world.config == run.world.config  # a world does not remember the file
    path = explain(loaded, 0)
    assert "known_predictions" not in path.environment["config"]


class Endless(gymnasium.Env[np.ndarray, np.ndarray]):
    """Never over."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        return np.zeros(1, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return np.zeros(1, np.float32), 0.0, False, False, {}


def test_the_evaluation_of_an_endless_environment_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gymnasium.register("Endless-v0", entry_point=Endless)
    monkeypatch.setattr(training_evaluation, "MOST_STEPS", 200)
    with pytest.warns(UserWarning, match="0 of 3 episodes ended: Endless-v0 has no step limit"):
        run = train(env="Endless-v0", log_folder=str(tmp_path), n_timesteps=32, n_envs=4, hyperparams=SMALL, eval_episodes=3)
    assert run.evaluation == {}
    gymnasium.registry.pop("Endless-v0")
