"""The values that everything else passes around: frozen, and the same in Python, JSON and SQL."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from autorl.errors import UsageError

FINISH = "finish"
"""The action that ends a run with an answer; offered when no tool of the set ends the run itself."""


class Value(BaseModel):
    """A frozen value with strict field names, so that JSON from a file or a database is checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Status(StrEnum):
    """How a run stands. Everything but `RUNNING` is an end, and a run has exactly one."""

    RUNNING = "running"
    FINISHED = "finished"
    OUT_OF_STEPS = "out_of_steps"
    OUT_OF_TOKENS = "out_of_tokens"
    OUT_OF_TIME = "out_of_time"
    STUCK = "stuck"
    TRUNCATED = "truncated"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDS = frozenset(Status) - {Status.RUNNING}
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.RUNNING: ENDS,
    Status.FINISHED: frozenset(),
    # Every other end may be taken up again by a resume.
    **{end: frozenset({Status.RUNNING}) for end in ENDS - {Status.FINISHED}},
}

Trust = Literal["trusted", "quarantined", "revoked"]
Style = Literal["full", "compact"]
"""How an exemplar is shown: every step with its observation, or the actions alone."""
RecallMode = Literal["none", "random", "recent", "add-all", "verified", "verified+useful"]
"""Which past runs are shown (see `Recall`)."""


class Task(Value):
    """What is asked.

    text: the request, as a person would write it
    id: stable name; derived from the text when empty
    verifier: name of the verifier that decides success, or None for the tool pack's own
    requirements: what that verifier reads (number of slides, expected state, ...)
    """

    text: str
    id: str = ""
    verifier: str | None = None
    requirements: dict[str, Any] = Field(default_factory=dict)

    @field_validator("text")
    @classmethod
    def _not_empty(cls, text: str) -> str:
        if not text.strip():
            raise UsageError("the task is empty", "Say what to do: autorl solve \"Make a deck about ...\"")
        return text.strip()

    def model_post_init(self, _: Any) -> None:
        if not self.id:
            object.__setattr__(self, "id", hashlib.sha256(self.text.encode()).hexdigest()[:12])

    @classmethod
    def of(cls, task: "str | Task") -> "Task":
        """A task from its text, or the task itself. Raises UsageError for an empty text."""
        return task if isinstance(task, Task) else cls(text=clean_text(task))


class Usage(Value):
    """Tokens of one completion or, added up, of a run. `cached_tokens` are part of `prompt_tokens`."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
        )

    @property
    def total(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class ToolSpec(Value):
    """A tool as the policy sees it: `parameters` is a JSON Schema of type object.

    read_only: a call changes nothing, so that what was refused before it is refused after it
    """

    name: str
    description: str
    parameters: dict[str, Any]
    ends_run: bool = False
    read_only: bool = False


class Action(Value):
    """A tool's name and the arguments to call it with (a_t and p_t of the method)."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Observation(Value):
    """What the environment answered (o_{t+1}): a tool's result, an error's description, or a correction.

    ok: False when the tool raised, timed out or was called with arguments that do not fit
    tainted: the text came from outside (the web, a stranger's file)
    omitted: characters that were cut from the middle of an over-long result
    ends_run: the call was carried out by a tool that ends the run
    data: what the tool tells programs beside the text, which is all that the policy reads
    """

    text: str
    ok: bool = True
    tainted: bool = False
    omitted: int = 0
    ends_run: bool = False
    seconds: float = 0.0
    data: dict[str, Any] | None = None


class Step(Value):
    """One completion and what came of it.

    action: None when the completion held none; `error` then names the reason
    raw: the completion as the model gave it
    cut: characters of `raw` after the first complete action, which the run ignored
    dropped: exemplars that did not fit into the context of this step
    elided: old observations that were shown as a mark only
    policy: the model or adapter that gave it
    token_ids, logprobs: of the tokens of `raw`, in order, where they were asked for and given
    observation: None while the action is under way
    """

    index: int
    thought: str = ""
    action: Action | None = None
    error: str | None = None
    raw: str
    cut: int = 0
    finish_reason: str | None = None
    dropped: tuple[str, ...] = ()
    elided: int = 0
    usage: Usage = Usage()
    seconds: float = 0.0
    tokens_per_second: float = 0.0
    policy: str = ""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    observation: Observation | None = None


class Artifact(Value):
    """A file that a run made. `path` is relative to the run's workspace; `bytes` is its size."""

    path: str
    sha256: str
    bytes: int


class Recalled(Value):
    """That a run was shown an exemplar: which, at what rank (0 is the best), how near, whence and how."""

    run: str
    rank: int
    score: float
    origin: Literal["store", "seed"] = "store"
    style: Style = "full"


class Provenance(Value):
    """What made a run what it is, so that it can be made again and trained on.

    recall: what recall did beside the exemplars: what it left out and why, and the warning that it gave
    """

    model: str = ""
    adapter: str | None = None
    format: str = ""
    prompt_hash: str = ""
    tools_hash: str = ""
    seed: int | None = None
    source: str = "local"
    settings: dict[str, Any] = Field(default_factory=dict)
    recall: dict[str, Any] = Field(default_factory=dict)


class Finding(Value):
    """One thing that is wrong. at: where, in the verifier's own terms, such as {"slide": 3, "object": "s3.4"}"""

    found: str
    remedy: str = ""
    at: dict[str, Any] = Field(default_factory=dict)


class Check(Value):
    """One thing a verifier looked at.

    score: 0..1; weight: share in the verdict's score, any positive scale
    found: what was found, with its place; remedy: what would mend it (empty when passed)
    findings: each thing that was found, with its place
    """

    name: str
    passed: bool
    score: float = Field(ge=0, le=1)
    weight: float = Field(default=1.0, gt=0)
    found: str = ""
    remedy: str = ""
    findings: tuple[Finding, ...] = ()


class Verdict(Value):
    """Whether a run did what was asked, by whom (`verifier`, as name@version) and why.

    strict: it follows from facts; False for the opinion of a model
    """

    verifier: str
    passed: bool
    score: float = Field(ge=0, le=1)
    checks: tuple[Check, ...] = ()
    why: str = ""
    strict: bool = True


class Trajectory(Value):
    """A run as a value: the task, the steps so far, how it stands. Exemplars are named, never contained.

    verdict: the newest one; None until somebody or something has judged the run
    """

    id: str
    task: Task
    status: Status = Status.RUNNING
    reason: str = ""
    steps: tuple[Step, ...] = ()
    answer: str = ""
    recalled: tuple[Recalled, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    verdict: Verdict | None = None
    provenance: Provenance = Provenance()
    started: datetime = Field(default_factory=lambda: datetime.now(UTC))
    seconds: float = 0.0

    @property
    def usage(self) -> Usage:
        return sum((step.usage for step in self.steps), Usage())

    @property
    def actions(self) -> tuple[Action, ...]:
        """The actions that were carried out without an error, in order."""
        return tuple(s.action for s in self.steps if s.action and s.observation and s.observation.ok)

    @property
    def verified(self) -> bool:
        """Whether a verifier or a person said that the run did what was asked."""
        return self.verdict is not None and self.verdict.passed

    @property
    def tainted(self) -> bool:
        """Whether any observation came from outside."""
        return any(s.observation.tainted for s in self.steps if s.observation)

    def called(self, name: str) -> bool:
        """Whether the tool `name` was called without an error."""
        return any(action.name == name for action in self.actions)


@dataclass(frozen=True)
class Exemplar:
    """A past success to show the policy (an element of C_+), with how it was found and how it is shown."""

    trajectory: Trajectory
    score: float = 0.0
    origin: Literal["store", "seed"] = "store"
    style: Style = "full"


@dataclass(frozen=True)
class Context:
    """All that the policy knows at a step (C_t): format and tools first, then exemplars, task and steps.

    available: the tools that make sense to call now, which a constraint keeps to; the prompt shows all `tools`,
    so that it stays the same from step to step
    warning: what went wrong before on tasks like this one, empty for nothing
    run: id of the run that this is the context of
    """

    task: Task
    tools: tuple[ToolSpec, ...]
    exemplars: tuple[Exemplar, ...] = ()
    steps: tuple[Step, ...] = ()
    elided: int = 0
    available: tuple[ToolSpec, ...] = ()
    warning: str = ""
    run: str = ""


@dataclass(frozen=True)
class Limits:
    """When a run must end.

    steps: completions; tokens: generated by the policy; seconds: wall clock
    format_errors: completions without an action, in a row
    repeats: the same action with the same result, in a row
    """

    steps: int = 20
    tokens: int = 20_000
    seconds: float = 600.0
    format_errors: int = 3
    repeats: int = 4


def clean_text(text: str) -> str:
    """Text that every database and file takes: no NUL, no lone surrogate."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def new_run_id() -> str:
    """A run id that sorts by time and that a person can read aloud."""
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    tail = "".join(secrets.choice(alphabet) for _ in range(6))
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{tail}"


def pass_at(checks: Sequence[Check], verifier: str, threshold: float = 1.0) -> Verdict:
    """The weighted mean of `checks` as a verdict that passes at `threshold` (0..1) and above."""
    total = sum(check.weight for check in checks)
    score = sum(check.score * check.weight for check in checks) / total if total else 0.0
    return Verdict(verifier=verifier, passed=bool(checks) and score >= threshold, score=score, checks=tuple(checks))
