"""The search index and near-duplicates, against exact answers."""

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from facestats_pipeline.core.embeddings import hash_pairs
from facestats_pipeline.core.embeddings.hash_pairs import hamming_pairs
from facestats_pipeline.core.embeddings.index import (
    MARKS,
    EmbeddingIndex,
    IndexUnreadable,
    build_index,
    empty_index,
    load_index,
)
from facestats_pipeline.core.embeddings.near_duplicate_table import NEAR_DUPLICATES
from facestats_pipeline.core.embeddings.near_duplicates import near_duplicates


def unit(n: int, dim: int = 64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 12)) @ rng.normal(size=(12, dim)) + 0.3 * rng.normal(size=(n, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return unit(3_000)


@pytest.fixture(scope="module")
def ids(vectors: np.ndarray) -> list[str]:
    return [f"{i:032x}" for i in range(len(vectors))]


def make(ids: list[str], vectors: np.ndarray, step: int = 700) -> EmbeddingIndex:
    return build_index(
        ((ids[i : i + step], vectors[i : i + step]) for i in range(0, len(ids), step)), model_id="m@0", threads=1
    )


@pytest.fixture(scope="module")
def index(ids: list[str], vectors: np.ndarray) -> EmbeddingIndex:
    return make(ids, vectors)


def test_neighbours_are_the_exact_ones(index: EmbeddingIndex, ids: list[str], vectors: np.ndarray) -> None:
    queries = unit(50, seed=1)
    scores = queries @ vectors.T
    exact = np.argsort(-scores, axis=1)[:, :10]
    found = index.search(queries, 10)
    hits = [len({id_ for id_, _ in row} & {ids[j] for j in best}) for row, best in zip(found, exact, strict=True)]
    assert np.mean(hits) / 10 >= 0.95
    assert index.recall(queries) == pytest.approx(np.mean(hits) / 10, abs=0.02)
    cosines = np.array([[cosine for _, cosine in row] for row in found])
    assert (np.diff(cosines, axis=1) <= 1e-6).all()
    by_id = dict(zip(ids, vectors, strict=True))
    np.testing.assert_allclose(cosines[3], [queries[3] @ by_id[id_] for id_, _ in found[3]], atol=2e-3)


def test_recall_sees_what_is_missed(ids: list[str], vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make(ids[:200], vectors[:200])
    rows, cosines = index.neighbours(vectors[:5], 10)
    rows[:, 5:] = -1
    monkeypatch.setattr(index, "neighbours", lambda *_: (rows, cosines))
    assert index.recall(vectors[:5]) == pytest.approx(0.5, abs=0.05)


def test_save_and_load_are_one_file_and_the_same_answers(
    index: EmbeddingIndex, vectors: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "metadata" / "embeddings.index"
    index.save(path)
    index.save(path)  # over an earlier one
    assert [entry.name for entry in tmp_path.iterdir()] == ["metadata"]
    assert [entry.name for entry in path.parent.iterdir()] == ["embeddings.index"]
    for view in (False, True):
        again = load_index(path, view=view)
        assert (len(again), again.dim, again.model_id, again.ids) == (len(index), 64, "m@0", index.ids)
        assert again.search(vectors[:20], 5) == index.search(vectors[:20], 5)
        np.testing.assert_allclose(again.vectors(again.ids[:5]), vectors[:5], atol=1e-3)


def test_a_failed_save_leaves_the_old_file(
    index: EmbeddingIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metadata" / "embeddings.index"
    index.save(path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        index.save(path)
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["metadata"]


def test_unreadable_files_are_named(index: EmbeddingIndex, tmp_path: Path) -> None:
    path = tmp_path / "metadata" / "a.index"
    index.save(path)
    data = path.read_bytes()
    for content in (b"", b"text", data[:-1], data[: len(data) // 2], data + b"x"):
        path.write_bytes(content)
        with pytest.raises(IndexUnreadable, match=r"a\.index"):
            load_index(path)
    with pytest.raises(IndexUnreadable, match="none"):
        load_index(tmp_path / "none")


def test_add_replace_and_remove(ids: list[str], vectors: np.ndarray, tmp_path: Path) -> None:
    index = make(ids[:300], vectors[:300])
    assert index.add(ids[300:310], vectors[300:310]) == 10 and len(index) == 310
    assert index.search(vectors[305], 1)[0][0][0] == ids[305]
    assert index.remove([ids[305], ids[0], "unknown"]) == 2 and len(index) == 308
    assert ids[305] not in index and index.search(vectors[305], 1)[0][0][0] != ids[305]
    moved = -vectors[7]
    index.add([ids[7]], moved[None])
    assert len(index) == 308 and index.search(moved, 1)[0][0][0] == ids[7]
    assert len({id_ for id_, _ in index.search(vectors[7], 308)[0]}) == 308
    index.save(tmp_path / "m" / "i")
    again = load_index(tmp_path / "m" / "i")
    assert again.ids == index.ids and ids[0] not in again
    again.add(["new"], vectors[0][None])
    assert again.search(vectors[0], 1)[0][0][0] == "new"


def test_rows_without_a_direction_are_passed_over_and_widths_must_agree(vectors: np.ndarray) -> None:
    index = empty_index(64)
    assert index.search(vectors[:2], 3) == [[], []]
    rows = np.stack([vectors[0], np.full(64, np.nan), np.zeros(64)]).astype(np.float32)
    assert index.add(["a", "b", "c"], rows) == 1 and index.ids == ["a"]
    assert [id_ for id_, _ in index.search(vectors[0], 5)[0]] == ["a"]
    with pytest.raises(ValueError, match="width 64"):
        index.add(["d"], np.ones((1, 32)))
    with pytest.raises(ValueError, match="has 64"):
        index.search(np.ones(32), 1)
    with pytest.raises(ValueError, match="no embeddings"):
        build_index([])


def brute(hashes: np.ndarray, radius: int) -> set[tuple[int, int]]:
    numbers = [int(value) for value in hashes]
    return {
        (i, j)
        for i, j in itertools.combinations(range(len(numbers)), 2)
        if (numbers[i] ^ numbers[j]).bit_count() <= radius
    }


def hashes_with_near_copies(n: int = 300, seed: int = 0) -> np.ndarray:
    """Random 64-bit hashes, and of each a copy with 0 to 12 bits flipped."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 2**64, n, dtype=np.uint64)
    flips = [sum(1 << int(bit) for bit in rng.choice(64, rng.integers(0, 13), replace=False)) for _ in range(n)]
    return rng.permutation(np.concatenate([base, base ^ np.array(flips, dtype=np.uint64)]))


@pytest.mark.parametrize("radius", [0, 3, 4, 6, 9, 15])
@pytest.mark.parametrize("blocked_up_to", [20_000, 0])
def test_hash_pairs_are_exactly_those_of_brute_force(
    radius: int, blocked_up_to: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_pairs, "BLOCKED_UP_TO", blocked_up_to)
    monkeypatch.setattr(hash_pairs, "_STEP", 20_000)  # several steps
    hashes = hashes_with_near_copies()
    pairs = hamming_pairs(hashes, radius)
    assert len(pairs) == len({tuple(pair) for pair in pairs.tolist()})
    assert {tuple(pair) for pair in pairs.tolist()} == brute(hashes, radius)


def test_a_hash_shared_by_very_many_photos_is_paired_with_one_of_them() -> None:
    hashes = np.array([7] * 500 + [6] * 2 + [2**63] * 3, dtype=np.uint64)
    pairs = {tuple(pair) for pair in hamming_pairs(hashes, 1).tolist()}
    expected = {(0, i) for i in range(1, 500)} | {(0, 500), (0, 501), (500, 501)}
    assert pairs == expected | {(502, 503), (502, 504), (503, 504)}


def test_no_hashes_and_wrong_radius() -> None:
    assert hamming_pairs(np.array([], dtype=np.uint64), 5).shape == (0, 2)
    with pytest.raises(ValueError, match="0 to 15"):
        hamming_pairs(np.array([1], dtype=np.uint64), 16)


@pytest.fixture(scope="module")
def photos() -> pl.DataFrame:
    """f and b: same picture. c and a: near in embedding alone. d and e: near in hash alone. g: nothing known. In no order."""
    v = unit(7, dim=32, seed=4)
    near = v[2] + 0.02 * v[3]
    embedding = [near, v[1], v[2], v[3], v[4], v[1] + 0.001, None]
    hashes = [
        "0f0f0f0f00000000",
        "ffff000000000000",
        "00000000ffffffff",
        "aaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaab",
        "ffff000000000003",
        None,
    ]
    frame = pl.DataFrame({"image_id": list("abcdefg"), "filename": list("ABCDEFG"), "phash": hashes})
    rows = [None if e is None else (e / np.linalg.norm(e)).tolist() for e in embedding]
    return frame.with_columns(embedding=pl.Series(rows, dtype=pl.Array(pl.Float32, 32))).sample(7, shuffle=True, seed=1)


def kinds(frame: pl.DataFrame) -> dict[tuple[str, str], str]:
    return {(row["image_id"], row["other_id"]): row["kind"] for row in frame.iter_rows(named=True)}


def test_each_pair_once_with_its_kind(photos: pl.DataFrame) -> None:
    pairs = near_duplicates(photos, min_cosine=0.99, max_hamming=3, use_embedding=True)
    assert dict(pairs.schema) == NEAR_DUPLICATES.schema
    assert kinds(pairs) == {("a", "c"): "embedding", ("b", "f"): "both", ("d", "e"): "phash"}
    assert pairs["hamming"].to_list() == [32 + 16, 2, 1]
    assert pairs["cosine"][0] > 0.99 and pairs["cosine"][2] < 0.99
    assert kinds(near_duplicates(photos.lazy(), min_cosine=0.99, max_hamming=1, use_embedding=True)) == {
        ("a", "c"): "embedding",
        ("b", "f"): "embedding",
        ("d", "e"): "phash",
    }


def test_an_index_takes_the_place_of_the_embeddings(photos: pl.DataFrame) -> None:
    known = photos.drop_nulls("embedding")
    index = build_index([(known["image_id"].to_list(), known["embedding"].to_numpy())])
    index.add(["zz-erased"], known.filter(pl.col("image_id") == "d")["embedding"].to_numpy())
    given = near_duplicates(photos.drop("embedding"), min_cosine=0.99, max_hamming=3, use_embedding=True, index=index)
    assert kinds(given) == {("a", "c"): "embedding", ("b", "f"): "both", ("d", "e"): "phash"}


def test_an_untrained_encoders_cosines_are_left_out(photos: pl.DataFrame) -> None:
    pairs = near_duplicates(photos.drop("embedding"), max_hamming=3, use_embedding=False)
    assert kinds(pairs) == {("b", "f"): "phash", ("d", "e"): "phash"}
    assert pairs["cosine"].is_null().all()


def test_empty_and_wrong_tables(photos: pl.DataFrame) -> None:
    for use in (True, False):
        empty = near_duplicates(photos.clear(), use_embedding=use)
        assert empty.height == 0 and dict(empty.schema) == NEAR_DUPLICATES.schema
    with pytest.raises(ValueError, match="embedding"):
        near_duplicates(photos.drop("embedding"), use_embedding=True)
    with pytest.raises(ValueError, match="once"):
        near_duplicates(pl.concat([photos, photos]), use_embedding=False)
    with pytest.raises(ValueError, match="'xyz' is not 16"):
        near_duplicates(photos.with_columns(phash=pl.lit("xyz")), use_embedding=False)


@pytest.mark.slow
def test_hundreds_of_thousands_of_hashes_do_not_go_quadratic() -> None:
    """400,000 hashes are 8e10 pairs: about 80 s of comparing blocks on one core, a few of comparing candidates."""
    hashes = hashes_with_near_copies(200_000, seed=3)
    base_pairs = hamming_pairs(hashes, 3)
    distances = np.bitwise_count(hashes[base_pairs[:, 0]] ^ hashes[base_pairs[:, 1]])
    assert distances.max() <= 3
    # Of 13 equally likely numbers of flipped bits, four are at most 3.
    assert len(base_pairs) == pytest.approx(200_000 * 4 / 13, rel=0.03)


def test_an_earlier_index_is_added_to(ids: list[str], vectors: np.ndarray, tmp_path: Path) -> None:
    """As the asset does: load, add what is new, mark; the marks say which rows came when."""
    first = make(ids[:1000], vectors[:1000])
    first.mark("monday")
    first.save(tmp_path / "m" / "i")
    index = build_index([(ids[500:1500], vectors[500:1500])], earlier=load_index(tmp_path / "m" / "i"), threads=1)
    index.mark("tuesday")
    assert index.ids == ids[:1500]
    assert index.marks == {"monday": 1000, "tuesday": 1500}
    assert (index.rows(ids[999:1001]) >= index.marks["monday"]).tolist() == [False, True]
    assert index.rows(["nobody"]).tolist() == [-1]
    assert index.recall(vectors[:100]) >= 0.95


def test_only_the_last_marks_are_kept() -> None:
    index = empty_index(8)
    for state in range(50):
        index.mark(str(state))
    assert list(index.marks) == [str(state) for state in range(50 - MARKS, 50)]


def copies(n: int = 400, seed: int = 3) -> pl.DataFrame:
    """n photos, every fifth of which is nearly the one before it; hashes that are all far apart."""
    v = unit(n, seed=seed)
    v[4::5] = v[3::5] + 0.02 * unit(len(v[4::5]), seed=seed + 1)
    hashes = np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)
    return pl.DataFrame(
        {"image_id": [f"{i:04x}" for i in range(n)], "phash": [f"{value:016x}" for value in hashes]}
    ).with_columns(embedding=pl.Series(v, dtype=pl.Array(pl.Float32, v.shape[1])))


def indexed(photos: pl.DataFrame, earlier: EmbeddingIndex | None = None) -> EmbeddingIndex:
    return build_index([(photos["image_id"].to_list(), photos["embedding"].to_numpy())], earlier=earlier, threads=1)


def test_every_copy_is_found_exactly_and_through_the_index() -> None:
    photos = copies()
    wanted = {(f"{i - 1:04x}", f"{i:04x}"): "embedding" for i in range(4, 400, 5)}
    exact = near_duplicates(photos, min_cosine=0.99, max_hamming=2, use_embedding=True)
    assert kinds(exact) == wanted
    searched = near_duplicates(photos, min_cosine=0.99, max_hamming=2, use_embedding=True, index=indexed(photos))
    assert kinds(searched) == wanted
    np.testing.assert_allclose(searched["cosine"], exact["cosine"], atol=2e-3)


def test_new_photos_are_compared_and_old_pairs_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = copies()
    limits = {"min_cosine": 0.99, "max_hamming": 2, "use_embedding": True}
    index = indexed(photos.head(303))
    before = near_duplicates(photos.head(303), index=index, **limits)
    since = index.size
    index = indexed(photos, index)
    asked: list[int] = []
    search = index.neighbours
    monkeypatch.setattr(index, "neighbours", lambda m, k: asked.append(len(m)) or search(m, k))
    after = near_duplicates(photos, index=index, earlier=before, since=since, **limits)
    assert asked == [400 - 303], "the others were compared before"
    assert after.equals(near_duplicates(photos, index=indexed(photos), **limits))
    fewer = photos.filter(pl.col("image_id") != "0004")
    assert ("0003", "0004") not in kinds(near_duplicates(fewer, index=index, earlier=after, since=400, **limits))


def test_a_thousand_equal_pictures_do_not_make_a_million_pairs() -> None:
    v = np.repeat(unit(1), 1000, axis=0)
    photos = pl.DataFrame(
        {"image_id": [f"{i:04}" for i in range(1000)], "phash": None}, schema_overrides={"phash": pl.String}
    )
    photos = photos.with_columns(embedding=pl.Series(v, dtype=pl.Array(pl.Float32, v.shape[1])))
    assert near_duplicates(photos, use_embedding=True).height <= 10 * 1000
