"""One child process: its output is read to the end but not all kept, and nothing of it outlives the call."""

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK = 0.1  # seconds between two checks
_SOON = 0.002  # seconds, where the next thing is due at once
_GRACE = 1.0  # seconds to end in, and to read what is left in the pipes
_CHUNK = 1 << 16


@dataclass
class Kept:
    """The first and the last bytes of a stream, `most` in all, and the count of those between."""

    most: int
    head: bytes = b""
    tail: bytes = b""
    omitted: int = 0

    def add(self, data: bytes) -> None:
        room = self.most // 2 - len(self.head)
        self.head += data[:room]
        rest = self.tail + data[room:]
        self.tail = rest[-(self.most - self.most // 2):]
        self.omitted += len(rest) - len(self.tail)

    def __str__(self) -> str:
        between = f"\n[... {self.omitted} bytes omitted ...]\n".encode() if self.omitted else b""
        return (self.head + between + self.tail).decode(errors="replace")


@dataclass
class Ended:
    """How a process ended. code: as of subprocess; stopped: why it was killed, or ""; cpu: seconds it computed"""

    stdout: Kept
    stderr: Kept
    report: Kept
    code: int = 0
    stopped: str = ""
    cpu: float = 0.0


def run(command: Sequence[str], given: bytes, folder: Path, environment: dict[str, str], *, seconds: float,
        output_bytes: int, excess: Callable[[], str]) -> Ended:
    """Start `command` with one argument more, a descriptor to report on, and follow it until it ends or must.

    given: what it reads from its stdin; excess: what is too much of what it does, in words, or ""; asked several
    times a second, less often where the answer takes long
    """
    until, due, gone = time.monotonic() + seconds, 0.0, 0
    ours, theirs = os.pipe()
    with tempfile.TemporaryFile() as stdin, open(theirs, "wb"):
        stdin.write(given)
        stdin.seek(0)
        # No Python code runs between fork and exec: another thread may hold any lock.
        process = subprocess.Popen([*command, str(theirs)], cwd=folder, env=environment, pass_fds=[theirs],
                                   start_new_session=True, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    ended = Ended(Kept(output_bytes), Kept(output_bytes), Kept(_CHUNK))
    with process, open(ours, "rb") as report, selectors.DefaultSelector() as streams:
        for stream, kept in ((process.stdout, ended.stdout), (process.stderr, ended.stderr), (report, ended.report)):
            assert stream
            streams.register(stream, selectors.EVENT_READ, kept)
        try:
            while not (gone or ended.stopped):
                _read(streams, _TICK if streams.get_map() else _SOON)
                gone, status, usage = os.wait4(process.pid, os.WNOHANG)
                now = time.monotonic()
                if now > until and not gone:
                    ended.stopped = f"it ran longer than {seconds:g} s"
                elif now > due and not gone:
                    ended.stopped = excess()
                    due = now + max(_TICK, 10 * (time.monotonic() - now))
        finally:
            if not gone:
                os.kill(process.pid, signal.SIGTERM)  # it kills the script and sees its end
                until = time.monotonic() + _GRACE
                while not gone and time.monotonic() < until:
                    time.sleep(_SOON)
                    gone, status, usage = os.wait4(process.pid, os.WNOHANG)
            with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left, in two dialects
                os.killpg(process.pid, signal.SIGKILL)
            if not gone:
                _, status, usage = os.wait4(process.pid, 0)
            ended.code = process.returncode = os.waitstatus_to_exitcode(status)
        ended.cpu = usage.ru_utime + usage.ru_stime
        until = time.monotonic() + _GRACE
        while streams.get_map() and time.monotonic() < until:
            _read(streams, _SOON)
    return ended


def _read(streams: selectors.BaseSelector, wait: float) -> None:
    for key, _ in streams.select(wait):
        data = os.read(key.fd, _CHUNK)
        if data:
            key.data.add(data)
        else:
            streams.unregister(key.fileobj)
