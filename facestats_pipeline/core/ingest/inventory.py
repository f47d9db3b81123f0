"""The inventory: one row per file ever seen, in order of arrival, with its image id and its shard.

A row never moves to another shard. Only the inventory decides what is added, changed or removed; all later stages derive from it, shard
by shard.
"""

from collections.abc import Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from facestats_pipeline.core.ingest.identity import PhotosUnavailable, image_id
from facestats_pipeline.core.ingest.inventory_table import RAW_PHOTOS
from facestats_pipeline.core.ingest.photo_source import Found, PhotoFolder, PhotoSource
from facestats_pipeline.core.progress import track


@dataclass(frozen=True)
class Changes:
    """Numbers of files by what an update of the inventory did with them."""

    added: int
    changed: int
    removed: int
    unchanged: int
    refused: int = 0  # files of erased images that are still or again in the folder


def shard_name(number: int) -> str:
    """`shard-00000`, `shard-00001`, …"""
    return f"shard-{number:05d}"


def identify(photos: PhotoSource, found: Iterable[Found], *, workers: int = 2) -> list[tuple[Found, str | None]]:
    """(file, image id) of each file. An unreadable file gets None as id and a state with the reason."""

    def identify_file(file: Found) -> tuple[Found, str | None]:
        if file.state != "ok":
            return file, None
        try:
            return file, image_id(photos.read(file.filename, size=file.bytes))
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
            return Found(file.filename, file.bytes, file.mtime_ns, "corrupt", reason), None

    files = list(found)
    with ThreadPoolExecutor(workers) as pool:
        return list(track(pool.map(identify_file, files), "Reading new photos", total=len(files)))


def update_inventory(
    previous: pl.DataFrame | None,
    root: Path | PhotoSource,
    *,
    shard_size: int,
    max_bytes: int,
    now: datetime,
    workers: int = 2,
    erased: Container[object] = (),
) -> tuple[pl.DataFrame, Changes]:
    """List `root`, a folder or another source, and return the updated inventory. Only new and changed files are read.

    A changed file counts as a new photo: its old row becomes `removed`, a new row is appended. Rows keep their shard for ever; new rows
    fill the last shard up to `shard_size`, then open new ones. A photo whose id is in `erased` gets no row, whatever its name.

    Raises OSError when `root` cannot be listed. Raises PhotosUnavailable when it disappears meanwhile, or when it is empty although it had
    photos before, because a disk that is not mounted looks like an empty folder.
    """
    old = empty_inventory() if previous is None else previous
    photos = PhotoFolder(root) if isinstance(root, Path) else root
    listed = photos.listed(max_bytes=max_bytes)
    before = old.filter(pl.col("state") != "removed").height
    if before and not listed:
        raise PhotosUnavailable(
            f"the photo folder {photos} is empty, but had {before} files before: if its disk is not mounted, mount it; "
            "if you removed them on purpose, delete `processed` in the data folder too"
        )
    current = {
        row["filename"]: (i, row) for i, row in enumerate(old.iter_rows(named=True)) if row["state"] != "removed"
    }

    def is_known(file: Found) -> bool:
        # Same size and time: not read again. A file that could not be read before is retried, unless its listing already rules it out.
        row = current[file.filename][1] if file.filename in current else None
        same_stat = row is not None and (row["bytes"], row["mtime_ns"]) == (file.bytes, file.mtime_ns)
        return same_stat and ((row is not None and row["image_id"] is not None) or file.state != "ok")

    known = {file.filename for file in listed if is_known(file)}
    rows = old.to_dicts()
    new: list[tuple[Found, str | None]] = []
    changed = refused = displaced = 0
    for file, identity in identify(photos, (f for f in listed if f.filename not in known), workers=workers):
        if identity in erased:  # an erased photo must not come back under another name
            refused += 1
            if file.filename in current:
                displaced += 1
                rows[current[file.filename][0]] |= {"state": "removed", "reason": "the file is gone"}
            continue
        if file.filename not in current:
            new.append((file, identity))
            continue
        index, row = current[file.filename]
        if identity == row["image_id"]:  # only the time changed, or it is still unreadable
            rows[index] |= {"bytes": file.bytes, "mtime_ns": file.mtime_ns}
            if identity is None:
                rows[index] |= {"state": file.state, "reason": file.reason}
            known.add(file.filename)
        else:
            changed += 1
            rows[index] |= {"state": "removed", "reason": "superseded: the file's content changed"}
            new.append((file, identity))
    # Rows of missing files stay, as `removed`: the inventory records every file ever seen.
    present = {file.filename for file in listed}
    gone = [index for filename, (index, _) in current.items() if filename not in present]
    for index in gone:
        rows[index] |= {"state": "removed", "reason": "the file is gone"}
    rows += _place(new, rows, shard_size, now)
    changes = Changes(len(new) - changed, changed, len(gone) + displaced, len(known), refused)
    return mark_duplicates(pl.DataFrame(rows, schema=RAW_PHOTOS.schema)), changes


def _place(
    new: list[tuple[Found, str | None]], rows: list[dict[str, object]], shard_size: int, now: datetime
) -> Iterator[dict[str, object]]:
    """Yield the rows of new files: into the last shard until it is full, then into new shards."""
    last = max((int(str(row["shard"]).rpartition("-")[2]) for row in rows), default=0)
    filled = sum(row["shard"] == shard_name(last) for row in rows)
    for file, identity in new:
        if filled >= shard_size:
            last, filled = last + 1, 0
        filled += 1
        yield {
            "filename": file.filename,
            "image_id": identity,
            "bytes": file.bytes,
            "mtime_ns": file.mtime_ns,
            "state": file.state,
            "reason": file.reason,
            "added_at": now,
            "shard": shard_name(last),
        }


def mark_duplicates(inventory: pl.DataFrame) -> pl.DataFrame:
    """Set the state of all present rows: the first of each image id is `ok`, the others are `duplicate`.

    It is recomputed for all rows, because removing an original makes one of its duplicates the new original.
    """
    present = pl.col("state").is_in(["ok", "duplicate"]) & pl.col("image_id").is_not_null()
    first = pl.int_range(pl.len()).over("image_id", "_present") == 0
    original = pl.col("filename").first().over("image_id", "_present")
    return (
        inventory.with_columns(_present=present)
        .with_columns(
            state=pl.when("_present")
            .then(pl.when(first).then(pl.lit("ok")).otherwise(pl.lit("duplicate")))
            .otherwise("state"),
            reason=pl.when("_present")
            .then(pl.when(first).then(pl.lit("")).otherwise(pl.format("same bytes as {}", original)))
            .otherwise("reason"),
        )
        .drop("_present")
    )


def empty_inventory() -> pl.DataFrame:
    """An inventory without rows."""
    return pl.DataFrame(schema=RAW_PHOTOS.schema)
