"""The public face: one object for a data frame, an array of pictures and a list of sentences."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression

import agents
from agents import Explainer, Trajectory, TrajectoryError, UserError
from envs import ManifoldError, UnknownNameError, make_world

pandas = pytest.importorskip("pandas")
SMALL: dict[str, Any] = {
    "n_timesteps": 256, "n_envs": 4, "hyperparams": {"n_steps": 64}, "eval_episodes": 0, "pictures": False, "progress": False
}  # fmt: skip
QUICK: dict[str, Any] = {"oracles": False, "closely": 0, "alone": 0, "inputs": range(5)}


@pytest.fixture(scope="module")
def table() -> tuple[Any, Any]:
    """A data frame of iris with an index of its own, and a model fitted to it."""
    iris = load_iris(as_frame=True)
    frame = iris.data.set_index(pandas.Index([f"flower {i}" for i in range(len(iris.data))]))
    return frame, LogisticRegression(max_iter=500).fit(frame, iris.target_names[iris.target])


@pytest.fixture(scope="module")
def flowers(table: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    """Trained on the data frame."""
    frame, model = table
    return Explainer.train(frame, model, manifold="pca", log_folder=tmp_path_factory.mktemp("runs"), **SMALL)


def test_five_verbs_on_a_data_frame(flowers: Explainer, table: tuple[Any, Any], tmp_path: Path) -> None:
    frame, model = table
    path = flowers.explain(frame.iloc[120], target="versicolor")
    ends = flowers.explain_to_frame(frame[100:110], target="versicolor")
    assert flowers.evaluate(["line"], frame=True, **QUICK).loc["validity", "line"] > 0.5
    assert flowers.report(tmp_path / "report.html", [path]).is_file()
    again = Explainer.load(flowers.save(tmp_path / "kept"), data=frame, classifier=model)
    assert again.explain(frame.iloc[120], target="versicolor") == path
    others = [
        name for name, label in zip(frame.index[100:110], model.predict(frame[100:110]), strict=True) if label != "versicolor"
    ]
    assert list(ends.index) == others
    assert list(ends.columns[:4]) == list(frame.columns)
    assert list(model.predict(ends[list(frame.columns)])) == list(ends["to"])


def test_five_verbs_on_pictures(tmp_path: Path) -> None:
    X, y = load_digits(return_X_y=True)
    pictures, model = X.reshape(-1, 8, 8), LogisticRegression(max_iter=300).fit(X, y)
    explainer = Explainer.train(
        pictures, model, manifold="pca", input_shape=(64,), log_folder=tmp_path / "runs", **{**SMALL, "n_timesteps": 64}
    )  # fmt: skip
    paths = explainer.explain(pictures[:2])
    assert "line" in explainer.evaluate(["line"], **QUICK)
    assert explainer.report(tmp_path / "report.html", paths).is_file()
    again = Explainer.load(explainer.save(tmp_path / "kept"), data=pictures, classifier=model)
    assert again.explain(pictures[:2]) == paths


def test_five_verbs_on_sentences(tmp_path: Path) -> None:
    explainer = Explainer.train("sentences", log_folder=tmp_path / "runs", **{**SMALL, "n_timesteps": 64})
    sentence = explainer.world.render(explainer.world.held_out.x[0])
    paths = explainer.explain([sentence, sentence])
    assert "line" in explainer.evaluate(["line"], **QUICK)
    assert explainer.report(tmp_path / "report.html", paths).is_file()
    again = Explainer.load(explainer.save(tmp_path / "kept")).explain([sentence, sentence])
    assert [path.texts[0] for path in again] == [sentence, sentence]
    assert paths[0].to_pandas()["text"].iloc[-1] == explainer.paths_to_pandas(paths)["text"].iloc[0] == paths[0].texts[-1]


@pytest.fixture(scope="module")
def iris() -> Any:
    """The shipped world of iris."""
    return make_world(data="iris", progress=False)


# -- explaining -------------------------------------------------------------------------------------------------------------


def test_columns_that_may_not_vary_keep_the_input_exactly(flowers: Explainer, table: tuple[Any, Any], tmp_path: Path) -> None:
    frame, _ = table
    row, vary = frame.iloc[120], ["petal length (cm)", "petal width (cm)"]
    path = Explainer(flowers.world).explain(row, "versicolor", features_to_vary=vary, permitted_range={vary[0]: (4.5, 9)})
    rows = path.to_pandas()
    assert path.steps > 1
    for name in set(frame.columns) - set(vary):
        assert (rows[name] == row[name]).all()
    assert rows[vary[0]].min() >= 4.5
    assert rows[vary[1]].iloc[-1] != row[vary[1]]
    loaded = Trajectory.load(path.save(tmp_path / "path"))
    with pytest.raises(TrajectoryError, match="constraints"):
        loaded.frames(flowers.world)
    assert np.array_equal(loaded.frames(path.world), path.frames(path.world))


def test_wrong_constraints_are_refused_with_what_would_do(flowers: Explainer, table: tuple[Any, Any]) -> None:
    row = table[0].iloc[120]
    with pytest.raises(UnknownNameError, match="petal width"):
        flowers.explain(row, features_to_vary=["petal widht (cm)"])
    with pytest.raises(ManifoldError, match="least one first"):
        flowers.explain(row, permitted_range={"petal width (cm)": (3, 1)})
    with pytest.raises(ManifoldError, match="is empty"):
        flowers.explain(row, features_to_vary=[])


def test_a_row_of_whole_numbers_is_an_input(flowers: Explainer) -> None:
    path = Explainer(flowers.world, walker="line").explain(np.array([6, 3, 5, 2]))
    assert path.index is None
    assert path.source_cells is not None
    assert path.source_cells.tolist() == [6, 3, 5, 2]


def test_an_unknown_setting_is_refused_with_the_close_one(table: tuple[Any, Any]) -> None:
    with pytest.raises(UnknownNameError, match="n_timesteps"):
        Explainer.train(*table, n_timestep=3)


def test_a_run_presents_itself(flowers: Explainer) -> None:
    assert flowers.run is not None
    first, second = repr(flowers.run).splitlines()
    assert "ppo" in first
    assert "queries" in second
    assert flowers.run._repr_html_().startswith("<table>")
    assert len(repr(flowers).splitlines()) == 2


# -- saving -----------------------------------------------------------------------------------------------------------------


def test_an_explainer_without_a_training_is_saved_and_loaded(tmp_path: Path, iris: Any) -> None:
    explainer = Explainer(iris, walker="line")
    again = Explainer.load(explainer.save(tmp_path / "kept"))
    assert again.walker == "line"
    assert again.explain(7) == explainer.explain(7)
    with pytest.raises(UserError, match="exists already"):
        explainer.save(tmp_path / "kept")


# -- paths ------------------------------------------------------------------------------------------------------------------


def test_a_path_presents_itself(iris: Any, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    path = Explainer(iris, walker="line").explain(7)
    assert len(repr(path).splitlines()) == 2
    assert path.plot() is not None
    axes = Figure().add_subplot()
    assert path.plot(ax=axes) is axes
    rows = path.to_pandas()
    assert len(rows) == path.steps + 1
    assert set(iris.units.columns) <= set(rows.columns)
    loaded = Trajectory.load(path.save(tmp_path / "path.npz"))
    assert "p_target" in loaded.to_pandas()
    assert loaded.to_pandas(iris).equals(rows)
    for one in (path, loaded):
        assert one._repr_html_().startswith("<div>")
        assert "data:image/png;base64," in one._repr_html_()


def test_copies_of_a_path_hold_no_world(iris: Any) -> None:
    path = Explainer(iris, walker="line").explain(7)
    assert path.world is iris
    for made in (pickle.loads(pickle.dumps(path)), copy.deepcopy(path)):  # noqa: S301
        assert made == path
        assert made.world is None


# -- the package ------------------------------------------------------------------------------------------------------------


def test_importing_agents_loads_neither_torch_nor_numpy() -> None:
    code = "import sys, agents; print(agents.__version__, 'torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1:] == ["False", "False"]


def test_every_public_name_is_there_and_the_version_is_that_of_the_project() -> None:
    for name in agents.__all__:
        assert getattr(agents, name) is not None
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert agents.__version__ == project["project"]["version"]


def test_a_registered_id_is_a_source() -> None:
    explainer = Explainer("Manifold/Digits-v0")
    assert (explainer.run, explainer.walker, explainer.world.classes) == (None, "line", 10)
