"""Task sets: files of JSON lines under tasks/, a `Task` each, and those that a tool pack makes.

What a set knows of a task beside it stands in its requirements, which no policy is shown: `group` (whose tasks belong
together, such as a career), `language` (a code such as `de`) and `brief` (what the person who asks would answer if
asked, a list of texts).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import ValidationError

from autorl import content
from autorl.errors import AutorlError, UsageError
from autorl.types import Task
from autorl.verify.checks import AtLeast, Verifier, by_name

SUFFIX = ".jsonl"
GROUP, LANGUAGE, BRIEF = "group", "language", "brief"
ENGLISH = "en"
_NOT_ASKED = {GROUP, LANGUAGE, BRIEF, "tools", "optimal"}  # what others than the verifier read
_SHOWN = 5


@dataclass(frozen=True)
class Wrong:
    """A line that holds no task. number: from 1"""

    number: int
    why: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.why}"


@dataclass(frozen=True)
class TaskSet:
    """The tasks of a set in their order, and the lines of its file that hold none. path: None for one that is made"""

    name: str
    path: Path | None
    tasks: tuple[Task, ...]
    wrong: tuple[Wrong, ...] = ()


@runtime_checkable
class Understanding(Protocol):
    """A verifier that says beforehand what it will look for."""

    def asked(self, task: Task) -> Mapping[str, Any]:
        """What `task` asks for, by name: what its requirements declare, and else what its text says.

        Raises UsageError for a requirement that cannot be read.
        """
        ...


def names() -> list[str]:
    """The task sets there are as files: the project's and the built-in ones."""
    return content.names("tasks", SUFFIX)


def made() -> list[str]:
    """Some of the task sets that tool packs make; there may be any number of others."""
    return [f"{pack}/{name}" for pack in content.packs() for name in content.load_pack(pack).task_sets]


def load(name: str, *, skip_wrong: bool = False) -> TaskSet:
    """The task set `name`, such as `slides/learn` or `warehouse/w1/train`, or the one in a file of that path.

    skip_wrong: leave out the lines that hold no task; they stand in `wrong`
    Raises UnknownName, and UsageError for a file that cannot be read or, unless `skip_wrong`, has a wrong line.
    """
    pack, _, rest = name.partition("/")
    if rest and pack in content.packs() and rest in (sets := content.load_pack(pack).task_sets):
        return TaskSet(name, None, tuple(sets[rest]))
    found = read(Path(name) if name.endswith(SUFFIX) else content.find("tasks", f"{name}{SUFFIX}"), name)
    if found.wrong and not skip_wrong:
        more = f"; and {len(found.wrong) - _SHOWN} more" if len(found.wrong) > _SHOWN else ""
        lines = "; ".join(str(wrong) for wrong in found.wrong[:_SHOWN])
        count = "a line that holds" if len(found.wrong) == 1 else f"{len(found.wrong)} lines that hold"
        raise UsageError(f"{found.path} has {count} no task: {lines}{more}",
                         f"Mend it, or go on with the other {len(found.tasks)} tasks: --skip-wrong")
    return found


def read(path: Path, name: str = "") -> TaskSet:
    """All tasks of a file, and its wrong lines: no JSON, no task, or an id that an earlier line has.

    Raises UsageError for a file that cannot be read.
    """
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    except OSError as error:
        raise UsageError(f"the task set {path} cannot be read: {error.strerror}") from error
    tasks: list[Task] = []
    wrong: list[Wrong] = []
    first: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            task = parse(line)
        except UsageError as error:
            wrong.append(Wrong(number, error.what))
            continue
        if first.setdefault(task.id, number) != number:
            wrong.append(Wrong(number, f"its id '{task.id}' stands in line {first[task.id]} already"))
        else:
            tasks.append(task)
    return TaskSet(name or path.stem, path, tuple(tasks), tuple(wrong))


def parse(line: str | bytes) -> Task:
    """The task of one line. Raises UsageError that says what is wrong with it."""
    try:
        task = Task.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(map(str, first["loc"]))
        what = f"'{at}' is no field of a task" if first["type"] == "extra_forbidden" else f"'{at}': {first['msg']}"
        raise UsageError(what if at else f"it is no JSON object ({first['msg']})") from error
    for name, fits, expected in ((GROUP, _is_text, "a text"), (LANGUAGE, _is_text, "a code such as 'de'"),
                                 (BRIEF, _is_texts, "a list of texts")):
        if not fits(task.requirements.get(name, "-" if fits is _is_text else [])):
            raise UsageError(f"'requirements.{name}' is {task.requirements[name]!r}, expected {expected}")
    return task


def group(task: Task) -> str:
    """Whose task it is; a task without a group is one of its own."""
    return str(task.requirements.get(GROUP, task.id))


def language(task: Task) -> str:
    """The code of the language that the task is written in."""
    return str(task.requirements.get(LANGUAGE, ENGLISH))


def brief(task: Task) -> tuple[str, ...]:
    """What the person who asks would answer if asked."""
    return tuple(task.requirements.get(BRIEF, ()))


def judged_by(tasks: Sequence[Task], verifier: str | None) -> tuple[Task, ...]:
    """The tasks with another verifier than their own, where one is named; NAME>=BAR is one with a bar of its own.

    Raises what `by_name` raises.
    """
    if verifier is None:
        return tuple(tasks)
    by_name(verifier, verifiers())
    return tuple(task.model_copy(update={"verifier": verifier}) for task in tasks)


def verifiers() -> dict[str, Verifier]:
    """The verifiers of all tool packs, by name. Raises UsageError for a pack that does not import."""
    return {name: verifier for pack in content.packs() for name, verifier in content.load_pack(pack).verifiers.items()}


def misunderstood(task: Task, known: Mapping[str, Verifier]) -> Iterator[str]:
    """What is wrong between `task` and its verifier: there is none of that name, a requirement cannot be read or is not
    looked at, or the text contradicts it.

    A verifier that does not tell what it will look for is only held to its name.
    """
    if task.verifier is None:
        return
    try:
        verifier = by_name(task.verifier, known)
        verifier = verifier.of if isinstance(verifier, AtLeast) else verifier
        if not isinstance(verifier, Understanding):
            return
        declared = verifier.asked(task)
        said = verifier.asked(task.model_copy(update={"requirements": {}}))
    except AutorlError as error:
        yield str(error)
        return
    for name in sorted(task.requirements.keys() - declared.keys() - _NOT_ASKED):
        yield f"{task.verifier} does not look at '{name}', which it requires"
    for name, value in said.items():
        if value and _contradicts(declared.get(name), value):
            yield f"its text asks for {name}: {value}, its requirements for {declared.get(name)}"


def _contradicts(declared: Any, said: Any) -> bool:
    """Whether fewer are declared than the text counts, or something else. Lists are not read well enough to tell."""
    if isinstance(said, int) and isinstance(declared, int):
        return declared < said
    return not isinstance(said, (list, tuple)) and declared != said


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))
