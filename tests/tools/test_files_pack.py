"""The files pack: what can be read, what can be written, and that nothing else can."""


from pathlib import Path

import pytest


@pytest.fixture
def run(make_run):
    return make_run(packs=("files",))


@pytest.fixture
def library(tmp_path):
    """A folder that the user lets the run read."""
    folder = tmp_path / "library"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "facts.txt").write_text("Bees dance.\nHoney keeps.\n")
    return folder


def test_what_is_written_can_be_listed_read_and_found(run):
    assert run.done("write_file", name="notes/bees.txt", text="Bees dance.\nHoney keeps.") == \
        "Wrote 'notes/bees.txt' (24 bytes)."
    assert run.done("list_files") == "notes/bees.txt (24 bytes)"
    assert run.done("read_file", name="notes/bees.txt") == "Bees dance.\nHoney keeps."
    assert run.done("search_files", text="HONEY") == "notes/bees.txt:2: Honey keeps."


def test_an_empty_workspace_says_so(run):
    assert run.done("list_files") == "There are no files."
    assert run.done("search_files", text="honey") == "No file contains 'honey'."


def test_readable_folders_can_be_listed_read_and_searched_but_not_written(make_run, library):
    run = make_run(packs=("files",), readable=(library,))
    name = str(library / "sub" / "facts.txt")
    assert run.done("list_files") == f"{name} (25 bytes)"
    assert run.done("read_file", name=name) == "Bees dance.\nHoney keeps."
    assert run.done("search_files", text="dance") == f"{name}:1: Bees dance."
    assert "may not be written" in run.refused("write_file", name=name, text="no")
    assert (library / "sub" / "facts.txt").read_text() == "Bees dance.\nHoney keeps.\n"


@pytest.mark.parametrize("name", [
    "../secret.txt", "a/../../secret.txt", "/etc/passwd", "C:\\secret.txt", "C:secret.txt", "\\\\host\\share\\x.txt",
    "//etc/passwd", "link/secret.txt", "link.txt", "a\x00b", "   ", "..", "/"])
def test_nothing_outside_is_read_or_written(run, tmp_path, name):
    (tmp_path / "outside").mkdir()
    for secret in (tmp_path / "secret.txt", tmp_path / "outside" / "secret.txt"):
        secret.write_text("the secret")
    (run.workspace.root / "link").symlink_to(tmp_path / "outside")
    (run.workspace.root / "link.txt").symlink_to(tmp_path / "secret.txt")
    run.refused("read_file", name=name)
    run.refused("write_file", name=name, text="changed")
    assert (tmp_path / "secret.txt").read_text() == "the secret"
    assert (tmp_path / "outside" / "secret.txt").read_text() == "the secret"
    assert run.done("list_files") == "There are no files."
    assert run.done("search_files", text="secret") == "No file contains 'secret'."


def test_a_long_file_is_read_in_parts(run):
    run.done("write_file", name="long.txt", text="\n".join(f"line {n}" for n in range(1, 501)))
    first = run.done("read_file", name="long.txt")
    assert first.startswith("line 1\n")
    assert first.endswith("[lines 1 to 200 of 500; go on with first_line=201]")
    last = run.done("read_file", name="long.txt", first_line=401)
    assert last.startswith("line 401\n")
    assert last.endswith("line 500")
    assert "give a first_line from 1 to 500" in run.refused("read_file", name="long.txt", first_line=501).lower()
    run.refused("read_file", name="long.txt", first_line=0)


def test_what_is_read_fits_into_an_observation(run):
    run.done("write_file", name="wide.txt", text="x" * 50_000 + "\nend")
    observation = run.call("read_file", name="wide.txt")
    assert observation.omitted == 0
    assert "[line cut, 50000 characters long]" in observation.text
    assert "go on with first_line=2" in observation.text


@pytest.mark.parametrize("content", [b"\x00\x01\x02", b"\xff\xfe\xfa", b"PK\x03\x04\x00\x00"])
def test_binary_files_are_refused(run, content):
    run.workspace.write("picture.png", content)
    assert "not a text file" in run.refused("read_file", name="picture.png")
    assert run.done("search_files", text="P") == "No file contains 'P'."


def test_an_empty_file_is_no_error(run):
    run.done("write_file", name="empty.txt", text="")
    assert run.done("read_file", name="empty.txt") == "'empty.txt' is empty."


def test_a_missing_file_and_a_folder_are_told_apart(run):
    run.done("write_file", name="notes/bees.txt", text="Bees")
    assert "there is no file 'bees.txt'" in run.refused("read_file", name="bees.txt")
    assert "is a folder" in run.refused("read_file", name="notes")
    assert "is a folder" in run.refused("write_file", name="notes", text="no")
    run.refused("write_file", name="notes/bees.txt/more.txt", text="no")
    run.refused("write_file", name="x" * 300, text="no")


def test_many_files_and_many_hits_are_capped(run):
    for number in range(230):
        (run.workspace.root / f"{number:03}.txt").write_text("honey\n")
    assert run.done("list_files").splitlines()[199].startswith("199.txt")
    assert len(run.done("list_files").splitlines()) == 201
    assert len(run.done("search_files", text="honey").splitlines()) == 51


def test_a_file_that_the_system_does_not_give_is_told(make_run):
    folder = Path("/proc/self").resolve()  # its `mem` is a file that even root cannot read from the start
    run = make_run(packs=("files",), readable=(folder,))
    assert "could not be read" in run.refused("read_file", name=str(folder / "mem"))
