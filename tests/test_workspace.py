import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl.errors import ToolError
from autorl.workspace import Workspace, file_name

PIECES = st.sampled_from(
    ["..", ".", "/", "\\", "a", "b.txt", "link", "C:", "~", "%2e%2e", "\x00", " ", "//", "\n", "loop"])


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


@pytest.mark.parametrize("name", [
    "../out.txt", "a/../../out.txt", "/etc/passwd", "C:\\out.txt", "c:out.txt", "\\\\server\\share\\out.txt", "a\x00b",
    "", "  ", "x" * 1001, ".", "a/..", "\ud800",
])
def test_a_name_that_leads_out_is_refused_for_writing(name: str, workspace: Workspace) -> None:
    with pytest.raises(ToolError):
        workspace.write(name, b"no")
    assert workspace.artifacts() == ()


def test_a_link_that_leads_out_is_followed_before_it_is_judged(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (workspace.root / "link").symlink_to(tmp_path / "outside")
    (workspace.root / "file").symlink_to(tmp_path / "outside" / "secret")
    for name in ("link/x", "file", "link"):
        with pytest.raises(ToolError, match="outside the workspace"):
            workspace.path(name)
        with pytest.raises(ToolError, match="outside the workspace"):
            workspace.write(name, b"no")


def test_a_link_that_leads_to_itself_is_refused(workspace: Workspace) -> None:
    (workspace.root / "loop").symlink_to("loop")
    with pytest.raises(ToolError):
        workspace.path("loop/x")


@given(st.lists(PIECES | st.text(st.characters(), max_size=8), max_size=8).map("".join), st.booleans())
def test_what_is_resolved_always_lies_inside(name: str, write: bool) -> None:
    workspace = Workspace(Path("work"), [Path("readable")])
    if not (workspace.root / "link").is_symlink():
        (workspace.root / "link").symlink_to("/")
        (workspace.root / "loop").symlink_to("loop")
    try:
        path = workspace.path(name, write=write)
    except ToolError:
        return
    roots = [workspace.root] if write else [workspace.root, *workspace.readable]
    assert any(Path(os.path.realpath(path)).is_relative_to(root) for root in roots)


def test_readable_folders_are_read_and_never_written(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.txt").write_text("text")
    workspace = Workspace(tmp_path / "work", [notes])
    assert workspace.path(str(notes / "a.txt")).read_text() == "text"
    with pytest.raises(ToolError, match="may not be written"):
        workspace.write(str(notes / "a.txt"), b"no")
    with pytest.raises(ToolError, match="may not be read"):
        workspace.path(str(tmp_path / "elsewhere.txt"))


def test_a_file_is_replaced_in_one_move(workspace: Workspace) -> None:
    path = workspace.write("a/b.txt", b"first")
    with path.open("rb") as reader:
        workspace.write("a/b.txt", b"second")
        assert reader.read() == b"first"
    assert path.read_bytes() == b"second"
    assert [p.name for p in (workspace.root / "a").iterdir()] == ["b.txt"]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(workspace: Workspace) -> None:
    (workspace.root / "folder").mkdir()
    workspace.write("file", b"1")
    for name in ("folder", "file/below", "x" * 300):
        with pytest.raises(ToolError, match="could not be written"):
            workspace.write(name, b"2")
    assert [artifact.path for artifact in workspace.artifacts()] == ["file"]
    assert sorted(p.name for p in workspace.root.iterdir()) == ["file", "folder"]


def test_artifacts_are_all_files_with_their_hashes(workspace: Workspace) -> None:
    workspace.write("b.txt", b"two")
    workspace.write("a/c.bin", b"")
    (workspace.root / ".writing-half").write_bytes(b"half")
    (workspace.root / "link").symlink_to("b.txt")
    found = workspace.artifacts()
    assert [(a.path, a.bytes) for a in found] == [("a/c.bin", 0), ("b.txt", 3)]
    assert found[1].sha256 == hashlib.sha256(b"two").hexdigest()


@given(st.text())
def test_a_file_name_made_from_any_text_is_short_and_safe(text: str) -> None:
    name = file_name(text, ".pptx")
    assert name.endswith(".pptx")
    assert 5 < len(name) <= 65
    assert not set(name) & set("/\\:\x00\n ")
    assert not name.startswith(".")
    Workspace(Path("work")).write(name, b"")


def test_a_file_name_keeps_the_words() -> None:
    assert file_name("Honey bees: a primer!", ".pptx") == "honey-bees-a-primer.pptx"
    assert file_name("???", ".pptx") == "untitled.pptx"


def test_a_file_that_was_just_written_waits_for_the_next_settle(workspace: Workspace) -> None:
    saves = []

    def save() -> None:
        saves.append(workspace.write("deck", f"{len(saves)}".encode()))
        time.sleep(0.1)  # so that the rest after it is longer than this test

    for _ in range(5):
        workspace.write_soon("deck", save)
    assert len(saves) == 1
    assert workspace.pending("deck")
    workspace.settle()
    assert len(saves) == 2
    assert not workspace.pending("deck")


@pytest.mark.parametrize("look", [lambda w: w.path("deck").read_bytes(), lambda w: w.artifacts()[0].bytes])
def test_whoever_looks_at_a_file_finds_it_written(workspace: Workspace, look: Callable[[Workspace], object]) -> None:
    for text in (b"first", b"second"):
        workspace.write_soon("deck", lambda text=text: (workspace.write("deck", text), time.sleep(0.1)))
    assert look(workspace) in (b"second", 6)


def test_a_write_that_fails_forgets_what_was_parsed(workspace: Workspace) -> None:
    workspace.documents["deck"] = object()

    def full() -> None:
        raise ToolError("the disk is full")

    with pytest.raises(ToolError, match="full"):
        workspace.write_soon("deck", full)
    assert workspace.documents == {}
    assert not workspace.pending("deck")


def test_a_write_that_was_cancelled_is_not_made(workspace: Workspace) -> None:
    workspace.write_soon("deck", lambda: (workspace.write("deck", b"first"), time.sleep(0.1)))
    workspace.write_soon("deck", lambda: workspace.write("deck", b"second"))
    workspace.cancel("deck")
    workspace.settle()
    assert workspace.path("deck").read_bytes() == b"first"
