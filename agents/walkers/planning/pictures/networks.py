"""Small networks of convolutions that learn which class a picture shows, of several architectures.

The ensemble that checks ends (`agents.walkers.planning.pictures.ensemble`) and the badge (`agents.explanation.badge.oracles`)
consist of such networks, each of its own architectures, so that one does not repeat the other's mistakes.

Decoded ends often keep faint remains of the input's strokes. A network that averages over places detects them; one that was
trained with noise does not. Large pictures are therefore judged by both kinds, and with their faint values raised, too.

Symbols: N pictures, C channels, K classes.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor, nn

from envs.classifiers.networks import fit_classifier
from envs.errors import ManifoldError
from envs.files import write_whole
from envs.manifolds.cache import cache_folder, fit_key
from envs.manifolds.fitting import untrained
from envs.modalities.regions import channel_axis
from envs.reading.files import read_safetensors

if TYPE_CHECKING:
    from envs.core.world import World

STEPS, BATCH, RATE, DECAY = 600, 64, 4e-3, 1e-2
NOISE = 0.1  # of pictures in training, standard deviation
LARGE = 20  # pixels a side from which pictures are judged with their faint values raised, too


class Architecture(NamedTuple):
    """A network of two convolutions.

    Attributes:
        kernel: side of the first kernel; the second is 3x3.
        channels: of both convolutions.
        unit: the activation.
        pool: `MaxPool2d` or `AvgPool2d`, over 2x2 pixels after the second convolution.
        places: pooled further, to so many places along each axis; 0: not.
        hidden: units of a hidden linear layer; 0: none.
        norm: batch normalisation after both convolutions.
        noise: of pictures in training, standard deviation.
        faint: pictures with raised faint values are shown, too; see `Raised`.

    Example:
        >>> Architecture(5, (8, 16), nn.ReLU, nn.MaxPool2d, places=0, hidden=64).hidden
        64
    """

    kernel: int
    channels: tuple[int, int]
    unit: type[nn.Module]
    pool: type[nn.Module]
    places: int
    hidden: int
    norm: bool = False
    noise: float = NOISE
    faint: bool = False


class Layered(nn.Module):
    """Pictures (N, H, W), (N, C, H, W) or (N, H, W, C) as (N, C, H, W).

    Args:
        shape: of one picture.

    Example:
        >>> Layered((8, 8))(torch.zeros(2, 8, 8)).shape
        torch.Size([2, 1, 8, 8])
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.axis = channel_axis(tuple(shape))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x[:, None] if self.axis is None else x.movedim(self.axis + 1, 1)


class Raised(nn.Module):
    """The mean probabilities of a network on pictures and on the same pictures with their faint values raised.

    Faint values are those near the background, which is dark if the median of the training pictures is in the darker half of
    the range.

    Args:
        network: pictures (N, \\*shape) to logits (N, K).
        x: training pictures, which give range and background.

    Example:
        >>> kind = Raised(nn.Flatten(), torch.tensor([[0.0, 0.0, 1.0]]))
        >>> kind.raised(torch.tensor([[0.0, 0.1, 1.0]]))
        tensor([[0.0000, 0.1900, 1.0000]])
    """

    def __init__(self, network: nn.Module, x: Tensor) -> None:
        super().__init__()
        self.network, self.low, self.range = network, float(x.min()), max(float(x.max() - x.min()), 1e-6)
        self.dark = float(x.median()) < self.low + self.range / 2

    def raised(self, x: Tensor) -> Tensor:
        """Pictures (N, \\*shape) with raised faint values."""
        share = ((x - self.low) / self.range).clamp(0, 1)
        return self.low + self.range * (share * (2 - share) if self.dark else share.square())

    def forward(self, x: Tensor) -> Tensor:
        """Logarithms of the mean probabilities (N, K)."""
        both = torch.stack([self.network(x), self.network(self.raised(x))]).log_softmax(2)
        return both.logsumexp(0) - math.log(2)


def is_large(world: World) -> bool:
    """Whether a world's data are pictures of at least `LARGE` pixels a side."""
    return world.modality == "image" and max(world.manifold.data_shape) >= LARGE


def network(shape: Sequence[int], classes: int, kind: Architecture) -> nn.Sequential:
    """An untrained network: pictures (N, \\*shape) to logits (N, K). The first convolution's stride grows with the picture."""
    first = Layered(shape)(torch.zeros(1, *shape))
    stride = max(1, first.shape[2] // 14)
    few, many = kind.channels
    further = nn.AdaptiveAvgPool2d if kind.pool is nn.AvgPool2d else nn.AdaptiveMaxPool2d

    def norm(channels: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(channels)] if kind.norm else []

    body = nn.Sequential(
        Layered(shape), nn.Conv2d(first.shape[1], few, kind.kernel, stride, kind.kernel // 2), *norm(few), kind.unit(),
        nn.Conv2d(few, many, 3, padding=1), *norm(many), kind.unit(), kind.pool(2),
        *([further(kind.places)] if kind.places else []), nn.Flatten(),
    )  # fmt: skip
    with torch.no_grad():
        size = body.eval()(torch.zeros(1, *shape)).shape[1]
    hidden = [nn.Linear(size, kind.hidden), nn.ReLU()] if kind.hidden else []
    return nn.Sequential(*body, *hidden, nn.Linear(kind.hidden or size, classes))


def fit_network(x: Tensor, label: Tensor, classes: int, kind: Architecture, seed: int) -> nn.Module:
    """Train a network on pictures x (N, \\*shape) of classes `label` (N,), with noise and shifts by one pixel in sixteen.

    Weights are kept in the user's cache folder (`envs.manifolds.cache`).
    """
    built = untrained(lambda: network(x.shape[1:], classes, kind), seed)
    settings = [
        kind.kernel,
        kind.channels,
        kind.unit.__name__,
        kind.pool.__name__,
        kind.places,
        kind.hidden,
        kind.norm,
        kind.noise,
        classes,
        seed,
        STEPS,
        BATCH,
        RATE,
        DECAY,
    ]
    folder = cache_folder()
    name = fit_key("picture-network", {"settings": settings}, {"x": x, "label": label})
    file = None if folder is None else folder / f"{name}.safetensors"
    if file is not None:
        with contextlib.suppress(OSError, RuntimeError, ManifoldError):  # none, or a damaged one: fitted again
            built.load_state_dict(read_safetensors(file))
            return _with_raised(built.eval().requires_grad_(False), x, kind)
    shift = Layered(x.shape[1:])(x[:1]).shape[2] // 16

    def loss(module: nn.Module, rows: Tensor, wanted: Tensor, generator: torch.Generator) -> Tensor:
        move = torch.randint(-shift, shift + 1, (2,), generator=generator).tolist()
        axes = (1, 2) if channel_axis(tuple(x.shape[1:])) != 0 else (2, 3)
        seen = rows.roll(move, axes) + kind.noise * torch.randn(rows.shape, generator=generator)
        return nn.functional.cross_entropy(module(seen), wanted)

    fit_classifier(
        built, x, label, epochs=math.ceil(STEPS * BATCH / len(x)), batch_size=BATCH, learning_rate=RATE, weight_decay=DECAY,
        cosine=True, seed=seed, loss=loss,
    )  # fmt: skip
    if file is not None:
        with contextlib.suppress(OSError):  # a folder that cannot be written keeps nothing
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, save(built.state_dict()))
    return _with_raised(built, x, kind)


def _with_raised(trained: nn.Module, x: Tensor, kind: Architecture) -> nn.Module:
    return Raised(trained, x) if kind.faint else trained
