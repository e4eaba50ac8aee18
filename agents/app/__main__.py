"""``python -m agents.app``, see `agents.app.command`."""

import sys

from agents.app.command import main
from agents.console.cli import run_main

if __name__ == "__main__":
    sys.exit(run_main(main))
