"""Chromium without a window, over the pipe that it listens on for its DevTools protocol: no driver, no port."""

import base64
import fcntl
import json
import os
import queue
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from tests import needs

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_PATIENCE = 120.0
_FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--no-default-browser-check", "--disable-extensions", "--disable-background-networking",
    "--hide-scrollbars", "about:blank",
)
_KEYS = {"Enter": 13, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Escape": 27}


class Page:
    """A page of a browser, as large as a screen. `requests`: the URLs that it asked for; `errors`: of its scripts."""

    def __init__(self, browser: "Browser", width: int, height: int, dark: bool) -> None:
        self._browser = browser
        made = browser.call("Target.createTarget", url="about:blank")
        found = browser.call("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        self._target, self._session = made["targetId"], found["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def call(self, method: str, **given: Any) -> Any:
        return self._browser.call(method, session=self._session, **given)

    def events(self, method: str) -> list[dict[str, Any]]:
        mine = (self._session, method)
        return [e["params"] for e in self._browser.events if (e.get("sessionId"), e["method"]) == mine]

    @property
    def requests(self) -> list[str]:
        return [event["request"]["url"] for event in self.events("Network.requestWillBeSent")]

    @property
    def errors(self) -> list[str]:
        return [json.dumps(event) for event in self.events("Runtime.exceptionThrown")]

    def open(self, url: str) -> "Page":
        """Go there, and return when it is loaded."""
        before = len(self.events("Page.loadEventFired"))
        self.call("Page.navigate", url=url)
        self._until(lambda: len(self.events("Page.loadEventFired")) > before, f"{url} to load")
        return self

    def ask(self, script: str) -> Any:
        """What a script gives."""
        given = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in given, given
        return given["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until a script gives something true."""
        self._until(lambda: self.ask(script), script)

    def press(self, key: str, shift: bool = False) -> None:
        """A key, by its name or its letter."""
        code = {"key": key, "windowsVirtualKeyCode": _KEYS.get(key, ord(key[0].upper())), "modifiers": 8 * shift,
                **({"text": "\r" if key == "Enter" else key} if key == "Enter" or len(key) == 1 else {})}
        self.call("Input.dispatchKeyEvent", type="keyDown", **code)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        x, y = self._middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drag(self, selector: str, onto: str) -> None:
        """Take hold of the one, carry it to the other in some steps, and let go."""
        x, y = self._middle(selector)
        to_x, to_y = self._middle(onto, scroll=False)
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
        for step in range(1, 9):
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + (to_x - x) * step / 8,
                      y=y + (to_y - y) * step / 8, button="left", buttons=1)
        to_x, to_y = self._middle(onto, scroll=False)  # the page may make room for what is dragged
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=to_x, y=to_y, button="left", buttons=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=to_x, y=to_y, button="left", clickCount=1)

    def picture(self, path: Path | None = None, *, whole: bool = False) -> bytes:
        """What the page looks like, as a PNG."""
        taken = base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])
        if path:
            path.write_bytes(taken)
        return taken

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)

    def _middle(self, selector: str, *, scroll: bool = True) -> tuple[float, float]:
        box = self.ask(f"""(() => {{ const found = document.querySelector({json.dumps(selector)});
            if ({json.dumps(scroll)}) found.scrollIntoView({{block: "nearest", inline: "nearest"}});
            const box = found.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2]; }})()""")
        return box[0], box[1]

    def _until(self, true: Any, what: str) -> None:
        ends = time.monotonic() + _PATIENCE
        while not true():
            assert time.monotonic() < ends, f"waited {_PATIENCE:g} s for {what}"
            time.sleep(0.02)


class Browser:
    """A process of Chromium. `events`: all that it told."""

    def __init__(self, profile: str) -> None:
        assert PROGRAM
        (here, ours), (theirs, there) = os.pipe(), os.pipe()
        # 3 and 4 are what it reads and writes; both have to be free of other uses when they are set.
        far = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 20) for each in (here, there)]
        self.process = os.posix_spawn(
            PROGRAM, [PROGRAM, *_FLAGS[:-1], f"--user-data-dir={profile}", _FLAGS[-1]], {**os.environ, "HOME": profile},
            file_actions=[(os.POSIX_SPAWN_DUP2, far[0], 3), (os.POSIX_SPAWN_DUP2, far[1], 4),
                          (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)], setpgroup=0)
        for each in (here, there, *far):
            os.close(each)
        self.events: list[dict[str, Any]] = []
        self._out, self._in = os.fdopen(ours, "wb", buffering=0), os.fdopen(theirs, "rb")
        self._numbers = count(1)
        self._waiting: dict[int, queue.Queue[dict[str, Any]]] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def call(self, method: str, session: str | None = None, **given: Any) -> Any:
        number = next(self._numbers)
        answer = self._waiting[number] = queue.Queue()
        asked = {"id": number, "method": method, "params": given, **({"sessionId": session} if session else {})}
        self._out.write(json.dumps(asked).encode() + b"\0")
        told = answer.get(timeout=_PATIENCE)
        assert "error" not in told, (method, told)
        return told["result"]

    def page(self, width: int = 1280, height: int = 800, *, dark: bool = False) -> Page:
        return Page(self, width, height, dark)

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        self._out.close()

    def _read(self) -> None:
        rest = b""
        while piece := self._in.read1(1 << 20):
            *whole, rest = (rest + piece).split(b"\0")
            for each in whole:
                told = json.loads(each)
                if "id" in told:
                    self._waiting.pop(told["id"]).put(told)
                else:
                    self.events.append(told)


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser with a profile of its own."""
    needs.require(PROGRAM is not None, "Chromium", "apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="autorl-browser-", ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        try:
            yield browser
        finally:
            browser.end()
