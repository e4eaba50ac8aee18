"""Small networks on numpy arrays give torch's results, and follow changes to the layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from envs.manifolds.networks.arrays import norm, on_arrays, sigmoid, silu, silu_slope, softmax
from envs.manifolds.networks.dense import MLP


def test_functions_are_those_of_torch_and_do_not_overflow() -> None:
    a = torch.tensor([-200.0, -3.0, 0.0, 0.5, 200.0], requires_grad=True)
    (slope,) = torch.autograd.grad(nn.functional.silu(a).sum(), a)
    x = a.detach().numpy()
    with np.errstate(all="raise", under="ignore"):
        out, gate = silu(x)
        np.testing.assert_allclose(sigmoid(x), torch.sigmoid(a).detach(), atol=1e-7)
        np.testing.assert_allclose(out, nn.functional.silu(a).detach(), atol=2e-5)
        np.testing.assert_allclose(silu_slope(out, gate), slope, atol=2e-5)
    assert norm(np.array([[3, 4], [0, 0]], np.float32)).tolist() == [5, 0]
    rows = np.array([[1000.0, 999.0, -1000.0], [0.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(softmax(rows), torch.softmax(torch.from_numpy(rows), 1), atol=1e-6)


@pytest.mark.parametrize("squash", [False, True])
def test_a_linearized_network_gives_its_output_and_the_gradients_of_autograd(squash: bool) -> None:
    torch.manual_seed(0)
    network = MLP((3, 7, 6, 5), squash).requires_grad_(False)
    h, cotangent = torch.randn(4, 3, requires_grad=True), torch.randn(2, 4, 5)
    out, pull = network.linearized(h.detach().numpy())
    expected = network(h)
    np.testing.assert_allclose(out, expected.detach(), atol=1e-6)
    for found, part in zip(pull(cotangent.numpy()), cotangent, strict=True):
        (gradient,) = torch.autograd.grad((expected * part).sum(), h, retain_graph=True)
        np.testing.assert_allclose(found, gradient, atol=1e-5)


def test_plain_layers_run_on_arrays_and_later_weights_show() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 5), nn.SiLU(), nn.Linear(5, 3), nn.Tanh())
    run, x = on_arrays(module), torch.randn(6, 2, 2)
    assert run is not None
    np.testing.assert_allclose(run(x.numpy()), module(x).detach(), atol=1e-6)
    module[1].weight = nn.Parameter(torch.randn(5, 4))
    np.testing.assert_allclose(run(x.numpy()), module(x).detach(), atol=1e-6)
    module[3].bias.data = torch.randn(5)
    module[5].weight.data.mul_(2)
    np.testing.assert_allclose(run(x.numpy()), module(x).detach(), atol=1e-6)


def test_layers_of_other_kinds_or_listened_to_are_left_to_torch() -> None:
    assert on_arrays([nn.Linear(2, 2), nn.Dropout()]) is None
    assert on_arrays([nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2))]) is None
    heard = nn.Linear(2, 2)
    heard.register_forward_hook(lambda *_: None)
    assert on_arrays([heard]) is None


def test_inputs_of_a_linearized_network_can_be_replaced() -> None:
    network = MLP((3, 8, 5), squash=True)
    h = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).numpy()
    other = h[[1, 3]] + 1
    _, pull = network.linearized(h)
    pull.put(np.array([1, 3]), network.linearized(other)[1])
    changed = h.copy()
    changed[[1, 3]] = other
    cotangent = np.ones((4, 5), np.float32)
    np.testing.assert_allclose(pull(cotangent), network.linearized(changed)[1](cotangent), rtol=1e-5)
