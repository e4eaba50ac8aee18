"""What goes wrong in use: each is a :class:`VimeError`, akin to a builtin one. Arguments that can never be: ValueError."""

from __future__ import annotations


class VimeError(Exception):
    """A setting, an environment or a state that does not fit; the message names the way out."""


class ModeError(VimeError, ValueError):
    """The bonus cannot be paid to this algorithm in the way that was asked for."""


class MissingInfoError(VimeError, KeyError):
    """The environment does not tell what the bonus needs to know of an episode's end."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would show the message in quotes


class DivergedError(VimeError, FloatingPointError):
    """The model's loss or its scores are no numbers any more."""
