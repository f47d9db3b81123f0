"""The tables of flags: `attributes_flags` lists reasons to distrust a row, `attributes_clean` has the rows without any."""

from dataclasses import dataclass
from functools import cache

import polars as pl

from facestats_pipeline.core.attributes.attribute import UNKNOWN, Attribute
from facestats_pipeline.core.attributes.attribute_table import attribute_table
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.joins import conform, join_taken
from facestats_pipeline.core.preproc.preproc_table import PREPROC
from facestats_pipeline.core.preproc.quality_table import IMAGE_QUALITY
from facestats_pipeline.core.tables import Column, Table

_FOUND = PREPROC.taken("status", "face_count", "face_score")
_MEASURED = IMAGE_QUALITY.taken("sharpness", "brightness", "contrast", "face_fraction", "yaw", "roll")


@dataclass(frozen=True)
class FlagThresholds:
    """Thresholds for flags. A missing measure (no detector, no face) raises no flag.

    min_face_score: detector score, 0–1 · max_faces: faces in the photo · min_face_fraction: face box area / photo area ·
    min_sharpness: variance of the Laplacian of the luma 0–255 of the preprocessed photo · min_brightness, max_brightness: mean luma,
    0–1 · min_contrast: standard deviation of the luma, 0–0.5 · max_yaw, max_roll: degrees off frontal and upright.
    """

    # Chosen by viewing FairFace photos (224 px scaled up to 512) sorted by each measure: beyond the threshold, the face is hard to make
    # out. Of 1,000 of these photos 7.4% are flagged, 5.5% for profiles beyond 60°; of two sets of 200 and 102 portraits, none.
    min_face_score: float = 0.75
    max_faces: int = 1
    min_face_fraction: float = 0.02
    min_sharpness: float = 1.5
    min_brightness: float = 0.10
    max_brightness: float = 0.85
    min_contrast: float = 0.05
    max_yaw: float = 60.0
    max_roll: float = 35.0


_OF_PHOTOS = {
    "not_preprocessed": "there is no preprocessed photo: it could not be decoded or has not been processed",
    "no_face": "the detector found no face",
    "several_faces": "more than max_faces faces; the largest is used",
    "low_face_score": "the detector's score is below min_face_score",
    "small_face": "the face's share of the photo is below min_face_fraction",
    "blurred": "sharpness is below min_sharpness",
    "dark": "brightness is below min_brightness",
    "bright": "brightness is above max_brightness",
    "low_contrast": "contrast is below min_contrast",
    "extreme_pose": "the head is turned by more than max_yaw or tilted by more than max_roll",
}


def reasons_of(catalogue: Catalogue = BUILT_IN) -> dict[str, str]:
    """Reason → meaning, for all reasons for a flag, in the order in which a row lists them."""
    return _OF_PHOTOS | {_abstention(one): f"the {one.stem} model abstained" for one in catalogue}


@cache
def flag_table(catalogue: Catalogue = BUILT_IN) -> Table:
    """The specification of attributes_flags."""
    attributes = attribute_table(catalogue)
    sources = PREPROC.sources(*(column.name for column in _FOUND))
    sources += IMAGE_QUALITY.sources(*(column.name for column in _MEASURED))
    sources += attributes.sources(*(name for one in catalogue for name in (one.name, one.source_column)))
    order = ", ".join(reasons_of(catalogue))
    return Table(
        "attributes_flags",
        "metadata/attributes_flags.parquet",
        (
            *attributes.keys,
            Column("flagged", pl.Boolean(), "whether there is any reason to distrust the row", sources),
            Column(
                "reasons", pl.List(pl.String()), f"the reasons, in this order: {order}; empty when not flagged", sources
            ),
        ),
    )


@cache
def clean_table(catalogue: Catalogue = BUILT_IN) -> Table:
    """The specification of attributes_clean."""
    attributes = attribute_table(catalogue)
    return Table(
        "attributes_clean",
        "metadata/attributes_clean.parquet",
        (*attributes.keys, *attributes.content),
        rows_by=flag_table(catalogue).sources("flagged"),
    )


TABLES = (flag_table, clean_table)


def attributes_flags(
    attributes: pl.DataFrame,
    quality: pl.DataFrame | None,
    preproc: pl.DataFrame | None,
    *,
    thresholds: FlagThresholds | None = None,
    catalogue: Catalogue = BUILT_IN,
) -> pl.DataFrame:
    """The flags of each row of `attributes`: `flag_table`, with `reasons` from `reasons_of`; `flagged` if there is any.

    An abstention is a reason only if the attribute has a model: without one (source `none`), "unknown" says nothing about the photo.
    Raises MergeError when `quality` or `preproc` lists an image twice.
    """
    limits = thresholds or FlagThresholds()
    frame = join_taken(conform(attributes, attribute_table(catalogue).schema), preproc, _FOUND)
    frame = join_taken(frame, quality, _MEASURED)
    no_face = (pl.col("status") == "no_face") | (pl.col("face_count") == 0)
    conditions = {
        "not_preprocessed": pl.col("status").is_null() | ~pl.col("status").is_in(["ok", "no_face"]),
        "no_face": no_face,
        "several_faces": pl.col("face_count") > limits.max_faces,
        # Without a face, the score belongs to the best candidate, which was not used.
        "low_face_score": (pl.col("face_score") < limits.min_face_score) & ~no_face.fill_null(False),
        "small_face": pl.col("face_fraction") < limits.min_face_fraction,
        "blurred": pl.col("sharpness") < limits.min_sharpness,
        "dark": pl.col("brightness") < limits.min_brightness,
        "bright": pl.col("brightness") > limits.max_brightness,
        "low_contrast": pl.col("contrast") < limits.min_contrast,
        "extreme_pose": _beyond("yaw", limits.max_yaw) | _beyond("roll", limits.max_roll),
    } | {_abstention(one): _abstained(one) for one in catalogue}
    reasons = pl.concat_list(
        pl.when(conditions[reason]).then(pl.lit(reason)).otherwise(pl.lit(None, dtype=pl.String))
        for reason in reasons_of(catalogue)
    ).list.drop_nulls()
    return frame.select("image_id", "filename", (reasons.list.len() > 0).alias("flagged"), reasons.alias("reasons"))


def attributes_clean(attributes: pl.DataFrame, flags: pl.DataFrame, *, catalogue: Catalogue = BUILT_IN) -> pl.DataFrame:
    """The rows of `attributes` that `flags` lists as not flagged: `clean_table`. A row missing in `flags` does not count as clean."""
    unflagged = flags.filter(~pl.col("flagged")).select("image_id")
    frame = conform(attributes, clean_table(catalogue).schema)
    return frame.join(unflagged, on="image_id", how="semi", maintain_order="left")


def _abstention(one: Attribute) -> str:
    return f"{one.stem}_unknown"


def _beyond(measure: str, limit: float) -> pl.Expr:
    return (pl.col(measure).abs() > limit).fill_null(False)


def _abstained(one: Attribute) -> pl.Expr:
    return (pl.col(one.name) == UNKNOWN) & (pl.col(one.source_column) != "none")
