"""One model on several servers: real HTTP servers on loopback, killed, refusing and slow."""

import heapq
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from autorl import Agent, models
from autorl.errors import ContextOverflow, ModelUnavailable
from autorl.models.base import Model
from autorl.models.concurrency import START, Gate
from autorl.models.pool import Pool
from autorl.replay.recall import Recall
from autorl.replay.store import ReplayStore
from autorl.types import Status
from tests.conformance.models import ModelSuite, ask
from tests.servers import Reply, Server, refusal, serving
from tests.worlds import add, adds_words, look


class TestPool(ModelSuite):
    @pytest.fixture
    def model(self) -> Iterator[Model]:
        with serving(Reply("hello there")) as one, serving(Reply("hello there")) as other:
            yield models.load("vllm:m", base_url=f"{one.url},{other.url}")


@contextmanager
def several(*answers: object, patience: float = 20.0) -> Iterator[tuple[Pool, list[Server]]]:  # type: ignore[type-arg]
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(answer)) for answer in answers]  # type: ignore[arg-type]
        pool = models.load("vllm:m", base_url=",".join(server.url for server in servers))
        assert isinstance(pool, Pool)
        pool._patience = patience
        yield pool, servers


def turns(server: Server) -> list[str]:
    """The last message of each request, which names its run."""
    return [body["messages"][-1]["content"] for body in server.requests]


# Where a request goes.


def test_a_run_stays_with_its_server_and_new_runs_are_spread() -> None:
    with several(Reply("a"), Reply("b"), Reply("c")) as (pool, servers):
        for _ in range(5):
            for run in "123456":
                pool.complete(ask(run, run=run))
        seen = [set(turns(server)) for server in servers]
    assert sorted(map(len, seen)) == [2, 2, 2]
    assert set.union(*seen) == set("123456")


def test_a_new_run_goes_to_the_server_with_the_least_to_do() -> None:
    busy = threading.Event()

    def slow(body: dict[str, object]) -> Reply:
        busy.wait(60)
        return Reply("slow")

    with several(slow, Reply("free")) as (pool, servers), ThreadPoolExecutor(1) as thread:
        pool._homes["long"] = pool.members[0]
        first = thread.submit(pool.complete, ask("long", run="long"))
        while not servers[0].requests:
            time.sleep(0.01)
        for run in "12345":
            assert pool.complete(ask(run, run=run)).text == "free"
        busy.set()
        assert first.result().text == "slow"


def test_the_runs_of_a_lost_server_go_on_elsewhere() -> None:
    with several(Reply("a"), Reply("b")) as (pool, servers):
        for run in "1234":
            pool.complete(ask(run, run=run))
        lost = servers[0]
        lost.answers = [refusal(500, "EngineCore encountered an issue. See stack trace")]
        began = time.monotonic()
        for _ in range(3):
            for run in "1234":
                assert pool.complete(ask(run, run=run)).text == "b"
        assert time.monotonic() - began < pool._patience / 4, "nobody waits for a dead server while another lives"
        assert len(lost.requests) <= 2 + 4, "and it is asked only now and then"


def test_a_server_that_comes_back_is_given_runs_again() -> None:
    with several(refusal(503, "starting"), Reply("b")) as (pool, servers):
        pool.complete(ask("1", run="1"))
        servers[0].answers = [Reply("back")]
        time.sleep(0.6)
        assert "back" in [pool.complete(ask(run, run=run)).text for run in "23456"]


# When there is no other.


def test_a_server_that_says_503_for_a_while_is_waited_for_and_nothing_is_lost(store: ReplayStore) -> None:
    down = threading.Event()

    def answers(body: dict[str, object]) -> Reply:
        return refusal(503, "no engine") if down.is_set() else Reply(_add(body))

    with several(answers) as (pool, servers):
        pool.complete(ask("warm up"))
        agent = Agent(model=pool, tools=[add, look], store=store, recall=Recall(k=0))
        threading.Timer(0.2, down.set).start()
        threading.Timer(2.5, down.clear).start()
        began = time.monotonic()
        runs = list(agent.solve_many(["Add the words"] * 8, concurrency=8))
        while time.monotonic() - began < 1:
            runs += agent.solve_many(["Add the words"] * 8, concurrency=8)
    assert {run.status for run in runs} == {Status.FINISHED}
    assert {len(store.get(run.id).steps) for run in runs} == {5}
    assert len(servers[0].requests) < 5 * len(runs) + 8 + 12, "while it was down, only trials were sent"


def _add(body: dict[str, object]) -> str:
    return adds_words(ask(messages=body["messages"]))


def test_an_engine_that_stays_dead_ends_the_run_with_a_clear_status_and_it_can_be_resumed(store: ReplayStore) -> None:
    dead = threading.Event()

    def answers(body: dict[str, object]) -> Reply:
        if len(body["messages"]) > 4:  # type: ignore[arg-type]
            dead.set()
        return refusal(500, "EngineDeadError") if dead.is_set() else Reply(_add(body))

    with several(answers, patience=1.0) as (pool, servers):
        agent = Agent(model=pool, tools=[add, look], store=store, recall=Recall(k=0))
        with pytest.raises(ModelUnavailable, match=r"answered 500: .*EngineDeadError.*asked for \d s.*kept"):
            agent.solve("Add the words")
        run = store.newest(limit=1)[0]
        assert run.status == Status.FAILED
        servers[0].answers = lambda body: Reply(_add(body))
        assert agent.resume(run.id).status is Status.FINISHED


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    with serving(Reply()) as server:
        url = server.url
    began = time.monotonic()
    with pytest.raises(ModelUnavailable, match=r"'vllm:m' at .* cannot be reached: .*Is the server running|kept"):
        models.load("vllm:m", base_url=url).complete(ask())
    assert time.monotonic() - began < 30


def test_a_request_that_breaks_a_server_which_answers_others_is_given_up() -> None:
    def answers(body: dict[str, object]) -> Reply:
        return refusal(500, "cannot") if "poison" in str(body) else Reply("fine")

    with several(answers, patience=60.0) as (pool, _), ThreadPoolExecutor(2) as threads:
        pool.complete(ask("warm up"))
        poisoned = threads.submit(pool.complete, ask("poison"))
        while not poisoned.done():
            assert pool.complete(ask("other")).text == "fine"
        with pytest.raises(ModelUnavailable, match="answered 500: .*cannot"):
            poisoned.result()


def test_what_a_server_refuses_for_good_is_not_tried_elsewhere() -> None:
    with several(refusal(401, "bad key"), Reply("b")) as (pool, servers):
        pool.members[1].homes = 5
        with pytest.raises(ModelUnavailable, match="refused the key"):
            pool.complete(ask())
        assert not servers[1].requests
    long = refusal(400, "This model's maximum context length is 9 tokens")
    with several(long) as (pool, servers), pytest.raises(ContextOverflow):
        pool.complete(ask())
    assert len(servers[0].requests) == 1


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks() -> None:
    with several(Reply("a")) as (pool, servers):
        pool.complete(ask())
        servers[0].answers = _then(refusal(429, "slow down", Retry_After="1"), Reply("b"))
        began = time.monotonic()
        assert pool.complete(ask()).text == "b"
        assert 1 <= time.monotonic() - began < 30
        assert pool.members[0].gate.limit == START / 2


def test_a_wait_that_is_longer_than_the_patience_is_not_waited() -> None:
    with several(refusal(429, "come back later", Retry_After="3600"), patience=60.0) as (pool, _):
        began = time.monotonic()
        with pytest.raises(ModelUnavailable, match="come back later"):
            pool.complete(ask())
        assert time.monotonic() - began < 30


def _then(*replies: Reply) -> object:
    rest = iter(replies)
    return lambda _: next(rest)


# How many at once.


def simulated(capacity: int, runs: int, seconds: float = 30.0, shared_after: float = 1e9,
              refuse_over: int = 10**9) -> list[tuple[float, float]]:
    """A gate before a server that works on `capacity` requests at a time, about 0.2 s each, and queues the others.

    Gives the limit over time. shared_after: when others come and leave it a quarter of that
    """
    gate, chance, now, limits = Gate(), random.Random(0), 0.0, []
    flying: list[tuple[float, float]] = []  # due, began
    free = [0.0] * capacity
    while now < seconds:
        while len(flying) < runs and gate.admits(len(flying), now):
            if len(flying) >= refuse_over:
                gate.refused(now, now, 0.05)
                break
            if now > shared_after and len(free) > capacity // 4:
                del free[capacity // 4 :]  # still a heap
            due = max(heapq.heappop(free), now) + chance.uniform(0.1, 0.3)
            heapq.heappush(free, due)
            heapq.heappush(flying, (due, now))
        if flying:
            now, began = heapq.heappop(flying)
            gate.answered(began, now, 50)
        else:
            now += 0.05
        limits.append((now, gate.limit))
    return limits


def last(limits: list[tuple[float, float]], before: float = 1e9) -> float:
    return [limit for now, limit in limits if now < before][-1]


def test_the_limit_grows_while_the_server_gets_faster_by_it() -> None:
    limits = simulated(capacity=1_000, runs=1_000, seconds=10)
    assert limits[0][1] == START
    assert last(limits) >= 900


def test_a_slow_server_has_all_that_it_can_take_within_a_few_answers_to_each() -> None:
    gate, now = Gate(), 100.0
    while gate.limit < 1_000:
        flying = int(gate.limit)
        assert not gate.admits(flying, now)
        for _ in range(flying):
            gate.answered(now, now + 10.0, 100)
        now += 10.0
    assert now <= 100.0 + 10.0 * 4


def test_steps_down_that_each_cost_a_little_do_not_cost_much_together() -> None:
    gate = Gate()
    gate.refused(0.0, 0.0, 0.0)  # it doubles no more
    now, speeds = 1.0, {}
    for _ in range(400):
        limit = int(gate.limit)
        gate.admits(limit, now)
        speeds[limit] = 1000 * limit / (limit + 8)  # tokens a second: ever nearer to a thousand
        seconds = 100 * limit / speeds[limit]
        for _ in range(limit):
            gate.answered(now, now + seconds, 100)
        now += seconds
    assert min(speeds.values()) > 0.85 * speeds[int(START / 2)]


def test_the_limit_does_not_outgrow_what_the_server_can_do() -> None:
    assert 90 <= last(simulated(capacity=100, runs=1_000)) <= 260


def test_a_limit_that_nobody_reaches_stays() -> None:
    assert last(simulated(capacity=1_000, runs=5)) == START


def test_the_limit_shrinks_when_answers_take_longer() -> None:
    limits = simulated(capacity=100, runs=1_000, seconds=120, shared_after=20)
    assert last(limits, before=20) > 80
    assert 20 <= last(limits) < 60


def test_the_limit_shrinks_when_the_server_refuses_and_once_for_what_was_under_way() -> None:
    gate = Gate()
    gate.refused(began=0.0, now=1.0, wait=2.0)
    assert (gate.limit, gate.until) == (START / 2, 3.0)
    gate.refused(began=0.5, now=1.1, wait=0.0)
    assert (gate.limit, gate.until) == (START / 2, 3.0)
    assert not gate.admits(0, now=2.9)
    assert gate.admits(0, now=3.0)
    limits = simulated(capacity=1_000, runs=1_000, refuse_over=200)
    assert max(limit for now, limit in limits if now > 10) < 300


def test_a_server_is_never_given_more_at_once_than_its_limit() -> None:
    flying, most = [0], [0]
    changed = threading.Condition()

    def slow(body: dict[str, object]) -> Reply:
        with changed:
            flying[0] += 1
            most[0] = max(most[0], flying[0])
            changed.notify_all()
            changed.wait_for(lambda: most[0] >= 8, 60)
        time.sleep(0.3)
        with changed:
            flying[0] -= 1
        return Reply("done")

    with several(slow) as (pool, _), ThreadPoolExecutor(24) as threads:
        pool.members[0].gate.limit = 8
        assert len(list(threads.map(lambda n: pool.complete(ask(str(n), run=str(n))), range(24)))) == 24
    assert 8 <= most[0] <= 16, "eight, and later twice as many at most"
