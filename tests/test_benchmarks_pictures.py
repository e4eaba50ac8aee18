"""The benchmark of ends on pictures: its measures against definitions, its rivals, and its page."""

from __future__ import annotations

import numpy as np
import torch

from envs.classifiers.networks import fit_classifier, mlp_classifier
from tests.benchmarks.picture_ends import CONVINCING, LOOKS, page
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
    record = {"command": "python", "items": 3, "data": {"mnist": [cell], "digits": [cell, {**cell, "seed": 1}]}}
    text = page(record)
    assert "| agent | 0.500 [0.400, 0.600] |" in text
    assert "## Digits\n\nSeeds 0, 1." in text
    assert "| agent | 0.500 | 0.500 |" in text
