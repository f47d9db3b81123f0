import importlib
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from facestats_pipeline.core.metadata import table_inputs
from facestats_pipeline.core.metadata.column_lineage import column_lineage
from facestats_pipeline.core.metadata.columns import COLUMN_DOCS
from facestats_pipeline.core.metadata.merge import FACTS, run_merge
from facestats_pipeline_tests.core import small_shards as shard
from facestats_pipeline_tests.core.metadata.test_merge import inputs

# Table → the module and the constant (or function of the embedding's width) that hold its schema.
SCHEMAS = {
    "manifest": ("ingest.manifest", "MANIFEST_SCHEMA"),
    "preproc": ("preproc.preprocessing", "PREPROC_SCHEMA"),
    "image_quality": ("preproc.quality", "QUALITY_SCHEMA"),
    "face_geometry": ("preproc.geometry", "GEOMETRY_SCHEMA"),
    "embeddings_clip": ("embeddings.embedding_table", "embedding_schema"),
    "attributes": ("attributes.attributes", "ATTRIBUTES_SCHEMA"),
    "attributes_flags": ("metadata.flags", "FLAGS_SCHEMA"),
    "attributes_clean": ("metadata.flags", "CLEAN_SCHEMA"),
    "attributes_with_meta": ("metadata.tables", "META_SCHEMA"),
    "attributes_with_clusters": ("metadata.tables", "CLUSTERS_SCHEMA"),
    "attributes_with_manual": ("metadata.manual_labels", "MANUAL_SCHEMA"),
    "attributes_with_predictions": ("metadata.tables", "PREDICTIONS_SCHEMA"),
    "attributes_final": ("metadata.tables", "FINAL_SCHEMA"),
    "attractiveness_scores": ("attractiveness.scoring", "SCORES_SCHEMA"),
    "attractiveness_with_attributes": ("metadata.tables", "SCORED_SCHEMA"),
    "master": ("metadata.merge", "MASTER_SCHEMA"),
    "composites": ("composites.composites", "COMPOSITES_SCHEMA"),
    "near_duplicates": ("embeddings.near_duplicates", "NEAR_DUPLICATES_SCHEMA"),
    "fairface_label_structure": ("metadata.tables", "LABEL_STRUCTURE_SCHEMA"),
    "bias_audit": ("reports.bias", "BIAS_SCHEMA"),
}
LINEAGE = (
    "attributes_flags",
    "attributes_clean",
    "attributes_with_meta",
    "attributes_with_clusters",
    "attributes_with_manual",
    "attributes_with_predictions",
    "attributes_final",
    "attractiveness_with_attributes",
    "master",
)


def schema_of(table: str) -> dict[str, Any]:
    module, constant = SCHEMAS[table]
    schema = getattr(importlib.import_module(f"facestats_pipeline.core.{module}"), constant)
    return dict(schema(512) if isinstance(schema, Callable) else schema)  # type: ignore[arg-type]


def test_every_table_of_the_design_is_described() -> None:
    assert set(COLUMN_DOCS) == set(SCHEMAS)


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_column_is_described_and_nothing_else(table: str) -> None:
    assert sorted(COLUMN_DOCS[table]) == sorted(schema_of(table))


@pytest.mark.parametrize("table", SCHEMAS)
def test_descriptions_are_one_line(table: str) -> None:
    for column, text in COLUMN_DOCS[table].items():
        assert text and "\n" not in text and not text.endswith("."), column


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("manifest", {**table_inputs.IDS, **FACTS}),
        ("preproc", {**table_inputs.IDS, **table_inputs.DETECTION}),
        ("image_quality", {**table_inputs.IDS, **table_inputs.QUALITY}),
        ("attributes", table_inputs.ATTRIBUTES),
        ("attractiveness_scores", {**table_inputs.IDS, **table_inputs.SCORES}),
    ],
)
def test_what_the_tables_expect_is_what_their_owners_give(table: str, expected: dict[str, pl.DataType]) -> None:
    given = schema_of(table)
    assert {name: given.get(name) for name in expected} == expected


@pytest.mark.parametrize("table", ["image_quality", "attributes", "attractiveness_scores"])
def test_no_column_of_an_owner_is_forgotten(table: str) -> None:
    taken = {
        "image_quality": table_inputs.QUALITY,
        "attributes": table_inputs.ATTRIBUTES,
        "attractiveness_scores": table_inputs.SCORES,
    }
    assert set(schema_of(table)) - set(table_inputs.IDS) == set(taken[table]) - set(table_inputs.IDS)


def test_every_scalar_measure_of_geometry_is_taken_over() -> None:
    given = {table_inputs.MESH_ANGLES.get(name, name): dtype for name, dtype in schema_of("face_geometry").items()}
    left_there = {*table_inputs.IDS, "landmarks", "status", "reason"}
    assert {name: dtype for name, dtype in given.items() if name not in left_there} == table_inputs.GEOMETRY


@pytest.mark.parametrize("table", LINEAGE)
def test_lineage_names_columns_that_exist(table: str) -> None:
    lineage = column_lineage(table)
    assert list(lineage) == list(schema_of(table))
    for column, sources in lineage.items():
        for source, name in sources:
            assert source != table
            assert name in COLUMN_DOCS[source], f"{table}.{column} ← {source}.{name}"


def test_lineage_of_master_is_true() -> None:
    """Emptying one input empties the columns that lineage says come from it, and no others."""
    names = {
        "preproc": "preproc",
        "quality": "image_quality",
        "geometry": "face_geometry",
        "embeddings": "embeddings_clip",
        "attributes": "attributes",
        "flags": "attributes_flags",
        "clusters": "attributes_with_clusters",
        "manual": "attributes_with_manual",
        "predictions": "attributes_with_predictions",
        "final": "attributes_final",
        "scores": "attractiveness_scores",
    }
    given = {key: _filled(frame) for key, frame in inputs(1).items()}
    full = run_merge(shard.manifest(1), **given).row(0, named=True)
    for key, table in names.items():
        without = run_merge(shard.manifest(1), **{k: v for k, v in given.items() if k != key}).row(0, named=True)
        changed = {column for column in full if full[column] != without[column]}
        assert changed == {column for column, sources in column_lineage("master").items() if sources[0][0] == table}


def _filled(frame: pl.DataFrame) -> pl.DataFrame:
    """No nulls: geometry gets all its measures, and hand labels a value."""
    if "pitch" in frame.columns:
        angles = {new: old for old, new in table_inputs.MESH_ANGLES.items()}
        return frame.select("image_id", "filename").with_columns(
            pl.lit(1.0, pl.Float32).alias(angles.get(name, name)) for name in table_inputs.GEOMETRY
        )
    time = pl.lit(shard.ADDED).cast(pl.Datetime("us", "UTC"))
    return frame.with_columns(pl.col(pl.String).fill_null("x"), pl.col(pl.Datetime("us", "UTC")).fill_null(time))
