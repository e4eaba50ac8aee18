"""Oracles: judges of end points that took no part in finding them.

A walk may end where the classifier is confident and the picture still shows the class that it left. Two independent models
reveal this. An autoencoder of each class, fitted to the data of that class alone, measures which class a frame resembles (IM1
[1]_). An *oracle*, another network with another seed trained on the same data, checks whether the target class is predicted by
more than the explained classifier (the oracle score of [2]_). Both are fitted once per data set, in seconds, and cached.

Symbols: N items, D values of one datum, K classes.

References
----------
.. [1] Van Looveren and Klaise, "Interpretable Counterfactual Explanations Guided by Prototypes", ECML PKDD 2021,
   section 4, equation 6.
.. [2] Hvilshoj, Iosifidis, Assent, "On Quantitative Evaluations of Counterfactuals", arXiv 2111.00177, section 3.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from agents.console.cli import progress_bar
from agents.files import write_whole
from envs.errors import ManifoldError
from envs.files import in_home
from envs.modalities.series import guessed_series
from envs.reading.files import read_safetensors

HIDDEN, CODE = 64, 8  # of the autoencoders
PER_CLASS = 2000  # most items of a class that oracles are fitted to
AE_STEPS, AE_BATCH, AE_RATE = 800, 64, 4e-3
ORACLE_STEPS, ORACLE_BATCH, ORACLE_RATE = 700, 64, 2e-3
MOST_VALUES = 1024  # of a picture or series: larger ones are judged at a smaller size
MOST_RECONSTRUCTED = 10 * AE_BATCH * MOST_VALUES  # values in a step of all autoencoders; for more, minibatches are smaller
SEED = 20_111  # of weights and draws; no benchmark, run or registered world uses it
KEPT = 4  # data sets whose oracles stay in memory
FORMAT = 3
EPS = 1e-6

_kept: OrderedDict[str, Oracles] = OrderedDict()


class ClassAutoencoders(nn.Module):
    """K autoencoders D-64-8-64-D with SiLU units, one per class, computed by one batched product per layer.

    Args:
        size: D.
        classes: K.

    Example:
        >>> ClassAutoencoders(size=6, classes=2)(torch.zeros(2, 5, 6)).shape
        torch.Size([2, 5, 6])
    """

    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        pairs = list(pairwise((size, HIDDEN, CODE, HIDDEN, size)))
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(classes, a, b) / a**0.5) for a, b in pairs)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(classes, 1, b)) for _, b in pairs)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstructions (K, N, D) of x (K, N, D); items x[k] by autoencoder k."""
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            x = F.silu(x) if layer in (0, 2) else x  # none on the code and the output
        return x


class Oracle(nn.Module):
    """A classifier of another architecture than those of `envs`: two convolutions for pictures, two tanh layers for tables.

    Args:
        shape: of one datum.
        classes: K.

    Example:
        >>> Oracle((6,), classes=3)(torch.zeros(4, 6)).shape
        torch.Size([4, 3])
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.shape = shape
        if len(shape) == 1:
            self.body = nn.Sequential(nn.Linear(shape[0], 96), nn.Tanh(), nn.Linear(96, 48), nn.Tanh())
            width = 48
        else:
            channels = 1 if len(shape) == 2 else min(shape[0], shape[-1])
            self.body = nn.Sequential(
                nn.Conv2d(channels, 16, 3, padding=1), nn.GELU(), nn.Conv2d(16, 32, 3, padding=1), nn.GELU(),
                nn.AdaptiveMaxPool2d(4), nn.Flatten(), nn.Dropout(0.3),
            )  # fmt: skip
            width = 32 * 16
        self.last = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) of x (N, *shape)."""
        if len(self.shape) == 2:
            x = x[:, None]
        elif len(self.shape) == 3 and self.shape[-1] < self.shape[0]:
            x = x.movedim(-1, 1)
        return self.last(self.body(x))


def judged(x: Tensor) -> Tensor:
    """What oracles see of data (N, ...): pictures and series of more than `MOST_VALUES` values at a smaller size, channels
    first, which bounds the time of a fit; tables as they are. Channels of series are not mixed.

    Example:
        >>> judged(torch.zeros(1, 28, 28)).shape, judged(torch.zeros(1, 64, 64, 3)).shape
        (torch.Size([1, 28, 28]), torch.Size([1, 3, 16, 16]))
    """
    ratio = math.prod(x.shape[1:]) / MOST_VALUES
    side = math.ceil(math.sqrt(ratio))
    if side <= 1 or x.ndim < 3:
        return x
    if guessed_series(x.shape[1:], np.dtype(np.float32)):
        return F.avg_pool1d(x, math.ceil(ratio), ceil_mode=True)
    if x.ndim == 3:
        return judged(x[:, None])[:, 0]
    return F.avg_pool2d(x.movedim(-1, 1) if x.shape[-1] < x.shape[1] else x, side, ceil_mode=True)


class Oracles:
    """The autoencoders and the oracle of one data set; `fit_oracles` fits them.

    Args:
        shape: of one datum.
        classes: K.

    Example:
        >>> x, labels = np.array([[0.0, 0.0], [1.0, 1.0]] * 10), np.array([0, 1] * 10)
        >>> oracles = fit_oracles(x, labels, classes=2)
        >>> oracles.sees(x[:2])
        array([0, 1])
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        self.shape, self.classes = shape, classes
        inner = tuple(judged(torch.zeros(1, *shape)).shape[1:])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            self.autoencoders = ClassAutoencoders(math.prod(inner), classes)
            self.oracle = Oracle(inner, classes)
        self.modules = nn.ModuleDict({"autoencoders": self.autoencoders, "oracle": self.oracle})
        self.present = torch.zeros(classes, dtype=torch.bool)  # (K,) bool, classes with data

    def im1(self, x: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """(N,) |x - AE_target(x)|^2 / (|x - AE_source(x)|^2 + eps) for items x (N, ...): below 1 is more like the
        target class than like the source. `nan` where a class had no data, and where target and source are one."""
        flat = self._judged(x).flatten(1)
        with torch.inference_mode():
            every = self.autoencoders(flat.expand(self.classes, *flat.shape))
            error = (every - flat).square().sum(2).double()  # (K, N)
        rows = torch.arange(len(flat))
        to, off = torch.as_tensor(np.asarray(target)), torch.as_tensor(np.asarray(source))
        found = error[to, rows] / (error[off, rows] + EPS)
        found[~(self.present[to] & self.present[off]) | (to == off)] = torch.nan
        return np.asarray(found.numpy())

    def sees(self, x: np.ndarray) -> np.ndarray:
        """(N,) the class that the oracle predicts for items x (N, ...)."""
        items = self._judged(x)
        with torch.inference_mode():
            parts = [self.oracle(part).argmax(1) for part in items.split(4096)]
        return np.asarray(torch.cat(parts).numpy()) if parts else np.zeros(0, dtype=np.int64)

    def _judged(self, x: np.ndarray) -> Tensor:
        return judged(torch.as_tensor(np.asarray(x, dtype=np.float32)).reshape(-1, *self.shape))


def oracles_of(
    x: np.ndarray, labels: np.ndarray, classes: int, cache: str | Path | None = None, progress: bool = False
) -> Oracles:
    """The oracles of a data set: from memory, from `cache`, or fitted now (and kept in both).

    Args:
        x: (N, ...) data; at most 2,000 of a class are used, evenly through the rows.
        labels: (N,) their classes, true ones if known.
        classes: K.
        cache: folder for fitted oracles, as safetensors named by the digest of the data; None, or a folder that cannot be
            written: none.
        progress: show a bar while fitting.
    """
    data, labels = np.ascontiguousarray(x, dtype=np.float32), np.ascontiguousarray(labels, dtype=np.int64)
    settings = f"{FORMAT} {data.shape} {classes} {AE_STEPS} {ORACLE_STEPS} {SEED}"
    key = hashlib.sha256(settings.encode() + data.tobytes() + labels.tobytes()).hexdigest()[:16]
    if key not in _kept:
        file = None if cache is None else in_home(Path(cache)) / f"judges-{key}.safetensors"
        oracles = None if file is None else _read(file, data.shape[1:], classes)
        if oracles is None:
            oracles = fit_oracles(data, labels, classes, progress)
            if file is not None:
                with contextlib.suppress(OSError):  # a folder that cannot be written keeps nothing
                    file.parent.mkdir(parents=True, exist_ok=True)
                    write_whole(file, save({**oracles.modules.state_dict(), "present": oracles.present}))
        _kept[key] = oracles
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]


def fit_oracles(x: np.ndarray, labels: np.ndarray, classes: int, progress: bool = False) -> Oracles:
    """Fit autoencoders and oracle, about four seconds on one core for digits; the same data give the same weights on one
    machine."""
    data, known = judged(torch.from_numpy(np.array(x, dtype=np.float32))), torch.from_numpy(np.array(labels, dtype=np.int64))
    oracles = Oracles(tuple(np.shape(x)[1:]), classes)
    rows = [torch.nonzero(known == k).flatten() for k in range(classes)]
    rows = [r[torch.linspace(0, len(r) - 1, PER_CLASS).long()] if len(r) > PER_CLASS else r for r in rows]
    oracles.present = torch.tensor([len(r) > 0 for r in rows])
    generator = torch.Generator().manual_seed(SEED)
    used = torch.cat(rows)
    flat = data.flatten(1)
    count = max(8, min(AE_BATCH, MOST_RECONSTRUCTED // (classes * flat.shape[1])))
    bar = progress_bar(AE_STEPS + ORACLE_STEPS, "fitting oracles", progress, unit="step")
    with bar, torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)  # dropout draws from the global generator
        step = _optimizer(oracles.autoencoders, AE_RATE, AE_STEPS)
        for _ in range(AE_STEPS):
            # A class without data gets zeros and is never used.
            draws = [r[torch.randint(len(r), (count,), generator=generator)] if len(r) else None for r in rows]
            batch = torch.stack([torch.zeros(count, flat.shape[1]) if d is None else flat[d] for d in draws])
            step((oracles.autoencoders(batch) - batch).square().mean() * classes)
            bar.update(1)
        step = _optimizer(oracles.oracle, ORACLE_RATE, ORACLE_STEPS)
        for _ in range(ORACLE_STEPS):
            index = used[torch.randint(len(used), (ORACLE_BATCH,), generator=generator)]
            step(F.cross_entropy(oracles.oracle(data[index]), known[index]))
            bar.update(1)
    oracles.modules.eval().requires_grad_(False)
    return oracles


class _optimizer:
    """Adam with a rate that falls linearly to a hundredth; a call with a loss takes one step."""

    def __init__(self, module: nn.Module, rate: float, steps: int) -> None:
        self.adam = torch.optim.Adam(module.parameters(), lr=rate)
        self.schedule = torch.optim.lr_scheduler.LinearLR(self.adam, 1.0, 0.01, steps)

    def __call__(self, loss: Tensor) -> None:
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.schedule.step()


def _read(file: Path, shape: tuple[int, ...], classes: int) -> Oracles | None:
    """Oracles from their file; None where it is missing or damaged, so that they are fitted again."""
    oracles = Oracles(tuple(shape), classes)
    try:
        state = read_safetensors(file)
        oracles.present = state.pop("present")
        oracles.modules.load_state_dict(state)
    except (OSError, KeyError, RuntimeError, ManifoldError):
        return None
    oracles.modules.eval().requires_grad_(False)
    return oracles
