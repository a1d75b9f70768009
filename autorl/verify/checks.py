"""What decides success: verifiers from functions, from a person, and by name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from autorl.errors import UnknownName, UsageError
from autorl.types import Exemplar, Task, Trajectory, Verdict
from autorl.workspace import Workspace

PERSON = "person@1"


class Verifier(Protocol):
    """Judges a run from what it left behind; the same input gives the same verdict.

    name, version: together the `verifier` of its verdicts, as in `slides@1`
    """

    name: str
    version: int

    def __call__(
        self, task: Task, trajectory: Trajectory, workspace: Workspace, exemplars: Sequence[Exemplar] = ()
    ) -> Verdict: ...


Judge = Callable[[Trajectory], Any]


class FunctionVerifier:
    """A plain function of the trajectory as a verifier; it returns a bool, a score in 0..1 or a Verdict."""

    version = 1

    def __init__(self, function: Judge) -> None:
        self.function = function
        self.name = getattr(function, "__name__", "function").replace("<lambda>", "lambda")

    def __call__(
        self, task: Task, trajectory: Trajectory, workspace: Workspace, exemplars: Sequence[Exemplar] = ()
    ) -> Verdict:
        verifier = f"{self.name}@{self.version}"
        value = self.function(trajectory)
        if isinstance(value, Verdict):
            return value
        if not isinstance(value, (bool, int, float)) or not 0 <= value <= 1:
            raise UsageError(f"it returned {value!r}, expected a bool, a score in 0..1 or a Verdict")
        return Verdict(verifier=verifier, passed=value >= 1, score=float(value))


def judge(
    verifier: Verifier, trajectory: Trajectory, workspace: Workspace, exemplars: Sequence[Exemplar] = ()
) -> Verdict:
    """The verdict of `verifier`; one that itself fails says no, and why, so that it cannot lose a run."""
    try:
        return verifier(trajectory.task, trajectory, workspace, exemplars)
    except Exception as error:
        why = f"the verifier failed: {type(error).__name__}: {error}"
        return Verdict(verifier=f"{verifier.name}@{verifier.version}", passed=False, score=0.0, why=why)


def choose(task: Task, verify: "Judge | Verifier | None", known: Mapping[str, Verifier]) -> Verifier | None:
    """The verifier for a task: the caller's, the one the task names, the packs' first, or none.

    Raises UnknownName for a name that no pack has.
    """
    if verify is not None:
        return verify if hasattr(verify, "version") else FunctionVerifier(verify)  # type: ignore[return-value]
    if task.verifier is not None:
        if task.verifier not in known:
            raise UnknownName("verifier", task.verifier, known)
        return known[task.verifier]
    return next(iter(known.values()), None)


def by_person(passed: bool, why: str = "") -> Verdict:
    """The verdict of the person who asked."""
    return Verdict(verifier=PERSON, passed=passed, score=float(passed), why=why)
