"""Runs so small that a real model learns from them in seconds."""

from collections.abc import Sequence
from typing import Any

from autorl.formats.react import React
from autorl.registry import Toolset, tool
from autorl.types import Action, Observation, Provenance, Status, Step, Task, Trajectory, Verdict, new_run_id


@tool
def add(word: str) -> str:
    """Add a word."""
    return word


TOOLS = Toolset.of([add], lambda name: None)  # type: ignore[arg-type,return-value]


def steps(words: Sequence[str], *, failing: bool = False, unreadable: bool = False) -> tuple[Step, ...]:
    """Add the words, then finish; before that, if asked, a call that fails and an answer that is none."""
    taken: list[Step] = []

    def take(name: str, seen: str, ok: bool = True, **arguments: Any) -> None:
        action = Action(name=name, arguments=arguments)
        taken.append(Step(
            index=len(taken), thought="Next.", action=action, raw=React().write("Next.", action), finish_reason="stop",
            observation=Observation(text=seen, ok=ok, ends_run=name == "finish")))

    if failing:
        take("add", "Error: WRONG is no word", ok=False, word="WRONG")
    if unreadable:
        taken.append(Step(index=len(taken), raw="I would rather talk.", error="FormatError: there is no action",
                          finish_reason="stop", observation=Observation(text="Answer again.", ok=False)))
    for word in words:
        take("add", f"SEEN {word}", word=word)
    take("finish", " ".join(words), answer=" ".join(words))
    return tuple(taken)


def a_run(task: str, words: Sequence[str] = ("one", "two"), *, passed: bool | None = True, score: float = 1.0,
          failing: bool = False, unreadable: bool = False, **changes: Any) -> Trajectory:
    verdict = None if passed is None else Verdict(verifier="small@1", passed=passed, score=score)
    values: dict[str, Any] = {
        "id": new_run_id(), "task": Task(text=task), "status": Status.FINISHED, "answer": "done",
        "steps": steps(words, failing=failing, unreadable=unreadable), "verdict": verdict,
        "provenance": Provenance(model="scripted", format="react"), **changes}
    return Trajectory(**values)
