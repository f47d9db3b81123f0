"""A data folder whose tables are made up: what pages read, in any number of rows, without a run. Pictures are drawn faces."""

from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import numpy as np
import polars as pl

from facestats_pipeline.core.demo.faces import draw_face, sample_latents
from facestats_pipeline.core.images.decoding import encode_jpeg
from facestats_pipeline.core.joins import conform
from facestats_pipeline.core.metadata.csv_export import csv_bytes
from facestats_pipeline.core.metadata.label_queue import labels_template
from facestats_pipeline.core.metadata.master_table import master_table
from facestats_pipeline.core.preproc.alignment import TEMPLATE
from facestats_pipeline.core.reports.bias_table import bias_table
from facestats_pipeline.core.statistics.calibration import wilson
from facestats_pipeline.io.recipes import Recipe
from facestats_pipeline.io.store import Store
from facestats_pipeline_tests.classes import AGE_BINS, ETHNICITIES, GENDERS, UNKNOWN

RECIPE = Recipe("made_up", "1", "family")
SIDE = 128
DRAWN = 8
EVIL = "=HYPERLINK(1)![x](http://evil.example/x.png).jpg"
"""Name of the first photo: a formula to a spreadsheet, a picture from elsewhere to Markdown."""


def master_rows(n: int, shard: int, rng: np.random.Generator) -> pl.DataFrame:
    """n rows of the master table of one shard; every tenth has no face, every seventh no sure ethnicity."""
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    ids = digits[rng.integers(0, 16, (n, 32))].view("S32").ravel().astype(str)
    row = np.arange(n) + shard * n
    face = row % 10 != 9
    gender = rng.integers(0, 2, n)
    ethnicity = rng.integers(0, 7, n)
    age = rng.uniform(1, 89, n).astype(np.float32)
    score = rng.normal(3, 0.5, n).astype(np.float32)
    bins = np.searchsorted([3, 10, 20, 30, 40, 50, 60, 70], age, side="right")
    names = [f"{i % 12:02d}/photo {i}.jpg" for i in row.tolist()]
    if shard == 0:
        names[0] = EVIL
    decided = np.array(GENDERS)[gender]
    ethnic = np.where(row % 7 == 6, UNKNOWN, np.array(ETHNICITIES)[ethnicity])
    frame = pl.DataFrame(
        {
            "image_id": ids,
            "filename": names,
            "shard": [f"shard-{shard:05d}"] * n,
            "preproc_status": np.where(face, "ok", "no_face"),
            "face_count": face.astype(np.int32),
            "model_id": "made-up",
            "gender": decided,
            "gender_final": decided,
            "gender_top": decided,
            "gender_p": rng.uniform(0.5, 1, n),
            "ethnicity_final": ethnic,
            "ethnicity_top": np.array(ETHNICITIES)[ethnicity],
            "ethnicity_p": rng.uniform(0.2, 1, n),
            "age_bin_final": np.array(AGE_BINS)[bins],
            "age_bin_top": np.array(AGE_BINS)[bins],
            "age_p": rng.uniform(0.2, 1, n),
            "age": age,
            "sharpness": rng.uniform(1, 90, n),
            "flagged": row % 7 == 6,
            "reasons": [["ethnicity_unknown"] if i % 7 == 6 else [] for i in row.tolist()],
            "pca_x": rng.normal(0, 1, n),
            "pca_y": rng.normal(0, 1, n),
            "cluster": gender * 3,
            "attractiveness_raw": score,
            "attractiveness": np.clip(((score - 1.5) / 0.3).astype(np.int8), 1, 10),
            "manual_disputed": [[]] * n,
            "added_at": datetime(2026, 11, 20, tzinfo=UTC),
        }
    )
    return conform(frame, master_table().schema)


def write_collection(data: Path, *, shards: int = 2, rows: int = 30, pictures: bool = True, seed: int = 0) -> Store:
    """The tables that pages read, `rows` in each of `shards`; with a label queue, an audit and one of a few drawn faces for every row."""
    store, rng = Store(data, data / "models"), np.random.default_rng(seed)
    inventory = []
    drawn = [draw_face(sample_latents(rng)).resize((SIDE, SIDE)) for _ in range(DRAWN if pictures else 0)]
    faces = [encode_jpeg(face, 85) for face in drawn]
    for number in range(shards):
        shard, master = f"shard-{number:05d}", master_rows(rows, number, rng)
        inventory.append(master.select("filename", "image_id", "shard", state=pl.lit("ok")))
        store.write_table(
            "manifest", shard, master.select("image_id", "filename", "shard", status=pl.lit("ok")), RECIPE
        )
        marks = pl.Series([(TEMPLATE * SIDE).ravel()] * rows, dtype=pl.Array(pl.Float32, 10))
        seen = pl.when(pl.col("preproc_status") == "ok").then(marks)
        kept = master.select("image_id", "filename", landmarks=seen)
        store.write_table("preproc", shard, kept, RECIPE)
        store.write_table("master", shard, master, RECIPE)
        if pictures:
            for image_id, jpeg in zip(master["image_id"], cycle(faces), strict=False):
                store.write_jpeg(shard, image_id, jpeg)
    store.write_table("raw_photos", None, pl.concat(inventory), RECIPE)
    queue = labels_template(store.scan("master"), size=20)
    store.write_files("labels_template", {"metadata/labels_template.csv": csv_bytes(queue)}, RECIPE)
    path = store.temporary_path(store.processed / "x.parquet")
    _audit().write_parquet(path)
    store.write_files("bias_audit", {"reports/bias_audit.parquet": path}, RECIPE)
    return store


def _audit() -> pl.DataFrame:
    rows = []
    groups = [
        ("all", "all", 182, 200),
        ("gender", "Female", 96, 100),
        ("gender", "Male", 86, 100),
        ("gender", "few", 3, 4),
    ]
    for kind, group, right, n in groups:
        low, high = wilson(right, n)
        figures = (
            {"value": right / n, "ci_lo": low, "ci_hi": high, "note": ""}
            if n >= 30
            else {"note": f"n = {n} is below 30"}
        )
        p = 0.02 if group == "Male" else None
        rows.append(
            {
                "attribute": "gender",
                "metric": "accuracy",
                "group_kind": kind,
                "group": group,
                "n": n,
                "p_adjusted": p,
                **figures,
            }
        )
    return pl.DataFrame(rows, schema=bias_table().schema)
