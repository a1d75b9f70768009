"""New task sets: careers, then tasks; whatever the model writes, and wherever it is cut off."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl import tasks
from autorl.bench.generate import Generated, Plan, generate
from autorl.bench.listed import INPUT_CAP, careers_in, objects_in
from autorl.errors import ModelUnavailable, UsageError
from autorl.models.base import Capabilities, Completion
from autorl.models.scripted import Scripted

TEXTS = {
    "nurse": ["Please make 5 slides on the night shift of our ward for the new colleagues, with a table of the rounds.",
              "I need 6 slides about hygiene in the operating theatre for visiting students, calm and practical."],
    "baker": ["Make a seven-slide deck for the bank about our second oven, with a chart of what we sold each month.",
              "Four slides for apprentices on how sourdough behaves in summer heat and in a cold cellar."],
    "judge": ["Give me 6 slides for school classes on what happens in a courtroom from the opening to the verdict.",
              "Prepare 8 slides on fairer waiting rooms for witnesses, to convince the ministry's building office."],
}


def written(text, **requirements):
    return json.dumps({"text": text, "requirements": requirements, "brief": ["My name is Ada."]})


class Writer:
    """A model that lists careers and writes two tasks of each, as it is asked; `say` changes what it says."""

    name, context_tokens, capabilities = "writer", None, Capabilities()

    def __init__(self, say=lambda text: text, careers="1. Nurse\n2. **Baker**\n- judge", fails_after=None):
        self.say, self.careers, self.fails_after, self.requests = say, careers, fails_after, []

    def count(self, text):
        return len(text) // 3

    def complete(self, request):
        self.requests.append(request)
        if self.fails_after is not None and len(self.requests) > self.fails_after:
            raise ModelUnavailable("the server is gone")
        asked = request.messages[0]["content"]
        if asked.startswith("List"):
            return Completion(self.careers)
        career = next(career for career in TEXTS if f"You are a {career}." in asked.replace("Nurse", "nurse")
                      .replace("Baker", "baker"))
        have = sum(text in asked for text in TEXTS[career])
        return Completion(self.say("\n".join(map(written, TEXTS[career][have:]))))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "sets" / "new.jsonl"


def test_careers_are_asked_for_and_then_tasks_of_each(out):
    made = generate(out, Writer(), Plan(careers=3))
    assert made == Generated(tasks=6, new=6, requests=4, dropped={}, short=())
    found = tasks.load(str(out)).tasks
    assert [task.id for task in found] == [f"slides-{career}-{n}" for career in ("nurse", "baker", "judge")
                                           for n in (1, 2)]
    assert [tasks.group(task) for task in found] == ["Nurse", "Nurse", "Baker", "Baker", "judge", "judge"]
    assert {task.verifier for task in found} == {"slides"}
    assert tasks.brief(found[0]) == ("My name is Ada.",)


@pytest.mark.parametrize("around", [
    "{}", "Sure! Here they are:\n```json\n{}\n```\nAnything else?", "<think>two [or three] of them {{</think>\n{}",
    'a stray " quote and a brace } here\n{}'])
def test_tasks_are_found_in_whatever_is_written_around_them(out, around):
    model = Writer(lambda text: around.replace("{{", "{").replace("{}", text) if around != "{}" else text)
    assert generate(out, model, Plan(careers=3)).tasks == 6


def test_tasks_may_come_as_a_list(out):
    model = Writer(lambda text: f"[{','.join(text.splitlines())}]")
    assert generate(out, model, Plan(careers=3)).tasks == 6


def test_a_generation_goes_on_with_what_the_file_has(out):
    with pytest.raises(ModelUnavailable):
        generate(out, Writer(fails_after=2), Plan(careers=3))
    before = out.read_text()
    assert len(before.splitlines()) == 2
    again = Writer()
    made = generate(out, again, Plan(careers=3))
    assert (made.tasks, made.new) == (6, 4)
    assert out.read_text().startswith(before)
    assert "- Nurse" in again.requests[0].messages[0]["content"]
    assert generate(out, Scripted([]), Plan(careers=3)).requests == 0


def test_a_career_that_lacks_a_task_is_finished_first(out):
    generate(out, Writer(), Plan(careers=1, each=1))
    model = Writer()
    made = generate(out, model, Plan(careers=1, each=2))
    assert (made.new, made.requests) == (1, 1)
    assert TEXTS["nurse"][0] in model.requests[0].messages[0]["content"]


def test_a_last_line_that_was_cut_off_is_written_again(out):
    generate(out, Writer(), Plan(careers=3))
    whole = out.read_bytes()
    out.write_bytes(whole[:-40])
    assert generate(out, Writer(), Plan(careers=3)).new == 1
    assert out.read_bytes() == whole


def test_a_file_with_a_wrong_line_is_refused_and_stays_as_it_is(out):
    out.parent.mkdir()
    out.write_text("no task\n")
    with pytest.raises(UsageError, match="line 1"):
        generate(out, Writer(), Plan(careers=3))
    assert out.read_text() == "no task\n"


def test_a_killed_generation_loses_no_task_that_it_told_of(out, tmp_path):
    script = tmp_path / "going.py"
    script.write_text(
        "import sys, time\nfrom pathlib import Path\nfrom tests.bench.test_generate import Writer\n"
        "from autorl.bench.generate import Plan, generate\n"
        "def tell(line):\n    print(line, flush=True)\n    time.sleep(0.2)\n"
        f"generate(Path({str(out)!r}), Writer(), Plan(careers=3), tell)\n")
    root = Path(__file__).parents[2]
    going = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True,
                             env={**os.environ, "PYTHONPATH": str(root)})
    assert going.stdout.readline() == "Nurse: 2 of 2 tasks\n"
    going.send_signal(signal.SIGKILL)
    going.wait()
    assert [tasks.group(task) for task in tasks.load(str(out)).tasks][:2] == ["Nurse", "Nurse"]
    assert generate(out, Writer(), Plan(careers=3)).tasks == 6


@pytest.mark.parametrize(("say", "why"), [
    (lambda text: "I cannot do that.", "a completion without a JSON object"),
    (lambda text: '{"text": "Short."}', "no text of 60 to 2000 characters"),
    (lambda text: '{"requirements": {}}', "no text of 60 to 2000 characters"),
    (lambda text: written(TEXTS["judge"][0] * 30), "no text of 60 to 2000 characters"),
    (lambda text: json.dumps({"text": TEXTS["judge"][0], "requirements": 7}), "requirements that are no JSON object"),
    (lambda text: json.dumps({"text": TEXTS["judge"][0], "brief": "Ada"}), "what makes no task"),
    (lambda text: written(TEXTS["judge"][0]) + written(TEXTS["judge"][0].upper()),
     "a text that nearly repeats another task's"),
    (lambda text: text + written(TEXTS["judge"][0]), "more than was asked for"),
    (lambda text: text + " " * INPUT_CAP, "the end of an over-long completion"),
])
def test_what_is_not_kept_is_counted_and_told(out, say, why):
    told = []
    made = generate(out, Writer(say), Plan(careers=3), told.append)
    assert made.dropped[why] >= 1
    assert any(line.startswith(f"dropped: {why} (") for line in told)
    assert made.tasks == len(out.read_text().splitlines())


def test_a_model_that_writes_nothing_of_use_is_let_be(out):
    made = generate(out, Writer(lambda text: "No."), Plan(careers=3))
    assert (made.tasks, made.requests) == (0, 1 + 3 * 3)
    made = generate(out, Writer(careers="Here you go:"), Plan(careers=3))
    assert (made.tasks, made.requests, made.dropped) == (0, 3, {"a list without a new career": 3})


def test_a_career_that_falls_short_is_named(out):
    made = generate(out, Writer(lambda text: text.partition("\n")[0]), Plan(careers=3, each=3))
    assert made.short == ("Nurse", "Baker", "judge")


def test_no_task_repeats_one_that_it_is_to_stand_apart_from(out):
    generate(out, Writer(), Plan(careers=3))
    other = out.with_name("other.jsonl")
    made = generate(other, Writer(), Plan(careers=3, apart_from=tasks.load(str(out)).tasks))
    assert made.tasks == 0
    assert set(made.dropped) == {"a text that nearly repeats another task's"}


def test_a_tenth_of_the_careers_write_in_other_languages(out):
    texts = {tasks.group(task): task.text for task in tasks.load("slides/learn").tasks}

    def write(request):
        asked = request.messages[0]["content"]
        if asked.startswith("List"):
            return "\n".join([*texts][:20])
        return written(texts[asked.partition("You are a ")[2].partition(".")[0]])

    generate(out, Scripted(write), Plan(careers=20, each=1, languages=("de", "ja")))
    found = [tasks.language(task) for task in tasks.load(str(out)).tasks]
    assert found == ["en"] * 9 + ["de"] + ["en"] * 9 + ["ja"]


def test_a_model_that_takes_a_schema_gets_one_for_the_tasks(out):
    model = Writer()
    model.capabilities = Capabilities(json_schema=True)
    generate(out, model, Plan(careers=1))
    careers, written = model.requests
    assert careers.json_schema is None
    assert (written.json_schema["minItems"], written.json_schema["maxItems"]) == (2, 2)


def test_the_same_seed_asks_with_the_same_seeds_and_another_with_others(out):
    def seeds(number, seed):
        model = Writer()
        generate(out.with_name(f"{number}.jsonl"), model, Plan(careers=3, seed=seed))
        return [request.seed for request in model.requests]

    assert seeds(1, 0) == seeds(2, 0)
    assert len(set(seeds(3, 0))) == 4
    assert not set(seeds(4, 0)) & set(seeds(5, 1))


def test_a_list_of_careers_is_read_without_its_marks():
    said = """Here are five careers:
    1. Nurse
    2) **Air-traffic controller**
    - **Baker**: makes bread before dawn
    • 養蜂家
    * nurse
    3. Someone who has a very long description that is no name
    What else?

    ---"""
    assert list(careers_in(said)) == ["Nurse", "Air-traffic controller", "Baker", "養蜂家"]


def test_objects_are_found_among_prose_fences_and_lists():
    said = 'So {not this}: ```json\n[{"a": 1}, {"b": "}{"}, 3]\n``` and {"c": {"d": [NaN, 1e999, 2]}} or [{"e": 1}'
    assert list(objects_in(said)) == [{"a": 1}, {"b": "}{"}, {"c": {"d": [None, None, 2]}}, {"e": 1}]


@given(st.lists(st.one_of(
    st.text(alphabet='{}[]",:\\a1 \n', max_size=12),
    st.dictionaries(st.text(max_size=3), st.text(max_size=5), min_size=1, max_size=3)), max_size=8))
def test_whole_objects_are_found_in_their_order_whatever_stands_between_them(parts):
    said = "\n".join(part if isinstance(part, str) else "\n" + json.dumps(part) for part in parts)
    found = list(objects_in(said))
    if all(isinstance(part, dict) or not set('{["') & set(part) for part in parts):
        assert found == [part for part in parts if isinstance(part, dict)]


@pytest.mark.parametrize("piece", [
    "{", "[", '{"', '{"a":', "[{", '{"a":[', '"', "\\", '{"\\', "[1,", "{}[", '[""{', "9", "[9", "- ", "1. a\n"])
def test_reading_is_linear_in_the_length_of_what_was_written(piece):
    def seconds(length):
        text = (piece * length)[:length]
        began = time.thread_time()
        list(objects_in(text)), list(careers_in(text))
        return time.thread_time() - began

    seconds(1000)
    assert min(seconds(INPUT_CAP) for _ in range(2)) < 1.0
