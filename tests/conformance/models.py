"""What every backend must do. A test module gives the fixture `model`; real ones take `RealModelSuite` as well."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from autorl.errors import ContextOverflow
from autorl.models.base import Model, Request
from autorl.rollout.threads import in_threads

GREET = ({"role": "system", "content": "You answer in one word."}, {"role": "user", "content": "Say hello."})


SENTENCE = "The quick brown fox jumps over the lazy dog, 12 times, and once more: {\"a\": [1, 2]}."


def ask(text: str = "Say hello.", **changes: Any) -> Request:
    messages = (GREET[0], {"role": "user", "content": text})
    return Request(**{"messages": messages, "max_tokens": 8, "temperature": 0.0, **changes})


class ModelSuite:
    """Needs the fixture `model`, which answers any request with some text."""

    at_once = 16

    def test_an_answer_has_text_an_end_and_its_tokens(self, model: Model) -> None:
        completion = model.complete(ask())
        assert completion.text
        assert completion.finish_reason in ("stop", "length")
        assert completion.usage.prompt_tokens > 0
        assert completion.usage.completion_tokens > 0
        assert 0 <= completion.usage.cached_tokens <= completion.usage.prompt_tokens
        assert completion.seconds >= 0

    def test_the_pieces_of_an_answer_are_the_answer(self, model: Model) -> None:
        pieces: list[str] = []
        completion = model.complete(ask(on_text=pieces.append))
        assert "".join(pieces) == completion.text
        assert completion.usage.completion_tokens > 0

    def test_who_watches_does_not_change_the_request(self) -> None:
        assert ask(on_text=print) == ask()

    def test_what_the_watcher_raises_reaches_the_caller(self, model: Model) -> None:
        class Enough(Exception):
            pass

        def stop(_: str) -> None:
            raise Enough

        with pytest.raises(Enough):
            model.complete(ask(on_text=stop))
        assert model.complete(ask()).text, "and the model still answers"

    def test_many_threads_are_answered_at_once(self, model: Model) -> None:
        answers = list(in_threads(lambda n: model.complete(ask(f"Say {n}.", max_tokens=4)), range(self.at_once), 8))
        assert len(answers) == self.at_once
        assert all(answer.text and answer.finish_reason for answer in answers)

    def test_a_request_is_not_changed_by_its_answer(self, model: Model) -> None:
        request = ask(stop=("\n",), seed=3)
        before = json.dumps([list(request.messages), request.stop, request.seed])
        model.complete(request)
        assert json.dumps([list(request.messages), request.stop, request.seed]) == before

    def test_tokens_are_counted_exactly_or_from_above(self, model: Model) -> None:
        text = SENTENCE
        asked = model.complete(ask(text)).usage.prompt_tokens
        assert model.count("") <= 2
        assert model.count(text) + model.count(GREET[0]["content"]) + 20 >= asked
        assert model.count(text + text) > model.count(text)
        assert model.count("\u6f22\u5b57 \U0001f41d") > 0

    def test_a_backend_says_what_it_takes(self, model: Model) -> None:
        assert isinstance(model.name, str)
        assert isinstance(model.capabilities.grammar, bool)
        assert isinstance(model.capabilities.json_schema, bool)
        assert model.context_tokens is None or model.context_tokens > 0


class RealModelSuite(ModelSuite):
    """For backends with a real model behind them."""

    at_once = 3

    def test_an_answer_that_reaches_its_tokens_says_length(self, model: Model) -> None:
        completion = model.complete(ask("Count to one hundred.", max_tokens=3))
        assert completion.finish_reason == "length"
        assert completion.usage.completion_tokens == 3

    def test_a_stop_text_ends_the_answer_and_is_no_part_of_it(self, model: Model) -> None:
        request = ask("Write the numbers one to nine.", max_tokens=60)
        free = model.complete(request).text
        stop = free[len(free) // 2 :][:3]
        stopped = model.complete(ask("Write the numbers one to nine.", max_tokens=60, stop=(stop,)))
        assert stopped.finish_reason == "stop"
        assert stop not in stopped.text
        assert len(stopped.text) < len(free)

    def test_the_same_seed_gives_the_same_answer(self, model: Model) -> None:
        # The first one fills the prompt cache: from there on the model computes the very same again.
        asked = [ask("Tell a story.", temperature=1.0, max_tokens=12, seed=seed) for seed in (5, 5, 5, 6, 7)]
        _, first, again, *others = [model.complete(request).text for request in asked]
        assert first == again
        assert any(other != first for other in others)

    def test_the_tokens_of_an_answer_are_rated_where_that_is_asked_for(self, model: Model) -> None:
        assert model.complete(ask()).logprobs == ()
        told = model.complete(ask("Count to five.", max_tokens=12, tokens=True))
        assert model.capabilities.logprobs
        assert 0 <= told.usage.completion_tokens - len(told.logprobs) <= 1, "some leave the one out that ends it"
        assert all(value <= 0 for value in told.logprobs)
        if model.capabilities.token_ids:
            assert len(told.token_ids) == len(told.logprobs)

    def test_a_schema_or_a_grammar_is_obeyed_where_it_is_taken(self, model: Model) -> None:
        if model.capabilities.json_schema:
            schema = {"type": "object", "properties": {"day": {"enum": ["mon", "tue"]}}, "required": ["day"],
                      "additionalProperties": False}
            assert json.loads(model.complete(ask(json_schema=schema, max_tokens=40)).text)["day"] in ("mon", "tue")
        if model.capabilities.grammar:
            assert model.complete(ask(grammar='root ::= "yes" | "no"')).text in ("yes", "no")

    def test_a_prompt_over_the_context_is_an_overflow(self, model: Model) -> None:
        with pytest.raises(ContextOverflow):
            model.complete(ask("word " * 9_000))

    def test_a_prompt_that_begins_as_the_last_one_is_taken_from_the_cache(self, model: Model) -> None:
        long = "Here is a list of words: " + "apple pear plum " * 320  # many blocks of any cache
        model.complete(ask(long, max_tokens=1))
        usages: Iterator[Any] = (model.complete(ask(f"{long} and {n}", max_tokens=1)).usage for n in range(2))
        assert max(usage.cached_tokens / usage.prompt_tokens for usage in usages) > 0.8
