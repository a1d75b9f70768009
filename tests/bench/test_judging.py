"""Judges are asked over HTTP as any model is, gated first, and believed only as far as they showed."""

import base64
import re
import threading

import pytest

from autorl.bench import judging, opinions, report, text
from autorl.bench.opinions import OPINIONS, Control, Vote
from autorl.errors import ModelUnavailable, UsageError
from autorl.models.openai import OpenAIServer
from tests.bench.pictured import pictured, size_of
from tests.bench.world import SPEC
from tests.servers import Reply, refusal, serving


@pytest.fixture(autouse=True)
def anew(played, monkeypatch):
    """In the project of the run, and nobody has an opinion yet."""
    monkeypatch.chdir(played.parents[2])
    yield
    (played / OPINIONS).unlink(missing_ok=True)


def question(body):
    """The words of a question, and its pictures."""
    content = body["messages"][0]["content"]
    if isinstance(content, str):
        return content, []
    return ("\n".join(part["text"] for part in content if part["type"] == "text"),
            [part["image_url"]["url"] for part in content if part["type"] == "image_url"])


def sees_faults(body):
    """Answers on controls as who reads what they say."""
    words, _ = question(body)
    return "faulty" if "broken" in words or "gone" in words else "fine"


def is_control(body):
    return "Presentation A" not in question(body)[0]


def right(body):
    """Sees faults, and no difference between doors that are open alike."""
    if is_control(body):
        return f"I looked.\nAnswer: {sees_faults(body)}"
    return "Answer: tie"


def prefers_the_first(body):
    return f"Answer: {sees_faults(body) if is_control(body) else 'A'}"


def judged(folder, answer, **how):
    with serving(lambda body: Reply(answer(body))) as server:
        done = judging.judge(folder, OpenAIServer("m", base_url=server.url), **{"sees": "words", "size": 0, **how})
    return done, server.requests


def votes(folder):
    return [one for one in opinions.read(folder)[0] if isinstance(one, Vote)]


def pairs(folder):
    """How many pairs of decks there are at the size 0."""
    found = report.of(folder)
    made = [sum(bool(e.produced) for e in decks.values()) for sheet, decks in
            opinions.sheets(found.spec, found.episodes).items() if sheet.size == 0]
    return sum(count * (count - 1) // 2 for count in made)


def test_a_judge_that_is_right_passes_its_gate_and_votes_on_every_pair_in_both_orders(played):
    done, requests = judged(played, right)
    assert (done.gate.whole.right, done.gate.whole.n, done.gate.open) == (10, 10, True)
    assert {kind: score.right for kind, score in done.gate.kinds.items()} == {"broken_lock": 5, "no_hinge": 5}
    assert len(votes(played)) == pairs(played) > 0
    assert done.asked == len(requests) == 20 + 2 * pairs(played)
    asked = [question(body)[0] for body in requests if not is_control(body)]
    assert all("Open the door of room" in words for words in asked)
    made = report.of(played)
    assert any(standing.by == str(done.judge) for standing in made.standings)
    (line,) = next(table for table in text.tables(made) if table.title == "Judges").cells
    assert line[3] == "its votes count"


def test_a_judge_that_always_says_fine_scores_nothing_and_is_not_asked_to_vote(played):
    done, requests = judged(played, lambda _: "Answer: fine")
    assert (done.gate.whole.share, done.gate.open, done.left) == (0, False, pairs(played))
    assert len(requests) == 20
    assert votes(played) == []
    made = report.of(played)
    assert not any(standing.by == str(done.judge) for standing in made.standings)
    assert "its votes do not count: not shown to beat chance" in text.plain(made)


def test_a_judge_that_tosses_a_coin_does_not_pass(played):
    toss = iter(range(10_000))
    done, _ = judged(played, lambda _: f"Answer: {('fine', 'faulty', 'faulty', 'fine')[next(toss) % 4]}", controls=10,
                     concurrency=1)
    assert done.gate.whole.share == 0.5  # better than the 25 % of chance, and these ten pairs a kind show it
    assert done.gate.open
    toss = iter(range(10_000))
    (played / OPINIONS).unlink()
    done, _ = judged(played, lambda _: f"Answer: {('fine', 'faulty', 'fine', 'fine')[next(toss) % 4]}", controls=2,
                     concurrency=1)
    assert done.gate.whole.share == 0.5
    assert not done.gate.open  # the same share of four pairs shows nothing


def test_nonsense_is_no_vote_and_counted(played):
    def answer(body):
        return f"Answer: {sees_faults(body)}" if is_control(body) else "Both are lovely."

    done, _ = judged(played, answer)
    assert done.gate.open
    (found,) = report.of(played).judges
    assert (found.votes, found.none, found.flips) == (pairs(played), pairs(played), 0)
    assert not any(standing.by == str(done.judge) for standing in report.of(played).standings)
    (played / OPINIONS).unlink()
    done, requests = judged(played, lambda _: "As a language model I cannot.")
    assert (done.gate.nonsense, done.gate.whole.right, len(requests)) == (20, 0, 20)


def test_a_tiny_model_is_held_to_the_form_of_an_answer(played, embedded):
    done = judging.judge(played, embedded, sees="words", size=0, controls=1)
    assert (done.gate.whole.n, done.asked, done.gate.nonsense) == (2, 4, 0)


def test_who_prefers_what_is_first_ties_everything_and_flips_always(played):
    done, _ = judged(played, prefers_the_first)
    (found,) = report.of(played).judges
    assert (found.flips, found.none, found.votes) == (pairs(played), 0, pairs(played))
    standing = next(s for s in report.of(played).standings if s.by == str(done.judge))
    assert {estimate.value for estimate in standing.rfr.values()} == {1.0}
    assert f"{pairs(played)} of {pairs(played)} (100 %)" in text.plain(report.of(played))


def test_who_sees_pictures_is_shown_them(played):
    done, requests = judged(played, lambda _: "Answer: fine", sees="pictures", controls=1)
    assert done.judge.sees == "pictures"
    for body in requests:
        words, (picture,) = question(body)
        assert "the lock is broken" not in words  # what is to be seen is not told
        kind, _, coded = picture.partition(";base64,")
        assert kind == "data:image/jpeg"
        assert size_of(base64.b64decode(coded)) == (1024, 512)

    def answer(body):
        if is_control(body):
            return f"Answer: {('fine', 'faulty')[next(turns) % 2]}"
        words, pictures = question(body)
        assert words.index("Presentation A:") < words.index("Presentation B:")
        assert {size_of(base64.b64decode(each.partition(",")[2])) for each in pictures} == {(512, 256)}
        assert len(pictures) == 6
        return "Answer: A"

    (played / OPINIONS).unlink()
    turns = iter(range(1000))
    done, _ = judged(played, answer, sees="pictures", concurrency=1)
    assert done.gate.open
    assert len(votes(played)) == pairs(played)


def test_a_judge_whose_server_dies_goes_on_where_it_was(played):
    left = threading.Semaphore(23)

    def dies(body):
        return Reply(right(body)) if left.acquire(blocking=False) else refusal(401, "no more money")

    with serving(dies) as server, pytest.raises(ModelUnavailable, match="no more money"):
        judging.judge(played, OpenAIServer("m", base_url=server.url), sees="words", size=0, concurrency=1)
    before = len(opinions.read(played)[0])
    assert 10 <= before < 10 + pairs(played)
    done, _ = judged(played, right)
    assert done.asked == 2 * (10 + pairs(played) - before)
    again, requests = judged(played, right)
    assert (again.asked, requests) == (0, [])
    assert again.gate == done.gate


def test_another_rubric_is_another_judge(played, monkeypatch):
    first, _ = judged(played, right)
    (played.parents[2] / "prompts" / "judge").mkdir(parents=True)
    try:
        (played.parents[2] / "prompts" / "judge" / "defect.jinja").write_text("{{ words }} Answer: fine or faulty?")
        second, requests = judged(played, right)
    finally:
        (played.parents[2] / "prompts" / "judge" / "defect.jinja").unlink()
    assert first.judge.rubric != second.judge.rubric
    assert len(requests) == first.asked
    assert len(report.of(played).judges) == 2


def test_more_controls_add_to_those_there_are(played):
    judged(played, right, controls=1)
    done, _ = judged(played, right, controls=3)
    assert done.gate.whole.n == 6
    controls = [one for one in opinions.read(played)[0] if isinstance(one, Control)]
    assert len({(one.defect, one.pair) for one in controls}) == len(controls) == 6


def test_a_question_that_is_too_long_is_no_vote(played):
    def overflows(body):
        if is_control(body):
            return Reply(right(body))
        return refusal(400, "maximum context length is 10", code="context_length_exceeded")

    with serving(overflows) as server:
        judging.judge(played, OpenAIServer("m", base_url=server.url), sees="words", size=0)
    (found,) = report.of(played).judges
    assert found.none == found.votes == pairs(played)


def test_a_long_deck_is_cut_and_marked():
    cut = judging._cut(["a" * 5_990, "b" * 20, "c" * 5])
    assert cut == ["a" * 5_990, f"{'b' * 10} [... cut ...]", " [... cut ...]"]


def test_a_benchmark_without_controls_and_one_with_wrong_ones_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "here")
    folder = pictured(spec=SPEC.replace('tools = ["doors"]', 'tools = ["gallery"]'), learn=1, held_out=1)
    with pytest.raises(UsageError, match="the definition of doors names no controls"):
        judged(folder, right)
    spec = (folder / "spec.json").read_text()
    (folder / "spec.json").write_text(re.sub(r'"controls": ""', '"controls": "nothing"', spec))
    with pytest.raises(UsageError, match="eval/nothing makes no controls"):
        judged(folder, right)
