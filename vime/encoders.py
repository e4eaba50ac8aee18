"""Encoders of observations that are too large to store and predict as they are, such as images."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from vime.errors import InputError, OptionError
from vime.spaces import SpaceEncoder

Encoder = Callable[[Any], Any]


class FeatureEncoder(SpaceEncoder):
    """A :class:`vime.spaces.SpaceEncoder` whose rows are a function's features of the observations.

    Args:
        space: A Gymnasium space.
        role: Name of the space in error messages.
        encoder: A batch of B observations -> features (B, m), tensor or array, always the same for the same observation.

    Raises:
        OptionError: The encoder's features of a sample are not of shape (B, m).
    """

    def __init__(self, space: spaces.Space[Any], role: str, encoder: Encoder):
        self.space, self.role, self.encoder = space, role, encoder
        sample = copy.deepcopy(space).sample()  # a copy: the user's space keeps its random state
        self.size = int(self._features(np.stack([sample, sample])).shape[1])

    def _features(self, batch: Any) -> Tensor:
        with torch.no_grad():
            features = torch.as_tensor(np.asarray(self.encoder(batch)), dtype=torch.float32)
        if features.ndim != 2 or len(features) != len(batch):
            raise OptionError(
                f"the encoder returned shape {tuple(features.shape)} for {len(batch)} {self.role}s; expected (B, m)"
            )
        return features

    def __call__(self, batch: Any, names: Sequence[int] | None = None) -> Tensor:
        """Encode a batch, as in :class:`vime.spaces.SpaceEncoder`."""
        rows = self._features(batch)
        if not torch.isfinite(rows).all():
            row = int((~torch.isfinite(rows)).any(1).nonzero()[0])
            raise InputError(
                f"the encoder returned NaN or infinity for {self.role} row {row if names is None else names[row]}"
            )
        return rows.clone()


class RandomConv:
    """A frozen random convolutional network: images -> features, for bonuses on pixels.

    Random features keep apart what looks different, without training; see Burda et al., "Large-Scale Study of
    Curiosity-Driven Learning", 2019, section 2.1.

    Args:
        space: A Box of shape (H, W), (H, W, C) or (C, H, W); uint8 is divided by 255.
        features: m.
        seed: Of the weights.

    Raises:
        OptionError: The space is not one of images.

    Example:
        >>> import numpy as np
        >>> from gymnasium import spaces
        >>> from vime.encoders import RandomConv
        >>> space = spaces.Box(0, 255, (84, 84, 4), np.uint8)
        >>> RandomConv(space, features=32)(np.zeros((2, 84, 84, 4), np.uint8)).shape
        torch.Size([2, 32])
    """

    def __init__(self, space: spaces.Space[Any], features: int = 64, seed: int = 0):
        shape = space.shape or ()
        if not isinstance(space, spaces.Box) or len(shape) not in (2, 3):
            raise OptionError(f'encoder="random_conv" needs a Box of images, (H, W), (H, W, C) or (C, H, W), got {space}')
        self.grey = len(shape) == 2
        self.last = self.grey or shape[-1] <= shape[0]
        self.unit = 255.0 if space.dtype == np.uint8 else 1.0
        channels = 1 if self.grey else shape[-1] if self.last else shape[0]
        generator = torch.Generator().manual_seed(seed)
        layers: list[nn.Module] = []
        for inputs, outputs in ((channels, 16), (16, 32), (32, 32)):
            layers += [self._drawn(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), generator), nn.ReLU()]
        layers += [nn.AdaptiveAvgPool2d(4), nn.Flatten(), self._drawn(nn.Linear(512, features), generator)]
        self.network = nn.Sequential(*layers).requires_grad_(False)

    @staticmethod
    def _drawn(layer: Any, generator: torch.Generator) -> nn.Module:
        scale = math.sqrt(2.0 / layer.weight[0].numel())
        layer.weight = nn.Parameter(scale * torch.randn(layer.weight.shape, generator=generator), requires_grad=False)
        layer.bias = nn.Parameter(torch.zeros(len(layer.weight)), requires_grad=False)
        return layer

    def __call__(self, batch: Any) -> Tensor:
        """Return features (B, m) of B images."""
        rows = torch.as_tensor(np.asarray(batch)).to(torch.float32) / self.unit
        if self.grey:
            rows = rows.unsqueeze(-1)
        found: Tensor = self.network(rows.permute(0, 3, 1, 2) if self.last else rows)
        return found


def observation_encoder(space: spaces.Space[Any], encoder: str | Encoder | None) -> SpaceEncoder:
    """Return the encoder of observations: flat rows (None), a random network ("random_conv") or a function's features.

    Raises:
        OptionError: Another name.
    """
    if encoder is None:
        return SpaceEncoder(space, "observation")
    if encoder == "random_conv":
        encoder = RandomConv(space)
    if not callable(encoder):
        raise OptionError(f'encoder must be None, "random_conv" or a function of a batch of observations, got {encoder!r}')
    return FeatureEncoder(space, "observation", encoder)
