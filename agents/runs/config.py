"""The content of a run's config.json: the resolved settings of a training, from which its parts are rebuilt.

`agents.TrainConfig` is what a user requests; `RunConfig` is the resolved form, with the hyperparameters of the algorithm's
file, the world's whole config and the settings of the curiosity.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from agents.console.cli import UserError
from agents.runs.checks import CURIOSITY_FIELDS, RUN_FIELDS, Check
from envs.errors import UnknownNameError


class _Json:
    """A dataclass that goes through JSON in both directions; `CHECKS` says of fields what checks a value of a file."""

    CHECKS: ClassVar[Mapping[str, Check]] = {}

    def to_json(self) -> dict[str, Any]:
        """Every field, as JSON holds it."""
        values = {part.name: getattr(self, part.name) for part in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {name: value.to_json() if isinstance(value, _Json) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], where: str = "config.json") -> Self:
        """Read the JSON object that `to_json` wrote.

        Raises:
            UnknownNameError: a key that is not a field; close names are offered.
            UserError: no JSON object, a missing field, or a value of another type; `where` names the file.
        """
        parts = dataclasses.fields(cls)  # type: ignore[arg-type]
        if not isinstance(values, Mapping):
            raise UserError(f"{where} is damaged: {values!r:.60} is not a JSON object of settings")
        for name in values:
            if name not in {part.name for part in parts}:
                raise UnknownNameError(f"setting in {where}", name, [part.name for part in parts])
        missing = [part.name for part in parts if part.name not in values and _required(part)]
        if missing:
            raise UserError(f"{where} is damaged: it lacks {', '.join(missing)}")
        for name, check in cls.CHECKS.items():
            if name in values:
                check(values[name], f"{where} is damaged: {name}", error=UserError)
        return cls(**values)


def _required(part: dataclasses.Field[Any]) -> bool:
    return part.default is dataclasses.MISSING and part.default_factory is dataclasses.MISSING


@dataclass(frozen=True, kw_only=True)
class CuriosityConfig(_Json):
    """The curiosity of a training.

    Attributes:
        name: a name of `vime.BONUSES`, or ``module:object``.
        eta: weight of the bonus, at least 0; None: the wrapper's own. With a large weight the agent explores and neglects the
            reward.
        options: further arguments of the wrapper or the bonus, see `vime`.
    """

    CHECKS: ClassVar = CURIOSITY_FIELDS

    name: str
    eta: float | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunConfig(_Json):
    """The settings of one training.

    Attributes:
        algo: the algorithm, a name of `agents.training.algorithms`.
        env: ``id``, the environment's, and ``kwargs``, its arguments where it is not a latent space (`world` holds those of one).
        hyperparameters: of the algorithm: those of its file with what was requested over them.
        seed: of everything random, from 0 to 2^32 - 1.
        n_envs: environments that walk at once, at least 1.
        n_timesteps: total steps over all environments.
        world: the record of the world, see `agents.runs.world_record.describe_world`; None where there is none.
        curiosity: None where there is none.
        num_threads: that torch and numerical libraries ran in.
        created: when the training began, in UTC.
        reference: facts of the reference set, see `agents.training.diagnosis`; None: not measured.
        versions: distribution -> version.
        warm_start: behaviour cloning before the first step, see `agents.training.warm_start`; None: none.
    """

    CHECKS: ClassVar = RUN_FIELDS

    algo: str
    env: dict[str, Any]
    hyperparameters: dict[str, Any]
    seed: int
    n_envs: int
    n_timesteps: int
    world: dict[str, Any] | None = None
    curiosity: CuriosityConfig | None = None
    created: str = ""
    num_threads: int = 1
    versions: dict[str, str] = field(default_factory=dict)
    warm_start: dict[str, Any] | None = None
    reference: dict[str, Any] | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any], where: str = "config.json") -> Self:
        """See `_Json.from_json`; the curiosity is read in the same way."""
        config = super().from_json(values, where)
        if config.curiosity is None:
            return config
        return dataclasses.replace(config, curiosity=CuriosityConfig.from_json(config.curiosity, f"the curiosity of {where}"))  # type: ignore[arg-type]

    @property
    def env_id(self) -> str:
        """The id of the environment."""
        return self.env["id"]

    @property
    def env_kwargs(self) -> dict[str, Any]:
        """The arguments of an environment that is not a latent space."""
        return dict(self.env.get("kwargs", {}))

    def to_json(self) -> dict[str, Any]:
        """See `_Json.to_json`; a training without a warm start does not name one."""
        values = super().to_json()
        if self.warm_start is None:
            del values["warm_start"]
        return values
