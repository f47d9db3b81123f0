"""Why a row should not be trusted as it is: `attributes_flags`, and the rows with nothing against them: `attributes_clean`."""

from dataclasses import dataclass

import polars as pl

from facestats_pipeline.core.labels.vocabulary import ATTRIBUTES as ATTRIBUTE_NAMES
from facestats_pipeline.core.labels.vocabulary import UNKNOWN
from facestats_pipeline.core.metadata.table_inputs import (
    ATTRIBUTES,
    IDS,
    QUALITY,
    SOURCE_COLUMN,
    Schema,
    conform,
    left_join,
    without,
)

FLAGS_SCHEMA: Schema = {**IDS, "flagged": pl.Boolean(), "reasons": pl.List(pl.String())}
CLEAN_SCHEMA: Schema = dict(ATTRIBUTES)

_FOUND: Schema = {"status": pl.String(), "face_count": pl.Int32(), "face_score": pl.Float32()}
_MEASURED = without(QUALITY, ["phash"])


@dataclass(frozen=True)
class FlagThresholds:
    """Limits beyond which a photo is flagged; a measure that is absent (no detector, no face) raises no flag.

    min_face_score: detector score, 0–1 · max_faces: faces in the photo · min_face_fraction: face box area / photo area ·
    min_sharpness: variance of the Laplacian of the luma 0–255 of the preprocessed photo · min_brightness, max_brightness: mean luma,
    0–1 · min_contrast: standard deviation of the luma, 0–0.5 · max_yaw, max_roll: degrees off frontal and upright.
    """

    # Set by looking at FairFace photos sorted by each measure (224 px scaled up to 512): beyond the limit the face is hard to make
    # out, before it, not. Of 1,000 of them 7.4% are flagged, 5.5% for profiles beyond 60°; of 200 and 102 portraits none.
    min_face_score: float = 0.75
    max_faces: int = 1
    min_face_fraction: float = 0.02
    min_sharpness: float = 1.5
    min_brightness: float = 0.10
    max_brightness: float = 0.85
    min_contrast: float = 0.05
    max_yaw: float = 60.0
    max_roll: float = 35.0


REASONS: dict[str, str] = {
    "not_preprocessed": "there is no preprocessed photo: it could not be decoded or has not been processed",
    "no_face": "the detector found no face",
    "several_faces": "more than max_faces faces; the largest was taken",
    "low_face_score": "the detector is less sure than min_face_score",
    "small_face": "the face takes less of the photo than min_face_fraction",
    "blurred": "sharpness is below min_sharpness",
    "dark": "brightness is below min_brightness",
    "bright": "brightness is above max_brightness",
    "low_contrast": "contrast is below min_contrast",
    "extreme_pose": "the head is turned by more than max_yaw or tilted by more than max_roll",
    "gender_unknown": "the gender model abstained",
    "ethnicity_unknown": "the ethnicity model abstained",
    "age_unknown": "the age model abstained",
}
"""Every reason a row may be flagged for, in the order in which a row lists them, and what it means."""


def attributes_flags(
    attributes: pl.DataFrame,
    quality: pl.DataFrame | None,
    preproc: pl.DataFrame | None,
    *,
    thresholds: FlagThresholds | None = None,
) -> pl.DataFrame:
    """One row per row of `attributes` with FLAGS_SCHEMA: `reasons` out of REASONS, `flagged` when there is any.

    An abstention is a reason only where a model was asked: with no model for an attribute (source `none`), "unknown" says nothing
    about the photo. MergeError when `quality` or `preproc` lists an image twice.
    """
    limits = thresholds or FlagThresholds()
    frame = left_join(conform(attributes, ATTRIBUTES), preproc, _FOUND, "preproc.parquet")
    frame = left_join(frame, quality, _MEASURED, "image_quality.parquet")
    no_face = (pl.col("status") == "no_face") | (pl.col("face_count") == 0)
    conditions = {
        "not_preprocessed": pl.col("status").is_null() | ~pl.col("status").is_in(["ok", "no_face"]),
        "no_face": no_face,
        "several_faces": pl.col("face_count") > limits.max_faces,
        # Without a face the score is that of the best doubtful find, which was not used.
        "low_face_score": (pl.col("face_score") < limits.min_face_score) & ~no_face.fill_null(False),
        "small_face": pl.col("face_fraction") < limits.min_face_fraction,
        "blurred": pl.col("sharpness") < limits.min_sharpness,
        "dark": pl.col("brightness") < limits.min_brightness,
        "bright": pl.col("brightness") > limits.max_brightness,
        "low_contrast": pl.col("contrast") < limits.min_contrast,
        "extreme_pose": _beyond("yaw", limits.max_yaw) | _beyond("roll", limits.max_roll),
    } | {f"{_short(name)}_unknown": _abstained(name) for name in ATTRIBUTE_NAMES}
    reasons = pl.concat_list(
        pl.when(conditions[reason]).then(pl.lit(reason)).otherwise(pl.lit(None, dtype=pl.String)) for reason in REASONS
    ).list.drop_nulls()
    return frame.select("image_id", "filename", (reasons.list.len() > 0).alias("flagged"), reasons.alias("reasons"))


def attributes_clean(attributes: pl.DataFrame, flags: pl.DataFrame) -> pl.DataFrame:
    """The rows of `attributes` that `flags` lists as not flagged, with CLEAN_SCHEMA; a row without flags is not clean."""
    unflagged = flags.filter(~pl.col("flagged")).select("image_id")
    return conform(attributes, CLEAN_SCHEMA).join(unflagged, on="image_id", how="semi", maintain_order="left")


def _beyond(measure: str, limit: float) -> pl.Expr:
    return (pl.col(measure).abs() > limit).fill_null(False)


def _abstained(attribute: str) -> pl.Expr:
    return (pl.col(attribute) == UNKNOWN) & (pl.col(SOURCE_COLUMN[attribute]) != "none")


def _short(attribute: str) -> str:
    return attribute.removesuffix("_bin")
