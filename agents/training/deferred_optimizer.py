"""An optimizer that is constructed when it is first used: a policy that only acts needs none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class DeferredAdam:
    """`torch.optim.Adam`, constructed at the first access to one of its attributes.

    Constructing a torch optimizer imports torch's compiler, which takes longer than loading the rest of a run.

    Args:
        parameters: as of `torch.optim.Adam`.
        **settings: as of `torch.optim.Adam`.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.ones(1))
        >>> optimizer = DeferredAdam([weight], lr=0.5)
        >>> weight.sum().backward()
        >>> optimizer.step()
        >>> round(float(weight), 3)
        0.5
    """

    def __init__(self, parameters: Iterable[Any], **settings: Any) -> None:
        self._arguments = list(parameters), settings

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copying and pickling look for these
            raise AttributeError(name)
        import torch

        parameters, settings = self.__dict__["_arguments"]
        self.__dict__["_optimizer"] = adam = self.__dict__.get("_optimizer") or torch.optim.Adam(parameters, **settings)
        return getattr(adam, name)
