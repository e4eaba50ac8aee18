"""The UMAP map: encoding, decoding, boundary, errors. Most tests replace umap-learn, which is slow, by a projection."""

from __future__ import annotations

import builtins
import subprocess
import sys
import types

import numpy as np
import pytest
import torch

from envs import ManifoldError, UnknownNameError, make_world
from envs.assets import ASSETS
from envs.datasets import DATASETS
from envs.manifolds import Manifold, UMAPMap
from envs.manifolds.neighbours import NeighbourAverage, interpolate


class Projection:
    """In place of umap.UMAP: the first coordinates, bent a little."""

    def __init__(self, n_components: int, n_neighbors: int, min_dist: float, random_state: int, n_jobs: int, verbose: bool):
        self.d = n_components

    def fit_transform(self, rows: np.ndarray) -> np.ndarray:
        return (3 * rows[:, : self.d] + 0.1 * rows[:, :1] ** 2 + 5).astype(np.float32)


@pytest.fixture
def no_umap_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=Projection))


def pictures(n: int = 120) -> torch.Tensor:
    return torch.rand(n, 3, 4, generator=torch.Generator().manual_seed(0))


def fitted(decoder: str = "mlp", d: int = 2, x: torch.Tensor | None = None, **settings) -> UMAPMap:
    return UMAPMap.fit(pictures() if x is None else x, latent_dim=d, decoder=decoder, epochs=3, **settings)


pytestmark = pytest.mark.usefixtures("no_umap_needed")
BOTH = pytest.mark.parametrize("decoder", ["mlp", "knn"])


@BOTH
@pytest.mark.parametrize("d", [1, 2, 3])
def test_known_data_have_their_place_in_the_embedding(decoder, d):
    x = pictures()
    found = fitted(decoder, d)
    torch.testing.assert_close(found.encode(x), found.codes, atol=1e-5, rtol=1e-5)
    raw = torch.from_numpy(Projection(d, 0, 0, 0, 0, False).fit_transform(x.flatten(1).numpy()))
    centred = raw - raw.mean(0)
    torch.testing.assert_close(found.codes, centred / centred.square().mean().sqrt())
    assert float(found.codes.square().mean()) == pytest.approx(1, rel=1e-4)


@BOTH
@pytest.mark.parametrize("d", [1, 2, 3])
def test_pictures_stay_pictures_and_rows_in_their_range(decoder, d):
    found = fitted(decoder, d)
    decoded = found.decode(found.prior.project(10 * torch.randn(50, d, generator=torch.Generator().manual_seed(0))))
    assert decoded.shape == (50, 3, 4)
    assert decoded.dtype == torch.float32
    assert 0 <= float(decoded.min()) <= float(decoded.max()) <= 1
    rows = torch.randn(60, 5, generator=torch.Generator().manual_seed(1))
    table = fitted(decoder, d, rows, modality="table")
    decoded = table.decode(table.prior.sample(50, torch.Generator().manual_seed(0)))
    assert ((decoded >= rows.amin(0)) & (decoded <= rows.amax(0))).all()


@BOTH
def test_codes_outside_the_hull_are_seen_from_its_edge_or_refused(decoder):
    found = fitted(decoder)
    far = torch.tensor([[0.0, 0.0], [50.0, 50.0]])
    edge = found.prior.project(far)
    assert found.decode(far).equal(found.decode(edge))
    with pytest.raises(ManifoldError, match=r"code 1 \(50, 50\) lies .* outside the hull.*prior.project"):
        found.decode(far, outside="raise")
    found.decode(edge, outside="raise")
    many = found.prior.project(1e4 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0)))
    found.decode(many, outside="raise")
    found.decode(found.codes, outside="raise")  # real codes never fire it


@BOTH
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode])
def test_the_closed_form_jacobian_is_that_of_finite_differences(decoder, d, mode):
    found = fitted(decoder, d)
    with mode():
        z = 0.3 * torch.randn(8, d, generator=torch.Generator().manual_seed(0))
        closed = found.jacobian(z)
        along = torch.randn(8, d, generator=torch.Generator().manual_seed(1))
        across = torch.randn(8, 12, generator=torch.Generator().manual_seed(2))
        torch.testing.assert_close(found.jvp(z, along), (closed @ along[:, :, None])[:, :, 0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.vjp(z, across), (across[:, None] @ closed)[:, 0], atol=1e-5, rtol=1e-4)
        double = found.decoder.double()
        if isinstance(double, NeighbourAverage):
            double = NeighbourAverage(found.codes.double(), found.data.double(), double.k)
        steps = 1e-7 * torch.eye(d, dtype=torch.float64)
        differences = [(double(z.double() + s) - double(z.double() - s)) / 2e-7 for s in steps]
        torch.testing.assert_close(closed.double(), torch.stack(differences, 2), atol=1e-3, rtol=1e-3)


@BOTH
def test_gradients_run_through_a_map_that_was_first_used_without_them(decoder):
    found = fitted(decoder)
    z = found.codes[:5].clone()
    with torch.inference_mode():
        found.decode(found.prior.project(9 * z))
    free = z.clone().requires_grad_()
    found.decode(found.prior.project(free)).sum().backward()
    torch.testing.assert_close(free.grad, found.vjp(z, torch.ones(5, 12)), atol=1e-4, rtol=1e-3)


def test_the_neighbour_average_has_no_jumps():
    generator = torch.Generator().manual_seed(0)
    codes, data = torch.rand(40, 2, generator=generator), torch.rand(40, 3, generator=generator)
    line = torch.lerp(torch.tensor([0.0, 0.1]), torch.tensor([1.0, 0.8]), torch.linspace(0, 1, 20001)[:, None])
    jumps = NeighbourAverage(codes, data, 5)(line).diff(dim=0).norm(dim=1)
    # Neighbours change some forty times on the way; a plain average of five would jump by about 0.1 each time.
    assert float(jumps.max()) < 5e-3


def test_one_neighbour_gives_its_own_datum():
    codes, data = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    torch.testing.assert_close(NeighbourAverage(codes, data, 1)(torch.tensor([[0.2], [2.8]])), data[[0, 2]])
    # By hand: at 1 with k = 2 the neighbours are 1 (weight 1) and 0 ((1 - 1/4)^2), the edge is 3 at distance 2.
    mixed = (data[1] + 0.5625 * data[0]) / 1.5625
    torch.testing.assert_close(NeighbourAverage(codes, data, 2)(torch.tensor([[1.0]])), mixed[None])


def test_a_place_between_two_islands_is_on_one_of_them():
    points = torch.tensor([[0.0], [0.1], [0.2], [1.0], [1.1], [9.0]])
    places = torch.tensor([[-10.0], [-10.0], [-10.0], [10.0], [10.0], [0.0]])
    found = interpolate(torch.tensor([[0.5], [0.9]]), points, places, 5)
    torch.testing.assert_close(found, torch.tensor([[-10.0], [10.0]]), atol=0.05, rtol=0)


def test_typicality_is_one_on_land_and_low_at_sea():
    generator = torch.Generator().manual_seed(0)
    islands = torch.cat([torch.rand(200, 2, generator=generator), 5 + torch.rand(200, 2, generator=generator)])
    islands = torch.cat([islands, torch.zeros(400, 2)], 1) / 6
    found = fitted(x=islands, modality="table")
    assert float(found.typicality(found.codes).mean()) > 0.9
    sea = (found.codes[:200].mean(0) + found.codes[200:].mean(0)) / 2
    assert float(found.typicality(sea[None])) < 0.05
    everywhere = found.typicality(3 * torch.randn(300, 2, generator=generator))
    assert ((everywhere > 0) & (everywhere <= 1)).all()


@BOTH
def test_a_saved_map_walks_without_umap(decoder, tmp_path, monkeypatch):
    found = fitted(decoder)
    found.save(tmp_path)
    monkeypatch.setitem(sys.modules, "umap", None)  # importing it now fails
    loaded = Manifold.load(tmp_path)
    z = found.prior.sample(9, torch.Generator().manual_seed(0))
    x = pictures(9) / 2
    assert loaded.decode(z).equal(found.decode(z))
    assert loaded.encode(x).equal(found.encode(x))
    assert loaded.typicality(z).equal(found.typicality(z))
    assert loaded.prior.project(100 * z).equal(found.prior.project(100 * z))
    assert loaded.settings == found.settings


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "umap")
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "umap":
            raise ImportError("No module named 'umap'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ManifoldError, match=r"pip install 'manifold-traversal\[umap\]'"):
        fitted()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"d": 4}, "1 to 3 dimensions, not 4.*vae"),
        ({"d": 0}, "1 to 3 dimensions, not 0"),
        ({"decoder": "nearest"}, "unknown decoder of a map 'nearest'"),
        ({"x": pictures(11)}, "at least 12 rows, got 11"),
        ({"x": torch.rand(30, 2), "d": 3}, "at most the 2 data dimensions"),
        ({"n_neighbors": 1}, "n_neighbors must be at least 2"),
        ({"min_dist": 2.0}, "min_dist between 0 and 1"),
        ({"x": torch.zeros(30, 3, 4)}, "are they identical"),
    ],
)
def test_what_cannot_be_mapped_is_refused(settings, match):
    with pytest.raises((ManifoldError, UnknownNameError), match=match):
        fitted(**settings)


def test_the_dimension_is_refused_before_umap_is_looked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ManifoldError, match="1 to 3 dimensions"):
        make_world(data="digits", manifold="umap", latent_dim=8)


def test_fits_repeat_and_leave_the_global_generators_alone():
    before = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002 - to see that it is left alone
    a, b = fitted(), fitted()
    assert all(x.equal(y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert before[0].equal(torch.get_rng_state())
    assert before[1] == str(np.random.get_state())  # noqa: NPY002 - to see that it is left alone


def test_large_data_are_remembered_in_part(monkeypatch):
    monkeypatch.setattr("envs.manifolds.umap.LANDMARKS", 50)
    found = fitted()
    assert found.data.shape == (50, 12)
    assert found.encode(pictures()).shape == (120, 2)


def test_the_registered_map_works_without_umap():
    code = (
        "import sys; sys.modules['umap'] = None\n"
        "import envs, gymnasium, torch\n"
        "torch.set_num_threads(1)\n"
        "env = gymnasium.make('Manifold/DigitsUMAP-v0')\n"
        "env.reset(seed=0, options={'index': 3, 'split': 'held_out'})\n"
        "print(env.step(env.action_space.sample())[4]['typicality'] > 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "True"


def test_the_shipped_map_keeps_neighbours_and_classes():
    from sklearn.manifold import trustworthiness

    found, codes = ASSETS["digits_umap"].manifold()
    data = DATASETS["digits"]()
    x, held_out = torch.from_numpy(data.x), torch.from_numpy(data.held_out)
    torch.testing.assert_close(found.encode(x), codes, atol=1e-4, rtol=0)
    assert trustworthiness(x.flatten(1).numpy(), codes.numpy(), n_neighbors=12) >= 0.95
    assert trustworthiness(held_out.flatten(1).numpy(), found.encode(held_out).numpy(), n_neighbors=12) >= 0.95
    classifier = ASSETS["digits"].classifier(data, 0)
    frames = found.decode(found.encode(held_out))
    kept = classifier(frames).argmax(1) == classifier(held_out).argmax(1)
    assert float(kept.float().mean()) > 0.93


@pytest.mark.slow
def test_the_recipe_with_umap_learn_itself_repeats_and_keeps_neighbours(monkeypatch):
    monkeypatch.delitem(sys.modules, "umap")
    from sklearn.manifold import trustworthiness
    from sklearn.neighbors import KNeighborsClassifier

    data = DATASETS["digits"]()
    x = torch.from_numpy(data.x)
    before = str(np.random.get_state())  # noqa: NPY002 - to see that it is left alone
    a, b = (UMAPMap.fit(x, epochs=2) for _ in range(2))
    assert a.codes.equal(b.codes)
    assert before == str(np.random.get_state())  # noqa: NPY002 - to see that it is left alone
    assert trustworthiness(x.flatten(1).numpy(), a.codes.numpy(), n_neighbors=12) >= 0.95
    near = KNeighborsClassifier(5).fit(a.codes.numpy(), data.truth)
    assert near.score(a.encode(torch.from_numpy(data.held_out)).numpy(), data.held_out_truth) > 0.95
