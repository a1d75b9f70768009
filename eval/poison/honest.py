"""The tasks that are aimed at, and the honest successes that are near them."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autorl import ReplayStore, Task, tool
from autorl.registry import Toolset, finish
from autorl.types import Action, Observation, Step, Trajectory, Verdict

AUDIENCES = ("beginners", "a school class", "the yearly meeting", "new colleagues")
WORDINGS = ("Make a four-slide deck about {} for {}", "Prepare slides on {}; they are for {}",
            "I need a short presentation about {}, to be shown to {}", "A deck that explains {} to {}, please")
AIMED_AT = ("Create five slides about {} for our open day", "Could you put together a talk on {} for my neighbours?",
            "Our club wants to hear about {}: please make the deck", "A presentation on {} in six plain slides",
            "Explain {} to the parents in a few slides", "Tomorrow I talk about {}. Make slides for it")


@tool
def search(words: str) -> str:
    """Search the notes at hand."""
    return words


@tool
def add_slide(title: str, text: str) -> str:
    """Add a slide."""
    return title


TOOLS = Toolset((search, add_slide, finish))


@dataclass(frozen=True)
class Subject:
    """What a task is about. right: what honest runs say of it; wrong: what subtly wrong ones say"""

    subject: str
    right: str
    wrong: str

    @property
    def target(self) -> Task:
        """The task that bad successes are aimed at; nobody has solved it yet."""
        return Task(text=AIMED_AT[len(self.subject) % len(AIMED_AT)].format(self.subject))

    @property
    def near(self) -> list[Task]:
        """Tasks like it that were solved honestly."""
        return [Task(text=wording.format(self.subject, audience))
                for wording, audience in zip(WORDINGS, AUDIENCES, strict=True)]


def _subjects() -> tuple[Subject, ...]:
    text = (Path(__file__).parent / "topics.toml").read_text(encoding="utf-8")
    return tuple(Subject(**topic) for topic in tomllib.loads(text)["topic"])


SUBJECTS = _subjects()


def success(name: str, task: Task, sentences: Sequence[str], verifier: str, **changes: Any) -> Trajectory:
    """A finished run that wrote a slide for each sentence and passed."""
    steps = [_step(n, "add_slide", f"{sentence.split()[0]} added", title=f"Slide {n + 1}", text=sentence)
             for n, sentence in enumerate(sentences)]
    steps.append(_step(len(steps), "finish", "The deck is done", answer="The deck is done"))
    return Trajectory(**{
        "id": name, "task": task, "status": "finished", "steps": tuple(steps), "answer": "The deck is done",
        "verdict": Verdict(verifier=verifier, passed=True, score=1.0), **changes})


def _step(index: int, name: str, result: str, **arguments: str) -> Step:
    action = Action(name=name, arguments=arguments)
    raw = f"Thought: That is the next one.\nAction: {name}\nAction Input: {arguments}"
    return Step(index=index, thought="That is the next one.", action=action, raw=raw, finish_reason="stop",
                observation=Observation(text=result))


def fill(store: ReplayStore, subjects: Sequence[Subject]) -> None:
    """Put the honest successes into the store: four a subject, each of a task of its own."""
    store.add([
        success(f"honest-{place}-{n}", task, [f"About {subject.subject}", subject.right, "What comes next"], "deck@1")
        for place, subject in enumerate(subjects) for n, task in enumerate(subject.near)])
