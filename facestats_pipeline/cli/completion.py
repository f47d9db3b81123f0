"""Shell completion of option values: fixed words, columns, encoders, images of the data folder.

It runs on each Tab press, so it reads at most one small file. On an error it offers nothing and shows nothing.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import typer

from facestats_pipeline.core.attributes.catalogue import ETHNICITY, GENDER

T = TypeVar("T")
Complete = Callable[[typer.Context, str], list[str]]
MOST = 60
"""Most completions to offer. For longer lists, shells ask whether to show them."""
GROUPS = ("all", *(f"gender={word}" for word in GENDER.classes), "age=20:29", "decile=8:10")
GROUPINGS = ("gender", "ethnicity", "age", "decile")
WHERE = ("consent!=no", "consent=yes", "licence=CC BY*", "licence=", "source=")
ENCODERS = ("facestats-mini", "ViT-B-32/laion2b_s34b_b79k", "ViT-B-16/laion2b_s34b_b88k", "ViT-L-14/laion2b_s32b_b82k")


def words(offered: Iterable[str]) -> Complete:
    """A completer for fixed words. Spaces become `_`, which every option accepts, because not every shell quotes completions."""
    shown = [word.replace(" ", "_") for word in offered]

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        return [word for word in shown if word.startswith(incomplete)]

    return complete


genders, ethnicities, groups, groupings, conditions, encoders = map(
    words, (GENDER.classes, ETHNICITY.classes, GROUPS, GROUPINGS, WHERE, ENCODERS)
)


def images(ctx: typer.Context, incomplete: str) -> list[str]:
    """File names from the inventory of the data folder, and image ids once four digits are typed."""
    import polars as pl

    def listed() -> list[str]:
        inventory = pl.scan_parquet(_data_dir(ctx) / "processed" / "inventory.parquet").filter(
            pl.col("state") != "removed"
        )
        columns = ["filename", "image_id"] if len(incomplete) >= 4 else ["filename"]
        found = [
            inventory.filter(pl.col(column).str.starts_with(incomplete)).select(column).head(MOST).collect().to_series()
            for column in columns
        ]
        return [name for names in found for name in names.to_list()]

    return _quietly(listed, [])


def number_columns(ctx: typer.Context, incomplete: str) -> list[str]:
    """Numeric columns of master."""
    return [name for name, dtype in _master(ctx).items() if dtype.is_numeric() and name.startswith(incomplete)]


def columns(ctx: typer.Context, incomplete: str) -> list[str]:
    """Columns of master in a comma-separated list: completes the last one."""
    before, comma, last = incomplete.rpartition(",")
    taken = set(before.split(","))
    return [f"{before}{comma}{name}" for name in _master(ctx) if name.startswith(last) and name not in taken]


def _master(ctx: typer.Context) -> dict[str, Any]:
    import polars as pl

    folder = _data_dir(ctx) / "processed" / "metadata" / "master.parquet"
    return _quietly(lambda: dict(pl.read_parquet_schema(next(iter(sorted(folder.glob("*.parquet")))))), {})


def _data_dir(ctx: typer.Context) -> Path:
    """The data folder of the command line so far: --data-dir, else $FACESTATS_DATA_DIR, else `data`."""
    given = ctx.params.get("data_dir")
    return Path(given or os.environ.get("FACESTATS_DATA_DIR") or "data").expanduser()


def _quietly(look: Callable[[], T], otherwise: T) -> T:
    try:
        return look()
    except Exception:  # a completion must never print an error
        return otherwise
