"""Bayesian linear regression on fixed features: a full covariance, updated online, exact and without forgetting.

For features phi (k,) and targets y (D,), in units of the noise, with weights W ~ N(0, prior I) before any data:

    precision  A = I / prior + sum phi phi^T,     mean  M = A^-1 sum phi y^T,     leverage  l(x) = phi(x)^T A^-1 phi(x)

so that the epistemic variance of target d at x is v_d l(x). The order of the data does not matter, and adding rows one by one
or all at once gives the same posterior.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vime.serialization import State, expect_like


class Leverage:
    """Sufficient statistics of the regression, and what follows from them.

    Args:
        width: k.
        targets: D.

    Attributes:
        noise: (D,) the noise variances that leverages are in units of.

    Example:
        >>> import torch
        >>> from vime.posteriors.leverage import Leverage
        >>> leverage = Leverage(width=1, targets=1)
        >>> leverage.begin(prior=4.0, noise=torch.ones(1))
        >>> leverage(torch.ones(1, 1)), leverage.add(torch.ones(3, 1), torch.ones(3, 1)), leverage(torch.ones(1, 1))
        (tensor([4.]), None, tensor([0.3077]))
    """

    def __init__(self, width: int, targets: int) -> None:
        self.products = torch.zeros(width, width, dtype=torch.float64)
        self.answers = torch.zeros(width, targets, dtype=torch.float64)
        self.prior = torch.ones((), dtype=torch.float64)
        self.noise = torch.ones(targets, dtype=torch.float32)
        self._solve()

    def begin(self, prior: float, noise: Tensor) -> None:
        """Forget everything; ``prior`` is the variance of a weight in units of the noise, ``noise`` (D,) variances."""
        self.products.zero_(), self.answers.zero_()
        self.weigh(prior, noise)

    def weigh(self, prior: float, noise: Tensor) -> None:
        """Another prior and other noises for the same data, which are kept as sums that depend on neither."""
        self.prior, self.noise = torch.tensor(prior, dtype=torch.float64), noise.to(torch.float32)
        self._solve()

    def add(self, features: Tensor, targets: Tensor, times: float = 1.0) -> None:
        """Learn from features (B, k) and targets (B, D), each counted ``times`` times."""
        rows = features.double()
        self.products += times * (rows.T @ rows)
        self.answers += times * (rows.T @ targets.double())
        self._solve()

    def _solve(self) -> None:
        precision = self.products + torch.eye(len(self.products), dtype=torch.float64) / self.prior
        factor = torch.linalg.cholesky(precision)
        self.root = torch.linalg.solve_triangular(factor, torch.eye(len(factor), dtype=torch.float64), upper=False).T.float()
        self.mean = torch.cholesky_solve(self.answers, factor).float()

    def __call__(self, features: Tensor) -> Tensor:
        """Return the leverages (B,) of features (B, k)."""
        return self.whitened(features).square().sum(1)

    def whitened(self, features: Tensor) -> Tensor:
        """Return features (B, k) whose inner products are the posterior covariances in units of the noise."""
        return features @ self.root

    def state(self) -> State:
        """Return the statistics."""
        return {"products": self.products, "answers": self.answers, "prior": self.prior, "noise": self.noise}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state`; raises StateMismatchError for other shapes."""
        expect_like(state, self.state(), "the last layer")
        self.products, self.answers, self.prior = (state[k].double().clone() for k in ("products", "answers", "prior"))
        self.noise = state["noise"].float().clone()
        self._solve()
