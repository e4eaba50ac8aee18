"""The Pyro program: its ELBO against the weight-space oracle, its scaling, its isolation."""

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO

from vime import VIME
from vime.bnn.dynamics import DynamicsBNN, empty_guide
from vime.bnn.weight_space import weight_space_program
from vime.information_gain import closed_form_gain, expected_gain
from vime.information_gain.gradient_step import gradient_step_gain


@pytest.fixture
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def problem(count=12):
    g = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, generator=g), torch.randn(count, 2, generator=g)


ALL = torch.ones(2, dtype=torch.bool)


def test_weights_are_those_that_pyros_constraint_gives(seeded):
    bnn = DynamicsBNN(3, 2, hidden=(5,), init_sd=0.3)
    for layer in bnn.layers:
        assert torch.equal(layer.weights().scale, layer.scale)
        torch.testing.assert_close(layer.scale, torch.full_like(layer.scale, 0.3))


def test_kl_is_that_of_the_weight_space_program(seeded):
    bnn = DynamicsBNN(3, 2, hidden=(5,), init_sd=0.3)
    model, guide = weight_space_program(bnn)
    x, y = problem()
    none = torch.zeros(2, dtype=torch.bool)
    muted = TraceMeanField_ELBO().loss(model, guide, x, y, none, 50)
    torch.testing.assert_close(bnn.kl_to_prior().item(), muted, rtol=1e-5, atol=0)
    assert Trace_ELBO().loss(bnn, empty_guide, x, y, none, 50) == pytest.approx(muted, rel=1e-5)


def test_elbo_is_that_of_the_weight_space_program_in_expectation(seeded):
    bnn = DynamicsBNN(3, 2, hidden=(5,), init_sd=0.2)
    model, guide = weight_space_program(bnn)
    x, y = problem()
    ours = torch.tensor([Trace_ELBO().loss(bnn, empty_guide, x, y, ALL, 40) for _ in range(500)])
    oracle = torch.tensor([TraceMeanField_ELBO().loss(model, guide, x, y, ALL, 40) for _ in range(500)])
    error = ((ours.var() + oracle.var()) / 500).sqrt()
    assert abs(ours.mean() - oracle.mean()) < 4 * error
    assert ours.std() < oracle.std()  # independent noise in every row: the point of local reparametrisation


def test_noise_is_independent_across_rows(seeded):
    """Rows that share a draw would move together; the original's noise was one vector for the whole minibatch."""
    bnn = DynamicsBNN(3, 2, hidden=(5,), init_sd=0.5)
    same = torch.ones(1, 3).expand(400, -1)
    mean, _ = bnn.predict(same)
    assert mean.std(0).min() > 0.05
    pairs = torch.stack([bnn.predict(same[:2])[0][:, 0] for _ in range(600)])
    assert abs(torch.corrcoef(pairs.T)[0, 1]) < 0.15


def test_mean_of_minibatch_elbos_is_the_elbo_of_the_pool(seeded):
    """With weight B / N on the KL (here: N / B on the likelihood); weight-free draws, so that it holds exactly."""
    bnn = DynamicsBNN(3, 2, hidden=(5,), init_sd=1e-6)
    x, y = problem(60)

    def loss(x, y, population):
        return Trace_ELBO().loss(bnn, empty_guide, x, y, ALL, population)

    whole = loss(x, y, 60)
    parts = [loss(a, b, 60) for a, b in zip(x.split(10), y.split(10), strict=True)]
    assert sum(parts) / len(parts) == pytest.approx(whole, rel=1e-4)
    one_fifth = [loss(a, b, 50) for a, b in zip(x.split(10), y.split(10), strict=True)]
    assert abs(sum(one_fifth) / len(one_fifth) - whole) > 0.01 * abs(whole)


def learn(toy, count, population=None, noise=0.3, updates=400, batch=50, learning_rate=1e-2):
    """R2 on held-out data and median sigma / prior_sd after ``updates``.

    ``population`` sets the KL's weight to B / it.
    """
    obs, action, nxt = toy.draw(count, seed=3)
    x = torch.from_numpy(obs), torch.from_numpy(action)
    x, y = torch.cat(x, 1), torch.from_numpy(nxt - obs)
    scale = y.std(0)
    bnn = DynamicsBNN(6, 4, hidden=(32,), init_sd=0.3, noise=noise)
    optimizer, elbo = torch.optim.Adam(bnn.parameters(), lr=learning_rate), Trace_ELBO()
    mask, n = torch.ones(4, dtype=torch.bool), population or count
    for _ in range(updates):
        rows = torch.randint(count, (min(batch, count),))
        optimizer.zero_grad()
        loss = elbo.differentiable_loss(bnn, empty_guide, x[rows], y[rows] / scale, mask, max(n, len(rows))) / n
        loss.backward()
        optimizer.step()
    obs, action, nxt = toy.draw(500, seed=4)
    x, y = torch.from_numpy(np.concatenate([obs, action], 1)), torch.from_numpy(nxt - obs) / scale
    means = [k._replace(scale=torch.zeros_like(k.scale)) for k in bnn.frozen_posterior()]
    predicted, _ = bnn.predict_with(means, x)
    r2 = 1 - (y - predicted).square().sum() / (y - y.mean(0)).square().sum()
    ratio = torch.cat([k.scale.flatten() for k in bnn.frozen_posterior()]).median() / bnn.prior_sd
    return float(r2), float(ratio)


def test_the_posterior_contracts_with_data_and_predicts(seeded, toy):
    results = [learn(toy, count) for count in (50, 500, 5000)]
    ratios = [ratio for _, ratio in results]
    assert ratios[0] > ratios[1] > ratios[2], results
    assert results[2][0] > 0.9, results


def test_the_original_kl_weight_would_learn_nothing(seeded, toy):
    """The defect: KL / 5 with batches of 10: a pool of 50 however much was seen. Only the weight differs here."""
    paper = {"noise": 5.0, "batch": 10}
    right, right_ratio = learn(toy, 5000, **paper)
    wrong, wrong_ratio = learn(toy, 5000, population=50, **paper)
    assert right > 0.6, right
    assert wrong < 0.1, wrong
    assert wrong_ratio > 1.5 * right_ratio, (right_ratio, wrong_ratio)


@pytest.fixture(params=["empty", "taken"])
def store(request):
    """Pyro's global store for one test, put back afterwards: empty, or with another's values under the network's names.

    What ran before must not matter: a name that an earlier network has left behind would hide that this one adds it.
    """
    shapes = {k.removesuffix("_unconstrained"): v.shape for k, v in DynamicsBNN(3, 2, hidden=(5,)).state_dict().items()}
    assert {"layers.0.mean", "layers.1.scale"} <= set(shapes)
    store = pyro.get_param_store()
    with store.scope():
        if request.param == "taken":
            for name, shape in shapes.items():
                store.setdefault(name, torch.full(shape, 7.0))
        yield store


def score_everyhow(bnn, x, y):
    layers, noise = bnn.frozen_posterior(), [torch.randn(2, 1, size) for size in (5, 4)]
    gradient_step_gain(layers, bnn.head, x, y, noise)
    expected_gain(layers, bnn.head, x, noise)
    return closed_form_gain(layers, bnn.head, x, y, noise)


def test_two_networks_share_nothing_and_the_global_store_stays_as_it_is(seeded, store):
    held = {k: v.detach().clone() for k, v in store.items()}
    first, second = DynamicsBNN(3, 2, hidden=(5,)), DynamicsBNN(3, 2, hidden=(5,))
    assert store.keys() == held.keys(), "building"
    kept, start = ({k: v.clone() for k, v in bnn.state_dict().items()} for bnn in (second, first))
    x, y = problem()
    optimizer = torch.optim.Adam(first.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        Trace_ELBO().differentiable_loss(first, empty_guide, x, y, ALL, 12).backward()
        optimizer.step()
        Trace_ELBO().loss(second, empty_guide, x, y, ALL, 12)
    assert store.keys() == held.keys(), "fitting"
    assert not torch.equal(score_everyhow(first, x, y), score_everyhow(second, x, y))
    assert store.keys() == held.keys(), "scoring"
    assert all(torch.equal(store[k], v) for k, v in held.items())
    assert all(torch.equal(v, kept[k]) for k, v in second.state_dict().items())
    assert not any(torch.equal(v, start[k]) for k, v in first.state_dict().items()), "the first did not learn"
    assert not {p.data_ptr() for p in first.parameters()} & {p.data_ptr() for p in second.parameters()}
    assert pyro.settings.get("module_local_params") is False


def test_a_bonus_does_not_depend_on_the_bonuses_before_it_and_leaves_no_name_in_the_global_store(toy):
    def scores(seed):
        bonus = VIME(toy.observation_space, toy.action_space, seed=seed, hidden=(5,), min_pool=50)
        bonus.add(*toy.draw(100, seed=1))
        bonus.fit(3)
        return bonus.score(*toy.draw(20, seed=2))

    store = pyro.get_param_store()
    with store.scope():
        alone = scores(1)
        assert not torch.equal(scores(2), alone)
        torch.testing.assert_close(scores(1), alone, rtol=0, atol=0)
        assert list(store.keys()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": "loud"}, "heteroscedastic"),
        ({"noise": -1.0}, "positive"),
        ({"noise": float("nan")}, "positive"),
        ({"prior_sd": 0.0}, "prior_sd"),
        ({"init_sd": float("inf")}, "init_sd"),
        ({"hidden": (0,)}, "layer sizes"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        DynamicsBNN(3, 2, **options)
