"""What is meant by an id, a path, or a copy of a photo."""

import os
from pathlib import Path

import polars as pl
import pytest

from facestats_pipeline.core.erasure.erased_ids import NOTHING_ERASED, ErasedIds
from facestats_pipeline.core.ingest.identity import encode_filename, image_id
from facestats_pipeline.io.erasure.targets import Target, UnknownImage, find_target

A, B, C, OLD = (image_id(text) for text in (b"a", b"b", b"c", b"old"))
ROWS = [
    ("a.jpg", A, "ok", "shard-00000"),
    ("b.jpg", OLD, "removed", "shard-00000"),
    ("b.jpg", B, "ok", "shard-00001"),
    ("copies/a.jpg", A, "duplicate", "shard-00001"),
    ("sub/c.jpg", C, "ok", "shard-00001"),
    ("broken.jpg", None, "corrupt", "shard-00001"),
    (encode_filename(os.fsdecode(b"caf\xe9.jpg")), "e" * 32, "ok", "shard-00001"),
]
INVENTORY = pl.DataFrame(ROWS, schema=["filename", "image_id", "state", "shard"], orient="row")


def find(*wanted: str, raw: Path = Path("/raw"), erased: ErasedIds = NOTHING_ERASED) -> Target:
    return find_target(INVENTORY, raw, wanted, erased)


def test_an_id_is_one_image_under_all_its_names() -> None:
    target = find(A.upper())
    assert target.ids == {A}
    assert target.filenames == {"a.jpg", "copies/a.jpg"}
    assert target.shards == ["shard-00000", "shard-00001"]


def test_a_path_is_all_that_was_ever_under_it() -> None:
    assert find("b.jpg").ids == {B, OLD}
    assert find("b.jpg").filenames == {"b.jpg"}


def test_an_id_takes_the_tombstones_under_its_name_along_and_blocks_only_itself() -> None:
    target = find(B)
    assert target.ids == {B}
    assert target.rows["image_id"].to_list() == [OLD, B]
    older = find(OLD)
    assert older.rows["image_id"].to_list() == [OLD]
    assert older.filenames == set(), "another photo has that name now"


@pytest.mark.parametrize("text", ["sub/c.jpg", "{raw}/sub/c.jpg", "{raw}/sub/../sub/c.jpg"])
def test_paths_in_the_raw_folder(text: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert find(text.format(raw=tmp_path), raw=tmp_path).ids == {C}


def test_a_path_from_the_working_folder_and_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raw" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "raw")
    monkeypatch.chdir(tmp_path / "raw" / "sub")
    assert find("c.jpg", raw=tmp_path / "raw").ids == {C}
    assert find(str(tmp_path / "link" / "sub" / "c.jpg"), raw=tmp_path / "raw").ids == {C}


def test_a_copy_anywhere_is_known_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "from the letter.jpg").write_bytes(b"a")
    assert find(str(tmp_path / "from the letter.jpg")).ids == {A}


def test_names_that_are_no_text_and_files_that_were_never_read() -> None:
    assert find(os.fsdecode(b"caf\xe9.jpg")).ids == {"e" * 32}
    broken = find("broken.jpg")
    assert broken.ids == set()
    assert broken.rows.height == 1


def test_what_nobody_knows_is_listed() -> None:
    with pytest.raises(UnknownImage, match=r"not in the collection: nobody\.jpg, f{32}\. Give"):
        find("a.jpg", "nobody.jpg", "f" * 32)


def test_what_was_erased_before_is_no_error(tmp_path: Path) -> None:
    erased = ErasedIds(b"k" * 32).with_ids(["f" * 32, image_id(b"x")])
    (tmp_path / "x.jpg").write_bytes(b"x")
    target = find("f" * 32, str(tmp_path / "x.jpg"), erased=erased)
    assert (target.erased_before, target.rows.height) == (2, 0)
