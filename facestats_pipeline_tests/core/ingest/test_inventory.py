"""The inventory: arrival, change, removal, duplicates, shards that never lose or move a row."""

import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.ingest.identity import (
    PhotoChanged,
    PhotosUnavailable,
    decode_filename,
    encode_filename,
    image_id,
    read_photo,
)
from facestats_pipeline.core.ingest.inventory import Changes, update_inventory
from facestats_pipeline_tests.examples import examples

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def look(root: Path, previous: pl.DataFrame | None = None, shard_size: int = 3) -> tuple[pl.DataFrame, Changes]:
    return update_inventory(previous, root, shard_size=shard_size, max_bytes=1000, now=NOW)


def fill(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_files_fill_shards_in_order(tmp_path: Path) -> None:
    fill(tmp_path, a="1", b="2", sub__c="3", sub__d="4")
    inventory, changes = look(tmp_path)
    assert inventory["filename"].to_list() == ["a", "b", "sub/c", "sub/d"]
    assert inventory["shard"].to_list() == ["shard-00000"] * 3 + ["shard-00001"]
    assert inventory["image_id"][0] == image_id(b"1")
    assert changes == Changes(added=4, changed=0, removed=0, unchanged=0)


def test_a_second_look_changes_nothing(tmp_path: Path) -> None:
    fill(tmp_path, a="1", b="", c="3")
    first, _ = look(tmp_path)
    second, changes = look(tmp_path, first)
    assert second.equals(first)
    assert changes == Changes(0, 0, 0, 3)


def test_new_photos_fill_the_open_shard_and_leave_sealed_ones_alone(tmp_path: Path) -> None:
    fill(tmp_path, m="1", n="2", o="3", p="4")
    first, _ = look(tmp_path)
    fill(tmp_path, a="5", b="6", c="7")
    second, changes = look(tmp_path, first)
    assert changes.added == 3
    assert second.head(4).equals(first)
    assert second["shard"].to_list()[3:] == ["shard-00001"] * 3 + ["shard-00002"]


def test_changed_file_is_a_new_photo_and_the_old_row_a_tombstone(tmp_path: Path) -> None:
    fill(tmp_path, a="1", b="2")
    first, _ = look(tmp_path)
    fill(tmp_path, a="other")
    second, changes = look(tmp_path, first)
    assert (changes.changed, changes.added, changes.removed) == (1, 0, 0)
    assert second["state"].to_list() == ["removed", "ok", "ok"]
    assert second["image_id"].to_list() == [image_id(b"1"), image_id(b"2"), image_id(b"other")]


def test_touched_file_is_the_same_photo(tmp_path: Path) -> None:
    fill(tmp_path, a="1")
    first, _ = look(tmp_path)
    os.utime(tmp_path / "a", ns=(1, 1))
    second, changes = look(tmp_path, first)
    assert second.drop("mtime_ns").equals(first.drop("mtime_ns"))
    assert changes == Changes(0, 0, 0, 1)


def test_removed_file_is_a_tombstone_and_its_duplicate_takes_its_place(tmp_path: Path) -> None:
    fill(tmp_path, a="same", b="same", c="same")
    first, _ = look(tmp_path)
    assert first["state"].to_list() == ["ok", "duplicate", "duplicate"]
    assert first["reason"].to_list() == ["", "same bytes as a", "same bytes as a"]
    (tmp_path / "a").unlink()
    second, changes = look(tmp_path, first)
    assert changes.removed == 1
    assert second["state"].to_list() == ["removed", "ok", "duplicate"]
    fill(tmp_path, a="same")
    third, _ = look(tmp_path, second)
    assert third["state"].to_list() == ["removed", "ok", "duplicate", "duplicate"]


def test_what_is_no_readable_file_is_listed_with_a_reason(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    fill(root, empty="", big="x" * 2000, good="1")
    fill(tmp_path, outside="secret")
    (root / "loop").symlink_to(root / "loop")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "again").symlink_to(root)
    (root / "inside").symlink_to(root / "good")
    os.mkfifo(root / "pipe")
    inventory, _ = look(root, shard_size=100)
    found = {row["filename"]: (row["state"], row["image_id"] is None) for row in inventory.iter_rows(named=True)}
    assert found == {
        "again": ("unsupported", True),
        "big": ("too_large", True),
        "empty": ("corrupt", True),
        "good": ("ok", False),
        "inside": ("duplicate", False),
        "loop": ("unsupported", True),
        "out": ("unsupported", True),
        "pipe": ("unsupported", True),
    }
    assert all(inventory.filter(pl.col("state") != "ok")["reason"].str.len_chars() > 5)


def test_clutter_is_passed_over_and_hidden_photos_are_not(tmp_path: Path) -> None:
    fill(tmp_path, **{".DS_Store": "1", "Thumbs.db": "2", "._a.jpg": "3", ".git__config": "4", ".a.jpg": "5"})
    inventory, _ = look(tmp_path)
    assert inventory["filename"].to_list() == [".a.jpg"]


def test_missing_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        look(tmp_path / "nowhere")


@given(st.binary(min_size=1, max_size=40).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_any_file_name_is_stored_reversibly(name: bytes) -> None:
    text = encode_filename(os.fsdecode(name))
    text.encode("utf-8")
    assert os.fsencode(decode_filename(text)) == name


@examples(30)
@given(
    st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("123"), max_size=8), min_size=1, max_size=5)
)
def test_any_history_keeps_rows_in_place_and_lists_what_is_there(history: list[dict[str, str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        root, inventory = Path(folder), None
        for changing in history:
            files = changing | {"stays": "1"}  # a folder that becomes empty is refused
            for path in root.iterdir():
                path.unlink()
            fill(root, **files)
            before = inventory
            inventory, _ = look(root, inventory)
            if before is not None:
                assert (
                    inventory.head(before.height)
                    .select("filename", "image_id", "shard")
                    .equals(before.select("filename", "image_id", "shard"))
                )
            present = inventory.filter(pl.col("state") != "removed")
            assert dict(present.select("filename", "image_id").iter_rows()) == {
                n: image_id(t.encode()) for n, t in files.items()
            }
            assert sorted(present.filter(pl.col("state") == "ok")["image_id"]) == sorted(
                {image_id(t.encode()) for t in files.values()}
            )
            assert inventory.group_by("shard").len()["len"].max() in (None, 1, 2, 3)


def test_a_photo_that_changed_since_it_was_listed_is_not_used(tmp_path: Path) -> None:
    fill(tmp_path, a="1")
    assert read_photo(tmp_path, "a", image_id(b"1")) == b"1"
    fill(tmp_path, a="2")
    with pytest.raises(PhotoChanged):
        read_photo(tmp_path, "a", image_id(b"1"))


def test_a_folder_that_has_become_empty_or_is_gone_removes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    fill(root, a="1", b="2")
    first, _ = look(root)
    (root / "a").unlink()
    (root / "b").unlink()
    with pytest.raises(PhotosUnavailable, match=r"is empty, but had 2 files before: if its disk is not mounted"):
        look(root, first)
    root.rmdir()
    with pytest.raises(FileNotFoundError):
        look(root, first)
    with pytest.raises(PhotosUnavailable, match=r"the photo folder .* is gone"):
        read_photo(root, "a")
