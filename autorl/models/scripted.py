"""A model that says what it was told to say: for tests of agents, ours and yours."""

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from autorl.errors import ModelUnavailable, UsageError
from autorl.models.base import Capabilities, Completion, Request, estimate
from autorl.types import Usage

Script = Callable[[Request], "str | Completion"]


class Scripted:
    """Gives the texts of `script` one after the other, or what a function makes of each request.

    script: texts or Completions, or a function of the Request (which may raise what a backend raises)
    Raises ModelUnavailable when it is asked for more than it has.
    """

    capabilities = Capabilities(tool_calls=True)

    def __init__(self, script: Iterable[str | Completion] | Script, *, name: str = "scripted",
                 context_tokens: int | None = None) -> None:
        self.name = name
        self.context_tokens = context_tokens
        self.requests: list[Request] = []
        self._answers: Sequence[str | Completion] = () if callable(script) else tuple(script)
        self._function: Script | None = script if callable(script) else None
        self._lock = threading.Lock()

    @classmethod
    def read(cls, path: str) -> "Scripted":
        """A script from a file with one JSON string a line."""
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise UsageError(f"the script '{path}' cannot be read: {error.strerror}") from error
        try:
            return cls([str(json.loads(line)) for line in lines if line.strip()], name=f"scripted:{path}")
        except ValueError as error:
            raise UsageError(f"the script '{path}' has a line that is no JSON string: {error}") from error

    def complete(self, request: Request) -> Completion:
        with self._lock:
            position = len(self.requests)
            self.requests.append(request)
        if self._function is not None:
            answer = self._function(request)
        elif position < len(self._answers):
            answer = self._answers[position]
        else:
            raise ModelUnavailable(f"the script '{self.name}' has {position} answers and was asked for one more")
        if isinstance(answer, str):
            prompt = sum(self.count(message["content"]) for message in request.messages)
            answer = Completion(answer, usage=Usage(prompt_tokens=prompt, completion_tokens=self.count(answer)))
        if request.on_text:
            request.on_text(answer.text)
        return answer

    def count(self, text: str) -> int:
        return estimate(text)
