"""Resolves how users name images: by image id, by path in the raw folder, or by a file with the same bytes."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from facestats_pipeline.core.erasure.erased_ids import ErasedIds
from facestats_pipeline.core.ingest.identity import encode_filename, image_id

_SHOWN = ("filename", "image_id", "state", "shard")


class UnknownImage(LookupError):
    """A name matches no image of the collection; the message lists such names."""


@dataclass(frozen=True)
class Target:
    """Images of one collection.

    Attributes:
        ids: the image ids.
        rows: the inventory rows with one of the ids or file names: filename, image_id, state, shard.
        filenames: the file names that no other image has now.
        erased_before: number of named images that were already erased.
    """

    ids: frozenset[str]
    rows: pl.DataFrame
    filenames: frozenset[str]
    erased_before: int = 0

    @property
    def shards(self) -> list[str]:
        """The shards that hold the rows."""
        return self.rows["shard"].unique().sort().to_list()


def find_target(inventory: pl.DataFrame, raw: Path, wanted: Sequence[str], erased: ErasedIds) -> Target:
    """Resolve the names `wanted` to images. Raises UnknownImage, which lists the names without a match.

    A path stands for every photo that was ever found there. An id stands for one photo under all its names, including tombstones that
    a later photo left under those names.
    """
    listed = inventory.select(*_SHOWN)
    known_ids, known_names = set(listed["image_id"]), set(listed["filename"])
    ids, names, unknown, before = set[str](), set[str](), list[str](), 0
    for text in wanted:
        if text.lower() in known_ids:
            ids.add(text.lower())
        elif (name := _name_of(text, raw, known_names)) is not None:
            names.add(name)
        elif (content := _id_of_content(text)) is not None and content in known_ids:
            ids.add(content)
        elif text.lower() in erased or (content is not None and content in erased):
            before += 1
        else:
            unknown.append(text)
    if unknown:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise UnknownImage(
            f"not in the collection: {', '.join(unknown[:5])}{more}. Give an image id (32 hexadecimal digits), a path relative to "
            f"{raw}, or a copy of the photo; the column `filename` of master.parquet has the names"
        )
    under = pl.col("filename").is_in(list(names))
    ids |= set(listed.filter(under)["image_id"].drop_nulls())
    same = pl.col("image_id").is_in(list(ids))
    held = listed.filter(same | under)
    left_behind = pl.col("filename").is_in(held["filename"].to_list()) & (pl.col("state") == "removed")
    rows = listed.filter(same.fill_null(False) | under | left_behind)
    others = listed.filter(~(same.fill_null(False) | under | left_behind))
    return Target(frozenset(ids), rows, frozenset(rows["filename"]) - frozenset(others["filename"]), before)


def _name_of(text: str, raw: Path, known: Container[str]) -> str | None:
    """The stored file name of a path, which may be given as in the tables, relative to the raw folder, or absolute."""
    candidates = [text, encode_filename(text)]
    for root in {raw.absolute(), raw.resolve()}:
        for path in {Path(text).absolute(), Path(text).parent.resolve() / Path(text).name}:
            if path.is_relative_to(root):
                candidates.append(encode_filename(path.relative_to(root).as_posix()))
    return next((name for name in candidates if name in known), None)


def _id_of_content(text: str) -> str | None:
    try:
        return image_id(Path(text).read_bytes())
    except (OSError, ValueError):
        return None
