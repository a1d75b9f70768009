"""What a test needs and a machine may lack: an error where CI runs, a skip that is told elsewhere."""

import os

import pytest

lacking: dict[str, str] = {}
"""What was not there, with how to get it; told again after the last test."""


def require(present: bool, what: str, remedy: str) -> None:
    """Go on if `what` is `present`; else fail in CI, and skip the test elsewhere."""
    if present:
        return
    lacking[what] = remedy
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"this machine has no {what}, and CI must: {remedy}")
    pytest.skip(f"needs {what}: {remedy}")
