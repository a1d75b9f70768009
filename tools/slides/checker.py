"""Decides whether a run made the deck that was asked for: the verifier `slides`, version 2."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autorl.types import Check, Exemplar, Finding, Task, ToolSpec, Trajectory, Verdict, pass_at
from autorl.workspace import Workspace

from . import outline
from .checks import CONTENT, LOOKS, RENDERED, Brief, graded, hidden
from .opening import BrokenDeck, deck_files
from .reading import read_deck
from .render import NotRendered, available, render
from .requirements import slides_asked, wanted
from .sight import as_seen
from .values import DeckContent

THRESHOLD = 0.7
ESSENTIAL = frozenset({
    "opens", "slides", "titles", "placeholders", "substance", "novelty", "repeats", "topic", "pasted", "copied",
    "hidden", "contrast", "on slide", "growth", "chart data"})
"""A deck passes only if each of these does; what else there is only counts towards the score."""
GATES = ESSENTIAL | {"meaning"}
"""The lowest score of those of these that fail scales the whole: a deck that only looks like one stays below any
honest deck, and one that does not pass below one that does."""
_TOLD = 0.001  # the weight of a check that only says something


class SlidesVerifier:
    """Judges the one .pptx that a run left in its workspace, from its file and as LibreOffice renders it.

    The score is the weighted mean of all checks, times the lowest score among `GATES`. A deck
    passes with every essential check passed and a score of at least 0.7. The same file, task and exemplars
    give the same verdict; a file that cannot be opened fails, and never raises. Without LibreOffice the file
    alone is judged, and the verdict says so.

    rendered: whether to render the deck at all
    """

    name = "slides"
    version = 2

    def __init__(self, rendered: bool = True) -> None:
        self.rendered = rendered

    def __call__(
        self, task: Task, trajectory: Trajectory, workspace: Workspace, exemplars: Sequence[Exemplar] = ()
    ) -> Verdict:
        return verdict(report(task, trajectory, workspace, exemplars, rendered=self.rendered))

    def offered(self, tools: tuple[ToolSpec, ...], trajectory: Trajectory) -> tuple[ToolSpec, ...]:
        """What of these tools leads to what the task asks for (see outline.py)."""
        return outline.offered(tools, trajectory)

    def mistakes(self, tools: tuple[ToolSpec, ...], trajectory: Trajectory) -> tuple[ToolSpec, ...]:
        """What of these tools is refused as things stand (see outline.py)."""
        return outline.mistakes(tools, trajectory)

    def asked(self, task: Task) -> dict[str, Any]:
        """What `task` asks of a deck, by name. Raises UsageError for a requirement that cannot be read."""
        return {"slides": str(slides_asked(task) or ""), **asdict(wanted(task))}


def verdict(checks: Sequence[Check]) -> Verdict:
    """What the checks of a deck come to."""
    mean = pass_at(checks, f"{SlidesVerifier.name}@{SlidesVerifier.version}")
    score = mean.score * min(1.0 if check.passed else check.score for check in checks if check.name in GATES)
    failed = [check for check in checks if not check.passed]
    passed = score >= THRESHOLD and not any(check.name in ESSENTIAL for check in failed)
    why = "; ".join(f"{check.name}: {check.found}" for check in failed)
    return mean.model_copy(update={"passed": passed, "score": round(score, 4), "why": why})


def report(
    task: Task, trajectory: Trajectory, workspace: Workspace, exemplars: Sequence[Exemplar] = (), *,
    rendered: bool = True,
) -> list[Check]:
    """Every check of the deck in `workspace`, in the order in which they are best mended.

    Without a deck that opens, the first check fails and the others count as failed with it.
    rendered: whether to look at the rendered deck as well
    """
    workspace.settle()
    opened, deck = _open(deck_files(workspace))
    brief = Brief(task=task, exemplars=tuple(e.trajectory for e in exemplars if e.trajectory.id != trajectory.id))
    return [opened, *(examine(deck, brief, rendered=rendered) if deck is not None else ())]


def report_on(path: Path, task: Task, *, rendered: bool = True) -> list[Check]:
    """Every check of the deck at `path`. Raises BrokenDeck for what is none."""
    deck = read_deck(path)
    opened = Check(name="opens", passed=True, score=1, found=f"'{deck.name}' opens")
    return [opened, *examine(deck, Brief(task=task), rendered=rendered)]


def examine(deck: DeckContent, brief: Brief, *, rendered: bool) -> list[Check]:
    """What is looked at in a deck that opens. What nobody can see does not count as content."""
    seen, unseen = as_seen(deck)
    checks = [check for look in CONTENT for check in look(seen, brief)]
    checks += [hidden(deck, unseen), *(check for look in LOOKS for check in look(deck, brief))]
    return [*checks, *(_as_rendered(deck) if rendered else ())]


def _as_rendered(deck: DeckContent) -> list[Check]:
    missing = available()
    if missing is not None:  # the machine's lack is not the deck's fault, but it is told
        return [Check(name="rendered", passed=True, score=1, weight=_TOLD, found=f"not rendered: {missing}")]
    try:
        rendering = render(deck.path)
    except NotRendered as error:
        return [graded("rendered", [Finding(found=str(error.what), remedy=error.remedy)], 2)]
    return [check for look in RENDERED for check in look(deck, rendering)]


def _open(paths: Sequence[Path]) -> tuple[Check, DeckContent | None]:
    """Exactly one deck must open; a file that does not is a failure only when no other does."""
    decks: list[DeckContent] = []
    broken: list[str] = []
    for path in paths:
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
