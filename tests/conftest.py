"""What every test gets: one thread, no display, repeatable hypothesis runs, the data folder, and a watch on skips."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

# Before numpy and torch load: these networks are tiny, and a second thread only waits for the first.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
os.environ["MPLBACKEND"] = "Agg"

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
ALLOWED_SKIPS = ROOT / "tests" / "allowed_skips.txt"

settings.register_profile(
    "repeatable",
    derandomize=True,
    max_examples=50,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Fits are kept for this session alone, never in the user's cache folder."""
    os.environ["MANIFOLD_CACHE"] = str(tmp_path_factory.mktemp("fits"))


@pytest.fixture(scope="session", autouse=True)
def _own_configuration(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What this session wrote is remembered for it alone, never in the user's configuration folder."""
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("configuration"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the larger data sets (mnist/, omniglot/, ...): $MANIFOLD_DATA, else shared/data beside the checkout."""
    given = os.environ.get("MANIFOLD_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    if given:
        pytest.fail(f"MANIFOLD_DATA={given!r} is not a folder: correct it, or unset it to skip what needs data")
    pytest.skip("no data folder: set MANIFOLD_DATA to the folder that holds mnist/, omniglot/, ...")


def pytest_collection_finish(session: pytest.Session) -> None:
    """One torch thread, whatever the test modules imported; torch is not loaded for its own sake."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


# --- skips ----------------------------------------------------------------------------------------------------------
# A skipped test looks like a passed one from afar. With CI=true or --strict-skips, every skip must stand in
# tests/allowed_skips.txt, or the run fails. xfail is not a skip.


def allowed_skips(text: str) -> list[re.Pattern[str]]:
    """One pattern a line of tests/allowed_skips.txt; `*` stands for anything, everything else for itself."""
    ids = [line.split(" # ")[0].strip() for line in text.splitlines() if not line.startswith("#")]
    return [re.compile(re.escape(test_id).replace(r"\*", ".*") + r"\Z") for test_id in ids if test_id]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--strict-skips",
        action="store_true",
        default=os.environ.get("CI") == "true",
        help="fail if a test is skipped that tests/allowed_skips.txt doesn't name (the default where CI=true)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--strict-skips"):
        config.pluginmanager.register(SkipWatch(allowed_skips(ALLOWED_SKIPS.read_text(encoding="utf-8"))), "skip-watch")


class SkipWatch:
    """Collects the skips that are not allowed and turns a passing run into a failing one."""

    def __init__(self, allowed: list[re.Pattern[str]]) -> None:
        self.allowed = allowed
        self.unexpected: dict[str, str] = {}

    def _look_at(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        if not any(pattern.match(report.nodeid) for pattern in self.allowed):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.unexpected[report.nodeid] = reason

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._look_at(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._look_at(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unexpected and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unexpected:
            terminalreporter.section("skips that tests/allowed_skips.txt does not name", red=True)
            for test_id, reason in self.unexpected.items():
                terminalreporter.write_line(f"{test_id}: {reason}")
