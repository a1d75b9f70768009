"""The format `native`: tools go with the request, calls come back, and the rest of autorl sees text as ever."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl import Agent, models
from autorl.errors import FormatError, UsageError
from autorl.formats import FORMATS, load
from autorl.formats.native import Native
from autorl.models.openai import OpenAIServer
from autorl.models.scripted import Scripted
from autorl.policy import Policy, Sampling
from autorl.registry import finish
from autorl.replay.recall import Recall
from autorl.types import Action, Context, Observation, Status, Task
from tests.conformance.formats import FormatSuite
from tests.servers import Call, Reply, Server, refusal, serving
from tests.worlds import ACTIONS, JSON, RICH, a_run, a_step, add, look, ping

TOOLS = (ping.spec, finish.spec)


class TestNative(FormatSuite):
    format = Native()


def act(*replies: Reply, streamed: bool = False, **sampling: Any) -> tuple[Any, Server]:
    with serving(*replies) as server:
        policy = Policy(OpenAIServer("m", base_url=server.url), load("native"), Sampling(**sampling))
        step = policy.act(Context(Task.of("Do it"), TOOLS), (lambda _: None) if streamed else None)
    return step, server


# What is asked.


def test_the_tools_go_with_the_request_and_one_of_them_must_be_called() -> None:
    _, server = act(Reply(calls=(Call("ping"),)))
    body = server.requests[0]
    assert [tool["function"]["name"] for tool in body["tools"]] == ["ping", "finish"]
    assert body["tools"][1]["function"]["parameters"] == finish.spec.parameters
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("required", False)
    assert "response_format" not in body
    _, server = act(Reply(calls=(Call("ping"),)), constrained=False)
    assert server.requests[0]["tool_choice"] == "auto"


def test_a_schema_that_strict_servers_take_is_marked_so_and_no_other_is() -> None:
    marked = {tool["function"]["name"]: tool["function"].get("strict", False)
              for tool in Native().offer(tuple(each.spec for each in RICH))}
    assert marked == {"book": False, "plot": True, "ping": True, "options": False, "odd": False, "grow": False}


def test_past_calls_and_their_results_go_back_as_calls_and_results() -> None:
    steps = (a_step(0, "ping", "pong", to="you"),)
    with serving(Reply(calls=(Call("ping"),))) as server:
        policy = Policy(OpenAIServer("m", base_url=server.url), load("native"))
        policy.act(Context(Task.of("Do it"), TOOLS, steps=steps))
    said, seen = server.requests[0]["messages"][-2:]
    call = said["tool_calls"][0]
    assert said["content"] == "Step 0"
    assert call["function"] == {"name": "ping", "arguments": '{"to": "you"}'}, "arguments travel as JSON in a text"
    assert seen == {"role": "tool", "tool_call_id": call["id"], "name": "ping", "content": "pong"}
    assert len(call["id"]) == 9
    assert call["id"].isalnum(), "as Mistral's templates want it"


def test_a_training_row_holds_the_tools_and_arguments_as_objects() -> None:
    context = Context(Task.of("Do it"), TOOLS, steps=(a_step(0, "ping", to="you"),))
    row = Native().to_training_row(context)
    assert row["tools"] == list(Native().offer(TOOLS))
    assert row["messages"][-1]["tool_calls"][0]["function"] == {"name": "ping", "arguments": {"to": "you"}}
    assert row["messages"][:-1] == Native().render(Context(Task.of("Do it"), TOOLS))


# What comes back.


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("reply", "thought", "arguments"), [
    (Reply("I greet", "tool_calls", calls=(Call("ping", '{"to": "you"}'),)), "I greet", {"to": "you"}),
    (Reply("", "tool_calls", calls=(Call("ping", '{\n "to":"you"}'),)), "", {"to": "you"}),
    (Reply("", "stop", calls=(Call("ping", ""),)), "", {}),
    (Reply("", "stop", calls=(Call("ping", "{}"),)), "", {}),
    (Reply('I greet\n<tool_call>\n{"name": "ping", "arguments": {"to": "you"}}\n</tool_call>'), "I greet",
     {"to": "you"}),
    (Reply('{"name": "ping", "parameters": {"to": "you"}}'), "", {"to": "you"}),
    (Reply('```json\n{"name": "ping", "arguments": "{\\"to\\": \\"you\\"}"}\n```'), "", {"to": "you"}),
], ids=["openai", "vllm", "no arguments", "empty arguments", "hermes unread", "llama unread", "twice encoded"])
def test_a_call_is_an_action_however_the_server_tells_it(
    reply: Reply, thought: str, arguments: dict[str, Any], streamed: bool
) -> None:
    step, _ = act(reply, streamed=streamed)
    assert (step.thought, step.action, step.error) == (thought, Action(name="ping", arguments=arguments), None)
    assert step.cut == 0


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_of_several_calls_the_first_counts_and_the_others_are_cut_and_counted(streamed: bool) -> None:
    calls = (Call("ping", '{"to": "a"}'), Call("ping", '{"to": "b"}'), Call("finish", '{"answer": "c"}'))
    step, _ = act(Reply("Three at once", "tool_calls", calls=calls), streamed=streamed)
    assert step.action == Action(name="ping", arguments={"to": "a"})
    assert step.raw.count("<tool_call>") == 3
    assert step.cut == len(step.raw.partition("</tool_call>")[2].strip())


@pytest.mark.parametrize(("arguments", "problem"), [
    ('{"to": "you', "not valid"), ("to=you", "JSON"), ("[1]", "expected an object"), ('{"n": NaN}', "NaN"),
    ("null", "expected an object"),
])
def test_arguments_that_are_no_json_are_told_to_the_policy(arguments: str, problem: str) -> None:
    step, _ = act(Reply("", "tool_calls", calls=(Call("ping", arguments),)))
    assert step.action is None
    assert step.error.startswith("FormatError")
    assert problem in step.observation.text
    assert "one call of one tool" in step.observation.text


def test_a_text_without_a_call_is_told_to_the_policy_and_a_final_answer_finishes() -> None:
    step, _ = act(Reply("I think that I shall ping."))
    assert step.error == "FormatError: there is no call of a tool"
    step, _ = act(Reply("Final Answer: 42"))
    assert step.action == Action(name="finish", arguments={"answer": "42"})


@pytest.mark.parametrize("arguments", ['{"to": "you', '{"to": "you"'])
def test_a_call_that_was_cut_at_the_tokens_is_truncated(arguments: str) -> None:
    step, _ = act(Reply("", "length", calls=(Call("ping", arguments),)))
    assert step.error.startswith("Truncated: the answer was cut at 512 tokens")


@given(st.text(max_size=40), st.text(max_size=60) | JSON.map(json.dumps))
def test_whatever_a_server_gives_for_arguments_is_an_action_or_a_format_error(name: str, arguments: str) -> None:
    text = f'<tool_call>\n{{"name": {json.dumps(name)}, "arguments": {arguments}}}\n</tool_call>'
    try:
        assert Native().parse(text).action.name
    except FormatError as error:
        assert str(error)


def test_what_the_watcher_sees_is_what_is_kept() -> None:
    seen: list[str] = []
    calls = (Call("ping", '{"to": "a"}'), Call("ping", ""))
    with serving(Reply("So", "tool_calls", calls=calls)) as server:
        model = OpenAIServer("m", base_url=server.url)
        step = Policy(model, load("native")).act(Context(Task.of("Do it"), TOOLS), seen.append)
    assert "".join(seen) == step.raw


# Where it cannot be.


def test_a_backend_without_tool_calls_is_told_at_once_with_the_formats_that_work() -> None:
    with pytest.raises(UsageError, match=r"'native' takes a server that calls tools, and 'local' does not.*"
                                         r"--format react, act or structured"):
        Agent(model="local", tools=[ping], format="native").solve("Do it")


def test_a_server_that_refuses_tools_is_quoted() -> None:
    message = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    with serving(refusal(400, message)) as server, pytest.raises(Exception, match="--tool-call-parser"):
        Agent(model=models.load("openai:m", base_url=server.url), tools=[ping], format="native",
              recall=Recall(k=0)).solve("Do it")


# A run, and the way from one format to another.


def adds(body: dict[str, Any]) -> Reply:
    """A server that calls `add` for each word and then `finish`."""
    words = ["one", "two", "three"]
    done = sum(message["role"] == "tool" for message in body["messages"])
    call = Call("add", json.dumps({"word": words[done]})) if done < 3 else Call("finish", '{"answer": "done"}')
    return Reply("Next", "tool_calls", calls=(call,))


def test_an_agent_solves_with_the_tools_of_a_server() -> None:
    with serving(adds) as server:
        agent = Agent(model=models.load("vllm:m", base_url=server.url), tools=[add, look], format="native",
                      recall=Recall(k=0))
        run = agent.solve("Add the words")
    assert run.status is Status.FINISHED
    assert [action.name for action in run.actions] == ["add", "add", "add", "finish"]
    assert all(load("native").parse(step.raw).action == step.action for step in run.steps)


@given(st.lists(ACTIONS, min_size=1, max_size=4))
def test_a_run_made_in_any_format_is_trained_in_any_other(actions: list[Action]) -> None:
    steps = [a_step(index).model_copy(update={"action": action}) for index, action in enumerate(actions)]
    run = a_run("Do it", steps)
    for name in FORMATS:
        form = load(name)
        row = form.to_training_row(Context(run.task, TOOLS, steps=run.steps))
        said = [form.parse(form.spoken(m)).action for m in row["messages"] if m["role"] == "assistant"]
        assert said == actions


def test_what_fits_is_reckoned_with_the_calls_and_the_tools() -> None:
    long = "word " * 200
    steps = tuple(a_step(index, "ping", "ok", text=long) for index in range(4))
    context = Context(Task.of("Do it"), TOOLS, steps=steps)
    model = Scripted(lambda _: load("native").write("", Action(name="ping")), context_tokens=1_500)
    with pytest.raises(Exception, match="take"):
        Policy(model, load("native"), Sampling(max_tokens=100)).act(context)
    seen = tuple(step.model_copy(update={"observation": Observation(text=long), "action": Action(name="ping")})
                 for step in steps)
    step = Policy(model, load("native"), Sampling(max_tokens=100)).act(Context(context.task, TOOLS, steps=seen))
    assert step.elided > 0
