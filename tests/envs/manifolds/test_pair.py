"""The user's own encoder and decoder as a manifold."""

from __future__ import annotations

import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from envs import ManifoldError, make_world
from envs.manifolds import Manifold, Pair

X = torch.rand(40, 3, 4, generator=torch.Generator().manual_seed(0))
CLASSIFIER = {
    "classifier": lambda x: np.stack([p := x.reshape(len(x), -1).mean(1), 1 - p], 1),
    "class_names": ["light", "dark"],
}


class Encoder(nn.Module):
    def __init__(self, d: int = 2):
        super().__init__()
        self.d = d
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return 4 * self.drop(x).flatten(1)[:, : self.d] - 2


class Decoder(nn.Module):
    def __init__(self, d: int = 2, flat: bool = False):
        super().__init__()
        self.flat = flat
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layer = nn.Linear(d, 12)
        self.drop = nn.Dropout(0.5)

    def forward(self, z):
        x = torch.sigmoid(self.drop(self.layer(z)))
        return x if self.flat else x.view(-1, 3, 4)


class Maps(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, rows):
        return self.function(rows)


@pytest.mark.parametrize("flat", [False, True])
def test_a_pair_encodes_decodes_and_never_drops_out(flat):
    encoder, decoder = Encoder(), Decoder(flat=flat)
    pair = Pair.of((encoder, decoder), X)
    z = pair.encode(X)
    torch.testing.assert_close(z, 4 * X.flatten(1)[:, :2] - 2)
    assert pair.decode(z).shape == X.shape
    encoder.train(), decoder.train()  # its owner goes on training
    assert pair.decode(z).equal(pair.decode(z))
    assert pair.encode(X).equal(z)


def test_the_typical_set_holds_the_codes_of_the_data_or_is_the_priors_own():
    pair = Pair.of((Encoder(), Decoder()), X)
    codes = pair.encode(X)
    assert pair.prior.contains(codes).all()
    assert float(pair.prior.project(torch.tensor([[99.0, -99.0]])).abs().max()) < 2.5
    drawn = pair.prior.sample(20, torch.Generator().manual_seed(0))
    assert (torch.cdist(drawn, codes, compute_mode="donot_use_mm_for_euclid_dist").amin(1) < 1e-6).all()
    normal = Pair.of((Encoder(), Decoder()), X, prior="normal")
    assert normal.prior.kind == "normal"
    with pytest.raises(ManifoldError, match="normal, uniform, sphere, none, not 'gaussian'"):
        Pair.of((Encoder(), Decoder()), X, prior="gaussian")


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_derivatives_are_those_of_finite_differences(mode):
    pair = Pair.of((Encoder(), Decoder()), X)
    z = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    with mode():
        jacobian = pair.jacobian(z)
        across, along = torch.randn(6, 12, generator=torch.Generator().manual_seed(1)), torch.randn(6, 2)
        torch.testing.assert_close(pair.vjp(z, across), (across[:, None] @ jacobian)[:, 0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(pair.jvp(z, along), (jacobian @ along[:, :, None])[:, :, 0], atol=1e-5, rtol=1e-4)
        decoder = pair.decoder.double()
        steps = 1e-6 * torch.eye(2, dtype=torch.float64)
        differences = [(decoder(z.double() + s) - decoder(z.double() - s)).flatten(1) / 2e-6 for s in steps]
        torch.testing.assert_close(jacobian.double(), torch.stack(differences, 2), atol=1e-5, rtol=1e-4)


BAD = [
    ((Encoder(), Maps(lambda z: z)), r"must give data of shape \(3, 4\).*gave \(40, 2\)"),
    ((Encoder(), Maps(lambda z: 3 * torch.ones(len(z), 12))), r"reach from 3 to 3.*sigmoid"),
    ((Encoder(), Maps(lambda z: torch.full((len(z), 12), torch.nan))), "decoder gives NaN or infinity for row 0"),
    ((Maps(lambda x: x.flatten(1)[:, :2] / 0), Decoder()), "encoder gives NaN or infinity"),
    ((Maps(lambda x: (x, x)), Decoder()), "must give a tensor, not a tuple"),
    ((Maps(lambda x: x.sum((1, 2))), Decoder()), r"codes \(rows, d\)"),
    ((nn.Linear(7, 2), Decoder()), r"encoder does not take float32 rows of shape \(40, 3, 4\)"),
    ((Encoder(), nn.Linear(7, 12)), r"decoder does not take float32 rows of shape \(40, 2\)"),
    ((Encoder(),), "pair of torch modules"),
    (object(), "a object is not an encoder and decoder"),
    (lambda: 3, "a int is not an encoder and decoder"),
    (lambda wanted: 3, "without arguments"),
]


@pytest.mark.parametrize(("pair", "match"), BAD)
def test_what_is_no_pair_is_refused(pair, match):
    with pytest.raises(ManifoldError, match=match):
        Pair.of(pair, X)


def test_live_pairs_make_worlds_but_are_not_saved(tmp_path):
    world = make_world(data=X.numpy(), manifold=(Encoder(), Decoder()), **CLASSIFIER)
    assert isinstance(world.manifold, Pair)
    assert "manifold" in world.config.live
    assert not world.manifold.portable
    with pytest.raises(ManifoldError, match="give them by name"):
        world.manifold.save(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()

    class Autoencoder:
        encoder, decoder, prior = Encoder(), Decoder(), "normal"

    assert make_world(data=X.numpy(), manifold=Autoencoder(), **CLASSIFIER).manifold.prior.kind == "normal"


@pytest.fixture
def named(tmp_path, monkeypatch):
    (tmp_path / "my_pair.py").write_text(
        textwrap.dedent("""
        import torch
        from torch import nn

        def make():
            torch.manual_seed(0)
            return nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), nn.Sequential(nn.Linear(2, 12), nn.Sigmoid())

        pair = make()
        not_a_pair = 7
        """)
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "my_pair", raising=False)
    state = torch.get_rng_state()
    yield "my_pair"
    torch.set_rng_state(state)
    sys.modules.pop("my_pair", None)


@pytest.mark.parametrize("name", ["pair", "make"])
def test_pairs_by_name_are_saved_and_found_again(named, name, tmp_path):
    world = make_world(data=X.numpy(), manifold=f"{named}:{name}", **CLASSIFIER)
    assert "manifold" in world.config.settings()
    world.manifold.save(tmp_path / "saved")
    loaded = Manifold.load(tmp_path / "saved")
    assert loaded.encode(X).equal(world.manifold.encode(X))
    assert loaded.decode(loaded.encode(X)).equal(world.manifold.decode(world.manifold.encode(X)))
    z = 9 * torch.randn(5, 2)
    assert loaded.prior.project(z).equal(world.manifold.prior.project(z))


def test_a_name_that_is_no_pair_is_told(named):
    with pytest.raises(ManifoldError, match=r"a pair of torch modules .* not a int"):
        make_world(data=X.numpy(), manifold=f"{named}:not_a_pair", **CLASSIFIER)
    with pytest.raises(ManifoldError, match="cannot load 'my_pair:other'"):
        make_world(data=X.numpy(), manifold=f"{named}:other", **CLASSIFIER)


def test_an_agent_trains_on_a_live_pair_and_comes_back_with_its_world(tmp_path):
    from agents.runs.run import load_run
    from agents.train import train

    world = make_world(data=X.numpy(), manifold=(Encoder(), Decoder()), **CLASSIFIER)
    run = train(world=world, n_timesteps=64, n_envs=4, eval_episodes=0, pictures=False, log_folder=str(tmp_path),
                hyperparams={"n_steps": 8, "n_epochs": 1})  # fmt: skip
    assert not (run.folder.root / "manifold").exists()
    assert load_run(run.folder.root, world=world).steps == run.steps
