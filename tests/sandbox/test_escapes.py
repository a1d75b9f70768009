"""What a script in the sandbox cannot do: every attempt of `escapes.py`, with each set of layers."""

import contextlib
import inspect
import json
import os
import resource
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pptx
import pytest

from autorl import sandbox
from autorl.errors import UsageError
from autorl.sandbox import Outcome, run_python
from autorl.sandbox.inside import main as launcher
from tests.sandbox import escapes
from tests.sandbox.conftest import MODES, OPEN, orphans, require

# The attempts that come to something for any user where nothing confines: they would tell if the sandbox leaked.
WORK_IN_THE_OPEN = {
    "read_a_file", "read_by_going_up", "read_after_a_change_of_folder", "read_through_a_folder_held_open",
    "read_through_a_link_that_was_there", "read_through_a_new_link", "read_through_a_hard_link",
    "read_the_users_accounts", "list_a_folder", "write_a_file", "append_to_a_file",
    "write_through_a_link_that_was_there", "make_a_file", "make_a_folder", "truncate_a_file", "remove_a_file",
    "move_a_file_in", "move_a_file_out", "change_the_mode_of_a_file", "change_the_time_of_a_file",
    "read_through_the_root_of_proc", "list_the_processes", "connect_by_tcp", "send_by_udp",
    "connect_to_a_socket_file", "connect_to_an_abstract_socket", "listen", "ask_the_kernel_by_netlink",
    "open_a_pair_of_sockets", "resolve_a_name", "fork", "fork_by_the_oldest_call", "start_a_thread", "run_a_program",
    "become_a_program_in_memory", "find_another_process", "have_the_kernel_signal_another", "hold_another",
    "limit_another", "outlive_its_parent", "make_a_pipe_file", "make_a_program_of_its_user",
    "reserve_disk_beyond_its_limit",
}


@dataclass
class World:
    """What lies outside the sandbox: a secret for each attempt, servers, another process."""

    outside: Path
    servers: dict[str, socket.socket]
    victim: subprocess.Popen[bytes]

    @property
    def there(self) -> dict[str, Any]:
        return {"parent": os.getpid(), "victim": self.victim.pid, "launcher": launcher.__file__,
                "tcp": self.servers["tcp"].getsockname()[1], "udp": self.servers["udp"].getsockname()[1],
                "socket": str(self.outside / "socket"), "abstract": self.outside.name + str(os.getpid())}

    def state(self, attempt: str) -> dict[str, Any]:
        """All that an attempt may have changed of the files it aims at."""
        found = {}
        for path in sorted((self.outside / attempt).iterdir()):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[path.name] = (content, status.st_mode, status.st_mtime_ns, os.listxattr(path))
        return found

    def visited(self) -> set[str]:
        """The servers that anything was sent to."""
        readable, _, _ = select.select(list(self.servers.values()), [], [], 0)
        return {name for name, server in self.servers.items() if server in readable}

    def victim_is_well(self) -> bool:
        return self.victim.poll() is None and os.getpriority(os.PRIO_PROCESS, self.victim.pid) == \
            os.getpriority(os.PRIO_PROCESS, 0) and resource.prlimit(self.victim.pid, resource.RLIMIT_NOFILE)[0] > 9


@contextlib.contextmanager
def world(place: Path) -> Iterator[World]:
    outside = place / "outside"
    for name in escapes.ATTEMPTS:
        (outside / name).mkdir(parents=True)
        (outside / name / "secret.txt").write_text(f"the secret of {name}")
    with contextlib.ExitStack() as stack:
        kinds = {"tcp": (socket.AF_INET, socket.SOCK_STREAM), "udp": (socket.AF_INET, socket.SOCK_DGRAM),
                 "socket": (socket.AF_UNIX, socket.SOCK_STREAM), "abstract": (socket.AF_UNIX, socket.SOCK_STREAM)}
        servers = {name: stack.enter_context(socket.socket(*kind)) for name, kind in kinds.items()}
        victim = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
        stack.callback(victim.wait)
        stack.callback(victim.kill)
        made = World(outside, servers, victim)
        servers["tcp"].bind(("127.0.0.1", 0))
        servers["udp"].bind(("127.0.0.1", 0))
        servers["socket"].bind(str(outside / "socket"))
        servers["abstract"].bind("\0" + made.there["abstract"])
        for name in ("tcp", "socket", "abstract"):
            servers[name].listen()
        yield made


@dataclass
class Trial:
    """What came of all attempts at once."""

    told: dict[str, list[str]]
    outcome: Outcome
    touched: set[str]
    visited: set[str]
    victim_is_well: bool
    left: set[int]


def attempt_all(place: Path, attempts: list[str], layers: tuple[str, ...], *, unsandboxed: bool = False) -> Trial:
    folder = place / "workspace"
    folder.mkdir()
    with world(place) as made, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "LAYERS", layers)
        patch.setenv("AUTORL_TEST_SECRET", "the secret of the environment")
        (folder / "door").symlink_to(made.outside)
        secrets = {name: str(made.outside / name / "secret.txt") for name in escapes.ATTEMPTS}
        given = {"attempts": attempts, "there": made.there, "secrets": secrets}
        (folder / "world.json").write_text(json.dumps(given))
        before = {name: made.state(name) for name in attempts}
        held = os.open(secrets["read_a_file"], os.O_RDONLY)
        os.set_inheritable(held, True)
        try:
            with orphans() as left:
                outcome = run_python(inspect.getsource(escapes) + "\nmain()\n", folder, unsandboxed=unsandboxed)
        finally:
            os.close(held)
        assert outcome.code == 0, outcome.stderr
        touched = {name for name in attempts if made.state(name) != before[name]}
        return Trial(json.loads(outcome.stdout), outcome, touched, made.visited(), made.victim_is_well(), left)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trial]:
    """All attempts with one set of layers, made once."""
    made: dict[str, Trial] = {}

    def of(mode: str) -> Trial:
        require(mode)
        if mode not in made:
            made[mode] = attempt_all(tmp_path_factory.mktemp("world"), list(escapes.ATTEMPTS), MODES[mode])
        return made[mode]

    return of


@pytest.mark.parametrize("attempt", escapes.ATTEMPTS)
@pytest.mark.parametrize("layers", MODES)
def test_no_attempt_gets_out(layers: str, attempt: str, trial: Callable[[str], Trial]) -> None:
    found = trial(layers)
    assert found.told[attempt][0] == "in", found.told[attempt]
    assert attempt not in found.touched


@pytest.mark.parametrize("layers", MODES)
def test_no_attempt_leaves_a_trace_outside(layers: str, trial: Callable[[str], Trial]) -> None:
    found = trial(layers)
    assert found.visited == set(), "a server saw a connection"
    assert found.victim_is_well
    assert found.left == set(), "a process outlived the script"
    assert "the secret of" not in found.outcome.stdout + found.outcome.stderr
    assert not (Path(pptx.__file__).parent / "escaped.py").exists()
    assert not Path(launcher.__file__).read_text().endswith("changed")
    assert not Path("/dev/shm/escaped").exists()


def test_the_same_attempts_get_out_where_nothing_confines(tmp_path: Path) -> None:
    """Or the tests above could not fail."""
    found = attempt_all(tmp_path, sorted(WORK_IN_THE_OPEN), OPEN, unsandboxed=True)
    assert {name: why for name, (where, why) in found.told.items() if where == "in"} == {}
    assert {"write_a_file", "truncate_a_file", "move_a_file_in", "change_the_mode_of_a_file"} <= found.touched
    assert found.visited == {"tcp", "udp", "socket", "abstract"}
    assert not found.victim_is_well


def test_the_environment_holds_no_secret(mode: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    done = run_python("import os; print(dict(os.environ))", folder)
    assert "HOME" in done.stdout
    assert "secret" not in done.stdout


@pytest.mark.parametrize("place", [Path(pptx.__file__).parent.parent, Path(sandbox.__file__).parents[2], Path("/")])
def test_a_workspace_that_holds_the_code_of_autorl_itself_is_refused(place: Path) -> None:
    with pytest.raises(UsageError, match="Use a folder of its own"):
        run_python("print()", place)
