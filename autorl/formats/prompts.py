"""The prompt texts: Jinja templates from prompts/, where a project's own file wins."""

import hashlib
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from autorl import content
from autorl.errors import UsageError

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=False, autoescape=False
)


def render(name: str, **values: Any) -> str:
    """The prompt `name` with its variables filled in.

    Raises UnknownName if there is no such file, UsageError for a variable it may not use.
    """
    path = content.find("prompts", f"{name}.jinja")
    try:
        return _compiled(path.read_text(encoding="utf-8")).render(**values).strip()
    except UndefinedError as error:
        raise UsageError(f"the prompt {path} uses an unknown variable: {error.message}",
                         f"It may use: {', '.join(sorted(values))}") from error
    except TemplateError as error:
        raise UsageError(f"the prompt {path} is no valid template: {error.message}") from error


def text_hash(*names: str) -> str:
    """A hash of the texts of these prompts, for the provenance of a run."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(content.find("prompts", f"{name}.jinja").read_bytes())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=64)
def _compiled(text: str) -> Template:
    return _ENVIRONMENT.from_string(text)
