"""What a policy is trained on: a snapshot of the store's best runs, as conversations, and whence they are.

A data set is a folder. `rows.jsonl` has a conversation a line, in TRL's form (`messages`, and `tools` where the format
has them apart), with what else is known of it: `learned` (the messages, by index, that carry loss), `run`, `task`,
`exemplars` (runs that its prompt shows), `score`. `manifest.json` names every run, how they were chosen, what was left
out and why, and the hash of the rows.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from autorl import formats
from autorl.errors import AutorlError, UnknownName, UsageError
from autorl.formats.base import to_json
from autorl.registry import Toolset
from autorl.replay.recall import Recall, recall
from autorl.replay.store import ReplayStore
from autorl.train.rendering import Renderer
from autorl.train.tokens import Tokens, tokenise
from autorl.types import Exemplar, Trajectory

ROWS, MANIFEST = "rows.jsonl", "manifest.json"
_SHINGLE = 3
"""Words in a row that are compared to find runs which do the same."""


@dataclass(frozen=True)
class Choice:
    """How runs are chosen and written.

    format: that the policy will be asked in, whatever the runs were made in
    per_task: runs of one task at most, the best first; alike: share of their actions' words from which two runs of a
        task are the same
    exemplars: share (0..1) of the rows whose prompt shows recalled runs of other tasks; k, budget, style: as for
        `Recall`
    max_tokens: of a row; longer ones are left out, never cut
    failed_steps: whether steps that went wrong are learned too; they stay in the conversation in any case
    tasks, runs: ids to keep to, None for all; without: runs to leave out
    """

    format: str = "react"
    per_task: int = 2
    alike: float = 0.9
    exemplars: float = 0.5
    k: int = 2
    budget: int = 1000
    style: Literal["full", "compact", "auto"] = "compact"
    max_tokens: int = 2048
    failed_steps: bool = False
    tasks: Collection[str] | None = None
    runs: Collection[str] | None = None
    without: Collection[str] = ()


@dataclass(frozen=True)
class Dataset:
    """A data set as it lies in its folder."""

    folder: Path
    manifest: dict[str, Any]
    rows: tuple[dict[str, Any], ...]

    @classmethod
    def read(cls, folder: Path) -> "Dataset":
        """The data set in `folder`. Raises UsageError if there is none, or its rows are not those of its manifest."""
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            lines = (folder / ROWS).read_bytes()
            rows = tuple(json.loads(line) for line in lines.splitlines())
            same = manifest["hash"] == _hash(lines)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{folder} holds no data set: {error}", "Make one: autorl train dataset --out FOLDER"
                             ) from error
        if not same:
            raise UsageError(f"the rows in {folder} are not those that its manifest was written for",
                             "Make the data set again: what it was trained on could not be told")
        return cls(folder, manifest, rows)

    @property
    def hash(self) -> str:
        """Of the rows."""
        return str(self.manifest["hash"])

    @property
    def runs(self) -> list[str]:
        """Every run that is learned from."""
        return [source["run"] for source in self.manifest["runs"]]

    def check_trust(self, store: ReplayStore) -> None:
        """Raises UsageError if `store` says of a run in here, learned or shown, that it is no longer to be trusted."""
        fallen = []
        shown = (exemplar for row in self.rows for exemplar in row.get("exemplars", ()))
        for run in dict.fromkeys([*self.runs, *shown]):
            try:
                fallen += [run] if store.summary(run).trust != "trusted" else []
            except UnknownName:  # a seed of a tool pack, or a run of another store
                continue
        if fallen:
            raise UsageError(f"{len(fallen)} runs in the data set {self.folder} are no longer trusted: "
                             f"{', '.join(fallen[:5])}{', ...' if len(fallen) > 5 else ''}",
                             "Make it again, without them: leave --dataset out, or autorl train dataset --out FOLDER")

    def tokens(self, tokenizer: Any) -> Iterator[tuple[dict[str, Any], list[Tokens]]]:
        """Each row with its tokens. Raises UsageError for a template that cannot be trained on."""
        for row in self.rows:
            yield row, tokenise(tokenizer, row["messages"], row["learned"], row.get("tools"))


def make(store: ReplayStore, folder: Path, choice: Choice = Choice(), *, tokenizer: Any,
         tools: Toolset | None = None) -> Dataset:
    """Write the data set that `choice` describes to `folder`.

    Only runs that finished, passed, are trusted, within the cap of their source and free of what came from outside are
    learned from (rejection sampling: RFT, Yuan et al. 2023; ReST-EM, Singh et al. 2023). They are rendered anew, with
    today's prompts and today's tools: those of the packs that each was made with, or `tools`, where given.
    tokenizer: of the model that is to be trained
    Raises UsageError, and writes nothing, if there is too little to learn from, or the folder holds something else.
    """
    usable(folder)
    maker = _Maker(store, choice, Renderer(formats.load(choice.format), tokenizer, tools))
    rows = maker.rows()
    _enough(store, rows, maker.dropped)
    return write(folder, rows, {
        "tasks": len({row["task"] for row in rows}), "tokens": sum(row["tokens"] for row in rows),
        "tokens_learned": sum(row["tokens_learned"] for row in rows),
        "with_exemplars": sum(bool(row["exemplars"]) for row in rows), "dropped": dict(maker.dropped),
        "notes": dict(maker.notes), "settings": plain(choice), "prompt_hash": maker.renderer.format.prompt_hash,
        "tools_hashes": sorted({row["tools_hash"] for row in rows}),
        "runs": [{name: row[name] for name in ("run", "task", "score", "exemplars")} for row in rows],
    })


def usable(folder: Path) -> None:
    """Raises UsageError if a data set written to `folder` would mix with something else."""
    if folder.exists() and not {path.name for path in folder.iterdir()} <= {ROWS, MANIFEST}:
        raise UsageError(f"{folder} is not empty and holds more than a data set", "Name another folder with --out")


def write(folder: Path, rows: Sequence[dict[str, Any]], about: dict[str, Any]) -> Dataset:
    """Write rows and their manifest to `folder`; what is `about` them is completed by their number, hash and time.

    Raises AutorlError if the disk does not take them.
    """
    lines = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    manifest = {"hash": _hash(lines), "created": datetime.now(UTC).isoformat(timespec="seconds"), "rows": len(rows),
                **about}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ROWS).write_bytes(lines)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise AutorlError(f"the data set could not be written to {folder}: {error}",
                          "Is there room? Name another folder with --out") from error
    return Dataset(folder, manifest, tuple(rows))


def plain(settings: Any) -> dict[str, Any]:
    """Settings (a dataclass) as values that go to JSON."""
    return {name: sorted(value) if isinstance(value, (set, frozenset, tuple)) else
            value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(settings).items()}


@dataclass(frozen=True)
class _Found:
    """A run that may be learned from; `words` are the shingles of its actions."""

    run: str
    score: float
    length: tuple[int, int]
    words: frozenset[str]


class _Maker:
    """A data set in the making; counts what is dropped, and notes what else is worth knowing."""

    def __init__(self, store: ReplayStore, choice: Choice, renderer: Renderer) -> None:
        self.store, self.choice, self.renderer = store, choice, renderer
        self.dropped: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for _, found in sorted(self._found().items()):
            chosen: list[_Found] = []
            for candidate in sorted(found, key=lambda each: (-each.score, each.length, each.run)):
                if len(chosen) == self.choice.per_task:
                    self.dropped["beyond the cap of their task"] += 1
                elif any(_likeness(candidate, other) >= self.choice.alike for other in chosen):
                    self.dropped["do what a better run does"] += 1
                elif row := self._row(candidate, len(rows)):
                    chosen.append(candidate)
                    rows.append(row)
        return rows

    def _found(self) -> dict[str, list[_Found]]:
        """What may be learned from, by task. Held small: a store may have very many runs."""
        by_task: dict[str, list[_Found]] = defaultdict(list)
        choice = self.choice
        for kept in self.store.each(good=True):
            run = kept.run
            if (choice.tasks is not None and run.task.id not in choice.tasks) or (
                    choice.runs is not None and run.id not in choice.runs) or run.id in choice.without:
                self.dropped["not asked for"] += 1
            elif run.tainted:
                self.dropped["read what came from outside"] += 1
            else:
                actions = [f"{action.name} {to_json(action.arguments)}" for action in run.actions]
                by_task[run.task.id].append(_Found(
                    run.id, kept.verdicts[-1].verdict.score, (len(run.steps), sum(map(len, actions))),
                    _shingles(" ".join(actions))))
        return by_task

    def _row(self, found: _Found, number: int) -> dict[str, Any] | None:
        """The row of a run, None if it is dropped."""
        run = self.store.get(found.run)
        tools = self.renderer.tools_of(run)
        if isinstance(tools, str):
            return self._dropped(tools)
        share, failed = self.choice.exemplars, self.choice.failed_steps
        shown = self._recalled(run, tools) if int((number + 1) * share) > int(number * share) else ()
        row = self.renderer.row(run, tools, shown, failed=failed)
        if shown and row["tokens"] > self.choice.max_tokens:
            self.notes["shown no exemplar for want of room"] += 1
            row = self.renderer.row(run, tools, (), failed=failed)
        if row["tokens"] > self.choice.max_tokens:
            return self._dropped(f"longer than {self.choice.max_tokens} tokens")
        if not row["tokens_learned"]:
            return self._dropped("no step to learn from")
        return {**row, "score": found.score}

    def _recalled(self, run: Trajectory, tools: Toolset) -> tuple[Exemplar, ...]:
        """What would be recalled for the task of a run, but for its own successes."""
        how = Recall(self.choice.k, self.choice.budget, style=self.choice.style, same_task=False)
        shown = recall(self.store, run.task, tools=tools, how=how, size=self.renderer.size).exemplars
        if not shown:
            self.notes["nothing to recall"] += 1
        return shown

    def _dropped(self, why: str) -> dict[str, Any] | None:
        self.dropped[why] += 1
        return None


def _enough(store: ReplayStore, rows: Sequence[dict[str, Any]], dropped: Counter[str]) -> None:
    """Raises UsageError unless there are rows of two tasks at least: one alone would be learned by heart."""
    counts = store.counts()
    passed = counts.pop("passed")
    ended = sum(counts.values())
    more = "Collect more: autorl collect slides/learn --n 8"
    if ended == 0:
        raise UsageError(f"the store {store.where} holds no runs to learn from", more)
    if passed == 0:
        raise UsageError(f"none of the {ended} runs in {store.where} passed, and only successes are learned from",
                         f"{more}, or say which were good: autorl feedback RUN --good")
    told = "; ".join(f"{count} {why}" for why, count in dropped.most_common()) or "the others are not trusted"
    if not rows:
        raise UsageError(f"none of the {passed} runs that passed can be learned from: {told}", more)
    if len({row["task"] for row in rows}) == 1:
        raise UsageError(f"all there is to learn from is one task ({len(rows)} runs; left out: {told}), which would be "
                         "learned by heart", more)


def _shingles(text: str) -> frozenset[str]:
    words = text.split()
    return frozenset(" ".join(words[start : start + _SHINGLE]) for start in range(max(1, len(words) - _SHINGLE + 1)))


def _likeness(one: _Found, other: _Found) -> float:
    """The Jaccard index of two runs' actions."""
    return len(one.words & other.words) / (len(one.words | other.words) or 1)


def _hash(lines: bytes) -> str:
    return hashlib.sha256(lines).hexdigest()
