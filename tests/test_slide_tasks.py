"""The hundred slide tasks: what they are, that their requirements are what they ask for, and that they can be met."""

import json
import unicodedata
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest

from autorl import tasks
from autorl.bench.leaks import NEAR, leaks, twins
from autorl.content import load_pack
from autorl.registry import RunContext, Toolset
from autorl.types import Action, Task, Trajectory
from autorl.workspace import Workspace

load_pack("slides")
from autorl_tools.slides.checker import SlidesVerifier  # noqa: E402
from autorl_tools.slides.requirements import Wanted, slides_asked, subject_words, wanted  # noqa: E402

LEARN, HELD_OUT = tasks.load("slides/learn").tasks, tasks.load("slides/held_out").tasks
ALL = (*LEARN, *HELD_OUT)
ENGLISH = [task for task in ALL if tasks.language(task) == "en"]
BY_ID = {task.id: task for task in ALL}
SOLVED = Path(__file__).with_name("slide_solutions.jsonl").read_text("utf-8")
SOLUTIONS = [json.loads(line) for line in SOLVED.splitlines()]
WORDS = {
    "tables": ("table", "Tabelle", "tableau", "tabla", "tabela", "tabella", "表", "جدول", "तालिका"),
    "charts": ("chart", "柱状图"),
    "notes": ("notes", "Notizen"),
}
WORDED_ANEW = {
    "slides-beekeeper-1": """I'm speaking at our association's swarm evening this spring. Could you create a six-slide
        presentation for second-season members who haven't collected a swarm before? It should explain how to recognise
        a swarm (and not confuse it with wasps), which equipment you need, how to take it off a branch step by step,
        when you should refuse, and how to hive it that evening. The equipment goes into a table saying what each item
        is for: nucleus box or skep, a white sheet, a soft brush, secateurs and a water spray. Include my yearly rule:
        never climb higher than you're willing to fall.""",
    "slides-harbour-pilot-2": """We've had accidents with pilot ladders again. Please prepare five slides for bridge
        teams, to be shown in ten minutes before disembarking: how a safe ladder should look, the four faults we meet,
        rigging it in swell, and our promise to refuse every unsafe ladder. Add a bar chart with the defects found in
        our port last year: position 22, side ropes 19, spreaders 14, lighting 8. Keep the English basic.""",
    "slides-coffee-roaster-2": """I'm raising wholesale prices in January and would like to tell my eleven cafes in
        person at breakfast. Make five slides with a line chart of green coffee prices in dollars a pound for the last
        five quarters (1.85, 2.10, 2.45, 3.20, 3.60), the costs we absorbed, our new prices, and what customers get in
        return: training, a grinder on loan and prices fixed until July. The house blend rises from 21 to 24.50 euros a
        kilo, only some 3 cents a cup, and this must be mentioned.""",
    "slides-zookeeper-2": """For the keepers' meeting: six slides, thirty minutes, on how we feed the penguins and how
        much fish goes to waste. Column chart of kilograms wasted per week: 6 with hand feeding, 21 with pool scatter,
        34 at the public feeding at three o'clock. Then the reasons, how other colonies handle it, what it does to
        visitors, and two changes starting next month. Marketing will fight a shorter public feeding as it draws people,
        so I need arguments beyond fish.""",
    "slides-tattoo-artist-1": """Please make six slides with aftercare advice that run in a silent loop on my waiting
        room's screen, about the first hours, washing, itchy days, sun and swimming, and when to go to the doctor. Each
        slide must explain itself. No shouting in capitals. They should remember: don't scratch, slap it gently.""",
    "slides-childrens-nurse-2": """I must present the audit of our fluid balance charts at the quality meeting. The
        share that was complete rose from 61 % in January to 64, 72, 79 and 83 % in May, with a leap in March when the
        charts moved from the office to the bed. Five slides please, for consultants and ward managers with little time
        and no love of jargon: why fluid balance is important for small children, our change, a line chart of the
        numbers, and our request to other wards.""",
    "slides-actuary-2": """Create a five-slide talk for a grammar school careers evening where I explain to
        fifteen-year-olds what actuaries do. It must not sound like accountancy. Open with a question to argue about
        such as who should pay more for car insurance, show how data gives the answer, describe an ordinary Tuesday, the
        way into the job, and honest pay, with a column chart in thousand pounds (trainee 34, part qualified 46, newly
        qualified 62, after ten years 95), with speaker notes.""",
}

by_id = pytest.mark.parametrize("task", ALL, ids=[task.id for task in ALL])


def test_fifty_careers_have_two_tasks_each_and_ten_of_them_are_held_out():
    learn, held_out = Counter(map(tasks.group, LEARN)), Counter(map(tasks.group, HELD_OUT))
    assert (len(learn), len(held_out)) == (40, 10)
    assert set(learn.values()) == set(held_out.values()) == {2}
    assert not learn.keys() & held_out.keys()


def test_no_two_tasks_of_any_built_in_slide_set_have_one_id():
    ids = [task.id for name in ("slides", "slides/learn", "slides/held_out") for task in tasks.load(name).tasks]
    assert len(set(ids)) == len(ids) == 140
    assert all(len(id) <= 64 for id in ids)


def test_a_tenth_of_either_part_is_in_other_languages_and_none_of_these_comes_twice():
    others = [[tasks.language(task) for task in part if tasks.language(task) != "en"] for part in (LEARN, HELD_OUT)]
    assert list(map(len, others)) == [8, 2]
    assert len(set(chain(*others))) == 10


@by_id
def test_a_task_is_told_in_detail(task):
    spaced = tasks.language(task) not in ("ja", "zh")
    assert 40 <= len(task.text.split()) <= 150 if spaced else 100 <= len(task.text) <= 400


@by_id
def test_the_verifier_reads_every_requirement_but_what_belongs_to_the_set(task):
    known = {"slides", *vars(Wanted()), tasks.GROUP, tasks.LANGUAGE, tasks.BRIEF}
    assert set(task.requirements) <= known
    assert task.verifier == "slides"
    assert wanted(task)
    assert slides_asked(task)


@by_id
def test_what_is_required_stands_in_the_text(task):
    asked, text = wanted(task), task.text.casefold()
    for said in (*asked.sections, *asked.points, asked.audience):
        assert said.casefold() in text
    for name, words in WORDS.items():
        assert not getattr(asked, name) or any(word.casefold() in text for word in words), name
    if tasks.language(task) != "en":
        assert slides_asked(task).least in [_number(char) for char in text]


@pytest.mark.parametrize("task", ENGLISH, ids=[task.id for task in ENGLISH])
def test_what_the_verifier_reads_in_the_text_is_required(task):
    alone = Task(text=task.text)
    said, asked = wanted(alone), wanted(task)
    assert str(slides_asked(alone)) == str(slides_asked(task))
    assert said.notes == asked.notes
    assert said.tables <= asked.tables
    assert said.charts <= asked.charts
    assert not said.sections  # a list that it would read otherwise than the one that is declared


@by_id
def test_the_brief_says_what_the_text_does_not(task):
    hidden = tasks.brief(task)
    assert len(hidden) >= 3
    assert not [sentence for sentence in hidden if sentence.casefold().rstrip(".。।") in task.text.casefold()]


def test_different_tasks_stay_well_below_what_counts_as_near():
    short = tasks.load("slides").tasks
    assert _nearest([*ENGLISH, *short]) < 0.62
    assert _nearest(ALL) < 0.75 < NEAR


@pytest.mark.parametrize("id", WORDED_ANEW)
def test_a_task_that_is_worded_anew_counts_as_near(id):
    found = leaks([("new", " ".join(WORDED_ANEW[id].split()))], ALL)
    assert [leak.held_out for leak in found] == [id]
    assert found[0].likeness > 0.81


def test_the_held_out_tasks_are_not_among_those_to_learn_from():
    assert leaks([(task.id, task.text) for task in (*LEARN, *tasks.load("slides").tasks)], HELD_OUT) == []


@pytest.mark.slow
@by_id
def test_what_a_task_asks_for_fits_on_its_slides(task, tmp_path):
    """Pieced together with the core tools, which write no notes beside a table or chart and always use one layout.

    What is pieced together means nothing, which is all that may fail it.
    """
    verdict = _judged(task, _pieced_together(task), tmp_path)
    failed = {check.name: check.found for check in verdict.checks if not check.passed}
    assert failed.keys() <= {"notes", "variety", "meaning"}, failed


@pytest.mark.parametrize("solution", SOLUTIONS, ids=[solution["task"] for solution in SOLUTIONS])
def test_a_deck_as_a_person_would_answer_passes(solution, tmp_path):
    verdict = _judged(BY_ID[solution["task"]], solution["moves"], tmp_path)
    assert verdict.passed, verdict.why
    assert verdict.score > 0.9


def _number(char):
    """What a character counts, in any script."""
    return int(unicodedata.numeric(char, 0))


def _nearest(given):
    """How near the nearest two of these tasks come."""
    return max(twin.likeness for twin in twins(given, near=0.0))


def _judged(task, moves, folder):
    tools = Toolset.of(["slides"], load_pack)
    workspace = Workspace(folder / "run")
    context = RunContext(workspace, task)
    for name, arguments in (*moves, ("save_deck", {})):
        done = tools.carry_out(Action(name=name, arguments=arguments), context)
        assert done.ok, done.text
    return SlidesVerifier(rendered=False)(task, Trajectory(id="run", task=task), workspace)


def _pieced_together(task):
    """A deck of the required titles, and of the task's words in another order beside words that mean nothing."""
    asked, total = wanted(task), slides_asked(task).most
    new = (f"{a}{b}{c}" for a in ("bal", "dor", "fen", "gim", "lur", "mov", "nas") for b in "aeiou" for c in (
        "kert", "lund", "mast", "nolf", "pruk", "rast", "sund", "tolm"))
    topic = subject_words(task)[::-1]
    pieces = iter([" ".join(topic[at : at + 4]) for at in range(0, len(topic), 4)])
    shown = ["add_table"] * asked.tables + ["add_chart"] * asked.charts
    titles = [*asked.sections, *(f"{next(new)} {next(new)}" for _ in range(total))][: total - 1]
    moves = [("start_deck", {"title": f"{next(new)} {topic[0]}", "subtitle": asked.audience[:80]})]
    points = [point[:90] for point in asked.points]
    for title in titles[: len(titles) - len(shown)]:
        said, points = points, []
        bullets = [*said, *(f"{next(pieces, '')} {next(new)} {next(new)}".strip()[-90:] for _ in range(4 - len(said)))]
        moves.append(("add_slide", {"title": title[:60], "bullets": bullets, "notes": f"{next(new)} {next(new)}"}))
    for name, title in zip(shown, titles[len(titles) - len(shown) :], strict=True):
        rows = [[next(new), next(new)], [next(new), next(new)]]
        moves.append((name, {"title": title[:60], **(
            {"columns": rows[0], "rows": rows[1:]} if name == "add_table" else
            {"kind": "column", "labels": rows[0], "values": [1, 2]})}))
    return moves
