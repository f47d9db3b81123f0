"""Queries of the dashboard against what polars says of the same rows, read whole."""

import io
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from facestats_pipeline.app import pictures
from facestats_pipeline.app.data import EXPORT_ROWS, Queries
from facestats_pipeline.app.filters import EVERYTHING, FLAGGED, NOT_FLAGGED, Filters
from facestats_pipeline.app.words import plain
from facestats_pipeline.collection.collection import Collection
from facestats_pipeline.config import load_settings
from facestats_pipeline.core.composites.composite_specs import CompositeSpec
from facestats_pipeline_tests.app.made_up import EVIL, RECIPE, SIDE, write_collection


@pytest.fixture
def master(queries: Queries) -> pl.DataFrame:
    return queries.store.scan("master").collect()


def test_overview_counts_every_row(queries: Queries, master: pl.DataFrame) -> None:
    about = queries.overview()
    assert (about.images, about.shards, about.files) == (60, 2, {"ok": 60})
    assert about.faces == (master["preproc_status"] == "ok").sum() == 54
    assert about.flagged == sum(about.reasons.values()) == master["flagged"].sum()
    assert (about.labelled, about.scored) == (0, 60)
    for column, counts in about.counts.items():
        assert dict(counts.iter_rows()) == dict(master[column].value_counts().iter_rows())
    assert about.counts["gender_final"]["value"].to_list() == ["Female", "Male"]
    assert about.counts["ethnicity_final"]["value"].to_list()[-1] == "unknown"
    assert about.counts["attractiveness"]["value"].is_sorted()


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (EVERYTHING, pl.lit(True)),
        (Filters({"gender": "Female"}), pl.col("gender_final") == "Female"),
        (
            Filters({"decile": (8, 10), "ethnicity": "Black"}),
            (pl.col("attractiveness") >= 8) & (pl.col("ethnicity_final") == "Black"),
        ),
        (Filters(flag=FLAGGED), pl.col("flagged")),
        (Filters(flag=NOT_FLAGGED), ~pl.col("flagged")),
        (Filters(flag="ethnicity_unknown", cluster=3), pl.col("flagged") & (pl.col("cluster") == 3)),
        (Filters(flag="blurred"), pl.lit(False)),
        (Filters(name="PHOTO 1"), pl.col("filename").str.contains("photo 1")),
        (Filters(name="(1)!["), pl.col("filename") == EVIL),
    ],
)
def test_filters(queries: Queries, master: pl.DataFrame, filters: Filters, wanted: pl.Expr) -> None:
    expected = master.filter(wanted)
    total, counts = queries.counts(filters)
    assert total == expected.height
    assert counts["gender_final"]["n"].sum() == expected.height
    found = queries.rows(filters, ["image_id", "age"], sort="age", descending=True)
    assert found["image_id"].to_list() == expected.sort("age", descending=True)["image_id"].to_list()


def test_filters_in_words() -> None:
    assert EVERYTHING.describe() == "all"
    asked = Filters({"gender": "Male", "age": (20, 29)}, cluster=3, flag=FLAGGED, name="x")
    assert asked.describe() == "gender=Male age=20:29 cluster=3 flag=any flag name contains 'x'"


def test_histogram(queries: Queries, master: pl.DataFrame) -> None:
    bins = queries.histogram(EVERYTHING, "age", bins=5)
    assert bins["n"].sum() == 60
    assert (bins["low"][0], bins["high"][-1]) == (
        pytest.approx(master["age"].min()),
        pytest.approx(master["age"].max()),
    )
    assert queries.histogram(EVERYTHING, "jaw_width").is_empty()
    assert "age" in queries.numbers()
    assert "reasons" not in queries.sortable(["age", "reasons"])


def test_the_map_is_a_stable_sample_and_its_rectangle_is_not(queries: Queries, master: pl.DataFrame) -> None:
    sample, total = queries.map_sample(EVERYTHING, 20)
    assert (sample.height, total) == (20, 60)
    assert sample["image_id"].to_list() == master["image_id"].sort().to_list()[:20]
    inside = master.filter(pl.col("pca_x").is_between(0, 1), pl.col("pca_y").is_between(-1, 1))
    found, n = queries.within(EVERYTHING, (0, 1), (-1, 1), 3)
    assert (n, found.height) == (inside.height, 3)
    apart = pictures.spread_out(sample, 3)
    assert 3 < apart.height <= 9
    assert apart.columns == sample.columns
    assert pictures.spread_out(sample.head(0), 3).is_empty()


def test_downloads(queries: Queries, master: pl.DataFrame) -> None:
    columns = ["filename", "age", "reasons"]
    lines = queries.export(EVERYTHING, columns, "csv").decode().splitlines()
    assert lines[0] == "filename,age,reasons"
    assert lines[1].startswith(f"'{EVIL},"), "no spreadsheet runs a photo's name"
    assert len(lines) == 61 <= EXPORT_ROWS
    table = pl.read_parquet(io.BytesIO(queries.export(Filters({"gender": "Male"}), columns, "parquet")))
    assert table.equals(master.filter(gender_final="Male").select(columns))


def test_a_composite_says_what_it_gave_up(queries: Queries) -> None:
    png, row = queries.composite(CompositeSpec("x", filters={"gender": "Male", "age": (20, 22)}))
    assert png is not None
    assert Image.open(io.BytesIO(png)).size == (SIDE, SIDE)
    assert row["n_asked"] < 10 <= row["n_used"]
    assert row["relaxed"]
    png, row = queries.composite(CompositeSpec("x", filters={"gender": "Male", "age": (20, 22)}, strict=True))
    assert png is None
    assert "at least 10 are needed" in row["reason"]


def test_stages(tmp_path: Path, made_up: Path) -> None:
    here = Queries(Collection(load_settings(environ={}, data_dir=tmp_path)))
    assert here.stage() == "empty"
    before = here.collection.version()
    store = write_collection(tmp_path, shards=2, rows=12, pictures=False)
    assert here.stage() == "ready"
    assert here.collection.version() != before
    store.path("master", "shard-00001").unlink()
    assert here.stage() == "partial"
    assert here.overview().images == 12
    store.path("master", "shard-00000").unlink()
    assert here.stage() == "begun"
    assert here.progress()["preproc"] == 2
    assert here.progress()["master"] == 0


def test_queue_and_audit(queries: Queries, tmp_path: Path) -> None:
    queue = queries.label_queue()
    assert queue is not None
    place = queries.place(queue["image_id"][0])
    assert place is not None
    assert place["filename"] == queue["filename"][0].removeprefix("'")
    assert queries.place("0" * 32) is None
    audit, why = queries.bias_audit()
    assert audit is not None
    assert why == ""
    empty = Queries(Collection(load_settings(environ={}, data_dir=tmp_path)))
    assert empty.label_queue() is None
    assert empty.bias_audit()[0] is None
    empty.store.write_files("bias_audit", {}, type(RECIPE)("bias_audit", "1", "f", skipped="no labels"))
    assert empty.bias_audit() == (None, "no labels")


def test_thumbnails(queries: Queries, tmp_path: Path) -> None:
    place = queries.map_sample(EVERYTHING, 1)[0].row(0, named=True)
    small = pictures.thumbnail(queries.store.jpeg_path(place["shard"], place["image_id"]), 40)
    assert small is not None
    assert Image.open(io.BytesIO(small)).size == (40, 40)
    assert pictures.data_uri(small).startswith("data:image/jpeg;base64,/9j/")
    (tmp_path / "bad.jpg").write_text("no picture")
    assert pictures.thumbnail(tmp_path / "bad.jpg", 40) is None
    assert pictures.thumbnail(tmp_path / "absent.jpg", 40) is None


def test_the_face_is_drawn_where_it_is_in_the_photo() -> None:
    photo = Image.new("RGB", (400, 200), "white")
    buffer = io.BytesIO()
    photo.save(buffer, "PNG")
    # Preprocessed at half scale and moved by (-50, 0): the box 10, 20, 30, 40 is 120, 40, 60, 80 in the photo.
    row = {"transform": [0.5, 0, -50, 0, 0.5, 0], "face_box": [10, 20, 30, 40], "landmarks": [25, 40] * 5}
    drawn = pictures.with_face_drawn(buffer.getvalue(), row)
    assert drawn.size == (400, 200)
    assert drawn.getpixel((120, 80)) == drawn.getpixel((150, 40)) == drawn.getpixel((150, 80)) == pictures.BOX
    assert drawn.getpixel((100, 80)) == drawn.getpixel((160, 60)) == (255, 255, 255)
    assert pictures.with_face_drawn(buffer.getvalue(), row | {"face_box": None}, side=100).size == (100, 50)


def test_no_name_is_markdown() -> None:
    assert plain(EVIL) == r"\=HYPERLINK\(1\)\!\[x\]\(http\:\/\/evil\.example\/x\.png\)\.jpg"
    assert plain("a\nb") == "a b"
