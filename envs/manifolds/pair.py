"""The user's own encoder and decoder as a manifold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from envs.errors import ManifoldError
from envs.manifolds.adapters import modules_of
from envs.manifolds.base import Manifold
from envs.manifolds.prior import Prior
from envs.reading.objects import load_object

PRIORS = ("normal", "uniform", "sphere", "none")
BATCH = 4096
REMEMBERED = 1000


class Pair(Manifold):
    """An encoder and a decoder that were trained elsewhere.

    The encoder maps data (B, \\*data_shape), float32, to codes (B, d); the decoder maps codes to data, in that shape or flat.
    Latents with further axes (channels, height, width) are flattened. Both parts stay in eval mode and are never trained.
    `envs.manifolds.adapters.modules_of` lists what they may come as. Table rows are standardised. Images lie in [0, 1] with
    channels first.

    Args:
        data_shape: Shape of one datum.
        latent_dim: Number of latent coordinates d.
        modality: ``image`` or ``table``.
        prior: Distribution of the codes that the decoder was trained with: ``normal`` (a VAE), ``uniform``, ``sphere``, or
            ``none``, where the typical set is the box around the codes of the data.
        rows: Number of those codes that are stored.
        latent_shape: Shape of one code before it is flattened; default: (d,).
        source: ``module:object`` that returns the two modules. A saved manifold finds them by this name; without one the pair
            exists in this process only.
        modules: Encoder and decoder, if they are loaded already.

    Raises:
        ManifoldError: If the prior is unknown, or neither `source` nor `modules` is given.

    Example:
        >>> encoder, decoder = nn.Linear(4, 2), nn.Linear(2, 4)
        >>> pair = Pair.of((encoder, decoder), torch.randn(50, 4), modality="table")
        >>> pair.latent_dim, pair.portable
        (2, False)
    """

    kind = "pair"
    codes: Tensor

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int,
        modality: str = "image",
        prior: str = "none",
        rows: int = 2,
        source: str | None = None,
        modules: tuple[nn.Module, nn.Module] | None = None,
        latent_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(latent_dim)
        self.data_shape = tuple(data_shape)
        self.modality = modality
        self.latent_shape = tuple(latent_shape or (latent_dim,))
        self.source = source
        self.portable = source is not None
        self.prior_kind = prior
        if prior not in PRIORS:
            raise ManifoldError(f"the prior of an encoder and decoder is one of {', '.join(PRIORS)}, not {prior!r}")
        if modules is None:
            if source is None:
                raise ManifoldError("an encoder and a decoder are needed: pass modules=, or source='module:object'")
            modules = modules_of(resolved(source))
        self.encoder, self.decoder = (module.eval() for module in modules)
        self.requires_grad_(False)  # of their own, TorchScript modules have no such method
        self.register_buffer("codes", torch.zeros(rows, latent_dim))

    @cached_property
    def prior(self) -> Prior:  # type: ignore[override]  # the box is known only when data have been encoded
        """The prior; its box is known once data have been encoded."""
        return Prior(self.prior_kind, self.codes.shape[1], samples=self.codes)

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-serialisable arguments that build a copy without weights."""
        return {
            "data_shape": list(self.data_shape),
            "latent_dim": self.latent_dim,
            "modality": self.modality,
            "prior": self.prior_kind,
            "rows": len(self.codes),
            "source": self.source,
            "latent_shape": list(self.latent_shape),
        }

    def encode(self, x: Tensor) -> Tensor:
        """Codes (B, d) of data (B, \\*data_shape), projected into the typical set."""
        return self.prior.project(self._asleep(self.encoder)(x).float().flatten(1))

    def decode(self, z: Tensor) -> Tensor:
        """Data (B, \\*data_shape) of codes (B, d)."""
        made = self._asleep(self.decoder)(z.reshape(len(z), *self.latent_shape))
        return made.float().reshape(len(z), *self.data_shape)

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """Gradient (B, d) by the code for cotangents (B, D), in one backward pass whatever d is."""
        with torch.inference_mode(False), torch.enable_grad():
            code = z.clone().requires_grad_()
            made = self.decode(code).flatten(1)
            if not made.requires_grad:
                raise ManifoldError("the decoder has no derivative by the code: write it in torch, without detaching or numpy")
            return torch.autograd.grad(made, code, cotangent.clone())[0]

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """Change (B, D) along code tangents (B, d), in one pass whatever d is."""
        with torch.inference_mode(False), torch.no_grad():
            along = torch.func.jvp(lambda code: self.decode(code).flatten(1), (z.clone(),), (tangent.clone(),))
            return along[1]

    def save(self, folder: Any) -> None:
        """Write the manifold into `folder`. The modules' weights are stored; their code is found again by `source`.

        Raises:
            ManifoldError: If the modules exist in this process only.
        """
        if not self.portable:
            raise ManifoldError(
                "an encoder and decoder that were passed as live objects cannot be saved: give them by name, "
                "manifold='module:object', which gives the pair (encoder, decoder)"
            )
        super().save(folder)

    @staticmethod
    def _asleep(module: nn.Module) -> nn.Module:
        """The module in eval mode, whatever its owner did meanwhile: dropout or batch statistics would make data random."""
        return module.eval() if module.training else module

    @classmethod
    def of(
        cls,
        pair: Any,
        x: Tensor,
        *,
        modality: str = "image",
        prior: str | None = None,
    ) -> Pair:
        """Build the manifold of a pair, checked on data.

        Args:
            pair: What `envs.manifolds.adapters.modules_of` takes, such as (encoder, decoder); an object may have a `prior`; a
                function without arguments that returns it; or the ``module:object`` name of one of these.
            x: Data, (N, \\*data_shape).
            modality: ``image`` or ``table``.
            prior: As in the class; default: the object's own, else ``none``.

        Raises:
            ManifoldError: If there are no two modules, one of them fails on the data, or the output has the wrong shape, is
                not finite, or (images) leaves [0, 1].
        """
        source = pair if isinstance(pair, str) else None
        found = resolved(pair)
        encoder, decoder = modules_of(found)
        shape = tuple(x.shape[1:])
        with torch.inference_mode():
            codes = torch.cat([_run(encoder.eval(), part, "encoder") for part in x.split(BATCH)])
            if codes.ndim < 2 or len(codes) != len(x):
                raise ManifoldError(
                    f"the encoder must give codes (rows, d): for {tuple(x.shape)} it gave {tuple(codes.shape)}. If it "
                    "gives mean and variance, wrap it so that it gives the mean only"
                )
            latent_shape, codes = codes.shape[1:], codes.flatten(1)
            _check_finite(codes, "encoder")
            frames = _run(decoder.eval(), codes[:BATCH].unflatten(1, latent_shape), "decoder")
            if len(frames) != len(codes[:BATCH]) or math.prod(frames.shape[1:]) != math.prod(shape):
                raise ManifoldError(
                    f"the decoder must give data of shape {shape} (or flat) for codes {tuple(codes[:BATCH].shape)}; it gave "
                    f"{tuple(frames.shape)}"
                )
            _check_finite(frames, "decoder")
            if modality == "image" and (float(frames.min()) < 0 or float(frames.max()) > 1):
                raise ManifoldError(
                    f"the decoder's pictures reach from {float(frames.min()):.4g} to {float(frames.max()):.4g}; they must lie "
                    "in [0, 1]: end it with a sigmoid"
                )
        kind = prior if prior is not None else getattr(found, "prior", "none")
        if not isinstance(kind, str):
            raise ManifoldError(f"the pair's prior is one of {', '.join(PRIORS)}, not {kind!r}")
        # The extreme codes of each axis, so that the box is that of all codes, and others spread evenly over the data.
        even = torch.linspace(0, len(codes) - 1, min(len(codes), REMEMBERED)).long()
        rows = torch.cat([codes.argmin(0), codes.argmax(0), even]).unique()
        manifold = cls(shape, codes.shape[1], modality, kind, len(rows), source, (encoder, decoder), latent_shape)
        manifold.codes.copy_(codes[rows])
        manifold.remember_codes(manifold.prior.project(codes.clone()))
        return manifold.eval().requires_grad_(False)


def resolved(pair: Any) -> Any:
    """Resolve a ``module:object`` name, a class or a function without arguments; other values are returned unchanged.

    Raises:
        ManifoldError: If there is no such name, or the function needs arguments.
    """
    if isinstance(pair, str):
        pair = load_object(pair)
    if callable(pair) and not isinstance(pair, nn.Module):
        try:
            return pair()
        except TypeError as error:
            name = getattr(pair, "__name__", pair)
            raise ManifoldError(f"{name!r} must give encoder and decoder when called without arguments: {error}") from error
    return pair


def _run(module: nn.Module, rows: Tensor, name: str) -> Tensor:
    """Output of a module of the user's, with failures reported as `ManifoldError`."""
    try:
        found = module(rows)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise ManifoldError(f"the {name} does not take float32 rows of shape {tuple(rows.shape)}: {error}") from error
    if not isinstance(found, Tensor):
        raise ManifoldError(f"the {name} must give a tensor, not a {type(found).__name__}; wrap it so that it gives one")
    return found.float()


def _check_finite(values: Tensor, name: str) -> None:
    if not bool(values.isfinite().all()):
        row = int((~values.isfinite()).flatten(1).any(1).nonzero()[0])
        raise ManifoldError(f"the {name} gives NaN or infinity for row {row}")
