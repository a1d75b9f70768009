"""What a backend is: `complete(request) -> Completion`, safe to call from many threads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from autorl.types import Usage

OnText = Callable[[str], None]


@dataclass(frozen=True)
class Capabilities:
    """What a backend takes and gives beyond text."""

    grammar: bool = False
    json_schema: bool = False


@dataclass(frozen=True)
class Request:
    """One completion to ask for.

    messages: role and content each; stop: texts that end the completion and are not part of it
    max_tokens: of the completion; temperature: 0 for greedy; seed: None for a different one each time
    grammar, json_schema: what the text must look like, as the backend's capabilities allow
    on_text: called with each piece of text as it comes; None where nobody watches
    """

    messages: Sequence[Mapping[str, str]]
    stop: tuple[str, ...] = ()
    max_tokens: int = 512
    temperature: float = 0.7
    seed: int | None = None
    grammar: str | None = None
    json_schema: dict[str, Any] | None = None
    on_text: OnText | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Completion:
    """What came back.

    finish_reason: stop or length, as the backend gave it; None means that the answer was cut off
    seconds: wall clock of the whole call; tokens_per_second: of decoding, 0 where unknown
    """

    text: str
    finish_reason: str | None = "stop"
    usage: Usage = Usage()
    seconds: float = 0.0
    tokens_per_second: float = 0.0


class Model(Protocol):
    """A backend with a model loaded or reachable.

    name: as the user wrote it; context_tokens: prompt and completion together, None where unknown
    """

    name: str
    capabilities: Capabilities

    @property
    def context_tokens(self) -> int | None: ...

    def complete(self, request: Request) -> Completion:
        """Raises ModelUnavailable, or ContextOverflow when the server says that the prompt is too long."""
        ...

    def count(self, text: str) -> int:
        """Tokens in `text`, exactly or from above."""
        ...


def estimate(text: str) -> int:
    """Tokens in `text` where no tokenizer is at hand: three bytes each, more than most texts need."""
    return len(text.encode("utf-8", "replace")) // 3 + 1
