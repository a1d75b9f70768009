"""Task sets are read line by line, and what is wrong with one is named by line."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl import tasks
from autorl.errors import UnknownName, UsageError
from autorl.types import Task, Verdict

GOOD = {"id": "a", "text": "Make slides about tea",
        "requirements": {"group": "cook", "language": "en", "brief": ["Be brief."]}}


@pytest.fixture
def write(tmp_path):
    """Writes a task set of these lines, and gives its path as a name."""

    def make(*lines, name="set.jsonl"):
        path = tmp_path / name
        path.write_bytes(b"\n".join(
            line if isinstance(line, bytes) else line.encode() if isinstance(line, str) else json.dumps(line).encode()
            for line in lines))
        return str(path)

    return make


class Counts:
    """A verifier that reads one requirement, `cups`, and takes "N cups" in a text for one."""

    name, version = "counts", 1

    def __call__(self, task, trajectory, workspace, exemplars=()):
        return Verdict(verifier="counts@1", passed=True, score=1)

    def asked(self, task):
        cups = task.requirements.get("cups")
        if cups is not None and not isinstance(cups, int):
            raise UsageError(f"it requires {cups!r} cups")
        said = task.text.partition(" cups")[0].rpartition(" ")[2]
        return {"cups": cups if cups is not None else int(said) if said.isdigit() else 0}


KNOWN = {"counts": Counts()}


def test_the_built_in_sets_are_found_by_name():
    assert {"slides", "slides/learn", "slides/held_out"} <= set(tasks.names())
    assert len(tasks.load("slides/learn").tasks) == 80
    with pytest.raises(UnknownName, match="Did you mean 'slides/learn'"):
        tasks.load("slides/lern")


def test_a_project_s_own_set_is_found_beside_the_built_in_ones():
    Path("autorl.toml").touch()
    Path("tasks/own").mkdir(parents=True)
    Path("tasks/own/mine.jsonl").write_text('{"text": "Make tea"}\n')
    assert tasks.load("own/mine").tasks == (Task(text="Make tea"),)


def test_what_a_set_knows_of_a_task_is_read_from_its_requirements(write):
    (task,) = tasks.load(write(GOOD)).tasks
    assert (tasks.group(task), tasks.language(task), tasks.brief(task)) == ("cook", "en", ("Be brief.",))
    bare = Task(text="Make tea", id="tea")
    assert (tasks.group(bare), tasks.language(bare), tasks.brief(bare)) == ("tea", "en", ())


@pytest.mark.parametrize(("line", "why"), [
    ("{", "it is no JSON object"), ("[]", "it is no JSON object"), ("tea", "it is no JSON object"),
    (b'{"text": "\xff"}', "it is no JSON object"), ("[" * 100_000, "it is no JSON object"),
    ({"id": "b"}, "'text': Field required"), ({"text": 3}, "'text': Input should be a valid string"),
    ({"text": "  "}, "the task is empty"),
    ({"text": "tea", "verifer": "slides"}, "'verifer' is no field of a task"),
    ({"text": "tea", "requirements": [1]}, "'requirements': Input should be an object"),
    ({"text": "tea", "requirements": {"brief": "short"}}, "'requirements.brief' is 'short', expected a list of texts"),
    ({"text": "tea", "requirements": {"brief": [""]}}, "expected a list of texts"),
    ({"text": "tea", "requirements": {"group": 3}}, "'requirements.group' is 3, expected a text"),
    ({"text": "tea", "requirements": {"language": ""}}, "expected a code such as 'de'"),
    (GOOD, "its id 'a' stands in line 1 already"),
])
def test_a_wrong_line_is_named_and_the_others_are_there_on_demand(write, line, why):
    name = write(GOOD, "", line, {"text": "Make slides about rice", "id": "c"})
    with pytest.raises(UsageError) as raised:
        tasks.load(name)
    assert "a line that holds no task: line 3: " in raised.value.what
    assert why in raised.value.what
    assert "the other 2 tasks: --skip-wrong" in str(raised.value)
    found = tasks.load(name, skip_wrong=True)
    assert [task.id for task in found.tasks] == ["a", "c"]
    assert [wrong.number for wrong in found.wrong] == [3]
    assert why in found.wrong[0].why


def test_many_wrong_lines_are_counted(write):
    with pytest.raises(UsageError, match=r"9 lines that hold no task: line 1: .*; and 4 more"):
        tasks.load(write(*["no"] * 9))


def test_a_mark_of_byte_order_and_line_separators_within_a_text_do_no_harm(write):
    line = json.dumps({"text": "Make\u2028slides"}, ensure_ascii=False).encode()
    (task,) = tasks.load(write(b"\xef\xbb\xbf" + line + b"\r")).tasks
    assert task.text == "Make\u2028slides"


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(UsageError, match=r"the task set nowhere\.jsonl cannot be read"):
        tasks.load("nowhere.jsonl")


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_whatever_a_file_holds_every_line_of_it_is_a_task_or_wrong(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("any") / "set.jsonl"
    path.write_bytes(b"\n".join(lines))
    found = tasks.read(path)
    filled = [line for line in path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    assert len(found.tasks) + len(found.wrong) == len(filled)


def test_a_requirement_that_the_verifier_cannot_read_or_the_text_contradicts_is_told():
    def told(text, verifier="counts", **requirements):
        return list(tasks.misunderstood(Task(text=text, verifier=verifier, requirements=requirements), KNOWN))

    assert told("Make 3 cups of tea", cups=3) == told("Make 3 cups of tea") == told("Make tea", cups=3) == []
    assert told("Make 3 cups of tea", cups=4) == []  # a text may name only some of them
    assert told("Make 3 cups of tea", cups=2) == ["its text asks for cups: 3, its requirements for 2"]
    assert told("Make tea", cups=1, group="cook", tools=["kettle"]) == []
    assert told("Make tea", spoons=2) == ["counts does not look at 'spoons', which it requires"]
    assert told("Make tea", cups="two") == ["it requires 'two' cups"]
    assert "no verifier named 'count'. Did you mean 'counts'" in told("Make tea", "count")[0]


def test_a_verifier_that_does_not_tell_what_it_looks_for_is_taken_at_its_name():
    task = Task(text="Make tea", verifier="silent", requirements={"cups": "any"})
    assert list(tasks.misunderstood(task, {"silent": object()})) == []


def test_the_verifiers_of_all_packs_are_known():
    assert "slides" in tasks.verifiers()
