"""One Ray cluster of two nodes for all tests of this folder, made when the first of them asks for it."""

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests import needs
from tests.postgres import server, url  # noqa: F401  # fixtures
from tests.rollout.cluster import Nodes

NAMES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_worker_niceness", "RAY_USAGE_STATS_ENABLED", "PYTHONPATH")


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    needs.require(find_spec("ray") is not None, "Ray", "pip install -e '.[test]'")
    before = {name: os.environ.get(name) for name in (*NAMES, "AUTORL_HOME")}
    os.environ["AUTORL_HOME"] = str(tmp_path_factory.mktemp("workers"))
    started = Nodes()
    yield started
    started.stop()
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
