"""Erased ids under a key, tombstones, and the refusal of bytes that come back."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from facestats_pipeline.core.erasure.erased_ids import NOTHING_ERASED, ErasedIds, new_key
from facestats_pipeline.core.erasure.tombstones import PREFIX, REASON, with_tombstones
from facestats_pipeline.core.ingest.identity import image_id
from facestats_pipeline.core.ingest.inventory import update_inventory

KEY = bytes(range(32))
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def test_an_erased_id_is_known_by_its_digest_alone() -> None:
    erased = ErasedIds(KEY).with_ids(["a" * 32])
    assert "a" * 32 in erased
    assert "b" * 32 not in erased
    assert None not in erased
    assert "a" * 32 not in str(erased.digests)
    assert "a" * 32 not in ErasedIds(new_key(), erased.digests), "another key knows nobody"
    assert "a" * 32 not in NOTHING_ERASED


def test_the_digest_is_hmac_sha256() -> None:
    # RFC 4231, test case 2, cut to 32 digits
    assert ErasedIds(b"Jefe").digest("what do ya want for nothing?") == "5bdcc146bf60754e6a042426089575c7"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "sub/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(f"bytes of {name}".encode())
    (tmp_path / "copy of a.jpg").write_bytes(b"bytes of a.jpg")
    return tmp_path


def look(
    raw: Path, previous: pl.DataFrame | None = None, erased: ErasedIds = NOTHING_ERASED
) -> tuple[pl.DataFrame, dict[str, int]]:
    frame, changes = update_inventory(previous, raw, shard_size=2, max_bytes=1000, now=NOW, erased=erased)
    return frame, vars(changes)


def test_a_tombstone_says_nothing_of_the_image(raw: Path) -> None:
    before, _ = look(raw)
    gone = image_id(b"bytes of a.jpg")
    rows = before.filter(pl.col("image_id") == gone).select("filename", "image_id").rows()
    assert len(rows) == 2
    erased = ErasedIds(KEY).with_ids([gone])
    after = with_tombstones(before, rows, erased)
    assert after.schema == before.schema
    assert after["shard"].to_list() == before["shard"].to_list(), "nothing moves"
    stones = after.filter(pl.col("filename").str.starts_with(PREFIX))
    assert stones.height == 2
    assert set(stones.drop("filename", "shard").rows()) == {(None, None, None, "removed", REASON, None)}
    kept = pl.col("image_id") != gone
    assert after.filter(kept).equals(before.filter(kept))
    assert with_tombstones(after, rows, erased).equals(after)


def test_a_file_that_could_not_be_read_gets_a_tombstone_by_its_name() -> None:
    frame = pl.DataFrame(
        {"filename": ["x.jpg", "y.jpg"], "image_id": [None, None], "state": ["corrupt"] * 2, "reason": [""] * 2}
    )
    frame = frame.cast({"image_id": pl.String})
    after = with_tombstones(frame, [("x.jpg", None)], ErasedIds(KEY))
    assert after["filename"][0].startswith(PREFIX)
    assert after["filename"][1] == "y.jpg"
    assert after["state"].to_list() == ["removed", "corrupt"]


def test_erased_bytes_are_refused_under_any_name_and_other_bytes_are_not(raw: Path) -> None:
    before, _ = look(raw)
    gone = image_id(b"bytes of a.jpg")
    erased = ErasedIds(KEY).with_ids([gone])
    inventory = with_tombstones(
        before, before.filter(pl.col("image_id") == gone).select("filename", "image_id").rows(), erased
    )
    again, changes = look(raw, inventory, erased)
    assert again.equals(inventory), "still there, and passed over"
    assert changes == {"added": 0, "changed": 0, "removed": 0, "unchanged": 2, "refused": 2}

    (raw / "b.jpg").write_bytes(b"bytes of a.jpg")  # under a name that another photo had
    (raw / "a.jpg").write_bytes(b"a new photo under the old name")
    last, changes = look(raw, again, erased)
    assert changes == {"added": 1, "changed": 0, "removed": 1, "unchanged": 1, "refused": 2}
    assert gone not in last["image_id"].to_list()
    assert last.filter(pl.col("filename") == "b.jpg")["state"].to_list() == ["removed"]
    assert last.filter(pl.col("filename") == "a.jpg")["state"].to_list() == ["ok"]
