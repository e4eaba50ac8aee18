"""Gains of the transitions of one rollout, each given those before it: what occurs twice in a rollout is new once.

A score of single transitions uses one posterior for the whole rollout, so that a hundred visits of one new place are paid a
hundred times. Here the posterior is conditioned on the rollout's own prefix. The log-determinants then add up: the sum of
ln(1 + S_i / v) over the rollout, each S_i given the prefix, is the log-determinant of the whole rollout's covariance [1].

The covariance between transitions i and j is phi_i . phi_j in units of the noise, with k features of each transition (the
inputs of the last layer under its posterior). Within a block of rows the conditional variances are the squared diagonal of a
Cholesky factor; between blocks the k x k covariance is updated once. The cost of a row is O(k^2), whatever the rollout's
length, and the result does not depend on the size of a block.

Reference:

[1] Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, section 2.2 and appendix A.5.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vime.information_gain.linearized import Moments

BLOCK = 64
"""Rows that one Cholesky factor handles."""


class Prefix(NamedTuple):
    """What the transitions before each row leave to learn.

    Attributes:
        share: (n,) share of the row's epistemic variance that is left, from 0 to 1.
        explained: (n, D) what the earlier rows explain of its residual.
    """

    share: Tensor
    explained: Tensor


def given_prefix(features: Tensor, residuals: Tensor, noise: Tensor | None = None, block: int = BLOCK) -> Prefix:
    """Condition every row of a rollout on the rows before it.

    Args:
        features: (n, k), in the order of time; their inner products are prior covariances of the prediction in units of noise.
        residuals: (n, D) targets minus predicted means, before the rollout.
        noise: (n,) noise variance of each row in these units; None: 1.
        block: Rows that are handled at once; it changes the time, not the result.

    Returns:
        :class:`Prefix`.

    Example:
        >>> import torch
        >>> from vime.information_gain import given_prefix
        >>> given_prefix(torch.ones(3, 1), torch.zeros(3, 1)).share  # 1, 1 / 2, 1 / 3: the variance after 0, 1 and 2 visits
        tensor([1.0000, 0.5000, 0.3333])
    """
    count, width = features.shape
    dtype = features.dtype
    rows, errors = features.double(), residuals.double()
    noise = rows.new_ones(count) if noise is None else noise.double()
    covariance = torch.eye(width, dtype=torch.float64)
    weights = rows.new_zeros(width, errors.shape[1])
    shares, explained = [], []
    for start in range(0, count, block):
        here = slice(start, start + block)
        phi, spread = rows[here], noise[here]
        projected = phi @ covariance
        factor = torch.linalg.cholesky(projected @ phi.T + torch.diag(spread))
        left = factor.diagonal().square() - spread
        shares.append(left / phi.square().sum(1).clamp(min=torch.finfo(torch.float64).tiny))
        predicted = phi @ weights
        scaled = torch.linalg.solve_triangular(factor, errors[here] - predicted, upper=False)
        explained.append(errors[here] - factor.diagonal().unsqueeze(1) * scaled)
        gathered = torch.linalg.solve_triangular(factor, projected, upper=False)
        weights = weights + gathered.T @ scaled
        covariance = covariance - gathered.T @ gathered
    if not shares:
        return Prefix(features.new_zeros(0), torch.zeros_like(residuals))
    return Prefix(torch.cat(shares).clamp(0.0, 1.0).to(dtype), torch.cat(explained).to(dtype))


def moments_given_prefix(moments: Moments, features: Tensor, targets: Tensor) -> Moments:
    """Moments of the rows of a rollout, each given the rows before it.

    Args:
        moments: Of each row by itself, (n, D).
        features: (n, k), see :func:`given_prefix`.
        targets: (n, D), whitened.

    Exact if all targets share the features and their noise is fixed, as for the last layer; else the covariances are averages
    over the targets.

    Returns:
        Moments whose epistemic variances and means hold what the prefix has taught.
    """
    prefix = given_prefix(features, targets - moments.mean)
    return Moments(moments.mean + prefix.explained, moments.epistemic * prefix.share.unsqueeze(1), moments.noise)
