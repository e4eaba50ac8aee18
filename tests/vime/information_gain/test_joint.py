"""Gains within a rollout against the joint Gaussian model, row by row."""

import pytest
import torch
from torch.distributions import MultivariateNormal

from vime.information_gain import Moments, gain_of_moments, given_prefix, moments_given_prefix


def rollout(count=23, width=4, targets=2):
    g = torch.Generator().manual_seed(0)
    return (torch.randn(count, size, generator=g, dtype=torch.float64) for size in (width, targets))


@pytest.mark.parametrize("block", [1, 5, 64])
def test_conditional_variances_and_means_are_those_of_the_joint_normal(block):
    features, errors = rollout()
    found = given_prefix(features, errors, block=block)
    kernel = features @ features.T
    for i in range(len(features)):
        before = kernel[:i, :i] + torch.eye(i, dtype=torch.float64)
        weights = torch.linalg.solve(before, kernel[:i, i])
        torch.testing.assert_close(
            found.share[i] * kernel[i, i], kernel[i, i] - weights @ kernel[:i, i], rtol=1e-6, atol=1e-12
        )
        torch.testing.assert_close(found.explained[i], weights @ errors[:i], rtol=1e-6, atol=1e-12)


def test_spread_gains_sum_to_the_log_determinant():
    features, errors = rollout()
    share = given_prefix(features, errors, block=7).share
    total = 0.5 * torch.log1p(share * features.square().sum(1)).sum()
    joint = MultivariateNormal(torch.zeros(23).double(), features @ features.T + torch.eye(23).double())
    assert float(total) == pytest.approx(
        float(joint.entropy() - MultivariateNormal(torch.zeros(23).double(), torch.eye(23).double()).entropy()), rel=1e-9
    )


def test_the_second_visit_in_a_rollout_is_worth_less():
    """Monotone decay: n visits leave S / (1 + n S), and the residual is explained more and more."""
    features, targets = torch.full((40, 1), 2.0), torch.full((40, 1), 1.0)
    moments = Moments(torch.zeros(40, 1), torch.full((40, 1), 4.0), torch.ones(40, 1))
    after = moments_given_prefix(moments, features, targets)
    visits = torch.arange(40.0)
    torch.testing.assert_close(after.epistemic[:, 0], 4.0 / (1.0 + 4.0 * visits), rtol=1e-5, atol=0)
    gains = gain_of_moments(after, targets)
    assert (gains.diff() < 0).all()
    assert gains[0] == gain_of_moments(moments, targets)[0]
    assert gains[-1] < 0.02 * gains[0]


def test_noisier_rows_teach_less():
    features, errors = torch.ones(2, 1), torch.zeros(2, 1)
    assert given_prefix(features, errors, torch.tensor([9.0, 1.0])).share[1] == pytest.approx(0.9)


def test_an_empty_rollout_and_features_of_zero():
    assert given_prefix(torch.zeros(0, 3), torch.zeros(0, 2)).share.shape == (0,)
    found = given_prefix(torch.zeros(3, 2), torch.ones(3, 1))
    assert torch.isfinite(found.share).all()
    assert (found.explained == 0).all()
