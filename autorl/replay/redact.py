"""Takes secrets out of text before it is written anywhere."""

import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

_BEGIN = r"(?:\b|(?<=\\[bfnrt]))"  # of a word, or after an escape such as the \n of JSON that a policy wrote
_SHAPES = re.compile(
    rf"{_BEGIN}(?:(?:sk|pk|rk)-[A-Za-z0-9_-]{{16,200}}"  # OpenAI, Anthropic, Stripe
    r"|gh[pousr]_[A-Za-z0-9]{20,200}"  # GitHub
    r"|github_pat_[A-Za-z0-9_]{20,200}"
    r"|hf_[A-Za-z0-9]{20,100}"  # Hugging Face
    r"|xox[abprs]-[A-Za-z0-9-]{10,200}"  # Slack
    r"|A(?:KIA|SIA)[A-Z0-9]{16}\b"  # AWS
    r"|AIza[A-Za-z0-9_-]{30,60}"  # Google
    r"|eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000})"  # JSON web tokens
    r"|(?<=://)[^\s/:@]{0,100}:[^\s/@]{1,200}(?=@)"  # a name and password in a URL
    # A key whose end was cut off is a secret as well.
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:(?!-----END)[\s\S]){0,20000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)
_MARKS = tuple((letter, re.compile(pattern).search) for letter, pattern in (
    ("-", r"-(?<=[spr]k-)"),
    ("_", r"_(?<=[ha][pousrft]_)(?:(?<=gh[pousr]_)|(?<=_pat_)|(?<=hf_))"),  # field names have many, so in two steps
    ("x", r"x(?<=xox)"),
    ("I", r"I(?:(?<=A[KS]I)A|(?<=AI)za|(?<=PRI)VATE KEY)"),
    ("J", r"J(?<=eyJ)"),
    ("@", r"://[^\s/:@]{0,100}:[^\s/@]{1,200}@"),
))
"""One of these is found in whatever `_SHAPES` matches, each by its rarest letter: nearly all text has none, and to see
that takes a hundredth of the time.
"""
_TELLING = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")
_SHORTEST = 8
"""Characters of the shortest value of an environment variable that counts as a secret."""
REDACTED = "[redacted]"


def redactor() -> Callable[[str], str]:
    """A function that takes out what looks like a key, and the values of variables that are named like one.

    The environment is read once, here.
    """
    found = {
        spelling for name, value in os.environ.items()
        if len(value) >= _SHORTEST and any(part in name.upper() for part in _TELLING)
        for spelling in _spellings(value)
    }
    secrets = sorted(found, key=len, reverse=True)  # one may be a part of another

    def redact(text: str) -> str:
        for secret in secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        for letter, found in _MARKS:
            if letter in text and found(text):
                return _SHAPES.sub(REDACTED, text)
        return text

    return redact


def redacted_json(value: BaseModel, redact: Callable[[str], str], without: set[str] | None = None) -> str:
    """`value` as JSON without its secrets. What is taken out is text; a number that looks alike stays.

    without: names of fields to leave out
    """
    text = to_json(value, exclude=without, inf_nan_mode="null").decode()  # as model_dump_json, in half the time
    return text if redact(text) == text else within(value, redact).model_dump_json(exclude=without)


def within(value: Any, redact: Callable[[str], str]) -> Any:
    """`value` with `redact` applied to every text in it; itself if that changes nothing."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, BaseModel):
        fields = vars(value).items()
        changed = {name: new for name, old in fields if (new := within(old, redact)) is not old and new != old}
        return value.model_copy(update=changed) if changed else value
    if isinstance(value, dict):
        return {redact(key): within(old, redact) for key, old in value.items()}
    return type(value)(within(old, redact) for old in value) if isinstance(value, (list, tuple)) else value


def _spellings(secret: str) -> Iterator[str]:
    """A secret as it is, and as JSON writes it: in arguments, in a policy's own text, and in JSON inside those."""
    yield secret
    for ascii_only in (False, True):
        text = secret
        for _ in range(3):
            text = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
            yield text
