"""Small shards made by code: one row per image, each input table with the columns its owner gives it."""

from datetime import UTC, datetime
from typing import Any

import polars as pl

from facestats_pipeline.core.attractiveness.score_table import SCORES
from facestats_pipeline.core.attributes.attribute_table import OOF_SCHEMA, attribute_table
from facestats_pipeline.core.joins import conform
from facestats_pipeline.core.preproc.preproc_table import PREPROC
from facestats_pipeline.core.preproc.quality_table import IMAGE_QUALITY
from facestats_pipeline.core.tables import KEYS, schema_of

DETECTED = schema_of(PREPROC.taken("preproc_id", "detector", "face_count", "face_score"))
ADDED = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def image_id(number: int) -> str:
    """32 hexadecimal digits."""
    return f"{number:032x}"


def ids(n: int) -> pl.DataFrame:
    """image_id, filename of images 0 … n-1."""
    return pl.DataFrame(
        {"image_id": [image_id(i) for i in range(n)], "filename": [f"{i}.jpg" for i in range(n)]},
        schema=KEYS,
    )


def manifest(n: int, **columns: Any) -> pl.DataFrame:
    """n photos with status ok; `columns` replaces values."""
    facts = {
        "source": "made by the tests",
        "licence": "CC0-1.0",
        "consent": pl.Series([None] * n, dtype=pl.String),
        "bytes": pl.Series([1000] * n, dtype=pl.Int64),
        "width": pl.Series([640] * n, dtype=pl.Int32),
        "height": pl.Series([480] * n, dtype=pl.Int32),
        "format": "JPEG",
        "status": "ok",
        "reason": "",
        "added_at": pl.Series([ADDED] * n, dtype=pl.Datetime("us", "UTC")),
        "shard": "shard-00000",
    }
    return _with(ids(n), facts | columns)


def preproc(n: int, **columns: Any) -> pl.DataFrame:
    """One frontal face in each photo."""
    values = {"preproc_id": "p", "detector": "yunet-00000000", "face_count": 1, "face_score": 0.95}
    return _with(
        conform(_with(ids(n), values), {**KEYS, **DETECTED}),
        {"status": "ok", "reason": "", **_cast(columns, DETECTED)},
    )


def quality(n: int, **columns: Any) -> pl.DataFrame:
    """Sharp, evenly lit, frontal."""
    values = {
        "sharpness": 300.0,
        "brightness": 0.5,
        "contrast": 0.2,
        "face_fraction": 0.3,
        "yaw": 0.0,
        "roll": 0.0,
        "phash": "0" * 16,
    }
    return conform(_with(ids(n), values | columns), IMAGE_QUALITY.schema)


def attributes(n: int, **columns: Any) -> pl.DataFrame:
    """Every attribute decided by a probe."""
    values = {
        "gender": "Female",
        "ethnicity": "East Asian",
        "ethnicity4": "Asian",
        "age_bin": "30-39",
        "gender_top": "Female",
        "ethnicity_top": "East Asian",
        "age_bin_top": "30-39",
        "gender_p": 0.98,
        "ethnicity_p": 0.8,
        "age_p": 0.7,
        "age": 34.0,
        "age_lo": 28.0,
        "age_hi": 41.0,
        "gender_source": "probe",
        "ethnicity_source": "probe",
        "age_source": "probe",
    }
    return conform(_with(ids(n), values | columns), attribute_table().schema)


def scores(n: int, **columns: Any) -> pl.DataFrame:
    """A score in the middle."""
    values = {
        "attractiveness_raw": 3.0,
        "attractiveness_lo": 2.0,
        "attractiveness_hi": 4.0,
        "attractiveness_pct": 0.5,
        "attractiveness": 5,
    }
    return conform(_with(ids(n), values | columns), SCORES.schema)


def oof(*rows: tuple[int, str, str | None, float | None]) -> pl.DataFrame:
    """Out-of-fold predictions: number of the image, attribute, value, p."""
    return pl.DataFrame([(image_id(n), *rest) for n, *rest in rows], schema=OOF_SCHEMA, orient="row")


def _with(frame: pl.DataFrame, columns: dict[str, Any]) -> pl.DataFrame:
    """Columns from scalars (repeated) or sequences."""
    series = {
        name: pl.Series(name, values if isinstance(values, list | pl.Series) else [values] * frame.height)
        for name, values in columns.items()
    }
    return frame.with_columns(**series)


def _cast(columns: dict[str, Any], schema: dict[str, pl.DataType]) -> dict[str, Any]:
    return {
        name: pl.Series(values, dtype=schema[name]) if name in schema and isinstance(values, list) else values
        for name, values in columns.items()
    }
