"""A local page on which a person ranks the decks of one task after the other, without knowing what made them."""

import hashlib
import hmac
import json
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from autorl.bench import ledger, opinions
from autorl.bench.ledger import Episode
from autorl.bench.opinions import Order, Sheet
from autorl.bench.pictures import Pictures, scaled
from autorl.bench.run import LEDGER, RUNS, begun_with
from autorl.bench.spec import Size
from autorl.errors import AutorlError, UsageError
from autorl.replay.store import ReplayStore
from autorl.types import clean_text

WIDTH = 560
"""Pixels of a slide on the page; a click shows it as large as it was drawn."""
_TEMPLATES = Path(__file__).parent / "templates"
_LARGEST = 100_000
"""Bytes of a request."""
_HERE = ("127.0.0.1", "localhost", "[::1]")
_FILES = {"": ("rank.html", "text/html"), "rank.js": ("rank.js", "text/javascript"),
          **{name: (name, "text/css") for name in ("colours.css", "look.css", "rank.css")}}
_SAFE = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
                               "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the token stands in the address
    "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
}


class Ranking:
    """What there is to rank in a run, and the orders so far. Many threads may share it.

    Decks go by names that are made anew for each server, so that nothing on the page says what made them. Each person
    gets tasks and decks in an order of their own, the same whenever they come back; all tasks with one seed come
    before any with the next.
    """

    def __init__(self, folder: Path, runs: ReplayStore, size: Size | None = None) -> None:
        self.folder = folder
        self._spec, tasks = begun_with(folder)
        self._texts = {task.id: task.text for task in tasks.held_out}
        self._pictures = Pictures(folder, self._spec, runs)
        self._secret = secrets.token_bytes(16)
        wanted = self._spec.sizes[-1] if size is None else size
        episodes = (entry for entry in ledger.read(folder / LEDGER) if isinstance(entry, Episode))
        made = {sheet: {name: episode for name, episode in decks.items() if episode.produced}
                for sheet, decks in opinions.sheets(self._spec, episodes).items() if sheet.size == wanted}
        self.sheets = {sheet: decks for sheet, decks in made.items() if len(decks) > 1}
        if not self.sheets:
            what = self._spec.product or "file"
            raise UsageError(f"at the size {wanted} of the store, {folder.name} has no task for which two settings "
                             f"made a {what}", "Rank a run that makes files, or name another --size")

    @cached_property
    def decks(self) -> dict[str, Episode]:
        """Every deck by its name on the page."""
        return {self._name(episode.run): episode for decks in self.sheets.values() for episode in decks.values()}

    def sheet(self, ranker: str, at: int | None) -> dict[str, Any]:
        """The sheet number `at` of a person, by default the first that they have not done, for the page."""
        mine = self._in_order(ranker)
        drafts, done = self._orders(ranker)
        if at is None:
            at = next((number for number, sheet in enumerate(mine) if sheet not in done), 0)
        sheet = mine[at % len(mine)]
        names = {setting: self._name(episode.run) for setting, episode in self.sheets[sheet].items()}
        shuffled = sorted(names, key=lambda setting: _shuffled(ranker, sheet, setting))
        draft = drafts.get(sheet)
        groups = draft.groups if draft and set(draft.runs) == set(names) else [[setting] for setting in shuffled]
        return {
            "at": at % len(mine), "of": len(mine), "done": len(done), "ranked": sheet in done,
            "sheet": self._name(sheet.model_dump_json()), "task": self._texts[sheet.task],
            "decks": [{"name": names[setting], "letter": chr(ord("A") + place), **self._shown(names[setting])}
                      for place, setting in enumerate(shuffled)],
            "groups": [[names[setting] for setting in group] for group in groups]}

    def take(self, told: Any) -> None:
        """Keep an order as the page tells it. Raises UsageError for what is none of a sheet that is here."""
        try:
            by_name = {self._name(sheet.model_dump_json()): sheet for sheet in self.sheets}
            sheet = by_name[told["sheet"]]
            settings = {self._name(episode.run): setting for setting, episode in self.sheets[sheet].items()}
            order = Order(
                ranker=_person(told["ranker"]), sheet=sheet, done=told["done"],
                groups=tuple(tuple(settings[name] for name in group) for group in told["groups"]),
                runs={setting: episode.run for setting, episode in self.sheets[sheet].items()})
        except (KeyError, TypeError, ValidationError) as error:
            raise UsageError(f"that is no order of the decks of a task here: {error!r:.300}", "Load the page again"
                             ) from error
        opinions.add(self.folder, [order])

    def picture(self, name: str, number: int) -> bytes:
        """The picture of a slide. Raises KeyError or IndexError for what there is not."""
        preview = self._pictures.of(self.decks[name])
        assert preview is not None  # its episode made something
        return preview.pictures[number]

    def draw(self, over: threading.Event) -> None:
        """Draw every deck, so that nobody has to wait for it, until it is `over`."""
        with suppress(AutorlError):  # who asks for that deck is told
            for episode in list(self.decks.values()):
                if not over.is_set():
                    self._pictures.of(episode)

    def _shown(self, name: str) -> dict[str, Any]:
        preview = self._pictures.of(self.decks[name])
        assert preview is not None
        return {"slides": preview.texts, "drawn": len(preview.pictures), "why": preview.why}

    def _in_order(self, ranker: str) -> list[Sheet]:
        seeds = self._spec.seeds
        return sorted(self.sheets, key=lambda sheet: (seeds.index(sheet.seed), _shuffled(ranker, sheet)))

    def _orders(self, ranker: str) -> tuple[dict[Sheet, Order], set[Sheet]]:
        """The newest order of each sheet, and the sheets that are done."""
        mine = [order for order in opinions.read(self.folder)[0] if isinstance(order, Order) and order.ranker == ranker
                and all(self.sheets.get(order.sheet, {}).get(name, None) is not None and
                        self.sheets[order.sheet][name].run == run for name, run in order.runs.items())]
        return {order.sheet: order for order in mine}, {order.sheet for order in mine if order.done}

    def _name(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()[:16]


def _shuffled(ranker: str, sheet: Sheet, setting: str = "") -> bytes:
    return hashlib.sha256(f"{ranker}\n{sheet.model_dump_json()}\n{setting}".encode()).digest()


def _person(name: Any) -> str:
    """A person's name as it is kept. Raises UsageError for none."""
    cleaned = " ".join(clean_text(str(name)).split())[: opinions.LONGEST_NAME].strip()
    if not cleaned:
        raise UsageError("a ranking needs the name of who made it", "Say who you are")
    return cleaned


@contextmanager
def serving(folder: Path, *, port: int = 0, size: Size | None = None) -> Iterator[str]:
    """Serve the page for the run in `folder` on loopback, and give its address, which only its holder can guess.

    port: 0 for any that is free; size: of the store, by default the last one of the definition
    Raises UsageError if there is nothing to rank, or if the port is taken.
    """
    with closing(ReplayStore(folder / RUNS)) as runs:
        ranking = Ranking(folder, runs, size)
        token = secrets.token_urlsafe(16)
        try:
            server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"ranking": ranking, "token": token}))
        except OSError as error:
            raise UsageError(f"port {port} cannot be used: {error.strerror}", "Name another one: --port") from error
        over = threading.Event()
        drawing = threading.Thread(target=ranking.draw, args=(over,), name="draw", daemon=True)
        drawing.start()
        threading.Thread(target=server.serve_forever, name="rank-page", daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{token}/"
        finally:
            over.set()
            server.shutdown()
            server.server_close()
            drawing.join()


class _Server(ThreadingHTTPServer):
    """Ends the connections that a browser keeps open when it is closed, so that none is answered after that."""

    daemon_threads = True

    def __init__(self, *given: Any) -> None:
        self._kept_open: set[Any] = set()
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._kept_open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._kept_open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for request in [*self._kept_open]:
            with suppress(OSError):  # it has ended by itself
                request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """Answers only who knows the token, and only under a name of this machine (no DNS rebinding)."""

    ranking: Ranking
    token: str
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, asked = self._allowed()
        try:
            if path in _FILES:
                name, kind = _FILES[path]
                self._send((_TEMPLATES / name).read_bytes(), kind)
            elif path == "sheet":
                at = int(asked["at"]) if "at" in asked else None
                self._json(self.ranking.sheet(_person(asked.get("ranker", "")), at))
            elif path.startswith("picture/"):
                _, name, number = path.split("/")
                picture = self.ranking.picture(name, int(number))
                small = "large" not in asked
                self._send(scaled(picture, WIDTH) if small else picture, "image/webp" if small else "image/jpeg")
            else:
                self._refuse()
        except (KeyError, IndexError, ValueError):
            self._refuse()
        except AutorlError as error:
            self._json({"error": str(error)}, HTTPStatus.BAD_REQUEST)

    def do_POST(self) -> None:
        path, _ = self._allowed()
        length = self.headers.get("Content-Length", "")
        if path != "order" or not length.isdigit() or int(length) > _LARGEST:
            self._refuse()
            return
        try:
            self.ranking.take(json.loads(self.rfile.read(int(length))))
            self._json({})
        except (ValueError, RecursionError):
            self._json({"error": "that is no JSON"}, HTTPStatus.BAD_REQUEST)
        except AutorlError as error:
            self._json({"error": str(error)}, HTTPStatus.BAD_REQUEST)

    def _allowed(self) -> tuple[str, dict[str, str]]:
        """The path behind the token, with what is asked; no path that there is for who may not."""
        url = urlsplit(self.path)
        _, token, path = (url.path + "//").split("/", 2)
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        if host not in _HERE or not hmac.compare_digest(token.encode(), self.token.encode()):
            return "refused", {}
        asked = parse_qs(url.query, keep_blank_values=True)
        return path.removesuffix("//"), {name: each[-1] for name, each in asked.items()}

    def _json(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(value).encode(), "application/json", status)

    def _refuse(self) -> None:
        self.close_connection = True  # what was sent along is not read
        self._send(b"There is nothing here.", "text/plain", HTTPStatus.NOT_FOUND)

    def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text") else kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in _SAFE.items():
            self.send_header(name, value)
        try:
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:  # the page was closed, or went on to the next task
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Nothing: the address holds the token."""
