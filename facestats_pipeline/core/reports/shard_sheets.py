"""The contact sheets of a collection, one for each shard; a sheet that would show the same is not drawn again."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image, UnidentifiedImageError

from facestats_pipeline.core.drawing.contact_sheet import Source, contact_sheet

SHOWN = 60
"""Photos on a sheet. Ids are digests, so the smallest ones are a sample that changes little as photos arrive."""
COLUMNS = ("image_id", "shard", "gender_final", "ethnicity_final", "age", "attractiveness", "flagged")
"""Columns of the master that a sheet is made of."""


def shown_rows(master: pl.LazyFrame) -> pl.DataFrame:
    """The rows that sheets show, `SHOWN` of each shard, with the number `of` photos that they stand for."""
    pictured = master.filter(pl.col("preproc_status").is_in(["ok", "no_face"])).select(COLUMNS)
    each = [name for name in COLUMNS if name != "shard"]
    by_shard = pictured.group_by("shard").agg(pl.len().alias("of"), pl.col(each).sort_by("image_id").head(SHOWN))
    return by_shard.explode(each).sort("shard", "image_id").collect()


def shard_sheet(rows: pl.DataFrame, load: Callable[[str], Source], *, title: str, mark: str) -> bytes:
    """One sheet of rows of `shown_rows` as a JPEG file that remembers its `mark`."""
    tiles = ((load(row["image_id"]), caption(row)) for row in rows.iter_rows(named=True))
    page = contact_sheet(
        tiles,
        columns=10,
        caption_lines=4,
        thumb=150,
        title=title,
        subtitle="Final values; unknown where no model is sure",
    )
    buffer = io.BytesIO()
    page.save(buffer, "JPEG", quality=85, comment=mark.encode())
    return buffer.getvalue()


def mark_of(rows: pl.DataFrame, made_by: str) -> str:
    """Digest of what a sheet shows and of the code and settings that draw it."""
    return hashlib.sha256(json.dumps([made_by, rows.rows()], default=str).encode()).hexdigest()[:32]


def has_mark(path: Path, mark: str) -> bool:
    """Whether a file is the sheet with this mark."""
    try:
        with Image.open(path) as sheet:
            return bool(sheet.info.get("comment") == mark.encode())
    except (OSError, UnidentifiedImageError):
        return False


def caption(row: dict[str, Any]) -> str:
    """What is said of a photo under it."""
    age = f"{row['age']:.0f} years" if row["age"] is not None else "age unknown"
    words = [row["gender_final"] or "unknown", age, (row["ethnicity_final"] or "unknown").replace("_", " ")]
    words += [f"decile {row['attractiveness']}"] if row["attractiveness"] else []
    return ", ".join(words) + ("\n⚑ flagged" if row["flagged"] else "")
