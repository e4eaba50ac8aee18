"""What surrounds the main function of every command: threads, readable errors, text in any encoding. It loads no torch."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from agents.console.terminal import own, visible_output
from agents.errors import UserError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
OUR_PACKAGES = ("agents", "envs", "vime")
OUR_DISTRIBUTION = "manifold-traversal"
MOST_THREADS = 10_000


def prepare_process(num_threads: int = 1) -> None:
    """For the ``main`` of a command, after its flags are read: look for foreign packages, limit threads, load torch.

    Raises:
        UserError: a distribution other than ours installs ``agents``, ``envs`` or ``vime``; a thread count below 1.
    """
    if not 1 <= num_threads <= MOST_THREADS:
        raise UserError(f"--num-threads {num_threads}: at least 1 is needed, and at most {MOST_THREADS:,}")
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UserError("the folder that this was started in is no longer there: go to another (cd) and try again") from None
    check_distributions()
    for variable in THREAD_VARIABLES:
        if num_threads == 1:
            os.environ.setdefault(variable, "1")
        else:
            os.environ[variable] = str(num_threads)
    from envs.runtime.threads import use_threads

    use_threads(num_threads)


def check_distributions() -> None:
    """Other distributions also install a package called ``agents``; in one environment their files would mix with ours.

    Raises:
        UserError: naming the distributions to uninstall.
    """
    import importlib.metadata

    owners = importlib.metadata.packages_distributions()
    foreign = {
        name: sorted({owner for owner in owners.get(name, ()) if _normalised(owner) != OUR_DISTRIBUTION})
        for name in OUR_PACKAGES
    }
    foreign = {name: found for name, found in foreign.items() if found}
    if foreign:
        listed = "; ".join(f"{name!r} also comes from {', '.join(found)}" for name, found in foreign.items())
        everyone = " ".join(sorted({owner for found in foreign.values() for owner in found}))
        raise UserError(
            f"another installed distribution uses our package names: {listed}. Use a virtual environment for "
            f"{OUR_DISTRIBUTION} alone, "
            f"or run: python -m pip uninstall {everyone}"
        )


def _normalised(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


class _NoBar(AbstractContextManager["_NoBar"]):
    """A bar that shows nothing."""

    n = 0

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, n: int = 1) -> None:
        """Nothing is shown."""

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        """Nothing is shown."""

    def close(self) -> None:
        """Nothing is shown."""


def progress_bar(total: int, description: str, enabled: bool = True, unit: str = "it") -> Any:
    """A tqdm bar on stderr (``update(n)``, ``set_postfix_str``, ``close``, or ``with``); silent if not enabled, and where
    stderr is not a terminal."""
    if not enabled:
        return _NoBar()
    from tqdm import tqdm

    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        disable=None,
        dynamic_ncols=True,
        leave=True,
        file=own(sys.stderr),
    )


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Within: user warnings are single lines on stderr, without a source location."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
            if category is UserWarning:
                print(f"warning: {message}", file=sys.stderr)
            else:
                usual(message, category, *place)

        warnings.showwarning = show  # type: ignore[assignment]
        yield


def run_main(main: Callable[[Sequence[str] | None], int | None], argv: Sequence[str] | None = None) -> int:
    """Call ``main(argv)`` and turn what goes wrong into one line on stderr and an exit code.

    Returns:
        main's own code (None is 0); 2 for a user error or a full disk; 130 for an interrupt. Other errors keep their
        traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    write_any_text()
    with visible_output():
        return _run(main, arguments)


def _run(main: Callable[[Sequence[str] | None], int | None], arguments: list[str]) -> int:
    """The inner part of `run_main`."""
    try:
        with _plain_warnings():
            return main(arguments) or 0
    except KeyboardInterrupt as interrupt:
        print(f"\n{interrupt}" if str(interrupt) else "\ninterrupted", file=sys.stderr)
        return getattr(interrupt, "exit_code", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our pipe has gone: say nothing more
        return 141
    except Exception as error:
        if "--debug" in arguments or not is_user_error(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2


#: replacements for characters that a terminal cannot show
ASCII_SIGNS = {"→": "->", "…": "...", "•": "*", "×": "x", "−": "-", "–": "-", "—": "-", "≥": ">=", "≤": "<="}


def write_any_text() -> None:
    """Let stdout and stderr take every text: a character that their encoding lacks is written in ASCII.

    Arrows and the like have a spelling, other letters become escapes such as ``\\u732b``, drawn blocks question marks.
    """
    codecs.register_error("manifold.ascii", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="manifold.ascii")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """The handler behind `write_any_text`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error

    def spelt(sign: str) -> str:
        drawn = unicodedata.category(sign)[0] in "SZ"
        return ASCII_SIGNS.get(sign, "?" if drawn else sign.encode("ascii", "backslashreplace").decode())

    return "".join(map(spelt, error.object[error.start : error.end])), error.end


def is_user_error(error: BaseException) -> bool:
    """Whether an error is shown without a traceback: ours, Gymnasium's (an unknown id), a full disk."""
    if isinstance(error, UserError):
        return True
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
    for module, name in (("envs.errors", "ManifoldError"), ("gymnasium.error", "Error"), ("vime.errors", "VimeError")):
        kind = getattr(sys.modules.get(module), name, None)  # not loaded: then it cannot have been raised
        if kind is not None and isinstance(error, kind):
            return True
    return False
