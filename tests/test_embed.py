import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from autorl.errors import ModelUnavailable, StoreUnavailable, UsageError
from autorl.replay import embed
from autorl.replay.store import ReplayStore
from autorl.types import Task
from tests.servers import Reply, refusal, serving
from tests.test_recall import TOPICS, names, remember, success


def letters(body: dict[str, Any], dimensions: int = 26) -> Reply:
    """An embedding by the letters of the text; the rows come in any order, as the protocol allows."""
    rows = [{"object": "embedding", "index": index, "embedding": [
        text.lower().count(chr(ord("a") + n % 26)) + 0.1 for n in range(dimensions)]}
        for index, text in enumerate(body["input"])]
    whole = {"object": "list", "data": rows[::-1], "model": body["model"],
             "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    return Reply(body=json.dumps(whole).encode())


@pytest.fixture(autouse=True)
def plain_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")


def test_an_endpoint_of_the_user_s_tells_what_is_near(store: ReplayStore) -> None:
    with serving(letters) as server:
        own = ReplayStore(store.where, embedder=embed.load("openai:letters", server.url))
        for n, text in enumerate(["zzz zzzz zz", "eee eeee ee", "qqq qqq q"]):
            success(own, text, f"run-{n}")
        assert names(list(remember(own, "zzzzzzz", k=1).exemplars)) == ["run-0"]
        assert all(len(vector) == 26 * 4 for vector in own.vectors([Task.of("eee eeee ee").id], "letters").values())
        asked = len(server.requests)
        remember(own, "zzzzzzz", k=1)
        assert len(server.requests) == asked + 1, "what is kept is not asked for again"
        own.close()


def test_while_the_endpoint_is_away_recall_goes_by_words_and_says_so(store: ReplayStore) -> None:
    own = ReplayStore(store.where, embedder=embed.load("openai:letters", "http://127.0.0.1:9/v1"))
    for n, text in enumerate(TOPICS):
        success(own, text, f"topic-{n}")
    found = remember(own, "volcanoes", k=1)
    assert names(found.exemplars) == ["topic-2"]
    assert "no embeddings by 'letters' could be had from http://127.0.0.1:9/v1" in found.left_out["by words alone"]
    own.close()


def test_another_embedder_starts_anew_and_never_reads_the_other_s_vectors(store: ReplayStore) -> None:
    success(store, TOPICS[0], "bees")
    remember(store, "Bees")
    with serving(letters) as server:
        own = ReplayStore(store.where, embedder=embed.load("openai:letters", server.url))
        remember(own, "Bees")
        task = Task.of(TOPICS[0]).id
        assert len(own.vectors([task], "letters")[task]) == 26 * 4
        assert len(own.vectors([task], store.embedder.name)[task]) == 256 * 4
        own.close()


def test_a_name_that_another_model_took_over_is_told(store: ReplayStore) -> None:
    success(store, TOPICS[0], "bees")
    with serving(letters) as server:
        own = ReplayStore(store.where, embedder=embed.load("openai:letters", server.url))
        own.embed_all()
        success(own, TOPICS[1], "bikes")
        own.close()
    with serving(lambda body: letters(body, 30)) as server:
        own = ReplayStore(store.where, embedder=embed.load("openai:letters", server.url))
        with pytest.raises(StoreUnavailable, match=r"'letters' makes vectors of 30 numbers, and the store has 26"):
            own.embed_all()
        own.close()


@pytest.mark.parametrize("reply", [
    refusal(401, "wrong key"), Reply(body=b'{"object": "list", "data": []}'), Reply(body=b"[]"), Reply(body=b"no json"),
    Reply(body=b'{"object": "list", "data": [{"index": 0, "embedding": ["x", null]}]}'),
])
def test_an_endpoint_that_answers_nonsense_is_unavailable(reply: Reply) -> None:
    with serving(reply) as server, pytest.raises(ModelUnavailable, match=r"letters|embeddings"):
        embed.load("openai:letters", server.url).embed(["a"])


def test_a_text_of_nothing_gives_zeros_and_numbers_that_are_none_count_as_zero() -> None:
    assert not embed.load().embed([""]).any()
    nan = Reply(body=b'{"object": "list", "data": [{"index": 0, "embedding": [3, NaN, 4]}]}')
    with serving(nan) as server:
        assert embed.load("openai:x", server.url).embed(["a"]) == pytest.approx(np.array([[0.6, 0, 0.8]]))


@pytest.mark.parametrize(("name", "told"), [
    ("word2vec", "no embedder 'word2vec'"), ("openai:", "no embedder 'openai:'"), ("openai:a b", "cannot be kept"),
    (f"openai:{'x' * 65}", "cannot be kept"),
])
def test_an_embedder_that_cannot_be_is_named(name: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        embed.load(name)


def test_the_embedded_model_never_turns_on_the_program_s_logging() -> None:
    seen = subprocess.run([sys.executable, "-c", """
import logging

turned = []
logging.root.setLevel = turned.append  # for a moment would be too long: other threads write their lines meanwhile
from autorl.replay import embed

embed.WordLlama().embed(["bees"])
print(turned, logging.root.handlers)
"""], capture_output=True, text=True, check=True, timeout=120)
    assert seen.stdout.split() == ["[]", "[]"], seen.stdout
