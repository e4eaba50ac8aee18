"""Cached fits: the key, the folder, and what happens if either is bad."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from envs import make_world
from envs.manifolds import PCA, VAE, Manifold
from envs.manifolds.cache import cache_folder, fit_key, kept_fit

X = torch.rand(30, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MANIFOLD_CACHE", str(tmp_path / "fits"))
    return tmp_path / "fits"


class Counted:
    def __init__(self, error: BaseException | None = None):
        self.fits, self.error = 0, error

    def __call__(self) -> Manifold:
        self.fits += 1
        if self.error is not None:
            raise self.error
        return PCA.fit(X, latent_dim=2, modality="table")


def test_a_fit_is_made_once_and_comes_back_the_same(folder):
    fit = Counted()
    first, second = kept_fit("key", fit), kept_fit("key", fit)
    assert fit.fits == 1
    assert first.encode(X).equal(second.encode(X))
    assert not second.training
    kept_fit("another", fit)
    assert fit.fits == 2
    assert sorted(p.name for p in folder.iterdir()) == ["another", "key"], "nothing half-written is left"


def test_the_key_changes_with_all_that_a_fit_hangs_on(monkeypatch):
    settings = {"latent_dim": 2, "seed": 0, "hidden": (3,)}
    key = fit_key("vae", settings, {"x": X})
    assert key == fit_key("vae", dict(reversed(settings.items())), {"x": X.clone(), "y": None})
    others = [
        fit_key("pca", settings, {"x": X}),
        fit_key("vae", {**settings, "seed": 1}, {"x": X}),
        fit_key("vae", {**settings, "hidden": (4,)}, {"x": X}),
        fit_key("vae", {**settings, "beta": 1.0}, {"x": X}),
        fit_key("vae", settings, {"x": X.flip(0)}),
        fit_key("vae", settings, {"x": X.view(6, 30)}),
        fit_key("vae", settings, {"x": X.double()}),
        fit_key("vae", settings, {"x": X, "y": torch.arange(30)}),
    ]
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99")
    others.append(fit_key("vae", settings, {"x": X}))
    assert len({key, *others}) == 1 + len(others)


@pytest.mark.parametrize("damage", ["weights cut", "card missing", "card cut", "a file in its place"])
def test_a_damaged_entry_is_fitted_anew(folder, damage):
    fit = Counted()
    expected = kept_fit("key", fit).encode(X)
    place = folder / "key"
    if damage == "weights cut":
        (place / "manifold.safetensors").write_bytes(b"123")
    elif damage == "card missing":
        (place / "manifold.json").unlink()
    elif damage == "card cut":
        (place / "manifold.json").write_text("{")
    else:
        for file in place.iterdir():
            file.unlink()
        place.rmdir()
        place.write_text("not a folder")
    assert kept_fit("key", fit).encode(X).equal(expected)
    assert fit.fits == 2
    if damage != "a file in its place":
        kept_fit("key", fit)
        assert fit.fits == 2, "it was mended"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("diverged")])
def test_an_interrupted_fit_leaves_nothing(folder, error):
    with pytest.raises(type(error)):
        kept_fit("key", Counted(error))
    assert not folder.exists() or not list(folder.iterdir())
    kept_fit("key", fit := Counted())
    assert fit.fits == 1


def test_an_interrupted_write_leaves_nothing(folder, monkeypatch):
    def torn(self, place):
        (Path(place) / "manifold.json").write_text("{")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PCA, "save", torn)
        with pytest.raises(KeyboardInterrupt):
            kept_fit("key", Counted())
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_written_is_as_good_as_none(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MANIFOLD_CACHE", str(tmp_path / "file" / "fits"))
    fit = Counted()
    kept_fit("key", fit)
    kept_fit("key", fit)
    assert fit.fits == 2

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("MANIFOLD_CACHE", str(tmp_path / "fits"))
    monkeypatch.setattr("tempfile.mkdtemp", full)
    kept_fit("key", fit)
    assert fit.fits == 3


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"MANIFOLD_CACHE": "", "XDG_CACHE_HOME": "/x"}, None),
        ({"MANIFOLD_CACHE": "/a/b", "XDG_CACHE_HOME": "/x"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/manifold-traversal/fits"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/manifold-traversal/fits"),
        ({"HOME": "/h"}, "/h/.cache/manifold-traversal/fits"),
    ],
)
def test_where_fits_are_kept(variables, expected, monkeypatch):
    for name in ("MANIFOLD_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = cache_folder()
    assert (None if found is None else str(found)) == expected


def test_a_user_without_a_home_keeps_nothing(monkeypatch):
    for name in ("MANIFOLD_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.home", homeless)
    assert cache_folder() is None


def test_worlds_use_the_cache(folder, monkeypatch):
    def p(x: np.ndarray) -> np.ndarray:
        light = 1 / (1 + np.exp(-9 * (x[:, :1] - x[:, 1:2])))
        return np.hstack([light, 1 - light])

    arguments = {"data": X.numpy(), "classifier": p, "class_names": ["a", "b"], "manifold": "vae", "latent_dim": 2}
    first = make_world(**arguments, fit={"epochs": 2})
    (entry,) = os.listdir(folder)
    assert entry.startswith("vae-")

    def never(*args, **kwargs):
        raise AssertionError("fitted again")

    with monkeypatch.context() as patch:
        patch.setattr(VAE, "fit", classmethod(never))
        patch.setattr("envs.building.manifold.OURS", ())
        with pytest.raises(Exception, match="unknown setting"):  # the stand-in has no settings: reached, not fitted
            make_world(**arguments, fit={"epochs": 2})
    second = make_world(**arguments, fit={"epochs": 2})
    assert second.reference.z.equal(first.reference.z)
    assert len(os.listdir(folder)) == 1
    make_world(**arguments, fit={"epochs": 3})
    make_world(**{**arguments, "data": X.flip(0).numpy()}, fit={"epochs": 2})
    assert len(os.listdir(folder)) == 3
