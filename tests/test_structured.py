import pytest

from autorl.errors import FormatError
from autorl.formats.structured import Structured
from autorl.types import Action
from tests.conformance.formats import FormatSuite


class TestStructured(FormatSuite):
    format = Structured()


@pytest.mark.parametrize("text", [
    '{"thought": "t", "action": "ping", "arguments": {"a": 1}}',
    '```json\n{"thought": "t", "action": "ping", "arguments": {"a": 1}}\n```',
    '{"action": "ping", "arguments": {"a": 1}, "thought": "t"} and so on',
    '\n\n{"thought":"t","action":"ping","arguments":{"a":1},"more":[]}',
])
def test_the_ways_in_which_models_write_a_step_are_all_read(text: str) -> None:
    parsed = Structured().parse(text)
    assert parsed.action == Action(name="ping", arguments={"a": 1})
    assert parsed.thought == "t"


@pytest.mark.parametrize(("text", "problem"), [
    ("", "expected a JSON object"),
    ("no", "expected a JSON object"),
    ("{}", "the key 'action'"),
    ('{"action": 3}', "the key 'action'"),
    ('{"action": ""}', "the key 'action'"),
    ('{"action": "ping", "arguments": [1]}', "'arguments' is a list"),
    ('{"action": "ping", "arguments": {', "not valid"),
])
def test_what_is_missing_is_named(text: str, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        Structured().parse(text)


def test_a_thought_that_is_null_is_no_thought() -> None:
    assert Structured().parse('{"thought": null, "action": "ping"}').thought == ""
