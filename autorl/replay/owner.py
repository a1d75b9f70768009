"""Which process runs a run, and whether it still lives."""

import os
import socket
from functools import cache
from pathlib import Path

going: set[str] = set()
"""The runs that this process is at work on."""


def this() -> str:
    """This process, as `host:pid:start`, told apart from a later one with the same number."""
    return _this(os.getpid())


@cache
def _this(pid: int) -> str:
    return _of(pid)


def alive(owner: str) -> bool:
    """Whether that process lives; one on another machine is taken to."""
    host, _, rest = owner.partition(":")
    if host != _host() or not rest:
        return bool(host)
    pid = int(rest.partition(":")[0])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return _of(pid) == owner


def busy(owner: str, run: str) -> bool:
    """Whether that process lives and, as far as can be known, is still at work on `run`."""
    return alive(owner) and (owner != this() or run in going)


def _of(pid: int) -> str:
    return f"{_host()}:{pid}:{_start(pid)}"


def _start(pid: int) -> str:
    """When a process started, in ticks since the machine did (Linux); empty elsewhere, and once it has ended."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if told[0] in "ZX" else told[19]  # Z: dead, and its parent has not asked for it yet


@cache
def _host() -> str:
    return socket.gethostname().replace(":", "-")
