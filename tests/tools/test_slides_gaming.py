"""Decks that only look like an answer score below any honest deck, however little that says."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "eval"))

from gaming import TOPICS, TRICKS, full, honest, score, written


@pytest.fixture(scope="module")
def least():
    return min(score(written(honest(topic)), topic.task) for topic in TOPICS)


def test_an_honest_deck_that_says_all_that_was_asked_is_worth_more_than_a_short_one(least):
    assert all(score(written(full(topic)), topic.task) > least > 0.5 for topic in TOPICS)


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_scores_below_the_worst_honest_deck(trick, least):
    topic = TOPICS[len(trick) % len(TOPICS)]
    assert score(TRICKS[trick](topic), topic.task) < least
