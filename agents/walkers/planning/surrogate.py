"""A surrogate of the black box: a small network fitted to predictions that the training queried anyway.

It costs no further query. Its output is an approximation: every frame of a path is still predicted by the classifier itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.core.world import World
from envs.manifolds.networks.arrays import silu, silu_slope
from envs.manifolds.networks.dense import MLP

HIDDEN = 64
STEPS, BATCH, RATE = 1500, 256, 5e-3


class QueriedRows:
    """A sample of the training's queries: every `every`-th batch of codes and predictions, the newest `capacity` rows.

    Codes are kept instead of frames: they are small whatever the data are, and are decoded when they are needed. Where frames
    depend on their input, the inputs and their decoded codes are kept as well.

    Args:
        every: one batch out of this many is kept.
        capacity: rows that are kept at most.

    Example:
        >>> rows = QueriedRows(every=1)
        >>> rows.see(torch.zeros(4, 2), torch.full((4, 3), 1 / 3))
        >>> rows.rows()[0].shape
        torch.Size([4, 2])
    """

    def __init__(self, every: int = 8, capacity: int = 32_768) -> None:
        self.every, self.capacity = every, capacity
        self.codes: list[Tensor] = []
        self.predictions: list[Tensor] = []
        self.factuals: list[Tensor] = []
        self.bases: list[Tensor] = []
        self.seen = 0

    def see(self, z: Tensor, prediction: Tensor, factual: Factual | None = None) -> None:
        """Keep a batch, if it is this one's turn.

        Args:
            z: (B, d) codes.
            prediction: (B, K) the classifier's probabilities.
            factual: (B) inputs, where frames depend on them.
        """
        self.seen += 1
        if self.seen % self.every:
            return
        self.codes.append(z.clone())
        self.predictions.append(prediction.clone())
        self.factuals += [] if factual is None else [factual.x.clone()]
        self.bases += [] if factual is None else [factual.base.clone()]
        while (len(self.codes) - 1) * len(z) >= self.capacity:
            del self.codes[0], self.predictions[0], self.factuals[:1], self.bases[:1]

    def rows(self) -> tuple[Tensor, Tensor, Factual | None] | None:
        """All codes (N, d), predictions (N, K), and inputs (N) without their cells or None; None before the first batch."""
        if not self.codes:
            return None
        codes, predictions = torch.cat(self.codes), torch.cat(self.predictions)
        if not self.factuals:
            return codes, predictions, None
        x, base = torch.cat(self.factuals), torch.cat(self.bases) if self.bases else torch.zeros(len(codes), 0)
        return codes, predictions, Factual(x, torch.zeros(len(x), 0, dtype=torch.float64), base)

    def state_dict(self) -> dict[str, Any]:
        """The kept rows as plain arrays."""
        if not self.codes:
            return {"seen": self.seen}
        arrays = {"codes": self.codes, "predictions": self.predictions, "factuals": self.factuals, "bases": self.bases}
        return {"seen": self.seen, **{name: torch.stack(parts).numpy() for name, parts in arrays.items() if parts}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.seen = state["seen"]
        self.codes = [torch.from_numpy(part.copy()) for part in state.get("codes", ())]
        self.predictions = [torch.from_numpy(part.copy()) for part in state.get("predictions", ())]
        self.factuals = [torch.from_numpy(part.copy()) for part in state.get("factuals", ())]
        self.bases = [torch.from_numpy(part.copy()) for part in state.get("bases", ())]


class Surrogate(torch.nn.Module):
    """A network of one hidden layer of SiLU units on flat data, with logits as outputs.

    Symbols: B rows, D values of one datum, K classes.

    Args:
        size: D.
        classes: K.

    Example:
        >>> surrogate = Surrogate(size=4, classes=3)
        >>> margin, gradient = surrogate.look(torch.zeros(2, 4), torch.tensor([0, 1]))
        >>> margin.shape, gradient.shape
        (torch.Size([2]), torch.Size([2, 4]))
    """

    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        self.network = MLP((size, HIDDEN, classes))
        self.classes = classes

    def look(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Log odds (B,) of the target classes at data x (B, D), and their gradients (B, D) by x."""
        margin, gradient = self.judge(x.numpy(), target.numpy())
        return torch.from_numpy(margin), torch.from_numpy(gradient)

    def judge(self, x: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `look`, on arrays."""
        (first, shift), (last, bias) = self.network.arrays
        # One column per row of data: sums over few classes are slow along rows.
        hidden, gate = silu(first @ x.T + shift[:, None])
        logits = last @ hidden + bias[:, None]
        rows = np.arange(len(x))
        wanted = logits[target, rows]
        logits[target, rows] = -np.inf
        most = logits.max(0)
        rest = np.exp(logits - most)
        total = rest.sum(0)
        # d margin / d logits: 1 for the target, minus the softmax over the others.
        cotangent = rest / -total
        cotangent[target, rows] = 1
        return wanted - (most + np.log(total)), ((last.T @ cotangent) * silu_slope(hidden, gate)).T @ first

    @classmethod
    def of(cls, world: World, weights: dict[str, Any]) -> Surrogate:
        """The surrogate with these weights (arrays by name)."""
        surrogate = cls(world.reference.coordinates.shape[1], world.classes)
        surrogate.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
        return surrogate.eval().requires_grad_(False)

    def weights(self) -> dict[str, Any]:
        """Arrays by name, for `of`."""
        return {name: value.numpy() for name, value in self.state_dict().items()}

    @classmethod
    def fit(cls, world: World, queried: QueriedRows, seed: int = 0) -> Surrogate:
        """Distil the predictions in `queried` and those of the reference inputs: cross-entropy to soft labels, Adam, linear
        decay.

        Args:
            world: gives the reference inputs and decodes the codes.
            queried: a sample of the training's queries.
            seed: of weights and batches.

        Returns:
            The fitted surrogate, without gradients.
        """
        z, predictions, factual = world.reference.z, world.reference.prediction, world.reference.factual
        if (rows := queried.rows()) is not None:
            z, predictions = torch.cat((z, rows[0])), torch.cat((predictions, rows[1]))
            if (more := rows[2]) is not None:
                more = world.factual_of(more.x) if world.units.anchored and not more.base.shape[1] else more
                x, base = torch.cat((factual.x, more.x)), torch.cat((factual.base, more.base))
                factual = Factual(x, torch.zeros(len(x), 0, dtype=torch.float64), base)

        def rows_of(index: Tensor) -> Tensor:
            # Where no inputs were kept, frames do not depend on them: any will do.
            return world.coordinates_of(z[index], factual.chosen(index if len(factual.x) == len(z) else index[:1] * 0))

        # Codes may come from inference mode, which autograd refuses: work on copies.
        z = z.clone()
        return cls._distilled(rows_of, world.reference.coordinates.shape[1], predictions, seed)

    @classmethod
    def of_rows(cls, x: Tensor, predictions: Tensor, penalty: float, seed: int = 0) -> Surrogate:
        """Distil predictions (N, K) on data x (N, D).

        Args:
            x: standardised or one-hot, as the world encodes it.
            predictions: of the classifier.
            penalty: on the squares of the weights, in rows: the fewer the data, the smoother the fit.
            seed: of weights and batches.
        """
        x = x.clone()
        return cls._distilled(lambda index: x[index], x.shape[1], predictions, seed, penalty / len(x))

    @classmethod
    def _distilled(
        cls, rows_of: Callable[[Tensor], Tensor], size: int, predictions: Tensor, seed: int, penalty: float = 0.0
    ) -> Surrogate:
        """Fit to soft labels (N, K); `rows_of` maps indices (B,) to data (B, `size`)."""
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            surrogate = cls(size, predictions.shape[1])
        optimizer = torch.optim.Adam(surrogate.parameters(), lr=RATE, weight_decay=penalty)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, STEPS)
        predictions = predictions.clone()
        for _ in range(STEPS):
            index = torch.randint(len(predictions), (BATCH,), generator=generator)
            with torch.no_grad():
                x = rows_of(index)
            with torch.enable_grad():
                loss = torch.nn.functional.cross_entropy(surrogate.network(x), predictions[index])
                optimizer.zero_grad()
                loss.backward()
            optimizer.step()
            schedule.step()
        return surrogate.eval().requires_grad_(False)
