"""Today's verifiers over stored runs: what would they say now?"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

from autorl.errors import AutorlError
from autorl.registry import Pack
from autorl.replay.recall import shown_before
from autorl.replay.store import ReplayStore
from autorl.types import Status, Trajectory, Verdict
from autorl.verify.checks import PERSON, by_name, choose, judge
from autorl.workspace import Workspace


@dataclass(frozen=True)
class Review:
    """One run verified anew: the verdict it has, the one it would get, or why it cannot get one."""

    run: str
    task: str
    old: Verdict | None
    new: Verdict | None = None
    skipped: str = ""

    @property
    def changed(self) -> bool:
        """Whether the run would pass where it did not, or the other way."""
        return self.new is not None and (self.old is None or self.old.passed != self.new.passed)


def reverify(store: ReplayStore, load_pack: Callable[[str], Pack], *, limit: int) -> Iterator[Review]:
    """Verify the newest `limit` finished runs with the verifiers of the packs that they used; nothing is written.

    Each by the one that judged it, with the bar that it had then, or else by the one of its task. A person's word
    stands above a verifier's, and is left alone.
    """
    for summary in store.newest(limit=limit):
        if summary.status is Status.FINISHED:
            trajectory = store.get(summary.id)
            try:
                new = _verdict(store, trajectory, load_pack)
            except AutorlError as error:
                yield Review(summary.id, summary.task, trajectory.verdict, skipped=error.what)
            else:
                yield Review(summary.id, summary.task, trajectory.verdict, new)


def _verdict(store: ReplayStore, trajectory: Trajectory, load_pack: Callable[[str], Pack]) -> Verdict:
    """Raises AutorlError if there is no verifier, or not all that it would look at."""
    if trajectory.verdict and trajectory.verdict.verifier == PERSON:
        raise AutorlError("a person judged it")
    names = [str(name).partition(":")[0] for name in trajectory.provenance.settings.get("tools") or []]
    packs = [load_pack(name) for name in dict.fromkeys(names)]
    known = {name: verifier for pack in packs for name, verifier in pack.verifiers.items()}
    judged = trajectory.verdict.verifier.rpartition("@")[0] if trajectory.verdict else ""
    ours = judged.partition(">=")[0] in known
    verifier = by_name(judged, known) if ours else choose(trajectory.task, None, known)
    if verifier is None:
        raise AutorlError("its tools have no verifier")
    exemplars = shown_before(store, trajectory, [pack.seeds for pack in packs if pack.seeds])
    if len(exemplars) < len(trajectory.recalled):
        raise AutorlError("an exemplar that it was shown is gone")  # from which it may have copied
    with tempfile.TemporaryDirectory(prefix="autorl-verify-") as folder:
        for artifact in trajectory.artifacts:
            kept = store.file(trajectory.id, artifact)
            if kept is None:
                raise AutorlError(f"{artifact.path} is missing")
            workspace = Workspace(Path(folder))
            target = workspace.path(artifact.path, write=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            copyfile(kept, target)
        return judge(verifier, trajectory, Workspace(Path(folder)), exemplars)
