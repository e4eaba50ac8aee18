"""`make_world` with the user's own arrays, files and names; units; settings through JSON; every wrong argument is named."""

from __future__ import annotations

import json
import textwrap

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier

from agents.explain import explain
from envs import LatentEnv, ManifoldError, UnknownNameError, WorldConfig, make_world
from envs.building.manifold import dimensions_of
from envs.datasets import DATASETS, Data, load_npz
from envs.manifolds import PCA, VAE
from envs.modalities.fitting import fit_units

RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.random((60, 4, 5))
ROWS = RANDOM.normal(size=(60, 3)) * [1.0, 1e-3, 1e4] + [0.0, 7.0, -1e6]


def dark_or_light(x: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-40 * (x.reshape(len(x), -1).mean(1) - 0.5)))
    return np.stack([1 - p, p], 1)


def first_column(x: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-3 * x[:, 0]))
    return np.stack([p, 1 - p], 1)


def pictures_world(**kwargs):
    return make_world(
        **{"data": PICTURES, "classifier": dark_or_light, "class_names": ["dark", "light"], "manifold": "pca", **kwargs}
    )


def table_world(**kwargs):
    return make_world(
        **{"data": ROWS, "classifier": first_column, "class_names": ["high", "low"], "manifold": "pca", **kwargs}
    )


# --- units -------------------------------------------------------------------------------------------------------------


def test_a_table_classifier_is_asked_in_the_users_units():
    asked = []

    def classifier(x: np.ndarray) -> np.ndarray:
        asked.append(x.copy())
        return first_column(x)

    world = table_world(classifier=classifier)
    assert asked[0].shape == ROWS.shape
    assert asked[0].dtype == np.float64, "the user's float type"
    assert (np.abs(asked[0] - ROWS) < 1e-5 * ROWS.std(0)).all()
    assert float(world.reference.x.mean(0).abs().max()) < 1e-5
    torch.testing.assert_close(world.reference.x.std(0, correction=0), torch.ones(3))


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(2, 12), st.integers(1, 4)), elements=st.floats(-1e6, 1e6, width=32)),
    st.sampled_from([1e-12, 1.0, 1e9]),
)
def test_units_go_there_and_back(raw, unit):
    raw = raw * unit
    units = fit_units(raw)
    inside = units.inward(raw)
    assert inside.dtype == torch.float32
    assert inside.isfinite().all()
    back = units.outward(inside).numpy()
    largest = np.abs(raw - raw.mean(0)).max(0) + 1e-12 * np.abs(raw).max(0)
    assert (np.abs(back - raw) <= 1e-6 * largest + 1e-300).all()


def test_a_column_far_from_zero_keeps_its_digits():
    times = 1.7e9 + np.arange(50.0)[:, None]  # seconds, as clocks count them: float32 knows them to 128 s
    units = fit_units(times)
    np.testing.assert_allclose(units.outward(units.inward(times)), times, atol=1e-3)
    assert len(units.inward(times).unique()) == 50


@pytest.mark.parametrize("unit", [1e-15, 1e-6, 1e15])
def test_the_choice_of_unit_does_not_matter(unit):
    torch.testing.assert_close(fit_units(ROWS * unit).inward(ROWS * unit), fit_units(ROWS).inward(ROWS))


def test_constant_columns_stay_at_zero_inside_and_come_back_as_they_were():
    rows = np.column_stack([ROWS[:, 0], np.full(60, 1e6), np.full(60, 0.1) + 0.2, np.zeros(60)])
    units = fit_units(rows)
    inside = units.inward(rows)
    assert inside[:, 1:].abs().max() < 1e-6
    np.testing.assert_allclose(units.outward(inside)[:, 1:], rows[:, 1:], rtol=1e-9)
    world = table_world(data=rows, latent_dim=2)
    assert world.render(world.reference.x[0])["column 1"] == pytest.approx(1e6)


def test_tables_are_rendered_in_the_users_units():
    world = table_world(columns=["voltage", "current", "cost"])
    shown = world.render(world.reference.x[7])
    assert list(shown) == ["voltage", "current", "cost"]
    np.testing.assert_allclose(list(shown.values()), ROWS[7], atol=1e-2, rtol=1e-5)  # six digits


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_place_of_a_bad_number_is_named(bad):
    rows, pictures = ROWS.copy(), PICTURES.copy()
    rows[41, 1] = pictures[17, 3, 2] = bad
    with pytest.raises(ManifoldError, match=rf"{bad} at index \(41, 1\) \(column 'current'\)"):
        table_world(data=rows, columns=["voltage", "current", "cost"])
    with pytest.raises(ManifoldError, match=rf"{bad} at index \(17, 3, 2\)"):
        pictures_world(data=pictures)
    with pytest.raises(ManifoldError, match=rf"{bad} at index \(41, 1\)"):
        table_world(held_out=rows)


@pytest.mark.parametrize(("factor", "shift"), [(4000, 0), (3, -1), (1, 0.01 + 1e-6)])
def test_pictures_of_an_unknown_scale_are_refused_with_their_range(factor, shift):
    pictures = PICTURES * factor + shift
    with pytest.raises(
        ManifoldError,
        match=rf"\[0, 1\], these reach from {pictures.min():.4g} to {pictures.max():.4g}".replace("+", r"\+"),
    ):
        pictures_world(data=pictures)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ([[1.0, 2.0], [3.0]], "each row as long"),
        (np.array([["a", "b"], ["c", "d"]]), "must be numbers"),
        (np.array([[1j, 2], [3, 4]]), "must be numbers"),
        (np.array([[None, 2], [3, 4]], dtype=object), "must be numbers|nan at index"),
        (np.zeros(5), "at least two rows and two axes"),
        (np.zeros((1, 5)), "at least two rows"),
        (np.zeros((0, 5)), "at least two rows"),
        (3.0, "at least two rows"),
        (np.zeros((5, 0)), "do not fit"),
        (np.array([[1e300, 1.0], [-1e300, 2.0]]), "too large"),
    ],
)
def test_data_that_are_none_are_refused(data, match):
    with pytest.raises(ManifoldError, match=match), np.errstate(all="ignore"):
        table_world(data=data)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"held_out": ROWS[:, :2]}, r"shape \(60, 2\) do not fit"),
        ({"columns": ["a", "b"]}, "2 column names for 3 columns"),
        ({"truth": [0, 1]}, "truth holds 2 classes for 60 rows"),
        ({"data_shape": (2, 2)}, r"shape \(60, 3\) do not fit"),
        ({"latent_dim": 4}, "latent_dim must be between 1 and 3"),
        ({"classifier": None}, "pass classifier="),
        ({"move": "euclidian"}, "did you mean 'euclidean'"),
        ({"task": "leaf"}, "did you mean 'leave'"),
        ({"manifold": "vea"}, "did you mean 'vae'"),
        ({"manifold": "/no/such/folder"}, "a folder that Manifold.save wrote"),
        ({"manifold": 3}, "not a int"),
        ({"manifold": PCA((2, 2), 2)}, r"makes data of shape \(2, 2\), the data have \(3,\)"),
        ({"step": 0}, "step.*must be positive|positive share"),
        ({"step": -1.0}, "step.*must be positive|positive share"),
        ({"max_step": -0.1}, "max_step is a share"),
        ({"max_step": float("nan")}, "max_step is a share"),
        ({"tau": 0}, "tau is 0; a finite number above 0 and at most 1"),
        ({"class_names": ["high"]}, "at least two classes"),
    ],
)
def test_wrong_arguments_are_named(kwargs, match):
    with pytest.raises(ManifoldError, match=match):
        table_world(**kwargs)


def test_the_users_arrays_are_neither_written_to_nor_looked_at_later():
    mine = PICTURES.astype(np.float32)
    world = pictures_world(data=mine)
    np.testing.assert_array_equal(mine, PICTURES.astype(np.float32))
    mine *= 0
    torch.testing.assert_close(world.reference.x, torch.from_numpy(PICTURES).float())


# --- data by name ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", "iris"])  # those that are split by a seed
def test_the_shipped_data_are_split_without_overlap_and_by_seed(name):
    data, again, other = DATASETS[name](), DATASETS[name](), DATASETS[name](seed=1)
    np.testing.assert_array_equal(data.x, again.x)
    assert not np.array_equal(data.x, other.x)
    assert len(data.x) == len(data.truth)
    assert len(data.held_out) == len(data.held_out_truth)
    assert set(data.truth) == set(data.held_out_truth) == set(range(len(data.class_names)))
    if name == "digits":
        assert (len(data.x), len(data.held_out)) == (1257, 540)
        assert not {row.tobytes() for row in data.x} & {row.tobytes() for row in data.held_out}


@pytest.mark.parametrize(("name", "close"), [("digit", "digits"), ("irsi", "iris")])
def test_unknown_data_offer_close_names(name, close):
    with pytest.raises(UnknownNameError, match=f"unknown data set '{name}': did you mean '{close}'"):
        make_world(data=name)


def test_assets_have_names(digits):
    world = make_world(data="digits", classifier="digits", manifold="digits")
    assert world.reference.z.equal(digits.reference.z)
    assert world.reference.prediction.equal(digits.reference.prediction)
    with pytest.raises(ManifoldError, match="belongs to the split of seed 0"):
        make_world(data="digits", seed=1)
    other = make_world(data="digits", classifier="digits", manifold="digits", seed=1)
    assert not other.reference.x.equal(digits.reference.x)


def test_an_npz_file_with_everything(tmp_path):
    path = tmp_path / "my data.npz"
    np.savez(
        path,
        x=PICTURES.reshape(60, 20)[:50],
        held_out=PICTURES.reshape(60, 20)[50:],
        truth=np.arange(50) % 2,
        held_out_truth=np.arange(10) % 2,
        class_names=np.array(["dark", "light"]),
        data_shape=(4, 5),
    )
    world = make_world(data=str(path), classifier=dark_or_light, manifold="pca", latent_dim=3)
    assert world.modality == "image"
    assert world.class_names == ["dark", "light"]
    assert world.reference.x.shape == (50, 4, 5)
    assert world.held_out.x.shape == (10, 4, 5)
    assert world.held_out.truth.tolist() == [k % 2 for k in range(10)]


def test_a_capital_x_is_taken_too(tmp_path):
    np.savez(tmp_path / "a.npz", X=ROWS)
    np.testing.assert_array_equal(load_npz(tmp_path / "a.npz").x, ROWS)


def damaged_npz(tmp_path, what):
    path = tmp_path / "data.npz"
    if what == "no x":
        np.savez(path, y=ROWS)
    elif what == "pickled":
        np.savez(path, x=np.array([{"a": 1}, [2]], dtype=object))
    elif what == "cut":
        np.savez(path, x=ROWS)
        path.write_bytes(path.read_bytes()[:-60])
    elif what == "flipped":
        np.savez(path, x=ROWS)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "text":
        path.write_text("a,b\n1,2\n")
    elif what == "single":
        with path.open("wb") as file:
            np.save(file, ROWS)
    elif what == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize(
    ("what", "match"),
    [
        ("missing", "no data file"),
        ("no x", r"no array named 'x' \(it has \['y'\]\)"),
        ("pickled", "without pickled objects"),
        ("cut", "cannot read"),
        ("flipped", "cannot read"),
        ("empty", "cannot read"),
        ("text", "cannot read"),
        ("single", "holds a single array"),
        ("folder", "cannot read"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, what, match):
    path = damaged_npz(tmp_path, what)
    with pytest.raises(ManifoldError, match=match) as caught:
        make_world(data=str(path), classifier=dark_or_light, class_names=["a", "b"])
    assert str(path) in str(caught.value)


def test_data_by_name_are_rows_and_never_called(tmp_path, monkeypatch):
    (tmp_path / "my_own_data.py").write_text(
        textwrap.dedent("""
        import numpy as np
        from envs.datasets import Data

        rows = np.random.default_rng(0).normal(size=(30, 2))

        def load():
            return Data(rows, columns=["u", "v"])

        loaded = load()

        def classify(x):
            p = 1 / (1 + np.exp(-x[:, 0]))
            return np.stack([p, 1 - p], 1)
        """)
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    common = {"classifier": "my_own_data:classify", "class_names": ["a", "b"], "manifold": "pca"}
    with pytest.raises(ManifoldError, match=r"data 'my_own_data:load' is callable.*never called.*--data my_own_data:rows"):
        make_world(data="my_own_data:load", **common)
    world = make_world(data="my_own_data:loaded", **common)
    assert world.units.columns == ["u", "v"]
    assert make_world(data="my_own_data:rows", **common).reference.x.equal(world.reference.x)
    assert_equal_worlds(world, make_world(WorldConfig.from_json(json.loads(json.dumps(world.config.to_json())))))


def test_data_may_be_a_bundle():
    world = make_world(
        data=Data(ROWS.tolist(), held_out=ROWS[:5]), classifier=first_column, class_names=["a", "b"], manifold="pca"
    )
    assert len(world.held_out.x) == 5


# --- manifolds by name, by folder, alive -------------------------------------------------------------------------------


def test_a_fitted_manifold_a_saved_one_and_a_name(tmp_path):
    x = torch.from_numpy(PICTURES).float()
    live = VAE.fit(x, latent_dim=3, hidden=(8,), epochs=2)
    live.save(tmp_path / "mine")
    worlds = [pictures_world(manifold=m) for m in (live, tmp_path / "mine", str(tmp_path / "mine"))]
    assert worlds[0].manifold is live
    for world in worlds[1:]:
        assert world.reference.z.equal(worlds[0].reference.z)
        assert world.step_length == worlds[0].step_length
    fitted = pictures_world(manifold="pca", latent_dim=3)
    assert fitted.reference.z.equal(PCA.fit(x, latent_dim=3).encode(x))


def test_settings_of_a_fit_are_refused_for_a_manifold_that_stands(tmp_path):
    live = VAE.fit(torch.from_numpy(PICTURES).float(), latent_dim=3, hidden=(8,), epochs=2)
    live.save(tmp_path / "mine")
    for manifold in (live, str(tmp_path / "mine")):
        assert pictures_world(manifold=manifold, latent_dim=3).manifold.latent_dim == 3  # its own dimension may be repeated
        with pytest.raises(ManifoldError, match=r"latent_dim=2: this manifold exists already.*codes have 3 values.*'vae'"):
            pictures_world(manifold=manifold, latent_dim=2)
        with pytest.raises(ManifoldError, match=r"fit={'epochs': 2}: this manifold exists already"):
            pictures_world(manifold=manifold, fit={"epochs": 2})
    for more in ({"latent_dim": 2}, {"fit": {"hidden": [8]}}):
        with pytest.raises(ManifoldError, match="exists already"):
            make_world(data="digits", manifold="digits_gan", **more)
        with pytest.raises(ManifoldError, match="exists already"):
            make_world(data=["a b", "b a"], truth=np.array([0, 1]), manifold="sentences", **more)


def test_settings_of_a_fit_have_one_made_where_a_shipped_one_would_serve():
    world = make_world(data="iris", fit={"hidden": [4], "epochs": 1})
    assert world.manifold.hidden == (4,)


def test_without_a_manifold_one_is_fitted(monkeypatch):
    monkeypatch.setattr("envs.building.manifold.FIT_STEPS", 40)
    world = table_world(manifold=None)
    assert isinstance(world.manifold, VAE)
    assert world.manifold.modality == "table"
    again = table_world(manifold=None)
    assert world.reference.z.equal(again.reference.z)


def test_one_step_of_a_world_of_pictures_with_channels(monkeypatch):
    pictures = RANDOM.random((30, 3, 6, 7)).astype(np.float32)
    world = pictures_world(data=pictures, latent_dim=2)
    env = LatentEnv(world=world, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(np.ones(2))
    assert env.render().shape == (256, 512, 3)
    assert world.render(world.reference.x[0]).shape == (6, 7, 3)


def test_pictures_with_channels_last_are_shown(monkeypatch):
    pictures = RANDOM.random((30, 6, 7, 3)).astype(np.float32)
    world = pictures_world(data=pictures, latent_dim=2)
    np.testing.assert_allclose(world.render(world.reference.x[0]) / 255, pictures[0], atol=0.003)


# --- configs -------------------------------------------------------------------------------------------------------------


def assert_equal_worlds(a, b):
    for name in (
        "step_length",
        "max_step",
        "gamma",
        "class_distance",
        "class_names",
        "move",
        "task",
        "label_only",
        "max_episode_steps",
    ):
        assert getattr(a, name) == getattr(b, name), name
    for x, y in zip(a.reference, b.reference, strict=True):
        assert x.equal(y)
    assert a.held_out.x.equal(b.held_out.x)
    assert a.config == b.config


@pytest.mark.parametrize(
    "kwargs",
    [
        {"data": "digits"},
        {"data": "iris"},
        {
            "data": "iris",
            "task": "leave",
            "tau": 0.6,
            "reward": {"success": 1.0, "path": 0},
            "move": "pullback",
            "max_step": None,
        },
        {"data": "iris", "label_only": True, "task": "reach_label", "gamma": 0.9, "max_episode_steps": 7, "step": 0.2},
        {"data": "digits", "manifold": "pca", "latent_dim": 4, "move": "matched", "class_names": tuple("abcdefghij")},
        {"data": "iris", "columns": ["a", "b", "c", "d"], "class_names": ["x", "y", "z"]},
    ],
)
def test_the_config_goes_through_json_and_makes_an_equal_world(kwargs):
    world = make_world(**kwargs)
    assert not world.config.live
    assert_equal_worlds(world, make_world(WorldConfig.from_json(json.loads(json.dumps(world.config.to_json())))))


def test_a_config_of_live_objects_is_json_too_and_says_that_it_is_not_enough():
    for world in (table_world(), make_world(manifold=PCA.fit(torch.randn(9, 4), latent_dim=2, modality="table"))):
        config = WorldConfig.from_json(json.loads(json.dumps(world.config.to_json())))
        with pytest.raises(ManifoldError, match=r"live objects.*Pass those objects again"):
            make_world(config)


def test_worlds_of_the_same_arguments_are_equal_and_apart():
    a, b = make_world(), make_world()
    assert_equal_worlds(a, b)
    a.reference.z.numpy()[:] = 0
    assert not a.reference.z.equal(b.reference.z)


def test_large_sets_keep_memory_small(monkeypatch):
    """60,000 starts: nothing holds a matrix of all pairs, nor 60,000 of anything else at once more than needed."""
    import resource

    x = np.random.default_rng(0).normal(size=(60_000, 4)).astype(np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    world = table_world(data=x)
    env = LatentEnv(world=world, render_mode="rgb_array")
    env.reset(seed=0)
    env.render()
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 400, "MB"


@pytest.mark.parametrize(
    "settings",
    [{"free": 3}, {"free": [1]}, {"basis": 3}, {"basis": ["a"]}, {"query": 3}, {"dates": ["a"]}, {"slip": "x"}],
    ids=str,
)
def test_settings_of_another_type_are_named_errors(settings):
    with pytest.raises(ManifoldError, match=next(iter(settings))):
        make_world(data="iris", manifold="pca", progress=False, **settings)


def test_the_default_number_of_latent_dimensions_holds_what_the_columns_vary_in():
    independent, repeated = torch.randn(200, 6, generator=torch.Generator().manual_seed(0)), torch.ones(6)
    assert dimensions_of(independent, 6, 8) == 6
    assert dimensions_of(independent[:, :1] * repeated, 6, 8) == 3  # half of the columns are the least
    assert dimensions_of(independent, 6, 2) == 2  # no more than the kind of manifold takes
    assert dimensions_of(torch.zeros(2, 3), 3, 8) == 3


def test_a_rare_class_is_reached_by_default():
    x, y = make_classification(random_state=0, n_samples=2000, n_features=8, n_informative=5, weights=[0.98], flip_y=0)
    world = make_world(data=x, classifier=RandomForestClassifier(20, random_state=0).fit(x, y), manifold="pca", progress=False)
    common = torch.nonzero(world.reference.label == 0).flatten()[:20].tolist()
    assert all(path.success for path in explain(world, rows=common, split="reference", walker="line", sparse=False))
