import polars as pl

from facestats_pipeline.core.metadata.label_structure_table import LABEL_STRUCTURE, label_structure
from facestats_pipeline_tests.classes import AGE_BINS, CLASSES


def test_label_structure_is_the_vocabulary() -> None:
    frame = label_structure()
    assert frame.schema == pl.Schema(LABEL_STRUCTURE.schema)
    for attribute, classes in CLASSES.items():
        of_it = frame.filter(pl.col("attribute") == attribute)
        assert of_it["label"].to_list() == list(classes)
        assert of_it["code"].to_list() == list(range(len(classes)))
    ages = frame.filter(pl.col("attribute") == "age_bin")
    bounds = {row["label"]: (row["age_from"], row["age_to"]) for row in ages.iter_rows(named=True)}
    assert (bounds["0-2"], bounds["30-39"], bounds[AGE_BINS[-1]]) == ((0, 2), (30, 39), (70, None))
    assert "unknown" not in frame["label"]
