import json
import os
import signal
import threading
import time
import urllib.request

import pytest
import xllamacpp

from autorl.errors import ModelUnavailable
from autorl.formats.grammar import Grammar
from autorl.models.base import Model
from autorl.models.local import Local
from autorl.models.openai import OpenAIServer
from tests.conformance.models import RealModelSuite, ask

pytestmark = pytest.mark.slow


class TestLocal(RealModelSuite):
    @pytest.fixture
    def model(self, embedded: Local) -> Model:
        return embedded


class TestLocalOverHTTP(RealModelSuite):
    """llama.cpp's own endpoint: a second real OpenAI-compatible server."""

    @pytest.fixture
    def model(self, embedded: Local) -> Model:
        return OpenAIServer("smollm2", base_url=f"{embedded._server().listening_address}/v1")


def test_the_weights_are_loaded_once_in_a_process(embedded: Local) -> None:
    assert Local.shared("local") is embedded
    assert embedded._server() is embedded._server()


def test_tokens_are_counted_as_the_model_does(embedded: Local) -> None:
    text = "Honey bees dance: \u6f22\u5b57 \U0001f41d."
    pair = [embedded.complete(ask(text + more, max_tokens=1)).usage.prompt_tokens for more in ("", " again and again")]
    assert pair[1] - pair[0] == embedded.count(f"{text} again and again") - embedded.count(text)


def test_loopback_is_reached_whatever_the_proxy(embedded: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr(urllib.request, "_opener", None)  # what an earlier call left
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert embedded.count("a text that was never counted before") > 3


def test_a_penalty_on_repetition_takes_the_place_of_its_own(embedded: Local) -> None:
    said = {penalty: embedded.complete(ask("Tell me of bees.", max_tokens=60, temperature=0.0, repetition=penalty)).text
            for penalty in (None, 1.05, 2.0)}
    assert said[None] == said[1.05] != said[2.0]


def test_a_grammar_that_is_none_is_refused_and_not_ignored(embedded: Local) -> None:
    with pytest.raises(ModelUnavailable, match="grammar"):
        embedded.complete(ask(grammar="root ::= missing"))


@pytest.mark.parametrize("seed", range(4))
def test_a_string_that_is_bounded_by_words_has_no_more_and_no_fewer(embedded: Local, seed: int) -> None:
    rules = Grammar()
    grammar = rules.text(rules.value({"type": "string", "words": (3, 9)}))
    said = embedded.complete(ask("Tell me of bees.", max_tokens=300, temperature=1.5, seed=seed, grammar=grammar)).text
    words = json.loads(said).split(" ")
    assert 3 <= len(words) <= 9
    assert len(words[-1].rstrip(".!?")) >= 3


def test_a_string_may_begin_with_what_is_given_and_goes_on_in_words(embedded: Local) -> None:
    rules = Grammar()
    grammar = rules.text(rules.value({"type": "string", "words": (2, 4), "begins": ['A "hive"', "Bees"]}))
    for seed in range(3):
        said = json.loads(embedded.complete(ask("Tell me of bees.", max_tokens=200, temperature=1.5, seed=seed,
                                          grammar=grammar)).text)
        begun = next(text for text in ('A "hive" ', "Bees ") if said.startswith(text))
        assert 2 <= len(said.removeprefix(begun).split(" ")) <= 4


@pytest.mark.parametrize(("text", "whole"), [("A naïve café, ok?", True), ("A bee: \U0001f41d", False)])
def test_tokens_are_rated_unless_one_of_them_ends_within_a_letter(embedded: Local, text: str, whole: bool) -> None:
    for most in range(1, 12):
        cut = embedded.complete(ask(tokens=True, max_tokens=most, grammar=f'root ::= "{text}"'))
        assert len(cut.logprobs) in (0, min(most, cut.usage.completion_tokens - (cut.finish_reason == "stop")))
    told = embedded.complete(ask(tokens=True, max_tokens=40, grammar=f'root ::= "{text}"'))
    assert told.text == text
    assert bool(told.logprobs) == bool(told.token_ids) == whole
    if whole:
        assert embedded._asked("detokenize", {"tokens": told.token_ids})["content"] == text


def test_an_interrupt_reaches_the_caller_while_the_model_speaks(embedded: Local) -> None:
    began = time.monotonic()
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        try:
            embedded.complete(ask(max_tokens=4000, grammar='root ::= ("a " | "b ")+'))
        finally:
            timer.cancel()
    assert time.monotonic() - began < 20  # far less than 4,000 tokens take
    assert embedded.complete(ask()).text, "and the model still answers"


@pytest.mark.parametrize("given", [None, 3])
def test_the_setting_tells_how_many_threads_there_are(monkeypatch: pytest.MonkeyPatch, given: int | None) -> None:
    loaded: list[xllamacpp.CommonParams] = []
    monkeypatch.setattr(xllamacpp, "Server", loaded.append)
    if given:
        monkeypatch.setenv("AUTORL_THREADS", str(given))
    Local()._load()
    cores = len(os.sched_getaffinity(0))
    threads = [loaded[0].cpuparams.n_threads, loaded[0].cpuparams_batch.n_threads]
    assert threads == ([given, given] if given else [max(1, cores // 2), cores])
