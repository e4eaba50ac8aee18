"""Networks for pictures: layouts, and weights that are fitted once and kept."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from agents.explanation.badge import oracles
from agents.walkers.planning.pictures import ensemble, networks

KIND = ensemble.ARCHITECTURES[0]


@pytest.mark.parametrize("shape", [(8, 8), (3, 16, 16), (32, 32, 3), (28, 28)])
def test_networks_take_pictures_of_all_layouts(shape: tuple[int, ...]) -> None:
    for kind in (*ensemble.LARGE_ARCHITECTURES, *oracles.ARCHITECTURES, *oracles.LARGE_ARCHITECTURES):
        assert networks.network(shape, 4, kind)(torch.rand(2, *shape)).shape == (2, 4)


def test_faint_remains_count_only_where_they_are_shown_raised() -> None:
    """A network of a threshold sees a faint value only where it is raised, whatever range and background pictures have."""

    class Threshold(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            ink = ((x - x[:, :1, :1]).abs() > 0.4 * span).any(2).any(1).float()
            return 20 * torch.stack([1 - ink, ink], 1)

    for span, background, faint in ((1.0, 0.0, 0.3), (255.0, 255.0, 178.5), (2.0, -1.0, -0.4)):
        x = torch.full((8, 4, 4), background)
        x[:, 2] = background + (span if faint > background else -span)
        shown = networks.Raised(Threshold(), x)
        end = torch.full((1, 4, 4), background)
        end[:, 3, 3] = faint
        assert Threshold()(end).softmax(1)[0, 1] < 0.01
        assert shown(end).softmax(1)[0, 1] == pytest.approx(0.5, abs=0.01)
        assert shown(x[:1]).softmax(1)[0, 1] > 0.99


def test_badge_and_ensemble_of_large_pictures_share_no_kind_and_both_see_faint_remains() -> None:
    ends, badges = ensemble.LARGE_ARCHITECTURES, oracles.LARGE_ARCHITECTURES
    assert not set(ends) & set(badges)
    for kinds in (ends, badges):
        assert any(kind.norm and kind.noise == 0 and kind.faint for kind in kinds)


@pytest.mark.parametrize(
    ("modality", "shape", "large"),
    [("image", (28, 28), True), ("image", (3, 32, 32), True), ("image", (8, 8), False), ("series", (2, 64), False)],
)
def test_only_pictures_are_large(modality: str, shape: tuple[int, ...], large: bool) -> None:
    world: Any = SimpleNamespace(modality=modality, manifold=SimpleNamespace(data_shape=shape))
    assert networks.is_large(world) == large


def test_weights_are_fitted_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_CACHE", str(tmp_path))
    monkeypatch.setattr(networks, "STEPS", 4)
    x, label = torch.rand(40, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 3
    first = networks.fit_network(x, label, 3, KIND, seed=1)
    (file,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(networks, "fit_classifier", lambda *a, **k: pytest.fail("fitted again"))
        again = networks.fit_network(x, label, 3, KIND, seed=1)
    torch.testing.assert_close(again(x), first(x))
    networks.fit_network(x, label, 3, KIND, seed=2)
    networks.fit_network(x, label.roll(1), 3, KIND, seed=1)
    assert len(list(tmp_path.iterdir())) == 3
    file.write_bytes(b"damaged")
    torch.testing.assert_close(networks.fit_network(x, label, 3, KIND, seed=1)(x), first(x))
    monkeypatch.setenv("MANIFOLD_CACHE", "")
    torch.testing.assert_close(networks.fit_network(x, label, 3, KIND, seed=1)(x), first(x))
