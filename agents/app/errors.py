"""Errors of the explorer, each with the HTTP status of its response."""

from __future__ import annotations

from typing import ClassVar

from agents.errors import UserError


class RequestError(UserError):
    """What a request asks for cannot be done; the message says why, and what to do instead.

    Attributes:
        status: of the answer.

    Example:
        >>> RequestError("no such walker").status
        400
    """

    status: ClassVar[int] = 400


class UnknownSession(RequestError):
    """No session has this token: it was closed to make room, or the server was started again.

    Example:
        >>> UnknownSession("no such session").status
        404
    """

    status = 404


class BudgetSpent(RequestError):
    """The session has no classifier queries left for this.

    Example:
        >>> BudgetSpent("no queries left").status
        429
    """

    status = 429


class Busy(RequestError):
    """The classifier was in use by other sessions for too long.

    Example:
        >>> Busy("try again").status
        503
    """

    status = 503
