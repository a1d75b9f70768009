"""Who answers an agent's questions when nobody is there: as in the paper, or as the one who asked would."""

import random
from dataclasses import dataclass

from autorl import tasks
from autorl.errors import UnknownName
from autorl.formats import prompts
from autorl.models.base import Model, Request
from autorl.registry import Ask, nobody
from autorl.replay import embed
from autorl.types import Task, clean_text

ANSWERS = ("It is you who can decided.", "None")
"""What the paper's simulated user says, to the letter."""
USERS = {
    "nobody": 'answers "None"',
    "paper": "leaves it to the agent, or says nothing",
    "brief": "answers from the task's hidden brief",
}
NOTHING = "None"
FITS = 0.2
"""Cosine from which a sentence answers a question. Measured in tests/bench/test_simulated_user.py, in English; in other
scripts any two texts come nearer than that, and some sentence is given to every question."""
_LONGEST = 500


@dataclass(frozen=True)
class Paper:
    """One of the paper's two answers, chosen by the seed and the question: the same question gets the same answer."""

    seed: int = 0

    def __call__(self, question: str) -> str:
        return random.Random(f"{self.seed}:{question}").choice(ANSWERS)


@dataclass(frozen=True)
class Brief:
    """Answers from the hidden brief of a task, and "None" to what the brief does not say.

    model: words the answer, from the brief alone; without one it is the sentence of the brief that is nearest to the
    question in meaning. An answer of a model is cut at 500 characters.
    """

    task: Task
    model: Model | None = None

    def __call__(self, question: str) -> str:
        sentences = tasks.brief(self.task)
        if not sentences:
            return NOTHING
        return self._worded(question, sentences) if self.model else _nearest(question, sentences)

    def _worded(self, question: str, sentences: tuple[str, ...]) -> str:
        assert self.model is not None
        asked = prompts.load("tasks/answer").render(task=self.task.text, brief=sentences, question=question)
        request = Request([{"role": "user", "content": asked}], max_tokens=120, temperature=0.0, seed=0)
        said = " ".join(clean_text(self.model.complete(request).text).split())
        return said[:_LONGEST] or NOTHING


def user(name: str, task: Task, *, seed: int = 0, model: Model | None = None) -> Ask:
    """The simulated user `name` (one of `USERS`) for a task. Raises UnknownName."""
    if name == "nobody":
        return nobody
    if name == "paper":
        return Paper(seed)
    if name == "brief":
        return Brief(task, model)
    raise UnknownName("simulated user", name, USERS)


def _nearest(question: str, sentences: tuple[str, ...]) -> str:
    asked, *said = embed.load().embed([question, *sentences])
    likeness = [float(vector @ asked) for vector in said]
    best = max(range(len(sentences)), key=likeness.__getitem__)
    return sentences[best] if likeness[best] >= FITS else NOTHING
