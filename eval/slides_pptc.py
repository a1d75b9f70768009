"""How much of what PPTC's gold sessions do can be done with our slides tools.

    python eval/slides_pptc.py [--data DIR] [--no-keep]

Every session is replayed twice from the same deck: with python-pptx alone, as PPTC documents its functions, and with
the tools of `slides:all` behind the same function names. Scored is the share of attributes which the first replay
changed that have their new value in the second (pptc/score.py); beside it the share of turns in which all of them
have, and nothing else changed. The model-free replay says what the tools can do, not what a model does with them.
"""

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kept import keep, show
from pptc.ours import Ours, Refused
from pptc.reading import read
from pptc.reference import Reference, base
from pptc.score import Change, Outcome, gold_of, interval, outcomes, share
from pptc.sessions import Session, read_sessions
from pptx import Presentation

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "pptc"


def replayed(session: Session) -> list[Outcome]:
    """The outcomes of a session's turns with our tools."""
    deck = base()
    reference = Reference(deck)
    gold = gold_of(session, reference, lambda: read(reference.presentation))
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(deck, Path(folder))
        return outcomes(session, gold, ours, lambda: read(Presentation(str(ours.deck()))), Refused)


def figures(found: Sequence[Sequence[Outcome]]) -> dict[str, dict[str, Any]]:
    """What is kept. found: outcomes by session"""

    def figure(parts: Callable[[Outcome], tuple[int, int]], **fields: Any) -> dict[str, Any]:
        by_session = [list(map(parts, session)) for session in found]
        every = [part for session in by_session for part in session]
        return {"value": share(every), "interval": interval(by_session), "n": sum(of for _, of in every),
                "unit": "share", **fields}

    def present(outcome: Outcome, wanted: Callable[[Change], bool] = lambda _: True) -> tuple[int, int]:
        changes = [change for change in outcome.changes if wanted(change)]
        return sum(change.present for change in changes), len(changes)

    return {
        "pptc_attribute_fraction": figure(present),
        "pptc_geometry_fraction": figure(lambda one: present(one, lambda change: change.is_geometry)),
        "pptc_strict": figure(lambda one: (int(one.strict), 1)),
        "pptc_calls_done": figure(lambda one: (one.calls - len(one.refused), one.calls)),
    }


def table(found: Sequence[Outcome]) -> str:
    """Changes that gold made and that ours has as well, by the group of functions, as Markdown."""
    counts: dict[str, list[bool]] = {}
    for change in (change for outcome in found for change in outcome.changes):
        counts.setdefault(change.group, []).append(change.present)
    lines = [f"| {'changed by':10} | changes | present |", f"|{'-' * 12}|{'-' * 8}:|{'-' * 8}:|"]
    lines += [f"| {group:10} | {len(each):7} | {100 * sum(each) / len(each):5.1f} % |"
              for group, each in sorted(counts.items(), key=lambda item: -len(item[1]))]
    return "\n".join(lines)


def counts(found: Sequence[Sequence[Outcome]]) -> str:
    """How much was replayed, and what has to be known to read the figures."""
    turns = [outcome for session in found for outcome in session]
    return (f"{sum(one.calls for one in turns)} calls in {len(turns)} turns of {len(found)} sessions. "
            f"{sum(not one.changes for one in turns)} turns change nothing that can be seen; in "
            f"{sum(any(one.stood_in for one in session) for session in found)} sessions a text box stands in for the "
            "content placeholder.")


def misses(found: Sequence[Outcome]) -> str:
    """Where to look: what is absent, what changed beyond gold, and which calls were refused."""
    lines = []
    for one in found:
        where = f"{one.session} turn {one.turn}:"
        lines += [f"{where} {' '.join(map(str, change.key))} is not {change.value}"
                  for change in one.changes if not change.present]
        lines += [f"{where} {' '.join(map(str, key))} changed as well" for key in one.extra]
        lines += [f"{where} {call} refused: {reason}" for call, reason in one.refused]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("AUTORL_PPTC") or DATA),
                        help="the folder that holds PPTC's sessions/ (default: AUTORL_PPTC, or ../shared/data/pptc)")
    parser.add_argument("--no-keep", action="store_true", help="print only, and leave eval/results as it is")
    given = parser.parse_args()
    try:
        sessions = read_sessions(given.data)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"Error: {error}")
    found = []
    for number, session in enumerate(sessions, start=1):
        found.append(replayed(session))
        print(f"\r{number} of {len(sessions)} sessions", end="", file=sys.stderr)
    print(file=sys.stderr)
    turns = [outcome for session in found for outcome in session]
    kept = figures(found)
    print(misses(turns), table(turns), counts(found), show(kept), sep="\n\n")
    if not given.no_keep:
        keep("slides", kept, f"python eval/slides_pptc.py {shlex.join(sys.argv[1:])}".strip())


if __name__ == "__main__":
    main()
