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
_TELLING = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")
_SHORTEST = 8
"""Characters of the shortest value of an environment variable that counts as a secret."""
REDACTED = "[redacted]"


def redactor() -> Callable[[str], str]:
    """A function that takes out what looks like a key, and the values of variables that are named like one.

    The environment is read once, here. It is safe on JSON: nothing it takes out holds a quote or a
    backslash of the syntax.
    """
    secrets = {
        value for name, value in os.environ.items()
        if len(value) >= _SHORTEST and any(part in name.upper() for part in _TELLING)
    }
    if not secrets:
        return lambda text: _SHAPES.sub(REDACTED, text)
    named = re.compile("|".join(re.escape(value) for value in sorted(secrets, key=len, reverse=True)))
    return lambda text: named.sub(REDACTED, _SHAPES.sub(REDACTED, text))
