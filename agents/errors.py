"""The errors of :mod:`agents`; it loads nothing."""

from __future__ import annotations


class UserError(ValueError):
    """A setting, file or input that the user can correct; base of the errors that :mod:`agents` raises on purpose.

    The message names the value, where it came from, and what to do instead.
    """
