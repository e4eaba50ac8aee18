"""Priors and manifolds: laws, typical sets, Jacobians, saved files, fits."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from envs import ManifoldError
from envs.manifolds import PCA, VAE, Manifold, Prior

SAMPLES = np.random.default_rng(0).gamma(2.0, size=500)
CODES = np.random.default_rng(1).normal(size=(400, 4)) * [1, 2, 3, 4]


def prior_of(kind: str, dim: int = 4) -> Prior:
    return Prior(kind, dim, samples={"empirical": SAMPLES, "none": CODES}.get(kind))


KINDS = ["normal", "uniform", "sphere", "empirical", "none"]
IID = ["normal", "uniform", "empirical"]


@pytest.mark.parametrize("kind", IID)
def test_cdf_and_ppf_are_inverse(kind):
    prior = prior_of(kind)
    u = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    z = prior.ppf(u)
    assert (z.diff() >= 0).all()
    torch.testing.assert_close(prior.cdf(z), u, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("kind", "law"), [("normal", stats.norm()), ("uniform", stats.uniform(-1, 2))])
def test_samples_have_the_priors_law(kind, law):
    z = prior_of(kind).sample(5000, torch.Generator().manual_seed(0)).double().numpy()
    assert stats.kstest(z.ravel(), law.cdf).statistic < 1.63 / math.sqrt(z.size)
    assert np.abs(np.corrcoef(z.T) - np.eye(4)).max() < 0.05
    points = torch.linspace(-0.9, 0.9, 7)
    np.testing.assert_allclose(prior_of(kind).cdf(points), law.cdf(points.numpy()), atol=1e-6)
    z = points[:, None].expand(-1, 4)
    np.testing.assert_allclose(prior_of(kind).log_prob(z), law.logpdf(z.numpy()).sum(1), rtol=1e-5)


def test_empirical_samples_have_the_law_of_the_given_ones():
    z = prior_of("empirical").sample(5000, torch.Generator().manual_seed(0)).numpy().ravel()
    assert stats.ks_2samp(z, SAMPLES).statistic < 1.63 * math.sqrt(1 / len(SAMPLES) + 1 / len(z))


def test_sphere_samples_lie_evenly_on_the_sphere():
    z = prior_of("sphere").sample(4000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(z.norm(dim=1), torch.full((4000,), 2.0))
    assert z.mean(0).abs().max() < 0.1
    # A coordinate on the sphere of radius sqrt(d) in d = 4: (z / 2)^2 ~ Beta(1/2, 3/2).
    assert stats.kstest((z[:, 0].double().numpy() / 2) ** 2, stats.beta(0.5, 1.5).cdf).statistic < 1.63 / math.sqrt(4000)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_repeatable_and_leave_the_global_generator_alone(kind):
    before = torch.get_rng_state()
    a, b = (prior_of(kind).sample(10, torch.Generator().manual_seed(3)) for _ in range(2))
    assert a.equal(b)
    assert a.shape == (10, 4)
    assert a.dtype == torch.float32
    assert before.equal(torch.get_rng_state())


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 30), scale=st.sampled_from([1e-3, 0.5, 2.0, 1e4]))
def test_projecting_lands_in_the_typical_set_and_twice_is_once(kind, seed, scale):
    prior = prior_of(kind)
    z = scale * torch.randn(20, 4, generator=torch.Generator().manual_seed(seed))
    inside = prior.project(z)
    assert prior.contains(inside).all()
    torch.testing.assert_close(prior.project(inside), inside)
    assert float(inside.abs().max()) <= prior.radius * (1 + 1e-5)
    if kind != "sphere":
        kept = prior.contains(z, tolerance=0.0)
        assert inside[kept].equal(z[kept]), "codes inside stay where they are"
        # Nearest: no sampled point of the set is nearer.
        other = prior.project(torch.randn(20, 4, generator=torch.Generator().manual_seed(seed + 1)))
        assert ((inside - z).norm(dim=1) <= (other - z).norm(dim=1) * (1 + 1e-5) + 1e-6).all()


@pytest.mark.parametrize("d", [1, 2, 8, 100])
def test_the_typical_ball_holds_the_stated_mass(d):
    prior = Prior("normal", d, mass=0.9)
    assert stats.chi.cdf(prior.radius, d) == pytest.approx(0.9)
    z = prior.sample(4000, torch.Generator().manual_seed(0))
    assert float(prior.contains(z).float().mean()) == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"kind": "gaussian", "dim": 2}, "unknown prior 'gaussian'"),
        ({"kind": "normal", "dim": 0}, "at least one dimension"),
        ({"kind": "empirical", "dim": 2}, "pass samples="),
        ({"kind": "normal", "dim": 2, "mass": 1.0}, "mass"),
    ],
)
def test_impossible_priors_are_refused(arguments, match):
    with pytest.raises(ManifoldError, match=match):
        Prior(**arguments)


@pytest.mark.parametrize("kind", ["sphere", "none"])
def test_priors_without_independent_coordinates_say_so(kind):
    for question in (prior_of(kind).cdf, prior_of(kind).ppf):
        with pytest.raises(ManifoldError, match="not independent"):
            question(torch.zeros(1))
    with pytest.raises(ManifoldError, match="no density"):
        prior_of(kind).log_prob(torch.zeros(1, 4))


# --- manifolds ---------------------------------------------------------------------------------------------------------


def pictures(n: int = 80) -> torch.Tensor:
    return torch.rand(n, 4, 5, generator=torch.Generator().manual_seed(0))


def table(n: int = 80) -> torch.Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(0))


def fitted(name: str) -> Manifold:
    quick = {"epochs": 4, "hidden": (16, 12)}
    return {
        "pca": lambda: PCA.fit(pictures(), latent_dim=3),
        "pca table": lambda: PCA.fit(table(), latent_dim=3, modality="table"),
        "vae": lambda: VAE.fit(pictures(), latent_dim=3, **quick),
        "vae table": lambda: VAE.fit(table(), latent_dim=3, modality="table", **quick),
    }[name]()


NAMES = ["pca", "pca table", "vae", "vae table"]


def unclamped(manifold: Manifold) -> Manifold:
    if hasattr(manifold, "low"):
        manifold.low.fill_(-math.inf)
        manifold.high.fill_(math.inf)
    return manifold


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["plain", "no_grad", "inference"])
def test_the_closed_form_jacobian_is_that_of_automatic_and_finite_differences(name, mode):
    manifold = unclamped(fitted(name))
    z = manifold.prior.sample(6, torch.Generator().manual_seed(0))
    with {"plain": torch.enable_grad, "no_grad": torch.no_grad, "inference": torch.inference_mode}[mode]():
        closed, automatic = manifold.jacobian(z), Manifold.jacobian(manifold, z)
        assert closed.shape == (6, math.prod(manifold.data_shape), 3)
        torch.testing.assert_close(closed, automatic, atol=1e-5, rtol=1e-4)
        along = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(manifold.jvp(z, along), (closed @ along[:, :, None])[:, :, 0], atol=1e-5, rtol=1e-4)
        across = torch.randn(6, closed.shape[1], generator=torch.Generator().manual_seed(2))
        torch.testing.assert_close(manifold.vjp(z, across), (across[:, None] @ closed)[:, 0], atol=1e-5, rtol=1e-4)
        double = manifold.double()
        step = 1e-6 * torch.eye(3, dtype=torch.float64)
        differences = [(double.decode(z.double() + s) - double.decode(z.double() - s)).flatten(1) / 2e-6 for s in step]
        torch.testing.assert_close(closed.double(), torch.stack(differences, 2), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_metric_is_symmetric_and_positive(name):
    manifold = fitted(name)
    z = manifold.prior.sample(20, torch.Generator().manual_seed(0))
    metric = manifold.metric(z)
    torch.testing.assert_close(metric, metric.transpose(1, 2))
    assert (torch.linalg.eigvalsh(metric.double()) > 0).all()
    # It measures: |J v|^2 = v' G v.
    v = torch.randn(20, 3, 1, generator=torch.Generator().manual_seed(1))
    moved = (manifold.jacobian(z) @ v)[:, :, 0]
    torch.testing.assert_close(moved.square().sum(1), (v.transpose(1, 2) @ metric @ v)[:, 0, 0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_real_codes_are_typical_and_far_ones_are_not(name):
    manifold = fitted(name)
    codes = manifold.encode(table() if "table" in name else pictures())
    assert manifold.typicality(manifold.code_mean[None]).tolist() == [1.0]
    typicality = manifold.typicality(codes)
    assert float(typicality.median()) > 0.9
    far = manifold.code_mean + 10 * manifold.code_scale * torch.ones(1, 3)
    assert manifold.typicality(far).item() == pytest.approx(0.01, rel=1e-4)
    assert ((typicality > 0) & (typicality <= 1)).all()
    scores = ((codes - manifold.code_mean) / manifold.code_scale).square().mean(1)
    assert float(scores.mean()) == pytest.approx(1.0, rel=0.03), "1 is the mean score of real data"


@pytest.mark.parametrize("name", NAMES)
def test_codes_and_decoded_data_stay_inside(name):
    manifold = fitted(name)
    data = table() if "table" in name else pictures()
    assert manifold.prior.contains(manifold.encode(100 * data)).all()
    decoded = manifold.decode(3 * manifold.prior.sample(50, torch.Generator().manual_seed(0)))
    assert decoded.shape == (50, *manifold.data_shape)
    assert decoded.dtype == torch.float32
    assert float(decoded.min()) >= float(data.min())
    assert float(decoded.max()) <= max(1.0, float(data.max()))


@pytest.mark.parametrize("name", NAMES)
def test_saving_and_loading_gives_the_same_manifold_without_pickle(name, tmp_path):
    manifold = fitted(name)
    manifold.save(tmp_path / "a folder")
    assert sorted(p.name for p in (tmp_path / "a folder").iterdir()) == ["manifold.json", "manifold.safetensors"]
    assert b"pickle" not in (tmp_path / "a folder" / "manifold.safetensors").read_bytes()
    loaded = Manifold.load(tmp_path / "a folder")
    assert type(loaded) is type(manifold)
    z = manifold.prior.sample(5, torch.Generator().manual_seed(0))
    data = manifold.decode(z)
    assert loaded.decode(z).equal(data)
    assert loaded.encode(data).equal(manifold.encode(data))
    assert loaded.typicality(z).equal(manifold.typicality(z))
    assert loaded.settings == manifold.settings
    assert not loaded.training
    assert not loaded.decode(z).requires_grad, "a loaded manifold is as ready to use as a fitted one"


def damage(folder, what: str) -> None:
    card, weights = folder / "manifold.json", folder / "manifold.safetensors"
    told = json.loads(card.read_text())
    if what == "no card":
        card.unlink()
    elif what == "no weights":
        weights.unlink()
    elif what == "card cut":
        card.write_text(card.read_text()[:20])
    elif what == "card not text":
        card.write_bytes(b"\xff\xfe\x00")
    elif what == "card a list":
        card.write_text("[]")
    elif what == "weights cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif what == "weights empty":
        weights.write_bytes(b"")
    elif what == "weights a pickle":
        weights.write_bytes(b"\x80\x04cos\nsystem\n.")
    else:
        changes = {
            "format": {"format": 99},
            "kind": {"kind": "vea"},
            "settings unknown": {"settings": {"size": 3}},
            "settings other": {"settings": {**told["settings"], "latent_dim": 2}},
        }
        card.write_text(json.dumps({**told, **changes[what]}))


@pytest.mark.parametrize(
    ("what", "match"),
    [
        ("no card", "manifold.json"),
        ("no weights", "manifold.safetensors"),
        ("card cut", "damaged"),
        ("card not text", "damaged"),
        ("card a list", "damaged"),
        ("weights cut", "damaged"),
        ("weights empty", "damaged"),
        ("weights a pickle", "damaged"),
        ("format", "format 99"),
        ("kind", "did you mean 'vae'"),
        ("settings unknown", "damaged"),
        ("settings other", "damaged"),
    ],
)
def test_damaged_files_are_named(tmp_path, what, match):
    fitted("vae").save(tmp_path)
    damage(tmp_path, what)
    with pytest.raises(ManifoldError, match=match) as caught:
        Manifold.load(tmp_path)
    assert what == "kind" or str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("modality", ["image", "table"])
def test_fits_repeat_with_the_seed_and_leave_the_global_generator_alone(modality):
    data = pictures() if modality == "image" else table()
    before = torch.get_rng_state()
    a, b, c = (VAE.fit(data, latent_dim=2, hidden=(8,), epochs=2, modality=modality, seed=seed) for seed in (5, 5, 6))
    assert before.equal(torch.get_rng_state())
    for (name, one), two in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert one.equal(two), name
    z = torch.ones(1, 2)
    assert not a.decode(z).equal(c.decode(z))
    assert PCA.fit(data, latent_dim=2).basis.equal(PCA.fit(data, latent_dim=2).basis)


def test_fitting_lowers_the_reconstruction_error(digits):
    x = digits.reference.x[:300]
    errors = [float((m.decode(m.encode(x)) - x).square().mean()) for m in (VAE.fit(x, epochs=e, seed=0) for e in (1, 15))]
    assert errors[1] < 0.8 * errors[0]
    errors = [float((m.decode(m.encode(x)) - x).square().mean()) for m in (PCA.fit(x, latent_dim=d) for d in (1, 8, 64))]
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("latent_dim", [0, -1, 21, 1000])
def test_impossible_latent_dimensions_are_named(latent_dim):
    for kind in (VAE, PCA):
        with pytest.raises(ManifoldError, match=f"latent_dim must be between 1 and.*not {latent_dim}"):
            kind.fit(pictures(), latent_dim=latent_dim)


def test_one_row_is_too_few():
    for kind in (VAE, PCA):
        with pytest.raises(ManifoldError, match="at least 2 rows, got 1"):
            kind.fit(pictures(1), latent_dim=1)


def test_constant_data_still_give_finite_codes():
    x = torch.full((10, 4), 0.5)
    pca = PCA.fit(x, latent_dim=2, modality="table")
    codes = pca.encode(x)
    assert codes.isfinite().all()
    assert pca.decode(codes).equal(x)
    assert pca.typicality(codes).isfinite().all()
