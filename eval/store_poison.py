"""Bad successes planted among honest ones: how many of them recall puts into a prompt, protected and not.

    python eval/store_poison.py [--no-keep]

For 24 subjects the store holds four honest successes each. Then bad ones come in, aimed at a task of each subject that
is about to be given: each bears its very text. For each kind of them alone, and for all at once, recall is asked with
all that protects it (trust, quarantine, caps a source, near-duplicates, usefulness) and without (whatever finished, no
caps). Two exemplars a prompt. Printed are the shares of exemplars and of prompts that hold a planted run: with one that
was aimed at the task and one that was aimed at another in like words, a prompt may hold two.

What trust and caps cannot see, a local run that a wrong verifier passed, is left to the outcomes: forty tasks like the
one that was aimed at are then given one after the other, where whoever is shown the bad run fails and seven of ten
others pass. Counted are the judged failures until it is not shown for the first time, and how often it comes back.
Kept in eval/results/store.json.
"""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kept import keep, show
from poison import KINDS, SUBJECTS, Kind, Share, fill, held, life, open_wide
from poison.measuring import OPEN, PROTECTED

from autorl import ReplayStore

ROW = "{:52} {:>28} {:>28}   {:>28} {:>28}"
MODES = ("protected", "open")
TRIES = 40
Counts = list[tuple[int, int]]


def measured(kinds: Sequence[Kind], scratch: Path) -> dict[str, Counts]:
    """Of each prompt the planted exemplars and all of them, protected and open, in a store with these kinds in it."""
    store = ReplayStore(scratch / "replay.db")
    fill(store, SUBJECTS)
    planted = {name for kind in kinds for name in kind.plant(store, SUBJECTS, scratch / "runs")}
    store.embed_all()
    protected = held(store, SUBJECTS, planted, PROTECTED)
    open_wide(store)
    found = {"protected": protected, "open": held(store, SUBJECTS, planted, OPEN)}
    store.close()
    return found


def row(name: str, found: dict[str, Counts]) -> str:
    exemplars = [Share.of(found[mode]) for mode in MODES]
    prompts = [Share.of([(int(bad > 0), 1) for bad, _ in found[mode]]) for mode in MODES]
    return ROW.format(name, *map(str, exemplars + prompts))


def lives(kind: Kind, scratch: Path) -> list[list[bool]]:
    """For each subject, in a store of its own, which of its prompts held the planted run as time went by."""
    found = []
    for number, subject in enumerate(SUBJECTS):
        store = ReplayStore(scratch / f"{number}.db")
        fill(store, SUBJECTS)
        planted = kind.plant(store, [subject], scratch / "runs")
        found.append(life(store, subject, planted, TRIES))
        store.close()
    return found


def figure(share: Share, **fields: Any) -> dict[str, Any]:
    return {"value": share.value, "interval": list(share.interval), "n": share.whole, **fields}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-keep", action="store_true", help="print only, and leave eval/results as it is")
    given = parser.parse_args()
    kept: dict[str, dict[str, Any]] = {}
    print(ROW.format("", *(f"{what}, {mode}" for what in ("exemplars", "prompts") for mode in MODES)))
    with tempfile.TemporaryDirectory(prefix="autorl-poison-") as scratch:
        alone = {kind.key: measured([kind], Path(scratch) / kind.key) for kind in KINDS}
        for kind in KINDS:
            print(row(kind.name, alone[kind.key]))
        print(row("all of these at once", measured(KINDS, Path(scratch) / "all")))
        for mode in MODES:
            # A subject's prompts of all kinds stay together when the interval is drawn.
            by_subject = zip(*(alone[kind.key][mode] for kind in KINDS), strict=True)
            counts = [(sum(bad for bad, _ in each), sum(whole for _, whole in each)) for each in by_subject]
            kept[f"poison_share_{mode}"] = figure(Share.of(counts), unit="share of exemplars, each kind alone")
            for kind in KINDS:
                kept[f"poison_{kind.key}_{mode}"] = figure(Share.of(alone[kind.key][mode]), unit="share of exemplars")
        for kind in KINDS[:2]:
            seen = lives(kind, Path(scratch) / kind.key)
            until = [prompts.index(False) if False in prompts else TRIES for prompts in seen]
            failures = Share.of([(number, 1) for number in until])
            again = Share.of([(sum(prompts[number:]), TRIES - number)
                              for prompts, number in zip(seen, until, strict=True)])
            print(f"{kind.name}: it was shown {failures.value:.1f} times (at most {max(until)}) before it was dropped, "
                  f"and in {again} prompts after that")
            kept[f"failures_until_{kind.key}_dropped"] = figure(failures, unit="judged failures, on average")
            kept[f"{kind.key}_shown_again"] = figure(again, unit="share of the prompts after that")
    print(show(kept))
    if not given.no_keep:
        keep("store", kept, f"python eval/store_poison.py {shlex.join(sys.argv[1:])}".strip())


if __name__ == "__main__":
    main()
