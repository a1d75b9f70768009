"""Rollouts on two Ray nodes: the same as in threads, and what can go wrong with machines."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autorl import Agent, Recall, ReplayStore, Task
from autorl.errors import StoreUnavailable, UsageError
from autorl.models.scripted import Scripted
from autorl.rollout import on_ray
from autorl.rollout.collect import Plan, collect
from autorl.rollout.executor import Executor, choose
from autorl.types import Status
from tests.postgres import Server
from tests.rollout.cluster import Nodes, children, kill
from tests.rollout.executors import ExecutorSuite, Item, Squares
from tests.rollout.planned import TOOLS, answers, some_tasks
from tests.servers import Reply, serving
from tests.worlds import say

NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def store(url: str) -> Iterator[ReplayStore]:
    opened = ReplayStore(url)
    yield opened
    opened.close()


@pytest.fixture
def executor(nodes: Nodes, url: str) -> Executor:
    return choose("ray", store=url, address=nodes.address)


def planner(url: str, store: ReplayStore) -> Agent:
    return Agent(model="openai:planned", base_url=url, tools=[TOOLS], store=store, recall=Recall(k=0))


@pytest.fixture
def planned() -> Iterator[Callable[[ReplayStore], Agent]]:
    with serving(answers(0.2)) as server:
        yield lambda store: planner(server.url, store)


class TestOnRay(ExecutorSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls, nodes: Nodes) -> Executor:
        return choose("ray", store=NOWHERE, address=nodes.address)


def owners(server: Server, url: str, which: str = "") -> set[int]:
    """The processes that wrote the runs of a store."""
    schema = url.partition("schema=")[2]
    return {int(owner.split(":")[1]) for (owner,) in server.ask(f"SELECT DISTINCT owner FROM {schema}.runs {which}")}


def test_each_attempt_is_done_once_by_the_workers_of_both_nodes(
        nodes: Nodes, executor, planned, store, server, url) -> None:
    at_work: set[str] = set()
    until = time.monotonic() + 120

    def both_work() -> None:
        """On a busy machine one worker may be there long before the other."""
        while len(at_work) < 2 and time.monotonic() < until:
            found, second = owners(server, url), nodes.in_second()
            at_work.update("second" if owner in second else "head" for owner in found)
            time.sleep(0.2)

    with serving(answers(0.0, both_work)) as model:
        done = list(collect(planner(model.url, store), some_tasks(12), Plan(attempts=1), concurrency=4, on=executor))
    assert [attempt.trajectory.task.id for attempt in done] == [f"task-{n}" for n in range(12)]
    assert all(attempt.trajectory.verified for attempt in done)
    kept = {run.id: run for run in map(store.get, [attempt.trajectory.id for attempt in done])}
    assert all(kept[attempt.trajectory.id] == attempt.trajectory for attempt in done), "what came back is what is kept"
    assert at_work == {"head", "second"}
    assert len(owners(server, url)) == 2
    assert list(collect(planned(store), some_tasks(12), Plan(attempts=1), concurrency=4, on=executor)) == []


@pytest.mark.slow
def test_a_node_killed_in_the_middle_loses_no_episode_and_doubles_none(
        nodes: Nodes, executor, store, server, url) -> None:
    tasks = some_tasks(24)
    step = answers(0.0)
    killed = threading.Event()

    def kill() -> None:
        assert len(owners(server, url, "WHERE status = 'running'").intersection(nodes.in_second())) == 1
        nodes.kill_second()
        killed.set()

    all_at_work = threading.Barrier(6, action=kill, timeout=180)

    def answer(body: dict[str, Any]) -> Reply:
        """The first six runs wait for one another in their second step."""
        if not killed.is_set() and any(message["role"] == "assistant" for message in body["messages"]):
            all_at_work.wait()
        return step(body)

    with serving(answer) as model:
        done = list(collect(planner(model.url, store), tasks, Plan(attempts=1), concurrency=6, on=executor))
    assert killed.is_set()
    nodes.add()
    assert sorted(attempt.trajectory.task.id for attempt in done) == sorted(task.id for task in tasks)
    assert all(attempt.trajectory.verified for attempt in done)
    ends = Counter(summary.status for summary in store.newest(limit=1000))
    assert ends[Status.FINISHED] == len(tasks)
    assert ends.keys() <= {Status.FINISHED, Status.FAILED}
    assert ends[Status.FAILED] == 3, "what was in its hands"
    broken = next(summary for summary in store.newest(limit=1000) if summary.status is Status.FAILED)
    assert "lost" in store.get(broken.id).reason


def test_a_worker_of_another_version_is_refused_with_both_versions_named(executor, tmp_path, monkeypatch) -> None:
    from autorl import __version__

    monkeypatch.setattr(on_ray, "__version__", "9.9.9")
    with pytest.raises(UsageError) as raised, executor.doing(Squares(), 2) as do:
        do(Item(1, tmp_path))
    assert __version__ in str(raised.value)
    assert "9.9.9" in str(raised.value)


def test_in_place_of_a_node_that_is_gone_before_it_has_its_worker_another_gets_one(
        executor, tmp_path, monkeypatch) -> None:
    told = iter([["0a" * 28]] * 2)  # when they are counted, and when one is chosen
    alive = on_ray._Crew._nodes
    monkeypatch.setattr(on_ray._Crew, "_nodes", lambda crew: next(told, None) or alive(crew))
    with executor.doing(Squares(), 1) as do:
        assert do(Item(3, tmp_path)) == 9
    assert next(told, None) is None


@pytest.mark.slow
def test_a_worker_that_cannot_reach_the_store_says_so_once_it_has_waited(nodes: Nodes, planned, store) -> None:
    executor = choose("ray", store=NOWHERE, address=nodes.address)
    with pytest.raises(StoreUnavailable, match="127.0.0.1"):
        list(collect(planned(store), some_tasks(1), Plan(attempts=1), on=executor))


OWN = '''
import os
from autorl import content, tool

@tool
def whats_here() -> str:
    """List the project."""
    return " ".join(sorted(os.listdir(content.project())))
'''


def test_the_tools_of_a_project_go_with_the_work_and_the_rest_of_it_does_not(executor, store: ReplayStore) -> None:
    for name, text in (("autorl.toml", ""), ("secret.txt", "mine"), ("data/large.bin", "0" * 1000),
                       ("tools/own.py", OWN)):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)

    def answer(body: dict[str, Any]) -> Reply:
        return Reply(say("whats_here") if len(body["messages"]) == 2 else say("finish", answer="done"))

    with serving(answer) as server:
        agent = Agent(model="openai:m", base_url=server.url, tools=["own"], store=store, recall=Recall(k=0))
        (done,) = collect(agent, [Task(text="Look")], Plan(attempts=1), on=executor)
    seen = done.trajectory.steps[0].observation
    assert seen is not None
    assert seen.text == "autorl.toml tools"


@pytest.mark.parametrize(("address", "told"), [("127.0.0.1:1", "no Ray cluster to be used at 127.0.0.1:1"),
                                               ("ray://head:10001", "no address"), ("head", "no address")])
def test_a_cluster_that_is_not_there_is_told(address: str, told: str) -> None:
    """Run apart, for it takes a process that is not in touch with one already."""
    words = f"with ray_cluster.connected({address!r}): pass"
    code = f"from autorl.rollout import ray_cluster\nray_cluster.need_ray()\n{words}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert told in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("place", [None, "runs.db", "sqlite:///runs.db"])
def test_a_store_that_other_machines_cannot_write_to_is_refused(place: str | None) -> None:
    with pytest.raises(UsageError, match="PostgreSQL.*--on threads"):
        choose("ray", store=place)


def test_what_cannot_be_sent_is_named(store: ReplayStore) -> None:
    def ping() -> str:
        """Say that you are there."""
        return "pong"

    on = choose("ray", store=NOWHERE)
    agent = Agent(model=Scripted([]), tools=[ping], store=store)
    with pytest.raises(UsageError, match="a model and a tool of this process"):
        list(collect(agent, some_tasks(1), on=on))
    with pytest.raises(UsageError, match="a verifier of this process"):
        list(collect(Agent(model="openai:m", base_url="http://127.0.0.1:1", store=store), some_tasks(1), on=on,
                     verify=lambda run: True))


def test_two_collectors_on_one_set_share_the_work(planned, store, url) -> None:
    """In threads, which is where they may meet as well; each has connections of its own."""
    tasks, done = some_tasks(10), []

    def one() -> None:
        mine = ReplayStore(url)
        done.extend(collect(planned(mine), tasks, Plan(attempts=1), concurrency=3))
        mine.close()

    others = [threading.Thread(target=one) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert sorted(attempt.trajectory.task.id for attempt in done) == sorted(task.id for task in tasks)
    assert len(store.newest(limit=100)) == len(tasks), "and no run was begun in vain"


@pytest.mark.slow
def test_a_head_that_dies_ends_the_command_and_the_same_command_goes_on(
        url: str, server: Server, tmp_path: Path) -> None:
    """The command starts a cluster on this machine alone, which is what it does without an address."""
    tasks = some_tasks(16)
    (tmp_path / "set.jsonl").write_text("".join(f"{task.model_dump_json()}\n" for task in tasks))
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "1" * 64, "RAY_worker_niceness": "0"}
    schema = url.partition("schema=")[2]
    passed = f"SELECT count(*) FROM {schema}.runs WHERE passed"
    with serving(answers(0.3)) as model:
        command = [sys.executable, "-m", "autorl", "collect", str(tmp_path / "set.jsonl"), "--on", "ray", "--store",
                   url, "--model", "openai:planned", "--base-url", model.url, "--tools", TOOLS, "-k", "0", "--n", "1",
                   "--concurrency", "3", "--json"]
        ReplayStore(url).close()
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              ) as first:
            while server.ask(passed)[0][0] < 3:
                assert first.poll() is None, first.stderr and first.stderr.read()
                time.sleep(0.2)
            raylets = children(first.pid, "raylet")
            kill(*children(first.pid, "gcs_server"), *raylets, *(pid for each in raylets for pid in children(each)))
            told, said = first.communicate(timeout=120)
        assert first.returncode == 5, said
        assert "head of the Ray cluster" in json.loads(told)["error"], told
        assert "Traceback" not in said
        left = 16 - server.ask(passed)[0][0]
        again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=True)
    assert json.loads(again.stdout)["attempts"] <= left
    ended = server.ask(f"SELECT task FROM {schema}.runs WHERE passed")
    assert sorted(task for (task,) in ended) == sorted(task.id for task in tasks)


def test_runs_wait_for_a_connection_and_where_there_is_none_it_is_told(
        planned, server: Server, url: str) -> None:
    role = f"few_{time.time_ns():x}"
    server.ask(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 2")
    server.ask(f"GRANT CREATE ON DATABASE postgres TO {role}")
    few = url.replace("//postgres:", f"//{role}:")
    mine = ReplayStore(few)
    try:
        assert len(list(collect(planned(mine), some_tasks(6), Plan(attempts=1), concurrency=6))) == 6, "two suffice"
        with pytest.raises(StoreUnavailable, match="too many connections"):
            ReplayStore(few)
    finally:
        mine.close()
        server.ask(f"DROP OWNED BY {role} CASCADE")
        server.ask(f"DROP ROLE {role}")
