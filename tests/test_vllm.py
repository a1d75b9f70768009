"""vLLM as a server: started, found, stopped, and its adapters swapped. Here with a stand-in that serves as it does;
`test_vllm_real.py` has the real one."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from autorl import Agent, models
from autorl.errors import MissingExtra, ModelUnavailable, UsageError
from autorl.models import serving, vllm_environment
from autorl.models.base import Completion, Model
from autorl.models.serving import Word
from autorl.models.vllm import VLLM, Adapter, Server
from autorl.rollout.threads import in_threads
from tests.conformance.models import ModelSuite, ask
from tests.servers import Reply, refusal
from tests.servers import serving as answering
from tests.worlds import ping

Start = Callable[..., AbstractContextManager[Word]]
FAKE = Path(__file__).with_name("fake_vllm.py")


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """What takes the place of the Python that has vLLM."""
    script = tmp_path / "env" / "bin" / "python"
    script.parent.mkdir(parents=True)
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    return script


@pytest.fixture
def start(python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts a stand-in; keywords say how it misbehaves (see fake_vllm.py)."""
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "tokenizer_config.json").write_text('{"chat_template": "{% for tool in tools %}{% endfor %}"}')

    @contextmanager
    def started(name: str = "m", *, told: list[str] | None = None, patience: float = 60.0, adapters: Any = (),
                **how: Any) -> Iterator[Word]:
        monkeypatch.setenv("FAKE_VLLM", json.dumps(how))
        tell = told.append if told is not None else print
        with serving.serving(python, str(weights), name=name, adapters=adapters, tell=tell, patience=patience) as word:
            yield word

    return started


def seen(word: Word) -> list[dict[str, Any]]:
    """The completions that a stand-in was asked for."""
    return list(httpx2.get(f"{word.url.removesuffix('/v1')}/seen", trust_env=False).json())


class TestVLLM(ModelSuite):
    @pytest.fixture
    def model(self) -> Iterator[Model]:
        with answering(Reply("hello there")) as server:
            yield models.load("vllm:m", base_url=server.url)


# Starting, finding, stopping.


def test_a_server_is_found_by_its_name_once_it_answers_and_forgotten_when_it_stops(start: Start, home: Path) -> None:
    told: list[str] = []
    with start("tiny", told=told) as word:
        assert word.url.startswith("http://127.0.0.1:")
        assert models.load("vllm:tiny").complete(ask()).text == "said by tiny"
        assert models.load("vllm:tiny").context_tokens == 4096
        pid = word.pid
    assert "INFO loading weights" in told
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not list(home.glob("servers/*.json"))


def test_it_is_ready_when_it_answers_and_not_when_it_listens(start: Start) -> None:
    began = time.monotonic()
    with start(slow=0.5, engine=1.5) as word:
        assert time.monotonic() - began > 2
        assert len(seen(word)) == 1, "one real completion"


def test_who_asks_for_a_server_that_is_still_starting_waits_for_it(start: Start) -> None:
    answers: list[str] = []

    def ask_early() -> None:
        while not serving.words():
            time.sleep(0.02)
        answers.append(models.load("vllm:m").complete(ask()).text)

    early = threading.Thread(target=ask_early)
    early.start()
    with start(slow=1.0):
        early.join(60)
    assert answers == ["said by m"]


def test_a_server_that_does_not_get_ready_is_stopped_and_says_what_it_last_answered(start: Start) -> None:
    with pytest.raises(ModelUnavailable, match=r"not ready after 5 s: .*the engine is starting.*log is"), \
            start(engine=60, patience=5.0):
        pass
    assert not serving.words()


def test_a_server_that_ends_before_it_answers_is_quoted(start: Start) -> None:
    with pytest.raises(ModelUnavailable, match=r"ended with 1 before it answered(.|\n)*ValueError: no such model"), \
            start(dies="ValueError: no such model"):
        pass


def test_what_cannot_pass_is_not_waited_for() -> None:
    began = time.monotonic()
    with answering(refusal(400, "As of transformers v4.44, default chat template is no longer allowed")) as server:
        word = Word(name="m", url=server.url, model="m", pid=os.getpid(), log="x")
        process = subprocess.Popen(["sleep", "90"])
        try:
            with pytest.raises(ModelUnavailable, match="chat template is no longer allowed"):
                serving._wait(process, word, 60)
        finally:
            process.kill()
            process.wait()
    assert time.monotonic() - began < 30


def test_a_server_that_died_is_told_from_one_that_never_was(start: Start) -> None:
    with start("tiny") as word:
        os.killpg(word.pid, signal.SIGKILL)
        while word.lives:
            time.sleep(0.02)
        with pytest.raises(ModelUnavailable, match=rf"'tiny' at {word.url} has died; its log is .*autorl serve vllm"):
            models.load("vllm:tiny")
    model = models.load("vllm:tiny")
    assert isinstance(model, VLLM)
    assert model.members[0].server.base_url == "http://127.0.0.1:8000/v1"


def test_word_of_a_dead_server_whose_number_is_another_s_now_is_not_believed(home: Path) -> None:
    word = Word(name="m", url="http://127.0.0.1:1/v1", model="m", pid=os.getpid(), log="x", ready=True)
    assert not word.lives


def test_two_servers_of_one_name_are_one_model(start: Start) -> None:
    with start() as one, start() as other:
        model = models.load("vllm:m")
        for run in "123456":
            model.complete(ask(run=run))
        assert [len(seen(word)) for word in (one, other)] == [4, 4]


def test_stopping_takes_the_children_along_even_those_that_do_not_want_to(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "STOPPING", 0.5)
    with start(child=str(tmp_path / "child")):
        child = int((tmp_path / "child").read_text())
        os.kill(child, 0)
    end = time.monotonic() + 60
    while time.monotonic() < end and Path(f"/proc/{child}/cmdline").exists() \
            and Path(f"/proc/{child}/cmdline").read_bytes():
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists() or not Path(f"/proc/{child}/cmdline").read_bytes()


def test_the_command_serves_until_it_is_told_to_stop(python: Path, tmp_path: Path, home: Path) -> None:
    command = [sys.executable, "-m", "autorl", "serve", "vllm", str(tmp_path), "--name", "x", "--python",
               str(python.parents[1]), "--", "--seed", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any("Ready after" in line and "--model vllm:x" in line for line in lines)
        listed = subprocess.run([sys.executable, "-m", "autorl", "serve", "list", "--json"], capture_output=True,
                                text=True, check=True).stdout
        found = json.loads(listed)
        assert [(each["name"], each["state"], each["running"]) for each in found] == [("x", "ready", 3)]
        assert found[0]["prefix_cache_hit_rate"] == pytest.approx(0.5, abs=0.02)
        process.send_signal(signal.SIGTERM)
        assert "Stopped" in process.stdout.read()
    assert process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.killpg(found[0]["pid"], 0)
    assert not serving.words()


def test_a_command_that_is_killed_takes_its_server_along(python: Path, tmp_path: Path, home: Path) -> None:
    command = [sys.executable, "-m", "autorl", "serve", "vllm", str(tmp_path), "--name", "x", "--python",
               str(python.parents[1])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("Ready after" in line for line in iter(process.stdout.readline, ""))
        ((_, word),) = serving.words()
        assert word.lives
        process.kill()
    end = time.monotonic() + 60
    while word.lives and time.monotonic() < end:
        time.sleep(0.05)
    assert not word.lives
    with pytest.raises(ModelUnavailable, match=r"has died.*Start it again"):
        models.load("vllm:x")


def test_the_server_sees_no_key_and_no_setting_of_ours() -> None:
    own = {"OPENAI_API_KEY": "secret", "AUTORL_STORE": "x", "PATH": "/bin", "CUDA_VISIBLE_DEVICES": "1"}
    given = serving.environment(own, offline=True)
    assert not any(name.startswith(("OPENAI_", "AUTORL_")) for name in given)
    assert (given["PATH"], given["CUDA_VISIBLE_DEVICES"], given["HF_HUB_OFFLINE"]) == ("/bin", "1", "1")
    assert "HF_HUB_OFFLINE" not in serving.environment(own, offline=False)


# Its environment.


def test_an_environment_without_vllm_or_with_an_old_one_is_named(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM", '{"version": "0.31.4"}')
    with pytest.raises(UsageError, match=r"vLLM 0\.31\.4, and 0\.32 or later is needed"):
        vllm_environment.find(python.parents[1])
    monkeypatch.setenv("FAKE_VLLM", '{"version": ""}')
    with pytest.raises(UsageError, match="has no vLLM"):
        vllm_environment.find(python)
    with pytest.raises(UsageError, match="neither an environment nor a Python"):
        vllm_environment.find(tmp_path / "nothing")
    monkeypatch.setattr(vllm_environment, "default", lambda: tmp_path / "none")
    with pytest.raises(MissingExtra, match="autorl serve install"):
        vllm_environment.find(None)
    monkeypatch.setenv("FAKE_VLLM", '{"version": "0.32.0+cpu"}')
    assert vllm_environment.find(python.parents[1]) == python


# Adapters.


def folder(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.mkdir()
    return path


def test_an_adapter_is_loaded_when_it_is_first_asked_for(start: Start, home: Path) -> None:
    (home / "policies" / "policy@7f").mkdir(parents=True)
    with start("tiny"):
        model = models.load("vllm:tiny+policy@7f")
        completion = model.complete(ask())
        assert (completion.text, completion.policy) == ("said by policy@7f", "vllm:tiny+policy@7f")
        assert model.name == "vllm:tiny+policy@7f"
        again = models.load("vllm:tiny+policy@7f").complete(ask())
    assert again.text == "said by policy@7f", "one that is loaded already is no error"


def test_an_adapter_is_swapped_while_runs_are_under_way_and_no_request_fails(start: Start, tmp_path: Path) -> None:
    with start() as word:
        model = models.load("vllm:m")
        assert isinstance(model, VLLM)
        said: list[Completion] = []
        swapped, spoke = threading.Event(), threading.Condition()

        def complete(number: int) -> None:
            completion = model.complete(ask(str(number), run=str(number)))
            with spoke:
                said.append(completion)
                spoke.notify()

        def swap() -> None:
            for number in (1, 2, 3):
                with spoke:  # not before the one that is there has said something
                    assert spoke.wait_for(lambda: said and said[-1].policy == model.name, 60)
                model.swap(Adapter(f"policy@{number}", folder(tmp_path, f"a{number}")))
            swapped.set()

        thread = threading.Thread(target=swap)
        thread.start()
        over = False
        while not over:
            over = swapped.is_set() or not thread.is_alive()  # and once more after that
            list(in_threads(complete, range(16), 16))
        thread.join()
        served = httpx2.post(f"{word.url}/unload_lora_adapter", json={"lora_name": "policy@2"}, trust_env=False)
        assert served.status_code == 404, "those before were unloaded"
    policies = ["vllm:m", *(f"vllm:m+policy@{number}" for number in (1, 2, 3))]
    assert {completion.policy for completion in said} == set(policies)
    assert all(completion.text == f"said by {completion.policy.partition('+')[2] or 'm'}" for completion in said)
    order = [policies.index(completion.policy) for completion in said]
    assert order[0] == 0
    assert order[-1] == 3


def test_a_step_says_which_adapter_made_it(start: Start, tmp_path: Path) -> None:
    with start(adapters=[Adapter("given", folder(tmp_path, "given"))]):
        model = models.load("vllm:m")
        assert isinstance(model, VLLM)
        model.swap(Adapter("policy@1", folder(tmp_path, "one")))
        run = Agent(model=model, tools=[ping], recall=_none()).solve("Ping")
    assert {step.policy for step in run.steps} == {"vllm:m+policy@1"}
    assert run.provenance.model == "vllm:m+policy@1"


def _none() -> Any:
    from autorl.replay.recall import Recall

    return Recall(k=0)


def test_a_name_is_never_given_to_a_second_adapter(start: Start, tmp_path: Path) -> None:
    with start():
        model = models.load("vllm:m")
        assert isinstance(model, VLLM)
        model.swap(Adapter("policy@1", folder(tmp_path, "one")))
        with pytest.raises(UsageError, match=r"'policy@1' is in use"):
            model.swap(Adapter("policy@1", folder(tmp_path, "two")))


@pytest.mark.parametrize(("how", "path", "problem"), [
    ({"no_lora": True}, "one", "LoRA is not enabled"),
    ({}, "other-base", "shape mismatch"),
])
def test_an_adapter_that_is_refused_changes_nothing(
    how: dict[str, Any], path: str, problem: str, start: Start, tmp_path: Path
) -> None:
    with start(**how) as one, start() as other:
        model = VLLM("m", [other.url, one.url])
        with pytest.raises(ModelUnavailable, match=rf"does not take the adapter 'policy@1' from .*{problem}.*"):
            model.swap(Adapter("policy@1", folder(tmp_path, path)))
        assert model.name == "vllm:m"
        assert model.complete(ask()).text == "said by m"
        left = httpx2.post(f"{other.url}/unload_lora_adapter", json={"lora_name": "policy@1"}, trust_env=False)
        assert left.status_code == 404, "no server keeps it"


def test_an_adapter_that_is_narrower_or_deeper_than_the_model_is_seen_before_it_is_loaded(
    start: Start, tmp_path: Path
) -> None:
    """vLLM takes a narrower one without a word."""
    (tmp_path / "weights" / "config.json").write_text(json.dumps({"hidden_size": 8, "num_hidden_layers": 2}))

    def adapter(name: str, block: int, wide: int) -> Adapter:
        path = folder(tmp_path, name)
        header = json.dumps({f"base_model.model.model.layers.{block}.self_attn.q_proj.lora_A.weight": {
            "dtype": "F32", "shape": [1, wide], "data_offsets": [0, 4 * wide]}}).encode()
        data = len(header).to_bytes(8, "little") + header + bytes(4 * wide)
        (path / "adapter_model.safetensors").write_bytes(data)
        return Adapter(name, path)

    with start():
        model = models.load("vllm:m")
        assert isinstance(model, VLLM)
        for wrong, problem in ((adapter("narrow", 0, 4), "takes 4 numbers, the model's 8"),
                               (adapter("deep", 2, 8), "has a block 2, and the model 2 blocks")):
            with pytest.raises(UsageError, match=problem):
                model.swap(wrong)
        model.swap(adapter("right", 1, 8))
        assert model.complete(ask()).text == "said by right"


def test_a_server_that_was_started_again_gets_its_adapter_again(start: Start, tmp_path: Path) -> None:
    with start() as word:
        model = VLLM("m", [word.url], adapter=Adapter("policy@1", folder(tmp_path, "one")))
        model.complete(ask())
        httpx2.post(f"{word.url}/unload_lora_adapter", json={"lora_name": "policy@1"}, trust_env=False)
        assert model.complete(ask()).text == "said by policy@1"


# What it is asked.


def test_the_prompts_of_two_tenants_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    salts = []
    with answering(Reply()) as server:
        for tenant in ("ours", "theirs", None):
            if tenant:
                monkeypatch.setenv("AUTORL_TENANT", tenant)
            else:
                monkeypatch.delenv("AUTORL_TENANT")
            models.load("vllm:m", base_url=server.url).complete(ask())
            salts.append(server.requests[-1].get("cache_salt"))
    assert salts[2] is None
    assert salts[0] != salts[1]
    assert "ours" not in salts[0]


def test_a_penalty_on_repetition_is_asked_for_only_where_one_is_set() -> None:
    with answering(Reply()) as server:
        model = models.load("vllm:m", base_url=server.url)
        for penalty in (None, 1.2):
            model.complete(ask(repetition=penalty))
        assert [request.get("repetition_penalty") for request in server.requests[-2:]] == [None, 1.2]


def test_the_counters_are_read_over_all_engines() -> None:
    from autorl.models import vllm

    text = ('# HELP vllm:prefix_cache_queries_total x\nvllm:prefix_cache_queries_total{engine="0",model_name="m"} 1e3\n'
            'vllm:prefix_cache_queries_total{engine="1",model_name="m"} 500.0\n'
            'vllm:prefix_cache_queries_created{engine="1"} 7.0\nvllm:num_requests_waiting 2.0\n')
    assert vllm._sum(text, "prefix_cache_queries_total") == 1500
    assert vllm._sum(text, "num_requests_waiting") == 2
    assert vllm.Counters(1500, 300).hit_rate == 0.2
    with answering(Reply()) as server:
        pass
    with pytest.raises(ModelUnavailable, match="counters"):
        Server("m", base_url=server.url).counters()


def test_a_model_whose_template_shows_no_tools_is_refused_the_native_format(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "weights" / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    with start() as word, pytest.raises(UsageError, match="takes a server that calls tools"):
        assert not word.tool_calls
        Agent(model="vllm:m", tools=[ping], format="native").solve("Ping")
