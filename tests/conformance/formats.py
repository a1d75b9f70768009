"""What every format must do. A test module makes it its own: `class TestReact(FormatSuite): format = React()`."""

import json
import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from autorl.errors import FormatError
from autorl.formats import FORMATS, load
from autorl.formats.base import ELIDED, INPUT_CAP, Format
from autorl.models.base import Request
from autorl.models.local import Local
from autorl.types import FINISH, Action, Context, Exemplar, Observation, Task, Trajectory
from tests.worlds import ACTIONS, RICH, STEPS, TEXT, a_run, a_step, numbered, options

SIZES = (10_000, 20_000, 40_000, 60_000)
HOSTILE = [
    "{", '{"a":', '{"a":[', "[", "}", '"', "\\", '{"a": "', " ", "\n", "\r", "\u2028", "*", "`", "```json\n", ":", "(",
    "Thought: ", "Thought:\n", "Thought: x\n", "Action: ", "Action:\n", "Action: x\n", "Action: x {", "Action: x\n\n",
    "Action Input: ", "Action Input: {", "Action Input:\n", "Action: x\nAction Input:", "Observation: ",
    "Observation:\n",
    "Final Answer", "Final Answer:", "final answer: {", "**Action**: x\n", "\u0130", "0", "1e", "-", '{"action": "x", ',
    "<tool_call>", "<tool_call>\n{", "</tool_call>", '{"name": "x", "arguments": ',
]
SPECS = tuple(each.spec for each in RICH)


class FormatSuite:
    """Needs `format`; `thinks` tells whether its steps have a thought."""

    format: Format
    thinks = True

    # Writing and reading.

    @given(TEXT, ACTIONS)
    def test_what_is_written_is_read_back(self, thought: str, action: Action) -> None:
        parsed = self.format.parse(self.format.write(thought, action))
        assert parsed.action == action
        assert parsed.thought.split() == (thought.split() if self.thinks else [])
        assert parsed.cut == 0

    @given(st.text(max_size=300) | st.lists(st.sampled_from(HOSTILE), max_size=40).map("".join))
    def test_any_text_gives_an_action_or_a_format_error(self, text: str) -> None:
        try:
            parsed = self.format.parse(text)
        except FormatError as error:
            assert str(error)
        else:
            assert parsed.action.name
            # What is read can be stored and shown: it is JSON, and every encoder takes it.
            assert Action.model_validate_json(parsed.action.model_dump_json()) == parsed.action
            (self.format.write(parsed.thought, parsed.action)).encode()

    @given(TEXT, ACTIONS, st.data())
    def test_a_damaged_answer_gives_an_action_or_a_format_error(self, thought: str, action: Action, data: Any) -> None:
        text = self.format.write(thought, action)
        begin = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(begin, len(text)))
        try:
            self.format.parse(text[:begin] + data.draw(st.text(max_size=5)) + text[end:])
        except FormatError:
            pass

    @pytest.mark.parametrize("depth", [200, 500, 900, 5_000, 10_000])
    def test_arguments_nested_beyond_reason_are_a_format_error(self, depth: int) -> None:
        text = self.format.write("x", Action(name="ping", arguments={"a": "HERE"}))
        for begin, end in (("[", "]"), ('{"a":', "}")):
            with pytest.raises(FormatError, match="nested"):
                self.format.parse(text.replace('"HERE"', begin * depth + "1" + end * depth))

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 5_000])
    def test_a_number_that_json_cannot_hold_is_a_format_error(self, number: str) -> None:
        text = self.format.write("x", Action(name="ping", arguments={"a": "HERE"}))
        with pytest.raises(FormatError):
            self.format.parse(text.replace('"HERE"', number))

    def test_an_answer_over_the_cap_is_a_format_error_that_says_so(self) -> None:
        with pytest.raises(FormatError, match=str(INPUT_CAP)):
            self.format.parse("x" * (INPUT_CAP + 1))

    @pytest.mark.parametrize("piece", HOSTILE)
    def test_reading_takes_time_in_proportion_to_the_length(self, piece: str) -> None:
        start = self.format.write("x", Action(name="ping", arguments={"a": 1})).rpartition("1")[0]
        for before in ("", start, start + '"'):
            texts = [(before + piece * (size // len(piece) + 1))[:size] for size in SIZES]
            times = [min(self._seconds(text) for _ in range(3)) for text in texts]
            # Six times the length: about 6 times the time where it is linear, 36 where it is quadratic.
            assert times[-1] < 18 * max(times[0], 1e-4), f"{before!r} + {piece!r}: {times}"

    def _seconds(self, text: str) -> float:
        begin = time.thread_time()
        try:
            self.format.parse(text)
        except FormatError:
            pass
        return time.thread_time() - begin

    @given(TEXT, ACTIONS, ACTIONS)
    def test_only_the_first_action_counts_and_what_follows_is_counted(
        self, thought: str, first: Action, second: Action
    ) -> None:
        after = f"Observation: it worked\n{self.format.write('Then', second)}"
        parsed = self.format.parse(f"{self.format.write(thought, first)}\n{after}")
        assert parsed.action == first
        assert parsed.cut == len(after.strip())

    @pytest.mark.parametrize("answer", ["42", "use {braces} and\nlines", "\u0130stanbul"])
    def test_a_plain_final_answer_finishes(self, answer: str) -> None:
        parsed = self.format.parse(f"Final Answer: {answer}")
        assert parsed.action == Action(name=FINISH, arguments={"answer": answer})

    # The conversation.

    @given(st.lists(STEPS, max_size=5))
    def test_a_longer_context_begins_with_the_shorter_one(self, steps: list[Any]) -> None:
        context = self._context(steps)
        whole = self.format.render(context)
        for count in range(len(steps)):
            part = self.format.render(replace(context, steps=context.steps[:count]))
            assert whole[: len(part)] == part

    @given(st.lists(STEPS, min_size=1, max_size=5))
    def test_a_training_row_is_what_was_asked_and_what_was_answered(self, steps: list[Any]) -> None:
        context = self._context(steps)
        row = self.format.to_training_row(context)["messages"]
        shown = len(self.format.render(self._context([])))
        answers = [index for index, message in enumerate(row) if message["role"] == "assistant" and index >= shown]
        assert len(answers) == len(steps)
        assert answers[-1] == len(row) - 1
        for turn, (index, step) in enumerate(zip(answers, steps, strict=True)):
            assert row[:index] == self.format.render(replace(context, steps=context.steps[:turn]))
            assert self.format.parse(self.format.spoken(row[index])).action == step.action

    def test_what_changes_least_stands_first(self) -> None:
        one = self.format.render(self._context([a_step()]))
        other = self.format.render(replace(self._context([a_step(observation="else")]), task=Task.of("Another task")))
        assert one[0] == other[0]
        assert "Make tea" not in one[0]["content"]
        before, _, asked = self._told(one).rpartition("Task: ")
        assert "A past task" in before
        assert asked.startswith("Make tea")
        assert ("Now do this one" in before) == self.format.tells_apart

    def test_every_tool_is_described_with_its_parameters(self) -> None:
        told = self.format.render(self._context([]))[0]["content"] + json.dumps(self.format.offer(SPECS))
        for spec in SPECS:
            assert spec.name in told
            assert spec.description in told
            assert all(name in told for name in spec.parameters["properties"])
        assert "when it is needed" in told

    def test_an_elided_observation_leaves_a_mark_in_its_place(self) -> None:
        steps = numbered([a_step(observation="first"), a_step(observation="second")])
        messages = self.format.render(replace(self._context(steps), elided=1))
        seen = [m["content"].removeprefix("Observation: ") for m in messages if m["role"] in ("user", "tool")]
        assert seen[-2:] == [ELIDED, "second"]
        assert "first" not in " ".join(seen)

    def test_an_answer_without_an_action_stays_in_the_conversation_with_its_correction(self) -> None:
        wrong = a_step().model_copy(update={
            "action": None, "raw": "gibberish", "error": "FormatError: no", "observation": Observation(text="Again")})
        messages = self.format.render(self._context([wrong]))
        assert [message["content"] for message in messages[-2:]] == ["gibberish", "Observation: Again"]

    def test_the_correction_repeats_the_problem_and_the_form(self) -> None:
        text = self.format.correction("there was nothing")
        assert "there was nothing" in text
        assert self.format.form in text

    @pytest.mark.parametrize("style", ["full", "compact"])
    @pytest.mark.parametrize("other", [load(name) for name in FORMATS], ids=FORMATS)
    def test_a_success_told_in_one_format_can_be_shown_in_another(self, style: Any, other: Format) -> None:
        text = other.write("I greet", Action(name="ping", arguments={"to": "you"}))
        read = other.parse(text)
        step = a_step().model_copy(update={"thought": read.thought, "action": read.action, "raw": text})
        shown = self.format.exemplar(a_run("Greet", numbered([step, a_step()])), style)
        assert "Task: Greet" in shown[0]["content"]
        assert '"to": "you"' in self._told(shown)
        assert ("pong" in self._told(shown)) == (style == "full")
        if style == "full":
            assert self.format.parse(self.format.spoken(shown[1])).action == read.action

    @given(st.lists(st.tuples(st.lists(STEPS, max_size=3), st.sampled_from(["full", "compact"])), max_size=4))
    def test_nobody_speaks_twice_in_a_row(self, past: list[Any]) -> None:
        shown = tuple(Exemplar(a_run(f"Task {number}", numbered(steps)), style=style)
                      for number, (steps, style) in enumerate(past))
        messages = self.format.render(replace(self._context([]), exemplars=shown))
        roles = [message["role"] for message in messages]
        assert roles[0] == "system"
        assert roles[-1] == "user"
        assert all(one != other for one, other in pairwise(roles))
        called = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
        assert len(set(called)) == len(called)

    def test_an_exemplar_leaves_out_what_went_wrong(self) -> None:
        steps = numbered([a_step(observation="Error: no", ok=False), a_step(name="book")])
        shown = self._told(self.format.exemplar(a_run("Greet", steps)))
        assert "Error: no" not in shown
        assert "book" in shown

    # Constraint.

    @pytest.mark.slow
    def test_whatever_is_sampled_under_the_grammar_parses_and_fits_the_schema(
        self, embedded: Local, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if self.format.calls:
            pytest.skip("the server holds the calls to the tools' schemas")
        monkeypatch.setattr(f"{self.format.__module__}.THOUGHT_LENGTH", 20, raising=False)  # care is for arguments
        specs = {each.name: each.spec for each in RICH}
        messages = self.format.render(self._context([]))

        def sample(case: tuple[str, int]) -> bool:
            name, seed = case
            grammar = self.format.constrain((specs[name],) if name else tuple(specs.values())).grammar
            request = Request(messages, self.format.stop, max_tokens=90, temperature=1.5, seed=seed, grammar=grammar)
            completion = embedded.complete(request)
            if completion.finish_reason != "stop":
                return False
            action = self.format.parse(completion.text).action
            problems = list(Draft202012Validator(specs[action.name].parameters).iter_errors(action.arguments))
            assert not problems, completion.text
            return True

        cases = [*((name, 1) for name in specs), ("", 2), ("", 3)]
        whole = [sample(case) for case in cases]
        assert sum(whole) >= 4, "too few of the samples came to their end to show anything"

    @pytest.mark.slow
    def test_the_schema_is_one_that_servers_take(self, embedded: Local) -> None:
        schema = self.format.constrain((options.spec,)).json_schema
        if schema is None:
            return
        messages = self.format.render(self._context([]))
        completion = embedded.complete(Request(messages, max_tokens=40, temperature=0.0, json_schema=schema))
        assert completion.text.startswith("{")

    def test_the_schema_takes_what_is_written(self) -> None:
        schema = self.format.constrain(SPECS).json_schema
        if schema is None:
            return
        Draft202012Validator.check_schema(schema)
        room = {"title": "Attic", "people": [{"name": "Ada"}]}
        text = self.format.write("Book", Action(name="book", arguments={"room": room, "day": "mon"}))
        Draft202012Validator(schema).validate(json.loads(text))
        assert not Draft202012Validator(schema).is_valid(json.loads(text.replace('"mon"', '"sun"')))

    def _told(self, messages: Any) -> str:
        return "\n".join(map(self.format.spoken, messages))

    def _context(self, steps: Any) -> Context:
        past: Trajectory = a_run("A past task")
        return Context(Task.of("Make tea"), SPECS, (Exemplar(past),), numbered(steps))
