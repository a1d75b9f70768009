"""New task sets the paper's way: a model names careers, then writes what people of each would ask for.

What it writes is kept line by line in the set's own file, so a generation that was cut off goes on where it stopped.
"""

import hashlib
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autorl import tasks
from autorl.bench.leaks import NEAR, Known
from autorl.bench.listed import INPUT_CAP, careers_in, objects_in
from autorl.errors import UsageError
from autorl.formats import prompts
from autorl.models.base import Model, Request
from autorl.types import Task, clean_text

SHORTEST, LONGEST = 60, 2_000
"""Characters of a task's text."""
TRIES = 3
"""How often in a row a model may give nothing new: for a career, as a list of careers, or for careers one by one."""
_OTHER = 10  # every so many careers one writes in another language
_ASKED_AT_ONCE = 25
_NAMED = 100
_TASK_TOKENS, _CAREER_TOKENS = 700, 12
_WRITTEN = {
    "type": "object", "required": ["text", "requirements", "brief"], "additionalProperties": False,
    "properties": {
        "text": {"type": "string", "minLength": SHORTEST, "maxLength": LONGEST}, "requirements": {"type": "object"},
        "brief": {"type": "array", "items": {"type": "string"}, "maxItems": 6}},
}

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What set to make.

    careers: how many; each: tasks of each of them
    kind: the prompt `tasks/KIND` that asks for them, and the verifier that judges them
    languages: codes, one of which is asked for in every tenth career, in turn; the others write English
    apart_from: tasks that none of the new ones may repeat, such as those held out
    """

    careers: int
    each: int = 2
    kind: str = "slides"
    languages: tuple[str, ...] = ()
    apart_from: tuple[Task, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Generated:
    """What a generation came to.

    tasks: in the file now; new: of them from this generation; requests: completions asked for
    dropped: how much of what the model wrote was not kept, by why; short: careers with fewer tasks than planned
    """

    tasks: int
    new: int
    requests: int
    dropped: Mapping[str, int]
    short: tuple[str, ...]


class _Unfit(Exception):
    """What the model wrote is no task to keep: why, and with which detail."""


def generate(out: Path, model: Model, plan: Plan, tell: Tell = lambda line: None) -> Generated:
    """Write tasks to `out` until it has what `plan` asks for, beside those that it has already.

    The file may fall short of the plan: where the model gives nothing new three times in a row, it is let be.
    tell: is told of every career that is done, and of everything that is dropped
    Raises UsageError for a file with wrong lines, ModelUnavailable, and OSError; what was written until then stays.
    """
    return _Generation(out, model, plan, tell).run()


class _Generation:
    """One going; all that must outlast it is in the file."""

    def __init__(self, out: Path, model: Model, plan: Plan, tell: Tell) -> None:
        self._out, self._model, self._plan, self._tell = out, model, plan, tell
        self._verifiers = tasks.verifiers()
        self._ask_careers, self._ask_tasks = prompts.load("tasks/careers"), prompts.load(f"tasks/{plan.kind}")
        begun = _begun(out)
        self._careers: dict[str, list[Task]] = {}
        for task in begun:
            self._careers.setdefault(tasks.group(task), []).append(task)
        self._known = Known((*plan.apart_from, *begun))
        self._ids = {task.id for task in (*plan.apart_from, *begun)}
        self._requests = self._new = 0
        self._dropped: Counter[str] = Counter()

    def run(self) -> Generated:
        barren = 0
        for career in self._to_do():
            self._write(career)
            done = len(self._careers.get(career, ()))
            self._tell(f"{career}: {done} of {self._plan.each} tasks")
            barren = 0 if done else barren + 1
            if barren == TRIES:
                break
        short = tuple(career for career, done in self._careers.items() if len(done) < self._plan.each)
        return Generated(sum(map(len, self._careers.values())), self._new, self._requests, dict(self._dropped), short)

    def _to_do(self) -> Iterator[str]:
        """The careers that were begun, then new ones, as long as too few of them have tasks."""
        yield from [career for career, done in self._careers.items() if len(done) < self._plan.each]
        named = {_key(career): career for career in self._careers}
        barren = 0
        while (missing := self._plan.careers - len(self._careers)) > 0 and barren < TRIES:
            count = min(missing, _ASKED_AT_ONCE)
            asked = self._ask_careers.render(count=count, known=[*named.values()][-_NAMED:])
            said = self._ask(asked, f"careers/{len(named)}/{barren}", _CAREER_TOKENS * count)
            new = [career for career in careers_in(said) if _key(career) not in named][:count]
            if not new:
                self._drop("a list without a new career", said.strip()[:60])
            barren = 0 if new else barren + 1
            for career in new:
                named[_key(career)] = career
                yield career

    def _write(self, career: str) -> None:
        """Ask for the tasks of a career until it has enough of them, or nothing new comes."""
        barren = 0
        place = [*self._careers].index(career) if career in self._careers else len(self._careers)
        language = self._language(place)
        while (missing := self._plan.each - len(self._careers.get(career, ()))) > 0 and barren < TRIES:
            have = [task.text for task in self._careers.get(career, ())]
            asked = self._ask_tasks.render(career=career, count=missing, language=language, known=have)
            schema = {"type": "array", "minItems": missing, "maxItems": missing, "items": _WRITTEN}
            found = list(objects_in(self._ask(asked, f"{career}/{len(have)}/{barren}", _TASK_TOKENS * missing, schema)))
            if not found:
                self._drop("a completion without a JSON object", career)
            for value in found[missing:]:
                self._drop("more than was asked for", str(value.get("text"))[:60])
            kept = [self._keep(value, career, language) for value in found[:missing]]
            barren = 0 if any(kept) else barren + 1

    def _language(self, place: int) -> str:
        others = self._plan.languages
        turn, rest = divmod(place, _OTHER)
        return others[turn % len(others)] if others and rest == _OTHER - 1 else tasks.ENGLISH

    def _keep(self, value: Mapping[str, Any], career: str, language: str) -> bool:
        """Write the task to the file, if it is one to keep; else count it as dropped."""
        try:
            task = self._checked(value, career, language)
        except _Unfit as unfit:
            self._drop(*unfit.args)
            return False
        with self._out.open("a", encoding="utf-8") as file:
            file.write(task.model_dump_json(exclude_defaults=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._careers.setdefault(career, []).append(task)
        self._known.add([task])
        self._ids.add(task.id)
        self._new += 1
        return True

    def _checked(self, value: Mapping[str, Any], career: str, language: str) -> Task:
        text, requirements = value.get("text"), value.get("requirements", {})
        if not isinstance(text, str) or not SHORTEST <= len(text) <= LONGEST:
            raise _Unfit(f"no text of {SHORTEST} to {LONGEST} characters", str(text)[:60])
        if not isinstance(requirements, dict):
            raise _Unfit("requirements that are no JSON object", str(requirements)[:60])
        own = {tasks.GROUP: career, tasks.LANGUAGE: language, tasks.BRIEF: value.get("brief", [])}
        line = {"id": self._id(career), "text": clean_text(" ".join(text.split())), "verifier": self._plan.kind,
                "requirements": {**requirements, **own}}
        try:
            task = tasks.parse(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace"))
        except UsageError as error:
            raise _Unfit("what makes no task", error.what) from error
        for problem in tasks.misunderstood(task, self._verifiers):
            raise _Unfit("requirements that the verifier cannot read or the text contradicts", problem)
        (other, likeness), = self._known.nearest([task.text])
        if likeness >= NEAR:
            raise _Unfit("a text that nearly repeats another task's", f"{other}, likeness {likeness:.2f}")
        return task

    def _id(self, career: str) -> str:
        slug, number = _slug(career), 1
        while (id := f"{self._plan.kind}-{slug}-{number}") in self._ids:
            number += 1
        return id

    def _drop(self, why: str, detail: str) -> None:
        self._dropped[why] += 1
        self._tell(f"dropped: {why} ({detail})")

    def _ask(self, text: str, turn: str, max_tokens: int, schema: dict[str, Any] | None = None) -> str:
        """The model's answer. Each turn has a seed of its own, so that asking again gives something else."""
        digest = hashlib.sha256(f"{self._plan.seed}/{turn}".encode()).digest()
        self._requests += 1
        said = self._model.complete(Request(
            [{"role": "user", "content": text}], max_tokens=max_tokens, temperature=1.0,
            seed=int.from_bytes(digest[:4]) >> 1,
            json_schema=schema if self._model.capabilities.json_schema else None)).text
        if len(said) > INPUT_CAP:
            self._drop("the end of an over-long completion", f"{len(said) - INPUT_CAP} characters")
        return said[:INPUT_CAP]


def _begun(out: Path) -> tuple[Task, ...]:
    """The tasks that are in the file already. A last line that was cut off while it was written is removed."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.touch()
    written = out.read_bytes()
    if not written.endswith(b"\n"):
        os.truncate(out, written.rfind(b"\n") + 1)
    return tasks.load(str(out)).tasks


def _key(career: str) -> str:
    return career.casefold().removesuffix("s")


def _slug(career: str) -> str:
    """The career in letters and digits, for an id; a hash of it, where it has none of them."""
    plain = unicodedata.normalize("NFKD", career).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain))[:40] or hashlib.sha256(career.encode()).hexdigest()[:8]
