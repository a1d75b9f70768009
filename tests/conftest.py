"""A home and a folder of its own for every test, and the parts that take time to load."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.conformance", "tests.worlds")

from autorl.models import weights  # noqa: E402
from autorl.models.local import Local  # noqa: E402
from autorl.replay.store import ReplayStore  # noqa: E402
from tests import needs  # noqa: E402

# A suite is one class that several test classes inherit, which is all that `differing_executors` is about.
QUIET = [HealthCheck.differing_executors, HealthCheck.too_slow]
settings.register_profile("here", deadline=None, max_examples=60, suppress_health_check=QUIET)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI", "").lower() == "true" else "here")


def pytest_configure() -> None:
    """Control-C works, also where the tests were started in the background, which has it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """AUTORL_HOME and the current folder of this test alone; nothing of the user's own settings is seen."""
    for name in [*os.environ]:
        if name.startswith(("AUTORL_", "OPENAI_")):
            monkeypatch.delenv(name)
    for name in ("home", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("AUTORL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[[], ReplayStore]]:
    """Opens this test's SQLite store, each time anew."""
    opened: list[ReplayStore] = []

    def open_it() -> ReplayStore:
        opened.append(ReplayStore(tmp_path / "home" / "replay.db"))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], ReplayStore]) -> ReplayStore:
    return open_store()


@pytest.fixture(scope="session")
def embedded() -> Local:
    """The embedded model, loaded once for all tests."""
    needs.require(weights.location().is_file(), "embedded weights", "autorl models fetch")
    return Local.shared("local")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = {report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()) if report.longrepr}
    for what in sorted(skipped):
        if needs.LACKING in what:
            terminalreporter.write_line(f"NOT TESTED: {what.partition(needs.LACKING)[2]}", yellow=True, bold=True)
