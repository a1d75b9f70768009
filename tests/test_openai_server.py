import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from autorl import Agent, models
from autorl.errors import ContextOverflow, ModelUnavailable, UsageError
from autorl.models.base import Model
from autorl.models.openai import OpenAIServer
from autorl.models.scripted import Scripted
from autorl.replay.recall import Recall
from autorl.types import Limits, Status
from tests.conformance.models import ModelSuite, ask
from tests.servers import Reply, Server, refusal, serving
from tests.worlds import ping, say

GRAMMAR = 'root ::= "a"'


class TestServer(ModelSuite):
    @pytest.fixture
    def model(self) -> Iterator[Model]:
        with serving(Reply("hello there")) as server:
            yield OpenAIServer("m", base_url=server.url)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def on_text(request: pytest.FixtureRequest) -> object:
    return (lambda _: None) if request.param else None


def complete(server: Server, on_text: object = None, **changes: object) -> object:
    return OpenAIServer("m", base_url=server.url).complete(ask(on_text=on_text, **changes))


# What is asked and what is read.


def test_the_request_says_what_was_asked() -> None:
    schema = {"type": "object"}
    with serving(Reply()) as server:
        complete(server, stop=("x",), seed=5, max_tokens=9, temperature=0.3, json_schema=schema, grammar=GRAMMAR)
    body = server.requests[0]
    asked = {"model": "m", "stop": ["x"], "seed": 5, "max_tokens": 9, "temperature": 0.3}
    assert asked.items() <= body.items()
    assert body["response_format"] == {"type": "json_schema", "json_schema": {"name": "step", "schema": schema}}
    assert "structured_outputs" not in body


def test_vllm_gets_the_grammar() -> None:
    with serving(Reply()) as server:
        model = models.load("vllm:m", base_url=server.url)
        assert model.capabilities.grammar
        model.complete(ask(grammar=GRAMMAR))
    assert server.requests[0]["structured_outputs"] == {"grammar": GRAMMAR}


def test_tokens_and_those_from_the_cache_are_read(on_text: object) -> None:
    with serving(Reply("hello")) as server:
        usage = complete(server, on_text).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (20, 5, 8)


def test_the_key_comes_from_the_environment_and_a_server_of_ones_own_needs_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(Reply()) as server:
        complete(server)
        monkeypatch.setenv("OPENAI_API_KEY", "key-of-mine")
        complete(server)
    assert server.keys == ["Bearer none", "Bearer key-of-mine"]
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UsageError, match=r"'openai:gpt' needs a key.*OPENAI_API_KEY.*--base-url"):
        models.load("openai:gpt").complete(ask())


# What goes wrong.


def test_nobody_answers(on_text: object) -> None:
    with serving(Reply()) as server:
        url = server.url
    with pytest.raises(ModelUnavailable, match=r"'openai:m' at http.*cannot be reached.*--base-url"):
        OpenAIServer("m", base_url=url, attempts=2).complete(ask(on_text=on_text))


def test_a_name_that_no_network_knows() -> None:
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        OpenAIServer("m", base_url="http://nowhere.invalid/v1", attempts=1).complete(ask())
    with pytest.raises(ModelUnavailable):
        OpenAIServer("m", base_url="no url at all", attempts=1).complete(ask())


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_not_tried_again(status: int, on_text: object) -> None:
    with serving(refusal(status, "bad key")) as server, pytest.raises(
        ModelUnavailable, match=rf"refused the key \({status}\).*bad key.*OPENAI_API_KEY"
    ):
        complete(server, on_text)
    assert len(server.requests) == 1


def test_an_unknown_model_is_named() -> None:
    with serving(refusal(404, "no such model")) as server, pytest.raises(
        ModelUnavailable, match=r"does not know the model 'm' \(404\)"
    ):
        complete(server)


def test_a_bad_request_is_told_in_the_server_s_words() -> None:
    with serving(refusal(400, "the stop is wrong")) as server, pytest.raises(
        ModelUnavailable, match="answered 400: .*the stop is wrong"
    ):
        complete(server)
    assert len(server.requests) == 1


def test_a_busy_server_is_waited_for_as_long_as_it_asks(on_text: object) -> None:
    with serving(refusal(429, "slow down", Retry_After="1"), Reply("hello")) as server:
        began = time.monotonic()
        assert complete(server, on_text).text == "hello"
        assert 1 <= time.monotonic() - began < 30
    assert len(server.requests) == 2


def test_a_busy_server_may_name_a_date() -> None:
    began = time.monotonic()
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)  # without what is below a second
    with serving(refusal(429, "slow down", Retry_After=later), Reply("hello")) as server:
        assert complete(server).text == "hello"
        assert 0.9 <= time.monotonic() - began < 30


@pytest.mark.parametrize("wait", ["3600", "1e9", "inf"])
def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for(wait: str) -> None:
    began = time.monotonic()
    with serving(refusal(429, "come back later", Retry_After=wait)) as server, pytest.raises(
        ModelUnavailable, match="answered 429.*come back later"
    ):
        complete(server)
    assert len(server.requests) == 1
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("wait", ["soon", "", "-1", "nan"])
def test_a_wait_that_makes_no_sense_is_replaced_by_a_short_one(wait: str) -> None:
    with serving(refusal(429, "slow down", Retry_After=wait), Reply("hello")) as server:
        began = time.monotonic()
        assert complete(server).text == "hello"
        assert time.monotonic() - began < 30


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with serving(refusal(status, "oops", Retry_After="0"), Reply("hello")) as server:
        assert complete(server).text == "hello"


def test_a_server_that_stays_broken_is_given_up_after_four_attempts(on_text: object) -> None:
    with serving(refusal(500, "broken", Retry_After="0")) as server, pytest.raises(
        ModelUnavailable, match="answered 500 after 4 attempts: .*broken"
    ):
        complete(server, on_text)
    assert len(server.requests) == 4


def test_a_connection_cut_in_the_middle_of_an_answer_is_tried_again(on_text: object) -> None:
    with serving(Reply("never seen whole", cut=True), Reply("hello")) as server:
        assert complete(server, on_text).text == "hello"
    with serving(Reply("never seen whole", cut=True)) as server, pytest.raises(
        ModelUnavailable, match="cannot be reached"
    ):
        OpenAIServer("m", base_url=server.url, attempts=2).complete(ask(on_text=on_text))


def test_a_stream_without_a_finish_reason_has_none() -> None:
    with serving(Reply(say("ping"), finish_reason=None)) as server:
        assert complete(server, lambda _: None).finish_reason is None


def test_an_answer_without_a_finish_reason_is_never_a_success() -> None:
    with serving(Reply(say("finish", answer="42"), finish_reason=None)) as server:
        agent = Agent(model=OpenAIServer("m", base_url=server.url), tools=[ping], recall=Recall(k=0))
        run = agent.solve("Finish")
    assert run.status is Status.TRUNCATED
    assert all(step.action is None for step in run.steps)
    assert "cut off" in run.reason


@pytest.mark.parametrize("reply", [
    Reply(body=b"<html><h1>Welcome</h1></html>", content_type="text/html"),
    Reply(choices=False),
    Reply(body=b"{}"),
    Reply(body=b"[]"),
    Reply(body=b"null"),
    Reply(body=b"{not json"),
    Reply(body=b'{"choices": [{"message": null, "finish_reason": "stop"}]}'),
    Reply(body=b""),
], ids=["html", "no choices", "empty object", "list", "null", "no json", "no message", "nothing"])
def test_an_answer_of_another_kind_is_no_model(reply: Reply, on_text: object) -> None:
    with serving(reply) as server, pytest.raises(ModelUnavailable, match="answer"):
        complete(server, on_text)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("code", "message"), [
    ("context_length_exceeded", "too long"),
    ("x", "This model's maximum context length is 4096 tokens"),
    ("x", "the request exceeds the available context size"),
])
def test_a_prompt_that_the_server_finds_too_long_is_an_overflow(code: str, message: str) -> None:
    with serving(refusal(400, message, code)) as server, pytest.raises(ContextOverflow):
        complete(server)
    assert len(server.requests) == 1


def test_an_agent_makes_room_when_the_server_says_the_prompt_is_too_long() -> None:
    def narrow(body: dict[str, object]) -> Reply:
        turns = sum(message["role"] == "assistant" for message in body["messages"])  # type: ignore[attr-defined,index]
        if len(json.dumps(body["messages"])) > 4_000:
            return refusal(400, "maximum context length", "context_length_exceeded")
        return Reply(say("finish", answer="done") if turns > 5 else say("talk", number=turns))

    def talk(number: int) -> str:
        return f"{number} " * 300

    with serving(narrow) as server:
        agent = Agent(model=OpenAIServer("m", base_url=server.url), tools=[talk], recall=Recall(k=0),
                      limits=Limits(steps=10))
        run = agent.solve("Talk")
    assert run.status is Status.FINISHED
    assert run.steps[-1].elided > 0


# Tokens.


def test_token_ids_and_log_probabilities_are_kept_with_the_step_when_asked_for(on_text: object) -> None:
    from autorl.formats import load
    from autorl.policy import Policy, Sampling
    from autorl.types import Context, Step, Task

    with serving(Reply(say("ping"), token_ids=(5, 6, 7))) as server:
        for wanted in (False, True):
            policy = Policy(models.load("vllm:m", base_url=server.url), load("react"), Sampling(tokens=wanted))
            step = policy.act(Context(Task.of("Do it"), (ping.spec,)), on_text)  # type: ignore[arg-type]
    asked = [("logprobs" in body, "return_token_ids" in body) for body in server.requests]
    assert asked == [(False, False), (True, True)]
    assert (step.token_ids, step.logprobs) == ((5, 6, 7), (-0.5, -0.5, -0.5))
    assert Step.model_validate_json(step.model_dump_json()) == step


def test_tokens_are_not_asked_of_a_backend_that_cannot_tell_them() -> None:
    from autorl.policy import Sampling

    with pytest.raises(UsageError, match="'scripted' tells neither token ids nor log-probabilities"):
        Agent(model=Scripted([say("ping")]), tools=[ping], sampling=Sampling(tokens=True)).solve("Do it")
