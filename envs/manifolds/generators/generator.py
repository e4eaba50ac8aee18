"""The user's own generator as a manifold: a torch module from codes to data, with or without an encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from envs.errors import ManifoldError
from envs.manifolds.base import Manifold
from envs.manifolds.generators.inversion import Inverse, Inversion, check_generator, invert
from envs.manifolds.prior import Prior


class Generator(Manifold):
    """A trained torch module that maps codes (B, d) to data. Inputs are encoded by inversion.

    The module is put into eval mode. Its parameters are not trained, changed or saved: a saved run finds the module again by
    the ``module:object`` name passed to `envs.make_world`.

    Args:
        generator: Maps codes (B, d) to data of `data_shape`, possibly with further axes of length 1.
        latent_dim: Number of latent coordinates d.
        data_shape: Shape of one datum.
        encoder: Maps data (B, \\*data_shape) to codes, the start of the inversion; None if there is none.
        prior: Distribution that the generator was trained with: ``normal`` or ``uniform`` on [-1, 1].
        output: Range of its values: ``unit`` for [0, 1], ``symmetric`` for [-1, 1] (tanh), ``plain`` for any.
        modality: ``image`` or ``table``.
        inversion: Settings of `Inversion` that differ from its defaults; ``{"steps": 0}`` uses the encoder's codes as they
            are.

    Raises:
        ManifoldError: If the module does not map codes to data of this shape, or its rows depend on each other.

    Example:
        >>> module = nn.Sequential(nn.Linear(3, 16), nn.Sigmoid())
        >>> manifold = Generator(module, latent_dim=3, data_shape=(4, 4), inversion={"steps": 5})
        >>> tuple(manifold.encode(torch.rand(2, 4, 4)).shape)
        (2, 3)
    """

    kind = "generator"
    portable = False

    def __init__(
        self,
        generator: nn.Module,
        latent_dim: int,
        data_shape: Sequence[int],
        encoder: nn.Module | None = None,
        prior: str = "normal",
        output: str = "unit",
        modality: str = "image",
        inversion: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(latent_dim)
        if output not in ("unit", "symmetric", "plain"):
            raise ManifoldError(f"output is 'unit' for [0, 1], 'symmetric' for [-1, 1] or 'plain', not {output!r}")
        self.data_shape = tuple(data_shape)
        self.modality = modality
        self.output = output
        self.prior = Prior(prior, latent_dim)
        self.generator = generator.eval()
        self.encoder = encoder.eval() if encoder is not None else None
        default = {"start": "random", "restarts": 8, "steps": 200} if encoder is None else {"start": "both"}
        self.inversion = Inversion(**{**default, **(inversion or {})})
        check_generator(generator)
        self._probe()

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that identify the manifold apart from its weights; the module itself is not serialisable."""
        return {
            "generator": type(self.generator).__name__,
            "encoder": type(self.encoder).__name__ if self.encoder is not None else None,
            "data_shape": list(self.data_shape),
            "latent_dim": self.latent_dim,
            "prior": self.prior.kind,
            "output": self.output,
            "modality": self.modality,
            "inversion": asdict(self.inversion),
        }

    def save(self, folder: Any) -> None:
        """Refuse to save: the module belongs to the user.

        Raises:
            ManifoldError: Always.
        """
        raise ManifoldError(
            f"a user's own generator ({type(self.generator).__name__}) is not saved; pass it as manifold='module:object', "
            "so that a saved run finds it again"
        )

    def invert(self, x: Tensor, how: Inversion | None = None, progress: bool = False) -> Inverse:
        """Invert the generator.

        Args:
            x: Data, (B, \\*data_shape).
            how: Settings; default: those of the manifold.
            progress: Show a progress bar.

        Returns:
            Codes and reconstruction errors. A large error means that x is off the manifold.
        """
        return invert(self.decode, self.prior, x, how or self.inversion, self.encoder, progress)

    def encode(self, x: Tensor) -> Tensor:
        """Codes (B, d) by inversion, inside the typical set. The same data give the same codes."""
        return self.invert(x).z

    def decode(self, z: Tensor) -> Tensor:
        """Generated data (B, \\*data_shape) at codes (B, d)."""
        x = self.generator(z).reshape(len(z), *self.data_shape)
        if self.output == "symmetric":
            x = (x + 1) / 2
        return x.clamp(0, 1) if self.modality == "image" else x

    # Parameters of the module may require gradients, and codes may be inference tensors, which autograd refuses. Hence the
    # copies, and derivatives by the code only.

    def jacobian(self, z: Tensor) -> Tensor:
        """Jacobian (B, D, d) of the flattened data."""
        with torch.inference_mode(False), torch.no_grad():
            return super().jacobian(z.clone())

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """Change (B, D) along code tangents (B, d). Rows are independent, so one pass serves all."""
        with torch.inference_mode(False), torch.no_grad():
            return torch.func.jvp(self._flat, (z.clone(),), (tangent.clone(),))[1]

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """Gradient (B, d) by the code for cotangents (B, D), in one backward pass whatever d is."""
        with torch.inference_mode(False), torch.enable_grad():
            code = z.clone().requires_grad_()
            return torch.autograd.grad(self._flat(code), code, cotangent.clone())[0]

    def _flat(self, z: Tensor) -> Tensor:
        return self.decode(z).flatten(1)

    def _probe(self) -> None:
        """Decode two codes and check the shapes."""
        d, size = self.latent_dim, math.prod(self.data_shape)
        try:
            with torch.no_grad():
                made = self.generator(torch.zeros(2, d))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise ManifoldError(
                f"the generator ({type(self.generator).__name__}) does not take codes of shape (2, {d}): {error}; "
                "pass the latent_dim= that it was trained with"
            ) from error
        if not isinstance(made, Tensor) or made.shape[:1] != (2,) or made.numel() != 2 * size:
            got = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise ManifoldError(
                f"the generator gives {got} for 2 codes; data of shape {self.data_shape} need {(2, *self.data_shape)}"
            )
        if self.modality == "image" and self.output == "unit" and float(made.min()) < -1e-4:
            raise ManifoldError(
                f"the generator's pixels reach down to {float(made.min()):.3g}; if they lie in [-1, 1] (tanh), wrap it: "
                "envs.manifolds.Generator(module, latent_dim, data_shape, output='symmetric')"
            )
