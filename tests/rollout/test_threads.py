import gc

import pytest

from autorl.rollout.executor import Executor, choose
from autorl.rollout.threads import MANY, in_threads
from tests.rollout.executors import ExecutorSuite


class TestThreads(ExecutorSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls) -> Executor:
        return choose("threads")


@pytest.mark.parametrize(("concurrency", "less"), [(MANY - 1, False), (MANY, True)])
def test_garbage_is_looked_for_less_often_while_there_are_many_and_as_before_after_them(
        concurrency: int, less: bool) -> None:
    before = gc.get_threshold()
    seen = list(in_threads(lambda _: gc.get_threshold(), range(3), concurrency))
    assert [each > before for each in seen] == [less] * 3
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda n: 1 // n, range(3), concurrency))
    assert gc.get_threshold() == before
