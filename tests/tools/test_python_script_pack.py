"""The tool that runs a script: what the policy is told of it."""

import importlib

import pytest
from pptx import Presentation

from autorl import sandbox
from autorl.content import load_pack

load_pack("python_script")
pack = importlib.import_module("autorl_tools.python_script")

DECK = """from pptx import Presentation
deck = Presentation()
for title in ("Bees", "Honey"):
    deck.slides.add_slide(deck.slide_layouts[0]).shapes.title.text = title
deck.save("bees.pptx")
print("saved", len(deck.slides))
"""


@pytest.fixture
def run(make_run):
    return make_run(packs=("python_script",))


def test_a_deck_is_made_in_one_go(run):
    told = run.done("python_script", code=DECK)
    assert told.startswith("The script ran to its end in ")
    assert "It printed:\nsaved 2" in told
    size = (run.workspace.root / "bees.pptx").stat().st_size
    assert f"It made or changed: bees.pptx ({size} bytes)." in told
    assert [slide.shapes.title.text for slide in run.deck.slides] == ["Bees", "Honey"]


def test_programs_get_the_files_and_the_layers(run):
    data = run.call("python_script", code="open('a.txt', 'w').write('abc')").data
    assert data["files"] == {"a.txt": 3}
    assert "seccomp" in data["layers"]


def test_what_a_script_makes_is_not_from_outside(run):
    assert not run.call("python_script", code=DECK).tainted


def test_a_script_that_does_nothing_says_so(run):
    assert run.done("python_script", code="pass").endswith("It made and changed no file.")


def test_an_error_is_told_with_its_line(run):
    told = run.refused("python_script", code="def title(deck):\n    return deck.titel\n\nprint('begun')\ntitle(3)\n")
    assert told.startswith("Error: the script failed in line 2: return deck.titel\n")
    assert "AttributeError: 'int' object has no attribute 'titel'" in told
    assert "line 5, in <module>" in told
    assert "It printed:\nbegun" in told


def test_lines_are_counted_as_python_counts_them(run):
    told = run.refused("python_script", code="a = 'one\u2028two\x0cthree'\r\nb = 1\rc = none\n")
    assert told.startswith("Error: the script failed in line 3: c = none\n")


def test_an_error_in_the_grammar_is_told_with_its_line(run):
    told = run.refused("python_script", code="a = 1\nb = (\n")
    assert told.startswith("Error: the script failed in line 2: b = (\n")
    assert "SyntaxError" in told


@pytest.mark.parametrize(("code", "hint"), [
    ("import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')", "has no network"),
    ("open('/etc/passwd')", "it sees its own folder"),
    ("import subprocess; subprocess.run(['soffice'])", "starts no process"),
    ("import threading; threading.Thread(target=print).start()", "starts no process, thread"),
    ("import shutil; open('a', 'w'); shutil.copy('a', 'b')", "shutil.copyfile copies"),
    ("held = bytearray(1 << 40)", "of memory: make less at a time"),
    ("open('a', 'wb').truncate(1 << 40)", "A file may have 32 MB"),
    ("import nothing_of_this_name", "It can import the standard library, pptx"),
])
def test_a_limit_is_told_with_what_to_do(code, hint, run):
    assert hint in run.refused("python_script", code=code)


@pytest.mark.parametrize("code", ["raise ValueError('no such shape')", "x = {}['a']", "open('none.txt')"])
def test_an_error_of_its_own_is_not_put_down_to_a_limit(code, run):
    told = run.refused("python_script", code=code)
    assert "A script" not in told


def test_a_script_that_takes_too_long_is_ended_and_its_output_shown(run, monkeypatch):
    monkeypatch.setattr(pack, "LIMITS", sandbox.SandboxLimits(seconds=2))
    told = run.refused("python_script", code="import time\nprint('working')\nwhile True: time.sleep(1)")
    assert told.startswith("Error: the script was ended: it ran longer than 2 s. Make it do less")
    assert "It printed:\nworking" in told


def test_too_many_files_are_removed_and_told(run):
    told = run.refused("python_script", code="for n in range(700): open(f'{n}', 'w')")
    assert "the limit is 500" in told
    assert "All that it made was removed (" in told
    assert list(run.workspace.root.iterdir()) == []


def test_an_exit_code_is_told(run):
    assert run.refused("python_script", code="exit(3)").startswith("Error: the script ended with exit code 3")


def test_a_crash_is_told(run):
    assert "ended by signal 11" in run.refused("python_script", code="import ctypes; ctypes.string_at(0)")


def test_much_output_is_cut_from_its_beginning_and_fits(run):
    code = ("for n in range(5000): print('line', n)\nfor n in range(100): open('f' * 60 + str(n), 'w')\n"
            "raise ValueError('x' * 5000)")
    observation = run.call("python_script", code=code)
    assert observation.omitted == 0, "the tool cuts better than the limit of an observation does"
    assert "characters omitted ...]" in observation.text
    assert "line 4999" in observation.text
    assert "and 85 more" in observation.text


def test_the_next_tool_sees_what_a_script_changed(make_run):
    run = make_run(packs=("files", "python_script"))
    run.done("write_file", name="notes.txt", text="Bees dance.")
    run.done("python_script", code="text = open('notes.txt').read()\nopen('notes.txt', 'w').write(text.upper())")
    assert run.done("read_file", name="notes.txt") == "BEES DANCE."


def test_a_readable_folder_can_be_read(make_run, tmp_path):
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "fact.txt").write_text("Bees dance.")
    run = make_run(packs=("python_script",), readable=(tmp_path / "library",))
    assert "Bees dance." in run.done("python_script", code=f"print(open('{tmp_path}/library/fact.txt').read())")


def test_a_script_of_too_many_characters_is_refused(run):
    assert "20000" in run.refused("python_script", code="#" * 20_001)
    run.refused("python_script", code="")


def test_its_limits_lie_below_the_tools_own(run):
    assert pack.LIMITS.seconds + 10 < run.tools.named("python_script").timeout


def test_where_scripts_cannot_be_confined_the_remedy_is_told_and_the_setting_lets_them(run, monkeypatch):
    monkeypatch.setattr(sandbox, "LAYERS", ("limits",))
    assert "AUTORL_UNSANDBOXED=1" in run.refused("python_script", code=DECK)
    assert list(run.workspace.root.iterdir()) == []
    monkeypatch.setenv("AUTORL_UNSANDBOXED", "1")
    told = run.done("python_script", code=DECK)
    assert "It ran unconfined, without namespaces, private root, landlock, seccomp." in told
    assert len(Presentation(str(run.workspace.root / "bees.pptx")).slides) == 2


def test_a_deck_made_by_a_script_is_judged_by_the_slides_pack(make_run):
    run = make_run(packs=("python_script", "slides"))
    run.done("python_script", code=DECK)
    assert "slides" in run.tools.verifiers
    assert run.verdict(rendered=False).checks
