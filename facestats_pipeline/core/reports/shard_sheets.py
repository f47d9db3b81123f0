"""The contact sheets of a collection, one per shard. A sheet whose content is unchanged is not drawn again."""

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
"""Photos per sheet. Ids are digests, so the smallest ids are a sample that changes little as photos arrive."""
COLUMNS = ("image_id", "shard", "gender_final", "ethnicity_final", "age", "attractiveness", "flagged")
"""Columns of the master that a sheet needs."""


def shown_rows(master: pl.LazyFrame) -> pl.DataFrame:
    """The rows on the sheets, up to `SHOWN` per shard; the column `of` has the shard's total number of photos."""
    pictured = master.filter(pl.col("preproc_status").is_in(["ok", "no_face"])).select(COLUMNS)
    each = [name for name in COLUMNS if name != "shard"]
    by_shard = pictured.group_by("shard").agg(pl.len().alias("of"), pl.col(each).sort_by("image_id").head(SHOWN))
    return by_shard.explode(each).sort("shard", "image_id").collect()


def shard_sheet(rows: pl.DataFrame, load: Callable[[str], Source], *, title: str, mark: str) -> bytes:
    """The sheet of one shard's `shown_rows` as the bytes of a JPEG, with `mark` in its comment."""
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
    page.save(
        buffer, "JPEG", quality=85, comment=mark.encode()
    )  # the mark lives in the file, so it cannot get out of step
    return buffer.getvalue()


def mark_of(rows: pl.DataFrame, made_by: str) -> str:
    """Digest of a sheet's content and of the code and settings that draw it (`made_by`)."""
    return hashlib.sha256(json.dumps([made_by, rows.rows()], default=str).encode()).hexdigest()[:32]


def has_mark(path: Path, mark: str) -> bool:
    """Whether the file is a sheet with this mark; False for a missing or unreadable one."""
    try:
        with Image.open(path) as sheet:
            return bool(sheet.info.get("comment") == mark.encode())
    except (OSError, UnidentifiedImageError):
        return False


def caption(row: dict[str, Any]) -> str:
    """The caption of a photo: final values, decile, flag."""
    age = f"{row['age']:.0f} years" if row["age"] is not None else "age unknown"
    words = [row["gender_final"] or "unknown", age, (row["ethnicity_final"] or "unknown").replace("_", " ")]
    words += [f"decile {row['attractiveness']}"] if row["attractiveness"] else []
    return ", ".join(words) + ("\n⚑ flagged" if row["flagged"] else "")
