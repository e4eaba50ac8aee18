"""What people's encoders and decoders come as: torch modules, TorchScript, exported programs, functions, autoencoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from envs.errors import ManifoldError

CODES = ("latent_dist", "latents", "latent")  # attributes of what `encode` of an autoencoder returns, `diffusers` style


class Part(nn.Module):
    """An encoder or decoder that is a function.

    Args:
        function: From a batch to a batch; its result may be an object with the tensor in an attribute.
        owner: Module whose weights are saved with the part, if there is one.
        symmetric: ``in`` if the function takes pictures in [-1, 1], ``out`` if it returns them; data lie in [0, 1].

    Example:
        >>> import torch
        >>> Part(lambda x: 2 * x)(torch.ones(1))
        tensor([2.])
    """

    def __init__(self, function: Callable[[Tensor], Any], owner: nn.Module | None = None, symmetric: str = "") -> None:
        super().__init__()
        self.function, self.owner, self.symmetric = function, owner, symmetric

    def forward(self, rows: Tensor) -> Any:
        """The tensor that the function returns for a batch."""
        found = self.function(2 * rows - 1 if self.symmetric == "in" else rows)
        if not isinstance(found, Tensor):
            found = next((getattr(found, name) for name in CODES if hasattr(found, name)), getattr(found, "sample", found))
            found = found if isinstance(found, Tensor) else getattr(found, "mean", found)  # of a distribution of codes
        return ((found + 1) / 2).clamp(0, 1) if self.symmetric == "out" else found


def modules_of(found: Any) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder of a pair, or of an object that has them.

    Args:
        found: One of these:

            - (encoder, decoder), each a torch module (TorchScript too), an exported program or a function;
            - an object with modules `encoder` and `decoder`;
            - an object with methods `encode` and `decode`, which is used if there are no such modules, or if the object has a
              `config`. The latter is how the autoencoders of `diffusers` look: their `encode` returns an object with
              `latent_dist`, `latents` or `latent`, `decode` one with `sample`, and their pictures lie in [-1, 1].

    Raises:
        ManifoldError: If it is none of them.
    """
    if isinstance(found, tuple | list):
        parts = [_part(part) for part in found]
    else:
        parts = [_part(getattr(found, "encoder", None)), _part(getattr(found, "decoder", None))]
        configured = hasattr(found, "config")
        encode, decode = getattr(found, "encode", None), getattr(found, "decode", None)
        if callable(encode) and callable(decode) and (configured or None in parts):
            owner = found if isinstance(found, nn.Module) else None
            parts = [
                Part(_asleep(owner, encode), owner, "in" * configured),
                Part(_asleep(owner, decode), None, "out" * configured),
            ]
    if len(parts) != 2 or parts[0] is None or parts[1] is None:
        raise ManifoldError(
            f"a {type(found).__name__} is not an encoder and decoder: pass a pair of torch modules or functions (encoder, "
            "decoder), or an object with attributes of these names, or with methods encode and decode; a single module from "
            "codes to data (a generator without an encoder) needs latent_dim=, the length of its codes"
        )
    return parts[0], parts[1]


def _asleep(owner: nn.Module | None, method: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    """The method, with its module (if it has one) in eval mode, whatever its owner did meanwhile."""

    def function(rows: Tensor) -> Any:
        if owner is not None and owner.training:
            owner.eval()
        return method(rows)

    return function


def _part(part: Any) -> nn.Module | None:
    """A module, an exported program or a function as a module; None for anything else."""
    if hasattr(part, "graph_module") and callable(getattr(part, "module", None)):  # `torch.export.ExportedProgram`
        program = part.module()
        return Part(lambda rows: program(rows))  # not a child: it has no eval mode to be put into
    if isinstance(part, nn.Module):
        return part
    return Part(part) if callable(part) and not isinstance(part, type) else None
