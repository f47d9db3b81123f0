"""What people said goes along with what models say; who somebody is does not."""

import polars as pl

from facestats_pipeline.core.export.given_labels import given_columns, given_labels
from facestats_pipeline.core.labels.label_rows import LABELS_SCHEMA

NAMES = ["a/1.jpg", "a/2.jpg", "a/3.jpg"]


def test_labels_and_ratings_come_together_by_photo() -> None:
    said: dict[str, list[object]] = {
        "file": ["1.jpg", "2.jpg", "nobody.jpg"],
        "gender": ["Male", None, "Male"],
        "age": [30.0, None, 1.0],
    }
    empty = [None] * 3
    said |= {"ethnicity": empty, "age_bin": empty, "group": ["Ann"] * 3}
    labels = pl.DataFrame({name: said[name] for name in LABELS_SCHEMA}, schema=LABELS_SCHEMA)
    ratings = pl.DataFrame({"file": ["a/3.jpg", "a/1.jpg"], "rating": [4.5, 2.0]})
    given = given_labels(labels, ratings, NAMES).sort("filename")
    assert given.columns == ["filename", "label_gender", "label_age", "label_rating"]
    assert given.rows() == [("a/1.jpg", "Male", 30.0, 2.0), ("a/2.jpg", None, None, None), ("a/3.jpg", None, None, 4.5)]
    assert "Ann" not in str(given) and set(given.columns[1:]) <= set(given_columns())


def test_nothing_said_is_no_column() -> None:
    assert given_labels(None, None, NAMES).columns == ["filename"]
