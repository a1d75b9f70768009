"""What decides success: verifiers from functions, from a person, and by name."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from autorl.errors import UnknownName, UsageError
from autorl.types import Exemplar, Task, Trajectory, Verdict
from autorl.workspace import Workspace

PERSON = "person@1"


class Verifier(Protocol):
    """Judges a run from what it left behind; the same input gives the same verdict.

    name, version: together the `verifier` of its verdicts, as in `slides@1`
    One with an attribute `guides` that is true can judge a run that goes on as well, at a cost that every step can
    bear; on a right way no call is carried out twice, and none makes a check fail that had come to pass; and what was
    refused is refused again until something is changed. One with a method `offered(tools, trajectory)` tells instead
    what of the tools, and of their arguments, leads on from there; and with `mistakes(tools, trajectory)`, what will be
    refused there (see guide.py).
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


class AtLeast:
    """Another verifier with a bar of one's own: what it scores `bar` (0..1) or more passes.

    A policy that passes nothing yet learns from its best runs this way, under a bar that rises with it (as in ReST,
    Gulcehre et al. 2023). The verdicts say under which bar a run passed: `slides>=0.2@2`.
    """

    def __init__(self, of: Verifier, bar: float) -> None:
        self.of, self.bar = of, bar
        self.name, self.version = f"{of.name}>={bar:g}", of.version
        self.guides, self.offered = getattr(of, "guides", False), getattr(of, "offered", None)
        self.mistakes = getattr(of, "mistakes", None)

    def __call__(
        self, task: Task, trajectory: Trajectory, workspace: Workspace, exemplars: Sequence[Exemplar] = ()
    ) -> Verdict:
        verdict = self.of(task, trajectory, workspace, exemplars)
        return verdict.model_copy(update={"verifier": f"{self.name}@{self.version}",
                                          "passed": verdict.score >= self.bar})


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

    Raises what `by_name` raises for the name that a task gives.
    """
    if verify is not None:
        return verify if hasattr(verify, "version") else FunctionVerifier(verify)  # type: ignore[return-value]
    if task.verifier is not None:
        return by_name(task.verifier, known)
    return next(iter(known.values()), None)


def by_name(name: str, known: Mapping[str, Verifier]) -> Verifier:
    """The verifier of that name; `NAME>=BAR` is the one called NAME with a bar of one's own (see `AtLeast`).

    Raises UnknownName for a name that no pack has, UsageError for a bar that is no number from 0 to 1.
    """
    name, barred, bar = name.partition(">=")
    if name not in known:
        raise UnknownName("verifier", name, known)
    if not barred:
        return known[name]
    with suppress(ValueError):
        if 0 <= float(bar) <= 1:
            return AtLeast(known[name], float(bar))
    raise UsageError(f"'{bar}' is no bar for the score of '{name}'", f"Write a number from 0 to 1: {name}>=0.2")


def by_person(passed: bool, why: str = "") -> Verdict:
    """The verdict of the person who asked."""
    return Verdict(verifier=PERSON, passed=passed, score=float(passed), why=why)
