"""What a script in the sandbox can do, what it leaves, and where it is not run."""

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pptx import Presentation

from autorl import sandbox
from autorl.cli.doctor import _sandbox
from autorl.sandbox import Outcome, SandboxUnavailable, run_python
from tests import needs
from tests.sandbox.conftest import MODES, OPEN, in_the_open

DECK = """
import io, json, tempfile, zipfile
import numpy, PIL.Image
from lxml import etree
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

PIL.Image.fromarray((numpy.random.rand(20, 20, 3) * 255).astype("uint8")).save("noise.png")
deck = Presentation()
slide = deck.slides.add_slide(deck.slide_layouts[5])
slide.shapes.title.text = "Bees, Bienen, \N{HONEYBEE}"
numbers = CategoryChartData()
numbers.categories = ["2024", "2025"]
numbers.add_series("Hives", (3, 4))
slide.shapes.add_chart(XL_CHART_TYPE.PIE, Inches(1), Inches(2), Inches(4), Inches(3), numbers)
slide.shapes.add_picture("noise.png", Inches(6), Inches(2))
deck.save("bees.pptx")
with tempfile.TemporaryDirectory() as place:
    zipfile.ZipFile("bees.pptx").extractall(place)
    etree.parse(f"{place}/ppt/presentation.xml")
print(__name__, "made", len(Presentation("bees.pptx").slides))
"""


def test_a_script_makes_a_deck_that_opens(mode: str, folder: Path) -> None:
    done = run_python(DECK, folder)
    assert (done.code, done.limit, done.stderr) == (0, "", "")
    assert done.stdout == "__main__ made 1\n"
    assert set(done.files) == {"bees.pptx", "noise.png"}
    assert done.files["bees.pptx"] == (folder / "bees.pptx").stat().st_size
    (slide,) = Presentation(str(folder / "bees.pptx")).slides
    assert slide.shapes.title.text.startswith("Bees")
    assert not done.removed
    assert done.layers.enough


def test_the_layers_in_force_are_told(mode: str, folder: Path) -> None:
    done = run_python("", folder)
    assert set(done.layers.held) == set(MODES[mode])
    assert set(done.layers.missing) == set(MODES["every layer"]) - set(MODES[mode])
    assert all(done.layers.missing.values())


def test_what_it_writes_stays_and_is_there_for_the_next(folder: Path) -> None:
    (folder / "old.txt").write_text("old")
    run_python("open('new.txt', 'w').write(open('old.txt').read() + ' and new')", folder)
    done = run_python("import os; os.makedirs('a/b'); os.rename('new.txt', 'a/b/c.txt'); os.unlink('old.txt')", folder)
    assert (folder / "a/b/c.txt").read_text() == "old and new"
    assert done.files == {"a/b/c.txt": 11}


def test_an_error_is_told_with_the_lines_of_the_script_alone(folder: Path) -> None:
    done = run_python("import json\ndef f(x):\n    return json.loads(x)\n\nf('no')", folder)
    assert done.code == 1
    assert done.stderr.splitlines()[:5] == [
        "Traceback (most recent call last):", '  File "script.py", line 5, in <module>', "    f('no')",
        '  File "script.py", line 3, in f', "    return json.loads(x)"]
    assert done.stderr.splitlines()[5].startswith("json.decoder.JSONDecodeError: ")
    assert len(done.stderr.splitlines()) == 6


@pytest.mark.parametrize("code", ["x = (", "a\x00b", "\ud800", "return 1"])
def test_what_is_no_program_is_told_as_an_error(code: str, folder: Path) -> None:
    done = run_python(code, folder)
    assert done.code == 1
    assert "Error: " in done.stderr
    assert "inside" not in done.stderr


def test_the_exit_code_is_the_scripts_own(folder: Path) -> None:
    assert run_python("exit(7)", folder).code == 7
    assert run_python("import sys; sys.exit('why')", folder).stderr == "why\n"
    assert run_python("import ctypes; ctypes.string_at(0)", folder).code == -signal.SIGSEGV


def test_there_is_no_input_and_no_argument(folder: Path) -> None:
    assert "EOFError" in run_python("input()", folder).stderr
    assert run_python("import sys; print(sys.argv)", folder).stdout == "['script.py']\n"


def test_readable_folders_are_read_and_never_written(mode: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    fact = tmp_path / "library" / "fact.txt"
    fact.write_text("Bees dance.")
    done = run_python(f"print(open({str(fact)!r}).read())\nopen({str(fact)!r}, 'w')", folder, readable=[fact.parent])
    assert done.stdout == "Bees dance.\n"
    assert "OSError" in done.stderr or "PermissionError" in done.stderr
    assert fact.read_text() == "Bees dance."


def test_a_workspace_inside_a_readable_folder_is_written(mode: str, folder: Path) -> None:
    assert run_python("open('a', 'w').write('a')", folder, readable=[folder.parent]).files == {"a": 1}


def test_a_workspace_is_found_through_a_link_and_with_an_odd_name(mode: str, tmp_path: Path) -> None:
    (tmp_path / "a, 'b' ü %s").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a, 'b' ü %s")
    assert run_python("open('a', 'w').write('a')", tmp_path / "link").files == {"a": 1}


def test_many_run_at_once(folder: Path) -> None:
    done: dict[int, Outcome] = {}

    def work(number: int) -> None:
        place = folder / str(number)
        place.mkdir()
        done[number] = run_python(f"open('n', 'w').write('{number}'); print({number})", place)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: outcome.stdout for number, outcome in done.items()} == {n: f"{n}\n" for n in range(6)}
    assert {(folder / str(n) / "n").read_text() for n in range(6)} == set("012345")


def test_a_caller_with_many_open_files_can_run_scripts(folder: Path) -> None:
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(200)]
    try:
        assert run_python("print(open('a', 'w').write('a'))", folder).stdout == "1\n"
    finally:
        for each in held:
            os.close(each)


# What it leaves


def test_what_leads_out_or_holds_up_is_removed_and_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "secret.txt").write_text("the secret")
    (folder / "old").symlink_to(tmp_path)
    done = in_the_open(
        "import os, socket\n"
        f"os.symlink({str(tmp_path)!r}, 'out'); os.symlink('../secret.txt', 'up'); os.symlink('out', 'twice')\n"
        "open('file', 'w').write('own'); os.symlink('file', 'link'); os.mkfifo('pipe')\n"
        "socket.socket(socket.AF_UNIX).bind('socket'); os.mkdir('shut'); os.mkfifo('shut/pipe')\n"
        "os.chmod('shut', 0o500); open(b'\\xff', 'w'); open('a\\nb', 'w')\n"
        "os.close(os.open('program', os.O_CREAT, 0o6755))", folder, monkeypatch)
    assert done.code == 0, done.stderr
    assert {*done.removed} == {"'out'", "'up'", "'twice'", "'pipe'", "'shut/pipe'", "'socket'", r"'\udcff'", r"'a\nb'"}
    assert {path.name for path in folder.iterdir()} >= {"file", "link", "program", "old"}
    assert (done.files["file"], (tmp_path / "secret.txt").read_text()) == (3, "the secret")
    for path in folder.iterdir():
        assert not path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID)
    assert (folder / "shut").stat().st_mode & 0o700 == 0o700


def test_what_is_removed_for_excess_is_not_looked_for_behind_a_link(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder / "old").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept.txt").write_text("kept")
    done = in_the_open(f"import os; os.rmdir('old'); os.symlink({str(tmp_path / 'outside')!r}, 'old')\n"
                       "for n in range(9): open(f'{n}', 'w')", folder, monkeypatch, files=5)
    assert done.undone == 9
    assert (tmp_path / "outside" / "kept.txt").read_text() == "kept"
    assert list(folder.iterdir()) == []


# Where it is not to be had


@pytest.mark.parametrize(("layers", "missing"), [
    (("namespaces", "private root", "landlock", "limits"), ["seccomp"]),
    (("seccomp", "limits"), ["landlock", "private root"]),
    (("namespaces", "seccomp", "limits"), ["landlock", "private root"]),
    (("namespaces", "private root", "landlock", "seccomp"), ["limits"]),
    ((), list(sandbox.LAYERS)),
], ids=str)
def test_a_script_is_not_run_where_it_cannot_be_confined(
    layers: tuple[str, ...], missing: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox, "LAYERS", layers)
    with pytest.raises(SandboxUnavailable, match="AUTORL_UNSANDBOXED=1") as raised:
        run_python("open('ran', 'w')", folder)
    for name in missing:
        assert f"no {name} (" in str(raised.value)
    assert list(folder.iterdir()) == []


def test_told_otherwise_it_runs_and_says_what_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = in_the_open("open('ran', 'w')", folder, monkeypatch)
    assert done.files == {"ran": 0}
    assert not done.layers.enough
    assert {"seccomp", "landlock", "namespaces", "private root"} == {*done.layers.missing}


def test_doctor_shows_the_layers_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "LAYERS", MODES["no namespaces"])
    (finding,) = _sandbox({})
    assert (finding.about, finding.state, finding.remedy) == ("sandbox", "ok", "")
    assert "landlock (version" in finding.found
    assert "no namespaces (switched off)" in finding.found
    monkeypatch.setattr(sandbox, "LAYERS", OPEN)
    (finding,) = _sandbox({})
    assert finding.state == "note"
    assert "are refused" in finding.found
    assert "AUTORL_UNSANDBOXED=1" in finding.remedy
    monkeypatch.setenv("AUTORL_UNSANDBOXED", "1")
    assert "run all the same" in _sandbox({})[0].found


def test_it_holds_for_a_user_without_any_privilege(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the secret")
    code = f"open('own', 'w').write('own'); print('wrote'); open({str(tmp_path / 'secret.txt')!r})"
    program = ("import os; from pathlib import Path; from autorl import sandbox; assert os.getuid() == 1000\n"
               f"done = sandbox.run_python({code!r}, Path({str(folder)!r}))\n"
               "print(done.layers.held, done.stdout, done.stderr)")
    become = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    needs.require(subprocess.run([*become, "true"], check=False).returncode == 0, "user namespaces", "allow them")
    done = subprocess.run([*become, sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "wrote" in done.stdout
    assert "seccomp" in done.stdout
    assert "Error: [Errno" in done.stdout
    assert (folder / "own").read_text() == "own"
