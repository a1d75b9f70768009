"""The stores that episodes recall from. Each is made from the runs of its filling, and can be made again."""

import shutil
import threading
from pathlib import Path

from autorl.bench.fill import Filling
from autorl.bench.ledger import Episode
from autorl.bench.spec import Size, Spec
from autorl.replay import embed
from autorl.replay.store import ReplayStore
from autorl.types import Trajectory


class Memories:
    """Opens each store once; many threads may share it.

    folder: for the stores; what an earlier process left in it is removed, for it may be incomplete
    runs: the store that holds every run
    """

    def __init__(self, folder: Path, runs: ReplayStore, spec: Spec) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._folder, self._runs, self._spec = folder, runs, spec
        self._open: dict[tuple[Filling | None, Size | None], ReplayStore] = {}
        self._one_at_a_time = threading.Lock()

    def growing(self, filling: Filling) -> ReplayStore:
        """The store of a filling as it stands; `learned` adds to it."""
        return self._store(filling, None, filling.episodes)

    def frozen(self, filling: Filling | None, size: Size) -> ReplayStore:
        """The store of a filling as it stood when it came to `size`; an empty one for no filling."""
        return self._store(filling, size, filling.until(size) if filling else [])

    def learned(self, filling: Filling, trajectory: Trajectory) -> None:
        """A filling has one more run."""
        self.growing(filling).add([trajectory])

    def close(self) -> None:
        for store in self._open.values():
            store.close()

    def _store(self, filling: Filling | None, size: Size | None, episodes: list[Episode]) -> ReplayStore:
        with self._one_at_a_time:
            if (filling, size) not in self._open:
                self._open[filling, size] = self._made(filling, size, episodes)
            return self._open[filling, size]

    def _made(self, filling: Filling | None, size: Size | None, episodes: list[Episode]) -> ReplayStore:
        trajectories = [self._runs.get(episode.run) for episode in episodes]
        embedder = None
        if filling:
            chosen = self._spec.settings[filling.setting].chosen
            embedder = embed.load(chosen.embedder, chosen.embedder_url)
        name = f"{_name(filling)}-{'growing' if size is None else size}"
        store = ReplayStore(self._folder / name / "replay.db", embedder=embedder)
        for start in range(0, len(trajectories), _SOME):
            store.add(trajectories[start : start + _SOME])
        return store


_SOME = 200


def _name(filling: Filling | None) -> str:
    if filling is None:
        return "empty"
    words = f"{filling.model} {filling.setting} {filling.seed}"
    return "".join(letter if letter.isalnum() or letter in "+.-" else "-" for letter in words)
