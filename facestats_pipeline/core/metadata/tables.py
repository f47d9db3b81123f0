"""The metadata tables between `attributes` and `master`: each function takes the frames of one shard and gives the table's rows.

An input that does not exist (no labels, no ratings, no landmark model) is None and gives null columns: every table has the same columns on
every machine. The tables made elsewhere: flags and clean in `core.metadata.flags`, clusters in `core.metadata.clusters`, manual labels in
`core.metadata.manual_labels`, master in `core.metadata.merge`. What each column means is in `core.metadata.columns`.
"""

from collections.abc import Mapping

import polars as pl

from facestats_pipeline.core.labels.vocabulary import AGE_BINS, AGE_EDGES, CLASSES, ETHNICITY_TO_4, UNKNOWN
from facestats_pipeline.core.labels.vocabulary import ATTRIBUTES as ATTRIBUTE_NAMES
from facestats_pipeline.core.metadata.flags import (
    CLEAN_SCHEMA,
    FLAGS_SCHEMA,
    FlagThresholds,
    attributes_clean,
    attributes_flags,
)
from facestats_pipeline.core.metadata.table_inputs import (
    ATTRIBUTES,
    CLUSTERS,
    DETECTION,
    GEOMETRY,
    IDS,
    P_COLUMN,
    PREPROC_STATUS,
    QUALITY,
    SCORES,
    SOURCE_COLUMN,
    Schema,
    conform,
    detection_of,
    geometry_of,
    joined,
    left_join,
    rows_about,
    without,
)

__all__ = [
    "CLEAN_SCHEMA",
    "CLUSTERS_SCHEMA",
    "FINAL_SCHEMA",
    "FLAGS_SCHEMA",
    "LABEL_STRUCTURE_SCHEMA",
    "META_SCHEMA",
    "PREDICTIONS",
    "PREDICTIONS_SCHEMA",
    "SCORED_SCHEMA",
    "FlagThresholds",
    "attractiveness_with_attributes",
    "attributes_clean",
    "attributes_final",
    "attributes_flags",
    "attributes_with_meta",
    "attributes_with_predictions",
    "label_structure",
]

META_SCHEMA: Schema = joined(ATTRIBUTES, DETECTION, PREPROC_STATUS, QUALITY, GEOMETRY)
CLUSTERS_SCHEMA: Schema = joined(ATTRIBUTES, CLUSTERS)

PREDICTIONS: Schema = {
    **{
        name: dtype
        for attribute in ATTRIBUTE_NAMES
        for name, dtype in (
            (f"predicted_{attribute}", pl.String()),
            (f"predicted_{attribute}_p", pl.Float32()),
            (f"predicted_{attribute}_kind", pl.String()),
        )
    },
    "prediction_kind": pl.String(),
}
PREDICTIONS_SCHEMA: Schema = joined(ATTRIBUTES, PREDICTIONS)

FINAL: Schema = {
    "gender_final": pl.String(),
    "gender_final_source": pl.String(),
    "ethnicity_final": pl.String(),
    "ethnicity_final_source": pl.String(),
    "ethnicity4_final": pl.String(),
    "age_bin_final": pl.String(),
    "age_bin_final_source": pl.String(),
}
FINAL_SCHEMA: Schema = {**IDS, **FINAL, "attractiveness": pl.Int8()}
SCORED_SCHEMA: Schema = {**IDS, **SCORES, **FINAL}

LABEL_STRUCTURE_SCHEMA: Schema = {
    "attribute": pl.String(),
    "code": pl.Int32(),
    "label": pl.String(),
    "label4": pl.String(),
    "age_from": pl.Int32(),
    "age_to": pl.Int32(),
}

OUT_OF_FOLD, MODEL, NONE, MANUAL = "out_of_fold", "model", "none", "manual"


def attributes_with_meta(
    attributes: pl.DataFrame,
    preproc: pl.DataFrame | None,
    quality: pl.DataFrame | None,
    geometry: pl.DataFrame | None,
) -> pl.DataFrame:
    """`attributes` joined to detection, quality and the scalar measures of face geometry: META_SCHEMA, one row per row of
    `attributes`. MergeError when a table lists an image twice."""
    frame = conform(attributes, ATTRIBUTES)
    frame = left_join(frame, detection_of(preproc), DETECTION | PREPROC_STATUS, "preproc.parquet")
    frame = left_join(frame, quality, QUALITY, "image_quality.parquet")
    return left_join(frame, geometry_of(geometry), GEOMETRY, "face_geometry.parquet")


def attributes_with_predictions(
    attributes: pl.DataFrame,
    oof: pl.DataFrame | None,
    *,
    seen: pl.DataFrame | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> pl.DataFrame:
    """`attributes` with a prediction of each attribute that no model made about a row whose label it was trained on.

    `oof`: image_id, attribute, value (or "unknown", or null), p for every labelled row, predicted by the folds that left it out.
    `seen`: image_id, attribute of further rows that a model was trained on, for which there is no such prediction. A row in either
    gets its out-of-fold value or none at all; any other row gets the model's own decision. `thresholds`: attribute → the least p at which
    its model answers; an out-of-fold value below it becomes "unknown", so that labelled rows abstain by the same rule as the others.

    Gives PREDICTIONS_SCHEMA. ValueError for an attribute outside the vocabulary; MergeError when `oof` predicts an image twice.
    """
    frame = conform(attributes, ATTRIBUTES)
    oof = conform(pl.DataFrame() if oof is None else oof, _OOF)
    for table in [oof] if seen is None else [oof, seen]:
        if strange := set(table["attribute"].unique()) - set(ATTRIBUTE_NAMES):
            raise ValueError(
                f"predictions of {sorted(map(str, strange))}; the attributes are {', '.join(ATTRIBUTE_NAMES)}"
            )
    oof, seen = rows_about(oof, frame), None if seen is None else rows_about(seen, frame)
    if seen is not None:
        unpredicted = seen.select("image_id", "attribute").unique().join(oof, on=["image_id", "attribute"], how="anti")
        oof = pl.concat([oof, conform(unpredicted, _OOF)])
    for attribute in ATTRIBUTE_NAMES:
        doubtful = pl.col("value").is_not_null() & (pl.col("p") < (thresholds or {}).get(attribute, 0.0))
        folds = oof.filter(pl.col("attribute") == attribute).select(
            "image_id",
            pl.when(doubtful).then(pl.lit(UNKNOWN)).otherwise("value").alias("_value"),
            pl.col("p").alias("_p"),
            pl.lit(True).alias("_seen"),
        )
        frame = left_join(frame, folds, _FOLD, f"the out-of-fold predictions of {attribute}")
        is_seen = pl.col("_seen").fill_null(False)
        by_model = ~is_seen & (pl.col(SOURCE_COLUMN[attribute]) != NONE).fill_null(False)
        kind = (
            pl.when(is_seen & pl.col("_value").is_not_null())
            .then(pl.lit(OUT_OF_FOLD))
            .when(by_model)
            .then(pl.lit(MODEL))
            .otherwise(pl.lit(NONE))
        )
        frame = frame.with_columns(
            pl.when(is_seen).then("_value").when(by_model).then(attribute).alias(f"predicted_{attribute}"),
            pl.when(is_seen).then("_p").when(by_model).then(P_COLUMN[attribute]).alias(f"predicted_{attribute}_p"),
            kind.alias(f"predicted_{attribute}_kind"),
        ).drop(_FOLD)
    kinds = [pl.col(f"predicted_{attribute}_kind") for attribute in ATTRIBUTE_NAMES]
    overall = (
        pl.when(pl.any_horizontal(kind == OUT_OF_FOLD for kind in kinds))
        .then(pl.lit(OUT_OF_FOLD))
        .when(pl.any_horizontal(kind == MODEL for kind in kinds))
        .then(pl.lit(MODEL))
        .otherwise(pl.lit(NONE))
    )
    return conform(frame.with_columns(overall.alias("prediction_kind")), PREDICTIONS_SCHEMA)


def attributes_final(
    with_manual: pl.DataFrame, with_predictions: pl.DataFrame | None, scores: pl.DataFrame | None
) -> pl.DataFrame:
    """What is believed about each image: the manual label, else the prediction, else "unknown"; with its source and the decile.

    A source is `manual`, `out_of_fold` or `model`; it is `none` where the value is "unknown", whoever abstained. `ethnicity4_final` is the
    roll-up of `ethnicity_final`; where that is unknown, the model's own decision in four classes, which it may be sure of.
    Gives FINAL_SCHEMA, one row per row of `with_manual`. MergeError when a table lists an image twice.
    """
    manual = {f"manual_{attribute}": pl.String() for attribute in ATTRIBUTE_NAMES}
    frame = conform(with_manual, {**IDS, **manual})
    frame = left_join(
        frame, with_predictions, PREDICTIONS | {"ethnicity4": pl.String()}, "attributes_with_predictions.parquet"
    )
    frame = left_join(frame, scores, {"attractiveness": pl.Int8()}, "attractiveness_scores.parquet")
    for attribute in ATTRIBUTE_NAMES:
        by_hand, predicted = pl.col(f"manual_{attribute}"), pl.col(f"predicted_{attribute}")
        known = predicted.is_not_null() & (predicted != UNKNOWN)
        frame = frame.with_columns(
            pl.coalesce(by_hand, predicted, pl.lit(UNKNOWN)).alias(f"{attribute}_final"),
            pl.when(by_hand.is_not_null())
            .then(pl.lit(MANUAL))
            .when(known)
            .then(f"predicted_{attribute}_kind")
            .otherwise(pl.lit(NONE))
            .alias(f"{attribute}_final_source"),
        )
    coarse = pl.when(pl.col("predicted_ethnicity_kind") == MODEL).then("ethnicity4").fill_null(UNKNOWN)
    rolled_up = pl.col("ethnicity_final").replace_strict(ETHNICITY_TO_4, default=coarse, return_dtype=pl.String)
    return conform(frame.with_columns(ethnicity4_final=rolled_up), FINAL_SCHEMA)


def attractiveness_with_attributes(scores: pl.DataFrame | None, final: pl.DataFrame) -> pl.DataFrame:
    """Scores joined to the final attributes: SCORED_SCHEMA, one row per row of `final`, null scores where there is none."""
    frame = conform(final, without(FINAL_SCHEMA, ["attractiveness"]))
    return conform(left_join(frame, scores, SCORES, "attractiveness_scores.parquet"), SCORED_SCHEMA)


def label_structure() -> pl.DataFrame:
    """The label vocabularies (fairface_label_structure.parquet): LABEL_STRUCTURE_SCHEMA, one row per label of each attribute.

    `code` counts the labels of an attribute from 0 in the order of the vocabulary; `unknown` is no label and has no row.
    """
    edges = dict(zip(AGE_BINS, AGE_EDGES, strict=True))
    rows = [
        {
            "attribute": attribute,
            "code": code,
            "label": label,
            "label4": ETHNICITY_TO_4[label] if attribute == "ethnicity" else None,
            "age_from": int(edges[label][0]) if attribute == "age_bin" else None,
            "age_to": int(edges[label][1]) - 1 if attribute == "age_bin" and label != AGE_BINS[-1] else None,
        }
        for attribute in ATTRIBUTE_NAMES
        for code, label in enumerate(CLASSES[attribute])
    ]
    return pl.DataFrame(rows, schema=LABEL_STRUCTURE_SCHEMA)


_OOF: Schema = {"image_id": pl.String(), "attribute": pl.String(), "value": pl.String(), "p": pl.Float32()}
_FOLD: Schema = {"_value": pl.String(), "_p": pl.Float32(), "_seen": pl.Boolean()}
