"""Runs with tasks from texts.py: several of a task, most of them successes, of several sets of tools."""

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from autorl.types import (
    Action,
    Check,
    Observation,
    Provenance,
    Recalled,
    Status,
    Step,
    Task,
    Trajectory,
    Usage,
    Verdict,
)
from store.texts import Texts

TOOLSETS = {
    "slides": ("start_deck", "add_slide", "add_table", "add_chart", "check_deck", "save_deck"),
    "files": ("list_files", "read_file", "search_files", "write_file"),
    "web": ("search_web", "open_page", "write_file"),
    "data": ("query", "describe_table", "plot"),
    "mail": ("find_mail", "read_mail", "send_mail"),
    "code": ("read_file", "run_script", "write_file"),
}
"""The tools of each kind of agent. Half of all topics are the first's, a quarter the second's, and so on."""
RUNS_OF_A_TASK, WORDINGS_OF_A_MATTER = 2, 3
"""On average, of those that have any."""
SUCCEEDED, FAILED_VERDICT, DID_NOT_FINISH = 0.68, 0.17, 0.10
"""Shares of the runs; the rest finished, and nobody judged it."""
TAINTED = 0.06
"""Share of the runs that read what came from outside, and so are quarantined."""
SHOWN = 0.25
"""Share of the runs that were shown up to two earlier ones of the same matter."""
_START = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Query:
    """A task that is not in the store. kind: how it was made; tools: the names of those at hand"""

    text: str
    kind: str
    tools: tuple[str, ...]


QUERIES = {"another wording": 0.5, "new matter": 0.2, "common words": 0.1, "rare words": 0.1, "another language": 0.1}
"""What is asked of the store, by share."""


def runs(texts: Texts, count: int, *, seed: int = 0, steps: tuple[int, int] = (2, 4)) -> Iterator[Trajectory]:
    """`count` runs in the order in which they were made. steps: the fewest and the most of a run"""
    dice = random.Random(f"runs {seed} {count}")
    tasks = max(1, count // RUNS_OF_A_TASK)
    successes: dict[int, tuple[str, ...]] = {}  # the last two of each matter
    for number in range(count):
        matter, wording = divmod(dice.randrange(tasks), WORDINGS_OF_A_MATTER)
        before = successes.get(matter, ())
        run = _run(texts, number, matter, wording, before if dice.random() < SHOWN else (), steps, dice)
        if run.verified:
            successes[matter] = (run.id, *before[:1])
        yield run


def queries(texts: Texts, stored: int, count: int, *, seed: int = 0) -> list[Query]:
    """`count` tasks of the kinds in `QUERIES`, for a store that was filled with `stored` runs; none is in it."""
    dice = random.Random(f"queries {seed} {stored}")
    matters = max(1, stored // RUNS_OF_A_TASK // WORDINGS_OF_A_MATTER)

    def query(kind: str, number: int) -> Query:
        matter = dice.randrange(matters)
        if kind == "new matter":
            matter += matters + 1
        while (texts.language(matter) != "english") != (kind == "another language"):
            matter += 1
        if kind == "common words":
            text = texts.common(number)
        elif kind == "rare words":
            text = texts.rare(matter)
        else:
            stored = {texts.text(matter, wording) for wording in range(WORDINGS_OF_A_MATTER)}
            others = (texts.text(matter, wording) for wording in itertools.count(1_000 + number))
            text = next(text for text in others if text not in stored)
        return Query(text, kind, TOOLSETS[_agent(texts, matter)])

    return [query(kind, number) for kind, share in QUERIES.items() for number in range(round(share * count))]


def _agent(texts: Texts, matter: int) -> str:
    """Which of `TOOLSETS` the matters of its topic are given to."""
    names = list(TOOLSETS)
    topic = texts.topic(matter) + 1
    return names[min((topic & -topic).bit_length(), len(names)) - 1]


def _run(texts: Texts, number: int, matter: int, wording: int, shown: tuple[str, ...], steps: tuple[int, int],
         dice: random.Random) -> Trajectory:
    tools = TOOLSETS[_agent(texts, matter)]
    length = dice.randint(*steps)
    words = iter(texts.words_of(matter, 43 * length + 30, dice))
    outcome, outside = dice.random(), dice.random() < TAINTED
    verdict, status = None, Status.FINISHED
    if outcome < SUCCEEDED + FAILED_VERDICT:
        passed = outcome < SUCCEEDED
        score = dice.uniform(0.8, 1.0) if passed else dice.uniform(0.1, 0.7)
        verdict = Verdict(verifier=f"{tools[0]}@1", passed=passed, score=round(score, 3), checks=tuple(
            Check(name=name, passed=passed or name != "complete", score=1.0 if passed else 0.4,
                  found="" if passed else _take(words, 6)) for name in ("opens", "complete", "tidy")))
    elif outcome < SUCCEEDED + FAILED_VERDICT + DID_NOT_FINISH:
        status = dice.choice((Status.OUT_OF_STEPS, Status.STUCK, Status.TRUNCATED))
    started = _START + timedelta(seconds=40 * number)
    taken = tuple(_step(index, tools[min(index, len(tools) - 1)], words, outside and index == 1, dice)
                  for index in range(length))
    return Trajectory(
        id=f"{started:%Y%m%d-%H%M%S}-{number:06x}", task=Task(text=texts.text(matter, wording)), status=status,
        steps=taken, answer=_take(words, 12) if status is Status.FINISHED else "",
        recalled=tuple(Recalled(run=run, rank=rank, score=0.8) for rank, run in enumerate(shown)), verdict=verdict,
        provenance=_PROVENANCE, started=started, seconds=8.5 * length)


def _step(index: int, tool: str, words: Iterator[str], outside: bool, dice: random.Random) -> Step:
    thought = f"I should look at the {_take(words, 4)} and then go on with {dice.randint(2, 90)}."
    arguments = {"title": _take(words, 5), "text": _take(words, 16), "count": index}
    return Step(
        index=index, thought=thought, action=Action(name=tool, arguments=arguments), finish_reason="stop",
        seconds=1.37, tokens_per_second=88.1,
        raw=f"Thought: {thought}\nAction: {tool}\nAction Input: {json.dumps(arguments)}",
        usage=Usage(prompt_tokens=900 + 140 * index, completion_tokens=90, cached_tokens=880), policy="local",
        observation=Observation(text=f"Done: {_take(words, 18)}; {dice.randint(1, 99)} left.",
                                tainted=outside, seconds=0.012))


def _take(words: Iterator[str], count: int) -> str:
    return " ".join(itertools.islice(words, count))


_PROVENANCE = Provenance(model="local:SmolLM2-135M", format="react", prompt_hash="5e1f0c77a2d94b63", seed=7,
                         tools_hash="90ab5512cd34ef78", settings={"temperature": 0.2, "limits": {"steps": 20}})
