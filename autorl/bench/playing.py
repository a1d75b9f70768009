"""The episodes of a grid as work that may be done elsewhere: what goes there and what comes back.

A worker on another machine writes nothing. It sends back the run and the files that it made, and here they are kept.
"""

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import sqlalchemy as sa

from autorl.bench.episode import Meter, Player, Stopped
from autorl.bench.fill import Filling
from autorl.bench.ledger import Episode
from autorl.bench.memory import Memories
from autorl.bench.spec import Budget, Cell, Size, Spec, Split
from autorl.errors import UsageError
from autorl.replay import embed
from autorl.replay.embed import Embedder
from autorl.replay.store import ReplayStore
from autorl.rollout.once import patiently
from autorl.types import Trajectory
from autorl.workspace import Workspace


class Call(NamedTuple):
    """An episode to play. memory: the store it recalls from, elsewhere by its URL; None for none"""

    cell: Cell
    memory: ReplayStore | str | None


class Played(NamedTuple):
    """An episode that was played. files: what its run made, by path, if that is elsewhere; None if it is kept"""

    episode: Episode
    trajectory: Trajectory
    files: dict[str, bytes] | None = None


@dataclass(frozen=True)
class Playing:
    """Plays episodes with `player`, as a `Work`. live: whether it was given models that have no name"""

    spec: Spec
    tasks: Split
    player: Player
    meter: Meter
    live: bool = False

    def __call__(self, call: Call) -> Played:
        return Played(*self.player.play(call.cell, cast(ReplayStore | None, call.memory), self.meter))

    def sent(self, store: str) -> "SentPlaying":
        if self.live:
            raise UsageError("a model of this process cannot be sent to workers on other machines",
                             "Name it, as provider:model")
        return SentPlaying(self.spec, self.tasks)

    def lost(self, call: Call) -> None:
        """Nothing was written."""

    def keep(self, played: Played, runs: ReplayStore, workspaces: Path) -> None:
        """Put what was done elsewhere into the store of all runs, and count what it cost."""
        if played.files is None:
            return
        workspace = Workspace(workspaces / played.trajectory.id)
        for path, made in played.files.items():
            workspace.write(path, made)
        runs.keep_files(played.trajectory, workspace.root)
        runs.add([played.trajectory])
        with suppress(Stopped):  # it is done all the same
            self.meter.spend(played.episode.usage)


@dataclass(frozen=True)
class SentPlaying:
    """What a worker needs to play any episode of a grid, as plain values."""

    spec: Spec
    tasks: Split

    def begin(self) -> Callable[[Call], Played]:
        folder = Path(tempfile.mkdtemp(prefix="autorl-episodes-"))
        runs = _Parcels()
        player = Player(self.spec, self.tasks, cast(ReplayStore, runs), folder, {})
        meter = Meter(Budget(), 0, 0.0)
        stores: dict[str, ReplayStore] = {}
        opening = threading.Lock()

        def play(call: Call) -> Played:
            memory, where = None, call.memory
            if isinstance(where, str):
                with opening:
                    if where not in stores:
                        alike = embedder(self.spec, call.cell.setting)
                        stores[where] = patiently(lambda: ReplayStore(where, embedder=alike))
                    memory = stores[where]
            episode, trajectory = player.play(call.cell, memory, meter)
            shutil.rmtree(folder / trajectory.id, ignore_errors=True)
            return Played(episode, trajectory, runs.files.pop(trajectory.id))

        return play


class _Parcels:
    """What a player elsewhere takes for the store of all runs: holds what a run made until it is sent."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}

    def keep_files(self, trajectory: Trajectory, workspace: Path) -> None:
        self.files[trajectory.id] = {made.path: (workspace / made.path).read_bytes() for made in trajectory.artifacts}

    def add(self, trajectories: Sequence[Trajectory]) -> None:
        """They are sent with their files."""


class SharedMemories(Memories):
    """The stores that episodes recall from, where every machine reaches them: schemas of their own in one database.

    url: of the database; name: of the grid, so that two of them do not meet
    """

    def __init__(self, url: str, name: str, folder: Path, runs: ReplayStore, spec: Spec) -> None:
        super().__init__(folder, runs, spec)
        self._url, self._name = sa.make_url(url).set(drivername="postgresql+psycopg"), name
        self._places: dict[ReplayStore, str] = {}

    def place(self, store: ReplayStore) -> str:
        """The URL of a store that this one gave."""
        return self._places[store]

    def close(self) -> None:
        super().close()
        for place in self._places.values():
            self._drop(place)

    def _made(self, filling: Filling | None, size: Size | None, episodes: list[Episode]) -> ReplayStore:
        said = f"{self._name} {filling and (filling.model, filling.setting, filling.seed)} {size}"
        schema = f"bench_{hashlib.sha256(said.encode()).hexdigest()[:16]}"
        place = self._url.update_query_dict({"schema": schema}).render_as_string(hide_password=False)
        self._drop(place)  # an earlier process may have left it incomplete
        store = ReplayStore(place, embedder=embedder(self._spec, filling.setting) if filling else None)
        store.add([self._runs.get(episode.run) for episode in episodes])
        self._places[store] = place
        return store

    def _drop(self, place: str) -> None:
        engine = sa.create_engine(self._url.difference_update_query(["schema"]))
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {sa.make_url(place).query['schema']} CASCADE")
        engine.dispose()


def embedder(spec: Spec, setting: str) -> Embedder:
    """What tells which tasks are alike in the store that `setting` recalls from."""
    chosen = spec.settings[spec.settings[setting].fill or setting].chosen
    return embed.load(chosen.embedder, chosen.embedder_url)
