"""Controls and statistics of the benchmarks of latent spaces do what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from envs.geometry.strokes import loops, thickness
from tests.benchmarks import transport
from tests.benchmarks.inversion import folded
from tests.benchmarks.latent.omniglot import BASE, Characters, groups, judged, pca_error, shuffled
from tests.benchmarks.latent.redrawn import redrawn, thinned


def ring(size: int = 28, radius: float = 8, width: float = 3) -> torch.Tensor:
    """A round stroke (1, size, size)."""
    at = torch.arange(size) - (size - 1) / 2
    return ((at[:, None] ** 2 + at**2).sqrt() - radius).abs().le(width / 2).float()[None]


def bar(height: int) -> torch.Tensor:
    """A level stroke of so many pixels, (1, 28, 28)."""
    x = torch.zeros(1, 28, 28)
    x[0, 14 - height // 2 : 14 - height // 2 + height, 4:24] = 1
    return x


def test_a_thinned_bar_is_a_line_in_its_middle():
    x = np.zeros((2, 9, 20), bool)
    x[0, 3:6, 2:18] = True
    thin = thinned(x)
    assert thin[0].sum(0).max() == 1  # nowhere thicker than one pixel
    assert set(np.flatnonzero(thin[0].any(1))) == {4}
    assert thin[0].any(0)[4:16].all()  # it is not cut
    assert not thin[1].any()


def test_thinning_keeps_a_loop_closed():
    assert loops(torch.from_numpy(thinned(ring().numpy() > 0)).float()).tolist() == [1]


@pytest.mark.parametrize("width", [1.75, 2.5, 4.0])
@pytest.mark.parametrize("drawn", [1, 3, 5])
def test_a_stroke_drawn_again_has_the_width_asked_for(drawn, width):
    again = redrawn(torch.cat((bar(drawn), ring(width=drawn))), width)
    assert again.min() >= 0
    assert again.max() <= 1
    ink = again[0, :, 12:16].sum(0)  # of the bar, away from its ends
    torch.testing.assert_close(ink, torch.full((4,), width), atol=0.26, rtol=0)
    assert (thickness(again) - width).abs().max() < 0.8
    assert loops(again).tolist() == [0, 1]


def test_shuffled_tiles_are_the_same_tiles_elsewhere():
    x = torch.arange(3 * 28 * 28).float().view(3, 28, 28)
    for tile in (1, 4, 28):
        mixed = shuffled(x, tile, np.random.default_rng(0))
        for before, after in zip(x, mixed, strict=True):
            tiles = [set(map(tuple, part.unfold(0, tile, tile).unfold(1, tile, tile).reshape(-1, tile * tile).tolist()))
                     for part in (before, after)]  # fmt: skip
            assert tiles[0] == tiles[1]
        assert mixed.equal(x) == (tile == 28)


def test_the_error_of_principal_components_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    train, x = (torch.from_numpy(rng.random((n, 4, 5), dtype=np.float32)) for n in (60, 7))
    pca = PCA(3).fit(train.flatten(1).numpy())
    again = pca.inverse_transform(pca.transform(x.flatten(1).numpy()))
    wanted = np.square(x.flatten(1).numpy() - again).mean(1)
    np.testing.assert_allclose(pca_error(train, 3)(x).numpy(), wanted, rtol=1e-4)


def test_groups_are_of_one_size_and_the_seed_decides():
    rng = np.random.default_rng(0)
    parts = Characters(*(torch.from_numpy(rng.random((n, 28, 28), dtype=np.float32)) for n in (40, 30, 20)))
    digits = torch.from_numpy(rng.random((25, 28, 28), dtype=np.float32))
    first, again, other = (groups(parts, digits, seed, items=10) for seed in (0, 0, 1))
    assert all(x.shape == (10, 28, 28) for x in first.values())
    assert all(x.equal(again[name]) for name, x in first.items())
    assert not any(x.equal(other[name]) for name, x in first.items())


def test_errors_are_judged_against_the_mean_image_and_other_drawers():
    rng = np.random.default_rng(0)
    parts = Characters(*(torch.from_numpy(rng.random((n, 4, 4), dtype=np.float32)) for n in (40, 30, 20)))
    mean = parts.train.mean(0)
    tried = {BASE: parts.drawer, "worse": parts.unseen}
    # A model that leaves half of the error of the mean image on the base, and all of it on the other group.
    shares = {len(parts.drawer): 0.5, len(parts.unseen): 1.0}
    rows = judged(lambda x: shares[len(x)] * (x - mean).square().flatten(1).mean(1), parts, tried, 2)
    assert rows[BASE]["unexplained"][0] == pytest.approx(0.5)
    assert rows["worse"]["unexplained"][0] == pytest.approx(1)
    assert rows[BASE]["AUC, unexplained"] == pytest.approx(0.5)
    assert rows[BASE]["AUC, by PCA's"] == pytest.approx(0.5)
    assert rows["worse"]["AUC, unexplained"] == 1
    linear = pca_error(parts.train, 2)(parts.unseen)
    wanted = float(((parts.unseen - mean).square().flatten(1).mean(1) / linear).mean())
    assert rows["worse"]["by PCA's"][0] == pytest.approx(wanted, rel=1e-4)


def test_equivalence_needs_the_whole_interval_within_the_margin():
    rng = np.random.default_rng(0)
    noise = {name: rng.normal(0, 0.01, 30) for name in ("random", "same", "off")}
    values = {name: {"distance": (1 + noise[name]).tolist()} for name in noise}
    values["off"]["distance"] = (1.06 + noise["off"]).tolist()
    values["4-point linear"] = {"distance": (2 + rng.normal(0, 0.01, 30)).tolist()}
    found = transport.compared(values, "distance")
    assert transport.equivalent(found["same"])
    assert not transport.equivalent(found["off"])
    assert found["off"]["share"] == pytest.approx(0.06, abs=0.01)
    assert found["4-point linear"]["share"] == 1
    assert found["random"]["low"] == found["random"]["high"] == 0
    # The linear mean itself is never as random codes.
    assert not transport.equivalent(found["4-point linear"])


def test_seeds_are_folded_row_by_row():
    rows = [{"a": {"mse": [1.0, 0.5, 1.5], "AUC": 0.5}}, {"a": {"mse": [3.0, 2.0, 4.0], "AUC": 0.7}}]
    cells = {str(seed): {"rows": row} for seed, row in enumerate(rows)}
    assert folded(cells) == {"a": {"mse": [1.0, 3.0], "AUC": [0.5, 0.7]}}
