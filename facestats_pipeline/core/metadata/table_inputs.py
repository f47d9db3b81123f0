"""What the metadata tables expect of the tables before them, and how a frame is brought to a fixed schema.

The schemas of earlier stages are written out a second time, because importing the modules that own them would load image and model
libraries just to learn a column name; a test compares both.
"""

from collections.abc import Iterable, Mapping

import polars as pl

Schema = dict[str, pl.DataType]
"""Column name → dtype, in column order."""

IDS: Schema = {"image_id": pl.String(), "filename": pl.String()}

DETECTION: Schema = {
    "preproc_id": pl.String(),
    "detector": pl.String(),
    "face_count": pl.Int32(),
    "face_score": pl.Float32(),
}
"""Scalar columns of preproc.parquet; its boxes, landmarks and transforms stay there."""

PREPROC_STATUS: Schema = {"preproc_status": pl.String(), "preproc_reason": pl.String()}
"""`status` and `reason` of preproc.parquet, renamed: manifest and flags have columns of the same names."""

QUALITY: Schema = {
    "sharpness": pl.Float32(),
    "brightness": pl.Float32(),
    "contrast": pl.Float32(),
    "face_fraction": pl.Float32(),
    "yaw": pl.Float32(),
    "roll": pl.Float32(),
    "phash": pl.String(),
}

_MEASURES = (
    "interocular",
    "face_width",
    "face_height",
    "face_ratio",
    "eye_openness",
    "eye_spacing",
    "nose_width",
    "nose_length",
    "mouth_width",
    "mouth_height",
    "jaw_width",
    "chin_height",
    "asymmetry",
    "mesh_yaw",
    "mesh_pitch",
    "mesh_roll",
)
GEOMETRY: Schema = {name: pl.Float32() for name in _MEASURES}
"""Scalar measures of face_geometry.parquet; its 478 landmarks stay there."""

MESH_ANGLES = {"yaw": "mesh_yaw", "pitch": "mesh_pitch", "roll": "mesh_roll"}

ATTRIBUTES: Schema = {
    **IDS,
    "gender": pl.String(),
    "ethnicity": pl.String(),
    "ethnicity4": pl.String(),
    "age_bin": pl.String(),
    "gender_top": pl.String(),
    "ethnicity_top": pl.String(),
    "age_bin_top": pl.String(),
    "gender_p": pl.Float32(),
    "ethnicity_p": pl.Float32(),
    "age_p": pl.Float32(),
    "age": pl.Float32(),
    "age_lo": pl.Float32(),
    "age_hi": pl.Float32(),
    "gender_source": pl.String(),
    "ethnicity_source": pl.String(),
    "age_source": pl.String(),
}

CLUSTERS: Schema = {"pca_x": pl.Float32(), "pca_y": pl.Float32(), "cluster": pl.Int32()}
"""What `core.metadata.clusters` adds; here, since its module loads numpy."""

SCORES: Schema = {
    "attractiveness_raw": pl.Float32(),
    "attractiveness_lo": pl.Float32(),
    "attractiveness_hi": pl.Float32(),
    "attractiveness_pct": pl.Float64(),
    "attractiveness": pl.Int8(),
}

P_COLUMN = {"gender": "gender_p", "ethnicity": "ethnicity_p", "age_bin": "age_p"}
"""Attribute → the column of attributes.parquet with the calibrated probability of its most probable class."""

SOURCE_COLUMN = {"gender": "gender_source", "ethnicity": "ethnicity_source", "age_bin": "age_source"}
"""Attribute → the column of attributes.parquet that says which model decided."""


class MergeError(ValueError):
    """Tables that do not fit together: a table lists an image twice, or a join changed the number of rows."""


def conform(frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """`frame` with exactly the columns, order and dtypes of `schema`: missing columns are null, others are dropped.

    Raises polars' InvalidOperationError when a value does not fit its dtype: a wrong value is not turned into null.
    """
    if frame.width == 0:
        return pl.DataFrame(schema=schema)
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items() if name not in frame.columns]
    return frame.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def left_join(left: pl.DataFrame, right: pl.DataFrame | None, columns: Schema, table: str) -> pl.DataFrame:
    """`left` with `columns` of `right` by image_id: same rows in the same order; null where `right` lacks a row, column or all.

    Raises MergeError, naming `table` and how many, when `right` lists an image more than once.
    """
    if right is None:
        return left.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in columns.items())
    wanted = conform(right, {"image_id": pl.String(), **columns})
    require_unique(wanted, table)
    # The usual case: the same rows in the same order need no hash table.
    if wanted["image_id"].equals(left["image_id"]):
        return left.hstack(wanted.drop("image_id"))
    return left.join(wanted, on="image_id", how="left", maintain_order="left")


def rows_about(table: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """The rows of `table` that are about an image of `images`: what a shard needs of a table over the whole collection."""
    return table.join(images.select("image_id"), on="image_id", how="semi", maintain_order="left")


def require_unique(frame: pl.DataFrame, table: str) -> None:
    """Raise MergeError when `frame` lists an image_id twice or a null one; the message counts and names no image."""
    repeated = frame.height - frame["image_id"].n_unique()
    missing = frame["image_id"].null_count()
    if repeated or missing:
        what = f"{repeated} rows that repeat an image_id" if repeated else f"{missing} rows without an image_id"
        raise MergeError(f"{table} has {what} among its {frame.height} rows: materialize it again")


def detection_of(preproc: pl.DataFrame | None) -> pl.DataFrame | None:
    """preproc.parquet with `status` and `reason` under the names they have in joined tables."""
    return None if preproc is None else preproc.rename({"status": "preproc_status", "reason": "preproc_reason"})


def geometry_of(geometry: pl.DataFrame | None) -> pl.DataFrame | None:
    """face_geometry.parquet with its head angles as `mesh_…`: quality has a coarser yaw and roll from five landmarks."""
    return None if geometry is None else geometry.rename(MESH_ANGLES, strict=False)


def joined(*schemas: Mapping[str, pl.DataType]) -> Schema:
    """The columns of several schemas in order; ValueError when two of them share one."""
    result: Schema = {}
    for schema in schemas:
        if shared := result.keys() & schema.keys():
            raise ValueError(f"columns in two tables at once: {', '.join(sorted(shared))}")
        result.update(schema)
    return result


def without(schema: Mapping[str, pl.DataType], names: Iterable[str]) -> Schema:
    """`schema` less the columns `names`."""
    dropped = set(names)
    return {name: dtype for name, dtype in schema.items() if name not in dropped}
