"""The command line: every command is a dataclass whose fields are its flags. It loads no torch.

A command is a dataclass, a ``main`` and two lines::

    @dataclass(kw_only=True)
    class ExplainConfig(ScriptConfig):
        '''Explain inputs by walking.'''                       # becomes the text of --help
        run: str = option("latest", "run folder", positional=True)
        index: int | None = option(None, "which input")        # --index
        n_timesteps: int = option(200_000, "steps", "-n")      # --n-timesteps, -n
        env_kwargs: dict[str, Any] = option({}, "k:v pairs")   # --env-kwargs a:1 b:foo
        progress: bool = option(False, "show a bar", "-P")     # --progress, -P

    def main(argv: Sequence[str] | None = None) -> int:
        config = parse_config(ExplainConfig, argv, program("explain"))  # --help ends here: no torch
        prepare_process(config.num_threads)     # foreign distributions, threads; loads torch
        import torch                            # heavy imports only from here on
        ...
        return 0

    if __name__ == "__main__":
        sys.exit(run_main(main))

What the user can correct is raised as :class:`UserError` (or ``envs.errors.ManifoldError``). :func:`run_main` prints its
message as one line on stderr and returns 2; ``--debug`` shows the traceback.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import difflib
import math
import os
import sys
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from agents.console.process import check_distributions as check_distributions
from agents.console.process import is_user_error as is_user_error
from agents.console.process import prepare_process as prepare_process
from agents.console.process import progress_bar as progress_bar
from agents.console.process import run_main as run_main
from agents.console.process import write_any_text as write_any_text
from agents.errors import UserError as UserError

MOST_STEPS = 10**15
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
    """Flags of every command."""

    num_threads: int = option(1, "threads for torch and BLAS; more than one slows these small networks down", metavar="N")
    debug: bool = option(False, "show the traceback of an error")


@dataclass(kw_only=True)
class LoadingConfig(ScriptConfig):
    """Flags of every command that reads runs or paths."""

    trust: list[str] = option(  # noqa: RUF009
        [], "objects that may be loaded although only a file of another account names them", metavar="MODULE:OBJECT"
    )


@dataclass(kw_only=True)
class NamingConfig(LoadingConfig):
    """The flag of every command that makes a world and shows its classes."""

    class_names: list[str] | None = option(  # noqa: RUF009
        None, "names of the classifier's classes or labels, in the order of its outputs (default: its own or the data's)",
        metavar="NAME",
    )  # fmt: skip


@dataclass(kw_only=True)
class DataConfig(NamingConfig):
    """Flags that describe a world: the same for train, explain and evaluate."""

    env: str | None = option(None, "environment id (with --data or --classifier: Manifold/Custom-v0)", metavar="ID")
    env_kwargs: dict[str, Any] = option({}, "arguments of the environment, e.g. tau:0.8 move:pullback")  # noqa: RUF009
    data: str | None = option(
        None,
        "your own inputs: a .csv, .npz, .ts, .txt, .tsv or .jsonl file, module:object, or mnist, fashion_mnist",
        metavar="FILE",
    )
    modality: str | None = option(None, "series: rows are time series (default: guessed); image: pictures", metavar="NAME")
    sampling: str | None = option(None, "time between two points of series, such as '0.01 s'", metavar="STEP")
    data_dir: str | None = option(
        None, "folder of the files behind --data mnist, fashion_mnist or omniglot (default: $MANIFOLD_DATA)", metavar="DIR"
    )
    columns: str | None = option(None, "description of a .csv's columns (.yml or .json; default: guessed)", metavar="FILE")
    dates: dict[str, Any] | None = option(  # noqa: RUF009
        None, "columns of dates and the unit of each: joined=days (or seconds, minutes, hours, weeks)"
    )
    free: str | None = option(
        None, "columns that may vary though their names look protected, such as sex,age", metavar="NAMES"
    )
    target_column: str | None = option(None, "the column of a .csv, .tsv or .jsonl that holds the classes", metavar="NAME")
    text_column: str | None = option(None, "the column of sentences of a .tsv, .jsonl or .csv", metavar="NAME")
    encoding: str | None = option(None, "text encoding of the file (default: utf-8)", metavar="NAME")
    classifier: str | None = option(None, "your own classifier, as package.module:object or FILE.onnx", metavar="NAME")
    outputs: str | None = option(
        None, "what the classifier returns, if not classes: score or labels (default: detected)", metavar="KIND"
    )
    goal: str | None = option(
        None, "goal of a training on a score: '>= 0.7' or '2..4' (default: its median); on labels: 'NAME=yes'", metavar="GOAL"
    )
    classifier_cache: bool | None = option(None, "keep predictions: a repeated row is not queried again")
    classifier_repeat: int | None = option(None, "query each row N times and average, if it is noisy", metavar="N", low=1)
    classifier_retries: int | None = option(None, "call it again after an error, at most N times", metavar="N", low=0)
    classifier_batch_size: int | None = option(None, "rows per call, at most (default: no limit)", metavar="N", low=1)
    classifier_budget: int | None = option(None, "query at most N rows, then stop and keep what was found",
                                           metavar="N", low=1)  # fmt: skip
    classifier_temperature: str | None = option(
        None, "calibrate its probabilities: 'fit' to the true classes, or a number (above 1: less confident)", metavar="T"
    )
    manifold: str | None = option(
        None,
        "latent space of your data: vae, pca, umap, joint, embedding (fitted), a saved folder, or module:object",
        metavar="NAME",
    )


QUERY_FLAGS = tuple(f.name for f in dataclasses.fields(DataConfig) if f.name.startswith("classifier_"))
WORLD_FLAGS = tuple(
    field.name
    for field in dataclasses.fields(DataConfig)
    if field.name not in {"env", "env_kwargs", *QUERY_FLAGS, *(base.name for base in dataclasses.fields(LoadingConfig))}
)


def query_options(config: DataConfig) -> dict[str, Any]:
    """The options of `envs.query_options.QueryOptions` that flags give; they also hold for the classifier of a run."""
    given = {name.removeprefix("classifier_"): getattr(config, name) for name in QUERY_FLAGS}
    return {name: value for name, value in given.items() if value is not None}


def described_world(config: DataConfig) -> tuple[str | None, dict[str, Any]]:
    """The environment id and arguments that the flags describe; no id where they describe no world."""
    given = {name: getattr(config, name) for name in WORLD_FLAGS if getattr(config, name) is not None}
    own = any(name in given for name in ("data", "classifier", "manifold"))
    if query := query_options(config):
        given["query"] = {**config.env_kwargs.get("query", {}), **query}
    return config.env or ("Manifold/Custom-v0" if own else None), {**config.env_kwargs, **given}


def program(command: str) -> str:
    """How the user called a command: ``manifold-traversal NAME``, ``python -m agents NAME`` or ``python -m agents.NAME``."""
    called = os.path.basename(sys.argv[0]).removesuffix(".exe")
    if called == "manifold-traversal":
        return f"{called} {command}"
    inside = called == "__main__.py" and os.path.basename(os.path.dirname(sys.argv[0])) == "agents"
    return f"python -m agents {command}" if inside else f"python -m agents.{command}"


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
    from envs.files import in_home  # here: envs loads Gymnasium, which --help does not need

    config = config_class(**{name: in_home(value) for name, value in vars(namespace).items()})
    _check_numbers(config)
    return config


def _check_numbers(config: Any) -> None:
    """Refuse numbers that are not finite or outside the limits of their flags."""
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


class Parser(argparse.ArgumentParser):
    """An argparse parser that suggests the close flag or choice, and refers to ``--help`` instead of printing the usage."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the arguments; an unknown flag ends with the close ones."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings]
            wrong = [word for word in unknown if word.startswith("-")]
            close = [best for word in wrong for best in difflib.get_close_matches(word.split("=")[0], flags, n=1)]
            hint = f"; did you mean {' and '.join(dict.fromkeys(close))}?" if close else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return found

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            close = difflib.get_close_matches(str(value), [str(choice) for choice in action.choices or ()], n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise argparse.ArgumentError(action, error.message + hint) from None

    def error(self, message: str) -> typing.NoReturn:
        """One line, and exit code 2."""
        self.exit(2, f"{self.prog}: error: {message}\nSee {self.prog} --help\n")


def make_parser(config_class: type, prog: str | None = None, epilog: str | None = None) -> argparse.ArgumentParser:
    """The parser of a config dataclass; its defaults are those of the dataclass."""
    parser = Parser(
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
    """Read a whole number: ``200000``, ``200_000`` and ``2e5`` are the same; ``2.5`` is refused."""
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
