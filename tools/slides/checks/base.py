"""What every check has: a deck as values, a brief to hold it against, and a way to say what is wrong where."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from autorl.types import Check, Finding, Task, Trajectory

from ..render import Rendering
from ..requirements import topic_words
from ..values import DeckContent, Shape, Slide

_LISTED = 3


@dataclass(frozen=True)
class Brief:
    """What a deck is held against: the task, and the past runs that the policy was shown."""

    task: Task
    exemplars: tuple[Trajectory, ...] = ()

    @cached_property
    def topic(self) -> list[str]:
        return topic_words(self.task)


Look = Callable[[DeckContent, Brief], Iterator[Check]]
RenderedLook = Callable[[DeckContent, Rendering], Iterator[Check]]


def wrong(slide: Slide, found: str, remedy: str, shape: Shape | None = None) -> Finding:
    """Something on a slide that is to be mended."""
    at = {"slide": slide.number, "id": slide.id} | ({"object": shape.id} if shape is not None else {})
    where = f"slide {slide.number}" if shape is None else f"slide {slide.number}, {shape.id}"
    return Finding(found=f"{where}: {found}", remedy=remedy, at=at)


def graded(name: str, findings: Sequence[Finding], weight: float = 1, *, of: int = 0, score: float | None = None,
           allowed: bool = False) -> Check:
    """A check that passes when nothing was found.

    of: how many slides were looked at, of which those with findings count against the score (0..1); score: given
    instead; allowed: passes in spite of its findings
    """
    bad = len({finding.at.get("slide", index) for index, finding in enumerate(findings)})
    if score is None:
        score = 1 - min(bad / of, 1.0) if of else float(not findings)
    return Check(
        name=name, passed=allowed or not findings, score=round(max(score, 0.0), 4), weight=weight,
        findings=tuple(findings), found=told([finding.found for finding in findings]),
        remedy=next((finding.remedy for finding in findings if finding.remedy), ""))


def told(findings: Sequence[str]) -> str:
    """The first few, and how many more."""
    more = f" and {len(findings) - _LISTED} more" if len(findings) > _LISTED else ""
    return "; ".join(findings[:_LISTED]) + more


def short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
