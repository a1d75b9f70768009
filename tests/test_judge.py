"""A judge's answers are read as they are, and none counts before the judge has shown that it can tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl.verify.judge import CHANCE, FAULTY, FINE, TIE, Score, answer_in, both_orders, flipped, gate, winner

WORDS = ("A", "B", TIE)


@pytest.mark.parametrize(("text", "said"), [
    ("Answer: A", "A"), ("B is better laid out.\nAnswer: B", "B"), ("**Answer: tie**", "tie"), ("answer:  `a`.", "A"),
    ("Answer: A\nNo, wait.\nAnswer: B\n", "B"), ("B", "B"), (" Tie.\n", "tie"),
    ("Answer: both", None), ("", None), ("A or B", None), ("I prefer A", None), ("Answer:", None),
    ("Answer: A or B", None), ("The answer: A", None),
])
def test_an_answer_is_the_last_line_that_says_so_or_a_word_alone(text, said):
    assert answer_in(text, WORDS) == said


@given(st.text(), st.sampled_from(WORDS))
def test_whatever_stands_before_it_the_last_line_decides(text, word):
    assert answer_in(f"{text}\nAnswer: {word}", WORDS) == word


@given(st.text())
def test_nonsense_is_none_and_never_raises(text):
    assert answer_in(text, WORDS) in (*WORDS, None)


def test_an_endless_answer_is_read_in_time():
    assert answer_in("Answer: " * 1_000_000, WORDS) is None
    assert answer_in("x\n" * 1_000_000 + "Answer: A", WORDS) == "A"


def test_who_prefers_one_whatever_the_order_gives_it_the_vote():
    said = both_orders(lambda swapped: "B" if swapped else "A")
    assert (said, winner(said), flipped(said)) == (("A", "A"), "one", False)
    said = both_orders(lambda swapped: "A" if swapped else "B")
    assert (winner(said), flipped(said)) == ("other", False)


def test_who_prefers_what_is_first_gives_a_tie_and_is_counted():
    said = both_orders(lambda swapped: "A")
    assert (winner(said), flipped(said)) == ("tie", True)


def test_a_tie_in_one_order_is_a_tie_and_no_flip():
    said = both_orders(lambda swapped: TIE if swapped else "A")
    assert (winner(said), flipped(said)) == ("tie", False)
    assert winner((TIE, TIE)) == "tie"


@pytest.mark.parametrize("said", [(None, "A"), ("B", None), (None, None)])
def test_nonsense_in_either_order_is_no_vote(said):
    assert winner(said) is None
    assert not flipped(said)


def test_an_interval_is_wilson_s():
    # Brown, Cai and DasGupta (2001) and every textbook: 5 of 10 is 0.237 to 0.763, 0 of 10 is 0 to 0.278.
    assert Score(5, 10).interval == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert Score(0, 10).interval == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert Score(0, 0).interval == (0.0, 1.0)


@given(st.integers(1, 500), st.data())
def test_an_interval_holds_its_share_and_lies_in_0_to_1(n, data):
    score = Score(data.draw(st.integers(0, n)), n)
    low, high = score.interval
    assert 0 <= low <= score.share + 1e-12
    assert score.share - 1e-12 <= high <= 1


@pytest.mark.parametrize("always", [FINE, FAULTY, None])
def test_a_judge_that_always_says_the_same_scores_nothing(always):
    found = gate([("kind", (always, always))] * 1000)
    assert (found.whole.right, found.open) == (0, False)
    assert found.nonsense == (2000 if always is None else 0)


def test_credit_is_for_both_answers_only():
    found = gate([("a", (FINE, FAULTY)), ("a", (FAULTY, FINE)), ("b", (FINE, FINE)), ("b", (FAULTY, FAULTY))])
    assert {kind: (score.right, score.n) for kind, score in found.kinds.items()} == {"a": (1, 2), "b": (0, 2)}


def test_the_gate_opens_only_where_luck_is_no_explanation():
    assert gate([("a", (FINE, FAULTY))] * 10).open
    assert not gate([("a", (FINE, FAULTY))]).open  # one coin may fall right twice
    lucky = [("a", (FINE, FAULTY))] * 30 + [("a", (FINE, FINE))] * 70
    assert gate(lucky).whole.share > CHANCE
    assert not gate(lucky).open
    assert not gate([]).open
