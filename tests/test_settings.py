from pathlib import Path

import pytest

from autorl import settings
from autorl.errors import UnknownName, UsageError
from autorl.settings import resolve


def config(text: str) -> Path:
    path = Path("autorl.toml")
    path.write_text(text)
    return path


def test_the_command_line_beats_the_environment_beats_the_file_beats_the_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert resolve().k == 2
    config("k = 3")
    assert resolve().k == 3
    monkeypatch.setenv("AUTORL_K", "4")
    assert resolve().k == 4
    assert resolve({"k": 5}).k == 5
    assert resolve({"k": None}).k == 4, "an option that was not given is no value"


def test_the_file_is_found_from_a_folder_below(monkeypatch: pytest.MonkeyPatch) -> None:
    config('model = "openai:some"')
    Path("a/b").mkdir(parents=True)
    monkeypatch.chdir("a/b")
    assert resolve().model == "openai:some"


def test_every_setting_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "MODEL": "scripted:x", "BASE_URL": "http://x/v1", "TOOLS": "slides,files:all", "FORMAT": "structured",
        "EXEMPLARS": "compact", "RECALL": "recent", "FAILURES": "1", "EMBEDDER": "openai:small",
        "EMBEDDER_URL": "http://e/v1", "CONSTRAINED": "false", "TEMPERATURE": "0", "SEED": "7", "MAX_TOKENS": "64",
        "K": "0", "BUDGET": "9", "MAX_STEPS": "3", "MAX_SECONDS": "1.5", "READABLE": "/a,/b", "STORE": "x.db",
        "UNSANDBOXED": "1", "KEEP_TOKENS": "1", "TENANT": "us", "POLICY": "none", "REPETITION": "1.1",
        "THREADS": "2",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"AUTORL_{name}", value)
    found = resolve()
    assert {name.upper() for name in settings.Settings.model_fields} == set(given)
    assert found.tools == ("slides", "files:all")
    assert found.readable == (Path("/a"), Path("/b"))
    assert (found.constrained, found.temperature, found.seed, found.max_seconds) == (False, 0.0, 7, 1.5)
    assert found.unsandboxed


def test_code_is_confined_unless_told_otherwise() -> None:
    assert not resolve().unsandboxed


def test_a_variable_of_another_program_or_version_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORL_SOMETHING_NEW", "1")
    assert resolve() == settings.Settings()


@pytest.mark.parametrize(("name", "value"), [
    ("temperature", "hot"), ("temperature", "3"), ("k", "-1"), ("k", "1.5"), ("max_tokens", "1"),
    ("exemplars", "short"), ("recall", "best"), ("constrained", "maybe"), ("max_seconds", "0"), ("max_steps", "0"),
    ("seed", "x"),
])
def test_a_wrong_value_is_named_with_its_setting_and_where_it_was_set(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(f'{name} = "{value}"')
    with pytest.raises(UsageError) as raised:
        resolve()
    assert f"'{name}' is '{value}'" in str(raised.value)
    assert str(path.resolve()) in str(raised.value)
    path.unlink()
    monkeypatch.setenv(f"AUTORL_{name.upper()}", value)
    with pytest.raises(UsageError, match="It comes from the environment"):
        resolve()
    monkeypatch.delenv(f"AUTORL_{name.upper()}")
    with pytest.raises(UsageError, match="It comes from the command line"):
        resolve({name: value})


def test_a_mistake_that_a_better_source_covers_is_none() -> None:
    config('k = "many"')
    assert resolve({"k": 1}).k == 1


def test_an_unknown_key_is_named_with_the_nearest_one_and_its_file() -> None:
    path = config("temprature = 1")
    with pytest.raises(UnknownName, match=r"no setting named 'temprature'. Did you mean 'temperature'\?") as raised:
        resolve()
    assert str(path.resolve()) in str(raised.value)
    path.unlink()
    with pytest.raises(UnknownName, match="command line"):
        resolve({"modell": "x"})


@pytest.mark.parametrize("text", ["k = ", "[[", "\x00", "tools = 'slides'"])
def test_a_file_that_cannot_be_read_is_named(text: str) -> None:
    path = config(text)
    with pytest.raises(UsageError) as raised:
        resolve()
    assert str(path.resolve()) in str(raised.value)


def test_a_file_that_is_no_text_is_named() -> None:
    path = Path("autorl.toml")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        resolve()


def test_home_is_where_autorl_home_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTORL_HOME", "somewhere")
    assert settings.home() == Path.cwd() / "somewhere"
    monkeypatch.setenv("AUTORL_HOME", "~/autorl")
    assert settings.home() == Path.home() / "autorl"
    monkeypatch.delenv("AUTORL_HOME")
    assert settings.home().name == "autorl"
