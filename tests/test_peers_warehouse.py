"""How eval/peers_warehouse.py has frameworks work in a warehouse: with a scripted model, in the world itself."""

import json
import os
import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "eval"))

import peers_warehouse
from overhead import CACHE
from peers.metered import Gate, Meter
from peers.warehouse_play import Limits, Row
from peers.warehouse_table import figures, table
from peers.warehouse_world import Run, described, done, nearest
from peers_warehouse import Book, Design, kept_of, measured

from tests.servers import USAGE, Call, Reply, serving

DESIGN = Design(worlds=("w1",), each=1, learn=4, attempts=2, learn_tokens=100_000, limits=Limits(tokens=100_000))
HELD_OUT, LESSONS = DESIGN.held_out("w1"), DESIGN.lessons("w1")
AUTORL = Row("autorl", "autorl", "", "nothing")


def calls(task):
    return [Reply(text="", calls=(Call(step["name"], json.dumps(step["arguments"])),))
            for step in done(task)["steps"]]


def steps(task):
    return [Reply(f"Thought: So.\nAction: {step['name']}\nAction Input: {json.dumps(step['arguments'])}")
            for step in done(task)["steps"]]


def code(task):
    written = [(step["name"], ", ".join(f"{name}={value!r}" for name, value in step["arguments"].items()))
               for step in done(task)["steps"]]
    return [Reply(json.dumps({"thought": "So.", "code": f"print({name}({arguments}))"})) for name, arguments in written]


def fields(task):
    return [Reply(f"[[ ## next_thought ## ]]\nSo.\n\n[[ ## next_tool_name ## ]]\n{step['name']}\n\n"
                  f"[[ ## next_tool_args ## ]]\n{json.dumps(step['arguments'])}\n\n[[ ## completed ## ]]")
            for step in done(task)["steps"]]


def texts(task):
    said = [Reply("First this, then that.")]
    for step in done(task)["steps"]:
        said += [Reply("So."), Reply(f"{step['name']} {json.dumps(step['arguments'])}")]
    return said


def installed(peer):
    return pytest.mark.skipif(not (CACHE / peer / "requirements.txt").exists(), reason=f"{peer} has no environment")


PEERS = [pytest.param(peer, variant, say, marks=[pytest.mark.slow, installed(peer)]) for peer, variant, say in (
    ("smolagents", "", calls), ("smolagents", "code", code), ("langgraph", "", calls), ("dspy", "", fields),
    ("icrl", "", texts))]


def _environment(peer):
    return CACHE / peer / "bin" / "python" if peer != "nobody" else Path(sys.executable)


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Plays rows, one run at a time, with a server that gives these replies in their order; also what was asked."""

    def with_replies(row, replies, design=DESIGN, seeds=(0,)):
        with serving(*replies) as server:

            @contextmanager
            def gate(_):
                made = Gate(server.url.removesuffix("/v1"))
                yield made
                made.close()

            monkeypatch.setattr(peers_warehouse, "served", gate)
            monkeypatch.setattr(peers_warehouse, "environment", _environment)
            book = Book(tmp_path / "book")
            measured(design, [row], seeds, book, 1)
        return book.episodes, server.requests

    return with_replies


@pytest.fixture
def run():
    made = Run(HELD_OUT[0])
    yield made
    made.close()


@pytest.mark.parametrize(("peer", "variant", "say"), [
    *(("autorl", variant, steps) for variant in ("", "free", "react")), *PEERS])
def test_a_model_that_knows_the_way_does_every_task_in_the_fewest_requests(play, tmp_path, peer, variant, say):
    row = Row("a peer", peer, variant, "given")
    replies = [reply for task in HELD_OUT for reply in say(task)]
    episodes, asked = play(row, replies)
    assert [(e.success, e.end, e.died) for e in episodes] == [(True, "closed", "")] * len(HELD_OUT)
    assert [e.calls for e in episodes] == [task.requirements["optimal"] for task in HELD_OUT]
    assert len(asked) == len(replies)
    assert sum(e.prompt_tokens for e in episodes) == len(asked) * USAGE["prompt_tokens"]
    given = nearest(HELD_OUT, DESIGN.known("w1"), DESIGN.limits.k, tmp_path)
    shown = json.dumps(asked[0])
    assert any(demo["text"] in shown for demo in given[HELD_OUT[0].id])


@pytest.mark.slow
@installed("langgraph")
def test_a_framework_that_reaches_its_limit_of_steps_stops_and_does_not_die(play):
    look = Reply(text="", calls=(Call("rami", '{"ded": "bip"}'),))
    episodes, _ = play(Row("a peer", "langgraph", "", "nothing"), [look])
    assert {(e.end, e.calls, e.died) for e in episodes} == {("stopped", DESIGN.limits.steps, "")}


@pytest.mark.parametrize(("peer", "say"), [("autorl", steps), *(
    pytest.param(peer, say, marks=[pytest.mark.slow, installed(peer)]) for peer, say in (("dspy", fields),
                                                                                        ("icrl", texts)))])
def test_what_is_learned_is_shown_at_the_held_out_tasks(play, peer, say):
    replies = [reply for task in (*LESSONS, *HELD_OUT) for reply in say(task)]
    episodes, asked = play(Row("a learner", peer, "", "learned"), replies)
    assert [(e.phase, e.task) for e in episodes] == [
        *(("learn", task.id) for task in LESSONS), *(("held-out", task.id) for task in HELD_OUT)]
    assert all(e.success for e in episodes)
    first = len(replies) - sum(len(say(task)) for task in HELD_OUT)
    assert not any(task.text in json.dumps(asked[0]) for task in LESSONS[1:])
    assert any(task.text in json.dumps(asked[first]) for task in LESSONS)


def test_a_task_to_learn_from_is_tried_again_until_it_is_done_or_the_attempts_are_spent(play):
    nonsense = Reply("I would rather not.")
    some = replace(DESIGN, limits=replace(DESIGN.limits, steps=2), learn=4)
    first, *others = LESSONS
    replies = [*steps(first), *[nonsense] * 2 * 2 * len(others), *[nonsense] * 2 * len(HELD_OUT)]
    episodes, _ = play(Row("a learner", "autorl", "", "learned"), replies, some)
    tried = [(e.task, e.attempt, e.success) for e in episodes if e.phase == "learn"]
    assert tried == [(first.id, 0, True), *((task.id, 0, False) for task in others),
                     *((task.id, 1, False) for task in others)]
    assert {e.end for e in episodes if e.phase == "held-out"} == {"stopped"}


@pytest.mark.parametrize(("peer", "variant", "learn_tokens", "tried"), [
    ("autorl", "", 5, "abcda"), ("autorl", "", 4, "abcd"), ("autorl", "guided", 5, "aabbcd"),
    ("autorl", "guided", 3, "aabcd"),
    *(pytest.param("dspy", "", tokens, tried, marks=[pytest.mark.slow, installed("dspy")])
      for tokens, tried in ((99, "aabbccdd"), (3, "aabcd")))])
def test_once_the_tokens_to_learn_with_are_spent_nothing_is_tried_again(play, peer, variant, learn_tokens, tried):
    """learn_tokens: in those of a completion, of which each attempt may have one here"""
    one = replace(DESIGN, learn_tokens=learn_tokens * USAGE["total_tokens"],
                  limits=replace(DESIGN.limits, tokens=USAGE["total_tokens"], steps=1))
    episodes, _ = play(Row("a learner", peer, variant, "learned"), [Reply("No.")] * 99, one)
    named = dict(zip((task.id for task in LESSONS), "abcd", strict=True))
    assert "".join(named[e.task] for e in episodes if e.phase == "learn") == tried


def test_guided_an_attempt_ends_where_it_spoils_what_was_right_and_the_next_is_not_offered_that(play):
    truck = Reply('Thought: So.\nAction: tafe\nAction Input: {"gav": "filu"}')  # that nobody asked for
    episodes, asked = play(Row("a learner", "autorl", "guided", "learned"), [truck, *[Reply("No.")] * 999])
    first = next(e for e in episodes if e.task == LESSONS[0].id)
    assert (first.calls, first.refused, first.requests, first.success) == (1, 0, 1, False)
    assert ["filu" in request["grammar"] for request in asked[:2]] == [True, False]


def test_what_is_measured_goes_on_from_kept_episodes(play, tmp_path):
    design = replace(DESIGN, limits=replace(DESIGN.limits, steps=2))
    learner = Row("a learner", "autorl", "", "learned")
    episodes, _ = play(learner, [Reply("No.")] * 2 * (2 * len(LESSONS) + len(HELD_OUT)), design)
    kept = tmp_path / "kept.jsonl"
    kept.write_text("".join([peers_warehouse._head(design), *map(peers_warehouse._line, episodes)]))
    begun = Book(tmp_path / "another", kept_of(design, kept))
    measured(design, [learner], [0], begun, 1)
    assert begun.episodes == episodes
    with pytest.raises(SystemExit, match="other lessons, attempts or limits"):
        kept_of(DESIGN, kept)
    with pytest.raises(SystemExit, match="cannot be read"):
        kept_of(DESIGN, tmp_path / "none.jsonl")


def test_a_run_ends_when_its_tokens_are_spent(play):
    spent = replace(DESIGN, limits=replace(DESIGN.limits, tokens=3 * (USAGE["total_tokens"])))
    look = Reply('Thought: So.\nAction: rami\nAction Input: {"ded": "bip"}')
    episodes, asked = play(AUTORL, [look], spent)
    assert [(e.end, e.requests, e.success, e.died) for e in episodes] == [("tokens", 3, False, "")] * len(HELD_OUT)
    assert len(asked) == 3 * len(HELD_OUT)


def test_what_a_framework_raises_is_told_and_takes_one_run_with_it(play):
    refused = Reply(status=422, body=b'{"error": {"message": "no"}}')
    episodes, _ = play(AUTORL, [refused, *[reply for task in HELD_OUT[1:] for reply in steps(task)]])
    assert [(e.end, e.success) for e in episodes] == [("died", False), ("closed", True), ("closed", True)]
    assert "422" in episodes[0].died


def test_a_runner_that_is_killed_takes_one_run_with_it(play, monkeypatch):
    begun = peers_warehouse.Playing._begin
    victims = iter(["first"])

    def begin(self, told):
        if next(victims, None):
            os.kill(self.process.pid, signal.SIGKILL)
        return begun(self, told)

    monkeypatch.setattr(peers_warehouse.Playing, "_begin", begin)
    episodes, _ = play(AUTORL, [reply for task in HELD_OUT[1:] for reply in steps(task)])
    assert [(e.end, e.success) for e in episodes] == [("died", False), ("closed", True), ("closed", True)]
    assert "process" in episodes[0].died


def test_a_runner_that_cannot_start_stops_the_measurement(play, capsys):
    with pytest.raises(SystemExit, match="a peer cannot go on in w1"):
        play(Row("a peer", "nobody", "", "nothing"), [Reply()])
    assert "warehouse_nobody.py" in capsys.readouterr().err


def test_a_measurement_that_was_stopped_goes_on(play):
    replies = [reply for task in HELD_OUT for reply in steps(task)]
    whole, _ = play(AUTORL, replies)
    book = Path("../book/episodes.jsonl").resolve()
    lines = book.read_text().splitlines()
    book.write_text(f"{lines[0]}\n{lines[1][:40]}")  # as a process leaves it that was killed while it wrote
    rest, asked = play(AUTORL, replies[len(steps(HELD_OUT[0])):])
    assert [e.key for e in rest] == [e.key for e in whole]
    assert len(asked) == len(replies) - len(steps(HELD_OUT[0]))


@pytest.mark.parametrize(("does", "seeds"), [(steps(HELD_OUT[0]), [0, 1]), ([], [0])])
def test_a_row_that_does_nothing_with_the_first_seed_is_played_with_no_other(play, does, seeds):
    episodes, _ = play(AUTORL, [*does, Reply("No.")], seeds=(0, 1))
    assert [(e.seed, e.task) for e in episodes] == [(seed, task.id) for seed in seeds for task in HELD_OUT]
    assert DESIGN.lacks([AUTORL], [0, 1], episodes) == ""
    assert bool(DESIGN.lacks([AUTORL], [0, 1], episodes[:3])) == bool(does)


@pytest.mark.parametrize("option", ["--rows", "--worlds", "--seeds"])
def test_an_option_without_a_value_is_refused_and_keeps_what_was_kept(option, monkeypatch, capsys):
    kept = peers_warehouse.KEPT.read_bytes()
    monkeypatch.setattr(sys, "argv", ["peers_warehouse.py", "--so-far", option])
    with pytest.raises(SystemExit):
        peers_warehouse.main()
    assert f"{option}: expected at least one argument" in capsys.readouterr().err
    assert peers_warehouse.KEPT.read_bytes() == kept


def test_the_worlds_in_which_somebody_was_not_asked_everything_are_told(play):
    episodes, _ = play(AUTORL, [reply for task in HELD_OUT for reply in steps(task)])
    assert DESIGN.lacks([AUTORL], [0], episodes) == ""
    other = Row("another", "autorl", "", "nothing")
    told = replace(DESIGN, worlds=("w1", "w2")).lacks([AUTORL, other], [0], episodes)
    assert told.endswith(f": {AUTORL.name} in w2; another in w1, w2.")
    assert "autorl in w1" in DESIGN.lacks([AUTORL], [0], episodes[1:])


def test_learning_that_was_stopped_begins_anew(play):
    learner = Row("a learner", "autorl", "", "learned")
    replies = [reply for task in (*LESSONS, *HELD_OUT) for reply in steps(task)]
    whole, _ = play(learner, replies)
    book = Path("../book").resolve()
    lines = (book / "episodes.jsonl").read_text().splitlines()
    (book / "episodes.jsonl").write_text("".join(f"{line}\n" for line in lines[:2]))
    next((book / "memory").glob("*.learned")).unlink()
    again, asked = play(learner, replies)
    assert [(e.key, e.success) for e in again] == [(e.key, e.success) for e in whole]
    assert len(asked) == len(replies)


def test_after_the_tool_that_ends_the_work_nothing_changes(run):
    for step in done(HELD_OUT[0])["steps"]:
        assert run.call(step["name"], step["arguments"]) == step["observation"]
    assert (run.over, run.verdict.passed) == (True, True)
    assert run.call("muna", {"ruf": 21, "lud": 9}) == "Error: the work is done"
    assert run.verdict.passed


@pytest.mark.parametrize(("name", "arguments", "told"), [
    ("mun", {}, "Error: no tool named 'mun'"), ("muna", [21], "Error: the arguments of muna are no object"),
    ("muna", {"ruf": "x"}, "Error: muna"), ("zotu", {}, "Error: nothing is done yet"),
])
def test_a_wrong_call_is_told_and_changes_nothing(run, name, arguments, told):
    before = run.available
    assert run.call(name, arguments).startswith(told)
    assert (run.available, run.over) == (before, False)


def test_a_meter_caps_what_is_asked_for_and_seeds_what_has_no_seed():
    meter = Meter(seed=7, tokens=100, seconds=60, max_tokens=50)
    assert meter.prepared({"max_completion_tokens": 500}) == {"max_tokens": 50, "seed": 7, "cache_prompt": True}
    assert meter.prepared({"max_tokens": 20, "seed": 3}) == {"max_tokens": 20, "seed": 3, "cache_prompt": True}
    assert meter.prepared({})["seed"] == 9
    meter.count({"usage": {"prompt_tokens": 90, "completion_tokens": 9}})
    assert meter.admits()
    meter.count({"usage": {"prompt_tokens": 1, "completion_tokens": 0}})
    assert not meter.admits()
    meter.stop("closed")
    assert meter.over == "tokens"


def test_autorl_may_choose_what_makes_sense_and_unmasked_anything(play):
    for variant in ("", "unmasked"):
        _, asked = play(Row(f"autorl {variant}", "autorl", variant, "nothing"), [Reply("?")] * 99)
        assert ("pagu" in asked[0]["grammar"]) == bool(variant)  # nothing is picked yet that could be stamped
        every_number = '"9" ("0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9")'
        assert (every_number in asked[0]["grammar"]) == bool(variant)


def test_every_framework_is_told_of_the_same_tools():
    tools, ends = described("w1")
    assert ends == "zotu"
    assert (tools[2]["name"], tools[2]["description"]) == ("pagu", "Stamp order ruf.")


def test_the_table_and_the_figures_say_what_the_episodes_say(play):
    peer = Row("a peer", "langgraph", "", "nothing")
    ours = peers_warehouse.ROWS[0]
    episodes, _ = play(ours, [reply for task in HELD_OUT for reply in steps(task)])
    theirs = [replace(e, row=peer.name, success=index == 0, calls=0, end="died") for index, e in enumerate(episodes)]
    rows, both = [ours, peer], [*episodes, *theirs]
    found = figures(rows, both)
    assert found["autorl_no_store_success"]["value"] == 1
    assert found["a_peer_success"]["value"] == pytest.approx(1 / 3)
    assert found["autorl_no_store_minus_a_peer"]["value"] == pytest.approx(2 / 3)
    tokens = sum(e.prompt_tokens + e.completion_tokens for e in episodes)
    assert found["a_peer_success_per_1000_tokens"]["value"] == pytest.approx(1000 / tokens)
    assert "| nothing | a peer | 1 of 3 |" in table(rows, both)
    assert "| 3 | 3 |" in table(rows, both)
