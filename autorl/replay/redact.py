"""Takes secrets out of text before it is written anywhere."""

import os
import re
from collections.abc import Callable

_SHAPES = re.compile(
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,200}"  # OpenAI, Anthropic, Stripe
    r"|\bgh[pousr]_[A-Za-z0-9]{20,200}"  # GitHub
    r"|\bgithub_pat_[A-Za-z0-9_]{20,200}"
    r"|\bhf_[A-Za-z0-9]{20,100}"  # Hugging Face
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,200}"  # Slack
    r"|\bA(?:KIA|SIA)[A-Z0-9]{16}\b"  # AWS
    r"|\bAIza[A-Za-z0-9_-]{30,60}"  # Google
    r"|\beyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000}"  # JSON web tokens
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,20000}-----END [A-Z ]{0,30}PRIVATE KEY-----"
)
_MARKS = ("sk-", "pk-", "rk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "hf_", "xox", "AKIA", "ASIA",
          "AIza", "eyJ", "PRIVATE KEY")
"""One of these stands in whatever `_SHAPES` matches."""
_TELLING = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")
_SHORTEST = 8
"""Characters of the shortest value of an environment variable that counts as a secret."""
REDACTED = "[redacted]"


def redactor() -> Callable[[str], str]:
    """A function that takes out what looks like a key, and the values of variables that are named like one.

    The environment is read once, here. It is safe on JSON: nothing it takes out holds a quote or a
    backslash of the syntax.
    """
    found = {
        value for name, value in os.environ.items()
        if len(value) >= _SHORTEST and any(part in name.upper() for part in _TELLING)
    }
    secrets = sorted(found, key=len, reverse=True)  # one may be a part of another

    def redact(text: str) -> str:
        for secret in secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        # Plain search is many times faster than the pattern, and nearly all text holds no mark.
        return _SHAPES.sub(REDACTED, text) if any(mark in text for mark in _MARKS) else text

    return redact
