"""What a test needs and a machine may lack: an error where CI runs, a skip that is told elsewhere."""

import os

import pytest

LACKING = "for want of "
"""What such a skip says before it names what was not there, and how to get it; all are told again at the end."""


def require(present: bool, what: str, remedy: str) -> None:
    """Go on if `what` is `present`; else fail in CI, and skip the test elsewhere."""
    if present:
        return
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"this machine has no {what}, and CI must: {remedy}")
    pytest.skip(f"{LACKING}{what}: {remedy}")
