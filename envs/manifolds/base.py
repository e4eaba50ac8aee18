"""What every latent space offers: a prior, a way in, a way out, and its geometry."""

from __future__ import annotations

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds.prior import Prior
from envs.reading.checks import mapping
from envs.reading.files import read_object, read_safetensors
from envs.reading.trust import digest_of, names_of_file, remember, remembered, source_of, trusting

FORMAT = 1
SIZES = 4096  # sizes up to this are built without asking whether the weights have them
_REFUSED = (TypeError, ValueError, RuntimeError, IndexError, AttributeError, ArithmeticError, AssertionError, MemoryError)
Pull = Callable[[np.ndarray], np.ndarray]


class Manifold(torch.nn.Module, ABC):
    """A generative model whose latent space can be walked.

    Data space is what the decoder speaks: pictures in [0, 1] of `data_shape`, standardised table rows, or word ids (int64).
    Codes and other data are float32; the first axis is the batch. Subclasses are built from JSON-able `settings` plus
    tensors, so that `save` and `load` need no pickle.

    Attributes:
        prior: law and typical set of the codes.
        data_shape: shape of one datum, without the batch axis.
        modality: ``image``, ``table`` or ``text``.
    """

    kinds: ClassVar[dict[str, type[Manifold]]] = {}
    kind: ClassVar[str]
    input_conditioned: bool = False  # True: what a code decodes to in a walk hangs on the walk's input, see `decode_near`
    portable: bool = True  # False: `save` cannot hold it, a saved run finds it by its name
    prior: Prior
    data_shape: tuple[int, ...]
    code_mean: Tensor
    code_scale: Tensor
    modality: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            Manifold.kinds[cls.kind] = cls

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        # Mean and scale of the codes of real data: what "as typical as real data" is measured against.
        self.register_buffer("code_mean", torch.zeros(latent_dim))
        self.register_buffer("code_scale", torch.ones(latent_dim))

    @property
    def latent_dim(self) -> int:
        """d, the number of latent coordinates."""
        return self.prior.dim

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Codes (B, d) of data (B, \\*data_shape)."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Data (B, \\*data_shape) of codes (B, d)."""

    def decode_near(self, z: Tensor, factual: Tensor | None) -> Tensor:
        """Data (B, \\*data_shape) of codes (B, d) in walks from inputs `factual` (B, \\*data_shape); None: from far away.

        What `decode` gives, but for manifolds whose decoding leans on the input (`SentenceVAE`).
        """
        return self.decode(z)

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON-able arguments that build an untrained twin."""

    def coordinates(self, z: Tensor, x: Tensor) -> Tensor:
        """Where data x (B, \\*data_shape) with codes z (B, d) lie, (B, D): what distances and their gradients are measured in.

        The flattened data themselves; data without a metric of their own (text) lie where their codes do.
        """
        return x.flatten(1)

    def jacobian(self, z: Tensor) -> Tensor:
        """Derivative of the flattened decoded data by the code, (B, D, d)."""
        single = torch.func.jacfwd(lambda code: self.decode(code[None])[0].flatten())
        return torch.func.vmap(single)(z)

    def metric(self, z: Tensor) -> Tensor:
        """Pullback metric G = J^T J of the decoder, (B, d, d): data-space lengths measured in the latent space.

        Source: Arvanitidis, Hansen and Hauberg, "Latent Space Oddity", ICLR 2018, section 3.
        """
        jacobian = self.jacobian(z)
        return jacobian.transpose(1, 2) @ jacobian

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """Change (B, D) of the decoded data's `coordinates` along code tangents (B, d), to first order."""
        return torch.bmm(self.jacobian(z), tangent[:, :, None])[:, :, 0]

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """Gradient (B, d) by the code of <cotangent, coordinates of the decoded data>, cotangents (B, D)."""
        return torch.bmm(cotangent[:, None], self.jacobian(z))[:, 0]

    def linearized(self, z: np.ndarray, factual: Tensor | None = None) -> tuple[np.ndarray, Pull]:
        """`decode_near` of codes z (B, d) and `vjp` there, which often share their work, on arrays: data (B, \\*data_shape),
        and the function from C sets of cotangents (C, B, D) to gradients (C, B, d)."""
        code = torch.from_numpy(z)

        def pull(cotangent: np.ndarray) -> np.ndarray:
            rows = torch.from_numpy(cotangent).flatten(0, 1)
            return self.vjp(code.repeat(len(cotangent), 1), rows).numpy().reshape(*cotangent.shape[:2], -1)

        return self.decode_near(code, factual).numpy(), pull

    def attach(self, classifier: Any) -> None:
        """Meet the classifier that is explained; nothing, but for manifolds that are made of it (`Embedding`)."""

    def remember_codes(self, z: Tensor) -> None:
        """Note the mean and scale of the codes of real data, for `typicality`."""
        self.code_mean.copy_(z.mean(0))
        self.code_scale.copy_(z.std(0).clamp_min(1e-6))

    def typicality(self, z: Tensor) -> Tensor:
        """How typical codes are, (B,) in (0, 1]: 1 as typical as real data, less beyond them.

        The mean squared standard score of real codes is 1 by construction; the value is 1 / max(1, score of z).
        """
        mean, scale = self._codes
        scaled = (z.numpy() - mean) / scale
        score = np.einsum("ij,ij->i", scaled, scaled)
        return torch.from_numpy(self.latent_dim / np.maximum(score, self.latent_dim, dtype=np.float32))

    @cached_property
    def _codes(self) -> tuple[np.ndarray, np.ndarray]:
        """`code_mean` and `code_scale` as views, so that `remember_codes` and loading show through."""
        return self.code_mean.numpy(), self.code_scale.numpy()

    def save(self, folder: str | Path) -> None:
        """Write `manifold.json` and `manifold.safetensors` into `folder`."""
        folder = Path(folder).expanduser()
        settings = self.settings  # first: a manifold that cannot be saved leaves nothing behind
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.detach().contiguous() for k, v in self.state_dict().items()}, folder / "manifold.safetensors")
        card = {"format": FORMAT, "kind": self.kind, "settings": settings}
        (folder / "manifold.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
        if settings.get("source") is not None:
            remember(digest_of(folder / "manifold.json"))

    @staticmethod
    def load(folder: str | Path, trust: Sequence[str] = ()) -> Manifold:
        """The manifold that `save` wrote.

        Args:
            folder: where it is.
            trust: the ``module:object`` that its modules may be loaded by, if another account saved it (see `envs.reading.trust`).

        Raises:
            UntrustedNameError: another account saved it, and it names an object that is not in `trust`.
            ManifoldError: nothing there, an unknown kind or format, or weights that do not fit.
        """
        folder = Path(folder).expanduser()
        try:
            card = read_object(folder / "manifold.json")
            if card["format"] != FORMAT:
                raise ManifoldError(f"{folder}: manifold format {card['format']!r}, this version reads {FORMAT}")
            if not isinstance(card["kind"], str) or card["kind"] not in Manifold.kinds:
                raise UnknownNameError("manifold kind", card["kind"], Manifold.kinds)
            tensors = read_safetensors(folder / "manifold.safetensors")
            _check_settings(card, tensors, folder / "manifold.json")
            source = source_of(card)
            own = source if remembered(digest_of(folder / "manifold.json")) else ()
            names = names_of_file(folder / "manifold.json", source, folder, own=own)
            # The first weights are drawn, and then written over.
            with trusting(trust), names, torch.random.fork_rng(devices=[]):
                manifold = Manifold.kinds[card["kind"]](**card["settings"])
            manifold.load_state_dict(tensors)
        except FileNotFoundError as error:
            missing = [name for name in ("manifold.json", "manifold.safetensors") if not (folder / name).is_file()]
            raise ManifoldError(f"no saved manifold in {folder}: {' and '.join(missing)} missing") from error
        except ManifoldError:
            raise
        except KeyError as error:
            raise ManifoldError(f"the manifold saved in {folder} is damaged: manifold.json lacks {error}") from error
        except _REFUSED as error:  # what the constructors of the kinds raise for settings that cannot be
            told = f"its settings make no manifold of kind {card['kind']!r}, or one that its weights do not fit"
            raise ManifoldError(f"the manifold saved in {folder} is damaged: {told}: {error}") from error
        return manifold.eval().requires_grad_(False)


def _check_settings(card: Mapping[str, Any], tensors: Mapping[str, Tensor], file: Path) -> None:
    """Refuse settings that the kind does not have, and sizes far beyond those of the weights."""
    settings = mapping(card.get("settings"), f"{file}: settings")
    known = inspect.signature(Manifold.kinds[card["kind"]].__init__).parameters
    for name in settings:
        if name not in known:
            raise UnknownNameError(f"setting of {file}", name, [name for name in known if name != "self"])
    largest = max([SIZES, *(max(tensor.shape, default=0) for tensor in tensors.values())])
    for name, values in settings.items():
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, int | float) and not abs(value) <= largest:
                raise ManifoldError(f"{file}: {name} is {value!r:.40}, which no array of its weights has: it is damaged")


class NetworkManifold(Manifold):
    """A manifold whose data are what a network gives, `decoder`, that knows its own derivatives (such as `MLP`).

    What is clamped after the network is left out of them.
    """

    decoder: Any

    def jacobian(self, z: Tensor) -> Tensor:
        """See `Manifold.jacobian`; closed form."""
        return self.decoder.jacobian(z)

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """See `Manifold.jvp`."""
        return self.decoder.jvp(z, tangent)

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """See `Manifold.vjp`."""
        return self.decoder.vjp(z, cotangent)
