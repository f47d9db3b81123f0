"""What people provide: read where there is something, None where there is nothing, never made up."""

from pathlib import Path

import numpy as np
import polars as pl

from facestats_pipeline.config import load_settings
from facestats_pipeline.core.training.provenance import DEMO_TRUTH
from facestats_pipeline.io.card_inputs import encoder_input, label_input, weight_inputs
from facestats_pipeline.io.embeddings import vectors
from facestats_pipeline.io.user_files import labels_of, manual_labels_of, ratings_of, sources_of, splits_of
from facestats_pipeline_tests.io.small_store import store_in

UTKFACE = "25_1_2_20170116174525125.jpg.chip.jpg"


def test_nothing_is_none(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    assert labels_of(store, [UTKFACE]) is None
    assert ratings_of(store) is None
    assert manual_labels_of(store) is None


def test_names_are_read_only_when_that_is_asked_for(tmp_path: Path) -> None:
    labels = labels_of(store_in(tmp_path), [UTKFACE, "holiday.jpg"], in_names="utkface")
    assert labels is not None
    assert labels.frame.select("file", "gender", "age").rows() == [(UTKFACE, "Female", 25.0)]


def test_a_file_comes_before_names(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.labels.mkdir()
    store.input_path("labels_csv").write_text("file,age,gender,race\na.jpg,20-29,Male,White\n")
    store.input_path("ratings_csv").write_text("file,rating\na.jpg,3\n")
    labels, ratings = labels_of(store, [UTKFACE], in_names="utkface"), ratings_of(store)
    assert labels is not None
    assert ratings is not None
    assert labels.frame["file"].to_list() == ["a.jpg"]
    assert labels.provenance.source == "labels.csv"
    assert ratings.frame.select("file", "rating").rows() == [("a.jpg", 3.0)]


def test_vectors_of_a_table_and_of_an_empty_one() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    frame = pl.DataFrame({"embedding": pl.Series(x, dtype=pl.Array(pl.Float32, 4))})
    assert np.array_equal(vectors(frame), x)
    assert vectors(frame.clear()).shape == (0, 4)
    assert vectors(frame).dtype == np.float32


def test_labels_of_drawn_faces_are_not_passed_off_as_people_s(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.labels.mkdir()
    store.input_path("labels_csv").write_text("file,age,gender,race\na.jpg,20-29,Male,White\n")
    store.input_path("ratings_csv").write_text("file,rating\na.jpg,3\n")
    before = labels_of(store, [])
    (store.labels / DEMO_TRUTH).touch()
    after, ratings = labels_of(store, []), ratings_of(store)
    assert before is not None
    assert after is not None
    assert ratings is not None
    assert (before.provenance.kind, after.provenance.kind, ratings.provenance.kind) == (
        "human",
        "synthetic",
        "synthetic",
    )


def test_where_photos_come_from_is_the_settings_until_a_file_says_more(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    settings = {"source": "a studio", "licence": None, "consent": "yes"}
    assert sources_of(store, settings).of("in/a.jpg") == settings
    assert splits_of(store) is None
    store.labels.mkdir()
    store.input_path("sources_csv").write_text("path,licence,consent\nin,MIT,no\nlabels/ratings.csv,CC0-1.0,\n")
    store.input_path("splits_csv").write_text("file,split,fold\na.jpg,half,train\nb.jpg,half,test\n")
    store.input_path("ratings_csv").write_text("file,rating\na.jpg,3\n")
    sources, splits = sources_of(store, settings), splits_of(store)
    assert sources.of("in/a.jpg") == {"source": "a studio", "licence": "MIT", "consent": "no"}
    assert sources.unused_rows(["in/a.jpg"]) == []
    assert splits is not None and splits["fold"].to_list() == ["train", "test"]
    (given,) = label_input(store, sources, "ratings_csv")
    assert (given.role, given.name, given.licence) == ("ratings", "ratings.csv", "CC0-1.0")
    assert given.origin == f"given by people, sha256 {store.input_fingerprint('ratings_csv')}"
    assert label_input(store, sources, "labels_csv") == []


def test_weights_are_listed_with_their_licences(tmp_path: Path) -> None:
    listed = {each.role: each for each in weight_inputs(load_settings(environ={}, data_dir=tmp_path))}
    assert listed["encoder"].licence == "CC BY 4.0 (trained on FairFace)"
    hub = load_settings(environ={}, data_dir=tmp_path, **{"encoder.name": "ViT-B-32/laion2b"})
    assert encoder_input(hub, "ViT-B-32/laion2b@1").licence is None
