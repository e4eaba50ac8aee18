"""Densities of the codes of real data, from which typicality can be taken: a normalising flow, and the table of all."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from envs.errors import ManifoldError
from envs.manifolds.fitting import descend, untrained
from envs.manifolds.neighbour_density import Neighbours
from envs.runtime.torch_defaults import in_usual_torch

TRANSFORMS, HIDDEN = 3, (64, 64)  # coupling layers, and the sizes of their networks
STEPS, BATCH = 1000, 256
LEAST_ROWS, MOST_DIMENSIONS = 40, 256
JITTER = 0.05  # standard deviations of the noise on codes in the fit: without it, repeated codes get an infinite density
MASS = 0.99  # share of real codes inside the typical set
HALVINGS = 8
FAR = 1e4  # standard deviations
USUAL = "usual"  # the manifold's own typicality


class Flow(nn.Module):
    """Density of codes by a normalising flow: neural spline coupling layers on standardised codes (package zuko).

    A fifth of the codes is held back from the fit. Their log-likelihoods say what is typical of real data, so that an
    overfitted flow does not pass for a sure one.

    Source: Durkan and others, "Neural Spline Flows", NeurIPS 2019.

    Args:
        dim: Number of latent coordinates d.

    Attributes:
        quantiles: (101,) quantiles of the log-likelihoods (nats) of the codes that were held back.
        expected: () their mean.

    Raises:
        ManifoldError: If zuko is missing, or codes have more than 256 coordinates.

    Example:
        >>> codes = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
        >>> flow = Flow.fit(codes, steps=20)
        >>> flow.typicality(torch.tensor([[0.0, 0.0], [30.0, 0.0]])) > 0.5
        tensor([ True, False])
    """

    mean: Tensor
    scale: Tensor
    quantiles: Tensor
    expected: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        if not 1 <= dim <= MOST_DIMENSIONS:
            raise ManifoldError(
                f"a flow takes codes of 1 to {MOST_DIMENSIONS} coordinates, not {dim}: walk in fewer directions (basis=), "
                "or leave typicality='flow' out"
            )
        try:
            import zuko
        except ImportError as error:
            raise ManifoldError("a flow needs zuko: pip install 'manifold-traversal[flow]'") from error
        self.dim = dim
        coupling = {"passes": 2} if dim > 1 else {}  # the inverse of a coupling costs no more than the map
        self.network = zuko.flows.NSF(dim, transforms=TRANSFORMS, hidden_features=HIDDEN, **coupling)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.register_buffer("quantiles", torch.zeros(101))
        self.register_buffer("expected", torch.zeros(()))

    @classmethod
    @in_usual_torch
    def fit(cls, z: Tensor, *, seed: int = 0, steps: int = STEPS, progress: bool = False) -> Flow:
        """Fit a flow to the codes of real data.

        Args:
            z: Codes, (N, d).
            seed: Of the first weights, of the rows held back, and of the noise.
            steps: Steps of the optimiser, about.
            progress: Show a progress bar.

        Raises:
            ManifoldError: If there are fewer than 40 codes, or values that are not finite.
        """
        if len(z) < LEAST_ROWS:
            raise ManifoldError(f"a flow needs at least {LEAST_ROWS} codes, got {len(z)}: leave typicality='flow' out")
        if not bool(z.isfinite().all()):
            raise ManifoldError(f"{int((~z.isfinite()).any(1).sum())} of {len(z)} codes hold values that are not finite")
        with torch.inference_mode(False):
            z = z.detach().clone()
            flow = untrained(lambda: cls(z.shape[1]), seed)
            flow.mean.copy_(z.mean(0))
            flow.scale.copy_(z.std(0).clamp_min(1e-6))
            generator = torch.Generator().manual_seed(seed)
            order = torch.randperm(len(z), generator=generator)
            held_back, own = (z - flow.mean)[order].div(flow.scale).tensor_split([len(z) // 5])

            def loss(rows: Tensor) -> Tensor:
                noise = JITTER * torch.randn(len(rows), flow.dim, generator=generator)
                return -flow.network().log_prob(own[rows] + noise).mean() / flow.dim

            batch = min(BATCH, len(own))
            epochs = max(1, round(steps * batch / len(own)))
            descend(
                flow, loss, len(own), epochs=epochs, batch_size=batch, learning_rate=2e-3, weight_decay=1e-4,
                generator=generator, label="density", progress=progress,
            )  # fmt: skip
            with torch.no_grad():
                real = flow.log_prob(held_back * flow.scale + flow.mean)
            flow.quantiles.copy_(real.quantile(torch.linspace(0, 1, 101)))
            flow.expected.copy_(real.mean())
        return flow.eval()

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density (B,) of codes (B, d), in nats; NaN and what lies beyond `FAR` standard deviations count as there."""
        scaled = ((z - self.mean) / self.scale).nan_to_num(FAR).clamp(-FAR, FAR)
        return self.network().log_prob(scaled) - self.scale.log().sum()

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` codes (n, d) with `generator`."""
        with torch.no_grad():
            return self._codes(torch.randn(n, self.dim, generator=generator))

    def _codes(self, u: Tensor) -> Tensor:
        """Codes (B, d) of points (B, d) of the flow's normal base."""
        return self.network().transform.inv(u) * self.scale + self.mean

    def share(self, z: Tensor) -> Tensor:
        """Share (B,) of real codes that are less likely than codes (B, d)."""
        return torch.searchsorted(self.quantiles, self.log_prob(z).contiguous()).clamp_max(100) / 100

    def typicality(self, z: Tensor) -> Tensor:
        """Typicality (B,) of codes (B, d): d / (d + 2 s), where s is how many nats less likely they are than real codes are on
        average, 0 if they are likelier. For a normal density this is the usual typicality of a manifold."""
        with torch.no_grad():
            missing = (self.expected - self.log_prob(z)).clamp_min(0).nan_to_num(math.inf, posinf=math.inf)
        return self.dim / (self.dim + 2 * missing)

    def contains(self, z: Tensor) -> Tensor:
        """Whether codes (B, d) are among the likeliest 99 % of real ones, (B,) bool."""
        with torch.no_grad():
            return self.log_prob(z) >= self.quantiles[round(100 * (1 - MASS))]

    def project(self, z: Tensor) -> Tensor:
        """Codes (B, d) in the typical set. Those outside move towards the flow's centre, on the image of a straight line, as
        little as a bisection finds; where the centre is outside too, they stay."""
        outside = ~self.contains(z)
        if not bool(outside.any()):
            return z
        with torch.no_grad():
            far = z[outside]
            u = self.network().transform((far - self.mean) / self.scale)
            found, low, high = far.clone(), torch.zeros(len(far), 1), torch.ones(len(far), 1)
            for k in range(HALVINGS + 1):
                middle = low if k == 0 else (low + high) / 2
                nearer = self._codes(middle * u)
                inside = self.contains(nearer)[:, None]
                found = torch.where(inside, nearer, found)
                low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
        z = z.clone()
        z[outside] = found
        return z


#: What typicality is taken from, by name; an entry has ``fit(codes, seed=, progress=)``, which returns an object with
#: ``typicality(z)`` and ``project(z)``. None: the manifold's own.
DENSITIES: dict[str, Any] = {USUAL: None, "flow": Flow, "neighbours": Neighbours}
