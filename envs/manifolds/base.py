"""The contract of every latent space: a prior, an encoder, a decoder, and a geometry."""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from envs.errors import ManifoldError, UnknownNameError
from envs.files import in_home, write_together
from envs.manifolds.density import Flow
from envs.manifolds.prior import Prior
from envs.reading.checks import mapping, whole
from envs.reading.files import read_object, read_safetensors
from envs.reading.trust import digest_of, names_of_file, remember, remembered, source_of, trusting

FORMAT = 1
FLOW = "density.flow."  # prefix of the weights of a flow in a saved manifold
SIZES = 4096  # sizes up to this are accepted without a look at the weights
_REFUSED = (TypeError, ValueError, RuntimeError, IndexError, AttributeError, ArithmeticError, AssertionError, MemoryError)
Pull = Callable[[np.ndarray], np.ndarray]


class Manifold(torch.nn.Module, ABC):
    """A generative model with a latent space that can be walked.

    Data space is the decoder's output: images in [0, 1] of shape `data_shape`, standardised table rows, or word ids (int64).
    Codes and all other data are float32. The first axis is the batch. A subclass is built from JSON-serialisable `settings`
    and tensors, so that `save` and `load` need no pickle.

    A subclass sets `kind`, `prior`, `data_shape` and `modality`, and implements `encode`, `decode` and `settings`. A
    closed-form `jacobian`, `jvp` or `vjp` makes walks faster; the defaults differentiate `decode`.

    Args:
        latent_dim: Number of latent coordinates d.

    Attributes:
        prior: Law of the codes, with their typical set.
        data_shape: Shape of one datum, without the batch axis.
        modality: ``image``, ``table``, ``text`` or ``series``.
        kind: Name under which `save` records the class.
        fitted_by_name: Whether `envs.make_world(manifold=kind)` fits a manifold of this kind to the data.
        input_conditioned: Whether decoding along a walk depends on the input of the walk, see `decode_near`.
        on_graph: Whether frames are the nodes of a graph: a step leads to the present frame or a neighbour, see `nearest`.
        portable: Whether `save` can store the manifold. A saved run finds one that is not portable by its ``module:object``
            name.
        static_size: Numbers of `static` in an observation; 0 but for `Distracted`.
        density: Of the codes of real data, from which typicality is taken, such as a `Flow`; None: `usual_typicality`.

    Example:
        >>> class Identity(Manifold):
        ...     modality, settings = "table", {}
        ...     def __init__(self):
        ...         super().__init__(latent_dim=2)
        ...         self.data_shape, self.prior = (2,), Prior("normal", 2)
        ...     def encode(self, x):
        ...         return self.prior.project(x)
        ...     def decode(self, z):
        ...         return z
        >>> manifold = Identity()
        >>> manifold.metric(torch.zeros(1, 2))
        tensor([[[1., 0.],
                 [0., 1.]]])
    """

    kinds: ClassVar[dict[str, type[Manifold]]] = {}
    kind: ClassVar[str]
    fitted_by_name: ClassVar[bool] = False
    input_conditioned: bool = False
    on_graph: bool = False
    portable: bool = True
    static_size: int = 0
    density: Any = None
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
        # Mean and scale of the codes of real data, for `typicality`.
        self.register_buffer("code_mean", torch.zeros(latent_dim))
        self.register_buffer("code_scale", torch.ones(latent_dim))

    @property
    def latent_dim(self) -> int:
        """Number of latent coordinates d."""
        return self.prior.dim

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Encode data (B, \\*data_shape) as codes (B, d)."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Decode codes (B, d) to data (B, \\*data_shape)."""

    def decode_near(self, z: Tensor, factual: Tensor | None) -> Tensor:
        """Decode codes along walks from given inputs.

        This is `decode`, except where decoding depends on the input (`SentenceVAE`).

        Args:
            z: Codes, (B, d).
            factual: Inputs of the walks, (B, \\*data_shape); None for codes that belong to no input.

        Returns:
            Data, (B, \\*data_shape).
        """
        return self.decode(z)

    def near(self, factual: Tensor | None) -> Manifold:
        """The manifold of walks from given inputs (B, \\*data_shape), for the derivatives at B codes of these walks.

        This is the manifold itself, except where the rest of an input's code is kept (`Navigated`).
        """
        return self

    def nearest(self, z: Tensor, frame: Tensor, factual: Tensor) -> tuple[Tensor, Tensor]:
        """Of a graph (`on_graph`): the nearest of each frame and its neighbours to codes.

        Args:
            z: Codes, (B, d).
            frame: Present frames, (B, \\*data_shape).
            factual: Inputs of the walks, (B, \\*data_shape).

        Returns:
            The codes (B, d) and data (B, \\*data_shape) of the nearest.
        """
        raise ManifoldError(f"{type(self).__name__} is not a graph: decode its codes")

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON-serialisable arguments that build an untrained copy."""

    def coordinates(self, z: Tensor, x: Tensor) -> Tensor:
        """Coordinates (B, D) in which distances between data, and their gradients, are measured.

        By default these are the flattened data. Data without a metric (text) use their codes.

        Args:
            z: Codes of the data, (B, d).
            x: Data, (B, \\*data_shape).
        """
        return x.flatten(1)

    def coordinate_arrays(self, z: np.ndarray, x: np.ndarray) -> np.ndarray:
        """`coordinates` (B, D) on arrays: of codes z (B, d) and data x (B, \\*data_shape)."""
        if type(self).coordinates is Manifold.coordinates:
            return x.reshape(len(x), math.prod(x.shape[1:]))
        return self.coordinates(torch.from_numpy(z), torch.from_numpy(x)).numpy()

    def jacobian(self, z: Tensor) -> Tensor:
        """Jacobian (B, D, d) of the flattened decoded data at codes (B, d)."""
        single = torch.func.jacfwd(lambda code: self.decode(code[None])[0].flatten())
        return torch.func.vmap(single)(z)

    def metric(self, z: Tensor) -> Tensor:
        """Pullback metric G = J^T J of the decoder, (B, d, d), at codes (B, d).

        It measures data-space lengths of latent curves.

        Source: Arvanitidis, Hansen and Hauberg, "Latent Space Oddity", ICLR 2018, section 3.
        """
        jacobian = self.jacobian(z)
        return jacobian.transpose(1, 2) @ jacobian

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """Jacobian-vector product: the first-order change (B, D) of `coordinates` along code tangents (B, d)."""
        return torch.bmm(self.jacobian(z), tangent[:, :, None])[:, :, 0]

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """Vector-Jacobian product: the gradient (B, d) by the code of <cotangent, coordinates>, for cotangents (B, D)."""
        return torch.bmm(cotangent[:, None], self.jacobian(z))[:, 0]

    def linearized(self, z: np.ndarray, factual: Tensor | None = None) -> tuple[np.ndarray, Pull]:
        """Decode and prepare pullbacks on arrays, sharing work where possible.

        Args:
            z: Codes, (B, d).
            factual: Inputs of the walks, see `decode_near`.

        Returns:
            Data (B, \\*data_shape), and the function that maps cotangents (C, B, D) to gradients (C, B, d).
        """
        code = torch.from_numpy(z)

        def pull(cotangent: np.ndarray) -> np.ndarray:
            rows = torch.from_numpy(cotangent).flatten(0, 1)
            return self.vjp(code.repeat(len(cotangent), 1), rows).numpy().reshape(*cotangent.shape[:2], -1)

        return self.decode_near(code, factual).numpy(), pull

    def static(self, z: Tensor) -> Tensor:
        """Noise (B, static_size) that observations at codes (B, d) hold, see `Distracted`."""
        return z.new_zeros(len(z), 0)

    def attach(self, classifier: Any) -> None:
        """Connect the manifold with the classifier that is explained. Only manifolds built from it use this (`Embedding`)."""

    def remember_codes(self, z: Tensor) -> None:
        """Record mean and scale of the codes (N, d) of real data; `typicality` needs them."""
        self.code_mean.copy_(z.mean(0))
        self.code_scale.copy_(z.std(0).clamp_min(1e-6))

    def with_density(self, density: Any) -> Manifold:
        """A copy whose typicality, and bounds of walks, are those of a density of codes (`envs.manifolds.density`)."""
        if type(self).typicality is not Manifold.typicality:
            raise ManifoldError(f"{type(self).__name__} has a typicality of its own: leave typicality= out")
        found = copy.copy(self)  # it shares its submodules with the original, so that the density is no submodule
        found.__dict__["density"] = density
        return found

    def project(self, z: Tensor) -> Tensor:
        """Codes (B, d) in the typical set of the prior and, with a density, in that of the density."""
        z = self.prior.project(z)
        return z if self.density is None else self.density.project(z)

    def projected(self, z: np.ndarray) -> np.ndarray:
        """`project` on arrays (B, d)."""
        if type(self).project is Manifold.project and self.density is None:
            return self.prior.projected(z)
        return self.project(torch.from_numpy(z)).numpy()

    def typicality(self, z: Tensor) -> Tensor:
        """Typicality of codes (B, d), (B,) in (0, 1]: 1 for codes as typical as those of real data, less beyond.

        It is that of the `density`, if there is one, else `usual_typicality`.
        """
        return self.usual_typicality(z) if self.density is None else self.density.typicality(z)

    def usual_typicality(self, z: Tensor) -> Tensor:
        """Typicality (B,) of codes (B, d) without a density.

        It is 1 / max(1, s), where s is the mean squared standard score of a code. Its mean over real codes is 1 by
        construction.
        """
        mean, scale = self._codes
        scaled = (z.numpy() - mean) / scale
        score = np.einsum("ij,ij->i", scaled, scaled)
        return torch.from_numpy(self.latent_dim / np.maximum(score, self.latent_dim, dtype=np.float32))

    @cached_property
    def _codes(self) -> tuple[np.ndarray, np.ndarray]:
        """`code_mean` and `code_scale` as views: later changes of the buffers are visible."""
        return self.code_mean.numpy(), self.code_scale.numpy()

    def save(self, folder: str | Path) -> None:
        """Write ``manifold.json`` and ``manifold.safetensors`` into `folder`."""
        folder = Path(in_home(folder))
        settings = self.settings  # first: a manifold that cannot be saved leaves nothing behind
        folder.mkdir(parents=True, exist_ok=True)
        weights = {k: v.detach().contiguous() for k, v in self.state_dict().items()}
        card = {"format": FORMAT, "kind": self.kind, "settings": settings}
        if isinstance(self.density, Flow):  # another one is fitted again
            card["flow"] = self.density.dim
            weights |= {f"{FLOW}{k}": v.detach().contiguous() for k, v in self.density.state_dict().items()}
        content = save(weights)
        card["sha256"] = hashlib.sha256(content).hexdigest()
        write_together({folder / "manifold.safetensors": content, folder / "manifold.json": json.dumps(card, indent=1)})
        if settings.get("source") is not None:
            remember(digest_of(folder / "manifold.json"))

    @staticmethod
    def load(folder: str | Path, trust: Sequence[str] = ()) -> Manifold:
        """Load a manifold that `save` wrote. Its tensors are ordinary ones even under `torch.inference_mode`.

        Args:
            folder: Folder with the two files.
            trust: Names (``module:object``) of modules that may be imported although another account wrote the files, see
                `envs.reading.trust`.

        Returns:
            The manifold, frozen and in eval mode.

        Raises:
            UntrustedNameError: If another account wrote the files and they name an object that is not in `trust`.
            ManifoldError: If files are missing, the kind or format is unknown, or the weights do not fit or belong to another
                save.
        """
        folder = Path(in_home(folder))
        try:
            card = read_object(folder / "manifold.json")
            if card["format"] != FORMAT:
                raise ManifoldError(f"{folder}: manifold format {card['format']!r}, this version reads {FORMAT}")
            if not isinstance(card["kind"], str) or card["kind"] not in Manifold.kinds:
                raise UnknownNameError("manifold kind", card["kind"], Manifold.kinds)
            tensors = read_safetensors(folder / "manifold.safetensors", sha256=card.get("sha256"))
            _check_settings(card, tensors, folder / "manifold.json")
            source = source_of(card)
            own = source if remembered(digest_of(folder / "manifold.json")) else ()
            names = names_of_file(folder / "manifold.json", source, folder, own=own)
            # Construction draws first weights, which are then overwritten.
            with trusting(trust), names, torch.random.fork_rng(devices=[]), torch.inference_mode(False):
                manifold = Manifold.kinds[card["kind"]](**card["settings"])
                of_flow = {name: tensors.pop(name) for name in list(tensors) if "flow" in card and name.startswith(FLOW)}
                manifold.load_state_dict(tensors)
                if "flow" in card:
                    flow = Flow(whole(card["flow"], f"{folder / 'manifold.json'}: flow", 1, manifold.latent_dim))
                    flow.load_state_dict({name.removeprefix(FLOW): value for name, value in of_flow.items()})
                    manifold = manifold.with_density(flow.eval().requires_grad_(False))
        except FileNotFoundError as error:
            missing = [name for name in ("manifold.json", "manifold.safetensors") if not (folder / name).is_file()]
            raise ManifoldError(f"no saved manifold in {folder}: {' and '.join(missing)} missing") from error
        except ManifoldError:
            raise
        except KeyError as error:
            raise ManifoldError(f"the manifold saved in {folder} is damaged: manifold.json lacks {error}") from error
        except _REFUSED as error:  # what constructors raise for impossible settings
            raise ManifoldError(
                f"the manifold saved in {folder} is damaged: its settings do not build a manifold of kind {card['kind']!r} "
                f"that its weights fit: {error}"
            ) from error
        return manifold.eval().requires_grad_(False)


def _check_settings(card: Mapping[str, Any], tensors: Mapping[str, Tensor], file: Path) -> None:
    """Refuse settings that the kind does not take, and sizes far beyond those of the weights."""
    settings = mapping(card.get("settings"), f"{file}: settings")
    known = inspect.signature(Manifold.kinds[card["kind"]].__init__).parameters
    for name in settings:
        if name not in known:
            raise UnknownNameError(f"setting of {file}", name, [name for name in known if name != "self"])
    largest = max([SIZES, *(max(tensor.shape, default=0) for tensor in tensors.values())])
    for name, values in settings.items():
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, int | float) and not abs(value) <= largest:
                raise ManifoldError(
                    f"{file}: {name} is {value!r:.40}, but no array of its weights is that large: the file is damaged"
                )
    if "inner" in settings:
        _check_settings({"kind": settings["inner"], "settings": settings.get("settings")}, tensors, file)


class NetworkManifold(Manifold):
    """A manifold whose data are the output of a network that provides its own derivatives.

    The derivatives leave out any clamp after the network.

    Attributes:
        decoder: Network with `jacobian`, `jvp` and `vjp`, such as `envs.manifolds.networks.dense.MLP`.

    Example:
        >>> from envs.manifolds import VAE
        >>> vae = VAE(data_shape=(4,), latent_dim=2, hidden=(8,), modality="table")
        >>> tuple(vae.jacobian(torch.zeros(3, 2)).shape)
        (3, 4, 2)
    """

    decoder: Any

    def jacobian(self, z: Tensor) -> Tensor:
        """Jacobian (B, D, d) of the decoded data at codes (B, d), in closed form."""
        return self.decoder.jacobian(z)

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """Change (B, D) of the decoded data along code tangents (B, d)."""
        return self.decoder.jvp(z, tangent)

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """Gradient (B, d) by the code of <cotangent, data>, for cotangents (B, D)."""
        return self.decoder.vjp(z, cotangent)
