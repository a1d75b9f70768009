from autorl.formats.act import Act
from autorl.formats.react import React
from autorl.types import Action
from tests.conformance.formats import SPECS, FormatSuite


class TestAct(FormatSuite):
    format = Act()
    thinks = False


CALL = Action(name="ping", arguments={"to": "you"})


def test_a_step_is_that_of_react_without_its_thought() -> None:
    assert Act().write("I greet", CALL) == React().write("I greet", CALL).partition("\n")[2]
    assert "Thought" not in Act().render(TestAct()._context([]))[0]["content"]
    assert "Thought" not in (Act().constrain(SPECS).grammar or "")


def test_a_thought_all_the_same_is_read() -> None:
    parsed = Act().parse(React().write("I greet", CALL))
    assert (parsed.thought, parsed.action) == ("I greet", CALL)
