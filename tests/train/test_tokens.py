"""What is trained is what is asked: id by id, for every format; and only the policy's own answers carry loss."""

import copy
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from autorl import formats
from autorl.errors import UsageError
from autorl.models.local import _LOOPBACK, Local
from autorl.train.rendering import Renderer, learned_messages
from autorl.train.tokens import NO_LOSS, prompt_tokens, tokenise
from autorl.types import Context, Exemplar, Style, Trajectory
from tests.train.small import TOOLS, a_run

CALLS = Path(__file__).parents[1] / "data" / "chatml-tools.jinja"
RUN = a_run("Add the words, \"quotes\" and ünïcode <|x|> 日本", ["one", "zwei ü", "a \"b\"\\", "  spaces  "],
            failing=True, unreadable=True)
SHOWN = (Exemplar(a_run("Add other words", ["EXEMPLAR"])), Exemplar(a_run("Add more", ["COMPACT"]), style="compact"))


class Served:
    """The embedded model's own server: what it makes of messages, and of a text."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def prompt(self, messages: Any, tools: Any = None) -> list[int]:
        wired = [_wired(message) for message in messages]
        text = self._post("/apply-template", {"messages": wired, **({"tools": tools} if tools else {})})["prompt"]
        return self._ids(text, special=True)

    def said(self, text: str) -> list[int]:
        return self._ids(text, special=False)

    def _ids(self, text: str, *, special: bool) -> list[int]:
        reply = self._post("/tokenize", {"content": text, "add_special": special, "parse_special": special})
        return list(reply["tokens"])

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(f"{self._server.listening_address}{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with _LOOPBACK.open(request, timeout=60) as reply:
            return json.load(reply)


@pytest.fixture(scope="module")
def served(embedded: Local) -> Served:
    return Served(embedded._server())


@pytest.fixture(scope="module")
def serving_calls(embedded: Local) -> Served:
    """The same weights behind a template that knows calls of tools, which their own does not."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(embedded.path)
    params.n_ctx, params.n_parallel, params.verbosity, params.use_jinja = 2048, 1, -1, True
    params.chat_template = CALLS.read_text()
    return Served(xllamacpp.Server(params))


def own_text(tokenizer: Any, labels: list[int]) -> str:
    return str(tokenizer.decode([label for label in labels if label != NO_LOSS]))


@pytest.mark.parametrize("shown", [(), SHOWN], ids=["bare", "with-exemplars"])
@pytest.mark.parametrize("name", [name for name in formats.FORMATS if not formats.load(name).calls])
def test_what_is_trained_is_what_is_asked(name: str, shown: Any, tokenizer: Any, served: Served) -> None:
    format = formats.load(name)
    row = format.to_training_row(Context(RUN.task, TOOLS.specs, shown, RUN.steps))
    learned = learned_messages(row["messages"], RUN.steps, failed=True)
    assert len(learned) == len(RUN.steps)
    (trained,) = tokenise(tokenizer, row["messages"], learned)
    for turn, index in enumerate(learned):
        asked = served.prompt(format.render(Context(RUN.task, TOOLS.specs, shown, RUN.steps[:turn])))
        answer = [*served.said(row["messages"][index]["content"]), tokenizer.eos_token_id]
        assert trained.ids[: len(asked)] == asked
        assert trained.ids[len(asked) : len(asked) + len(answer)] == answer
        assert trained.labels[len(asked) : len(asked) + len(answer)] == answer
        assert trained.labels[len(asked) - 1] == NO_LOSS


def test_what_is_trained_is_what_is_asked_of_a_server_that_calls_tools(tokenizer: Any, serving_calls: Served) -> None:
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = CALLS.read_text()
    format = formats.load("native")
    row = format.to_training_row(Context(RUN.task, TOOLS.specs, SHOWN, RUN.steps))
    # The mark of OpenAI's strict mode is for the API: llama.cpp shows its template none.
    tools = [{**each, "function": {name: value for name, value in each["function"].items() if name != "strict"}}
             for each in row["tools"]]
    learned = learned_messages(row["messages"], RUN.steps)
    (trained,) = tokenise(tokenizer, row["messages"], learned, tools)
    for turn, index in enumerate(learned_messages(row["messages"], RUN.steps, failed=True)):
        messages = format.render(Context(RUN.task, TOOLS.specs, SHOWN, RUN.steps[:turn]))
        asked = serving_calls.prompt(messages, tools)
        assert trained.ids[: len(asked)] == asked
        assert (trained.labels[len(asked)] != NO_LOSS) == (index in learned)


@pytest.mark.parametrize("name", [name for name in formats.FORMATS if not formats.load(name).calls])
@pytest.mark.parametrize("style", ["full", "compact"])
def test_only_the_policys_own_good_answers_and_their_ends_carry_loss(name: str, style: Style, tokenizer: Any) -> None:
    format = formats.load(name)
    shown = tuple(Exemplar(a_run("Add other words", ["EXEMPLAR"]), style=style) for _ in range(2))
    row = Renderer(format, tokenizer).row(RUN, TOOLS, shown)
    (tokens,) = tokenise(tokenizer, row["messages"], row["learned"])
    good = [step for step in RUN.steps if step.observation and step.observation.ok and step.action]
    assert own_text(tokenizer, tokens.labels) == "".join(
        format.write(step.thought, step.action) + tokenizer.eos_token for step in good if step.action)
    whole = tokenizer.decode(tokens.ids)
    assert all(there in whole for there in ("EXEMPLAR", "WRONG", "I would rather talk", "SEEN one", "Answer again"))


def test_steps_that_went_wrong_are_learned_only_when_asked_for(tokenizer: Any) -> None:
    renderer = Renderer(formats.load("react"), tokenizer)
    without, with_them = renderer.row(RUN, TOOLS), renderer.row(RUN, TOOLS, failed=True)
    assert set(with_them["learned"]) - set(without["learned"]) == {2, 4}
    assert with_them["messages"] == without["messages"]
    assert with_them["tokens_learned"] > without["tokens_learned"] > 0


def test_a_template_that_rewrites_the_past_gives_rows_that_each_follow_their_own_prompt(tokenizer: Any) -> None:
    forgetful = copy.deepcopy(tokenizer)
    forgetful.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] if m['role'] != 'assistant' or loop.last "
        "else 'I acted.' }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
    row = Renderer(formats.load("react"), tokenizer).row(RUN, TOOLS)
    rows = tokenise(forgetful, row["messages"], row["learned"])
    assert len(rows) == len(row["learned"])
    for tokens, index in zip(rows, row["learned"], strict=True):
        asked = prompt_tokens(forgetful, row["messages"][:index])
        assert tokens.ids[: len(asked)] == asked
        assert own_text(tokenizer, tokens.labels) == row["messages"][index]["content"] + tokenizer.eos_token


def test_a_template_that_does_not_end_an_answer_is_refused(tokenizer: Any) -> None:
    endless = copy.deepcopy(tokenizer)
    endless.chat_template = "{% for m in messages %}{{ m['role'] }}:\n{{ m['content'] }}\n{% endfor %}" \
        "{% if add_generation_prompt %}assistant:\n{% endif %}"
    with pytest.raises(UsageError, match="would not learn to stop"):
        tokenise(endless, _messages(RUN), [2])


def test_a_template_whose_prompt_changes_with_the_answer_is_refused(tokenizer: Any) -> None:
    fickle = copy.deepcopy(tokenizer)
    fickle.chat_template = "{{ messages | length }}" + fickle.chat_template
    with pytest.raises(UsageError, match="writes a prompt differently"):
        tokenise(fickle, _messages(RUN), [2])


def test_a_template_that_leaves_out_calls_of_tools_is_refused(tokenizer: Any) -> None:
    row = formats.load("native").to_training_row(Context(RUN.task, TOOLS.specs, (), RUN.steps))
    with pytest.raises(UsageError, match=r"leaves out the calls of tools \('add'\).*--format react"):
        tokenise(tokenizer, row["messages"], learned_messages(row["messages"], RUN.steps), row["tools"])


def _messages(run: Trajectory) -> Any:
    return formats.load("react").render(Context(run.task, TOOLS.specs, (), run.steps))


def _wired(message: dict[str, Any]) -> dict[str, Any]:
    """A message as it goes over HTTP: the arguments of a call are a text there."""
    if "tool_calls" not in message:
        return message
    calls = [{**call, "function": {**call["function"], "arguments": json.dumps(
        call["function"]["arguments"], ensure_ascii=False)}} for call in message["tool_calls"]]
    return {**message, "tool_calls": calls}
