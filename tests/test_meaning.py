from collections.abc import Callable

import numpy as np
import pytest
import sqlalchemy as sa

from autorl.replay import vectors
from autorl.replay.meaning import BLOCK, Meaning, pack, unpack
from autorl.replay.schema import embedding_blocks
from autorl.replay.store import ReplayStore
from tests.worlds import a_run


def some(count: int, dimensions: int = 128, seed: int = 0) -> np.ndarray:
    """Vectors in clusters, as those of texts are."""
    topics = np.random.default_rng(0).standard_normal((50, dimensions))
    dice = np.random.default_rng(seed + 1)
    made = topics[dice.integers(0, 50, count)] + 0.9 * dice.standard_normal((count, dimensions))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype("<f4")


def filled(store: ReplayStore, made: np.ndarray, model: str = "m") -> Callable[[Meaning], Meaning]:
    """Keeps `made` as the vectors of that many tasks; gives what lets an index see them."""
    names = [f"t{n}" for n in range(len(made))]
    with store._database.writing() as connection:
        connection.execute(sa.text("INSERT OR IGNORE INTO tasks (id, body, text) VALUES (:id, '{}', '')"),
                           [{"id": name} for name in names])
    for start in range(0, len(made), 1_000):
        vectors.keep(store._database, model, [
            (name, row.tobytes()) for name, row in zip(names[start:], made[start : start + 1_000], strict=False)])

    def seen(index: Meaning) -> Meaning:
        store._database.read(lambda connection: index.refresh(connection, len(made) - 1))
        return index

    return seen


@pytest.mark.parametrize("dimensions", [100, 128, 384])
def test_nearly_all_of_the_nearest_are_found(dimensions: int, store: ReplayStore) -> None:
    made = some(20_000, dimensions)
    index = filled(store, made)(Meaning("m", dimensions))
    wanted = some(40, dimensions, seed=1)
    exact = np.argsort(-(wanted @ made.T), axis=1)[:, :5]
    found = [len(set(index.nearest(query, 20)) & set(best)) for query, best in zip(wanted, exact, strict=True)]
    assert sum(found) / (5 * len(wanted)) >= 0.95


def test_what_is_added_is_found_at_once(store: ReplayStore) -> None:
    made = some(BLOCK + 300)
    index = filled(store, made[:100])(Meaning("m", 128))
    assert index.nearest(made[7], 1) == [7]
    seen = filled(store, made)
    assert 200 not in index.nearest(made[200], 1)
    for number in (0, 200, BLOCK, BLOCK + 299):
        assert seen(index).nearest(made[number], 1) == [number]


def test_another_process_has_them_from_blocks(store: ReplayStore) -> None:
    made = some(2 * BLOCK + 10)
    seen = filled(store, made)
    with store._database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(embedding_blocks)) == 2
    new = seen(Meaning("m", 128))
    assert [new.nearest(made[n], 1) for n in (0, BLOCK - 1, BLOCK, 2 * BLOCK + 9)] == [
        [0], [BLOCK - 1], [BLOCK], [2 * BLOCK + 9]]


def test_a_block_that_cannot_be_read_costs_time_alone_until_it_is_made_again(store: ReplayStore) -> None:
    made = some(2 * BLOCK + 10, 256)
    model = store.embedder.name
    seen = filled(store, made, model)
    with store._database.writing() as connection:
        connection.execute(embedding_blocks.update().where(embedding_blocks.c.block == 0), {"vectors": b"torn"})
    index = seen(Meaning(model, 256))
    assert [index.nearest(made[n], 1) for n in (0, BLOCK, 2 * BLOCK + 9)] == [[0], [BLOCK], [2 * BLOCK + 9]]
    store._vectors.mend()
    with store._database.reading() as connection:
        sizes = connection.execute(sa.select(sa.func.length(embedding_blocks.c.vectors))).scalars().all()
    assert sizes == [BLOCK * 260] * 2


@pytest.mark.parametrize("harm", [
    "DELETE FROM embeddings WHERE number = 7", "UPDATE embeddings SET vector = x'00' WHERE number = 7",
    "UPDATE embeddings SET vector = CAST(zeroblob(508) || x'0000C07F' AS BLOB) WHERE number = 7"])
def test_what_is_not_there_or_no_number_is_near_to_nothing_and_moves_nothing(harm: str, store: ReplayStore) -> None:
    made = some(50)
    seen = filled(store, made)
    with store._database.writing() as connection:
        assert connection.exec_driver_sql(harm).rowcount == 1
    index = seen(Meaning("m", 128))
    assert index.unreadable == {7}
    assert [index.nearest(made[n], 1) for n in (6, 8, 49)] == [[6], [8], [49]]


def test_a_small_store_s_vectors_stay_in_memory_and_those_of_a_large_one_are_asked_for(
        store: ReplayStore, monkeypatch: pytest.MonkeyPatch) -> None:
    made = some(300, store.embedder.dimensions or 256)
    filled(store, made[:200], store.embedder.name)
    few = vectors.Vectors(store._database, store.embedder)
    few._last = 299  # as a thread has seen it whose view is newer
    few.nearest(made[0], 5)
    filled(store, made, store.embedder.name)
    few.lacking()
    kept = [few.nearest(wanted, 5) for wanted in made[::30]]
    assert [found[0][0] for found in kept] == [f"t{n}" for n in range(0, 300, 30)], "those that came later too"
    assert len(few._kept) == 300
    monkeypatch.setattr(vectors, "KEPT", 0)
    many = vectors.Vectors(store._database, store.embedder)
    assert [many.nearest(wanted, 5) for wanted in made[::30]] == kept
    assert not many._kept


def test_models_are_never_mixed(store: ReplayStore) -> None:
    filled(store, some(50), "one")
    other = some(50, seed=2)
    index = filled(store, other, "two")(Meaning("two", 128))
    assert all(index.nearest(other[n], 1) == [n] for n in range(50))


def test_a_block_holds_its_vectors_to_half_a_percent() -> None:
    made = some(BLOCK)
    rounded, scales = unpack(pack(made), 128)
    assert np.abs(rounded * scales[:, None] - made).max() < 0.005
    with pytest.raises(ValueError):
        unpack(pack(made)[:-1], 128)


def test_every_task_gets_its_vector_in_the_background(store: ReplayStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "AT_ONCE", 10)
    store.add([a_run(f"Task number {n}") for n in range(1_500)])
    (wanted,) = store.embedder.embed(["Task number 7"])
    assert store.ready() == 1_500, "it is told, and not waited for"
    assert store._vectors._thread is not None
    store._vectors._thread.join(300)
    assert store.ready() == 0
    found = store.by_meaning(wanted, limit=5)
    assert found[0][1] == pytest.approx(1.0, abs=1e-5)
