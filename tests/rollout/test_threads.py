import pytest

from autorl.rollout.executor import Executor, choose
from tests.rollout.executors import ExecutorSuite


class TestThreads(ExecutorSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls) -> Executor:
        return choose("threads")
