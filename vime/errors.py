"""The errors of this package. Each one is a :class:`VimeError` and also the builtin error that callers would expect."""

from __future__ import annotations


class VimeError(Exception):
    """Base class of every error that this package raises on purpose.

    Example:
        >>> import vime
        >>> try:
        ...     vime.BonusMixer(eta=-1.0)
        ... except vime.VimeError as error:
        ...     print(type(error).__name__)
        OptionError
    """


class OptionError(VimeError, ValueError):
    """A constructor or a function was given an option with an invalid value."""


class OptionTypeError(OptionError, TypeError):
    """An option, a space or an environment has the wrong type."""


class InputError(VimeError, ValueError):
    """A batch of observations, actions or features has the wrong shape, or contains NaN or infinity."""


class NotFittedError(VimeError, RuntimeError):
    """A score was requested before the first fit of the bonus."""


class PoolTooSmallError(VimeError, RuntimeError):
    """The pool holds fewer transitions than a fit or a sample needs."""


class DivergedError(VimeError, FloatingPointError):
    """The loss or the scores of a model are NaN or infinite."""


class StateMismatchError(VimeError, ValueError):
    """A saved state is incomplete, or belongs to an object with another shape, kind, version or other options."""


class UsageError(VimeError, RuntimeError):
    """Methods were called in the wrong order."""


class ModeError(VimeError, ValueError):
    """The bonus cannot be paid to this algorithm in the requested mode."""


class MissingInfoError(VimeError, KeyError):
    """An ``info`` dict lacks an entry that the bonus needs at the end of an episode."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would print the message in quotes


class WrapperOrderError(VimeError, ValueError):
    """The order of the vector environment wrappers would make the bonus or the reported returns wrong."""
