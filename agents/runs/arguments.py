"""Arguments of an environment that is not a latent space, as a run's config.json gives them to its constructor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.console.cli import UserError
from envs.errors import UnknownNameError
from envs.reading.trust import named_by_user

_PLAIN = re.compile(r"[\w +-]*")  # neither a path nor module:object


def texts_of(value: Any, name: str = "") -> dict[str, str]:
    """Every text in JSON values that could name a file or an object -> the argument that it stands in."""
    if isinstance(value, str):
        return {} if _PLAIN.fullmatch(value) else {value: name}
    found: dict[str, str] = {}
    parts = value.items() if isinstance(value, Mapping) else ((name, part) for part in value) if isinstance(value, list) else ()
    for key, part in parts:
        found |= texts_of(part, name or str(key))
    return found


def check_arguments(env_id: str, kwargs: Mapping[str, Any], file: Path, own: bool) -> None:
    """Refuse arguments that the environment does not take, or that name files or objects though another account wrote them.

    Args:
        env_id: of the environment.
        kwargs: its arguments.
        file: where they stand, for messages.
        own: whether this account wrote the file.

    Raises:
        UnknownNameError: no such argument.
        UserError: such a text, which `--trust` (`trusting`) does not name.
    """
    known = parameters(env_id)
    for name in kwargs:
        if known is not None and name not in known:
            raise UnknownNameError(f"argument of {env_id} in {str(file)!r}", name, known)
    wanted = {text: name for text, name in texts_of(kwargs).items() if text not in named_by_user()}
    if wanted and not own:
        shown = ", ".join(f"{name} {text!r}" for text, name in wanted.items())
        raise UserError(
            f"{file} gives {env_id} texts that may name files or objects: {shown}. This account did not write the file as it is "
            f"now. If you trust them, name them: --trust {' '.join(wanted)} (Python: trust={sorted(wanted)})"
        )


def parameters(env_id: str) -> list[str] | None:
    """Names of the arguments that the environment's constructor takes; None where it takes any."""
    import inspect

    import gymnasium
    from gymnasium.envs.registration import load_env_creator

    spec = gymnasium.spec(env_id)
    entry = spec.entry_point if spec.entry_point is not None else spec.vector_entry_point
    found = inspect.signature(load_env_creator(entry) if isinstance(entry, str) else entry).parameters.values()  # type: ignore[arg-type]
    if any(part.kind is part.VAR_KEYWORD for part in found):
        return None
    return [part.name for part in found if part.kind is not part.VAR_POSITIONAL]
