import functools
import json
import threading
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from autorl.calling import OBSERVATION_LIMIT
from autorl.content import load_pack
from autorl.describe import signature
from autorl.errors import ToolError, UnknownName, UsageError
from autorl.registry import DATA_LIMIT, Answer, Pack, RunContext, Tool, Toolset, finish, tool
from autorl.types import FINISH, Action, Observation, Task
from autorl.workspace import Workspace
from tests.worlds import JSON, NAMES, RICH, TEXT, Day, Person, Room, book, grow, options, ping, plot


@pytest.fixture
def context(tmp_path: Path) -> RunContext:
    return RunContext(Workspace(tmp_path / "work"), Task.of("Do it"))


def call(function: Any, context: RunContext, /, **arguments: Any) -> Any:
    return (function if isinstance(function, Tool) else tool(function)).call(arguments, context)


# What the policy sees.


def test_the_schema_comes_from_the_hints_and_the_words_from_the_docstring() -> None:
    @tool
    def order(dish: str, day: Literal["mon", "tue"], people: int = 2) -> str:
        """Order a dish
        for some people.

        dish: its name, as the
          menu gives it
        people (int): how many will come
        Returns: nothing of note
        """
        return dish

    assert order.spec.description == "Order a dish for some people."
    assert order.spec.parameters == {
        "type": "object", "additionalProperties": False, "required": ["dish", "day"],
        "properties": {
            "dish": {"type": "string", "description": "its name, as the menu gives it"},
            "day": {"type": "string", "enum": ["mon", "tue"]},
            "people": {"type": "integer", "default": 2, "description": "how many will come"},
        },
    }
    assert signature(order.spec) == 'order(dish: string, day: "mon" | "tue", people?: integer)'
    assert order("Soup", "mon") == "Soup", "a tool is still the function it was"


@pytest.mark.parametrize("each", RICH, ids=lambda each: each.name)
def test_models_enums_optionals_lists_and_trees_make_a_valid_schema_and_one_line(each: Tool) -> None:
    Draft202012Validator.check_schema(each.spec.parameters)
    assert "\n" not in signature(each.spec)
    assert len(signature(each.spec)) < 300


def test_models_enums_and_optionals_arrive_as_what_the_function_asks_for(context: RunContext) -> None:
    seen: list[Any] = []

    def keep(room: Room, day: Day, guest: Person | None = None, tags: list[Day] | None = None) -> None:
        seen.extend((room, day, guest, tags))

    room = {"title": "Attic", "people": [{"name": "Ada", "age": 36}]}
    assert call(keep, context, room=room, day="tue", guest=None, tags=["mon"]).ok
    assert seen == [Room(title="Attic", people=[Person(name="Ada", age=36)]), Day.TUESDAY, None, [Day.MONDAY]]


def test_the_run_context_is_filled_in_and_hidden(context: RunContext) -> None:
    def where(surroundings: RunContext) -> str:
        return surroundings.task.text

    assert tool(where).spec.parameters["properties"] == {}
    assert call(where, context).text == "Do it"
    assert "there is no parameter 'surroundings'" in call(where, context, surroundings={}).text


@pytest.mark.parametrize(("problem", "source"), [
    ("parameter 'x' has no type hint", "def f(x): ..."),
    (r"parameter '\*args: int' cannot be described", "def f(*args: int): ..."),
    (r"parameter '\*\*rest: int' cannot be described", "def f(**rest: int): ..."),
    ("cannot be described", "def f(x: int, /): ..."),
    ("make no JSON Schema", "def f(x: object.__class__): ..."),
    ("parameter '_x: int' cannot be described", "def f(_x: int): ..."),
])
def test_a_function_that_cannot_be_a_tool_is_refused_where_it_is_made(problem: str, source: str) -> None:
    names: dict[str, Any] = {}
    exec(source, names)
    with pytest.raises(UsageError, match=problem):
        tool(names["f"])


# Arguments that do not fit: one line that names the parameter, the value and what was expected.


@tool
def bounds(
    short: Annotated[str, Field(min_length=3)] = "abc", long: Annotated[str, Field(max_length=3)] = "",
    least: Annotated[int, Field(ge=1)] = 1, most: Annotated[int, Field(le=9)] = 1,
    above: Annotated[float, Field(gt=0)] = 1, below: Annotated[float, Field(lt=1)] = 0,
    some: Annotated[list[int], Field(min_length=2)] = [1, 2], few: Annotated[list[int], Field(max_length=1)] = [],
    code: Annotated[str, Field(pattern="^[a-z]+$")] = "a", even: Annotated[int, Field(multiple_of=2)] = 2,
    unique: set[int] = set(), only: Literal["yes"] = "yes", either: int | list[int] = 1,
) -> str:
    """Rules of every kind."""
    return "fine"


@pytest.mark.parametrize(("function", "arguments", "parts"), [
    (plot, {"values": [1]}, ["'kind' is missing", "plot(kind: "]),
    (plot, {"kind": "pie", "values": [1]}, ["kind", '"pie"', "one of bar, line"]),
    (plot, {"kind": "bar", "values": "1, 2"}, ["values", '"1, 2"', "array"]),
    (plot, {"kind": "bar", "values": [1, "2"]}, ["values.1", '"2"', "number"]),
    (plot, {"kind": "bar", "values": [], "color": "red"}, ["no parameter 'color'", "plot(kind: "]),
    (options, {"first": True}, ["first", "true", "integer"]),
    (options, {"first": 1.5}, ["first", "1.5", "integer"]),
    (options, {"third": "yes"}, ["third", '"yes"', "boolean"]),
    (book, {"room": {"title": "Attic"}, "day": "mon"}, ["'room.people' is missing"]),
    (book, {"room": {"title": "Attic", "people": [{"name": 3}]}, "day": "mon"}, ["room.people.0.name", "3", "string"]),
    (book, {"room": "Attic", "day": "mon"}, ["room", '"Attic"', "object"]),
    (book, {"room": {"title": "Attic", "people": []}, "day": "sun"}, ["day", '"sun"', "one of mon, tue"]),
    (book, {"room": {"title": "Attic", "people": []}, "day": "mon", "notes": 5}, ["notes", "5", "string"]),
    (grow, {"tree": {"label": "x", "children": [{"label": "z"}]}, "weights": {}}, ["tree.children.0.label", '"z"']),
    (grow, {"tree": {"label": "x"}, "weights": {"a": "b"}}, ["weights.a", '"b"', "integer", "boolean"]),
    (bounds, {"short": "ab"}, ["short", '"ab"', "at least 3 characters"]),
    (bounds, {"long": "abcd"}, ["long", '"abcd"', "at most 3 characters"]),
    (bounds, {"least": 0}, ["least", "0", "1 or more"]),
    (bounds, {"most": 10}, ["most", "10", "9 or less"]),
    (bounds, {"above": 0}, ["above", "0", "more than 0"]),
    (bounds, {"below": 1}, ["below", "1", "less than 1"]),
    (bounds, {"some": [1]}, ["some", "[1]", "at least 2 items"]),
    (bounds, {"few": [1, 2]}, ["few", "[1, 2]", "at most 1 items"]),
    (bounds, {"code": "A1"}, ["code", '"A1"', "^[a-z]+$"]),
    (bounds, {"even": 3}, ["even", "3", "a multiple of 2"]),
    (bounds, {"unique": [1, 1]}, ["unique", "[1, 1]", "no item twice"]),
    (bounds, {"only": "no"}, ["only", '"no"', "'yes'"]),
    (bounds, {"either": "x"}, ["either", '"x"', "integer"]),
    (bounds, {"short": None}, ["short", "null", "string"]),
])
def test_a_bad_argument_comes_back_as_one_line(
    function: Tool, arguments: dict[str, Any], parts: list[str], context: RunContext
) -> None:
    observation = function.call(arguments, context)
    assert not observation.ok
    assert observation.text.startswith(f"Error: {function.name}: ")
    assert "\n" not in observation.text
    assert all(part in observation.text for part in parts), observation.text


def test_a_long_value_is_shown_by_its_beginning(context: RunContext) -> None:
    assert len(call(options, context, first="x" * 10_000).text) < 200


def test_what_only_pydantic_can_see_is_one_line_too(context: RunContext) -> None:
    class Span(BaseModel):
        begin: int
        end: int

        def model_post_init(self, _: Any) -> None:
            if self.end < self.begin:
                raise ValueError("the end is\nbefore the begin")

    def reserve(span: Span) -> str:
        return "done"

    observation = call(reserve, context, span={"begin": 2, "end": 1})
    assert not observation.ok
    assert "span" in observation.text
    assert "\n" not in observation.text


def test_a_model_of_the_tool_s_author_that_breaks_is_an_observation(context: RunContext) -> None:
    class Broken(BaseModel):
        name: str

        def model_post_init(self, _: Any) -> None:
            raise KeyError("lost")

    def use(what: Broken) -> str:
        return "done"

    observation = call(use, context, what={"name": "x"})
    assert not observation.ok
    assert "KeyError" in observation.text


@given(st.sampled_from([*RICH, bounds]), st.dictionaries(NAMES | TEXT, JSON, max_size=4))
def test_no_arguments_make_a_call_raise(each: Tool, arguments: dict[str, Any]) -> None:
    observation = each.call(arguments, RunContext(Workspace(Path("work")), Task.of("Do it")))
    assert "\n" not in observation.text
    assert observation.ok or observation.text.startswith("Error: ")


VALUES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers(-(2**53), 2**53)), (str, TEXT), (bool, st.booleans()), 
    (None | int, st.none() | st.integers(0, 9)),
    (list[str], st.lists(TEXT, max_size=3)), (dict[str, int], st.dictionaries(TEXT, st.integers(0, 9), max_size=3)),
    (Literal["a", 1], st.sampled_from(["a", 1])), (tuple[int, str], st.tuples(st.integers(0, 9), TEXT).map(list)),
    (list[list[bool]], st.lists(st.lists(st.booleans(), max_size=2), max_size=2)),
]


@given(st.dictionaries(NAMES.filter(lambda name: not name.startswith("_")), st.sampled_from(VALUES), max_size=4),
       st.data())
def test_what_fits_the_hints_fits_the_schema_and_arrives_unchanged(
    chosen: dict[str, tuple[Any, st.SearchStrategy[Any]]], data: Any
) -> None:
    from keyword import iskeyword

    fields = {f"p_{name}" if iskeyword(name) else name: pair for name, pair in chosen.items()}
    seen: dict[str, Any] = {}
    names: dict[str, Any] = {"seen": seen, **{f"hint_{name}": hint for name, (hint, _) in fields.items()}}
    parameters = ", ".join(f"{name}: hint_{name}" for name in fields)
    exec(f"def anything({parameters}): seen.update(locals())", names)
    made = tool(names["anything"])
    arguments = {name: data.draw(values) for name, (_, values) in fields.items()}
    Draft202012Validator.check_schema(made.spec.parameters)
    observation = made.call(arguments, RunContext(Workspace(Path("work")), Task.of("Do it")))
    assert observation.ok, observation.text
    assert json.loads(json.dumps(seen)) == arguments


# What tools do.


def test_what_a_tool_raises_is_told_in_one_observation(context: RunContext) -> None:
    def divide(by: int) -> float:
        return 1 / by

    observation = call(divide, context, by=0)
    assert not observation.ok
    assert observation.text == "Error: divide failed: ZeroDivisionError: division by zero"


def test_a_tool_error_is_told_as_its_author_wrote_it(context: RunContext) -> None:
    def lend(book: str) -> str:
        raise ToolError(f"'{book}' is lent out", "Try another")

    assert call(lend, context, book="Emma").text == "Error: 'Emma' is lent out. Try another"


@pytest.mark.parametrize("error", [
    SystemExit(3), KeyboardInterrupt(), GeneratorExit(), MemoryError(), RecursionError(), ToolError("ToolError"),
])
def test_nothing_that_a_tool_raises_gets_out(error: BaseException, context: RunContext) -> None:
    def leave() -> str:
        raise error

    observation = call(leave, context)
    assert not observation.ok
    assert type(error).__name__ in observation.text


def test_a_tool_that_hangs_is_left_when_its_time_is_over(context: RunContext) -> None:
    over = threading.Event()

    @tool(timeout=0.2)
    def hang() -> str:
        over.wait(60)
        return "late"

    began = time.monotonic()
    observation = hang.call({}, context)
    assert time.monotonic() - began < 30
    over.set()
    assert not observation.ok
    assert "hang gave no answer within 0.2 s" in observation.text
    assert "look before you repeat it" in observation.text


def test_ten_megabytes_are_cut_in_the_middle_and_counted(context: RunContext) -> None:
    def read() -> str:
        return "begin" + "x" * 10_000_000 + "end"

    observation = call(read, context)
    assert observation.ok
    assert len(observation.text) < OBSERVATION_LIMIT + 100
    assert observation.text.startswith("beginx")
    assert observation.text.endswith("xend")
    assert observation.omitted == 10_000_008 - OBSERVATION_LIMIT
    assert f"{observation.omitted} characters omitted" in observation.text


def test_a_very_long_error_is_cut_as_well(context: RunContext) -> None:
    def fail() -> str:
        raise ToolError("x" * 1_000_000)

    assert len(call(fail, context).text) < OBSERVATION_LIMIT + 100


@pytest.mark.parametrize(("value", "text"), [
    ("text", "text"), (None, "Done."), (3, "3"), (0.5, "0.5"), (True, "true"),
    ([1, "é"], '[1, "é"]'), ({"a": None}, '{"a": null}'),
    (Person(name="Ada"), '{"name":"Ada","age":null}'), ([Person(name="Ada")], '[{"name": "Ada", "age": null}]'),
    ((1, 2), "[1, 2]"), ({1}, "[1]"), (Path("a/b"), '"a/b"'), ({"p": Path("a")}, '{"p": "a"}'), ("", ""),
])
def test_a_result_is_shown_as_text_or_json(value: Any, text: str, context: RunContext) -> None:
    def give() -> Any:
        return value

    observation = call(give, context)
    assert (observation.ok, observation.text) == (True, text)


def test_an_answer_shows_its_text_and_gives_programs_its_data(context: RunContext) -> None:
    def look() -> Answer:
        return Answer("two problems", {"score": 0.5, "found": ["a", "b\udcff"], "at": Path("deck")})

    observation = call(look, context)
    assert observation.text == "two problems"
    assert observation.data == {"score": 0.5, "found": ["a", "b?"], "at": "deck"}
    assert Observation.model_validate_json(observation.model_dump_json()) == observation


@pytest.mark.parametrize("data", [{"x": object()}, {"x": float("nan")}])
def test_data_that_is_no_json_is_an_error_that_says_so(data: dict[str, Any], context: RunContext) -> None:
    def look() -> Answer:
        return Answer("fine", data)

    observation = call(look, context)
    assert (observation.ok, observation.data) == (False, None)
    assert "cannot be written as JSON" in observation.text


def test_data_without_end_is_left_out_and_counted(context: RunContext) -> None:
    def look() -> Answer:
        return Answer("fine", {"x": "y" * DATA_LIMIT})

    observation = call(look, context)
    assert (observation.text, observation.data) == ("fine", None)
    assert observation.omitted > DATA_LIMIT


def test_what_a_tool_left_to_be_written_is_on_disk_when_its_action_is_carried_out(context: RunContext) -> None:
    def draw(text: str, context: RunContext) -> str:
        context.workspace.write_soon("deck", lambda: context.workspace.write("deck", text.encode()))
        return "drawn"

    tools = Toolset.of([draw], load_pack)
    for text in ("first", "second"):
        assert tools.carry_out(Action(name="draw", arguments={"text": text}), context).ok
        assert (context.workspace.root / "deck").read_text() == text


def test_a_write_that_fails_after_the_tool_is_an_observation(context: RunContext) -> None:
    def draw(context: RunContext) -> str:
        def full() -> None:
            raise ToolError("No space left on device")

        context.workspace.write_soon("a", lambda: context.workspace.write("a", bytes(10**6)))
        context.workspace.write_soon("a", full)
        return "drawn"

    observation = Toolset.of([draw], load_pack).carry_out(Action(name="draw"), context)
    assert (observation.ok, observation.text) == (False, "Error: No space left on device")


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize("value", [object(), b"bytes", float("nan"), {1: object()}, {(1, 2): 3}, 1j, CIRCLE,
                                   functools.reduce(lambda inner, _: [inner], range(100_000), 0), (n for n in "ab")],
                         ids=lambda value: type(value).__name__)
def test_a_result_that_is_no_json_is_an_error_that_says_so(value: Any, context: RunContext) -> None:
    def give() -> Any:
        return value

    observation = call(give, context)
    assert not observation.ok
    assert f"returned a {type(value).__name__} that cannot be written as JSON" in observation.text


@pytest.mark.parametrize("text", ["\udcff", "a\x00b"])
def test_text_that_no_file_takes_is_mended_in_results_and_errors(text: str, context: RunContext) -> None:
    def give() -> str:
        return text

    def fail() -> str:
        raise OSError(text)

    for function in (give, fail):
        shown = call(function, context).text
        assert "\x00" not in shown
        shown.encode()


def test_output_from_outside_is_marked(context: RunContext) -> None:
    @tool(untrusted=True)
    def fetch() -> str:
        return "from the web"

    assert fetch.call({}, context).tainted
    assert not ping.call({}, context).tainted


def test_only_a_call_without_an_error_ends_the_run(context: RunContext) -> None:
    @tool(ends_run=True)
    def save(name: str) -> str:
        if not name:
            raise ToolError("it has no name")
        return name

    assert save.call({"name": "a"}, context).ends_run
    assert not save.call({"name": ""}, context).ends_run
    assert not save.call({}, context).ends_run


# Sets of tools.


def no_packs(name: str) -> Pack:
    raise AssertionError(name)


def test_a_plain_function_becomes_a_tool_and_finish_is_added_where_nothing_ends_the_run() -> None:
    def greet(name: str) -> str:
        return name

    assert [each.name for each in Toolset.of([greet], no_packs)] == ["greet", FINISH]
    end = tool(ends_run=True)(greet)
    assert [each.name for each in Toolset.of([end], no_packs)] == ["greet"]


def test_packs_and_their_groups_are_taken_by_name() -> None:
    pack = Pack([ping], groups={"all": [ping, book]}, verifiers={"v": 1}, seeds=Path("seeds.jsonl"))
    whole = Toolset.of(["some", "some:all", plot], lambda _: pack)
    assert [each.name for each in whole] == ["ping", "book", "plot", FINISH]
    assert whole.verifiers == {"v": 1}
    assert whole.seeds == (Path("seeds.jsonl"),)
    with pytest.raises(UnknownName, match=r"no group named 'al'. Did you mean 'all'\?"):
        Toolset.of(["some:al"], lambda _: pack)


def test_two_tools_of_one_name_are_refused() -> None:
    def other() -> str:
        return ""

    other.__name__ = "ping"
    with pytest.raises(UsageError, match="two tools are named 'ping'"):
        Toolset.of([ping, other], no_packs)


def test_an_unknown_tool_is_an_observation_with_the_nearest_name(context: RunContext) -> None:
    observation = Toolset.of(RICH, no_packs).call(Action(name="bok"), context)
    assert not observation.ok
    assert "no tool named 'bok'. Did you mean 'book'?" in observation.text


def test_a_final_answer_ends_the_run_even_where_another_tool_would_have(context: RunContext) -> None:
    tools = Toolset.of([tool(ends_run=True)(lambda_tool)], no_packs)
    observation = tools.call(Action(name=FINISH, arguments={"answer": "42"}), context)
    assert (observation.text, observation.ends_run) == ("42", True)


def lambda_tool() -> str:
    """A tool that ends the run."""
    return "done"


def test_the_hash_is_that_of_what_the_policy_sees() -> None:
    assert Toolset.of([ping, book], no_packs).hash == Toolset.of([ping, book], no_packs).hash
    assert Toolset.of([ping], no_packs).hash != Toolset.of([book], no_packs).hash
    assert finish.spec.ends_run


def test_a_tool_tells_which_values_make_sense_as_things_stand(context: RunContext) -> None:
    doors: dict[str, Any] = {"to": ["kitchen", "hall"]}

    @tool(available=lambda context: doors)
    def go(to: str, fast: bool = False) -> str:
        """Go through a door."""
        return to

    tools = Toolset.of([go], load_pack)
    told, end = tools.available(context)
    assert told.parameters["properties"]["to"]["enum"] == ["kitchen", "hall"]
    assert (told.parameters["properties"]["fast"], end) == (go.spec.parameters["properties"]["fast"], finish.spec)
    assert "enum" not in json.dumps([spec.model_dump() for spec in tools.specs]), "the prompt stays as it is"
    assert tools.call(Action(name="go", arguments={"to": "cellar"}), context).ok, "a free policy is told by the tool"
    doors["to"] = []
    assert tools.available(context) == (finish.spec,)
    doors["too"] = ["far"]
    doors["to"] = ["hall"]
    with pytest.raises(UnknownName, match="no parameter named 'too'. Did you mean 'to'"):
        tools.available(context)
