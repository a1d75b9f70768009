"""The same tasks of the warehouse for autorl and its peers: one server, one model, the same tools and limits for all.

    python eval/peers_warehouse.py [--rows NAME ...] [--worlds w1 w2 w3 w4] [--seeds 0 1 2] [--begun FILE] [--no-keep]

Every framework asks the embedded model behind one OpenAI-compatible server (llama.cpp's, on loopback) and calls the
same functions; whether a run succeeded is told by the pack's verifier from the final state. A run is over when it calls
the tool that ends the work, and nothing that a framework would do after that counts, for it or against it. All have
the same limits: tokens of a run (prompt and completion), of a completion, and steps.

Three blocks: from `nothing`; `learned`, the methods that learn by themselves, from the same tasks of the same world,
starting from nothing: one attempt at each, then more at what is not solved, in an order of their own, until as many
tokens are spent or as many attempts made; and `given`, everybody shown the same four
successes for each task (the shortest ways to do those of 32 other tasks of that world that autorl's recall finds).

A row that does no held-out task with the first seed is not played with the others.

Each peer runs in an environment of its own in the user's cache folder, as its own documentation has it; the runners in
eval/peers/warehouse_*.py say what is used of it. Episodes are kept one by one: a run that was stopped goes on, and
`--begun eval/results/peers-warehouse.jsonl` goes on from those behind the kept table, with more worlds or seeds, and
`--so-far` plays nothing: it keeps what there is, and says whom it lacks.
"""

import argparse
import hashlib
import json
import shlex
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory

from kept import RESULTS, keep, show
from peers.metered import Gate, served
from peers.warehouse_play import Episode, Limits, Playing, Row, RunnerDied, job_for
from peers.warehouse_table import figures, table, used
from peers.warehouse_world import described, nearest
from platformdirs import user_cache_path
from store_recall import _environment as environment

from autorl import tasks
from autorl.types import Task

ROWS = (
    Row("autorl, no store", "autorl", "", "nothing"),
    Row("smolagents", "smolagents", "", "nothing"),
    Row("smolagents, code", "smolagents", "code", "nothing"),
    Row("LangGraph", "langgraph", "", "nothing"),
    Row("DSPy ReAct", "dspy", "", "nothing"),
    Row("autorl, replay", "autorl", "", "learned"),
    Row("autorl, replay, guided", "autorl", "guided", "learned"),
    Row("DSPy BootstrapFewShot", "dspy", "", "learned"),
    Row("icrl-py", "icrl", "", "learned"),
    Row("autorl, given", "autorl", "", "given"),
    Row("autorl, given, no masks", "autorl", "unmasked", "given"),
    Row("autorl, given, unconstrained", "autorl", "free", "given"),
    Row("autorl, given, react", "autorl", "react", "given"),
    Row("smolagents, given", "smolagents", "", "given"),
    Row("smolagents, code, given", "smolagents", "code", "given"),
    Row("LangGraph, given", "langgraph", "", "given"),
    Row("DSPy ReAct, given", "dspy", "", "given"),
    Row("icrl-py, given", "icrl", "", "given"),
)
LENGTHS = range(3, 6)
"""Calls that the held-out tasks take at least; those to learn from begin with two."""
KNOWN = 32
"""Tasks of a world whose solutions are there to be given."""
KEPT = RESULTS / "peers-warehouse.jsonl"
"""The name of the design, then the episodes behind the table."""


@dataclass(frozen=True)
class Design:
    """What is measured.

    each: held-out tasks of every length; learn: tasks to learn from, with `attempts` at each at most; with one,
        once `learn_tokens` are spent (prompt and completion) in a world
    """

    worlds: tuple[str, ...]
    each: int
    learn: int
    attempts: int
    learn_tokens: int
    limits: Limits

    @property
    def name(self) -> str:
        """The same while episodes of the one belong to the other, whatever the worlds and however many tasks."""
        told = json.dumps([self.learn, self.attempts, self.learn_tokens, asdict(self.limits)])
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def told(self, seeds: Sequence[int], lanes: int) -> str:
        """What the table has to say for itself."""
        limits = self.limits
        again = f" {len(seeds)} seeds, of which a row that does nothing with the first is played with no other;"
        return (f"{len(LENGTHS) * self.each} held-out tasks in each of {', '.join(self.worlds)};"
                f"{again if len(seeds) > 1 else ''}"
                f" {limits.tokens:,} tokens a run, {limits.max_tokens} a completion, {limits.steps} steps,"
                f" temperature {limits.temperature}; {limits.k} successes shown at most. To learn from: {self.learn}"
                f" tasks of each world, one attempt at each, up to {self.attempts} while fewer than"
                f" {self.learn_tokens:,} tokens are spent in it. Tokens are means a run, prompts in full,"
                f" cached or not; seconds are the median, with {lanes} runs at a time.")

    def lacks(self, rows: Sequence[Row], seeds: Sequence[int], episodes: Sequence[Episode]) -> str:
        """Who was not asked in which worlds, or not in all of one; empty where all were asked in all."""
        played = Counter((episode.row, episode.world) for episode in episodes if episode.phase == "held-out")
        each = len(LENGTHS) * self.each
        missing = [f"{row.name} in {', '.join(worlds)}" for row in rows if (worlds := [
            world for world in self.worlds if played[row.name, world] < each * len(seeds_of(row, seeds, episodes))])]
        return f" Not played yet, or not all of it: {'; '.join(missing)}." if missing else ""

    def held_out(self, world: str) -> list[Task]:
        found = tasks.load(f"warehouse/{world}/test").tasks
        return [task for length in LENGTHS for task in _of_length(found, length)[: self.each]]

    def lessons(self, world: str) -> list[Task]:
        """Short ones first, as many of each length."""
        return _shortest(world, self.learn)

    def known(self, world: str) -> list[Task]:
        return _shortest(world, KNOWN)


def seeds_of(row: Row, seeds: Sequence[int], episodes: Sequence[Episode]) -> Sequence[int]:
    """With which to play a row: all, or only the first where that did no held-out task."""
    does = any(e.success for e in episodes if (e.row, e.phase, e.seed) == (row.name, "held-out", seeds[0]))
    return seeds if does else seeds[:1]


def _shortest(world: str, count: int) -> list[Task]:
    found = tasks.load(f"warehouse/{world}/train").tasks
    lengths = (2, *LENGTHS)
    return [task for length in lengths for task in _of_length(found, length)[: count // len(lengths)]]


def _of_length(found: Sequence[Task], length: int) -> list[Task]:
    return [task for task in found if task.requirements["optimal"] == length]


class Book:
    """The episodes so far, a line of a file each; a line that a killed process left half-written does not count.

    begun: such lines to go on from
    """

    def __init__(self, folder: Path, begun: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._path = folder / "episodes.jsonl"
        self._lock = threading.Lock()
        lines = self._path.read_text("utf-8").splitlines() if self._path.exists() else []
        self._hold(episode for episode in map(_episode, [*begun, *lines]) if episode)

    def _hold(self, episodes: Iterable[Episode]) -> None:
        self._episodes = {episode.key: episode for episode in episodes}
        self._path.write_text("".join(map(_line, self._episodes.values())), "utf-8")

    def add(self, episode: Episode) -> None:
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(_line(episode))
            self._episodes[episode.key] = episode
        print(f"{episode.row:30} {episode.world} {episode.phase:8} {episode.task.split('-', 2)[2]:12}"
              f" {'success' if episode.success else episode.end:8} {episode.requests:3} requests"
              f" {episode.prompt_tokens:6} + {episode.completion_tokens:4} tokens {episode.seconds:6.1f} s"
              f"  {episode.died[:80]}", file=sys.stderr, flush=True)

    @property
    def episodes(self) -> list[Episode]:
        with self._lock:
            return list(self._episodes.values())

    def has(self, row: Row, seed: int, task: Task) -> bool:
        """Whether there is an episode of a held-out task."""
        return (row.name, seed, task.requirements["world"], task.id, "held-out", 0) in self._episodes

    def memory(self, row: Row, world: str, seed: int) -> tuple[Path, bool]:
        """The folder of what a row has learned of a world, and whether it is whole; one that is not is emptied."""
        folder = self.folder / "memory" / f"{row.name}-{world}-{seed}".replace(" ", "-").replace(",", "")
        learned = (folder.parent / f"{folder.name}.learned").exists()
        if not learned:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            with self._lock:
                self._hold([episode for episode in self._episodes.values()
                            if (episode.row, episode.world, episode.seed) != (row.name, world, seed)])
        return folder, learned


def _line(episode: Episode) -> str:
    return f"{json.dumps(asdict(episode))}\n"


def _episode(line: str) -> Episode | None:
    try:
        return Episode(**json.loads(line))
    except ValueError:  # the last line of a process that was killed
        return None


def _head(design: Design) -> str:
    return f"{json.dumps({'design': design.name})}\n"


def kept_of(design: Design, path: Path) -> list[str]:
    """The lines of episodes in a file like `KEPT`; raises SystemExit where there are none of this design."""
    try:
        head, *lines = path.read_text("utf-8").splitlines(keepends=True)
    except (OSError, ValueError) as error:
        raise SystemExit(f"--begun {path}: cannot be read: {error}") from error
    if head != _head(design):
        raise SystemExit(f"--begun {path}: its episodes had other lessons, attempts or limits; leave it out")
    return lines


def measured(design: Design, rows: Sequence[Row], seeds: Sequence[int], book: Book, lanes: int) -> None:
    """Play what is not played yet, a job at a time in every lane: seed by seed and world by world, all rows of each."""
    pythons = {peer: Path(sys.executable) if peer == "autorl" else environment(peer)
               for peer in dict.fromkeys(row.peer for row in rows)}
    with served(lanes) as gate, TemporaryDirectory() as scratch:
        free: Queue[int] = Queue()
        for lane in range(lanes):
            free.put(lane)

        def play(job: tuple[int, str, Row]) -> None:
            lane = free.get()
            try:
                _play(design, *job, book, gate, lane, pythons[job[2].peer], Path(scratch))
            finally:
                free.put(lane)

        # Learning takes longest, and comes last in every world.
        ordered = sorted(rows, key=lambda row: ("given", "nothing", "learned").index(row.block))
        for seed in seeds:
            jobs = [(seed, world, row) for world in design.worlds for row in ordered
                    if seed in seeds_of(row, seeds, book.episodes)]
            with ThreadPoolExecutor(lanes) as pool:
                try:
                    for _ in pool.map(play, jobs):
                        pass
                finally:
                    pool.shutdown(cancel_futures=True)


def _play(design: Design, seed: int, world: str, row: Row, book: Book, gate: Gate, lane: int, python: Path,
          scratch: Path) -> None:
    held_out = design.held_out(world)
    if all(book.has(row, seed, task) for task in held_out):
        return
    memory, learned = book.memory(row, world, seed)
    lessons = design.lessons(world) if row.block == "learned" else []
    with TemporaryDirectory(dir=scratch) as folder:
        demos = nearest(held_out, design.known(world), design.limits.k, Path(folder)) if row.block == "given" else {}
        tools, ends = described(world)
        deaths = 0
        while left := [task for task in held_out if not book.has(row, seed, task)]:
            job = job_for(world, tools, ends, design.limits, learn=lessons, attempts=design.attempts,
                          learn_tokens=design.learn_tokens, tasks=left, demos=demos, memory=memory, learned=learned,
                          seed=seed)
            place = Path(folder) / str(deaths)
            place.mkdir()
            try:
                Playing(row, job, [*lessons, *held_out], gate, lane, design.limits, book.add,
                        (memory.parent / f"{memory.name}.learned").touch).play(python, place)
            except RunnerDied as error:  # it takes one run with it
                deaths += 1
                print(error, file=sys.stderr)
                if deaths > len(held_out):
                    raise SystemExit(f"{row.name} cannot go on in {world}, see above") from error
                memory, learned = book.memory(row, world, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=[row.name for row in ROWS], metavar="NAME",
                        help=f"whom to measure: {', '.join(row.name for row in ROWS)}")
    parser.add_argument("--worlds", nargs="+", default=["w1", "w2", "w3", "w4"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--each", type=int, default=2, help="held-out tasks of 3, 4 and 5 calls each, in every world")
    parser.add_argument("--learn", type=int, default=8, help="tasks to learn from, in every world")
    parser.add_argument("--attempts", type=int, default=12, help="at each of these, at most")
    parser.add_argument("--learn-tokens", type=int, default=100_000,
                        help="of a world, after which nothing is tried a second time")
    parser.add_argument("--lanes", type=int, default=4, help="runs at a time")
    parser.add_argument("--cache", type=Path, default=user_cache_path("autorl") / "peers-warehouse")
    parser.add_argument("--begun", type=Path, metavar="FILE", help="episodes to go on from, as they are kept")
    parser.add_argument("--so-far", action="store_true", help="play nothing more")
    parser.add_argument("--no-keep", action="store_true", help="print only, and leave eval/results as it is")
    given = parser.parse_args()
    design = Design(tuple(given.worlds), given.each, given.learn, given.attempts, given.learn_tokens, Limits())
    rows = [row for row in ROWS if given.rows is None or row.name in given.rows]
    book = Book(given.cache / design.name, kept_of(design, given.begun) if given.begun else ())
    if not given.so_far:
        measured(design, rows, given.seeds, book, given.lanes)
    asked = {task.id for world in design.worlds for task in (*design.lessons(world), *design.held_out(world))}
    wanted = [episode for episode in book.episodes if episode.seed in given.seeds and episode.task in asked]
    found, shown = figures(rows, wanted), table(rows, wanted)
    told = f"{design.told(given.seeds, given.lanes)}{design.lacks(rows, given.seeds, wanted)}"
    print(shown, told, show(found), sep="\n\n")
    if not given.no_keep:
        command = shlex.join(["python", "eval/peers_warehouse.py", *(a for a in sys.argv[1:] if a != "--so-far")])
        keep("peers-warehouse", found, command)
        KEPT.write_text("".join([_head(design), *map(_line, wanted)]), "utf-8")
        (RESULTS / "peers-warehouse.md").write_text(
            f"By `{command}`.\n\n{shown}\n\n{told}\n\n{used(rows)}\n", "utf-8")


if __name__ == "__main__":
    main()
