"""The interface of a posterior over dynamics: it learns from minibatches and states the moments of a prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from torch import Tensor

from vime.bnn.dynamics import Head
from vime.bnn.gaussian_weights import LayerWeights
from vime.errors import OptionError
from vime.information_gain.linearized import Moments
from vime.serialization import State

Batches = Iterable[tuple[Tensor, Tensor]]
Check = Callable[[Tensor, int], None]


class Architecture(NamedTuple):
    """What every posterior is made from.

    Attributes:
        inputs: I.
        targets: D.
        hidden: Sizes of the hidden layers.
        prior_sd: Standard deviation of the weights' prior.
        init_sd: Standard deviation of the weights' posterior before any data.
        noise: "heteroscedastic", "anchored" or a standard deviation, see :class:`vime.VIME`.
        learning_rate: Step size of Adam.
        options: Further options of one kind of posterior (``members``, ``guide``).
    """

    inputs: int
    targets: int
    hidden: tuple[int, ...]
    prior_sd: float
    init_sd: float
    noise: str | float
    learning_rate: float
    options: dict[str, Any]


class Posterior(ABC):
    """Posterior over the dynamics y = m(x; w) + noise, in whitened units.

    Made with torch's global generator (run it inside :meth:`vime.random_state.FencedRandom.as_global`), as are fits.

    Attributes:
        layers: The mean-field layers that the estimators with draws need; None if the posterior has none.
        head: Maps outputs to a normal over the target.
    """

    layers: list[LayerWeights] | None = None
    head: Head

    def __init__(self, architecture: Architecture) -> None:
        if unknown := sorted(set(architecture.options) - set(self.own_options)):
            own = f"its options are {', '.join(self.own_options)}" if self.own_options else "it has no options of its own"
            raise OptionError(f"the posterior {type(self).__name__} takes no {', '.join(unknown)}: {own}")
        self.architecture = architecture

    own_options: tuple[str, ...] = ()
    """Names of the options that only this kind of posterior has."""

    @abstractmethod
    def fit(self, batches: Batches, mask: Tensor, population: int, check: Check) -> dict[str, float]:
        """Learn.

        Args:
            batches: Pairs of inputs (B, I) and targets (B, D).
            mask: (D,) bool, which targets are in the loss.
            population: N, the size of the pool.
            check: Called with every loss and its number, before the loss is used.

        Returns:
            Statistics to log.
        """

    def refresh(self, inputs: Tensor, targets: Tensor) -> None:  # noqa: B027 - not every posterior needs it
        """Take over what was learned, after a fit; the whole pool as inputs (N, I) and targets (N, D), if it is read."""

    reads_pool: bool = False
    """Whether :meth:`refresh` and :meth:`absorb` need the transitions of the pool."""

    def absorb(self, inputs: Tensor, targets: Tensor) -> None:  # noqa: B027
        """Learn online from transitions (B, I), (B, D) that join the pool between two fits."""

    @abstractmethod
    def moments(self, inputs: Tensor) -> Moments:
        """Return the moments (B, D) of the targets of inputs (B, I). No gradients."""

    def predicted(self, inputs: Tensor) -> Tensor:
        """Return the means (B, D) alone, for statistics."""
        return self.moments(inputs).mean

    @abstractmethod
    def features(self, inputs: Tensor) -> Tensor:
        """Return features (B, k) whose inner products are the covariances of predictions, averaged over the targets, in units
        of the noise. They say what a transition teaches about another, see :mod:`vime.information_gain.joint`."""

    @abstractmethod
    def state(self) -> State:
        """Return the tensors of the model and its optimizer, a flat dict."""

    @abstractmethod
    def load(self, state: State) -> None:
        """Inverse of :meth:`state`; raises StateMismatchError for other shapes."""


def cautious_noise(log_sd: Tensor) -> Tensor:
    """Noise variances (B, D) from several models' log standard deviations (S, B, D): one deviation below their mean.

    Where the models have seen no data their noises disagree, and a noise that nobody has observed must not hide novelty.
    """
    return (2.0 * (log_sd.mean(0) - log_sd.std(0))).exp()


def deviations_as_features(predictions: Tensor, noise: Tensor) -> Tensor:
    """Features (B, S D) of S predictions (S, B, D) with noise variances (B, D), see :meth:`Posterior.features`."""
    scaled = (predictions - predictions.mean(0)) * noise.rsqrt()
    count, rows, targets = scaled.shape
    return scaled.permute(1, 0, 2).reshape(rows, count * targets) / ((count - 1) * targets) ** 0.5


def fixed_sd(noise: str | float) -> float | None:
    """The standard deviation of a fixed noise, None if it is learned."""
    return None if isinstance(noise, str) else float(noise)


def no_anchor(posterior: type[Posterior], noise: str | float) -> None:
    """Refuse noise="anchored" for posteriors that have no features to anchor it by."""
    if noise == "anchored":
        raise OptionError(
            f'noise="anchored" needs the posterior "mean_field" or "last_layer", not {posterior.__name__}, whose noise is '
            'already the cautious one of several models: pass noise="heteroscedastic"'
        )
