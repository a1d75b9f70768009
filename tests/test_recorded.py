from pathlib import Path

import pytest

from autorl import Agent
from autorl.errors import ModelUnavailable, UsageError
from autorl.models.base import Capabilities, Completion, Model, Request
from autorl.models.openai import OpenAIServer
from autorl.models.recorded import Recorded
from autorl.models.scripted import Scripted
from autorl.replay.recall import Recall
from autorl.rollout.threads import in_threads
from autorl.types import Usage
from tests.conformance.models import SENTENCE, ModelSuite, ask
from tests.servers import Reply, serving
from tests.worlds import add, adds_words, look

TAPE = Path("tape.jsonl")


def greets(_: Request) -> str:
    return "hello"


class TestRecording(ModelSuite):
    @pytest.fixture
    def model(self) -> Model:
        return Recorded(TAPE, of=Scripted(greets))


class TestReplaying(ModelSuite):
    @pytest.fixture
    def model(self) -> Model:
        recording = Recorded(TAPE, of=Scripted(greets))
        for request in (ask(), ask(SENTENCE), ask(stop=("\n",), seed=3)):
            recording.complete(request)
        for n in range(self.at_once):
            recording.complete(ask(f"Say {n}.", max_tokens=4))
        return Recorded(TAPE)


def test_what_was_recorded_is_given_again_without_the_model() -> None:
    answer = Completion("hello", "length", Usage(prompt_tokens=3, completion_tokens=2, cached_tokens=1), seconds=0.5)
    Recorded(TAPE, of=Scripted([answer])).complete(ask())
    assert Recorded(TAPE).complete(ask()) == answer
    assert Recorded(TAPE, of=Scripted([])).complete(ask()) == answer, "nothing is asked for twice"


def test_a_request_recorded_several_times_is_answered_in_that_order_and_then_with_the_last() -> None:
    recording = Recorded(TAPE, of=Scripted(["one", "two"]))
    for _ in range(2):
        recording.complete(ask())
    replayed = Recorded(TAPE)
    assert [replayed.complete(ask()).text for _ in range(3)] == ["one", "two", "two"]


@pytest.mark.parametrize(("request_", "difference"), [
    (ask("Say goodbye."), r"messages is .*goodbye.*, recorded was .*hello"),
    (ask(temperature=0.5), "temperature is .*0.5.*, recorded was .*0.0"),
    (ask(seed=4), "seed is .*4.*null"),
    (ask(stop=("x",)), 'stop is .*"x"'),
])
def test_an_unknown_request_fails_and_says_what_differs(request_: Request, difference: str) -> None:
    Recorded(TAPE, of=Scripted(["one"])).complete(ask())
    with pytest.raises(ModelUnavailable, match=difference) as raised:
        Recorded(TAPE).complete(request_)
    assert "Record it again" in str(raised.value)


def test_a_recording_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no recording 'nowhere.jsonl'.*Make one"):
        Recorded("nowhere.jsonl")
    TAPE.write_text('{"request": {}}\n')
    with pytest.raises(UsageError, match="line 1 of the recording"):
        Recorded(TAPE)


def test_threads_record_every_exchange_once() -> None:
    recording = Recorded(TAPE, of=Scripted(lambda request: request.messages[-1]["content"]))
    list(in_threads(lambda n: recording.complete(ask(f"Say {n}")), range(50), 8))
    replayed = Recorded(TAPE)
    assert [replayed.complete(ask(f"Say {n}")).text for n in range(50)] == [f"Say {n}" for n in range(50)]


@pytest.mark.parametrize("capabilities", [
    Capabilities(), Capabilities(json_schema=True), Capabilities(grammar=True, json_schema=True),
], ids=["none", "schema", "both"])
def test_a_whole_run_is_given_again_whatever_the_model_took(capabilities: Capabilities) -> None:
    real = Scripted(adds_words)
    real.capabilities = capabilities
    agent = Agent(model=Recorded(TAPE, of=real), tools=[add, look], recall=Recall(k=0))
    recorded = agent.solve("Add the words")
    again = Agent(model=Recorded(TAPE), tools=[add, look], recall=Recall(k=0)).solve("Add the words")
    assert [step.action for step in again.steps] == [step.action for step in recorded.steps]
    assert again.answer == "one two three four"


def test_a_real_server_is_recorded_once_and_not_asked_again() -> None:
    with serving(Reply("hello")) as server:
        model = Recorded(TAPE, of=OpenAIServer("m", base_url=server.url))
        first = model.complete(ask())
        assert Recorded(TAPE, of=OpenAIServer("m", base_url=server.url)).complete(ask()).text == first.text
        assert len(server.requests) == 1
    assert Recorded(TAPE).complete(ask()).text == "hello"
