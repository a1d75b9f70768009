"""Decides whether a run made the deck that was asked for: the verifier `slides`, version 1."""

from collections.abc import Sequence

from autorl.types import Check, Exemplar, Task, Trajectory, Verdict, pass_at
from autorl.workspace import Workspace

from .checks import CHECKS, Brief
from .opening import BrokenDeck, DeckContent, deck_files, read_deck

THRESHOLD = 0.7
ESSENTIAL = frozenset(
    {"opens", "slides", "titles", "placeholders", "substance", "repeats", "topic", "pasted", "copied"})
"""A deck passes only if each of these does; what else there is only counts towards the score."""
HONESTY = frozenset({"opens", "repeats", "copied", "pasted"})
"""The lowest of these scores scales the whole: a deck that only looks like one stays below any honest deck."""


class SlidesVerifier:
    """Judges the one .pptx that a run left in its workspace, from the file alone.

    The score is the weighted mean of all checks, times the lowest score among the honesty checks. A deck
    passes with every essential check passed and a score of at least 0.7. The same file, task and exemplars
    give the same verdict; a file that cannot be opened fails, and never raises.
    """

    name = "slides"
    version = 1

    def __call__(
        self, task: Task, trajectory: Trajectory, workspace: Workspace, exemplars: Sequence[Exemplar] = ()
    ) -> Verdict:
        checks = report(task, trajectory, workspace, exemplars)
        mean = pass_at(checks, f"{self.name}@{self.version}")
        score = mean.score * min(check.score for check in checks if check.name in HONESTY)
        failed = [check for check in checks if not check.passed]
        passed = score >= THRESHOLD and not any(check.name in ESSENTIAL for check in failed)
        why = "; ".join(f"{check.name}: {check.found}" for check in failed)
        return mean.model_copy(update={"passed": passed, "score": round(score, 4), "why": why})


def report(
    task: Task, trajectory: Trajectory, workspace: Workspace, exemplars: Sequence[Exemplar] = ()
) -> list[Check]:
    """Every check of the deck in `workspace`, in the order in which they are best mended.

    Without a deck that opens, the first check fails and the others count as failed with it.
    """
    opened, deck = _open(workspace)
    if deck is None:
        return [opened]
    brief = Brief(task=task, exemplars=tuple(e.trajectory for e in exemplars if e.trajectory.id != trajectory.id))
    return [opened, *(check for look in CHECKS for check in look(deck, brief))]


def _open(workspace: Workspace) -> tuple[Check, DeckContent | None]:
    """Exactly one deck must open; a file that does not is a failure only when no other does."""
    decks: list[DeckContent] = []
    broken: list[str] = []
    for path in deck_files(workspace):
        try:
            decks.append(read_deck(path))
        except BrokenDeck as error:
            broken.append(error.what)
    if len(decks) == 1:
        return Check(name="opens", passed=True, score=1, found=f"'{decks[0].name}' opens"), decks[0]
    if decks:
        found = f"{len(decks)} decks lie in the workspace: {', '.join(deck.name for deck in decks[:5])}"
        return Check(name="opens", passed=False, score=0, found=found, remedy="Leave only one .pptx"), None
    found = "; ".join(broken[:3]) or "there is no .pptx in the workspace"
    return Check(name="opens", passed=False, score=0, found=found, remedy="Make the deck with start_deck"), None
