"""What every script of :mod:`agents` shares: flags from a dataclass, threads, readable errors. It loads no torch.

A script is a dataclass, a ``main`` and two lines::

    @dataclass(kw_only=True)
    class ExplainConfig(ScriptConfig):
        '''Explain inputs by walking.'''                       # becomes the text of --help
        run: str = option("latest", "run folder", positional=True)
        index: int | None = option(None, "which input")        # --index
        n_timesteps: int = option(200_000, "steps", "-n")      # --n-timesteps, -n
        env_kwargs: dict[str, Any] = option({}, "k:v pairs")   # --env-kwargs a:1 b:foo
        progress: bool = option(False, "show a bar", "-P")     # --progress, -P

    def main(argv: Sequence[str] | None = None) -> int:
        config = parse_config(ExplainConfig, argv, prog="python -m agents.explain")  # --help ends here: no torch
        prepare_process(config.num_threads)     # foreign distributions, threads; loads torch
        import torch                            # heavy imports only from here on
        ...
        return 0

    if __name__ == "__main__":
        sys.exit(run_main(main))

Whatever the user can put right is raised as :class:`UserError` (or ``envs.errors.ManifoldError``): its message names
the wrong value, where it came from and what to do instead. :func:`run_main` prints it as one line on stderr and
returns 2; ``--debug`` shows the traceback.
"""

from __future__ import annotations

import argparse
import ast
import codecs
import dataclasses
import errno
import io
import math
import os
import sys
import types
import typing
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from agents.errors import UserError as UserError
from agents.terminal import own, visible_output

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
OUR_PACKAGES = ("agents", "envs", "vime")
OUR_DISTRIBUTION = "manifold-traversal"

MOST_THREADS, MOST_STEPS = 10_000, 10**15
SEEDS: dict[str, Any] = {"low": 0, "high": 2**32 - 1}  # limits of flags, see option
STEPS: dict[str, Any] = {"low": 1, "high": MOST_STEPS}

ConfigT = TypeVar("ConfigT")


def option(
    default: Any,
    help: str,
    *flags: str,
    positional: bool = False,
    choices: Sequence[Any] | None = None,
    metavar: str | None = None,
    hidden: bool = False,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A dataclass field that is also a command-line flag.

    Args:
        default: the field's default (a list or dict is copied for each instance).
        help: one line for ``--help``; the default is added to it.
        flags: further spellings, e.g. ``"-n"``; ``--field-name`` is always there.
        positional: an optional positional argument instead of a flag.
        choices: the allowed values.
        metavar: the placeholder in ``--help``.
        hidden: no flag at all: the field is for Python alone.
        low, high: the least and the largest number that the flag takes.
    """
    metadata: dict[str, Any] = {"help": help, "flags": flags, "positional": positional, "choices": choices}
    metadata |= {"metavar": metavar, "hidden": hidden, "low": low, "high": high}
    if isinstance(default, dict | list):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(kw_only=True)
class ScriptConfig:
    """Flags of every script."""

    num_threads: int = option(
        1, "threads of torch and BLAS; these networks are tiny, more than one slows them down", metavar="N"
    )
    debug: bool = option(False, "show the traceback of an error")


@dataclass(kw_only=True)
class LoadingConfig(ScriptConfig):
    """Flags of every script that reads runs or paths."""

    trust: list[str] = option(  # noqa: RUF009
        [], "objects that may be loaded though a file names them that this account did not write", metavar="MODULE:OBJECT"
    )


def parse_config(
    config_class: type[ConfigT], argv: Sequence[str] | None = None, prog: str | None = None, epilog: str | None = None
) -> ConfigT:
    """Read the command line into ``config_class``, whose fields (see :func:`option`) are the flags.

    Raises:
        SystemExit: 0 after ``--help``, 2 with a usage line for an unknown flag or a value of the wrong type.
        UserError: a number outside the limits of its flag.
    """
    parser = make_parser(config_class, prog, epilog)
    namespace = parser.parse_args(argv)
    config = config_class(**{name: in_home(value) for name, value in vars(namespace).items()})
    _check_numbers(config)
    return config


def in_home(value: Any) -> Any:
    """A text that begins with ``~/`` as a path in the user's home; the shell leaves it alone behind ``=`` and in quotes."""
    if isinstance(value, list):
        return [in_home(item) for item in value]
    return os.path.expanduser(value) if isinstance(value, str) and value.startswith(f"~{os.sep}") else value


def _check_numbers(config: Any) -> None:
    """Refuse numbers outside the limits of their flags, and those that are not finite."""
    for field in dataclasses.fields(config):
        given = getattr(config, field.name)
        for value in given if isinstance(given, list) else [given]:
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            low, high = (field.metadata.get(end) for end in ("low", "high"))
            flag = "--" + field.name.replace("_", "-")
            if isinstance(value, float) and not math.isfinite(value):
                raise UserError(f"{flag} {value}: a finite number is needed")
            if low is not None and value < low:
                raise UserError(f"{flag} {value}: a number of at least {low:,} is needed")
            if high is not None and value > high:
                raise UserError(f"{flag} {value}: a number of at most {high:,} is needed")


def make_parser(config_class: type, prog: str | None = None, epilog: str | None = None) -> argparse.ArgumentParser:
    """The argparse parser of a config dataclass; its defaults are the dataclass's."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=config_class.__doc__,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        if field.metadata.get("hidden") or "help" not in field.metadata:
            continue
        factory = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        _add_argument(parser, field, hints[field.name], default)
    return parser


def _add_argument(parser: argparse.ArgumentParser, field: dataclasses.Field[Any], hint: Any, default: Any) -> None:
    """One field as one argument of the parser."""
    metadata = field.metadata
    base, is_list = _plain_type(hint)
    text = metadata["help"].replace("%", "%%")
    if default not in (None, "", False) and default != {} and default != []:
        text += f" (default: {default})"
    names = (field.name,) if metadata["positional"] else (*metadata["flags"], "--" + field.name.replace("_", "-"))
    keywords: dict[str, Any] = {"help": text, "default": default}
    if not metadata["positional"]:
        keywords["dest"] = field.name
    if base is bool:
        parser.add_argument(*names, action=argparse.BooleanOptionalAction if default else "store_true", **keywords)
        return
    if base is dict:
        parser.add_argument(*names, nargs="+", action=_KeyValues, metavar="KEY:VALUE", **keywords)
        return
    keywords["type"] = whole_number if base is int else base
    if metadata["choices"] is not None:
        keywords["choices"] = list(metadata["choices"])
    if metadata["metavar"] is not None:
        keywords["metavar"] = metadata["metavar"]
    if is_list:
        keywords |= {"nargs": "+"} | ({} if default else {"action": "extend"})
    elif metadata["positional"]:
        keywords["nargs"] = "?"
    parser.add_argument(*names, **keywords)


def _plain_type(hint: Any) -> tuple[type, bool]:
    """``int | None`` -> (int, False); ``list[str]`` -> (str, True); ``dict[str, Any]`` -> (dict, False)."""
    factual = typing.get_origin(hint)
    if factual in (types.UnionType, typing.Union):
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        return _plain_type(parts[0])
    if factual in (list, tuple):
        return _plain_type(typing.get_args(hint)[0])[0], True
    if factual is not None:
        return factual, False
    return hint if hint is not Any else str, False


def whole_number(text: str) -> int:
    """``200000``, ``200_000`` and ``2e5`` are the same whole number; ``2.5`` is none."""
    try:
        return int(text)
    except ValueError:
        try:
            value = float(text)
        except ValueError:
            value = 0.5
        if not value.is_integer():
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        return int(value)


def parse_value(text: str) -> Any:
    """A Python literal (``0.5``, ``[64, 64]``, ``None``, ``true``) or, failing that, the text; nothing is run."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def parse_key_values(pairs: Sequence[str]) -> dict[str, Any]:
    """``["n_steps:64", "policy_kwargs:{'net_arch': [64]}"]`` -> a dict. ``key=value`` is read as well.

    Raises:
        UserError: a pair without a key or without a separator.
    """
    result = {}
    for pair in pairs:
        positions = [pair.find(mark) for mark in ":=" if mark in pair]
        cut = min(positions) if positions else 0
        if cut < 1:
            raise UserError(f"{pair!r} is not of the form key:value; write for example n_steps:64 or net_arch:'[64, 64]'")
        result[pair[:cut].strip()] = parse_value(pair[cut + 1 :].strip())
    return result


class _KeyValues(argparse.Action):
    """``--flag a:1 b:foo`` as a dict; several uses of the flag add up."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        try:
            setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), **parse_key_values(values)})
        except UserError as error:
            raise argparse.ArgumentError(self, str(error)) from None


def prepare_process(num_threads: int = 1) -> None:
    """For a script's ``main``, after the flags are read: looks for foreign packages, limits the threads, loads torch.

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
        told = "; ".join(f"{name!r} also comes from {', '.join(found)}" for name, found in foreign.items())
        everyone = " ".join(sorted({owner for found in foreign.values() for owner in found}))
        raise UserError(
            f"another installed distribution uses our package names: {told}. Use a virtual environment for "
            f"{OUR_DISTRIBUTION} alone, "
            f"or run: python -m pip uninstall {everyone}"
        )


def _normalised(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def progress_bar(total: int, description: str, enabled: bool = True, unit: str = "it") -> Any:
    """A tqdm bar on stderr (``update(n)``, ``set_postfix_str``, ``close``, or ``with``); silent if not enabled, and where
    stderr is no terminal."""
    from tqdm import tqdm

    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        disable=None if enabled else True,
        dynamic_ncols=True,
        leave=True,
        file=own(sys.stderr),
    )


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Within: warnings for the user are lines on stderr without a place in our source."""
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
        main's own code (None is 0); 2 for an error of the user's or a full disk; 130 for an interrupt; other errors
        keep their traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    write_any_text()
    with visible_output():
        return _run(main, arguments)


def _run(main: Callable[[Sequence[str] | None], int | None], arguments: list[str]) -> int:
    """See :func:`run_main`."""
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


#: how signs that a terminal cannot show are written there
ASCII_SIGNS = {"→": "->", "…": "...", "•": "*", "×": "x", "−": "-", "–": "-", "—": "-", "≥": ">=", "≤": "<="}


def write_any_text() -> None:
    """Let stdout and stderr take every text: a sign that their encoding lacks is written in ASCII instead of an error.

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
    """Ours, envs's, Gymnasium's own (unknown ids and the like), a full disk: whatever is told without a traceback."""
    if isinstance(error, UserError):
        return True
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
    for module, name in (("envs.errors", "ManifoldError"), ("gymnasium.error", "Error"), ("vime.errors", "VimeError")):
        kind = getattr(sys.modules.get(module), name, None)  # not loaded: then it cannot have been raised
        if kind is not None and isinstance(error, kind):
            return True
    return False
