"""A browser for the pages, and a run with something to look at."""

import pytest

from tests.bench.pictured import pictured
from tests.browser import browsing


@pytest.fixture(scope="session")
def browser():
    with browsing() as found:
        yield found


@pytest.fixture(scope="session")
def played(tmp_path_factory):
    """A run that is complete, in a project three folders above; what a test writes beside it, it removes."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("played")
        patch.setenv("AUTORL_HOME", str(folder / "home"))
        patch.chdir(folder)
        return pictured(held_out=6, learn=4)
