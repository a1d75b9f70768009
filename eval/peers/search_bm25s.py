"""bm25s: the words alone, all scores worked out when the index is built."""

from typing import Any

import bm25s
from search_protocol import TOP, asked, measure, tasks


def build() -> Any:
    index = bm25s.BM25()
    index.index(bm25s.tokenize(tasks(), stopwords="en", show_progress=False), show_progress=False)
    return index


def ask(index: Any, text: str) -> Any:
    words = bm25s.tokenize([text], stopwords="en", show_progress=False, return_ids=False)
    return index.retrieve(words, k=TOP, show_progress=False, n_threads=0).documents[0]


measure(build, asked(), ask)
