"""The store: files that are whole or absent, recipes that travel in them, datasets that any reader opens."""

import json
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from facestats_pipeline.io.parquet_footer import FOOTER_KEY, local_recipe
from facestats_pipeline.io.store import ABSENT, Store
from facestats_pipeline_tests.io.small_store import recipe, store_in, table


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_in(tmp_path)


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_writer_that_fails_leaves_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), store.replacing(store.path("manifest", "shard-00000")) as temporary:
        temporary.write_bytes(b"half of it")
        raise RuntimeError("power cut")
    assert files_below(tmp_path) == set()


def test_a_writer_that_fails_leaves_what_was_there(store: Store, tmp_path: Path) -> None:
    path = store.write_table("manifest", "shard-00000", table(3), recipe())
    with pytest.raises(RuntimeError), store.replacing(path) as temporary:
        temporary.write_bytes(b"half of it")
        raise RuntimeError("power cut")
    assert store.read_table("manifest", "shard-00000").height == 3
    assert files_below(tmp_path) == {"processed/manifest.parquet/shard-00000.parquet"}


def test_a_table_that_cannot_be_written_leaves_nothing(store: Store, tmp_path: Path) -> None:
    impossible = pl.DataFrame({"a": [object()]}, schema={"a": pl.Object})
    with pytest.raises(BaseException, match=r"(?i)object"):  # polars panics, which is no Exception
        store.write_table("manifest", "shard-00000", impossible, recipe())
    assert files_below(tmp_path) == set()


def test_temporary_files_lie_outside_every_dataset_on_the_same_file_system(store: Store) -> None:
    target = store.path("embeddings_clip", "shard-00000")
    temporary = store.temporary_path(target)
    assert temporary.parent == store.processed / ".tmp"
    assert temporary.parent.stat().st_dev == store.processed.stat().st_dev
    assert store.temporary_path(store.models / "a.pt").parent == store.models / ".tmp"


def test_recipe_comes_back_from_the_footer(store: Store) -> None:
    made = recipe(inputs={"raw_photos": "abc"}, fitted_on={"images": 3}, skipped="")
    store.write_table("manifest", "shard-00000", table(), made)
    assert store.recipe("manifest", "shard-00000") == made
    assert store.recipe("manifest", "shard-00001") is None


@pytest.mark.parametrize("damage", ["truncated", "foreign", "empty"])
def test_a_damaged_or_foreign_table_has_no_recipe(store: Store, damage: str) -> None:
    path = store.write_table("manifest", "shard-00000", table(), recipe())
    if damage == "foreign":
        table().write_parquet(path)
    else:
        path.write_bytes(path.read_bytes()[:100] if damage == "truncated" else b"")
    assert store.recipe("manifest", "shard-00000") is None


def test_any_reader_opens_the_directory_as_one_table(store: Store) -> None:
    for number in range(3):
        store.write_table("embeddings_clip", f"shard-{number:05d}", table(2), recipe())
    folder = store.path("embeddings_clip")
    assert store.shards("embeddings_clip") == ["shard-00000", "shard-00001", "shard-00002"]
    assert pq.read_table(folder).num_rows == 6
    assert pl.read_parquet(folder).height == 6
    assert store.scan("embeddings_clip").collect().height == 6
    assert {path.suffix for path in folder.iterdir()} == {".parquet"}


def test_a_missing_shard_says_what_to_run(store: Store) -> None:
    with pytest.raises(FileNotFoundError, match=r"manifest of shard-00007 .*facestats run"):
        store.read_table("manifest", "shard-00007")
    with pytest.raises(FileNotFoundError, match=r"raw_photos has not been made"):
        store.read_table("raw_photos")
    assert store.scan("manifest").collect().is_empty()


def test_previous_rows_are_given_only_for_the_same_code_and_settings(store: Store) -> None:
    store.write_table("manifest", "shard-00000", table(2), recipe(code_digest="same"))
    previous = store.previous("manifest", "shard-00000", "same")
    assert previous is not None
    assert previous.equals(table(2))
    assert store.previous("manifest", "shard-00000", "other") is None
    assert store.previous("manifest", "shard-00001", "same") is None


def test_files_and_record_come_back(store: Store) -> None:
    moved = store.temporary_path(store.processed / "b.bin")
    moved.write_bytes(b"12345")
    store.write_files("composites", {"composites/a.jpg": b"123", "b.bin": moved}, recipe(asset="composites"), {"n": 1})
    record = store.record("composites")
    assert record is not None
    assert record.files == {"composites/a.jpg": 3, "b.bin": 5}
    assert record.facts == {"n": 1}
    assert record.recipe == store.recipe("composites") == recipe(asset="composites")
    assert not moved.exists()


@pytest.mark.parametrize(
    "damage", ["missing", "truncated", "record is no JSON", "record is a list", "record lacks a key"]
)
def test_a_record_that_does_not_fit_its_files_is_none(store: Store, damage: str) -> None:
    store.write_files("composites", {"a.jpg": b"123", "b.jpg": b"45"}, recipe(asset="composites"))
    written = store.processed / ".receipts" / "composites.json"
    if damage == "missing":
        (store.processed / "b.jpg").unlink()
    elif damage == "truncated":
        (store.processed / "b.jpg").write_bytes(b"4")
    else:
        written.write_text({"record is no JSON": "{", "record is a list": "[]", "record lacks a key": "{}"}[damage])
    assert store.record("composites") is None
    assert store.recipe("composites") is None


def test_files_no_longer_produced_are_removed(store: Store) -> None:
    store.write_files("composites", {"a.jpg": b"1", "b.jpg": b"2"}, recipe())
    store.write_files("composites", {"b.jpg": b"3", "c.jpg": b"4"}, recipe())
    assert {path.name for path in store.processed.glob("*.jpg")} == {"b.jpg", "c.jpg"}
    assert (store.processed / "b.jpg").read_bytes() == b"3"


def test_files_no_longer_produced_are_removed_though_one_of_them_was_lost(store: Store) -> None:
    store.write_files("composites", {"a.jpg": b"1", "b.jpg": b"2"}, recipe())
    (store.processed / "b.jpg").unlink()
    store.write_files("composites", {"c.jpg": b"4"}, recipe())
    assert {path.name for path in store.processed.glob("*.jpg")} == {"c.jpg"}


def test_models_lie_in_the_models_folder(store: Store) -> None:
    store.write_files("gender_classifier", {"gender_clf.skops": b"1"}, recipe())
    assert (store.models / "gender_clf.skops").is_file()
    assert store.record("gender_classifier") is not None


def test_only_the_named_jpegs_are_kept(store: Store) -> None:
    for image_id in ("a", "b", "c"):
        store.write_jpeg("shard-00000", image_id, b"jpeg")
    store.write_jpeg("shard-00001", "d", b"jpeg")
    assert store.keep_jpegs("shard-00000", {"b", "not there"}, recipe()) == 2
    assert store.keep_jpegs("shard-00009", set(), recipe()) == 0
    assert {path.stem for path in (store.processed / "preproc").rglob("*.jpg")} == {"b", "d"}


def test_what_people_provide_has_a_fingerprint_of_its_bytes(store: Store) -> None:
    assert store.input_fingerprint("labels_csv") == ABSENT
    store.labels.mkdir(parents=True)
    store.input_path("labels_csv").write_text("file,age\n")
    first = store.input_fingerprint("labels_csv")
    store.input_path("labels_csv").write_text("file,age\na.jpg,3\n")
    assert len({ABSENT, first, store.input_fingerprint("labels_csv")}) == 3


def test_collection_fingerprint_follows_every_shard(store: Store) -> None:
    seen = {store.collection_fingerprint("manifest")}
    store.write_table("manifest", "shard-00000", table(), recipe())
    seen.add(store.collection_fingerprint("manifest"))
    store.write_table("manifest", "shard-00001", table(), recipe())
    seen.add(store.collection_fingerprint("manifest"))
    store.write_table("manifest", "shard-00001", table(), recipe(inputs={"raw_photos": "x"}))
    seen.add(store.collection_fingerprint("manifest"))
    assert len(seen) == 4


def test_a_damaged_table_is_named_with_what_to_do(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    path = store.write_table("manifest", "shard-00000", table(50), recipe())
    data = bytearray(path.read_bytes())
    data[4:60] = bytes(56)
    path.write_bytes(data)
    with pytest.raises(
        ValueError, match=r"shard-00000.parquet is damaged .*remove it, and `facestats run` makes it again"
    ):
        store.read_table("manifest", "shard-00000")


def test_no_record_vouches_for_a_mixture_of_old_and_new_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path)
    store.write_files("plots", {"a.png": b"old a", "b.png": b"old b"}, recipe(asset="plots"))
    replace = Path.replace

    def stopped(self: Path, target: Path) -> Path:
        if target.name == "b.png":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stopped)
        with pytest.raises(OSError, match="No space left"):
            store.write_files("plots", {"a.png": b"new a", "b.png": b"new b"}, recipe(asset="plots", code_version="2"))
    assert (store.processed / "a.png").read_bytes() == b"new a"
    assert store.record("plots") is None, "of the same sizes, and yet not what the old record says"
    assert list(tmp_path.rglob(".tmp/*")) == []


def test_pictures_are_compared_with_the_rows_that_have_one(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    shard = "shard-00000"
    assert store.pictures_are_there(shard), "there is no table yet"
    rows = table(3).with_columns(status=pl.Series(["ok", "no_face", "corrupt"]))
    first, second, third = rows["image_id"]
    for image_id in (first, second):
        store.write_jpeg(shard, image_id, b"jpeg")
    store.write_table("preproc", shard, rows, recipe(asset="preproc"))
    assert store.pictures_are_there(shard)
    store.jpeg_path(shard, second).unlink()
    assert not store.pictures_are_there(shard)
    store.write_jpeg(shard, second, b"jpeg")
    assert store.pictures_are_there(shard)
    store.write_jpeg(shard, third, b"jpeg")
    assert not store.pictures_are_there(shard)


def test_pictures_that_were_compared_are_not_compared_again_by_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, shard = store_in(tmp_path), "shard-00000"
    store.write_jpeg(shard, table(1)["image_id"].item(), b"jpeg")
    store.write_table("preproc", shard, table(1).with_columns(status=pl.lit("ok")), recipe(asset="preproc"))
    assert store.pictures_are_there(shard)
    store.save_picture_notes()
    compared: list[str] = []
    agree = Store._names_agree
    monkeypatch.setattr(Store, "_names_agree", lambda self, name: compared.append(name) or agree(self, name))
    assert store_in(tmp_path).pictures_are_there(shard) and compared == []
    store.jpeg_path(shard, table(1)["image_id"].item()).unlink()
    assert not store_in(tmp_path).pictures_are_there(shard) and compared == [shard]


def test_a_folder_that_may_only_be_read_is_compared_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path)
    store.write_table("preproc", "shard-00000", table(0).with_columns(status=pl.lit("ok")), recipe(asset="preproc"))
    assert store.pictures_are_there("shard-00000")

    def refused(target: Path, *, publish: bool = True) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(store, "replacing", refused)
    store.save_picture_notes()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


@pytest.mark.parametrize("length", [1, 120, 128, 20_000, 70_000])
def test_the_text_in_a_footer_is_what_polars_reads(tmp_path: Path, length: int) -> None:
    path, text = tmp_path / "a.parquet", json.dumps({"skipped": "ü" * length}, ensure_ascii=False)
    table(3).write_parquet(path, metadata={FOOTER_KEY: text})
    assert local_recipe(path) == pl.read_parquet_metadata(path)[FOOTER_KEY] == text


def test_a_photo_that_is_called_like_the_key_is_not_taken_for_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    names = pl.DataFrame(
        {"image_id": [FOOTER_KEY], "filename": [FOOTER_KEY]}
    )  # least and greatest of a column stand in the footer
    names.write_parquet(path, metadata={FOOTER_KEY: "{}"})
    assert local_recipe(path) == "{}"
    names.write_parquet(path)
    with pytest.raises(KeyError):
        local_recipe(path)


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"no Parquet file at all", b"PAR1" + b"x" * 50 + b"\xff\xff\xff\x7fPAR1"]
)
def test_what_is_no_parquet_file_has_no_recipe(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet is no Parquet file"):
        local_recipe(path)
    with pytest.raises(FileNotFoundError):
        local_recipe(tmp_path / "none.parquet")
