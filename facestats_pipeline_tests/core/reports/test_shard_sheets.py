"""One contact sheet for each shard: which photos, and that a sheet is drawn again only when it would show something else."""

from pathlib import Path

import polars as pl
from PIL import Image

from facestats_pipeline.core.reports.shard_sheets import SHOWN, has_mark, mark_of, shard_sheet, shown_rows

FACE = Image.new("RGB", (64, 64), (250, 0, 0))


def master(n: int = 100) -> pl.LazyFrame:
    rows = {
        "image_id": [f"{(i * 7919) % n:032x}" for i in range(n)],
        "shard": [f"shard-{i % 2:05d}" for i in range(n)],
        "gender_final": ["Female", None] * (n // 2),
        "ethnicity_final": ["Latino_Hispanic"] * n,
        "age": [31.4, None] * (n // 2),
        "attractiveness": [7] * n,
        "flagged": [False, True] * (n // 2),
        "preproc_status": ["ok"] * (n - 2) + ["corrupt"] * 2,
    }
    return pl.LazyFrame(rows)


def test_each_shard_shows_its_first_ids_and_says_of_how_many() -> None:
    shown = shown_rows(master(200))
    assert shown["shard"].to_list() == ["shard-00000"] * SHOWN + ["shard-00001"] * SHOWN
    assert shown["of"].unique().to_list() == [99], "photos without a picture are not counted"
    everything = master(200).filter(pl.col("shard") == "shard-00000", pl.col("preproc_status") == "ok").collect()
    assert shown["image_id"][:SHOWN].to_list() == everything["image_id"].sort()[:SHOWN].to_list()


def test_a_sheet_knows_what_it_shows(tmp_path: Path) -> None:
    rows = shown_rows(master(40)).filter(shard="shard-00000")
    mark = mark_of(rows, "code 1")
    path = tmp_path / "sheet.jpg"
    path.write_bytes(shard_sheet(rows, lambda image_id: FACE, title="shard-00000", mark=mark))
    assert has_mark(path, mark)
    assert not has_mark(path, mark_of(rows, "code 2")), "other code draws it again"
    assert not has_mark(path, mark_of(rows.with_columns(attractiveness=8), "code 1")), "so does another value"
    assert not has_mark(path, mark_of(rows.tail(-1), "code 1")), "and a photo that is gone"
    assert not has_mark(tmp_path / "absent.jpg", mark)
    path.write_bytes(b"no picture")
    assert not has_mark(path, mark)
