"""MRnet and adversarial training: the step, the penalty, and that they do what they say on digits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from envs.classifiers.mrnet import embeddings, fgm_accuracy, fit_adversarial, fit_mrnet, stepped
from envs.classifiers.networks import accuracy, fit_classifier, mlp_classifier
from envs.datasets import DATASETS
from envs.errors import ManifoldError, UnknownNameError


def linear(weight: list[list[float]]) -> nn.Module:
    layer = nn.Linear(len(weight[0]), len(weight), bias=False)
    layer.weight.data = torch.tensor(weight)
    return layer


def small(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return mlp_classifier((64, 32, 32, 10))


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, ...]:
    data = DATASETS["digits"]()
    parts = data.x[:400], data.truth[:400], data.held_out, data.held_out_truth
    return tuple(torch.as_tensor(part) for part in parts)


def test_the_step_of_a_linear_classifier_is_known() -> None:
    net = linear([[3.0, 4.0], [0.0, 0.0]])  # the loss of class 0 rises against (3, 4)
    x = torch.tensor([[0.5, 0.5], [0.2, 0.9]])
    moved = stepped(net, x, torch.tensor([0, 0]), 0.1, bounds=None)
    torch.testing.assert_close(moved - x, torch.tensor([[-0.06, -0.08]]).expand(2, 2))
    back = stepped(net, x, torch.tensor([0, 0]), -0.1, bounds=None)
    torch.testing.assert_close(back - x, torch.tensor([[0.06, 0.08]]).expand(2, 2))


def test_steps_are_clipped_to_the_data_and_rows_do_not_mix() -> None:
    net = linear([[3.0, 4.0], [0.0, 0.0]])
    x = torch.tensor([[0.0, 0.02], [0.5, 0.5]])
    both = stepped(net, x, torch.tensor([0, 1]), 0.1)
    torch.testing.assert_close(both[0], torch.zeros(2))
    torch.testing.assert_close(both[1:], stepped(net, x[1:], torch.tensor([1]), 0.1))


def test_no_gradient_no_step() -> None:
    net = linear([[0.0, 0.0], [0.0, 0.0]])
    x = torch.rand(3, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(stepped(net, x, torch.zeros(3, dtype=torch.long), 0.5), x)


def test_embeddings_are_the_activations_in_order() -> None:
    net = small()
    x = torch.rand(5, 8, 8, generator=torch.Generator().manual_seed(0))
    logits, hidden = embeddings(net, x)
    torch.testing.assert_close(logits, net(x))
    assert [tuple(h.shape) for h in hidden] == [(5, 32), (5, 32)]
    assert isinstance(net, nn.Sequential)
    torch.testing.assert_close(hidden[-1], net[:-1](x))
    assert not any(layer._forward_hooks for layer in net.modules())  # nothing is left behind


def test_a_penalty_of_no_weight_is_plain_training_but_for_its_draws(digits: Any) -> None:
    x, y, _, _ = digits
    # One batch an epoch: the order within it does not matter, so the permutation drawn in it does not either.
    plain = fit_classifier(small(), x[:60], y[:60], epochs=1)
    without = fit_mrnet(small(), x[:60], y[:60], weight=0.0, epochs=1)
    for a, b in zip(plain.parameters(), without.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.equal(next(fit_mrnet(small(), x[:60], y[:60], epochs=1).parameters()), next(plain.parameters()))


@pytest.mark.parametrize("layers", ["all", "last"])
def test_mrnet_keeps_embeddings_of_neighbours_together(digits: Any, layers: str) -> None:
    x, y, held_out, truth = digits
    plain = fit_classifier(small(), x, y, epochs=25, learning_rate=2e-3)
    smooth = fit_mrnet(small(), x, y, layers=layers, epochs=25, learning_rate=2e-3)
    assert not smooth.training
    assert not any(p.requires_grad for p in smooth.parameters())

    def moved(net: nn.Module) -> float:
        """How far the last embedding moves in an FGM step, as a share of its size."""
        near = stepped(net, held_out, truth, 0.5)
        with torch.inference_mode():
            here, there = embeddings(net, held_out)[1][-1], embeddings(net, near)[1][-1]
        return float(((here - there).norm(dim=1) / here.norm(dim=1)).mean())

    assert moved(smooth) < 0.8 * moved(plain)
    assert fgm_accuracy(smooth, held_out, truth, 0.5) > fgm_accuracy(plain, held_out, truth, 0.5) + 0.05
    assert fgm_accuracy(smooth, held_out, truth, 0.0) == accuracy(smooth, held_out, truth)
    assert accuracy(smooth, held_out, truth) > 0.9


def test_adversarial_training_withstands_the_attack(digits: Any) -> None:
    x, y, held_out, truth = digits
    plain = fit_classifier(small(), x, y, epochs=25, learning_rate=2e-3)
    hardened = fit_adversarial(small(), x, y, step=0.5, epochs=25, learning_rate=2e-3)
    assert fgm_accuracy(hardened, held_out, truth, 0.5) > fgm_accuracy(plain, held_out, truth, 0.5) + 0.05


@pytest.mark.parametrize("fit", [fit_mrnet, fit_adversarial])
def test_training_is_repeatable_and_leaves_the_global_generator_alone(digits: Any, fit: Any) -> None:
    x, y, _, _ = digits
    before = torch.get_rng_state()
    a, b = (fit(small(), x[:100], y[:100], epochs=2, seed=3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(one, other)
    c = fit(small(), x[:100], y[:100], epochs=2, seed=4)
    assert not torch.equal(next(a.parameters()), next(c.parameters()))


def test_bad_arguments_are_named(digits: Any) -> None:
    x, y, _, _ = digits
    with pytest.raises(UnknownNameError, match="choice of layers 'alll'"):
        fit_mrnet(small(), x, y, layers="alll")
    with pytest.raises(ManifoldError, match="at least 0, not -1"):
        fit_mrnet(small(), x, y, weight=-1)
    for fit in (fit_mrnet, fit_adversarial):
        with pytest.raises(ManifoldError, match="must be positive, not 0"):
            fit(small(), x, y, step=0)
    with pytest.raises(ManifoldError, match="no activation layers"):
        embeddings(linear([[1.0]]), torch.zeros(1, 1))
