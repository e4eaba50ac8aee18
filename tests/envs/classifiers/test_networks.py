"""Fits of classifiers draw from their own seed alone."""

from __future__ import annotations

import torch

from envs.classifiers.networks import fit_classifier, series_classifier


def fitted(outside: int) -> tuple[torch.Tensor, float]:
    """The last weights of a network with dropout, fitted while torch's own generator has this seed; what it draws next."""
    x, y = torch.linspace(-1, 1, 16 * 24).reshape(16, 24), torch.tensor([0, 1] * 8)
    torch.manual_seed(0)
    module = series_classifier((1, 24), 2)
    torch.manual_seed(outside)
    return fit_classifier(module, x, y, epochs=2, seed=3)[-1].weight, float(torch.rand(()))


def test_dropout_depends_on_the_seed_and_on_nothing_else() -> None:
    first, drawn = fitted(1)
    again, other = fitted(2)
    assert torch.equal(first, again)
    torch.manual_seed(1)
    assert drawn == float(torch.rand(()))
    assert drawn != other
