"""A run of a benchmark: its folder, and the threads that fill its grid. It goes on from whatever it was left at."""

import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from autorl import __version__, settings
from autorl.bench import ledger
from autorl.bench.episode import Meter, Player, Stopped
from autorl.bench.grid import Grid
from autorl.bench.ledger import Ending, Episode, Ledger, Outcome, Session
from autorl.bench.memory import Memories
from autorl.bench.playing import Call, Playing, SharedMemories
from autorl.bench.progress import Pace, Progress
from autorl.bench.spec import Budget, Cell, Spec, Split
from autorl.errors import AutorlError, UnknownName, UsageError
from autorl.models.base import Model
from autorl.replay.store import ReplayStore
from autorl.rollout.executor import THREADS, Executor

LEDGER, RUNS = "ledger.jsonl", "runs.db"
PATIENCE = 0.5
"""Seconds between two looks at how far it is."""

Watch = Callable[[Progress], None]


def home() -> Path:
    """Where runs of benchmarks are kept."""
    return settings.home() / "bench"


def all_runs() -> list[Path]:
    """The folders of all runs, the newest last."""
    return sorted((path.parent for path in home().glob("*/spec.json")), key=lambda path: path.stat().st_ctime)


def find(name: str) -> Path:
    """The folder of a run: by its path, by its name, or the newest one of the benchmark `name`. Raises UnknownName."""
    runs = all_runs()
    if (Path(name) / "spec.json").is_file():
        return Path(name)
    found = [path for path in runs if path.name == name or path.name.rpartition("-")[0].rpartition("-")[0] == name]
    if not found:
        raise UnknownName("run", name, [path.name for path in runs], "Begin one: autorl bench run NAME")
    return found[-1]


def begin(spec: Spec, tasks: Split) -> Path:
    """Make the folder of a new run, with all that defines it, and return it."""
    name = f"{spec.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    names = (name if number == 1 else f"{name}.{number}" for number in count(1))
    folder = next(home() / name for name in names if not (home() / name).exists())
    folder.mkdir(parents=True)
    (folder / "tasks.json").write_text(tasks.model_dump_json(), encoding="utf-8")
    (folder / "spec.json").write_text(spec.model_dump_json(indent=1), encoding="utf-8")
    return folder


def begun_with(folder: Path) -> tuple[Spec, Split]:
    """What the run in `folder` was begun with. Raises UsageError if it is no folder of a run."""
    try:
        return (Spec.model_validate_json((folder / "spec.json").read_text("utf-8")),
                Split.model_validate_json((folder / "tasks.json").read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} holds no run of a benchmark: {error}", "See them: autorl bench list") from error


def state(folder: Path) -> tuple[str, str]:
    """How the run in `folder` stands, and why: new, running, killed, or the way its last session ended."""
    last = next(iter(deque(ledger.read(folder / LEDGER), maxlen=1)), None)
    if isinstance(last, Ending):
        return last.status, last.why
    return ("running" if ledger.held(folder / LEDGER) else "killed") if last else "new", ""


@dataclass
class Past:
    """What a ledger says of a run so far.

    marks: what every setting was asked with; tokens: spent; seconds: in which a process was at work
    """

    grid: Grid
    pace: Pace = field(default_factory=Pace)
    marks: dict[str, str] = field(default_factory=dict)
    tokens: int = 0
    seconds: float = 0.0

    def took(self, episode: Episode) -> None:
        self.grid.took(episode)
        self.pace.took(episode)

    @classmethod
    def read(cls, folder: Path, spec: Spec, tasks: Split) -> "Past":
        past = cls(Grid(spec, tasks))
        before = None
        for entry in ledger.read(folder / LEDGER):
            if isinstance(entry, Session):
                past.marks = past.marks or entry.marks
            elif before is not None:
                past.seconds += (entry.when - before).total_seconds()
            if isinstance(entry, Episode):
                past.took(entry)
                past.tokens += entry.usage.total
            elif isinstance(entry, Ending):
                past.tokens += entry.lost
            before = entry.when
        return past


def resume(folder: Path, *, concurrency: int = 2, budget: Budget | None = None,
           given: Mapping[str, Model] | None = None, watch: Watch | None = None, on: Executor = THREADS) -> Ending:
    """Play the episodes that the run in `folder` still lacks, all of them in a new one, and return how that ended.

    concurrency: episodes at a time; budget: instead of the definition's, for the run as a whole
    given: models by name, for names that stand for none; watch: told now and then how far it is
    on: where the episodes are played. Elsewhere than here, the budget is looked at when an episode has come back, and
        Control-C lets the episodes under way come to their end
    Each episode counts exactly once: one that was cut off left no entry in the ledger, and is played anew.
    Control-C lets the completions under way come to their end. Raises UsageError if another process is at work there,
    or if prompts or tools have changed since the run began; and what an episode stopped the grid with, such as
    ModelUnavailable or StoreUnavailable. What was done by then is kept.
    """
    spec, tasks = begun_with(folder)
    with ExitStack() as stack:
        book = stack.enter_context(closing(Ledger(folder / LEDGER)))
        past = Past.read(folder, spec, tasks)
        # What a run made is kept beside the store. To remove each workspace at once takes as long as some runs do.
        stack.callback(shutil.rmtree, folder / "workspaces", ignore_errors=True)
        runs = stack.enter_context(closing(ReplayStore(folder / RUNS)))
        stores = folder / "stores"
        memories = stack.enter_context(closing(Memories(stores, runs, spec) if on.store is None else
                                               SharedMemories(on.store, folder.name, stores, runs, spec)))
        player = Player(spec, tasks, runs, folder / "workspaces", given or {})
        marks = player.marks()
        if changed := [name for name, mark in past.marks.items() if mark != marks.get(name)]:
            raise UsageError(f"prompts or tools have changed since the run began, for {', '.join(changed)}",
                             f"Start a new run: autorl bench run {spec.name}")
        meter = Meter(budget or spec.budget, past.tokens, past.seconds)
        work = Playing(spec, tasks, player, meter, live=bool(given))
        do = stack.enter_context(on.doing(work, concurrency))
        book.add([Session(autorl=__version__, marks=marks, concurrency=concurrency)])

        def play(cell: Cell) -> Episode:
            meter.spend()
            recalls, filling = spec.settings[cell.setting].recalls, past.grid.filling(cell)
            memory = None
            if cell.phase == "held-out":
                memory = memories.frozen(filling, cell.size) if cell.size is not None else None
            elif recalls and filling is not None:
                memory = memories.growing(filling)
            shared = memories.place(memory) if memory and isinstance(memories, SharedMemories) else memory
            played = do(Call(cell, shared))
            work.keep(played, runs, folder / "workspaces")
            if cell.phase == "learn" and recalls and filling is not None:
                memories.learned(filling, played.trajectory)
            return played.episode

        return _fill(past, play, meter, book, concurrency, watch)


def _fill(past: Past, play: Callable[[Cell], Episode], meter: Meter, book: Ledger, concurrency: int,
          watch: Watch | None) -> Ending:
    """Play every cell that can be played, `concurrency` at a time, in the order in which they end."""
    failure: BaseException | None = None
    interrupted = False
    running: dict[Future[Episode], Cell] = {}
    told = time.monotonic()
    kept = meter.spent
    with ThreadPoolExecutor(concurrency, "episode") as pool:
        while True:
            try:
                while not meter.why and len(running) < concurrency and (cell := past.grid.take()):
                    running[pool.submit(play, cell)] = cell
                if not running:
                    break
                episodes = []
                for future in wait(running, PATIENCE, FIRST_COMPLETED).done:
                    del running[future]
                    error = future.exception()
                    if error is None:
                        episodes.append(future.result())
                    elif not isinstance(error, Stopped):
                        failure = failure or error
                        meter.stop(str(error))
                book.add(episodes)
                for episode in episodes:
                    past.took(episode)
                    kept += episode.usage.total
                if watch and time.monotonic() - told >= PATIENCE:
                    told = time.monotonic()
                    watch(past.pace.look(past.grid, concurrency, meter.spent, meter.seconds))
            except KeyboardInterrupt:
                interrupted = True
                meter.stop("interrupted")
            except AutorlError as error:
                failure = failure or error
                meter.stop(str(error))
    status: Outcome = "failed" if failure else "interrupted" if interrupted else "budget" if meter.why else "complete"
    ending = Ending(status=status, why=meter.why, lost=meter.spent - kept)
    with suppress(AutorlError) if failure else nullcontext():
        book.add([ending])
    if failure:
        raise failure
    return ending
