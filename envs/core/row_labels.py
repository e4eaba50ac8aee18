"""The numbers or labels that the user's rows have in the user's own file or data frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from envs.errors import ManifoldError

MOST_SHOWN = 3  # labels in a message


class RowLabels(NamedTuple):
    """Labels of the rows of a world.

    Attributes:
        reference: one for each reference row: its number in the file (0 is the first row beneath the header), or its index
            label in the data frame.
        held_out: one for each held-out row.
        lines: the line in the file of each row number; None for a data frame.

    Example:
        >>> RowLabels([0, 2], [1]).place(1)
        ('held_out', 0)
    """

    reference: Sequence[Any]
    held_out: Sequence[Any]
    lines: Sequence[int] | None = None

    def of(self, split: str) -> Sequence[Any]:
        """The labels of a split, `reference` or `held_out`."""
        return self.reference if split == "reference" else self.held_out

    def place(self, label: Any) -> tuple[str, int]:
        """Split and position of the row with this label; the held-out one where both splits hold it.

        Raises:
            ManifoldError: no row has it.
        """
        for split in ("held_out", "reference"):
            labels = self.of(split)
            found = [k for k, known in enumerate(labels) if known == label]
            if len(found) > 1:
                raise ManifoldError(f"{len(found)} rows of the data frame have the label {label!r}: make its index unique")
            if found:
                return split, found[0]
        every = [*self.reference, *self.held_out]
        if self.lines is not None:
            raise ManifoldError(f"row {label!r} is not in the file: it has the rows 0 to {len(self.lines) - 1}")
        shown = ", ".join(map(repr, every[:MOST_SHOWN]))
        raise ManifoldError(
            f"no row of the data frame has the label {label!r}; its index begins with {shown} "
            "(split held_out counts positions)"
        )

    def words(self, label: Any) -> str:
        """The row for people: ``row 3 (line 5 of the file)``."""
        return f"row {label}" + ("" if self.lines is None else f" (line {self.lines[label]} of the file)")


def plain_label(label: Any) -> int | str:
    """A label as a path's file holds it: whole numbers stay numbers, everything else becomes text."""
    label = label.item() if hasattr(label, "item") else label
    return label if isinstance(label, int) and not isinstance(label, bool) else str(label)
