"""Series: layouts in and out, intervals, and what walks keep of the input."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import envs
from envs.core.factual import Factual
from envs.datasets import Data, SeriesUnits
from envs.errors import ManifoldError, UnknownNameError
from envs.modalities.components import Component
from envs.modalities.intervals import changed_intervals
from envs.modalities.series import guessed_series, seems_series


def of_channel(x: np.ndarray) -> np.ndarray:
    """A classifier that sees the user's own layout (N, 2, T): whether the mean of the first channel is positive."""
    assert x.ndim == 3, x.shape
    p = 1 / (1 + np.exp(-5 * x[:, 0].mean(1)))
    return np.stack([1 - p, p], 1)


def two_channels(count: int = 60, length: int = 20) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 2, 1)) + 0.1 * rng.standard_normal((count, 2, length))


@given(
    st.tuples(st.integers(2, 6), st.integers(1, 3), st.integers(4, 30)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.floats(-1e6, 1e6))
    )
)
@settings(max_examples=30, deadline=None)
def test_series_of_any_shape_come_back_bit_for_bit(raw):
    units = SeriesUnits.of_series(raw, raw.shape[1:])
    x, cells = units.entered(raw)
    assert x.shape == (len(raw), raw[0].size)
    factual = Factual(x, cells, torch.zeros_like(x))
    assert np.array_equal(units.rows(x, factual).reshape(raw.shape), raw)
    assert x.abs().max() < 1e4 * raw.shape[2]


@given(arrays(np.float32, st.tuples(st.just(2), st.integers(1, 2), st.integers(4, 60)), elements=st.floats(-3, 3, width=32)))
@settings(max_examples=50, deadline=None)
def test_intervals_hold_every_change_and_do_not_overlap(pair):
    frames = torch.from_numpy(pair).flatten(1)
    parts = changed_intervals(frames, pair.shape[1:], torch.ones(frames.shape[1]))
    changed = (frames[0] != frames[1]).int()
    assert torch.equal(sum((part.mask.int() for part in parts), torch.zeros_like(changed)), changed)
    assert len(parts) <= 8
    for part in parts:  # of one channel, without a point of another part between its ends
        at = part.mask.view(pair.shape[1:]).nonzero()
        assert len(at[:, 0].unique()) == 1
        inside = torch.zeros(pair.shape[1:], dtype=torch.bool)
        inside[at[0, 0], at[0, 1] : at[-1, 1] + 1] = True
        assert not any((inside.flatten() & other.mask).any() for other in parts if other is not part)


def test_held_places_are_the_inputs_and_the_change_fades_in_beside_them():
    units = SeriesUnits.of_series(np.random.default_rng(0).standard_normal((5, 96)), (96,))
    held = torch.ones(1, 96, dtype=torch.bool)
    held[0, 24:48] = False
    frame = units.holding(torch.ones(1, 96), torch.zeros(1, 96), held)[0]
    assert (frame[held[0]] == 0).all()
    assert (frame[28:44] == 1).all()
    assert 0 < float(frame[24]) < float(frame[25]) <= 1
    assert float(frame.diff().abs().max()) < 1  # no jump of the whole change


def test_a_world_of_two_channels_gives_the_classifier_the_users_layout():
    raw = two_channels()
    world = envs.make_world(
        data=raw, modality="series", classifier=of_channel, class_names=["low", "high"], columns=["force in N", "speed"],
        sampling="0.5 s", fit={"epochs": 5}, progress=False,
    )  # fmt: skip
    assert world.units.shape == (2, 20)
    assert torch.allclose(world.reference.prediction, torch.from_numpy(of_channel(raw)).float())
    before, after = world.reference.x[0], world.reference.x[0].clone()
    after[5:8] += 1
    said = world.units.difference(before, after)
    assert said.startswith("force in N, points 5-7 (2.5-3.5 s) rise by ")
    assert said.endswith(" N")
    assert world.render(after, world.factual_of(before[None])).shape == (256, 256, 3)
    assert [line.split(" ", 1)[1] for line in world.units.sketch(before)] == ["force in N", "speed"]
    assert world.units.sketch(after, world.factual_of(before[None]))[1] == "     ^^^"


@pytest.mark.parametrize(
    ("raw", "settings", "told"),
    [
        (np.zeros((4, 20, 2)), {}, r"layout \(n, channels, points\) is needed"),
        (np.zeros((4, 2, 3, 4)), {}, r"one series has the shape \(points,\) or \(channels, points\)"),
        (np.zeros((4, 2, 20)), {"names": ["one"]}, "1 names"),
        (np.zeros((4, 20)), {"sampling": "often"}, "time between two points"),
        (np.full((4, 20), np.nan), {}, "interpolation"),
        ([[1.0, 2.0], [1.0]], {}, "one length"),
    ],
)
def test_other_layouts_are_refused_with_the_one_that_is_needed(raw, settings, told):
    shape = np.shape(raw)[1:] if isinstance(raw, np.ndarray) else (2,)
    if shape == (20, 2):
        units = SeriesUnits.of_series(np.zeros((4, 2, 20)), (2, 20))
        with pytest.raises(ManifoldError, match=told):
            units.entered(raw)
        return
    with pytest.raises(ManifoldError, match=told):
        SeriesUnits.of_series(raw, shape, **settings)


def test_points_first_is_refused_when_a_world_is_built():
    with pytest.raises(ManifoldError, match="points first"):
        envs.make_world(data=np.zeros((30, 50, 20)), modality="series", classifier=of_channel, class_names=["a", "b"])


def test_the_guess_is_printed_and_pictures_stay_pictures(capsys):
    made = {"classifier": of_channel, "class_names": ["low", "high"], "fit": {"epochs": 1}, "progress": False}
    assert envs.make_world(data=two_channels(), **made).modality == "series"
    assert "taken for series: 2 channels of 20 points" in capsys.readouterr().err
    assert not guessed_series((8, 8), np.dtype(float))
    assert not guessed_series((1, 28), np.dtype(np.uint8))
    assert not guessed_series((20,), np.dtype(float))
    assert not guessed_series((17, 200), np.dtype(float))


def test_rows_without_names_that_look_like_series_are_a_table_and_say_how_they_are_declared(capsys):
    waves = np.sin(np.linspace(0, 6, 40) + np.random.default_rng(0).random((30, 1)) * 6)
    made = {"classifier": lambda x: np.full((len(x), 2), 0.5), "class_names": ["a", "b"], "manifold": "pca", "progress": False}
    with suppress(ManifoldError):  # all rows are of one class
        envs.make_world(data=waves, **made)
    assert "taken for a table, although neighbours are alike; --modality series" in capsys.readouterr().err
    assert not seems_series(np.random.default_rng(0).random((30, 40)))
    assert not seems_series(waves[:, :8])


def test_settings_of_series_belong_to_series():
    rows = {"classifier": of_channel, "class_names": ["a", "b"], "progress": False}
    with pytest.raises(ManifoldError, match="sampling='1 s' belongs to series"):
        envs.make_world(data=np.random.default_rng(0).standard_normal((30, 4)), sampling="1 s", **rows)
    with pytest.raises(UnknownNameError, match="series"):
        envs.make_world(data=two_channels(), modality="serie", **rows)
    with pytest.raises(ManifoldError, match="pixel_range"):
        envs.make_world(data=two_channels(), modality="series", pixel_range=(0, 1), **rows)
    with pytest.raises(ManifoldError, match=r"give \(2, 20\) or \(40,\)"):
        envs.make_world(data=two_channels(), modality="series", input_shape=(20, 2), **rows)


@pytest.mark.parametrize("shape", [(1, 12), (12, 1), (12,)])
def test_one_channel_fits_modules_of_every_layout(shape):
    class Module(torch.nn.Module):
        def forward(self, x):
            assert x.shape[1:] == shape
            mean = x.flatten(1).mean(1)
            return torch.stack([-mean, mean], 1)

    raw = np.random.default_rng(0).standard_normal((40, 12)) + np.arange(40)[:, None] % 2
    world = envs.make_world(data=raw, modality="series", classifier=Module(), fit={"epochs": 1}, progress=False)
    assert tuple(world.classifier.input_shape) == shape


def test_an_npz_file_names_its_modality(tmp_path):
    raw = two_channels()
    np.savez(tmp_path / "x.npz", x=raw.reshape(60, -1)[:, :20], modality="series", sampling="2 ms")
    world = envs.make_world(data=tmp_path / "x.npz", classifier=lambda x: of_channel(x[:, None]), class_names=["a", "b"],
                            fit={"epochs": 1}, progress=False)  # fmt: skip
    assert (world.modality, world.units.sampling) == ("series", (2.0, "ms"))


def test_series_with_classes_need_no_classifier():
    raw = two_channels()
    data = Data(raw, truth=(raw[:, 0].mean(1) > 0).astype(int), class_names=["low", "high"], modality="series")
    world = envs.make_world(data=data, fit={"epochs": 5}, progress=False)
    assert float((world.reference.label.numpy() == data.truth).mean()) > 0.9


def test_an_interval_that_rises_and_falls_is_told_in_their_order() -> None:
    units = SeriesUnits.of_series(np.random.default_rng(0).normal(size=(20, 12)), (12,))
    flat, bent = np.zeros(12), np.zeros(12)
    bent[4:6], bent[6:8] = 0.4, -0.3
    before, after = units.inward([flat])[0], units.inward([bent])[0]
    mask = torch.zeros(12, dtype=torch.bool)
    mask[4:8] = True
    part = Component("points 4-7", {"column": 0}, mask)
    assert units.words(part, before, after)[1] == "rise by 0.4, then fall by 0.3"
    assert units.words(part, after, before)[1] == "fall by 0.4, then rise by 0.3"
