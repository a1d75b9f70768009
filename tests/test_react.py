import pytest

from autorl.errors import FormatError
from autorl.formats.react import React
from autorl.types import Action
from tests.conformance.formats import FormatSuite


class TestReact(FormatSuite):
    format = React()


@pytest.mark.parametrize("text", [
    'Thought: t\nAction: ping\nAction Input: {"a": 1}',
    'thought: t\naction: ping\naction input: {"a": 1}',
    '**Thought:** t\n**Action:** ping\n**Action Input:** {"a": 1}',
    '**Thought**: t\n**Action**: `ping`\n**Action Input**: ```json\n{"a": 1}\n```',
    'Thought: t\r\nAction: ping\r\nAction Input: {"a": 1}\r\n',
    't\nAction: ping {"a": 1}',
    't\nAction: ping({"a": 1})',
    '- Thought: t\n- Action: "ping"\n- Action Input:\n{\n  "a": 1\n}',
    '> Thought: t\n### Action: ping\n\n  Action Input: {"a": 1}',
])
def test_the_ways_in_which_models_write_a_step_are_all_read(text: str) -> None:
    parsed = React().parse(text)
    assert parsed.action == Action(name="ping", arguments={"a": 1})
    assert parsed.thought == "t"


@pytest.mark.parametrize(("text", "problem"), [
    ("", "no line 'Action:'"),
    ("I shall do it now.", "no line 'Action:'"),
    ("Action:", "names no tool"),
    ("Action: ping", "not followed by a line 'Action Input:'"),
    ("Action: ping\nAction Input: now", "expected a JSON object, found 'now'"),
    ("Action: ping\nAction Input: [1]", "expected a JSON object"),
    ('Action: ping\nAction Input: {"a": }', "not valid"),
    ('Action: ping\nAction Input: {"a": 1', "not valid"),
    ("Action: ping\nAction: pong", "before the next action"),
    ("Observation: done\nAction: ping\nAction Input: {}", "no line 'Action:'"),
])
def test_what_is_missing_is_named(text: str, problem: str) -> None:
    with pytest.raises(FormatError, match=problem.replace("(", r"\(")):
        React().parse(text)


@pytest.mark.parametrize("mark", ["*so*", "_so_", "Action: so", "Observation: so", "Final Answer: so", "# so"])
def test_a_thought_that_looks_like_something_else_stays_a_thought(mark: str) -> None:
    action = Action(name="ping")
    parsed = React().parse(React().write(mark, action))
    assert (parsed.thought, parsed.action) == (mark, action)


@pytest.mark.parametrize("character", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_only_a_line_feed_ends_a_line(character: str) -> None:
    """The grammar forbids a thought that character alone, so the parser must not see a line in another."""
    parsed = React().parse(f'Thought: I say{character}Action: no\nAction: ping\nAction Input: {{"a": 1}}')
    assert parsed.action == Action(name="ping", arguments={"a": 1})
