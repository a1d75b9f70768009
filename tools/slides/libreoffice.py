"""LibreOffice, turning decks that anyone may have made into PDF: bounded, with no network and no macros."""

import fcntl
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from lxml import etree

from autorl import __version__
from autorl.errors import ToolError

from .archive import PARSER

TIMEOUT = 45.0
"""Seconds a program may take over one deck."""
WAIT = 300.0
"""Seconds to wait for one of the slots."""
SLOTS = min(max(2, os.cpu_count() or 2), 8)
"""Conversions at once, over all threads and processes that share a cache."""
LIMITS = "ulimit -c 0; ulimit -t 60; ulimit -d 2000000; ulimit -f 1000000"
"""No core files; seconds of CPU, also where the caller was killed; KiB of memory, of which an ordinary deck takes a
tenth, and a picture too large for it is left out; blocks of 512 bytes that a file may have."""

PACKAGES = {
    "soffice": "libreoffice-impress-nogui", "fc-list": "fontconfig", "pdftotext": "poppler-utils",
    "pdftoppm": "poppler-utils", "Carlito": "fonts-crosextra-carlito", "Liberation Sans": "fonts-liberation",
    "Noto Sans CJK": "fonts-noto-cjk"}
"""Programs and fonts, with the Debian package that brings each. Carlito is as wide as Calibri, Liberation Sans as
Arial: without them the words of most decks would be measured in a wider font."""
EAST_ASIAN = "Noto Sans CJK"
"""The font that only decks in Chinese, Japanese or Korean need: they would be all boxes without."""
_FONTS = {"Carlito", "Liberation Sans", EAST_ASIAN}
_GZIP = b"\x1f\x8b"  # an SVG may come packed
_OUTER_REFERENCE = re.compile(rb"""(href\s*=\s*["'])(?!#)""", re.IGNORECASE)

_EXPORT = 'pdf:impress_pdf_Export:{"ExportHiddenSlides":{"type":"boolean","value":"true"}}'
_SETTINGS: dict[str, dict[str, bool | int | str]] = {
    # No location is trusted, so linked pictures and objects are not loaded; see also _unlinked.
    "Office.Common/Security/Scripting": {
        "BlockUntrustedRefererLinks": True, "DisableMacrosExecution": True, "MacroSecurityLevel": 3},
    "Inet/Settings": {
        "ooInetProxyType": 2, "ooInetHTTPProxyName": "127.0.0.1", "ooInetHTTPProxyPort": 9,
        "ooInetHTTPSProxyName": "127.0.0.1", "ooInetHTTPSProxyPort": 9},
}


class NotRendered(ToolError):
    """A deck was not rendered: a part is missing, or a program failed on the deck or took too long."""


def lacking() -> dict[str, str]:
    """The programs and fonts that this machine lacks, each with the Debian package that brings it."""
    fonts = _fonts() if shutil.which("fc-list") else ""
    return {name: package for name, package in PACKAGES.items()
            if (name not in fonts if name in _FONTS else shutil.which(name) is None)}


def identity() -> str:
    """Equal where decks are rendered equally: LibreOffice's build, the fonts of this machine, and this code."""
    office = os.stat(os.path.realpath(str(shutil.which("soffice"))))
    seen = (office.st_ino, office.st_mtime_ns, office.st_size, _fonts(), __version__)
    return hashlib.sha256(repr(seen).encode()).hexdigest()


def to_pdf(deck: bytes, folder: Path) -> bytes:
    """The .pptx `deck` as PDF, a page for every slide, also the hidden ones; made in `folder`, one of `slot`.

    Raises NotRendered.
    """
    source, result, profile = folder / "deck.pptx", folder / "deck.pdf", folder / "profile"
    source.write_bytes(_unlinked(deck))
    # A profile of its own for each deck costs less than 0.1 s, and nothing of one deck can reach the next.
    (profile / "user").mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(_registry(), encoding="utf-8")
    bounded([
        *_unshared(), "soffice", "--headless", "--norestore", "--nolockcheck", "--nodefault", "--nologo",
        f"-env:UserInstallation={profile.as_uri()}", "--infilter=Impress MS PowerPoint 2007 XML",
        "--convert-to", _EXPORT, "--outdir", str(folder), str(source)], folder)
    if not result.is_file():  # soffice reports success then, too
        raise NotRendered(f"LibreOffice cannot load the deck ({_last_line(folder / 'err')})", "Make it again")
    return result.read_bytes()


def bounded(command: Sequence[str], folder: Path) -> bytes:
    """Run `command` in `folder` within TIMEOUT and LIMITS; what it printed.

    Raises NotRendered if it fails; if it takes too long, it is killed with all that it started.
    """
    surroundings = {  # keys and tokens stay outside; HOME has the user's own fonts
        "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", str(folder)), "TMPDIR": str(folder),
        "LC_ALL": "C.UTF-8"}
    # Files, since a pipe could be held open, and reading it held up, by a process that got away.
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(["sh", "-c", f'{LIMITS}; exec "$@"', "sh", *command], cwd=folder, env=surroundings,
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
        name = next(part for part in command if part in PACKAGES)
        try:
            status = process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            raise NotRendered(f"{name} did not finish with the deck within {TIMEOUT:g} s and was ended",
                              "Make a smaller deck") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status != 0:
        raise NotRendered(f"{name} failed on the deck, with status {status} ({_last_line(folder / 'err')})",
                          "Make it again")
    return (folder / "out").read_bytes()


def _unlinked(deck: bytes) -> bytes:
    """The deck with every link leading nowhere.

    LibreOffice's settings stop neither a background nor an SVG from showing a picture of this disk. Written anew, the
    archive also has no second reading that nobody looked over.
    """
    copy = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(deck)) as old, zipfile.ZipFile(copy, "w") as new:
        for part in old.infolist():
            data = old.read(part)
            if part.filename.lower().endswith(".rels"):
                data = _leading_nowhere(data)
            elif data.startswith(_GZIP):
                data = b""
            elif b"<svg" in data:
                data = _OUTER_REFERENCE.sub(rb"\1#", data)
            new.writestr(part, data, zipfile.ZIP_STORED)
    return copy.getvalue()


def _leading_nowhere(relationships: bytes) -> bytes:
    root = etree.fromstring(relationships, PARSER)
    for each in root:
        if each.get("TargetMode") == "External":
            each.set("Target", "about:blank")  # a hyperlink is still drawn as one
    return etree.tostring(root)


@contextmanager
def slot(shared: Path) -> Iterator[Path]:
    """An empty folder below `shared`, for as long as one of its SLOTS is the caller's.

    Raises NotRendered if none gets free.
    """
    shared.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        for number in range(SLOTS):
            with (shared / f"slot-{number}.lock").open("a") as lock:
                if not _locked(lock):
                    continue
                try:
                    yield from _emptied(shared / f"slot-{number}")
                finally:
                    fcntl.flock(lock, fcntl.LOCK_UN)  # a process forked meanwhile has the file open as well
                return
        time.sleep(0.02)
    raise NotRendered(f"all {SLOTS} conversions that may run at once were busy for {WAIT:g} s", "Try again later")


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _emptied(place: Path) -> Iterator[Path]:
    shutil.rmtree(place, ignore_errors=True)  # what a killed process left
    place.mkdir(exist_ok=True)
    # Under a new name, because a LibreOffice that outlived its caller answers for its profile's path.
    with tempfile.TemporaryDirectory(dir=place, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@cache
def _unshared() -> tuple[str, ...]:
    """What to put before a command to take the network from it; nothing where the system does not let users."""
    command = ("unshare", "--map-root-user", "--net", "--")
    try:
        done = subprocess.run([*command, "true"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return command if done.returncode == 0 else ()


def _registry() -> str:
    items = "".join(
        f'<item oor:path="/org.openoffice.{path}"><prop oor:name="{name}" oor:op="fuse">'
        f"<value>{str(value).lower()}</value></prop></item>\n"
        for path, settings in _SETTINGS.items() for name, value in settings.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<oor:items xmlns:oor="http://openoffice.org/2001/registry">' \
           f"\n{items}</oor:items>\n"


def _fonts() -> str:
    return subprocess.run(["fc-list"], capture_output=True, timeout=TIMEOUT, check=False).stdout.decode(
        errors="replace")


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"
