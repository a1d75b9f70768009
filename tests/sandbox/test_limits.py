"""How far a script in the sandbox can go: in time, memory, files and output."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autorl.sandbox import SandboxLimits, run_python
from tests.sandbox.conftest import MODES, children, orphans


def test_a_script_that_hangs_and_ignores_signals_is_killed(mode: str, folder: Path) -> None:
    code = ("import signal, time\n"
            "for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:\n"
            "    signal.signal(number, signal.SIG_IGN)\n"
            "signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))\n"
            "print('deaf', flush=True)\n"
            "while True:\n    time.sleep(1)\n")
    with orphans() as left:
        done = run_python(code, folder, limits=SandboxLimits(seconds=2))
    assert done.stdout == "deaf\n"
    assert (done.code, done.limit) == (-signal.SIGKILL, "it ran longer than 2 s")
    assert left == set()


def test_a_script_that_computes_for_ever_is_killed(mode: str, folder: Path) -> None:
    done = run_python("import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", folder,
                      limits=SandboxLimits(cpu_seconds=1, seconds=100))
    assert (done.code, done.limit) == (-signal.SIGKILL, "it computed longer than 1 s")


def test_a_script_that_closes_its_output_is_still_followed(folder: Path) -> None:
    done = run_python("import os, time; os.close(1); os.close(2)\nwhile True: time.sleep(1)", folder,
                      limits=SandboxLimits(seconds=1))
    assert done.limit == "it ran longer than 1 s"


def test_memory_ends(mode: str, folder: Path) -> None:
    done = run_python("held = []\nwhile True:\n    held.append(bytearray(10 << 20)); print(len(held))", folder,
                      limits=SandboxLimits(memory_mb=300))
    assert done.stderr.rstrip().endswith("MemoryError")
    assert 5 < len(done.stdout.splitlines()) < 30


def test_memory_ends_for_maps_too(folder: Path) -> None:
    done = run_python("import mmap\nmmap.mmap(-1, 2 << 30)", folder)
    assert "Cannot allocate memory" in done.stderr


@pytest.mark.parametrize("code", [
    "with open('large', 'wb') as file:\n    while True: file.write(bytes(1 << 20))",
    "open('large', 'wb').truncate(1 << 40)",
    "import os; os.pwrite(os.open('large', os.O_CREAT | os.O_WRONLY), b'x', 1 << 40)"])
def test_a_file_ends(code: str, folder: Path) -> None:
    done = run_python(code, folder, limits=SandboxLimits(file_mb=3))
    assert "[Errno 27] File too large" in done.stderr
    assert (folder / "large").stat().st_size <= 3 << 20


@pytest.mark.parametrize(("code", "why"), [
    ("while True:\n    open(f'{n}', 'w'); n += 1", "files and folders; the limit is 200"),
    ("while True:\n    os.mkdir(f'{n}'); n += 1", "files and folders; the limit is 200"),
    ("while True:\n    os.mkdir('x' * 200); os.chdir('x' * 200)", "looked through: folders are nested too deep"),
    ("while True:\n    open(f'{n}', 'wb').write(bytes(2 << 20)); n += 1; time.sleep(.01)", "MB; the limit is 9 MB"),
    ("os.mkdir('shut', 0o300)\nwhile True: time.sleep(1)", "looked through: the mode of 'shut' shuts out its owner"),
], ids=["files", "folders", "a nest", "bytes", "a shut folder"])
def test_the_disk_ends_and_what_was_too_much_is_removed(code: str, why: str, mode: str, folder: Path) -> None:
    (folder / "old").mkdir()
    (folder / "old" / "notes.txt").write_text("kept")
    done = run_python(f"import os, time\nn = 0\n{code}", folder,
                      limits=SandboxLimits(seconds=20, file_mb=2, disk_mb=9, files=200))
    assert why in done.limit
    assert done.code == -signal.SIGKILL
    assert done.undone > 0
    assert done.files == {}
    assert [path.name for path in sorted(folder.rglob("*"))] == ["old", "notes.txt"]


def test_too_much_is_seen_after_a_short_script_too(folder: Path) -> None:
    done = run_python("for n in range(50): open(f'{n}', 'w')", folder, limits=SandboxLimits(files=40))
    assert done.limit == "it made 50 files and folders; the limit is 40"
    assert (done.undone, list(folder.iterdir())) == (50, [])


def test_files_that_were_there_before_are_not_counted(folder: Path) -> None:
    for number in range(60):
        (folder / str(number)).touch()
    done = run_python("open('one', 'w')", folder, limits=SandboxLimits(files=40))
    assert (done.limit, done.files) == ("", {"one": 0})


def test_a_flood_of_output_is_cut_and_counted(folder: Path) -> None:
    done = run_python("import sys\nprint('first')\nfor n in range(20_000): print('x' * 999)\nprint('last')\n"
                      "sys.stderr.write('y' * 5_000)", folder, limits=SandboxLimits(output_bytes=1_000))
    assert done.code == 0
    assert done.stdout.startswith("first\n")
    assert done.stdout.endswith("last\n")
    assert "[... 19999011 bytes omitted ...]" in done.stdout
    assert "[... 4000 bytes omitted ...]" in done.stderr
    assert done.omitted == 19_999_011 + 4_000
    assert len(done.stdout) < 1_100


def test_a_script_dies_with_the_process_that_started_it(mode: str, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    code = "open('pipe', 'w').write('here')\nimport time\nwhile True: time.sleep(1)"
    program = (f"from pathlib import Path; from autorl import sandbox; sandbox.LAYERS = {MODES[mode]!r}\n"
               f"sandbox.run_python({code!r}, Path({str(folder)!r}))")
    parent = subprocess.Popen([sys.executable, "-c", program])
    assert (folder / "pipe").read_text() == "here"
    below = children(parent.pid)
    below |= {each for child in below for each in children(child)}
    assert len(below) == 2, "the script, and what waits for it"
    handles = [os.pidfd_open(each) for each in below]
    parent.kill()
    parent.wait()
    for handle in handles:
        assert select.select([handle], [], [], 20)[0], "the script lives on"
        os.close(handle)
