"""Write the HTML report of a run's paths: ``python -m agents.report RUN``; see `agents.explanation.report.page`."""

from __future__ import annotations

import sys

from agents.cli import run_main
from agents.explanation.report.page import main

if __name__ == "__main__":
    sys.exit(run_main(main))
