"""A picture classifier receives pictures in the user's scale, type and channel order."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from agents.explain import explain
from agents.explanation.inputs import gather, read_file
from envs import ManifoldError, UnknownNameError, World, make_world
from envs.datasets import ImageUnits
from envs.modalities.fitting import fit_units

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (40, 6, 5), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
GREY[0, 0] = COLOUR[0, 0] = 255
GREY[1, 0] = COLOUR[1, 0] = 0
IMAGENET = {"pixel_mean": [0.485, 0.456, 0.406], "pixel_std": [0.229, 0.224, 0.225]}
SCALES: dict[str, tuple[Any, dict[str, Any]]] = {
    "uint8": (GREY, {}),
    "whole float64 to 16": (np.round(GREY / 255.0 * 16), {}),
    "int64 to 255": (GREY.astype(np.int64), {}),
    "float32 to 255": (GREY.astype(np.float32), {}),
    "float64 shares": (GREY / 255.0, {}),
    "float32 shares": ((GREY / 255).astype(np.float32), {}),
    "symmetric": (GREY / 127.5 - 1, {}),
    "float32 symmetric": ((GREY / 127.5 - 1).astype(np.float32), {}),
    "normalised": (((GREY / 255 - 0.13) / 0.31).astype(np.float32), {"pixel_range": (-0.5, 3)}),
    "ImageNet": ((COLOUR / 255 - IMAGENET["pixel_mean"]) / IMAGENET["pixel_std"], IMAGENET),
    "ImageNet, channels first": (
        np.moveaxis((COLOUR / 255 - IMAGENET["pixel_mean"]) / IMAGENET["pixel_std"], -1, 1).astype(np.float32),
        IMAGENET,
    ),
    "grey normalised": (((GREY / 255 - 0.13) / 0.31).astype(np.float32), {"pixel_mean": [0.13], "pixel_std": [0.31]}),
    "uint16": (GREY.astype(np.uint16) * 257, {"pixel_range": (0, 65535)}),
    "bool": (GREY > 127, {}),
    "channels last": (COLOUR, {}),
    "channels first": (np.moveaxis(COLOUR, -1, 1) / 255.0, {}),
    "grey with a last axis": (GREY[..., None], {}),
}


class Seen:
    """A classifier by the first pixel's rank; keeps what it was asked."""

    def __init__(self, limit: float) -> None:
        self.limit, self.rows = limit, []

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.rows.append(x)
        p = (x.reshape(len(x), -1)[:, :9].mean(1, dtype=np.float64) > self.limit).astype(float)
        return np.stack([1 - p, p], 1)


def seen_by(pictures: np.ndarray) -> Seen:
    return Seen(float(np.median(pictures.reshape(len(pictures), -1)[:, :9].mean(1, dtype=np.float64))))


@pytest.fixture(autouse=True)
def guesses_are_no_matter():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the pictures' values are taken")
        yield


def world_of(pictures: Any, classifier: Any, **settings: Any) -> World:
    settings = {"manifold": "pca", "latent_dim": 3, "class_names": ["a", "b"], **settings}
    return make_world(data=pictures, classifier=classifier, **settings)


@pytest.mark.parametrize("name", SCALES)
def test_the_classifier_is_asked_about_the_users_own_pictures_bit_for_bit(name):
    pictures, declared = SCALES[name]
    classifier = seen_by(pictures)
    world = world_of(pictures, classifier, **declared)
    asked = classifier.rows[0]
    assert asked.dtype == pictures.dtype
    np.testing.assert_array_equal(asked, pictures)
    frames = classifier.rows[1]
    assert frames.dtype == pictures.dtype
    assert frames.shape == pictures.shape
    low, high = world.units.low, world.units.high
    assert low <= frames.min() <= frames.max() <= high
    inside = world.reference.x
    assert inside.dtype == torch.float32
    assert 0 <= float(inside.min()) < 0.1
    assert 0.9 < float(inside.max()) <= 1
    assert tuple(inside.shape[1:]) in ((6, 5), (3, 6, 5), (1, 6, 5)), "channels first"
    given = gather(world, pictures[3])
    assert given.single
    assert given.x.equal(inside[3:4])
    assert gather(world, pictures[3:5]).x.equal(inside[3:5])
    # The same world again, from what was recorded.
    kept = {name: getattr(world.config, name) for name in ("pixel_range", "pixel_mean", "pixel_std", "channels")}
    again = world_of(pictures, seen_by(pictures), **kept)
    assert again.reference.x.equal(inside)
    assert again.units.own_shape == pictures.shape[1:]


@given(
    hnp.arrays(np.float64, (4, 2, 3), elements=st.floats(-1e4, 1e4, width=32)),
    st.sampled_from(["uint8", "int32", "float32", "float64"]),
)
def test_units_of_pictures_go_there_and_back(raw, kind):
    pictures = np.abs(raw % 256).astype(kind) if kind == "uint8" else raw.astype(kind)
    units = ImageUnits.of_pictures(pictures, (2, 3), (-1e4, 1e4) if kind != "uint8" else (0, 255))
    back = units.asker(None, (2, 3))(units.inward(pictures))
    assert back.dtype == pictures.dtype
    np.testing.assert_allclose(back, pictures, atol=2e-7 * 2e4 if kind.startswith("float") else 0)


def test_normalised_pictures_are_shown_in_their_own_colours():
    raw, how = SCALES["ImageNet"]
    units = fit_units(raw, **how)
    assert units.declared == how
    shown = units.render(units.inward(raw[:1])[0])
    np.testing.assert_array_equal(shown, COLOUR[0])
    x = units.inward(raw[:2]).requires_grad_()  # white-box walkers
    units.outward(x).sum().backward()
    torch.testing.assert_close(x.grad[0, :, 0, 0], 1 / torch.tensor(how["pixel_std"]))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"pixel_mean": [0.5, 0.5, 0.5]}, "belong together"),
        ({"pixel_mean": [0.5, 0.5], "pixel_std": [0.2, 0.2]}, "each of the 3 channels"),
        ({"pixel_mean": [0.5], "pixel_std": [0.0]}, "positive"),
        ({**IMAGENET, "pixel_range": (-3, 3)}, "leave it out"),
        ({"pixel_mean": [0.485], "pixel_std": [0.4]}, "come from shares in"),
    ],
)
def test_a_normalisation_that_does_not_fit_is_refused(settings, match):
    with pytest.raises(ManifoldError, match=match):
        fit_units(SCALES["ImageNet"][0], **settings).inward(SCALES["ImageNet"][0])


def test_continuous_values_come_back_as_float32_allows(monkeypatch):
    monkeypatch.setattr("envs.modalities.image.MOST_LEVELS", 100)
    pictures = RANDOM.random((30, 4, 4)) * 40 - 10
    units = fit_units(pictures, pixel_range=(-10, 30))
    assert units.levels is None
    np.testing.assert_allclose(units.outward(units.inward(pictures)), pictures, atol=40 * 6e-8)
    assert units.outward(units.inward(pictures)).dtype == torch.float64


# --- what is guessed, and what has to be declared ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pictures", "pixel_range"),
    [
        (GREY // 16, (0, 255)),
        (GREY // 128, (0, 1)),
        (GREY / 255 * 2 - 1, (-1, 1)),
        (np.round(GREY / 255.0 * 16), (0, 16)),
        (GREY * 0.99, (0, 255)),
        (GREY > 9, (0, 1)),
    ],
)
def test_usual_ranges_are_guessed(pictures, pixel_range):
    units = fit_units(pictures)
    assert (units.low, units.high) == pixel_range
    assert units.declared == ({} if pixel_range == (0, 1) else {"pixel_range": list(pixel_range)})


@pytest.mark.parametrize(
    "pictures",
    [
        GREY.astype(np.uint16) * 16,
        GREY.astype(int) - 9,
        (GREY / 255 - 0.13) / 0.31,
        GREY * 0.1,
        GREY.astype(int) // 20,
        GREY * 9.0,
    ],
)
def test_a_scale_that_cannot_be_guessed_names_the_argument(pictures):
    with pytest.raises(ManifoldError, match=r"cannot be guessed.*pass pixel_range=\(low, high\)"):
        fit_units(pictures)


def test_a_guess_of_fractions_is_said():
    with pytest.warns(UserWarning, match=r"taken to range from 0 to 16 .*pixel_range=\(low, high\)"):
        fit_units(np.round(GREY / 255.0 * 16))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_units(GREY)
        fit_units(np.round(GREY / 255.0 * 16), pixel_range=(0, 16))


def test_held_out_pictures_widen_the_range():
    dim = np.round(GREY / 255.0 * 15)
    assert fit_units(dim).high == 15
    assert fit_units(dim, more=dim[:3] + 1).high == 16


@pytest.mark.parametrize("wrong", [5, (1, 0), (0,), (0, np.inf), "ab", (0, 1, 2), ("a", "b")])
def test_ranges_that_are_none_are_refused(wrong):
    with pytest.raises(ManifoldError, match="pixel_range is the lowest and the highest value"):
        ImageUnits.of_pictures(GREY, (6, 5), wrong)


@pytest.mark.parametrize(
    ("shape", "last"), [((3, 8, 8), False), ((8, 8, 3), True), ((1, 3, 8), False), ((8, 6, 2), True), ((5, 8, 8), False)]
)
def test_the_channel_order_is_guessed_where_the_shape_shows_it(shape, last):
    pictures = RANDOM.random((5, *shape))
    units = fit_units(pictures)
    assert units.last is last
    assert units.data_shape == (shape if not last else (shape[2], *shape[:2]))


@pytest.mark.parametrize("shape", [(3, 8, 3), (3, 3, 3), (8, 8, 8)])
def test_the_channel_order_has_to_be_declared_where_it_does_not(shape):
    pictures = RANDOM.random((5, *shape))
    with pytest.raises(ManifoldError, match="pass channels='first' or channels='last'"):
        fit_units(pictures)
    assert fit_units(pictures, channels="first").data_shape == shape
    assert fit_units(pictures, channels="last").data_shape == (shape[2], *shape[:2])
    with pytest.raises(UnknownNameError, match="channel order 'lst': did you mean 'last'"):
        fit_units(pictures, channels="lst")


@pytest.mark.parametrize("setting", [{"pixel_range": (0, 9)}, {"channels": "last"}])
def test_tables_and_texts_take_nothing_of_pictures(setting):
    name = next(iter(setting))
    with pytest.raises(ManifoldError, match=rf"{name}=.* belongs to pictures"):
        world_of(GREY.reshape(40, -1) / 9, seen_by(GREY), **setting)
    with pytest.raises(ManifoldError, match=rf"{name}=.* belongs to pictures"):
        make_world(data=["a b", "b a"], truth=np.array([0, 1]), manifold="sentences", **setting)


# --- pictures that are to be explained ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "match"),
    [
        (GREY[0] / 255, r"whole numbers in \[0, 255\] \(uint8\), these are fractions"),
        (GREY[0].astype(int) + 1, r"values in \[0, 255\], these reach from"),
        (GREY[0].T, r"shape \(5, 6\) does not fit: this world takes one of shape \(6, 5\)"),
    ],
)
def test_pictures_of_another_scale_or_order_are_refused(picture, match):
    world = world_of(GREY, seen_by(GREY))
    with pytest.raises(ManifoldError, match=match):
        gather(world, picture)


def test_shares_are_refused_where_pictures_reach_to_255():
    pictures = GREY.astype(np.float32)
    world = world_of(pictures, seen_by(pictures))
    with pytest.raises(ManifoldError, match=r"as if they were shares; give them in that scale \(times 255\)"):
        gather(world, pictures[0] / 255)


def test_channels_in_another_place_are_never_reshaped():
    world = world_of(COLOUR, seen_by(COLOUR))
    with pytest.raises(ManifoldError, match=r"shape \(3, 6, 5\) does not fit: this world takes one of shape \(6, 5, 3\)"):
        gather(world, np.moveaxis(COLOUR[0], -1, 0))
    with pytest.raises(ManifoldError, match=r"shape \(40, 3, 6, 5\) do not fit"):
        world_of(COLOUR, seen_by(COLOUR), held_out=np.moveaxis(COLOUR, -1, 1))


@pytest.mark.parametrize("name", ["uint8", "whole float64 to 16", "channels last", "symmetric"])
def test_a_picture_file_is_read_in_the_users_units(name, tmp_path):
    pictures, declared = SCALES[name]
    world = world_of(pictures, seen_by(pictures), **declared)
    levels = COLOUR[2] if name == "channels last" else GREY[2]
    Image.fromarray(levels).save(tmp_path / "one.png")
    read = read_file(world, tmp_path / "one.png")
    assert read.shape == (1, *pictures.shape[1:])
    want = pictures[2] if name != "whole float64 to 16" else GREY[2] / 255 * 16
    np.testing.assert_allclose(read[0], want, atol=1e-5)
    assert gather(world, read).x.shape == (1, *world.units.data_shape)
    np.savez(tmp_path / "some.npz", x=pictures[:3])
    assert gather(world, read_file(world, tmp_path / "some.npz")).x.equal(world.reference.x[:3])


def test_an_npz_may_declare_its_pictures(tmp_path):
    np.savez(tmp_path / "own.npz", x=GREY.astype(np.uint16) * 16, pixel_range=[0, 4095], class_names=["a", "b"])
    world = make_world(data=str(tmp_path / "own.npz"), classifier=seen_by(GREY.astype(int) * 16), manifold="pca", latent_dim=2)
    assert (world.units.low, world.units.high) == (0, 4095)


def test_pictures_are_shown_alike_in_either_units():
    for pictures in (GREY, COLOUR):
        world = world_of(pictures, seen_by(pictures))
        want = pictures[4] if pictures is COLOUR else np.repeat(pictures[4][..., None], 3, 2)
        np.testing.assert_array_equal(world.render(pictures[4]), want)
        np.testing.assert_array_equal(world.render(world.reference.x[4]), want)


def test_a_walk_from_the_users_own_picture_begins_with_its_own_answer():
    x, y = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=300).fit(x[:600], y[:600])
    pictures = x[:300].reshape(-1, 8, 8)
    world = make_world(data=pictures, classifier=model, manifold="pca", latent_dim=8)
    assert world.reference.label.tolist() == model.predict(x[:300]).tolist()
    np.testing.assert_allclose(world.classifier.predict_proba(world.reference.x), model.predict_proba(x[:300]), atol=1e-6)
    path = explain(world, pictures[5], walker="line")
    assert path.source == model.predict(x[5:6])[0]
    flat = make_world(data=x[:300], data_shape=(8, 8), classifier=model, manifold="pca", latent_dim=8)
    assert flat.reference.label.equal(world.reference.label)


# --- torch modules -----------------------------------------------------------------------------------------------------


class Convolution(torch.nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(channels, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(120, 2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x / 255)


def balanced(module: torch.nn.Module, x: torch.Tensor) -> torch.nn.Module:
    """Both classes occur: the last bias is moved to the middle of the logits' differences."""
    with torch.no_grad():
        last = [part for part in module.modules() if isinstance(part, torch.nn.Linear)][-1]
        logits = module(x)
        last.bias[1] += (logits[:, 0] - logits[:, 1]).median()
    return module


@pytest.mark.parametrize("pictures", [COLOUR, np.moveaxis(COLOUR, -1, 1), GREY, GREY[..., None], GREY[:, None]])
def test_a_convolution_is_shown_channels_first_whatever_the_users_order(pictures):
    colour = pictures.size == COLOUR.size
    first = torch.from_numpy((np.moveaxis(COLOUR, -1, 1) if colour else GREY[:, None]).astype(np.float32))
    module = balanced(Convolution(first.shape[1]), first)
    with pytest.warns(UserWarning, match=r"receives the images' own values, 0 to 255.*pixel_range=\(0, 255\) silences"):
        world = world_of(pictures, module)
    torch.testing.assert_close(world.classifier.predict_proba(world.reference.x), module(first).softmax(1).detach())
    torch.testing.assert_close(world.classifier.torch_module(world.reference.x), module(first), atol=1e-4, rtol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        world_of(pictures, module, pixel_range=(0, 255))


def test_a_module_that_takes_either_order_needs_a_declaration():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(90, 2))
    last = torch.from_numpy(COLOUR / np.float32(255))
    with pytest.raises(ManifoldError, match=r"channels first, \(3, 6, 5\), and last, \(6, 5, 3\): pass input_shape="):
        world_of(last.numpy(), module)
    for shape, rows in (((6, 5, 3), last), ((3, 6, 5), last.movedim(-1, 1)), ((90,), last.flatten(1))):
        balanced(module, rows)
        world = world_of(last.numpy(), module, input_shape=shape)
        torch.testing.assert_close(world.classifier.predict_proba(world.reference.x), module(rows).softmax(1).detach())
    with pytest.raises(ManifoldError, match=r"input_shape \(5, 3, 6\) is not an order of pictures of shape \(6, 5, 3\)"):
        world_of(last.numpy(), module, input_shape=(5, 3, 6))


def test_functions_may_declare_another_order():
    classifier = seen_by(np.moveaxis(COLOUR, -1, 1))
    world_of(COLOUR, classifier, input_shape=(3, 6, 5))
    np.testing.assert_array_equal(classifier.rows[0], np.moveaxis(COLOUR, -1, 1))
    first = np.moveaxis(COLOUR, -1, 1).copy()
    classifier = seen_by(COLOUR)
    world_of(first, classifier, input_shape=(6, 5, 3))
    np.testing.assert_array_equal(classifier.rows[0], COLOUR)


def test_rounding_lets_gradients_through():
    units = fit_units(GREY)
    x = units.inward(GREY[:2]).requires_grad_()
    units.shaped(x, (1, 6, 5)).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.full_like(x, 255))


def test_pictures_in_zero_and_one_are_given_as_they_are():
    pictures = torch.from_numpy((GREY / 255).astype(np.float32))
    units = fit_units(pictures.numpy())
    assert units.outward(pictures) is pictures


@pytest.mark.parametrize("shape", [(6, 5, 3), (90,), (3, 6, 5)])
def test_modules_of_the_users_own_manifold_speak_channels_first(shape):
    class Decoder(torch.nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return z.sigmoid().repeat(1, 30).reshape(len(z), *shape)

    pair = (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(90, 3)), Decoder())
    if shape == (3, 6, 5):
        assert world_of(COLOUR, seen_by(COLOUR), manifold=pair, latent_dim=None).manifold.data_shape == shape
        return
    with pytest.raises(ManifoldError, match=r"the decoder gives pictures of shape .*channels first: wrap encoder and decoder"):
        world_of(COLOUR, seen_by(COLOUR), manifold=pair, latent_dim=None)
