"""Explaining from Python and from the command line: results, and errors on bad input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch

import envs
from agents import explain as script
from agents.console.cli import UserError, run_main
from agents.explanation import explain as inputs_explained
from agents.explanation.explain import choose_walker, explain
from agents.trajectories.trajectory import Trajectory
from agents.walkers.policy import RETRIES


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from agents.train import train

    small = {"policy_kwargs": {"net_arch": [16]}, "n_steps": 8, "n_epochs": 1}
    where = str(tmp_path_factory.mktemp("runs with spaces"))
    settings = {"n_timesteps": 256, "n_envs": 8, "hyperparams": small, "eval_episodes": 0}
    return train(env="Manifold/Custom-v0", log_folder=where, **settings)


# --- the function ---------------------------------------------------------------------------------------------------


def test_one_row_gives_one_path_and_several_give_a_list(digits: Any) -> None:
    one = explain(digits, 42, walker="line")
    assert isinstance(one, Trajectory)
    assert one.index == 42
    assert one.steps + 2 <= one.queries <= one.steps + 4
    several = explain(digits, [42, 7], walker="line")
    assert [path.index for path in several] == [42, 7]
    np.testing.assert_allclose(several[0].z, one.z, atol=1e-4)
    assert [path.index for path in explain(digits, range(3), walker="line")] == [0, 1, 2]
    assert explain(digits, [], walker="line") == []


@pytest.mark.parametrize(
    "rows",
    [np.array([7, 2]), pandas.Index([7, 2]), pandas.Series([7, 2], index=[5, 9]), torch.tensor([7, 2]), (np.int8(7), 2)],
)
def test_row_numbers_of_any_kind(iris: Any, rows: Any) -> None:
    assert [path.index for path in explain(iris, rows, walker="line")] == [7, 2]
    assert [path.index for path in explain(iris, rows=rows, walker="line")] == [7, 2]


@pytest.mark.parametrize("row", [np.int64(7), np.array(7), torch.tensor(7)])
def test_one_row_number_of_any_kind_gives_one_path(iris: Any, row: Any) -> None:
    path = explain(iris, row, walker="spheres", seed=np.int64(3), max_steps=np.array(5))
    assert path == explain(iris, 7, walker="spheres", seed=3, max_steps=5)
    assert type(path.index) is type(path.seed) is int


@pytest.mark.parametrize("four", [[51, 35, 14, 2], (5, 3, 1, 0), np.array([5, 3, 1, 0]), torch.tensor([5, 3, 1, 0])])
def test_whole_numbers_that_may_be_rows_or_an_input_are_refused_with_both_ways(iris: Any, four: Any) -> None:
    words = r"4 rows of the split 'held_out', or one input of 4 values\? Pass rows=\[5.*\]\]"
    with pytest.raises(envs.ManifoldError, match=words):
        explain(iris, four, walker="line")
    few = [min(int(row), 9) for row in four]
    assert [path.index for path in explain(iris, rows=few, walker="line")] == few
    path = explain(iris, [list(four)], walker="line")[0]
    np.testing.assert_allclose(iris.units.outward(torch.from_numpy(path.source_input)).numpy(), list(four), atol=1e-3)


def test_rows_and_inputs_exclude_each_other(iris: Any) -> None:
    assert explain(iris, rows=3, walker="line").index == 3
    assert [path.index for path in explain(iris, range(4), walker="line")] == [0, 1, 2, 3]
    with pytest.raises(envs.ManifoldError, match="rows= and inputs together"):
        explain(iris, [1], rows=[1], walker="line")
    with pytest.raises(envs.ManifoldError, match=r"rows are whole numbers of the split 'held_out', not 0.5"):
        explain(iris, rows=0.5, walker="line")


def test_four_rows_of_four_columns_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    code = run_main(
        script.main,
        ["--env", "Manifold/Custom-v0", "--walker", "line", "--index", "3", "2", "1", "0"],
    )
    assert code == 0, capsys.readouterr().err


def test_a_failing_classifier_is_one_line_and_its_traceback_with_debug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "failing_model.py").write_text("def answer(rows):\n    return {}['scaler']\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    arguments = ["--env", "Manifold/Custom-v0", "--walker", "line", "--index", "3", "--classifier",
                 "failing_model:answer", "--class-names", "a", "b"]  # fmt: skip
    assert run_main(script.main, arguments) == 2
    assert "the function answer raised KeyError: 'scaler'" in capsys.readouterr().err
    with pytest.raises(envs.ManifoldError) as seen:
        run_main(script.main, [*arguments, "--debug"])
    assert isinstance(seen.value.__cause__, KeyError)


def test_no_target_is_the_nearest_other_class(digits: Any) -> None:
    for path in explain(digits, range(6), walker="line"):
        x, known = torch.from_numpy(path.source_input).flatten(), digits.reference.x.flatten(1)
        other = digits.reference.label != path.source
        nearest = (known[other] - x).norm(dim=1).argmin()
        assert path.target == int(digits.reference.label[other][nearest])


def test_targets_by_name_and_number_for_all_or_one_each(iris: Any) -> None:
    rows = [row for row in range(45) if explain(iris, row, walker="line").source != 0][:2]
    by_name = explain(iris, rows, target=iris.class_names[0], walker="line")
    assert [path.target for path in by_name] == [0, 0]
    sources = [path.source for path in explain(iris, [0, 20], walker="line")]
    each = [(source + 1) % 3 for source in sources]
    assert [path.target for path in explain(iris, [0, 20], target=each, walker="line")] == each
    assert [p.target for p in explain(iris, [0, 20], target=[iris.class_names[c] for c in each], walker="line")] == each


def test_own_walks_to_the_classs_most_typical_form(digits: Any) -> None:
    path = explain(digits, 42, target="own", walker="line")
    assert path.target == path.source
    assert path.success
    end = path.frames(digits)[-1]
    prototype = digits.reference.frame[digits.reference.prototypes[path.source]].numpy()
    start = path.frames(digits)[0]
    assert np.linalg.norm(end - prototype) <= digits.class_distance / 4
    assert np.linalg.norm(end - prototype) <= np.linalg.norm(start - prototype)


def test_an_agent_leaves_the_way_to_the_own_class_to_the_line(run: Any) -> None:
    own, other = explain(run, [0, 1], target=["own", (explain(run, 1).source + 1) % 3], fallback=False)
    assert (own.walker, other.walker) == ("line", "policy")
    assert (own.index, other.index) == (0, 1)
    assert own.training_queries == 2 * len(run.world.reference.x)
    assert explain(run, 0, target="own", walker="policy").walker == "policy"


def test_the_users_own_input_in_the_users_own_units(iris: Any, digits: Any) -> None:
    flower = iris.units.outward(iris.held_out.x[3]).numpy()
    mine = explain(iris, flower, walker="line")
    theirs = explain(iris, 3, walker="line")
    assert mine.index is None
    np.testing.assert_allclose(mine.z, theirs.z, atol=1e-3)
    picture = digits.held_out.x[5].numpy()
    for shape in ((8, 8), (64,), (1, 8, 8)):
        assert explain(digits, picture.reshape(shape), walker="line") is not None
    assert isinstance(explain(digits, picture[None], walker="line"), list)
    assert isinstance(explain(digits, picture.tolist(), walker="line"), Trajectory)
    assert isinstance(explain(digits, torch.from_numpy(picture), walker="line"), Trajectory)


def test_the_other_split(digits: Any) -> None:
    path = explain(digits, 1000, walker="line", split="reference")
    np.testing.assert_array_equal(path.source_input, digits.reference.x[1000].numpy())
    with pytest.raises(envs.UnknownNameError, match=r"split 'refrence'.*did you mean 'reference'"):
        explain(digits, 0, walker="line", split="refrence")


def test_every_row_of_a_split_in_batches(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs_explained, "BATCH", 200)
    paths = explain(digits, walker="line")
    assert [path.index for path in paths] == list(range(540))
    assert sum(path.success for path in paths) >= 535


def test_a_path_says_what_was_asked_before(digits: Any, run: Any) -> None:
    assert explain(digits, 0, walker="line").training_queries == 2 * len(digits.reference.x)
    assert explain(digits, 0, walker="spheres").training_queries == 0
    assert explain(run, 0).training_queries == run.queries > 0
    assert explain(run, 0, fallback=False).walker == "policy"  # hardly trained: by default the line may walk
    assert explain(run, 0, walker="line").walker == "line"
    assert explain(str(run.folder.root), 0) == explain(run, 0)
    assert choose_walker("policy", run).retries == RETRIES


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (540, r"index 540 is outside the split 'held_out': it has rows 0 to 539"),
        (-1, r"index -1 is outside"),
        (np.zeros((3, 3)), r"shape \(3, 3\) does not fit.*\(8, 8\).*\(n, 8, 8\)"),
        (np.full((8, 8), np.nan), r"nan at index"),
        (np.full((8, 8), np.inf), r"inf at index"),
        (np.full((8, 8), 16.0), r"values in \[0, 1\].*16.*divide"),
        (np.full((2, 8, 8), -0.5), r"from -0.5"),
        ("hello", r"must be numbers.*hello"),
    ],
)
def test_bad_inputs_are_named(digits: Any, inputs: Any, words: str) -> None:
    with pytest.raises(envs.ManifoldError, match=words):
        explain(digits, inputs, walker="line")


def test_bad_targets_are_named(digits: Any, iris: Any) -> None:
    source = explain(digits, 42, walker="line").source
    words = rf"target '{source}' is what the classifier already says of row 42.*own"
    with pytest.raises(envs.ManifoldError, match=words):
        explain(digits, 42, target=str(source), walker="line")
    kept = explain(digits, range(40, 50), target=str(source), walker="line", skip_present=True)
    others = [path.index for path in explain(digits, range(40, 50), walker="line") if path.source != source]
    assert [path.index for path in kept] == others
    with pytest.raises(envs.UnknownNameError, match=r"class 'versicolour': did you mean 'versicolor'"):
        explain(iris, 0, target="versicolour", walker="line")
    with pytest.raises(envs.UnknownNameError, match="class"):
        explain(digits, 0, target=10, walker="line")
    with pytest.raises(envs.ManifoldError, match="2 targets for 3 inputs"):
        explain(digits, range(3), target=["1", "2"], walker="line")
    with pytest.raises(envs.ManifoldError, match="task 'leave' of this world takes none"):
        explain(envs.make_world(task="leave"), 0, target="setosa", walker="line")


def test_bad_sources_and_walkers_are_named(digits: Any) -> None:
    with pytest.raises(envs.ManifoldError, match="'policy' is a trained agent"):
        explain(digits, 0)
    with pytest.raises(envs.UnknownNameError, match="walker 'lines'"):
        explain(digits, 0, walker="lines")
    with pytest.raises(UserError, match="no latent space"):
        explain(3.5, 0, walker="line")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no run folder"):
        explain("no/such/run", 0)


# --- files ----------------------------------------------------------------------------------------------------------


def test_inputs_from_files(digits: Any, iris: Any, tmp_path: Path) -> None:
    from PIL import Image

    from agents.explanation.inputs import read_file

    pictures = digits.held_out.x[:2].numpy()
    np.savez(tmp_path / "a.npz", x=pictures, other=np.zeros(3))
    np.save(tmp_path / "b.npy", pictures)
    Image.fromarray((pictures[0] * 255).astype(np.uint8)).save(tmp_path / "c.png")
    np.testing.assert_array_equal(read_file(digits, tmp_path / "a.npz"), pictures)
    np.testing.assert_array_equal(read_file(digits, tmp_path / "b.npy"), pictures)
    np.testing.assert_allclose(read_file(digits, tmp_path / "c.png"), pictures[:1], atol=1 / 255)
    names = iris.units.columns
    (tmp_path / "d.csv").write_text("id," + ",".join(reversed(names)) + "\n7,0.2,1.4,3.5,5.1\n")
    np.testing.assert_allclose(read_file(iris, tmp_path / "d.csv"), [[5.1, 3.5, 1.4, 0.2]])


def test_bad_files_are_named(digits: Any, iris: Any, tmp_path: Path) -> None:
    from PIL import Image

    from agents.explanation.inputs import read_file

    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.zeros(3))
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut off")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    Image.new("L", (28, 28)).save(tmp_path / "large.png")
    (tmp_path / "columns.csv").write_text("a,b\n1,2\n")
    (tmp_path / "words.csv").write_text(",".join(iris.units.columns) + "\n5.1,3.5,tall,0.2\n")
    for world, name, words in (
        (digits, "missing.npz", "no such file"),
        (digits, "a.gif", "inputs are read from"),
        (digits, "two.npz", r"name the array of inputs x.*'a', 'b'"),
        (digits, "cut.npz", "cannot read"),
        (digits, "objects.npy", "holds pickled objects"),
        (digits, "large.png", "28x28 pixels.*8x8"),
        (iris, "large.png", "modality of this world is 'table'"),
        (iris, "columns.csv", "lacks the columns"),
        (iris, "words.csv", "line 2.*'tall', a number is needed"),
    ):
        with pytest.raises(envs.ManifoldError, match=words):
            read_file(world, tmp_path / name)


# --- the script -----------------------------------------------------------------------------------------------------


def test_the_script_saves_shows_and_overwrites_nothing(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(run.folder.root)
    asked = [folder, "--index", "0", "3", "--walker", "line", "--format", "npz", "json", "png"]
    for _ in range(2):
        assert run_main(script.main, asked) == 0
    said = capsys.readouterr().out
    assert "[0] Predicted " in said
    assert "  class" in said
    assert "replay with: python -m agents.replay '" in said  # the folder has spaces
    files = run.folder.trajectories()
    assert len([file for file in files if file.name.startswith("line-")]) == 4
    assert Trajectory.load(files[0]).walker == "line"
    assert files[0].with_suffix(".json").is_file()
    assert files[0].with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_the_script_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--env", "Manifold/Custom-v0", "--walker", "line"]
    out = str(tmp_path / "new")
    assert run_main(script.main, [*asked, "--all", "--no-progress", "--out", out, "--format", "npz"]) == 0
    assert "of 45 inputs explained" in capsys.readouterr().out
    assert len(list((tmp_path / "new").glob("*.npz"))) == 45
    assert run_main(script.main, [*asked, "--index", "1"]) == 0
    assert "not saved: name a folder with --out" in capsys.readouterr().out


def test_a_batch_leaves_out_what_is_of_the_target_class_already(
    iris: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = iris.units.outward(iris.held_out.x)
    seen = iris.classifier.predict_proba(iris.held_out.x).argmax(1)
    present = int((seen == 0).sum())
    np.savez(tmp_path / "many.npz", x=rows.numpy())
    np.savez(tmp_path / "one.npz", x=rows[seen == 0][:1].numpy())
    asked = ["--env", "Manifold/Custom-v0", "--walker", "line", "--target", "setosa", "--input"]
    assert run_main(script.main, [*asked, str(tmp_path / "many.npz")]) == 0
    said = capsys.readouterr().out
    assert f"left out {present} of 45 inputs: the classifier calls them 'setosa' already" in said
    assert run_main(script.main, [*asked, str(tmp_path / "one.npz")]) == 2
    assert "is what the classifier already says of input 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--env", "Manifold/Digits-v0", "--walker", "line"], "say what to explain"),
        (["--env", "Manifold/Digits-v0", "--walker", "line", "--index", "1", "--all"], "one of them"),
        (["--env", "Manifold/Digits-v0", "--walker", "policy", "--index", "1"], "there is no run"),
        (["some/run", "--data", "iris", "--index", "1"], "has its own data and classifier"),
        (["--env", "Manifold/Digit-v0", "--walker", "line", "--index", "1"], "did you mean 'Manifold/Digits-v0'"),
        (["--env", "Manifold/Digits-v0", "--walker", "line", "--index", "1", "--target", "ten"], "unknown class 'ten'"),
        (["no-such-run", "--index", "1"], "no run folder 'no-such-run'"),
        (["--env-kwargs", "tau:0.8", "--index", "1"], "--env-kwargs belongs to --env"),
    ],
)
def test_the_scripts_errors_are_one_line(asked: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_main(script.main, asked) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert words in said
    assert "\n" not in said


@pytest.mark.parametrize("module", ["agents.explain", "agents.evaluate"])
def test_help_loads_no_torch(module: str) -> None:
    code = f"import sys; from {module} import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")
    assert "pullback_gradient" in done.stdout
