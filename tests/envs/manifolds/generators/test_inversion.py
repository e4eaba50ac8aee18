"""Inverting a generator: closed forms on linear ones, restarts, priors, and what is refused."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from envs import ManifoldError, UnknownNameError, make_world
from envs.manifolds import GAN, Generator, Manifold, Prior
from envs.manifolds.generators.inversion import Inversion, check_generator, invert

D, SIZE = 3, 10


def linear(seed: int = 0, d: int = D, size: int = SIZE) -> nn.Linear:
    generator = torch.Generator().manual_seed(seed)
    module = nn.Linear(d, size)
    with torch.no_grad():
        module.weight.copy_(0.5 * torch.randn(size, d, generator=generator))
        module.bias.copy_(0.1 * torch.randn(size, generator=generator))
    return module


def bumpy(seed: int = 0, d: int = 2) -> nn.Sequential:
    """A small generator with several valleys."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Linear(d, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 16), nn.Sigmoid())
    with torch.no_grad():
        module[0].weight.mul_(4)
        module[2].weight.mul_(4)
    return module.eval()


def targets(n: int = 5, size: int = SIZE) -> torch.Tensor:
    return 0.5 * torch.randn(n, size, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
def test_a_linear_generator_gives_the_ridge_solution(weight):
    module = linear()
    x = targets()
    found = invert(module, Prior("normal", D), x, Inversion("random", steps=600, prior_weight=weight))
    w, b = module.weight.detach(), module.bias.detach()
    # mean squared error over SIZE values + weight / 2 * mean square over D coordinates
    wanted = torch.linalg.solve(w.T @ w / SIZE + weight / (2 * D) * torch.eye(D), w.T @ (x - b).T / SIZE).T
    assert (wanted.norm(dim=1) < Prior("normal", D).radius).all()
    torch.testing.assert_close(found.z, wanted, atol=2e-3, rtol=0)
    torch.testing.assert_close(found.error, (wanted @ w.T + b - x).square().mean(1), atol=1e-4, rtol=0)


def test_more_prior_weight_gives_shorter_codes():
    lengths = [
        float(invert(linear(), Prior("normal", D), targets(), Inversion("random", prior_weight=w)).z.norm(dim=1).mean())
        for w in (0.0, 0.1, 1.0)
    ]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 1.5 * lengths[2]


@pytest.mark.parametrize("box", ["clip", "redraw"])
def test_codes_stay_in_the_box_of_a_uniform_prior(box):
    module = linear()
    prior = Prior("uniform", D)
    x = 4 * targets()  # far away: the best codes lie outside
    found = invert(module, prior, x, Inversion("random", box=box, steps=300))
    assert found.z.abs().max() <= 1
    if box == "clip":  # the box-constrained least squares solution, by enumeration on a fine grid
        axis = torch.linspace(-1, 1, 41)
        grid = torch.cartesian_prod(axis, axis, axis)
        best = (module(grid)[:, None] - x).square().mean(2).min(0).values
        assert (found.error <= best + 1e-4).all()


def test_codes_stay_in_the_ball_of_a_normal_prior():
    prior = Prior("normal", D)
    found = invert(linear(), prior, 50 * targets(), Inversion("random", prior_weight=0.0, learning_rate=1.0))
    assert prior.contains(found.z).all()
    assert found.z.norm(dim=1).max() == pytest.approx(prior.radius, rel=1e-3)


def test_more_restarts_are_never_worse_and_the_codes_of_samples_are_found():
    module, prior = bumpy(), Prior("normal", 2)
    with torch.no_grad():
        x = module(prior.sample(40, torch.Generator().manual_seed(1)))
    errors = [
        invert(module, prior, x, Inversion("random", restarts=r, steps=300, prior_weight=0.0)).error for r in (1, 2, 8, 32)
    ]
    for fewer, more in pairwise(errors):
        assert (more <= fewer + 1e-7).all()
    assert (errors[0] < 1e-4).float().mean() < 0.8  # one start is not enough here ...
    assert (errors[-1] < 1e-4).float().mean() > 0.95  # ... many are


def test_a_batch_is_what_single_calls_give():
    module, prior = bumpy(), Prior("uniform", 2)
    x = torch.rand(6, 16, generator=torch.Generator().manual_seed(2))
    for box in ("clip", "redraw"):
        how = Inversion("random", restarts=3, steps=50, box=box)
        whole = invert(module, prior, x, how)
        single = [invert(module, prior, row[None], how) for row in x]
        torch.testing.assert_close(whole.z, torch.cat([part.z for part in single]), atol=1e-4, rtol=0)
    # and parts are as good as the whole
    again = invert(module, prior, x.repeat(1000, 1), dataclasses.replace(how, steps=5))
    torch.testing.assert_close(again.z[:6], again.z[-6:], atol=1e-4, rtol=0)


def test_batch_norm_in_training_mode_is_refused_because_items_would_change_each_other():
    module = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 16))
    x = torch.rand(4, 16, generator=torch.Generator().manual_seed(3))
    with pytest.raises(ManifoldError, match=r"layer '1' \(BatchNorm1d\) is in training mode.*generator.eval\(\)"):
        invert(module, Prior("normal", 2), x, Inversion("random"))
    module.eval()
    how = Inversion("random", steps=20)
    one = invert(module, Prior("normal", 2), x[:1], how)
    torch.testing.assert_close(invert(module, Prior("normal", 2), x, how).z[:1], one.z, atol=1e-4, rtol=0)
    with pytest.raises(ManifoldError, match="keeps no running statistics"):
        check_generator(nn.Sequential(nn.BatchNorm1d(8, track_running_stats=False)).eval())
    with pytest.raises(ManifoldError, match="Dropout"):
        check_generator(nn.Sequential(nn.Dropout(0.5)))


def test_the_generator_is_left_as_it_was_and_inference_mode_is_no_hindrance():
    module = bumpy()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.get_rng_state()
    with torch.inference_mode():
        x = torch.rand(4, 16)
        torch.set_rng_state(state)
        a = invert(module, Prior("normal", 2), x, Inversion("random", steps=10))
    b = invert(module, Prior("normal", 2), x.clone(), Inversion("random", steps=10))
    assert a.z.equal(b.z)
    assert all(value.equal(before[name]) for name, value in module.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in module.parameters())
    assert torch.get_rng_state().equal(state)


def test_an_encoder_gives_the_start():
    module, prior = linear(), Prior("normal", D)
    x = targets()
    inverse = torch.linalg.pinv(module.weight.detach())

    def encoder(rows: torch.Tensor) -> torch.Tensor:
        return (rows - module.bias.detach()) @ inverse.T

    found = invert(module, prior, x, Inversion("encoder", steps=0), encoder)
    torch.testing.assert_close(found.z, encoder(x))
    both = invert(module, prior, x, Inversion("both", restarts=3, steps=0), encoder)
    torch.testing.assert_close(both.z, found.z)  # the exact start wins over random ones
    with pytest.raises(ManifoldError, match="needs an encoder"):
        invert(module, prior, x, Inversion("encoder"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"start": "encodr"}, "did you mean 'encoder'"), ({"box": "clap"}, "'clip'"), ({"restarts": 0}, "restarts >= 1"),
     ({"steps": -1}, "steps >= 0"), ({"learning_rate": 0}, "positive rate"), ({"prior_weight": -1}, "weight >= 0")],
)  # fmt: skip
def test_settings_that_cannot_be(settings, told):
    with pytest.raises(ManifoldError, match=told):
        Inversion(**settings)


# --- a user's own generator -------------------------------------------------------------------------------------------


class Tanh(nn.Module):
    """A generator of 4x4 pictures in [-1, 1] with a channel axis, as DCGANs give them."""

    def __init__(self) -> None:
        super().__init__()
        self.core = linear(1, 2, 16)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.core(z)).view(-1, 1, 4, 4)


def test_a_users_generator_is_entered_by_inversion():
    manifold = Generator(Tanh(), 2, (4, 4), output="symmetric")
    z = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = manifold.decode(z)
    assert x.shape == (20, 4, 4)
    assert 0 <= x.min() < x.max() <= 1
    found = manifold.invert(x)
    assert found.error.max() < 1e-4
    torch.testing.assert_close(manifold.encode(x), found.z)
    noise = torch.rand(20, 4, 4, generator=torch.Generator().manual_seed(1))
    assert manifold.invert(noise).error.median() > 20 * found.error.median()  # the off-manifold score


def test_a_users_generator_has_the_derivatives_of_a_manifold():
    manifold = Generator(Tanh(), 2, (4, 4), output="symmetric")
    z, a, c = (torch.randn(3, n, generator=torch.Generator().manual_seed(n)) for n in (2, 2, 16))
    jacobian = Manifold.jacobian(manifold, z)
    with torch.inference_mode():
        torch.testing.assert_close(manifold.jvp(z, a), (jacobian @ a[:, :, None])[:, :, 0])
        torch.testing.assert_close(manifold.vjp(z, c), (c[:, None] @ jacobian)[:, 0])


def test_a_users_generator_may_want_gradients_and_its_codes_may_come_from_inference_mode():
    manifold = Generator(nn.Sequential(linear(1, 2, 16), nn.Sigmoid()).requires_grad_(True), 2, (4, 4))
    with torch.inference_mode():
        z, a, c = (torch.randn(3, n, generator=torch.Generator().manual_seed(n)) for n in (2, 2, 16))
    jacobian = manifold.jacobian(z)
    torch.testing.assert_close(manifold.jvp(z, a), (jacobian @ a[:, :, None])[:, :, 0])
    torch.testing.assert_close(manifold.vjp(z, c), (c[:, None] @ jacobian)[:, 0])
    assert not jacobian.requires_grad
    assert not manifold.vjp(z, c).requires_grad
    assert all(weight.grad is None for weight in manifold.parameters())


def rows(n: int = 80) -> tuple[np.ndarray, nn.Module]:
    module = nn.Sequential(linear(1, 2, 16), nn.Sigmoid())
    with torch.no_grad():
        return module(torch.randn(n, 2, generator=torch.Generator().manual_seed(0))).view(n, 4, 4).numpy(), module


def brightness(x: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-40 * (x.reshape(len(x), -1).mean(1) - 0.5)))
    return np.stack((1 - p, p), 1)


def test_make_world_takes_a_generator_without_an_encoder():
    x, module = rows()
    world = make_world(data=x, classifier=brightness, class_names=["dark", "bright"], manifold=module, latent_dim=2)
    assert world.latent_dim == 2
    assert (world.reference.frame - world.reference.x).square().mean() < 1e-3
    assert world.manifold.typicality(world.reference.z).median() > 0.8
    with pytest.raises(ManifoldError, match="pass latent_dim="):
        make_world(data=x, classifier=brightness, class_names=["dark", "bright"], manifold=module)


def test_make_world_finds_a_generator_by_name(monkeypatch, tmp_path):
    (tmp_path / "my_generator.py").write_text(
        "import torch\ntorch.manual_seed(0)\nnet = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Sigmoid())\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    state = torch.get_rng_state()
    kwargs = {"data": rows()[0], "classifier": brightness, "class_names": ["dark", "bright"], "latent_dim": 2}
    world = make_world(manifold="my_generator:net", **kwargs)
    torch.set_rng_state(state)
    assert isinstance(world.manifold, Generator)
    assert world.config.manifold == "my_generator:net"
    with pytest.raises(ManifoldError, match="pass it as manifold='module:object'"):
        world.manifold.save(tmp_path / "never")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Generator(nn.Linear(3, 16), 2, (4, 4)), r"does not take codes of shape \(2, 2\)"),
        (lambda: Generator(nn.Linear(2, 15), 2, (4, 4)), r"gives \(2, 15\) for 2 codes; data of shape \(4, 4\) need"),
        (lambda: Generator(Tanh(), 2, (4, 4)), "pass output=|output='symmetric'"),
        (lambda: Generator(Tanh(), 2, (4, 4), output="tanh"), "output is 'unit'"),
        (lambda: Generator(Tanh(), 2, (4, 4), prior="gaussian", output="symmetric"), "unknown prior"),
    ],
)
def test_generators_that_do_not_fit_are_refused(make, told):
    with pytest.raises(ManifoldError, match=told):
        make()


def test_unknown_names_offer_close_ones():
    with pytest.raises(UnknownNameError, match="normal"):
        Prior("norml", 2)
    with pytest.raises(ManifoldError, match="normal or a uniform prior"):
        GAN((4, 4), 2, prior="sphere")
