"""What every manifold offers: Jacobians, metric, typicality, saved files, fits."""

from __future__ import annotations

import json
import math

import pytest
import torch

from envs import ManifoldError
from envs.manifolds import PCA, VAE, Manifold


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


def test_loading_under_inference_mode_gives_ordinary_tensors(tmp_path):
    VAE.fit(pictures(20), latent_dim=2, hidden=(8,), epochs=1).save(tmp_path)
    with torch.inference_mode():
        loaded = Manifold.load(tmp_path)
    assert not any(tensor.is_inference() for tensor in loaded.state_dict().values())
    z = torch.zeros(1, 2, requires_grad=True)
    loaded.decode(z).sum().backward()
    assert z.grad is not None
