import json
from pathlib import Path

import pytest

from autorl import models
from autorl.errors import ModelUnavailable, UnknownName, UsageError
from autorl.models.base import Completion, Model
from autorl.models.scripted import Scripted
from autorl.types import Usage
from tests.conformance.models import ModelSuite, ask


class TestScriptedTexts(ModelSuite):
    @pytest.fixture
    def model(self) -> Model:
        return Scripted(["hello"] * 30)


class TestScriptedFunction(ModelSuite):
    @pytest.fixture
    def model(self) -> Model:
        return Scripted(lambda request: Completion("hi", usage=Usage(prompt_tokens=40, completion_tokens=1)))


def test_answers_come_in_order_and_no_more_than_there_are() -> None:
    model = Scripted(["one", Completion("two", None)])
    assert model.complete(ask()).text == "one"
    assert model.complete(ask()).finish_reason is None
    with pytest.raises(ModelUnavailable, match="has 2 answers and was asked for one more"):
        model.complete(ask())
    assert len(model.requests) == 3


def test_a_script_may_raise_what_a_backend_raises() -> None:
    def fail(_: object) -> str:
        raise ModelUnavailable("gone")

    with pytest.raises(ModelUnavailable, match="gone"):
        Scripted(fail).complete(ask())


def test_a_script_is_read_from_a_file() -> None:
    Path("script.jsonl").write_text("\n".join(map(json.dumps, ["one\n1", "two"])) + "\n\n")
    model = models.load("scripted:script.jsonl")
    assert [model.complete(ask()).text for _ in range(2)] == ["one\n1", "two"]


def test_a_file_that_is_no_script_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'nowhere.jsonl' cannot be read: No such file"):
        models.load("scripted:nowhere.jsonl")
    Path("bad.jsonl").write_text("not json")
    with pytest.raises(UsageError, match="a line that is no JSON string"):
        models.load("scripted:bad.jsonl")


def test_an_unknown_model_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match=r"no model provider named 'opnai'. Did you mean 'openai'\?.*provider:model"):
        models.load("opnai:gpt-5")
    with pytest.raises(UsageError, match=r"names no model.*openai:NAME"):
        models.load("openai")


def test_a_local_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="no model file 'nowhere.gguf'"):
        models.load("local:nowhere.gguf").complete(ask())
    with pytest.raises(UsageError, match=r"is not local:hf:OWNER/REPO/FILE.gguf"):
        models.load("local:hf:model.gguf").complete(ask())


def test_a_local_file_that_is_no_model_is_named() -> None:
    Path("broken.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelUnavailable, match=r"cannot load .*broken.gguf"):
        models.load("local:broken.gguf").complete(ask())
