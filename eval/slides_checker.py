"""What the slides checker finds of planted defects, and what it finds in clean decks; beside three other checkers.

    python eval/slides_checker.py [--first 4000] [--seeds 11] [--pairs 2] [--kinds KIND ...] [--no-peers] [--no-keep]

Every theme gets one clean deck a seed. A defect of each kind is planted into some of them (planted/), and every
checker sees every deck, clean and defective, with its own default settings; warnings and errors count, hints do not.

A checker detects a planted defect if one of its rules reports more on the defective deck than on its clean twin, for
nothing else differs between the two. The rules that ever detect a kind are the checker's rules for it, and a clean
deck with a finding of such a rule is a false alarm for that kind.

A run of all kinds and all checkers keeps the table, in eval/results/slides_checker.md, and its extremes and means, in
eval/results/slides.json.
"""

import argparse
import json
import math
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kept import RESULTS, keep, show
from overhead import HERE, environment, surroundings
from planted import KINDS, THEMES, clean_deck, plant

from autorl import Task

OURS = "autorl"
PEERS = ("overset", "power-pptx", "ooxml-integrity")
AT_ONCE = 2
"""Decks that are looked at side by side: rendering takes a core each."""
BATCH = 20
"""Decks that a peer is given with one call."""


class Found(NamedTuple):
    """One finding of a checker; slide: None when it names none."""

    rule: str
    slide: int | None
    message: str


@dataclass(frozen=True)
class Case:
    """A defective deck and its clean twin, by the names of their files."""

    kind: str
    clean: str
    defective: str
    what: str


Findings = dict[str, list[Found]]  # by the name of the deck's file


def looked_at(path: Path, task: Task) -> list[Found]:
    """What our checker reports on a deck: each finding of each check that does not pass."""
    from autorl_tools.slides.checker import report_on

    return [Found(check.name, finding.at.get("slide"), finding.found)
            for check in report_on(path, task) if not check.passed for finding in check.findings]


def made(folder: Path, kinds: Iterable[str], seeds: range, pairs: int) -> tuple[dict[str, Task], list[Case]]:
    """The decks, written into `folder`: the task of each, and which is planted with what.

    pairs: for each kind and theme; the kinds take turns among the seeds
    """
    tasks: dict[str, Task] = {}
    cases = []
    for place, theme in enumerate(THEMES):
        for seed in seeds:
            name = f"clean-{theme}-{seed}.pptx"
            tasks[name], deck = clean_deck(theme, seed)
            (folder / name).write_bytes(deck)
        for number, kind in enumerate(kinds):
            for turn in range(pairs):
                seed = seeds[(number + place + turn * len(seeds) // pairs) % len(seeds)]
                twin, name = f"clean-{theme}-{seed}.pptx", f"{kind}-{theme}-{seed}.pptx"
                deck, planted = plant((folder / twin).read_bytes(), kind, seed)
                (folder / name).write_bytes(deck)
                tasks[name] = tasks[twin]
                cases.append(Case(kind, twin, name, f"slide {planted.slide}: {planted.what}"))
    return tasks, cases


def ours(folder: Path, tasks: dict[str, Task]) -> Findings:
    """Our checker on every deck."""
    with ProcessPoolExecutor(AT_ONCE) as pool:
        found = pool.map(looked_at, [folder / name for name in tasks], tasks.values())
        return dict(_counted(OURS, zip(tasks, found, strict=True), len(tasks)))


def theirs(peer: str, folder: Path, names: Sequence[str]) -> Findings:
    """A peer on every deck, in an environment of its own. Raises CalledProcessError when it gives up on one."""
    command = [str(environment(peer)), str(HERE / "peers" / f"lint_{peer.replace('-', '_')}.py")]
    variables = {name: value for name, value in surroundings(folder).items() if name != "PYTHONPATH"}

    def lint(batch: Sequence[str]) -> list[dict[str, Any]]:
        done = subprocess.run([*command, *batch], cwd=folder, env=variables, check=True, text=True,
                              stdout=subprocess.PIPE)
        return [json.loads(line) for line in done.stdout.splitlines()]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = pool.map(lint, [names[start : start + BATCH] for start in range(0, len(names), BATCH)])
        found = ((each["deck"], [Found(*one) for one in each["findings"]]) for batch in done for each in batch)
        return dict(_counted(peer, found, len(names)))


def _counted(name: str, found: Iterable[tuple[str, list[Found]]], of: int) -> Iterable[tuple[str, list[Found]]]:
    for number, each in enumerate(found, start=1):
        print(f"\r{name}: {number} of {of} decks", end="", file=sys.stderr)
        yield each
    print(file=sys.stderr)


@dataclass(frozen=True)
class Score:
    """How a checker did on one kind. alarms: clean decks, of all `clean` ones, with a finding of its rules for it."""

    hits: int
    pairs: int
    alarms: int
    clean: int

    @property
    def recall(self) -> float:
        return self.hits / self.pairs

    @property
    def false_alarm(self) -> float:
        return self.alarms / self.clean


def detecting(case: Case, found: Findings) -> set[str]:
    """The rules that report more on the defective deck than on its clean twin."""
    more = Counter(one.rule for one in found[case.defective])
    more.subtract(one.rule for one in found[case.clean])
    return {rule for rule, count in more.items() if count > 0}


def flagged(names: Collection[str], found: Findings, rules: Collection[str] | None = None) -> list[str]:
    """The decks with a finding of one of `rules`, of any rule when None."""
    return [name for name in names if any(rules is None or one.rule in rules for one in found[name])]


def scored(cases: Sequence[Case], found: Findings) -> dict[str, Score]:
    """The score of a checker for each kind."""
    clean = [name for name in found if name.startswith("clean-")]
    scores = {}
    for kind in dict.fromkeys(case.kind for case in cases):
        detected = [detecting(case, found) for case in cases if case.kind == kind]
        rules = set().union(*detected)
        scores[kind] = Score(sum(map(bool, detected)), len(detected), len(flagged(clean, found, rules)), len(clean))
    return scores


def wilson(hits: int, of: int) -> list[float]:
    """The 95 % score interval of a share (Wilson 1927)."""
    z, share = 1.959964, hits / of
    middle, spread = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return [max(0.0, (middle - spread) / (1 + z * z / of)), min(1.0, (middle + spread) / (1 + z * z / of))]


def figures(scores: dict[str, dict[str, Score]], found: dict[str, Findings]) -> dict[str, dict[str, Any]]:
    """What is kept: our worst recall and false-alarm rate, and everyone's means."""

    def share(hits: int, of: int, **fields: Any) -> dict[str, Any]:
        return {"value": hits / of, "interval": wilson(hits, of), "n": of, "unit": "share", **fields}

    kept = {}
    visible = [score for kind, score in scores[OURS].items() if KINDS[kind].visible]
    if visible:
        worst = min(visible, key=lambda score: score.recall)
        least = [kind for kind, score in scores[OURS].items() if KINDS[kind].visible and score.recall == worst.recall]
        kept["recall_visible_min"] = share(worst.hits, worst.pairs, goal=">= 0.95",
                                           reason=f"missed most: {', '.join(least)}" if worst.recall < 0.95 else None)
    for checker, each in scores.items():
        suffix = "" if checker == OURS else f"_{checker}"
        worst = max(each.values(), key=lambda score: score.alarms)
        kept[f"false_alarm_max{suffix}"] = share(worst.alarms, worst.clean, goal=None if suffix else "<= 0.02")
        kept[f"recall_mean{suffix}"] = share(sum(s.hits for s in each.values()), sum(s.pairs for s in each.values()))
        clean = [name for name in found[checker] if name.startswith("clean-")]
        kept[f"clean_decks_flagged{suffix}"] = share(len(flagged(clean, found[checker])), len(clean))
    return kept


def table(scores: dict[str, dict[str, Score]]) -> str:
    """Recall and false-alarm rate of every checker for every kind, in per cent, as Markdown."""
    width = max(map(len, KINDS))
    lines = [f"| {'kind':{width}} | seen | pairs | {' | '.join(f'{name:>15}' for name in scores)} |",
             f"|{'-' * (width + 2)}|------|------:|{'|'.join('-' * 16 + ':' for _ in scores)}|"]
    for kind in scores[OURS]:
        each = [by_kind[kind] for by_kind in scores.values()]
        cells = " | ".join(f"{100 * s.recall:>6.0f}, {100 * s.false_alarm:>3.0f} false" for s in each)
        lines.append(f"| {kind:{width}} | {'yes' if KINDS[kind].visible else 'no':4} | {each[0].pairs:5} | {cells} |")
    return "\n".join(lines)


def misses(cases: Sequence[Case], found: Findings) -> str:
    """What our checker did not detect, and what it finds in clean decks: where to look when a goal is not met."""
    lines = [f"missed {case.defective}, {case.what}" for case in cases if not detecting(case, found)]
    lines += [f"false alarm in {name}: {one.rule}: {one.message}"
              for name in found if name.startswith("clean-") for one in found[name]]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=4000,
                        help="the first seed (default 4000; tune the checker on others, such as 0)")
    parser.add_argument("--seeds", type=int, default=11, help="clean decks a theme (default 11)")
    parser.add_argument("--pairs", type=int, default=2, help="defective decks a kind and theme (default 2)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--no-peers", action="store_true", help="only our checker")
    parser.add_argument("--decks", type=Path, help="a folder to leave the decks in, to look at them")
    parser.add_argument("--no-keep", action="store_true", help="print only, and leave eval/results as it is")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.seeds)
    with ExitStack() as stack:
        folder = given.decks or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        tasks, cases = made(folder, given.kinds, seeds, min(given.pairs, given.seeds))
        found = {OURS: ours(folder, tasks)}
        for peer in () if given.no_peers else PEERS:
            found[peer] = theirs(peer, folder, list(tasks))
    scores = {checker: scored(cases, each) for checker, each in found.items()}
    kept, shown = figures(scores, found), table(scores)
    print(misses(cases, found[OURS]), shown, show(kept), sep="\n\n")
    if given.no_peers or set(given.kinds) != set(KINDS):
        print("\nNothing is kept: only a run of all kinds and all checkers is.")
    elif not given.no_keep:
        command = f"python eval/slides_checker.py {shlex.join(sys.argv[1:])}".strip()
        keep("slides", kept, command)
        text = f"Recall and false alarms in per cent, by `{command}`; eval/README.md says what they are.\n\n{shown}\n"
        (RESULTS / "slides_checker.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
