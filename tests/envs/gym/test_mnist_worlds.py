"""The shipped worlds of MNIST and of the digits GAN work offline and match their recipes."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

from envs import World, make_world
from envs.assets import HERE, halved
from envs.core.dynamics import enter
from envs.core.typicality import NEIGHBOURS, ClassNeighbours
from envs.datasets import DATASETS
from envs.manifolds import GAN, ConvVAE


@pytest.fixture(scope="module")
def mnist() -> World:
    return make_world(data="mnist_decoded")


@pytest.fixture(scope="module")
def digits_gan() -> World:
    return make_world(data="digits", manifold="digits_gan")


def test_mnist_works_without_any_file_of_mnist(monkeypatch, mnist):
    monkeypatch.delenv("MANIFOLD_DATA", raising=False)
    env = gym.make("Manifold/MNIST-v0")
    observation, _ = env.reset(seed=0, options={"index": 0, "split": "held_out"})
    assert env.observation_space.contains(observation)
    assert isinstance(mnist.manifold, ConvVAE)
    assert mnist.reference.x.shape == (4000, 28, 28)
    assert len(mnist.held_out.x) == 1000
    assert torch.bincount(mnist.reference.label, minlength=10).min() > 300
    # A decoded code is its own reconstruction, near enough: it keeps its class when it is encoded again.
    again = mnist.classifier.predict_proba(mnist.manifold.decode(mnist.manifold.encode(mnist.reference.x))).argmax(1)
    assert (again == mnist.reference.label).float().mean() > 0.98
    truth = torch.as_tensor(DATASETS["mnist_decoded"]().truth)
    assert (mnist.reference.label == truth).float().mean() > 0.96


def test_fashion_mnist_works_without_its_files(monkeypatch):
    monkeypatch.delenv("MANIFOLD_DATA", raising=False)
    env = gym.make("Manifold/FashionMNIST-v0")
    observation, _ = env.reset(seed=0, options={"index": 0, "split": "held_out"})
    assert env.observation_space.contains(observation)
    world = env.unwrapped.world
    assert world.class_names[9] == "ankle boot"
    assert (len(world.reference.x), len(world.held_out.x)) == (4000, 1000)
    assert torch.bincount(world.reference.label, minlength=10).min() > 200
    truth = torch.as_tensor(DATASETS["fashion_mnist_decoded"]().truth)
    assert (world.reference.label == truth).float().mean() > 0.85


@pytest.mark.parametrize(("name", "kept_at_least", "right_at_least"), [("mnist", 0.96, 0.97), ("fashion_mnist", 0.9, 0.88)])
def test_the_assets_keep_the_class_of_real_images(data_dir, name, kept_at_least, right_at_least):
    data = DATASETS[name](data_dir=data_dir)
    parts = data._replace(x=data.x[:300], truth=data.truth[:300], held_out=data.held_out[:1000], held_out_truth=None)
    world = make_world(data=parts, classifier=name, manifold=name)
    x = world.held_out.x
    seen = world.classifier.predict_proba(x).argmax(1)
    kept = world.classifier.predict_proba(world.manifold.decode(world.manifold.encode(x))).argmax(1) == seen
    assert kept.float().mean() >= kept_at_least
    assert (seen.numpy() == data.held_out_truth[:1000]).mean() >= right_at_least


def test_the_mnist_classifier_serves_data_of_the_users_own(monkeypatch):
    monkeypatch.delenv("MANIFOLD_DATA", raising=False)
    mine = DATASETS["mnist_decoded"]().x[:50]
    world = make_world(data=mine, classifier="mnist", manifold="mnist", seed=3)
    assert world.classes == 10


def test_inputs_enter_the_gan_by_inversion(digits_gan):
    assert isinstance(digits_gan.manifold, GAN)
    x = digits_gan.held_out.x[:100]
    state, queries = enter(digits_gan, x)
    assert queries.eq(2).all()
    assert (state.frame - x).square().mean() < 0.012
    assert (state.prediction.argmax(1) == state.source).float().mean() > 0.93
    shuffled = x.flatten(1)[:, torch.randperm(64, generator=torch.Generator().manual_seed(0))].view_as(x)
    errors = [digits_gan.manifold.invert(part).error for part in (x, shuffled)]
    assert errors[1].median() > 5 * errors[0].median()


def test_the_codes_that_ship_are_those_of_the_data(digits_gan):
    rows = slice(0, 40)
    again = digits_gan.manifold.decode(digits_gan.manifold.encode(digits_gan.reference.x[rows]))
    torch.testing.assert_close(again, digits_gan.reference.frame[rows], atol=0.05, rtol=0)
    # Another split has no codes shipped: its digits enter by inversion, and its classifier is to be given.
    other = make_world(data="digits", manifold="digits_gan", classifier="digits", seed=1)
    assert not torch.equal(other.reference.x, digits_gan.reference.x)
    assert (other.reference.frame - other.reference.x).square().mean() < 0.012


def test_assets_stay_small():
    sizes = {name: sum(f.stat().st_size for f in (HERE / name).iterdir()) for name in ("mnist", "fashion_mnist", "digits_gan")}
    assert sizes["mnist"] < 2_000_000
    assert sizes["fashion_mnist"] < 2_000_000
    assert sizes["digits_gan"] < 400_000


def test_halving_keeps_whole_numbers_whole(tmp_path):
    from safetensors.torch import load_file, save_file

    save_file({"w": torch.tensor([1.0, 0.1]), "n": torch.tensor([70_000])}, tmp_path / "f")
    halved(tmp_path / "f")
    found = load_file(tmp_path / "f")
    assert found["w"].dtype == torch.float16
    assert found["n"].tolist() == [70_000]


@pytest.mark.parametrize("values", [40, 784])
def test_neighbours_are_the_nearest_of_the_target_class(values):
    rng = np.random.default_rng(0)
    bank = torch.as_tensor(rng.random((310, values), dtype=np.float32))
    label = torch.as_tensor(rng.integers(0, 4, 310) * (rng.random(310) < 0.9)) + 1  # class 0 of 6 is empty, so is 5
    x = torch.as_tensor(rng.random((20, values), dtype=np.float32))
    target = torch.as_tensor(rng.integers(0, 6, 20))
    near = ClassNeighbours(bank, label, 6)(x, target)
    for i in range(20):
        own = bank[label == target[i]]
        wanted = (
            torch.cdist(x[i : i + 1], own).topk(NEIGHBOURS, largest=False).values.mean() if len(own) else torch.tensor(0.0)
        )
        torch.testing.assert_close(near.distance[i], wanted, atol=1e-3, rtol=1e-3)
