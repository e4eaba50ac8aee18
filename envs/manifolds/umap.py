"""UMAP embeddings with an encoder, a decoder and a boundary, so that they can be walked."""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds.base import NetworkManifold
from envs.manifolds.fitting import descend, reconstruction, untrained
from envs.manifolds.hull import MAX_DIMENSIONS
from envs.manifolds.neighbours import NeighbourAverage, interpolate, nearest
from envs.manifolds.networks.dense import MLP
from envs.manifolds.prior import Prior
from envs.runtime.progress import on_terminal
from envs.runtime.threads import one_thread
from envs.runtime.torch_defaults import in_usual_torch, threads_kept

DECODERS = ("mlp", "knn")
ENCODER_NEIGHBOURS = 8
DECODER_NEIGHBOURS = 10
LANDMARKS = 5000  # largest number of stored rows: the encoder searches all of them
RASTER = {1: 512, 2: 128, 3: 32}  # cells per axis of the typicality table
SLACK = 1e-3  # distance from the hull that rounding explains


class UMAPMap(NetworkManifold):
    """Uniform manifold approximation and projection (McInnes, Healy and Melville, 2018) in one to three dimensions.

    umap-learn computes the embedding when the map is fitted; a saved map does not need it. New data are placed among their
    nearest known neighbours (`neighbours.interpolate`; known data get exactly their embedding). Codes are decoded by a network
    (``mlp``) or by an average of the nearest data (``knn``). Both replace the library's transforms, which take about a second
    per call. The typical set is the convex hull of the embedding; codes outside are projected to its boundary, or refused.

    Codes are centred and scaled, by one number for all axes, to a mean square of 1. Lengths on the map carry little meaning.
    Between clusters `typicality` is low and decoded data are blends.

    Args:
        data_shape: Shape of one datum.
        latent_dim: Number of latent coordinates d, 1 to 3.
        modality: ``image`` or ``table``.
        rows: Number of data whose codes are stored.
        decoder: ``mlp`` or ``knn``.
        hidden: Widths of the network's hidden layers.

    Raises:
        ManifoldError: If there are more than three dimensions.
        UnknownNameError: If there is no such decoder.

    Example:
        >>> from envs.assets import ASSETS
        >>> manifold, codes = ASSETS["digits_umap"].manifold()
        >>> tuple(manifold.decode(codes[:2]).shape)
        (2, 8, 8)
    """

    kind = "umap"
    fitted_by_name = True
    codes: Tensor
    data: Tensor
    raster: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self,
        data_shape: Sequence[int],
        latent_dim: int = 2,
        modality: str = "image",
        rows: int = DECODER_NEIGHBOURS + 1,
        decoder: str = "mlp",
        hidden: Sequence[int] = (64, 64, 64),
    ) -> None:
        _check_dimension(latent_dim)
        if decoder not in DECODERS:
            raise UnknownNameError("decoder of a map", decoder, DECODERS)
        super().__init__(latent_dim)
        self.data_shape = tuple(data_shape)
        self.modality = modality
        self.decoder_kind, self.hidden = decoder, tuple(hidden)
        size = math.prod(self.data_shape)
        self.register_buffer("codes", torch.zeros(rows, latent_dim))
        self.register_buffer("data", torch.zeros(rows, size))
        self.register_buffer("raster", torch.ones((RASTER[latent_dim],) * latent_dim))
        self.register_buffer("low", torch.full((size,), -math.inf))
        self.register_buffer("high", torch.full((size,), math.inf))
        self.decoder: MLP | NeighbourAverage
        if decoder == "mlp":
            self.decoder = MLP((latent_dim, *self.hidden, size), squash=modality == "image")
        else:
            self.decoder = NeighbourAverage(self.codes, self.data, min(DECODER_NEIGHBOURS, rows - 1))

    @cached_property
    def prior(self) -> Prior:  # type: ignore[override]  # known only when the codes are
        """The convex hull of the codes is the typical set; there is no density."""
        return Prior("hull", self.codes.shape[1], samples=self.codes)

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-serialisable arguments that build an untrained copy."""
        return {
            "data_shape": list(self.data_shape),
            "latent_dim": self.latent_dim,
            "modality": self.modality,
            "rows": len(self.codes),
            "decoder": self.decoder_kind,
            "hidden": list(self.hidden),
        }

    def encode(self, x: Tensor) -> Tensor:
        """Codes (B, d) of data (B, \\*data_shape), interpolated from the nearest known data, which get their own codes."""
        k = min(ENCODER_NEIGHBOURS, len(self.codes) - 1)
        return self.prior.project(interpolate(x.reshape(len(x), -1), self.data, self.codes, k))

    def decode(self, z: Tensor, outside: str = "project") -> Tensor:
        """Decode codes.

        Args:
            z: Codes, (B, d).
            outside: What to do with codes outside the hull, where nothing is known: ``project`` decodes the nearest point of
                the hull, ``raise`` refuses them.

        Returns:
            Data, (B, \\*data_shape).

        Raises:
            ManifoldError: If `outside` is ``raise`` and a code lies outside the hull.
        """
        if outside == "raise":
            self._refuse_outside(z)
        return self.decoder(self.prior.project(z)).clamp(self.low, self.high).view(len(z), *self.data_shape)

    def _refuse_outside(self, z: Tensor) -> None:
        beyond = self.prior.hull.outside(z.detach())  # the hull may have been made where nothing is differentiated
        if bool((beyond > SLACK).any()):
            row = int(beyond.argmax())
            place = ", ".join(f"{value:.3g}" for value in z[row].tolist())
            raise ManifoldError(
                f"code {row} ({place}) lies {float(beyond[row]):.3g} outside the hull of the map, where nothing is known; "
                "project it first: manifold.prior.project(z)"
            )

    def usual_typicality(self, z: Tensor) -> Tensor:
        """Density of the map at codes (B, d), (B,) in (0, 1]: 1 where real data lie. Values come from a precomputed table.

        The value is min(1, (q / s)^2), where s is the distance to the fifth nearest code and q the 95 % quantile of s over
        real codes.
        """
        low, high = self._box
        grid = (2 * (z - low) / (high - low) - 1).flip(1)  # grid_sample counts the last axis first
        raster = self.raster
        if self.latent_dim == 1:
            grid, raster = torch.cat([grid, torch.zeros_like(grid)], 1), raster[None]
        grid = grid.view(1, len(z), *(1,) * (raster.ndim - 1), raster.ndim)
        found = torch.nn.functional.grid_sample(raster[None, None], grid, padding_mode="border", align_corners=True)
        return found.view(len(z))

    @property
    def _box(self) -> tuple[Tensor, Tensor]:
        """Lower and upper corner of the box around the codes, which the table covers."""
        return self.codes.amin(0), self.codes.amax(0)

    def _fill_raster(self) -> None:
        """Compute the table for `typicality`."""
        k = min(5, len(self.codes) - 2)
        own = nearest(self.codes, self.codes, k).reach[:, 0]  # neighbour k + 1 of a code, itself the first
        low, high = self._box
        axes = [torch.linspace(float(a), float(b), RASTER[self.latent_dim]) for a, b in zip(low, high, strict=True)]
        cells = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(-1, self.latent_dim)
        distance = nearest(cells, self.codes, k).distance[:, -1]
        values = (own.quantile(0.95) / distance.clamp_min(1e-12)).square().clamp_max(1)
        self.raster.copy_(values.view_as(self.raster))

    @classmethod
    @in_usual_torch
    def fit(
        cls,
        x: Tensor,
        *,
        latent_dim: int = 2,
        modality: str = "image",
        decoder: str = "mlp",
        hidden: Sequence[int] = (64, 64, 64),
        n_neighbors: int = 15,
        min_dist: float = 0.5,
        epochs: int = 150,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        seed: int = 0,
        progress: bool = False,
    ) -> UMAPMap:
        """Embed data with umap-learn and fit the decoder to the embedding.

        Args:
            x: Data, (N, \\*data_shape).
            latent_dim: Number of latent coordinates d, 1 to 3.
            modality: ``image`` or ``table``.
            decoder: ``mlp`` or ``knn``.
            hidden: Widths of the network's hidden layers.
            n_neighbors: Neighbours per datum, 2 to N - 1. Small values keep clusters, large ones the global layout.
            min_dist: Smallest distance between codes, 0 to 1. Near 0 clusters shrink and the gaps grow. The default leaves
                room to walk inside clusters; it lowers trustworthiness on digits by 0.2 points.
            epochs: Passes over the data when the decoder is fitted.
            batch_size: Rows per minibatch.
            learning_rate: Learning rate of the first step.
            seed: Seed of embedding, weights and minibatches.
            progress: Show progress bars.

        Returns:
            The map, frozen and in eval mode.

        Raises:
            ManifoldError: If umap-learn is missing, there are more than three dimensions or too few rows, or UMAP cannot
                spread the data over d dimensions.
        """
        _check_dimension(latent_dim)
        flat = x.reshape(len(x), -1)
        if len(x) < DECODER_NEIGHBOURS + 2:
            raise ManifoldError(f"a UMAP map needs at least {DECODER_NEIGHBOURS + 2} rows, got {len(x)}")
        if latent_dim > flat.shape[1]:
            raise ManifoldError(f"latent_dim must be at most the {flat.shape[1]} data dimensions, not {latent_dim}")
        if n_neighbors < 2 or not 0 <= min_dist <= 1:
            raise ManifoldError(
                f"n_neighbors must be at least 2 and min_dist between 0 and 1, not {n_neighbors} and {min_dist}"
            )
        codes = _embed(flat, latent_dim, min(n_neighbors, len(x) - 1), min_dist, seed, progress)
        if not bool(codes.isfinite().all()) or float(codes.var(0).min()) < 1e-12:
            raise ManifoldError(f"UMAP could not spread these {len(x)} rows over {latent_dim} dimensions: are they identical?")
        codes = codes - codes.mean(0)
        codes = codes / codes.square().mean().sqrt()
        generator = torch.Generator().manual_seed(seed)
        kept = torch.randperm(len(x), generator=generator)[:LANDMARKS].sort().values
        found = untrained(lambda: cls(x.shape[1:], latent_dim, modality, len(kept), decoder, hidden), seed)
        found.codes.copy_(codes[kept])
        found.data.copy_(flat[kept])
        found.low.copy_(flat.amin(0))
        found.high.copy_(flat.amax(0))
        _ = found.prior.hull  # refuse codes on one line here, not at the first step
        found._fill_raster()
        if isinstance(found.decoder, MLP):
            network = found.decoder
            descend(
                network, lambda index: reconstruction(network.logits(codes[index]), flat[index], modality), len(x),
                epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, generator=generator,
                label="fitting the decoder", progress=progress,
            )  # fmt: skip
        found.remember_codes(codes)
        return found.eval().requires_grad_(False)


def _check_dimension(latent_dim: int) -> None:
    if not 1 <= latent_dim <= MAX_DIMENSIONS:
        raise ManifoldError(
            f"a UMAP map has 1 to {MAX_DIMENSIONS} dimensions, not {latent_dim}: its hull is not computed in more; "
            "use --manifold vae"
        )


def _embed(flat: Tensor, latent_dim: int, n_neighbors: int, min_dist: float, seed: int, progress: bool) -> Tensor:
    """The embedding (N, d) by umap-learn, reproducible on one machine."""
    try:
        with threads_kept():
            from umap import UMAP
    except ImportError as error:
        raise ManifoldError(
            "fitting a UMAP map needs umap-learn: pip install 'manifold-traversal[umap]' (a saved map does not need it)"
        ) from error
    progress = on_terminal(progress)
    output = contextlib.redirect_stdout(sys.stderr) if progress else contextlib.nullcontext()
    with output, one_thread(), warnings.catch_warnings(), threads_kept():  # numba changes torch's number of threads
        warnings.simplefilter("ignore")  # about the single job, and about spectral initialisations that fall back
        # One job: with more, the layout is not reproducible.
        reducer = UMAP(
            n_components=latent_dim, n_neighbors=n_neighbors, min_dist=min_dist, random_state=seed, n_jobs=1, verbose=progress
        )
        return torch.from_numpy(reducer.fit_transform(flat.numpy()).copy()).float()
