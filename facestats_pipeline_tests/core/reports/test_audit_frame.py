"""The audit sees labels beside out-of-fold values, and nothing that a model said of a photo it had learned from."""

from typing import Any

import polars as pl

from facestats_pipeline.core.reports.audit_frame import RATED_SCHEMA, audit_frame, audits_for, rated_frame

LABELS = pl.DataFrame(
    {
        "file": ["a.jpg", "b.jpg", "c.jpg", "elsewhere.jpg"],
        "gender": ["Female", "Male", None, "Male"],
        "ethnicity": ["White", None, "Black", None],
        "age_bin": ["20-29", "30-39", None, None],
        "age": [24.0, 35.0, None, None],
    }
)


def master(**changes: Any) -> pl.DataFrame:
    columns: dict[str, Any] = {
        "image_id": ["0a", "0b", "0c", "0d"],
        "filename": ["x/a.jpg", "x/b.jpg", "x/c.jpg", "x/d.jpg"],
        "attractiveness_raw": [1.0, 2.0, 3.0, None],
        "age": [25.0, 36.0, 50.0, 60.0],
        "age_lo": [20.0, 30.0, 40.0, 50.0],
        "age_hi": [30.0, 40.0, 60.0, 70.0],
    }
    for attribute, values in (
        ("gender", ["Female", "unknown"]),
        ("ethnicity", ["White", None]),
        ("age_bin", ["20-29", "20-29"]),
    ):
        columns[f"predicted_{attribute}"] = [*values, "Male" if attribute == "gender" else None, None]
        columns[f"predicted_{attribute}_p"] = [0.9, 0.4, 0.8, None]
        columns[f"predicted_{attribute}_kind"] = ["out_of_fold", "out_of_fold", "model", "none"]
    return pl.DataFrame(columns | changes)


CHECKPOINT = {"image_ids": ["0a", "0b"], "oof": {"rating": [3.0, 4.0], "score": [3.5, None], "reach": [0.7, None]}}


def test_labels_beside_out_of_fold_values_and_nothing_else() -> None:
    frame = audit_frame(master(), LABELS, rated_frame(CHECKPOINT))
    assert frame["filename"].to_list() == ["x/a.jpg", "x/b.jpg", "x/c.jpg"]
    assert frame["predicted_gender"].to_list() == ["Female", "unknown", None]  # the third is by a model that saw it
    assert frame["predicted_age"].to_list() == [25.0, 36.0, None]
    assert frame["age_years"].to_list() == [24.0, 35.0, None]
    assert frame.select("rating", "rated_score").rows() == [(3.0, 3.5), (None, None), (None, None)]
    assert abs(frame["rated_lo"][0] - 2.8) < 1e-6


def test_audits_are_of_what_can_be_compared() -> None:
    def named(frame: pl.DataFrame) -> list[tuple[str, str | None]]:
        return [(audit.attribute, audit.truth) for audit in audits_for(frame)]

    everything = named(audit_frame(master(), LABELS, rated_frame(CHECKPOINT)))
    classes = [("gender", "gender"), ("ethnicity", "ethnicity"), ("age_bin", "age_bin"), ("age", "age_years")]
    assert everything == [*classes, ("attractiveness", "rating"), ("attractiveness", None)]
    bins_alone = LABELS.with_columns(age=pl.lit(None, pl.Float64))
    assert ("age", "age_years") not in named(audit_frame(master(), bins_alone))
    unscored = master(attractiveness_raw=pl.Series([None] * 4, dtype=pl.Float64))
    assert named(audit_frame(unscored, LABELS)) == classes
    nothing = master(**{f"predicted_{a}_kind": ["model"] * 4 for a in ("gender", "ethnicity", "age_bin")})
    assert named(audit_frame(nothing, LABELS)) == []


def test_a_regressor_without_held_out_scores_gives_no_rows() -> None:
    for checkpoint in (None, {"image_ids": ["0a"]}):
        empty = rated_frame(checkpoint)
        assert dict(empty.schema) == RATED_SCHEMA
        assert empty.is_empty()
