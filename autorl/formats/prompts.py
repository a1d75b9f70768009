"""The prompt texts: Jinja templates from prompts/, where a project's own file wins."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from autorl import content
from autorl.errors import UsageError

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=False, autoescape=False
)


@dataclass(frozen=True)
class Prompt:
    """One prompt as it stood when it was read."""

    path: Path
    text: str

    def render(self, **values: Any) -> str:
        """The text with its variables filled in. Raises UsageError for a variable it may not use."""
        try:
            return _compiled(self.text).render(**values).strip()
        except UndefinedError as error:
            raise UsageError(f"the prompt {self.path} uses an unknown variable: {error.message}",
                             f"It may use: {', '.join(sorted(values))}") from error
        except TemplateError as error:
            raise UsageError(f"the prompt {self.path} is no valid template: {error.message}") from error


def load(name: str) -> Prompt:
    """The prompt `name` of the project, or the built-in one. Raises UnknownName if there is none."""
    path = content.find("prompts", f"{name}.jinja")
    return Prompt(path, path.read_text(encoding="utf-8"))


def text_hash(*chosen: Prompt) -> str:
    """A hash of the texts of these prompts, for the provenance of a run."""
    digest = hashlib.sha256()
    for prompt in chosen:
        digest.update(prompt.text.encode())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=64)
def _compiled(text: str) -> Template:
    return _ENVIRONMENT.from_string(text)
