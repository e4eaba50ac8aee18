"""The closed form against per-transition gradients, the measured step and its own invariances."""

import pytest
import torch
from scipy.stats import spearmanr
from torch.func import grad, vmap

from vime.bnn.dynamics import DynamicsBNN
from vime.bnn.gaussian_weights import LayerWeights, fisher_diagonal, inverse_softplus
from vime.information_gain import closed_form_gain, draw_noise, draws, expected_gain
from vime.information_gain.gradient_step import gradient_step_gain, transition_loss

DRAWS = 3


def network(noise="heteroscedastic", hidden=(8, 7), bias=True, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        bnn = DynamicsBNN(5, 3, hidden=hidden, init_sd=0.2, noise=noise, bias=bias)
        g = torch.Generator().manual_seed(1)
        layers = [
            LayerWeights(k.mean.to(dtype), (k.scale * (0.5 + torch.rand(k.scale.shape, generator=g))).to(dtype), k.bias)
            for k in bnn.frozen_posterior()
        ]
    return layers, bnn.head


def batch(count, dtype=torch.float64):
    g = torch.Generator().manual_seed(2)
    return torch.randn(count, 5, generator=g, dtype=dtype), torch.randn(count, 3, generator=g, dtype=dtype)


def gain_by_gradients(layers, head, x, y, noise, mask=None, unbiased=False):
    """1/2 g^T H^-1 g with g from autograd, one transition at a time; the independent reference."""
    phi = [(k.mean, inverse_softplus(k.scale)) for k in layers]
    biases = [k.bias for k in layers]

    def slopes(x, y, *eps):
        return grad(lambda p: transition_loss(p, biases, head, x, y, eps, mask))(phi)

    def product(left, right):
        total = 0.0
        for (am, ar), (bm, br), k, (_, rho) in zip(left, right, layers, phi, strict=True):
            h_mean, h_rho = fisher_diagonal(k.scale, rho)
            total = total + (am * bm / h_mean).flatten(1).sum(1) + (ar * br / h_rho).flatten(1).sum(1)
        return 0.5 * total

    noise = [n.expand(-1, len(x), -1) for n in noise]
    if not unbiased:
        g = vmap(slopes)(x, y, *[n.transpose(0, 1) for n in noise])
        return product(g, g)
    draws = len(noise[0])
    each = [vmap(slopes)(x, y, *[n[s : s + 1].transpose(0, 1) for n in noise]) for s in range(draws)]
    pairs = [product(each[a], each[c]) for a in range(draws) for c in range(draws) if a != c]
    return torch.stack(pairs).mean(0)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("noise", "hidden", "bias"),
    [("heteroscedastic", (8, 7), True), (0.7, (8, 7), True), (0.7, (), False), ("heteroscedastic", (6,), False)],
)
def test_closed_form_equals_per_transition_gradients(noise, hidden, bias, shared, unbiased):
    layers, head = network(noise, hidden, bias)
    x, y = batch(9)
    eps = draw_noise(layers, DRAWS, 1 if shared else 9, torch.Generator().manual_seed(0))
    fast = closed_form_gain(layers, head, x, y, eps, unbiased=unbiased)
    torch.testing.assert_close(fast, gain_by_gradients(layers, head, x, y, eps, unbiased=unbiased), rtol=1e-9, atol=1e-12)


def test_closed_form_in_float32_equals_the_naive_loop():
    layers, head = network(dtype=torch.float32)
    x, y = batch(20, torch.float32)
    eps = draw_noise(layers, DRAWS, 20, torch.Generator().manual_seed(0))
    one_by_one = torch.cat(
        [gain_by_gradients(layers, head, x[i : i + 1], y[i : i + 1], [n[:, i : i + 1] for n in eps]) for i in range(20)]
    )
    torch.testing.assert_close(closed_form_gain(layers, head, x, y, eps), one_by_one, rtol=1e-4, atol=1e-6)


def test_masked_targets_do_not_count():
    layers, head = network()
    x, y = batch(9)
    eps = draw_noise(layers, DRAWS, 9, torch.Generator().manual_seed(0))
    mask = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    fast = closed_form_gain(layers, head, x, y, eps, mask=mask)
    torch.testing.assert_close(fast, gain_by_gradients(layers, head, x, y, eps, mask))
    other = y.clone()
    other[:, 1] = 100.0
    torch.testing.assert_close(closed_form_gain(layers, head, x, other, eps, mask=mask), fast)


def test_rows_are_independent_of_order_chunk_and_batch_size(monkeypatch):
    layers, head = network()
    x, y = batch(150)
    eps = draw_noise(layers, DRAWS, 150, torch.Generator().manual_seed(0))
    whole = closed_form_gain(layers, head, x, y, eps)
    order = torch.randperm(150, generator=torch.Generator().manual_seed(1))
    permuted = closed_form_gain(layers, head, x[order], y[order], [n[:, order] for n in eps])
    torch.testing.assert_close(permuted, whole[order])
    monkeypatch.setattr(draws, "CHUNK", 7)
    torch.testing.assert_close(closed_form_gain(layers, head, x, y, eps), whole)
    assert closed_form_gain(layers, head, x[:0], y[:0], [n[:, :0] for n in eps]).shape == (0,)


@pytest.mark.parametrize("shared", [False, True])
def test_measured_gains_of_a_long_batch_are_those_of_its_parts(shared):
    """150 rows are more than the 64 that are handled at once: every row must still meet its own noise."""
    layers, head = network()
    x, y = batch(150)
    eps = draw_noise(layers, DRAWS, 1 if shared else 150, torch.Generator().manual_seed(0))

    def measured(rows, chunk=64):
        noise = eps if shared else [n[:, rows] for n in eps]
        return gradient_step_gain(layers, head, x[rows], y[rows], noise, chunk=chunk)

    whole = measured(slice(None))
    assert whole.shape == (150,)
    assert len(whole.unique()) == 150
    torch.testing.assert_close(torch.cat([measured(slice(75)), measured(slice(75, None))]), whole)
    torch.testing.assert_close(measured(slice(None), chunk=1000), whole)
    for row in (0, 63, 64, 100, 127, 128, 149):
        torch.testing.assert_close(measured(slice(row, row + 1)), whole[row : row + 1])
    if not shared:  # or the above would hold for any noise
        others = gradient_step_gain(layers, head, x[64:128], y[64:128], [n[:, :64] for n in eps])
        assert (others / whole[64:128] - 1).abs().max() > 0.1


@pytest.mark.parametrize(("length", "tolerance"), [(1.0, 0.15), (0.1, 0.02), (0.01, 0.003)])
def test_closed_form_tends_to_the_measured_kl_as_the_step_shrinks(length, tolerance):
    layers, head = network()
    layers = [LayerWeights(k.mean, k.scale * 0.2, k.bias) for k in layers]
    x, y = batch(12)
    eps = draw_noise(layers, DRAWS, 12, torch.Generator().manual_seed(0))
    measured = gradient_step_gain(layers, head, x, y, eps, step_length=length).double()
    ratio = closed_form_gain(layers, head, x, y, eps, step_length=length) / measured
    assert torch.all((ratio - 1).abs() < tolerance), ratio


def test_gain_and_compression_agree_to_second_order_only():
    layers, head = network()
    x, y = batch(12)
    eps = draw_noise(layers, DRAWS, 12, torch.Generator().manual_seed(0))

    def measure(direction, length):
        return gradient_step_gain(layers, head, x, y, eps, step_length=length, direction=direction)

    torch.testing.assert_close(measure("gain", 1e-4), measure("compression", 1e-4), rtol=0.01, atol=0)
    assert (measure("gain", 1.0) / measure("compression", 1.0) - 1).abs().max() > 0.02
    torch.testing.assert_close(measure("both", 0.5), measure("gain", 0.5) + measure("compression", 0.5))
    with pytest.raises(ValueError, match="direction"):
        measure("sideways", 1.0)


def test_many_small_steps_reach_the_minimum_and_rank_like_the_closed_form():
    layers, head = network(noise=0.7)
    layers = [LayerWeights(k.mean, k.scale * 0.3, k.bias) for k in layers]
    x, y = batch(16)
    x = x * torch.linspace(0.3, 3, 16, dtype=torch.float64)[:, None]
    eps = draw_noise(layers, 2, 16, torch.Generator().manual_seed(0))
    converged = gradient_step_gain(layers, head, x, y, eps, step_length=0.1, steps=60)
    more = gradient_step_gain(layers, head, x, y, eps, step_length=0.1, steps=90)
    torch.testing.assert_close(converged, more, rtol=0.05, atol=1e-3)
    assert spearmanr(converged, closed_form_gain(layers, head, x, y, eps)).statistic > 0.9


def test_scoring_changes_nothing(fitted, toy):
    data = toy.draw(64, seed=5)
    weights = {k: v.clone() for k, v in fitted.state_dict().items()}
    states = torch.get_rng_state()
    assert all(p.grad is None and p.requires_grad for p in fitted.bnn.parameters())
    usual = fitted.estimator
    for estimator in ("second_order", "gradient_step", "expected"):
        fitted.estimator = estimator
        first = fitted.score(*data)
        assert torch.equal(first, fitted.score(*data)), estimator
    assert torch.equal(torch.get_rng_state(), states)
    fitted.estimator = usual
    after = fitted.state_dict()
    assert after.keys() == weights.keys()
    assert all(torch.equal(after[k], v) for k, v in weights.items())
    assert all(p.grad is None and p.requires_grad for p in fitted.bnn.parameters())


@pytest.mark.parametrize("estimator", ["second_order", "gradient_step", "expected"])
def test_scoring_leaves_the_gradients_of_a_fit_as_they_are(fitted, toy, estimator):
    """Nothing is added to them, and they are not cleared either."""
    fitted.estimator = estimator
    for p in fitted.bnn.parameters():
        p.grad = torch.full_like(p, 3.0)
    fitted.score(*toy.draw(8, seed=5))
    assert all(torch.equal(p.grad, torch.full_like(p, 3.0)) for p in fitted.bnn.parameters())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_scores_do_not_depend_on_the_callers_gradient_mode(fitted, toy, mode):
    data = toy.draw(16, seed=5)
    expected = {}
    for estimator in ("second_order", "gradient_step", "expected"):
        fitted.estimator = estimator
        expected[estimator] = fitted.score(*data)
        with mode():
            assert torch.equal(fitted.score(*data), expected[estimator])
    with mode():
        fitted.add(*data)
        fitted.fit(2)


def test_one_bonus_for_the_whole_batch_would_be_noticed(fitted, toy):
    """The defect of a JAX port: one step on the whole batch, one scalar for every transition of it."""
    scores = fitted.score(*toy.draw(256, seed=6))

    def differs_by_row(values):
        return bool(values.std() > 0.1 * values.mean())

    assert differs_by_row(scores)
    assert not differs_by_row(torch.full_like(scores, float(scores.mean())))
    alone = torch.cat([fitted.score(*(part[i : i + 1] for part in toy.draw(256, seed=6))) for i in range(8)])
    torch.testing.assert_close(alone, scores[:8], rtol=1e-4, atol=1e-5)


def test_draws_are_checked():
    layers, head = network()
    x, y = batch(2)
    eps = draw_noise(layers, 1, 2, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="at least 2 draws"):
        closed_form_gain(layers, head, x, y, eps, unbiased=True)
    with pytest.raises(ValueError, match="at least 2 draws"):
        expected_gain(layers, head, x, eps)


def test_antithetic_draws_come_in_pairs():
    layers, _ = network()
    for count in (1, 2, 5):
        noise = draw_noise(layers, count, 4, torch.Generator().manual_seed(0), antithetic=True)
        assert all(len(n) == count for n in noise)
    torch.testing.assert_close(noise[0][:2], -noise[0][3:])
