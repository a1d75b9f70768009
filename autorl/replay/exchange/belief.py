"""How much is believed of what a file says of its runs.

A file may come from anybody. With verdicts of its own making it would be recalled; as one that was shown a run of
ours it would change what that run seems to be worth; with the id of a task of ours, it would keep that task from being
solved, and with its verifier or requirements make it easier. So, unless told otherwise, nothing of it is believed:

nothing     the runs are kept for reading: quarantined, unverified, their tasks known by their texts alone
verdicts    they have their verdicts, and are trusted unless they themselves say otherwise or read from outside
everything  they are as they were in the store that they were exported from, with sources, caps, policies and records

Short of everything, runs are of the source that the import names, whose cap holds for them.
"""

from collections import Counter
from datetime import UTC, datetime
from typing import Literal

from autorl.replay.batches import Kept
from autorl.replay.reading import TrustChange
from autorl.types import Status, Task

Belief = Literal["nothing", "verdicts", "everything"]


def believed(told: Kept, belief: Belief, source: str, notes: Counter[str]) -> Kept | None:
    """The run with no more than is believed of it, the rest counted in `notes`; None if nothing would be left."""
    if belief == "everything":
        return told
    if told.pruned:
        notes["pruned runs, which have no steps, were left out"] += 1
        return None
    notes["what they were shown was not believed"] += bool(told.run.recalled)
    provenance = told.run.provenance.model_copy(update={"source": source})
    run = told.run.model_copy(update={"provenance": provenance, "recalled": ()})
    trust, why, verdicts = told.trust, f"imported from {source}", told.verdicts
    if belief == "nothing":
        run = run.model_copy(update={"task": Task(text=run.task.text)})
        notes["verdicts were not believed"] += len(verdicts)
        trust, verdicts = "quarantined", ()
    elif run.tainted and trust == "trusted":
        trust, why = "quarantined", "it read what came from outside"
    changes = () if trust == "trusted" else (TrustChange(trust, why, "autorl", datetime.now(UTC)),)
    passed = bool(verdicts) and verdicts[-1].verdict.passed
    return Kept(
        run=run, trust=trust, trust_changes=changes, verdicts=verdicts, length=len(run.steps),
        called=tuple(sorted({action.name for action in run.actions})),
        recallable=passed and trust == "trusted" and run.status is Status.FINISHED)
