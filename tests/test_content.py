import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autorl import content
from autorl.errors import UnknownName, UsageError
from autorl.formats import prompts
from autorl.formats.react import React
from autorl.types import Context, Task
from tests.worlds import ping

PACK = "from autorl import tool\n\n@tool\ndef {0}(text: str) -> str:\n    '''Say it.'''\n    return text\n"


@pytest.fixture
def project() -> Iterator[Path]:
    """The current folder as a project with tools/ and prompts/."""
    here = Path.cwd()
    (here / "autorl.toml").write_text("")
    for name in ("tools", "prompts"):
        (here / name).mkdir()
    known = set(sys.modules)
    yield here
    for name in set(sys.modules) - known:
        if name.startswith(content.NAMESPACE):
            del sys.modules[name]


def test_the_nearest_folder_with_a_config_is_the_project(project: Path) -> None:
    below = project / "a" / "b"
    below.mkdir(parents=True)
    assert content.project(below) == project
    (project / "a" / "autorl.toml").write_text("")
    assert content.project(below) == project / "a"


def test_outside_of_a_project_there_is_what_autorl_brings() -> None:
    assert content.project() is None
    assert content.folders("prompts") == [content.builtin() / "prompts"]
    assert {"slides", "files", "ask_user"} <= set(content.packs())


def test_a_project_s_own_file_wins_over_the_built_in_one(project: Path) -> None:
    built_in = content.find("prompts", "task.jinja")
    (project / "prompts" / "task.jinja").write_text("Mine: {{ task }}")
    assert content.find("prompts", "task.jinja") == project / "prompts" / "task.jinja" != built_in
    assert prompts.load("task").render(task="tea", again=False) == "Mine: tea"


def test_a_prompt_that_is_changed_changes_what_is_asked_and_its_hash(project: Path) -> None:
    context = Context(Task.of("Make tea"), (ping.spec,))
    asked, before = React().render(context), React().prompt_hash
    (project / "prompts" / "task.jinja").write_text("Mine: {{ task }}")
    (project / "prompts" / "react.jinja").write_text("Tools: {{ tools|length }}")
    assert [message["content"] for message in React().render(context)] == ["Tools: 1", "Mine: Make tea"]
    assert React().render(context) != asked
    assert React().prompt_hash != before


def test_an_unknown_prompt_is_named_with_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match=r"no prompt named 'raect'. Did you mean 'react'\?"):
        prompts.load("raect")


@pytest.mark.parametrize("name", ["../pyproject.toml", "/etc/passwd", "..", ""])
def test_no_name_leads_out_of_the_folders(name: str) -> None:
    with pytest.raises(UnknownName):
        content.find("prompts", name)


@pytest.mark.parametrize(("text", "problem"), [
    ("{{ tsak }}", r"unknown variable: 'tsak' is undefined.*It may use: again, task"),
    ("{% if %}", "no valid template"),
    ("{{ task.__class__.__mro__ }}", "unknown variable|no valid template|unsafe"),
])
def test_a_prompt_that_cannot_be_filled_in_is_named_with_what_it_may_use(
    text: str, problem: str, project: Path
) -> None:
    (project / "prompts" / "task.jinja").write_text(text)
    with pytest.raises(UsageError, match=problem) as raised:
        prompts.load("task").render(task="tea", again=False)
    assert str(project / "prompts" / "task.jinja") in str(raised.value)


def test_what_a_task_says_is_never_a_template() -> None:
    asked = prompts.load("task").render(task="{{ 7 * 7 }}", actions=["{% raw %}"], warning="", again=False)
    assert "{{ 7 * 7 }}" in asked
    assert "{% raw %}" in asked


def test_a_pack_is_a_module_in_tools_or_a_package_with_relative_imports(project: Path) -> None:
    (project / "tools" / "single.py").write_text(PACK.format("one"))
    package = project / "tools" / "several"
    package.mkdir()
    (package / "inner.py").write_text(PACK.format("two"))
    (package / "__init__.py").write_text("from .inner import two\nfrom ..single import one\n")
    assert {"single", "several", "files"} <= set(content.packs())
    assert [each.name for each in content.load_pack("single").tools] == ["one"]
    assert [each.name for each in content.load_pack("several").tools] == ["two", "one"]


@pytest.mark.parametrize(("source", "problem"), [
    ("import there_is_no_such_module", "needs the module 'there_is_no_such_module'.*pip install"),
    ("1 / 0", "does not import: ZeroDivisionError"),
    ("def f(", "does not import: SyntaxError"),
    ("x = 1", "holds no tool"),
    ("from autorl import tool\n@tool\ndef f(x): ...", "has no type hint"),
])
def test_a_pack_that_cannot_be_loaded_says_why(source: str, problem: str, project: Path) -> None:
    (project / "tools" / "broken.py").write_text(source)
    with pytest.raises(UsageError, match=problem):
        content.load_pack("broken")


def test_an_unknown_pack_is_named_with_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match=r"no pack named 'slide'. Did you mean 'slides'\?"):
        content.load_pack("slide")
    with pytest.raises(UnknownName):
        content.load_pack("os.path")


@pytest.mark.parametrize("name", ["files", "ask_user"])
def test_the_built_in_packs_load_from_any_folder(name: str) -> None:
    assert content.load_pack(name).tools
