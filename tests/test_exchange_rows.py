"""Rows from anywhere: what is made of them, what is believed of them, and what is told of the bad ones."""

import io
import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl.errors import UsageError
from autorl.replay.batches import Judged, Kept
from autorl.replay.exchange import chat, import_runs, lines, own
from autorl.replay.store import ReplayStore
from autorl.types import Action, Artifact, Observation, Provenance, Status, Step, Task, Trajectory, new_run_id
from tests.conformance.stores import ONE_STORE
from tests.test_exchange import into, out_of
from tests.worlds import FAILED, PASSED, a_run, a_step

SMOLAGENTS = Path(__file__).parent / "data" / "smolagents.jsonl"
CHAT = [{"role": "user", "content": "Make tea"},
        {"role": "assistant", "content": "Boil.", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "boil", "arguments": '{"water": 1}'}}]},
        {"role": "tool", "tool_call_id": "a", "content": "hot"}, {"role": "assistant", "content": "Here it is."}]


def a_row(run: Trajectory | None = None, **changes: Any) -> dict[str, Any]:
    """A row of our own form."""
    run = run or a_run("Make tea", id="tea")
    kept = Kept(run=run, verdicts=(Judged(verdict=PASSED, created=run.started),), recallable=True,
                length=len(run.steps), called=("ping",))
    return {**json.loads(own.line(kept)), **changes}


def within(row: dict[str, Any], *path: Any, **changes: Any) -> dict[str, Any]:
    """The row with what stands at `path` changed."""
    copy = json.loads(json.dumps(row))
    place = copy
    for part in path:
        place = place[part]
    place.update(changes)
    return dict(copy)


def the_run(store: ReplayStore) -> Trajectory:
    (kept,) = store.each()
    return kept.run


def heard(*messages: Any) -> tuple[Trajectory, Counter[str]]:
    notes: Counter[str] = Counter()
    return chat.read(list(messages), notes), notes


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: Any = "", *calls: tuple[str, str, Any]) -> dict[str, Any]:
    made = [{"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}
            for call, name, arguments in calls]
    return {"role": "assistant", "content": text, **({"tool_calls": made} if made else {})}


def tool(call: str, text: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": text}


def steps(run: Trajectory) -> list[Any]:
    return [(step.action and (step.action.name, step.action.arguments), step.observation and step.observation.text)
            for step in run.steps]


# Bad rows.


@pytest.mark.parametrize(("line", "problem"), [
    ("nonsense", "it is no JSON: Expecting value at character 1"),
    ('{"form": "autorl@1", "run": {"id": "x", ', "it ends too early, as in a file that was cut off"),
    ('{"form": "autorl@1", "run": {"id": "x', "it ends too early, as in a file that was cut off"),
    ('{"messages": []} {"messages": []}', "it is no JSON: Extra data"),
    ('{"messages": NaN}', "NaN is no JSON number"),
    ('{"messages": 1e999}', "1e999 is no JSON number"),
    ('{"n": ' + "9" * 5_000 + "}", "it is no JSON: Exceeds the limit"),
    ("[" * 100_000, "nested too deep"),
    ('{"messages": ' + "[" * 300 + "]" * 300 + "}", "nested too deep"),
    (b'{"messages": "\xff"}', "byte 15 of it is no UTF-8"),
    ("7", "in none of the forms trl, openai, smolagents and autorl"),
    ("{}", "in none of the forms"), ("null", "in none of the forms"), ('{"form": "other@1"}', "in none of the forms"),
    ('{"messages": "text"}', "in none of the forms"),
    ('{"form": "autorl@9", "run": {}}', "of the form 'autorl@9', made by another version of autorl"),
    ('{"form": "autorl@1", "run": {}}', "run.id: Field required, and 1 more"),
    ('{"form": "autorl@1"}', "run: Field required"),
    (a_row(surprise=1), "surprise: Extra inputs are not permitted"),
    (a_row(trust="always"), "trust: Input should be 'trusted', 'quarantined' or 'revoked'"),
    (within(a_row(), "run", status="won"), "run.status: Input should be"),
    (within(a_row(), "run", status="running"), "its run has not ended"),
    (within(a_row(), "run", id=""), "can be no name of a folder"),
    (within(a_row(), "run", id="../../root"), "can be no name of a folder"),
    (within(a_row(), "run", id=".."), "can be no name of a folder"),
    (within(a_row(), "run", id="a\u0007b"), "can be no name of a folder"),
    (within(a_row(), "run", id="x" * 65), "the run id 'xxx"),
    (within(a_row(), "run", "task", text=" "), "the task is empty"),
    (within(a_row(), "run", "steps", 0, index=1), "step 0 of its run says that it is step 1"),
    (within(a_row(), "run", seconds="inf"), "run.seconds: Input should be a valid number"),
    (within(a_row(), "run", "steps", 0, seconds="nan"), "run.steps.0.seconds: Input should be a valid number"),
    (within(a_row(), "run", verdict=FAILED.model_dump()), "a verdict that is not among its verdicts"),
    (a_row(length=9), "it tells of 9 steps and has 1"),
    (within(a_row(), "verdicts", 0, "verdict", score=2), "verdicts.0.verdict.score: Input should be less than"),
    (within(a_row(), "run", "artifacts", 0, path="../../.bashrc"), "is not inside the folder of its run"),
    (within(a_row(), "run", "artifacts", 0, path="/etc/passwd"), "is not inside the folder of its run"),
    (within(a_row(), "run", "artifacts", 0, sha256="..//etc/passwd"), "has no SHA-256"),
    (within(a_row(), "run", "artifacts", 0, bytes=-1), "has no SHA-256 or no size"),
    (a_row(a_run(artifacts=(Artifact(path="a", sha256="0" * 64, bytes=2**70),))), "has no SHA-256 or no size"),
    (a_row(a_run(artifacts=(Artifact(path="a", sha256="0" * 64, bytes=1),) * 2)), "it names a file twice"),
    (a_row(record={"wins": 10**30}), "is nothing that a record can have as its 'wins'"),
    (a_row(record={"best": 1}), "is nothing that a record can have as its 'best'"),
    ([user("hello")], "nobody does anything"), ([assistant("hello")], "nobody says what to do"),
    ([user("a"), {"role": "king"}], "message 2: its role is 'king'"),
    ([user("a"), assistant("", ("a", "", "{}"))], "message 2: a call has no name"),
    ([user("a"), tool("z", "x"), assistant("b")], "message 2: it is the result of the call 'z', which nobody made"),
    ([user({"a": 1}), assistant("b")], "message 1: its content is neither a text nor a list of parts"),
    ([user("a"), {"role": "assistant", "tool_calls": 7}], "message 2: its tool_calls are no list"),
    ([user("a"), {"role": "assistant", "tool_calls": [{}]}], "message 2: a call has no name"),
    ([user("a"), {"role": "assistant", "tool_calls": [{"function": "f"}]}], "message 2: a call has no name"),
    ([{"step_number": 1}], "it holds no task"),
    ([{"task": "a"}, {"step_number": 1, "timing": "now"}], "AttributeError"),
    ([{"task": "a"}, {"step_number": 1, "timing": {"start_time": 1e30}}], "Error: "),
    ([{"task": "a"}, {"step_number": 1, "timing": {"duration": "nan"}}], "TypeError"),
    ([{"task": "a"}, {"step_number": 1, "tool_calls": [{"function": {}}]}], "KeyError"),
])
def test_a_bad_row_is_told_of_by_its_line_and_the_rest_is_kept(line: Any, problem: str, store: ReplayStore) -> None:
    row = line if isinstance(line, bytes) else line.encode() if isinstance(line, str) else json.dumps(line).encode()
    done = into(store, b"\n".join([json.dumps(CHAT).encode(), b"", row, json.dumps(a_row()).encode()]))
    assert (done.new, done.bad) == (2, 1)
    (told,) = done.problems
    assert told.startswith("line 3: ")
    assert problem in told
    assert len(told) < 600
    assert store.check() == []


WORDS = ["form", "run", "messages", "role", "content", "tool_calls", "function", "name", "arguments", "steps", "task",
         "step_number", "state", "id", "store", "end", "timing", "error", "user", "assistant", "tool", "autorl@1"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12)
LINES = st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | VALUES.map(lambda v: json.dumps(v).encode())


@ONE_STORE
@given(st.lists(LINES, max_size=6))
def test_no_line_whatever_stops_an_import(store: ReplayStore, junk: list[bytes]) -> None:
    row = a_row(a_run(id=new_run_id()))
    done = into(store, b"\n".join([*junk, json.dumps(row).encode()]))
    assert done.new >= 1
    assert store.get(row["run"]["id"])


def test_what_is_wrong_in_many_rows_is_told_of_the_first_and_counted_of_all(store: ReplayStore) -> None:
    told: list[str] = []
    done = into(store, "\n".join([json.dumps(CHAT), *["nonsense"] * 100]), told=told.append)
    assert (done.bad, len(done.problems), len(told), done.new) == (100, 20, 100, 1)


class Endless(io.RawIOBase):
    """A stream of so many bytes, and a good line after it."""

    def __init__(self, size: int) -> None:
        self.left, self.last = size, b'"}\n' + json.dumps(CHAT).encode()

    def read(self, size: int = -1) -> bytes:
        if self.left:
            size = min(size, self.left)
            self.left -= size
            return b"x" * size
        last, self.last = self.last, b""
        return last


def test_a_line_of_a_gigabyte_takes_no_more_memory_than_a_line_may(store: ReplayStore) -> None:
    tracemalloc.start()
    try:
        done = import_runs(store, Endless(2**30), source="file")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert done.problems == [f"line 1: it is longer than {lines.LONGEST:,} bytes"]
    assert done.new == 1
    assert peak < 3 * lines.LONGEST


def test_a_line_of_empty_lists_is_not_even_read(store: ReplayStore) -> None:
    done = into(store, b'{"messages": [' + b"[]," * 3_000_000 + b"[]]}\n" + json.dumps(CHAT).encode())
    assert (done.new, done.bad) == (1, 1)
    assert "more than 4,000,000 brackets and commas" in done.problems[0]


# Text.


def test_nuls_and_lone_surrogates_are_cleaned(store: ReplayStore) -> None:
    row = json.dumps([user("Make \ud800 tea \x00"), assistant("\udfff", ("a", "boil", '{"\\ud800": "\\u0000"}')),
                      tool("a", "\x00"), assistant("done")])
    assert (into(store, row).new, into(store, row).there) == (1, 1)
    run = the_run(store)
    assert run.task.text == "Make ? tea \ufffd"
    assert steps(run)[0] == (("boil", {"?": "\ufffd"}), "\ufffd")


def test_secrets_are_redacted(store: ReplayStore) -> None:
    secret = "sk-" + "a1" * 20
    call = ("a", "login", json.dumps({"key": secret}))
    into(store, [[user(f"Use {secret}"), assistant(secret, call), tool("a", secret)]])
    assert secret not in str(store.get(the_run(store).id))
    assert secret not in out_of(store).decode()


# What is believed.


POISON = a_row(
    a_run(Task(text="Make a deck", id="mine", verifier="lenient", requirements={"slides": 0}), id="poison",
          recalled=["good"], provenance=Provenance(source="local", model="m")),
    trust="trusted", policies=["mine@1"], record={"wins": 900, "shown": 900})
HEADER = {"form": "autorl@1", "store": {
    "sources": {"evil.jsonl": 10**6}, "policies": [{"id": "mine@1", "base": "b", "created": "2026-01-01T00:00:00Z"}],
    "records": {"good": {"wins": 0, "shown": 99}}}}


def test_a_stranger_s_file_is_kept_for_reading_and_believed_in_nothing(store: ReplayStore) -> None:
    store.add([a_run("Good", id="good", verdict=PASSED)])
    done = into(store, [HEADER, POISON], source="evil.jsonl")
    assert (done.new, done.quarantined) == (1, 1)
    assert set(done.notes) == {"verdicts were not believed", "what they were shown was not believed",
                               "what the file says of caps, policies and records was not believed"}
    run, line = store.get("poison"), store.summary("poison")
    assert (line.trust, line.passed, line.source, run.verdict, run.recalled) == (
        "quarantined", None, "evil.jsonl", None, ())
    assert run.task == Task(text="Make a deck"), "neither the id of a task of mine, nor what its verifier is to see"
    assert [c.run for c in store.candidates()] == ["good"]
    assert (store.record("good").shown, store.record("poison").shown, store.policies_of("poison")) == (0, 0, [])
    assert store.stats()["sources"]["evil.jsonl"]["cap"] == 100
    (change,) = store.trust_changes("poison")
    assert (change.trust, change.why, change.who) == ("quarantined", "imported from evil.jsonl", "autorl")
    store.add([a_run(Task(text="Something else", id="mine"), id="own")])  # the id is still free


def test_a_friend_s_verdicts_count_up_to_the_cap_of_the_source(store: ReplayStore) -> None:
    rows = [a_row(a_run(f"Task {n}", id=f"run-{n:03}"), trust="revoked" if n == 0 else "trusted") for n in range(130)]
    rows += [a_row(a_run("Read the web", [a_step(tainted=True)], id="tainted"))]
    done = into(store, rows, source="friend", believe="verdicts")
    assert (done.new, done.quarantined, done.over_cap) == (131, 1, 29)
    assert store.stats()["sources"]["friend"] == {"runs": 131, "passed": 131, "recallable": 100, "cap": 100}
    assert store.summary("run-000").trust == "revoked"
    assert (store.summary("tainted").trust, store.trust_changes("tainted")[0].why) == (
        "quarantined", "it read what came from outside")
    store.cap("friend", None)
    assert store.stats()["sources"]["friend"]["recallable"] == 129


def test_the_source_of_what_was_run_here_cannot_be_claimed(store: ReplayStore) -> None:
    with pytest.raises(UsageError, match="source 'local' is that of the runs that were made here"):
        into(store, [CHAT], source="local")


def test_only_our_own_form_tells_how_it_was(store: ReplayStore) -> None:
    done = into(store, [CHAT, a_row()], believe="everything")
    assert (done.new, done.bad) == (1, 1)
    assert "which does not tell how a run was kept" in done.problems[0]


def test_two_stores_become_one_and_each_keeps_its_own_word(store: ReplayStore, tmp_path: Path) -> None:
    other = ReplayStore(tmp_path / "other.db")
    store.cap("team", 1)
    other.cap("team", 5)
    other.add([a_run(f"T {n}", verdict=PASSED, provenance=Provenance(source="team")) for n in range(3)])
    for each, shown in ((store, ["one", "one", "two"]), (other, ["one", "two", "two"])):
        each.add([a_run("Shared", id="shared", verdict=PASSED),
                  *(a_run(f"Shown {n}", verdict=PASSED, recalled=[seed]) for n, seed in enumerate(shown))])
    done = into(store, out_of(other), believe="everything")
    assert (done.new, done.there, done.over_cap, done.problems) == (6, 1, 2, [])
    assert store.stats()["sources"]["team"] == {"runs": 3, "passed": 3, "recallable": 1, "cap": 1}
    assert [store.record(seed).shown for seed in ("one", "two")] == [2, 2], "of two records of a seed, the fuller"


def test_a_store_with_more_room_takes_those_that_waited(store: ReplayStore, tmp_path: Path) -> None:
    other = ReplayStore(tmp_path / "other.db")
    other.cap("team", 1)
    other.add([a_run(f"T {n}", id=f"t{n}", verdict=PASSED, provenance=Provenance(source="team")) for n in range(4)])
    store.cap("team", 3)
    assert into(store, out_of(other), believe="everything").new == 4
    assert len(store.candidates()) == 3
    assert {c.run for c in other.candidates()} < {c.run for c in store.candidates()}


# The same again, and something else under the same name.


def test_an_id_that_is_taken_is_told_of_and_nothing_is_written_over(store: ReplayStore) -> None:
    mine = a_run("Make tea", id="tea", verdict=PASSED)
    store.add([mine])
    other = [a_row(a_run("Make coffee", id="tea")), a_row(a_run("Make tea", [a_step(name="steal")], id="tea")),
             a_row(a_run("New", id="new")), a_row(a_run("New", [a_step(observation="?")], id="new"))]
    done = into(store, other)
    assert (done.new, done.there, done.bad) == (1, 0, 3)
    assert done.problems[0] == "line 1: its id tea is that of another run, which was left as it is"
    assert [problem[:7] for problem in done.problems] == ["line 1:", "line 2:", "line 4:"]
    assert store.get("tea") == mine


def test_a_task_id_that_is_taken_spoils_its_own_row_alone(store: ReplayStore) -> None:
    store.add([a_run(Task(text="Make tea", id="t"), id="one")])
    rows = [a_row(a_run(Task(text=text, id="t"), id=id)) for id, text in (
        ("two", "Make tea"), ("three", "Make coffee"), ("four", "Make tea"))]
    done = into(store, rows, believe="everything")
    assert (done.new, done.problems) == (2, ["line 2: the task id 't' is taken by another task: 'Make tea'"])


def test_a_run_that_was_judged_pruned_or_continued_since_is_still_known(store: ReplayStore) -> None:
    run = a_run("Make tea", [a_step(), a_step()], id="tea", status=Status.OUT_OF_STEPS)
    into(store, [a_row(run)])
    store.judged("tea", FAILED)
    assert into(store, [a_row(run.model_copy(update={"steps": run.steps[:1]}))]).there == 1
    store.prune(store.prunable(run.started - run.started))
    assert store.get("tea").steps == ()
    assert into(store, [a_row(run)]).there == 1


def test_a_policy_that_the_file_does_not_tell_of_is_no_policy(store: ReplayStore) -> None:
    done = into(store, [a_row(policies=["ghost@1"]), a_row(a_run(id="x"))], believe="everything")
    assert (done.new, done.problems) == (1, ["line 1: it names the policy 'ghost@1', of which the file tells nothing"])


# A file that is not whole.


def test_a_file_that_was_cut_off_says_so(store: ReplayStore, tmp_path: Path) -> None:
    store.add([a_run(f"T {n}") for n in range(5)])
    text = out_of(store).splitlines(keepends=True)
    for number, (rows, said) in enumerate([
        (text[:-1], "its last line did not come; 5 runs came before"),
        (text[:3], "its last line did not come; 2 runs came before"),
        ([*text[:3], text[-1]], "it says that it holds 5 runs, and holds 2"), (text, ""),
    ]):
        assert into(ReplayStore(tmp_path / f"{number}.db"), b"".join(rows)).cut_off == said
    done = into(ReplayStore(tmp_path / "half.db"), b"".join(text)[: len(text[0]) + len(text[1]) + 50])
    assert (done.new, done.bad) == (1, 1)
    assert "cut off" in done.problems[0]


# Documents and lists.


@pytest.mark.parametrize("text", [
    json.dumps([CHAT, a_row()]), json.dumps([CHAT, a_row()], indent=2),
    f"{json.dumps(CHAT)}\r\n\r\n{json.dumps(a_row())}",
    f"\ufeff{json.dumps(CHAT)}\n{json.dumps(a_row())}\n",
])
def test_one_document_and_lines_come_to_the_same(text: str, store: ReplayStore) -> None:
    assert (into(store, text).new, store.counts()) == (2, {"finished": 2, "passed": 0})


def test_a_bad_row_of_a_document_is_told_of_by_its_place(store: ReplayStore) -> None:
    for indent, place in ((None, "line 1"), (1, "the document")):
        done = into(store, json.dumps([CHAT, {"a": 1}, 7], indent=indent))
        assert [problem.partition(": ")[0] for problem in done.problems] == [f"{place}, item 2", f"{place}, item 3"]
    assert into(store, json.dumps(CHAT, indent=4)).there == 1, "a conversation is one row, though it is a list"


def test_a_first_line_that_is_bad_spoils_no_other(store: ReplayStore) -> None:
    done = into(store, '{"messages": [\n' + json.dumps(CHAT) + "\n" + json.dumps(a_row()))
    assert (done.new, [problem.partition(": ")[0] for problem in done.problems]) == (2, ["line 1"])


# Conversations.


def test_a_trace_in_openai_s_form_becomes_a_run(store: ReplayStore) -> None:
    done = into(store, [{"messages": [{"role": "system", "content": "Be brief."}, *CHAT], "tools": []}])
    assert (done.forms, done.notes) == ({"openai": 1}, {"system messages were left out": 1})
    run = the_run(store)
    assert (run.task, run.status, run.answer) == (Task(text="Make tea"), Status.FINISHED, "Here it is.")
    assert steps(run) == [(("boil", {"water": 1}), "hot"), (("finish", {"answer": "Here it is."}), "Here it is.")]
    assert run.steps[0].thought == "Boil."
    assert into(store, [CHAT]).there == 1


def test_calls_made_at_once_become_steps_and_results_find_their_calls() -> None:
    run, notes = heard(
        user("Both"), assistant("I ask both.", ("a", "ask", '{"n": 1}'), ("b", "ask", '{"n": 2}')),
        tool("b", "two"), tool("a", "one"), assistant("One and two."))
    assert steps(run)[:2] == [(("ask", {"n": 1}), "one"), (("ask", {"n": 2}), "two")]
    assert [step.thought for step in run.steps] == ["I ask both.", "", ""]
    assert notes == {"calls made at once became steps one after the other": 2}


def test_servers_that_name_every_call_alike_are_understood() -> None:
    run, _ = heard(user("Twice"), assistant("", ("call_0", "ask", "{}")), tool("call_0", "one"),
                   assistant("", ("call_0", "ask", "")), tool("call_0", "two"), assistant("done"))
    assert [seen for _, seen in steps(run)] == ["one", "two", "done"]


def test_a_call_without_a_result_is_told_of_and_one_at_the_end_cuts_the_run_off() -> None:
    run, notes = heard(user("a"), assistant("", ("a", "x", "{}")), assistant("", ("b", "y", "{}")))
    assert steps(run) == [(("x", {}), chat.NO_RESULT), (("y", {}), None)]
    assert (run.status, run.reason, notes) == (
        Status.TRUNCATED, "the trace ends without an answer", {"calls have no result": 1})
    assert run.steps[0].observation == Observation(text=chat.NO_RESULT, ok=False)
    run, _ = heard(user("a"), assistant("", ("a", "x", "{}")), tool("a", "seen"))
    assert run.status is Status.TRUNCATED, "in OpenAI's form, the assistant has the last word"


def test_trl_s_form_lets_a_tool_have_the_last_word() -> None:
    said = {"role": "tool", "name": "save", "content": "ok"}
    run, _ = heard(user("a"), assistant("", ("", "save", {"path": "x"})), said)
    assert (run.status, run.answer, steps(run)) == (Status.FINISHED, "ok", [(("save", {"path": "x"}), "ok")])


def test_the_old_form_of_calls_is_understood() -> None:
    run, _ = heard(
        user("a"), {"role": "assistant", "content": None, "function_call": {"name": "x", "arguments": '{"b": 1}'}},
        {"role": "function", "name": "x", "content": "seen"}, assistant("done"))
    assert steps(run)[0] == (("x", {"b": 1}), "seen")


@pytest.mark.parametrize("arguments", ["{broken", "[1]", '"text"', "{} {}", '{"a": NaN}'])
def test_arguments_that_cannot_be_read_make_a_step_without_an_action(arguments: str) -> None:
    run, notes = heard(user("a"), assistant("I try.", ("a", "x", arguments)), tool("a", "Error: bad"), assistant("b"))
    step = run.steps[0]
    assert (step.action, step.observation and step.observation.ok) == (None, False)
    assert (step.error or "").startswith("the arguments of x cannot be read: ")
    assert arguments in step.raw
    assert sum(notes.values()) == 1


def test_what_the_user_says_later_is_seen_by_the_step_before() -> None:
    run, notes = heard(user("Write"), user("a poem"), assistant("About what?"), user("Bees"),
                       assistant("", ("a", "save", "{}")), tool("a", "ok"), user("Thanks"), assistant("Bye"))
    assert run.task.text == "Write\n\na poem"
    assert steps(run) == [
        (None, "Bees"), (("save", {}), "ok"), (None, "Thanks"), (("finish", {"answer": "Bye"}), "Bye")]
    assert run.steps[0].raw == "About what?"
    assert notes == {"later words of the user became steps without an action": 2}


def test_parts_are_read_and_pictures_are_counted() -> None:
    parts = [{"type": "text", "text": "What is"}, {"type": "image_url", "image_url": {}},
             {"type": "text", "text": "this?"}]
    run, notes = heard(user(parts), {"role": "assistant", "content": None, "refusal": "No."})
    assert run.task.text == "What is\n[a part that is no text, left out]\nthis?"
    assert (run.answer, notes) == ("No.", {"parts that are no text were left out": 1})


def test_a_run_in_our_words_goes_out_in_theirs() -> None:
    run = a_run("Make tea", [a_step(name="boil", water=1, observation="hot"), Step(index=1, raw="?", error="no"),
                             a_step(name="finish", answer="tea", observation="tea")], answer="tea")
    messages, left_out = chat.write(run, openai=False)
    assert messages == [
        {"role": "user", "content": "Make tea"},
        {"role": "assistant", "content": "Step 0", "tool_calls": [
            {"type": "function", "function": {"name": "boil", "arguments": {"water": 1}}}]},
        {"role": "tool", "name": "boil", "content": "hot"}, {"role": "assistant", "content": "tea"}]
    assert left_out == 1
    saved = a_run("Make a deck", [a_step(name="save", observation="saved")], answer="saved")
    assert chat.write(saved, openai=True).messages[1:] == [
        {"role": "assistant", "content": "Step 0", "tool_calls": [
            {"id": "call_0", "type": "function", "function": {"name": "save", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_0", "content": "saved"}, {"role": "assistant", "content": "saved"}]
    assert chat.write(saved, openai=False).messages[-1]["role"] == "tool"


@pytest.mark.parametrize("openai", [True, False])
@pytest.mark.parametrize("last", [
    a_step(name="save", observation="saved"), a_step(name="finish", answer="hot", observation="hot"),
    a_step(name="finish", answer="", observation=""), a_step(name="finish", answer="a", more="b", observation="a"),
])
def test_however_a_run_ended_it_comes_back_with_the_same_steps(last: Step, openai: bool) -> None:
    answer = last.observation.text if last.observation else ""
    run = a_run("Make tea", [a_step(name="boil", observation="hot"), last], answer=answer)
    back = chat.read(chat.write(run, openai=openai).messages, Counter())
    assert (steps(back), back.status, back.answer) == (steps(run), Status.FINISHED, answer)


# smolagents.


@pytest.fixture
def traces(store: ReplayStore) -> dict[str, Trajectory]:
    done = into(store, SMOLAGENTS.read_bytes())
    assert (done.problems, done.new, done.forms) == ([], 9, {"smolagents": 9})
    assert done.notes == {"calls made at once became steps one after the other": 2,
                          "plans and other steps without an action were left out": 1}
    assert into(store, SMOLAGENTS.read_bytes()).there == 9
    return {kept.run.task.text: kept.run for kept in store.each()}


def test_a_trace_of_smolagents_becomes_a_run(traces: dict[str, Trajectory]) -> None:
    run = traces["What is the weather in Oslo?"]
    assert (run.status, run.answer, run.provenance.format) == (Status.FINISHED, "Rain.", "smolagents")
    assert steps(run) == [
        (("weather", {"city": "Oslo"}), "It rains in Oslo."), (("finish", {"answer": "Rain."}), "Rain.")]
    assert [step.thought for step in run.steps] == ["I look.", "Now I know."]
    assert (run.usage.prompt_tokens, run.usage.completion_tokens) == (200, 20)
    assert run.started.year > 2025
    assert traces["How many?"].answer == "42"


def test_errors_and_calls_that_failed_are_in_it(traces: dict[str, Trajectory]) -> None:
    run = traces["Divide one by zero"]
    names = [step.action.name if step.action else None for step in run.steps]
    assert names == ["divide", "guess", None, "finish"]
    assert [bool(step.observation and step.observation.ok) for step in run.steps] == [False, False, False, True]
    assert "division by zero" in (run.steps[0].observation or Observation(text="")).text
    assert run.steps[2].raw == "It cannot be done."
    assert [action.name for action in run.actions] == ["finish"]


def test_what_did_not_end_with_an_answer_did_not_finish(traces: dict[str, Trajectory]) -> None:
    run = traces["Wait for the sun in Oslo"]
    assert (run.status, run.reason, run.answer, len(run.steps)) == (Status.OUT_OF_STEPS, "Reached max steps.", "", 2)


def test_calls_at_once_share_what_they_gave(traces: dict[str, Trajectory]) -> None:
    one, other, _ = steps(traces["Compare the weather in Oslo and Rome"])
    assert (one[0], other[0]) == (("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"}))
    assert other[1] == "It rains in Oslo.\nIt rains in Rome."


def test_code_is_an_action_with_its_thought_apart(traces: dict[str, Trajectory]) -> None:
    run = traces["Write code that tells the weather in Oslo"]
    assert run.steps[0].thought == "I ask first."
    assert run.steps[0].action == Action(
        name="python_interpreter", arguments={"code": 'said = weather(city="Oslo")\nprint(said)'})
    assert run.steps[1].observation is not None
    assert not run.steps[1].observation.ok
    assert (run.status, run.answer) == (Status.FINISHED, '{"weather":"It rains in Oslo."}')


def test_each_task_of_a_memory_is_a_run(traces: dict[str, Trajectory]) -> None:
    assert (traces["Say hello"].answer, traces["Say goodbye"].answer) == ("Hello.", "Goodbye.")
