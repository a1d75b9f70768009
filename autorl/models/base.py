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
    tool_calls: bool = False
    logprobs: bool = False
    token_ids: bool = False
    repetition: bool = False


@dataclass(frozen=True)
class Request:
    """One completion to ask for.

    messages: role and content each; stop: texts that end the completion and are not part of it
    max_tokens: of the completion; temperature: 0 for greedy; seed: None for a different one each time
    repetition: penalty on tokens that stand in the text already (Keskar et al. 2019), 1 for none; None for the
        backend's own
    grammar, json_schema: what the text must look like, as the backend's capabilities allow
    tools: what may be called, in OpenAI's form; call: whether the answer must be a call
    tokens: whether the ids and log-probabilities of the completion's tokens are wanted
    run: the run that asks, so that its requests go where its prompt is cached
    on_text: called with each piece of text as it comes; None where nobody watches
    """

    messages: Sequence[Mapping[str, Any]]
    stop: tuple[str, ...] = ()
    max_tokens: int = 512
    temperature: float = 0.7
    seed: int | None = None
    repetition: float | None = None
    grammar: str | None = None
    json_schema: dict[str, Any] | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    call: bool = False
    tokens: bool = False
    run: str = field(default="", compare=False)
    on_text: OnText | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Completion:
    """What came back.

    text: calls of tools stand in it as <tool_call>{"name": ..., "arguments": ...}</tool_call>, with the arguments
        as the server gave them, JSON or not
    finish_reason: stop, tool_calls or length, as the backend gave it; None means that the answer was cut off
    seconds: wall clock of the whole call; tokens_per_second: of decoding, 0 where unknown
    policy: who answered, where that is not the model's name (an adapter that was swapped in)
    token_ids, logprobs: of the tokens that the model gave, in order; empty where not asked for or not known
    """

    text: str
    finish_reason: str | None = "stop"
    usage: Usage = Usage()
    seconds: float = 0.0
    tokens_per_second: float = 0.0
    policy: str = ""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


class Model(Protocol):
    """A backend with a model loaded or reachable.

    name: as the user wrote it; context_tokens: prompt and completion together, None where unknown
    """

    capabilities: Capabilities

    @property
    def name(self) -> str: ...

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
