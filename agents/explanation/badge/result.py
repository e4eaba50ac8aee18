"""The badge itself, and its JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from agents.errors import UserError
from envs.reading import checks

HOLDS = "holds"
UNUSUAL = "unusual end"
ALONE = "flips this model only"
FAILED = "not reached"
KINDS = (HOLDS, UNUSUAL, ALONE, FAILED)


@dataclass(frozen=True)
class Badge:
    """What can be said for and against the end of a path.

    Attributes:
        kind: ``holds``: other classifiers agree, the end is as usual as real data, and frame 0 keeps the input's class;
            ``unusual end``: one of the last two fails; ``flips this model only``: other classifiers do not see the class;
            ``not reached``: the walk did not satisfy its task.
        reasons: one sentence for each check, failed ones first.

    Example:
        >>> Badge("holds", ["Other classifiers agree."]).holds
        True
    """

    kind: str
    reasons: list[str]

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the end."""
        return self.kind == HOLDS

    def to_json(self) -> dict[str, Any]:
        """All fields in JSON's types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, found: Any, place: str = "badge", error: type[ValueError] = UserError) -> Badge:
        """Read what `to_json` wrote.

        Raises:
            ValueError: a field that is missing, unknown or of another type.
        """
        fields = checks.mapping(found, place, error=error)
        if set(fields) != {"kind", "reasons"}:
            raise error(f"{place}: has the fields {sorted(fields)}, it must have kind and reasons")
        if fields["kind"] not in KINDS:
            raise error(f"{place}: kind is {fields['kind']!r:.40}, it must be one of {', '.join(KINDS)}")
        return cls(fields["kind"], checks.texts(fields["reasons"], f"{place}: reasons", error=error))
