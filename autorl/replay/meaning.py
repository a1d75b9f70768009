"""All embeddings of a model in memory, small enough to look at every one: the signs first, then eight bits a number.

Two stages, as in asymmetric hashing: the Hamming distance of signs (Charikar 2002) leaves a few thousand of a million,
the rounded vectors a few dozen, and whoever asks reads those exactly. Nothing is trained or rebuilt, so that what was
added a moment ago is found, and two processes need not agree on anything.
"""

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from autorl.replay.schema import embedding_blocks, embeddings

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BLOCK = 4_096
"""Vectors of a row of `embedding_blocks`."""
LEAST, SHARE = 500, 0.008
"""How many the first stage leaves: at least so many, and this share of all."""
_STRIDE = 65_536


@dataclass(frozen=True)
class _Held:
    """What is in memory: of the first `count` columns or rows, which never change."""

    signs: "Array"  # uint64, a column a vector
    rounded: "Array"  # int8, a row a vector
    scales: "Array"  # float32, what a rounded number is worth
    count: int


class Meaning:
    """The vectors of one model. Safe to share between threads; `refresh` lets it see what was added.

    unreadable: numbers of vectors that are not what they should be; they are near to nothing
    """

    def __init__(self, model: str, dimensions: int) -> None:
        self.model, self.dimensions = model, dimensions
        self.unreadable: set[int] = set()
        self._held = self._room(0)
        self._lock = threading.Lock()

    def refresh(self, connection: sa.Connection, last: int) -> None:
        """Take in what was kept up to the number `last`, from blocks as far as there are any."""
        if last < self._held.count:
            return
        with self._lock:
            held = self._held
            if held.count <= last:
                self._make_room(last + 1)
                if held.count % BLOCK == 0:
                    self._take_blocks(connection)
                self._take_rows(connection)

    def nearest(self, vector: "Array", limit: int) -> list[int]:
        """Numbers of about the `limit` vectors nearest to `vector` (float32, of length 1), in no order."""
        import numpy as np

        held = self._held
        wanted = max(LEAST, int(SHARE * held.count), 4 * limit)
        if wanted >= held.count:
            near = np.arange(held.count)
        else:
            far = _distances(held, _signs(vector[None])[:, 0])
            counts = np.bincount(far[:: max(1, held.count // 20_000)]).cumsum()
            near = np.flatnonzero(far <= np.searchsorted(counts, counts[-1] * wanted / held.count))
        scores = dots(held.rounded[near].astype("<f4"), vector) * held.scales[near]
        if limit < len(near):
            near = near[np.argpartition(-scores, limit)[:limit]]
        return near.tolist()

    def _take_blocks(self, connection: sa.Connection) -> None:
        while packed := connection.scalar(_BLOCK, {"model": self.model, "block": self._held.count // BLOCK}):
            try:
                self._add(*unpack(packed, self.dimensions))
            except ValueError:
                return  # what is in it, and after it, is taken row by row

    def _take_rows(self, connection: sa.Connection) -> None:
        import numpy as np

        while some := connection.execute(_ROWS, {"model": self.model, "first": self._held.count}).all():
            first = self._held.count
            made = np.zeros((some[-1][0] + 1 - first, self.dimensions), "<f4")
            sound = np.zeros(len(made), "?")
            for number, vector in some:
                if len(vector) == 4 * self.dimensions:
                    made[number - first], sound[number - first] = np.frombuffer(vector, "<f4"), True
            sound &= np.isfinite(made).all(axis=1)
            made[~sound] = 0
            self.unreadable.update((first + np.flatnonzero(~sound)).tolist())
            self._add(*_rounded(made))

    def _add(self, rounded: "Array", scales: "Array") -> None:
        start, end = self._held.count, self._held.count + len(rounded)
        self._make_room(end)
        held = self._held
        held.signs[:, start:end] = _signs(rounded)
        held.rounded[start:end] = rounded
        held.scales[start:end] = scales
        self._held = replace(held, count=end)

    def _make_room(self, count: int) -> None:
        old = self._held
        if count > len(old.scales):
            new = self._room(max(count, len(old.scales) * 5 // 4))
            new.signs[:, : old.count] = old.signs[:, : old.count]
            new.rounded[: old.count] = old.rounded[: old.count]
            new.scales[: old.count] = old.scales[: old.count]
            self._held = replace(new, count=old.count)

    def _room(self, size: int) -> _Held:
        import numpy as np

        return _Held(np.empty((-(-self.dimensions // 64), size), "<u8"), np.empty((size, self.dimensions), "i1"),
                     np.empty(size, "<f4"), 0)


# A piece at a time: a driver keeps all that it is given.
_BLOCK = sa.select(embedding_blocks.c.vectors).where(
    embedding_blocks.c.model == sa.bindparam("model"), embedding_blocks.c.block == sa.bindparam("block"))
_ROWS = sa.select(embeddings.c.number, embeddings.c.vector).where(
    embeddings.c.model == sa.bindparam("model"), embeddings.c.number >= sa.bindparam("first")).order_by(
    embeddings.c.number).limit(BLOCK)


def dots(rows: "Array", vector: "Array") -> "Array":
    """The dot product of each row with `vector`.

    In one thread: those of `@` wait for each other, fifty times as long as it takes where other programs compute too.
    """
    import numpy as np

    products: Array = np.einsum("ij,j->i", rows, vector)
    return products


def pack(vectors: "Array") -> bytes:
    """A block of vectors (float32, a row each) at eight bits a number: their scales, then the numbers."""
    rounded, scales = _rounded(vectors)
    return scales.tobytes() + rounded.tobytes()


def unpack(packed: bytes, dimensions: int) -> tuple["Array", "Array"]:
    """The numbers (int8, a row a vector) and scales of a block. Raises ValueError if it is not one."""
    import numpy as np

    scales = np.frombuffer(packed, "<f4", count=BLOCK)
    return np.frombuffer(packed, "i1", offset=4 * BLOCK).reshape(BLOCK, dimensions), scales


def _rounded(vectors: "Array") -> tuple["Array", "Array"]:
    import numpy as np

    scales = np.maximum(np.abs(vectors).max(axis=1), 1e-9) / 127
    return np.rint(vectors / scales[:, None]).astype("i1"), scales.astype("<f4")


def _signs(vectors: "Array") -> "Array":
    """A bit for each number that is above zero: uint64, a column a vector."""
    import numpy as np

    bits = np.packbits(vectors > 0, axis=1)
    whole = np.zeros((len(bits), -(-bits.shape[1] // 8) * 8), "u1")
    whole[:, : bits.shape[1]] = bits
    return np.ascontiguousarray(whole.view("<u8").T)


def _distances(held: _Held, wanted: "Array") -> "Array":
    """The Hamming distance of each vector's signs to `wanted`, piece by piece, so that all stays in the cache."""
    import numpy as np

    kind = "u1" if len(wanted) <= 4 else "u2"
    far = np.empty(held.count, kind)
    differing, ones = np.empty(_STRIDE, "<u8"), np.empty(_STRIDE, "u1")
    for start in range(0, held.count, _STRIDE):
        end = min(start + _STRIDE, held.count)
        some, size = far[start:end], end - start
        some[:] = 0
        for word, column in zip(wanted, held.signs, strict=True):
            np.bitwise_xor(column[start:end], word, out=differing[:size])
            np.bitwise_count(differing[:size], out=ones[:size])
            some += ones[:size]
    return far
