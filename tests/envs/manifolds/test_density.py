"""Typicality from a normalising flow: what it ranks, its bounds, saving, and every manifold."""

import sys

import pytest
import torch

from envs import make_world
from envs.building.world import build
from envs.errors import ManifoldError
from envs.manifolds import PCA, VAE, Manifold
from envs.manifolds.density import Flow

zuko = pytest.importorskip("zuko")


@pytest.fixture(scope="module")
def ring() -> tuple[torch.Tensor, Flow]:
    """Codes on a ring, and a flow of them: the middle is empty, and a Gaussian ball calls it typical."""
    generator = torch.Generator().manual_seed(0)
    angle = 2 * torch.pi * torch.rand(600, generator=generator)
    z = 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(600, 2, generator=generator)
    return z, Flow.fit(z, steps=300)


@pytest.fixture
def short(monkeypatch):
    """Fits of few steps."""
    whole = Flow.fit
    monkeypatch.setattr(Flow, "fit", classmethod(lambda cls, z, **more: whole(z, **more, steps=20)))


def test_the_empty_middle_of_a_ring_is_less_typical_than_the_ring(ring):
    z, flow = ring
    middle = torch.zeros(1, 2)
    assert float(flow.typicality(middle)) < 0.6 < float(flow.typicality(z).mean())
    usual = PCA(data_shape=(2,), latent_dim=2, modality="table")
    usual.remember_codes(z)
    assert float(usual.typicality(middle)) == 1


def test_real_codes_are_inside_and_far_ones_are_moved_inside(ring):
    z, flow = ring
    assert flow.contains(z).float().mean() > 0.95
    far = torch.tensor([[9.0, 9.0], [2.0, 0.0]])
    moved = flow.project(far)
    assert bool(flow.contains(moved[:1]))
    assert moved[1].equal(far[1])
    assert (flow.typicality(torch.tensor([[1e20, 0.0], [torch.nan, 0.0]])) < 1e-3).all()


def test_samples_and_shares_are_those_of_real_codes(ring):
    _z, flow = ring
    drawn = flow.sample(300, torch.Generator().manual_seed(1))
    assert drawn.equal(flow.sample(300, torch.Generator().manual_seed(1)))
    assert 0.3 < float(flow.share(drawn).mean()) < 0.7
    assert abs(float(drawn.norm(dim=1).mean()) - 2) < 0.4


def test_the_same_seed_gives_the_same_flow_and_leaves_the_global_generator():
    z = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    first, second, other = (Flow.fit(z, seed=seed, steps=5).log_prob(z) for seed in (1, 1, 2))
    assert first.equal(second)
    assert not first.equal(other)
    assert torch.get_rng_state().equal(before)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "settings",
    [
        {"data": "digits"},
        {"data": "digits", "manifold": "digits_umap"},
        {"data": "digits", "manifold": "digits_gan"},
        {"data": "digits", "basis": "principal", "basis_dim": 3},
        pytest.param({"data": "digits", "basis": "metric", "basis_dim": 3}, marks=pytest.mark.slow),
        {"data": "iris", "manifold": "pca", "latent_dim": 1},
        {"data": "oscillator"},
        {"data": "sentences"},
        pytest.param({"data": "sentences", "manifold": "sentences_edits"}, marks=pytest.mark.slow),
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_every_manifold_takes_a_flow_which_survives_saving(settings, tmp_path):
    plain = make_world(**settings, progress=False)
    world = make_world(**settings, typicality="flow", progress=False)
    assert plain.manifold.density is None, "the shipped manifold stays as it was"
    z = world.reference.z[:50]
    typical = world.manifold.typicality(z)
    assert ((typical > 0) & (typical <= 1)).all()
    assert not typical.equal(plain.manifold.typicality(z))
    world.manifold.save(tmp_path)
    again = Manifold.load(tmp_path)
    again.attach(world.classifier)
    assert again.typicality(z).equal(typical)
    kept = build(world.config, again, progress=False)
    assert kept.manifold.density is again.density, "a saved flow is not fitted again"


@pytest.mark.usefixtures("short")
def test_steps_stay_in_the_typical_set():
    from envs.core.dynamics import start, step

    world = make_world(data="digits", typicality="flow", progress=False)
    state = start(world, torch.arange(8), torch.arange(8) % 10)
    for _ in range(6):
        state, info = step(world, state, torch.ones(8, world.latent_dim))
    assert world.manifold.density.contains(state.z).all()
    assert info.typicality.equal(world.manifold.typicality(state.z))


def test_what_cannot_be_is_refused_with_the_way_out(tmp_path, monkeypatch):
    with pytest.raises(ManifoldError, match="at least 40 codes, got 9"):
        Flow.fit(torch.zeros(9, 2))
    with pytest.raises(ManifoldError, match="not finite"):
        Flow.fit(torch.full((50, 2), torch.nan))
    with pytest.raises(ManifoldError, match=r"257.*basis="):
        Flow(257)
    with pytest.raises(ManifoldError, match=r"flwo.*flow"):
        make_world(data="digits", typicality="flwo")
    with pytest.raises(ManifoldError, match="typicality=3 has no fit"):
        make_world(data="digits", typicality=3)
    with pytest.raises(ManifoldError, match="distractors=2"):
        make_world(data="digits", typicality="flow", distractors=2)

    class Own(VAE):
        def typicality(self, z):
            return z[:, 0]

    with pytest.raises(ManifoldError, match="Own has a typicality of its own"):
        Own(data_shape=(4,), latent_dim=2, modality="table").with_density(None)
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(ManifoldError, match=r"pip install 'manifold-traversal\[flow\]'"):
        Flow(2)


def test_a_density_of_ones_own_is_used():
    class Half:
        @staticmethod
        def fit(z, *, seed, progress):
            return Half()

        def typicality(self, z):
            return torch.full((len(z),), 0.5)

        def project(self, z):
            return z

    world = make_world(data="digits", typicality=Half(), progress=False)
    assert (world.manifold.typicality(world.reference.z[:3]) == 0.5).all()


@pytest.mark.parametrize("flow", [9, "a", -1])
def test_a_damaged_flow_is_refused(flow, tmp_path):
    import json

    z = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    PCA(data_shape=(2,), latent_dim=2, modality="table").with_density(Flow.fit(z, steps=2)).save(tmp_path)
    card = tmp_path / "manifold.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"flow": flow}))
    with pytest.raises(ManifoldError, match="flow"):
        Manifold.load(tmp_path)
