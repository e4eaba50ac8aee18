"""The benchmark of ends on pictures: its measures against definitions, its rivals, and its page."""

from __future__ import annotations

import numpy as np
import torch

from envs.classifiers.networks import fit_classifier, mlp_classifier
from tests.benchmarks import pictures_large
from tests.benchmarks.picture_ends import CONVINCING, LOOKS, page
from tests.benchmarks.pictures.colours import SIDE, coloured_shapes, hue, hue_change, tint, tinted
from tests.benchmarks.pictures.large import FACES, network
from tests.benchmarks.pictures.measures import NEAREST, implausibility, local, sharpness, ssim, variety
from tests.benchmarks.pictures.rivals import eccco


def pictures(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 12, 12, generator=torch.Generator().manual_seed(seed))


def test_similarity_is_one_for_equal_pictures_and_that_of_the_means_for_flat_ones() -> None:
    x = pictures(3)
    torch.testing.assert_close(ssim(local(x), local(x)), torch.ones(3))
    dark, light = torch.full((1, 12, 12), 0.2), torch.full((1, 12, 12), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    torch.testing.assert_close(ssim(local(dark), local(light)), torch.tensor([expected]), atol=1e-4, rtol=1e-3)
    assert (ssim(local(x), local(1 - x)) < 0.2).all()


def test_implausibility_is_measured_to_the_nearest_of_the_target_class() -> None:
    bank = torch.cat([pictures(1).expand(NEAREST, -1, -1), pictures(NEAREST, 1)])
    label = np.repeat([0, 1], NEAREST)
    found = implausibility(pictures(1).expand(2, -1, -1), np.array([0, 1]), bank, label, nearest=True)
    np.testing.assert_allclose(found, implausibility(pictures(1).expand(2, -1, -1), np.array([0, 1]), bank, label), atol=1e-6)
    assert found[0] < 1e-6
    assert found[1] > 0.3


def test_blurred_and_equal_pictures_are_neither_sharp_nor_varied() -> None:
    x = pictures(6)
    blurred = torch.nn.functional.avg_pool2d(x[:, None], 3, 1, 1)[:, 0]
    assert (sharpness(blurred) < 0.2 * sharpness(x)).all()
    assert variety(x[:1].expand(4, -1, -1), np.zeros(4)) < 1e-6 < variety(x, np.array([0, 0, 0, 1, 1, 1]))


def test_eccco_reaches_the_target_of_a_plain_network() -> None:
    x, label = pictures(80), torch.arange(80) % 2
    x[label == 1, 4:8] *= 0.2
    network = fit_classifier(mlp_classifier((144, 16, 2)), x, label, epochs=20, learning_rate=5e-3)
    ends = eccco(x[:6], 1 - label[:6], network, x, label, tau=0.9)
    assert (network(ends).softmax(1)[torch.arange(6), 1 - label[:6]] >= 0.9).all()
    assert 0 <= float(ends.min()) <= float(ends.max()) <= 1


def test_the_page_is_made_of_the_record_alone() -> None:
    way = {key: [0.5, 0.4, 0.6] for key in (*CONVINCING, *LOOKS)} | {"wrong": None}
    cell = {"seed": 0, "ways": {"agent": way}}
    record = {
        "command": "python",
        "items": 3,
        "badges": {"digits": {"cold": 1.0, "each": 2.0}},
        "data": {"mnist": [cell], "digits": [cell, {**cell, "seed": 1}]},
    }
    text = page(record)
    assert "| agent | 0.500 [0.400, 0.600] |" in text
    assert "## Digits\n\nSeeds 0, 1." in text
    assert "| agent | 0.500 | 0.500 |" in text


def test_hues_are_angles_and_say_nothing_of_the_class() -> None:
    x, kind = coloured_shapes(400, seed=0)
    assert x.shape == (400, 3, SIDE, SIDE)
    assert 0 <= x.min() <= x.max() <= 1
    assert abs(np.corrcoef(np.cos(np.radians(hue(x))), kind == 0)[0, 1]) < 0.15
    red, green = (np.zeros((1, 3, 4, 4), np.float32) for _ in range(2))
    red[:, 0], green[:, 1] = 0.7, 0.4
    np.testing.assert_allclose([hue(red)[0], hue(green)[0], hue_change(red, green)[0]], [0, 120, 120])
    grey = np.random.default_rng(0).random((1, 6, 6)).astype(np.float32)
    tone = tint(np.random.default_rng(3), 1)[:, :, None, None]
    np.testing.assert_allclose(hue_change(tinted(grey, 3), tone), 0, atol=1e-3)  # the same hue at every brightness


def test_the_page_of_large_pictures_counts_over_seeds_and_fits_the_slope() -> None:
    for shape in ((64, 64), (3, 32, 32)):
        assert network(shape, 5)(torch.zeros(2, *shape)).shape == (2, 5)
    way = {"valid": 1.0, "oracle": 0.9, "l2": 5.0, "hue": None, "queries": 9.0, "cpu_ms": 1.0}
    cell = {
        "seed": 0, "train": 320, "items": 80, "seconds": 50.0, "accuracy": 0.9, "oracle": 0.9, "kept": 76, "held_out": 80,
        "kept_oracle": 0.9, "sharp": 0.4, "plain_kept": 70, "plain_sharp": 0.3, "hue_of_pairs": None, "training_seconds": None,
        "ways": {"line": way},
    }  # fmt: skip
    cost = [{"pixels": 64 * 4**k, "fit": 4.0**k, "decode": 4.0**k, "step": 1.0, "explain": 2.0**k} for k in range(4)]
    record = {"command": "python", "data": {"faces": [cell, {**cell, "seed": 1}]}, "cost": {"mlp": cost}}
    text = pictures_large.page(record)
    assert "152 of 160 (0.950 [" in text
    assert "140 of 160 (0.875 [" in text
    assert "| exponent | 1.00 | 1.00 | 0.00 | 0.50 |" in text
    assert FACES["detail"] > 0
