"""usearch: the meaning alone, an HNSW graph over the same vectors. The query's vector is given, not made."""

from typing import Any

import numpy as np
from search_protocol import TOP, folder, measure
from usearch.index import Index


def build() -> Any:
    vectors = np.load(folder() / "vectors.npy", mmap_mode="r")
    index = Index(ndim=vectors.shape[1], metric="cos", dtype="f16")
    index.add(np.arange(len(vectors)), vectors)
    return index


measure(build, np.load(folder() / "queries.npy"), lambda index, vector: index.search(vector, TOP).keys)
