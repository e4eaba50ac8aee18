"""GANs and convolutional networks: training, collapse, saved files, derivatives, and worlds on them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from envs import ManifoldError, UnknownNameError, make_world
from envs.datasets import DATASETS
from envs.manifolds import GAN, ConvVAE, Manifold
from envs.manifolds.collapse import CollapsedError, check_modes, class_shares, nearest_mode
from envs.manifolds.generators.gan import FitInterrupted
from envs.manifolds.generators.training import Recipe, critic_loss, gradient_penalty, mlp_critic, train
from envs.manifolds.networks.conv import ConvDecoder, ConvEncoder, channels_of, picture_axes
from envs.manifolds.networks.dense import MLP
from envs.manifolds.prior import Prior


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 120, side: int = 8) -> torch.Tensor:
    """Bars, upright or lying, at two places: four modes."""
    x = torch.zeros(n, side, side)
    for i in range(n):
        place = 1 if i % 4 < 2 else side - 3
        x[i, place : place + 2, :] = 0.9
        if i % 2:
            x[i] = x[i].T.clone()
    return (x + 0.05 * torch.rand(x.shape, generator=rng())).clamp(0, 1)


# --- losses and training ----------------------------------------------------------------------------------------------


def test_the_gradient_penalty_of_a_linear_critic_is_known():
    critic = nn.Linear(2, 1)
    with torch.no_grad():
        critic.weight.copy_(torch.tensor([[3.0, 4.0]]))
    real, fake = torch.rand(5, 2), torch.rand(5, 2)
    assert float(gradient_penalty(critic, real, fake, rng()).detach()) == pytest.approx((5 - 1) ** 2)
    loss = critic_loss(critic, real, fake, Recipe(penalty=0.5), rng())
    wanted = critic(fake).mean() - critic(real).mean() + 0.5 * 16
    torch.testing.assert_close(loss, wanted)
    loss.backward()  # the penalty has a gradient of its own
    assert critic.weight.grad is not None


def test_the_hinge_loss_by_hand():
    critic = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        critic.weight.fill_(1.0)
    real, fake = torch.tensor([[2.0], [0.5]]), torch.tensor([[-3.0], [1.0]])
    loss = critic_loss(critic, real, fake, Recipe(loss="hinge"), rng())
    assert float(loss.detach()) == pytest.approx((0 + 0.5) / 2 + (0 + 2) / 2)


def test_a_spectral_critic_stretches_nothing():
    critic = mlp_critic((6, 32, 32, 1), spectral=True)
    for _ in range(50):
        critic(torch.rand(4, 6))  # each training pass is one power iteration
    critic.eval()
    a, b = torch.randn(500, 6, generator=rng(1)), torch.randn(500, 6, generator=rng(2))
    with torch.no_grad():
        ratio = (critic(a) - critic(b)).abs()[:, 0] / (a - b).norm(dim=1)
    assert ratio.max() <= 1.05


@pytest.mark.parametrize(("loss", "prior"), [("wgan_gp", "normal"), ("hinge", "uniform")])
def test_a_gan_learns_the_mean_and_spread_of_a_gaussian(loss, prior):
    mean, scale = torch.tensor([1.0, -0.5]), torch.tensor([0.6, 0.4])
    x = mean + scale * torch.randn(1000, 2, generator=rng())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, critic = MLP((4, 32, 2)), mlp_critic((2, 32, 32, 1), spectral=loss == "hinge")
    recipe = Recipe(loss=loss, steps=400, critic_steps=2, learning_rate=3e-3, ema=0.98, penalty=1.0)
    train(network, critic, Prior(prior, 4), x, recipe, rng(), progress=False)
    with torch.no_grad():
        made = network(Prior(prior, 4).sample(4000, rng(5)))
    torch.testing.assert_close(made.mean(0), mean, atol=0.3, rtol=0)
    torch.testing.assert_close(made.std(0), scale, atol=0.2, rtol=0)


def test_the_average_of_the_weights_is_what_is_kept_even_when_interrupted(monkeypatch):
    network, critic = MLP((2, 8, 2)), mlp_critic((2, 8, 1), spectral=False)
    before = [p.detach().clone() for p in network.parameters()]
    seen = []

    def stop_at_five(items, label, show):
        for t in items:
            if t == 5:
                raise KeyboardInterrupt
            yield t
            seen.append([p.detach().clone() for p in network.parameters()])

    monkeypatch.setattr("envs.manifolds.generators.training.progress_bar", stop_at_five)
    with pytest.raises(KeyboardInterrupt):
        train(network, critic, Prior("normal", 2), torch.rand(50, 2), Recipe(ema=0.9), rng(), progress=True)
    average = before
    for t, weights in enumerate(seen):
        decay = min(0.9, (1 + t) / (10 + t))
        average = [decay * a + (1 - decay) * w for a, w in zip(average, weights, strict=True)]
    for got, wanted in zip(network.parameters(), average, strict=True):
        torch.testing.assert_close(got.detach(), wanted)


def test_an_interrupted_fit_hands_over_what_it_learned(monkeypatch):
    def stop_at_five(items, label, show):
        yield from range(5)
        raise KeyboardInterrupt

    monkeypatch.setattr("envs.manifolds.generators.training.progress_bar", stop_at_five)
    with pytest.raises(FitInterrupted) as stopped:
        GAN.fit(pictures(), latent_dim=2, hidden=(8,))
    gan = stopped.value.manifold
    assert gan.encode(pictures(5)).shape == (5, 2)
    assert not any(parameter.requires_grad for parameter in gan.parameters())


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"loss": "wgan"}, "did you mean 'wgan_gp'"), ({"steps": 0}, "at least one step"), ({"critic_steps": 0}, "one step"),
     ({"learning_rate": 0.0}, "positive rate"), ({"ema": 1.0}, r"average in \[0, 1\)")],
)  # fmt: skip
def test_recipes_that_cannot_be(settings, told):
    with pytest.raises(ManifoldError, match=told):
        Recipe(**settings)


# --- the manifold -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gan() -> GAN:
    return GAN.fit(
        pictures(), latent_dim=4, hidden=(32, 32), recipe=Recipe(steps=400, learning_rate=2e-3, ema=0.98, encoder_steps=500)
    )


def test_a_fitted_gan_makes_and_finds_the_data(gan):
    x = pictures()
    classify = nearest_mode(x)
    check_modes(classify(x), classify(gan.decode(gan.prior.sample(500, rng(1)))))
    found = gan.invert(x)
    assert found.error.mean() < 0.03
    noise = x.flatten(1)[:, torch.randperm(64, generator=rng())].view_as(x)
    assert gan.invert(noise).error.mean() > 3 * found.error.mean()
    assert gan.prior.contains(found.z).all()
    assert gan.typicality(found.z).median() > 0.5
    torch.testing.assert_close(gan.encode(x[:7]), found.z[:7], atol=1e-3, rtol=0)


def test_fits_are_repeatable_and_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    a, b, other = (
        GAN.fit(
            pictures(40),
            latent_dim=2,
            hidden=(8,),
            recipe=Recipe(steps=5, encoder_steps=5),
            classify=lambda x: x[:, 0, 0].long(),
            seed=s,
        )
        for s in (1, 1, 2)
    )
    assert torch.get_rng_state().equal(state)
    for name, value in a.state_dict().items():
        assert value.equal(b.state_dict()[name])
    assert not a.generator.last.weight.equal(other.generator.last.weight)


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_saved_gans_come_back_whole(tmp_path, network, prior):
    gan = GAN((8, 8), 3, (16,), prior, network=network, inversion={"steps": 7})
    gan.save(tmp_path)
    again = Manifold.load(tmp_path)
    assert isinstance(again, GAN)
    assert again.settings == gan.settings
    z = gan.prior.sample(4, rng())
    torch.testing.assert_close(again.decode(z), gan.decode(z))
    torch.testing.assert_close(again.encode(gan.decode(z).detach()), gan.encode(gan.decode(z).detach()))
    (tmp_path / "manifold.safetensors").write_bytes(b"cut")
    with pytest.raises(ManifoldError, match="another sha256"):
        Manifold.load(tmp_path)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_derivatives_of_the_decoder(network):
    gan = GAN((8, 8), 3, (16,), network=network).eval().requires_grad_(False)
    z, a, c = (torch.randn(2, n, generator=rng(n)) for n in (3, 3, 64))
    jacobian = Manifold.jacobian(gan, z)
    with torch.inference_mode():
        torch.testing.assert_close(gan.jacobian(z), jacobian, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(gan.jvp(z, a), (jacobian @ a[:, :, None])[:, :, 0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(gan.vjp(z, c), (c[:, None] @ jacobian)[:, 0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: GAN.fit(pictures(1)), "at least 2 rows"),
        (lambda: GAN.fit(pictures(8), latent_dim=65), "between 1 and the 64"),
        (lambda: GAN.fit(pictures(8), prior="sphere"), "normal or a uniform"),
        (lambda: GAN((8, 8), network="dense"), "unknown network"),
        (lambda: GAN((5,), network="conv", modality="table"), "needs images"),
        (lambda: GAN((3, 9), network="conv"), "at least 4 pixels"),
        (
            lambda: GAN.fit(
                pictures(8), latent_dim=2, hidden=(8,), recipe=Recipe(learning_rate=1e30, steps=30, encoder_steps=1)
            ),
            "diverged",
        ),
    ],
)
def test_what_cannot_be_fitted_is_said(make, told):
    with pytest.raises(ManifoldError, match=told):
        make()


# --- collapse ---------------------------------------------------------------------------------------------------------


def test_lost_classes_are_counted():
    real = torch.arange(10).repeat(10)
    assert class_shares(torch.tensor([0, 2, 2, 2]), 4).tolist() == [0.25, 0.0, 0.75, 0.0]
    torch.testing.assert_close(check_modes(real, real), torch.full((10,), 0.1))
    two_lost = real[real > 1]
    assert check_modes(real, two_lost)[:2].tolist() == [0, 0]  # a fifth of the data: not yet a collapse
    with pytest.raises(
        CollapsedError, match=r"3 of 10 classes are lost; .*2: 0.0 % \(10.0 %\), 3: 14.3 % \(10.0 %\)"
    ) as error:
        check_modes(real, real[real > 2])
    assert error.value.shares[0] == 0


def test_a_fit_by_name_takes_a_recipe():
    settings = {"network": "conv", "hidden": (8,), "recipe": {"steps": 3, "encoder_steps": 3}}
    gan = GAN.fit(pictures(20), latent_dim=2, classify=lambda x: x[:, 0, 0].long(), **settings)
    assert gan.network == "conv"
    with pytest.raises(UnknownNameError, match="did you mean 'steps'"):
        GAN.fit(pictures(20), recipe={"step": 3})


def test_a_collapsed_gan_says_so_and_is_kept():
    x = pictures()
    with pytest.raises(CollapsedError, match=r"collapsed.*lost; share of samples") as error:
        GAN.fit(x, latent_dim=2, hidden=(8,), recipe=Recipe(steps=1, encoder_steps=5))  # untrained: all samples alike
    assert isinstance(error.value.manifold, GAN)
    assert error.value.shares.max() > 0.5


def test_modes_without_a_classifier_are_clusters():
    x = pictures()
    labels = nearest_mode(x)(x)
    assert len(labels.unique()) >= 4
    kinds = torch.arange(len(x)) % 4
    for label in labels.unique():  # no cluster mixes two kinds
        assert len(kinds[labels == label].unique()) == 1


# --- convolutions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8), (1, 12, 8), (3, 8, 8), (10, 7), (3, 21, 33)])
def test_convolutional_networks_take_and_give_flat_rows(shape):
    size = math.prod(shape)
    x = torch.rand(5, size, generator=rng())
    for channels in ((4, 8), (4, 4, 8)):
        assert ConvEncoder(shape, channels, 16, 6)(x).shape == (5, 6)
        made = ConvDecoder(6, 16, channels, shape)(torch.randn(5, 6, generator=rng()))
        assert made.shape == (5, size)
        assert 0 < made.min() < made.max() < 1


@pytest.mark.parametrize("side", [8, 28, 32, 50, 64, 200])
def test_levels_bring_a_picture_down_to_8_pixels(side):
    levels = len(channels_of((3, side, side // 2)))
    assert levels >= 2
    assert side / 2**levels <= 8
    assert levels == 2 or side / 2 ** (levels - 1) > 8


@pytest.mark.parametrize("shape", [(64,), (2, 8, 8), (8, 8, 3), (3, 8)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ManifoldError, match="sides of at least 4 pixels"):
        picture_axes(shape)


@pytest.mark.parametrize("decoder", ["conv", "mlp"])
def test_a_convolutional_vae_reconstructs_and_comes_back(tmp_path, decoder):
    x = pictures()
    vae = ConvVAE.fit(x, latent_dim=3, hidden=(32,), epochs=120, learning_rate=5e-3, channels=(8, 8), decoder=decoder)
    z = vae.encode(x)
    assert (vae.decode(z) - x).square().mean() < 0.25 * x.var(0).mean()
    vae.save(tmp_path)
    again = Manifold.load(tmp_path)
    assert isinstance(again, ConvVAE)
    torch.testing.assert_close(again.decode(again.encode(x)), vae.decode(z))
    direction = torch.randn(len(z), 3, generator=rng())
    slope = (vae.decode(z + 1e-2 * direction) - vae.decode(z - 1e-2 * direction)).flatten(1) / 2e-2
    torch.testing.assert_close(vae.jvp(z, direction), slope, atol=2e-3, rtol=0.05)


def test_a_convolutional_vae_is_for_pictures():
    with pytest.raises(ManifoldError, match="needs images"):
        ConvVAE((5,), modality="table")
    with pytest.raises(UnknownNameError, match="did you mean 'conv'"):
        ConvVAE((8, 8), decoder="cnv")


def test_worlds_are_made_on_them_by_name():
    data = DATASETS["digits"]()
    few = data._replace(
        x=data.x[:200], truth=data.truth[:200], held_out=data.held_out[:20], held_out_truth=data.held_out_truth[:20]
    )
    world = make_world(data=few, classifier="digits", manifold=GAN((8, 8), 4, (16,)))
    assert world.reference.z.shape == (200, 4)
    with pytest.raises(UnknownNameError, match="gan"):
        make_world(data=few, classifier="digits", manifold="gann")
