"""Who answers the agent's questions: as in the paper, or from the task's hidden brief."""

import json
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from autorl import ReplayStore, tasks
from autorl.bench import definition, run
from autorl.bench.simulated_user import ANSWERS, Brief, Paper, user
from autorl.errors import UnknownName
from autorl.models.scripted import Scripted
from autorl.registry import nobody
from autorl.types import Task
from tests.bench.world import SPEC, episodes, make_project
from tests.worlds import say

QUESTIONS = [f"What about part {number}?" for number in range(400)]
# Which sentence of the brief answers each question; None where none does.
ASKED = {
    "slides-childrens-nurse-1": (
        ("Which colours should I use?", 1), ("What is the name of your ward?", 0),
        ("How long do you have to present?", 2), ("Should I include drug doses?", 3), ("Do you want a logo?", None),
        ("Is there a budget?", None)),
    "slides-stonemason-1": (
        ("What kind of stone is it?", 0), ("What colours do you prefer?", 3), ("When could the work start?", 2),
        ("Should I name who did the cement work?", 1), ("What is your favourite font?", None)),
    "slides-harbour-pilot-1": (
        ("How many pilots are you?", 0), ("How many tugs do you want?", 1), ("Who is presenting?", 2),
        ("What color theme would you like?", 3), ("What date is the hearing?", None)),
    "slides-zookeeper-1": (
        ("Does Samira have companions?", 0), ("How long have you known the elephant?", 1),
        ("How can visitors say goodbye?", 2), ("Which design style do you want?", 3),
        ("How much does the transport cost?", None)),
    "slides-coffee-roaster-2": (
        ("How much of the increase did you absorb?", 0), ("Do customers need to sign a contract?", 1),
        ("Do the farmers get more money?", 2), ("What style should the slides have?", 3),
        ("Where is the meeting?", None)),
    "slides-wind-technician-2": (
        ("When did you notice the problem?", 0), ("What broke in the gearbox?", 1),
        ("Who is the chair of the meeting?", 2), ("Should the manufacturer be blamed?", 3),
        ("What is the company's logo?", None)),
    "slides-game-designer-1": (
        ("What is the title of the game?", 0), ("How big is your team?", 1), ("What is the art style?", 2),
        ("Who is the target audience?", 3), ("Do you have a website?", None)),
    "slides-locksmith-2": (
        ("Tell me about your experience", 0), ("Which habit is the most important?", 1),
        ("Who is the police contact?", 2), ("Do you sell anything?", 3), ("How many people will come?", None)),
}
BY_ID = {task.id: task for name in ("slides/learn", "slides/held_out") for task in tasks.load(name).tasks}
NURSE = BY_ID["slides-childrens-nurse-1"]


def test_the_paper_s_user_says_one_of_two_things_and_each_about_as_often():
    said = Counter(map(Paper(seed=1), QUESTIONS))
    assert said.keys() == {"It is you who can decided.", "None"} == set(ANSWERS)
    assert 150 < said["None"] < 250


def test_the_paper_s_user_is_decided_by_its_seed_and_the_question_alone():
    first = list(map(Paper(seed=1), QUESTIONS))
    assert list(map(Paper(seed=1), reversed(QUESTIONS))) == first[::-1]
    assert list(map(Paper(seed=2), QUESTIONS)) != first


def test_the_brief_answers_most_questions_with_the_sentence_that_a_person_would_choose():
    right, wrong, silent, invented = 0, 0, 0, 0
    for id, questions in ASKED.items():
        sentences = tasks.brief(BY_ID[id])
        for question, place in questions:
            said = Brief(BY_ID[id])(question)
            if place is None:
                invented += said != "None"
            else:
                right += said == sentences[place]
                silent += said == "None"
                wrong += said not in ("None", sentences[place])
    assert (right + wrong + silent, invented) == (32, 0)
    assert right >= 26
    assert wrong == 0


def test_a_task_without_a_brief_has_nothing_to_answer():
    assert Brief(Task(text="Make tea"))("Which tea?") == "None"


def test_a_model_words_the_answer_from_the_brief_alone():
    model = Scripted(["Teal and white, please.\n"])
    assert Brief(NURSE, model)("Which colours?") == "Teal and white, please."
    (request,) = model.requests
    (message,) = request.messages
    assert all(sentence in message["content"] for sentence in (*tasks.brief(NURSE), NURSE.text, "Which colours?"))
    assert request.temperature == 0


def test_an_answer_of_a_model_is_cut_and_silence_is_none():
    assert len(Brief(NURSE, Scripted(["word " * 400]))("Which colours?")) == 500
    assert Brief(NURSE, Scripted([" \n"]))("Which colours?") == "None"


def test_a_user_is_chosen_by_name():
    assert user("nobody", NURSE) is nobody
    assert user("paper", NURSE, seed=3) == Paper(3)
    assert user("brief", NURSE) == Brief(NURSE)
    with pytest.raises(UnknownName, match="no simulated user named 'papers'. Did you mean 'paper'"):
        user("papers", NURSE)


@pytest.mark.parametrize("task", BY_ID.values(), ids=BY_ID)
def test_every_sentence_of_a_brief_can_be_had_by_asking_for_it(task):
    assert [Brief(task)(sentence) for sentence in tasks.brief(task)] == list(tasks.brief(task))


@pytest.mark.parametrize(("who", "answers"), [
    ("nobody", {"None"}), ("paper", set(ANSWERS)), ("brief", {"The code of every door is on a yellow note."})])
def test_the_user_that_a_setting_names_answers_in_its_episodes(who, answers):
    def asks(request):
        said = [message["content"] for message in request.messages]
        if said[-1].startswith("Observation: "):
            return say("finish", answer="done")
        return say("ask_user", question=f"Where do I find the code of the door of seed {request.seed}?")

    make_project(Path.cwd(), spec=SPEC.replace('tools = ["doors"]', f'tools = ["doors", "ask_user"]\nuser = "{who}"'))
    path = Path("tasks/doors/held-out.jsonl")
    told = [json.loads(line) for line in path.read_text().splitlines()]
    for task in told:
        task["requirements"]["brief"] = ["The code of every door is on a yellow note.", "Nobody likes Mondays."]
    path.write_text("".join(json.dumps(task) + "\n" for task in told))
    doors = definition.load("doors")
    folder = run.begin(doors, definition.read_tasks(doors))
    run.resume(folder, given={"scripted:door-opener": Scripted(asks, name="door-opener")})
    with closing(ReplayStore(folder / run.RUNS)) as store:
        asked = store.get_all([e.run for e in episodes(folder) if e.cell.phase == "held-out"]).values()
    assert {trajectory.steps[0].observation.text for trajectory in asked} == answers
