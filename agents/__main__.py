"""The console command: ``manifold-traversal NAME ...``, and as a module ``python -m agents NAME ...``."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from agents import __version__
from agents.console.cli import UserError, make_parser, run_main

#: name -> (module, its config, one line)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "train": ("agents.train", "TrainCommand", "train an agent to explain a classifier"),
    "explain": ("agents.explain", "ExplainConfig", "explain inputs, by a run's agent or by a rule"),
    "replay": ("agents.replay", "ReplayConfig", "show a saved path and check that it reproduces"),
    "evaluate": ("agents.evaluate", "EvaluateConfig", "measure explanations, side by side with other walkers"),
    "report": ("agents.report", "ReportConfig", "write one self-contained HTML page"),
    "atlas": ("agents.atlas", "AtlasConfig", "draw a picture of a latent space"),
    "sweep": ("agents.sweep", "SweepConfig", "search settings of a training with Optuna"),
    "app": ("agents.app.command", "AppConfig", "explore a latent space by hand, in the browser"),
    "demo": ("agents.demo", "DemoConfig", "train, explain and report handwritten digits"),
}
SHELLS = ("bash", "zsh")


def usage() -> str:
    """The text of ``--help``."""
    lines = [f"  {name:<12}{text}" for name, (_, _, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: manifold-traversal COMMAND [--help] ...",
            "",
            "Explain a classifier by walking the latent manifold of a generative model.",
            "",
            *lines,
            f"  {'completion':<12}print tab completion for a shell: source <(manifold-traversal completion bash)",
            "",
            "  --version   print the version",
        ]
    )


def completion(shell: str) -> str:
    """Tab completion of commands, flags and choices as a script for a shell of `SHELLS`.

    Raises:
        UserError: another shell.
    """
    if shell not in SHELLS:
        raise UserError(f"completion {shell}: known shells are {', '.join(SHELLS)}")
    cases = []
    for name, (module, config, _) in COMMANDS.items():
        flags, choices = [], []
        for action in make_parser(getattr(import_module(module), config))._actions:
            flags += [flag for flag in action.option_strings if flag.startswith("--")]
            if action.choices is not None and action.option_strings:
                known = " ".join(map(str, action.choices))
                choices.append(f'      {name}:{f"|{name}:".join(action.option_strings)}) words="{known}" ;;')
        cases += [*choices, f'      {name}:*) words="{" ".join(flags)}" ;;']
    first = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    names = " ".join([*COMMANDS, "completion", "--help", "--version"])
    return f"""{first}_manifold_traversal() {{
  local here="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="{names}"
  else
    case "${{COMP_WORDS[1]}}:$before" in
{chr(10).join(cases)}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$here"))
}}
complete -o default -F _manifold_traversal manifold-traversal
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names.

    Raises:
        UserError: no such command; close names are offered.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name == "--version":
        print(f"manifold-traversal {__version__}")
        return 0
    if name == "completion":
        print(completion(rest[0] if rest else os.path.basename(os.environ.get("SHELL", "bash"))), end="")
        return 0
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(COMMANDS)}"
        raise UserError(f"unknown command {name!r}: {hint}")
    found: int | None = import_module(COMMANDS[name][0]).main(rest)
    return found or 0


def console() -> None:
    """The entry point of the installed command."""
    sys.exit(run_main(main))


if __name__ == "__main__":
    console()
