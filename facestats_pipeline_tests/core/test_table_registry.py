"""Every table of the pipeline as it is specified, and what derives from that."""

import polars as pl
import pytest

from facestats_pipeline.core.attributes.attribute import Attribute
from facestats_pipeline.core.attributes.attribute_table import attribute_table
from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.core.joins import conform
from facestats_pipeline.core.metadata.final_table import attractiveness_with_attributes, attributes_final
from facestats_pipeline.core.metadata.flag_table import attributes_clean, attributes_flags
from facestats_pipeline.core.metadata.manual_table import attributes_with_manual
from facestats_pipeline.core.metadata.master_table import master_table, run_merge
from facestats_pipeline.core.metadata.meta_table import attributes_with_meta
from facestats_pipeline.core.metadata.prediction_table import attributes_with_predictions
from facestats_pipeline.core.preproc.geometry_table import FACE_GEOMETRY
from facestats_pipeline.core.table_registry import fixed_columns, tables_of
from facestats_pipeline.core.tables import Table
from facestats_pipeline_tests.core import small_shards as shard
from facestats_pipeline_tests.core.metadata.merge_inputs import inputs

GLASSES = BUILT_IN.with_extra(Attribute(name="glasses", classes=("no", "yes")))


@pytest.mark.parametrize("table", tables_of().values(), ids=lambda table: table.name)
def test_descriptions_are_one_line(table: Table) -> None:
    for column, text in table.descriptions.items():
        assert text and "\n" not in text and not text.endswith("."), column


def test_every_table_comes_after_those_that_it_is_made_from() -> None:
    seen: set[str] = set()
    for name, table in tables_of().items():
        assert set(table.reads) <= seen, name
        seen.add(name)


def test_what_a_table_takes_over_keeps_its_dtype() -> None:
    tables = tables_of(GLASSES)
    for table in tables.values():
        for column in table.columns:
            if len(column.sources) == 1 and column.description.startswith(
                tables[column.sources[0][0]].descriptions[column.sources[0][1]]
            ):
                assert column.dtype == tables[column.sources[0][0]].schema[column.sources[0][1]], column.name


def test_an_attribute_of_the_catalogue_has_its_columns_in_every_table_and_moves_no_other() -> None:
    before, after = tables_of(), tables_of(GLASSES)
    assert list(before) == list(after)
    added = {name: [each for each in after[name].schema if each not in before[name].schema] for name in before}
    own = ["glasses", "glasses_top", "glasses_p", "glasses_source"]
    predicted = ["predicted_glasses", "predicted_glasses_p", "predicted_glasses_kind"]
    final = ["glasses_final", "glasses_final_source"]
    of_attributes = {f"attributes{ending}" for ending in ("", "_clean", "_with_meta", "_with_clusters")}
    assert {name: columns for name, columns in added.items() if columns} == {
        **dict.fromkeys(of_attributes, own),
        "attributes_with_manual": [*own, "manual_glasses"],
        "attributes_with_predictions": [*own, *predicted],
        "attributes_final": final,
        "attractiveness_with_attributes": final,
        "master": [*own, "manual_glasses", *predicted, *final],
    }
    for name, table in before.items():
        assert [each for each in after[name].schema if each in table.schema] == list(table.schema)
    assert "glasses_unknown" in after["attributes_flags"].descriptions["reasons"]


def test_every_table_is_made_with_an_attribute_more() -> None:
    attributes = conform(shard.attributes(2), attribute_table(GLASSES).schema).with_columns(
        glasses=pl.Series(["yes", "unknown"]), glasses_source=pl.lit("probe"), glasses_p=pl.lit(0.9, pl.Float32)
    )
    quality, preproc, scores = shard.quality(2), shard.preproc(2), shard.scores(2)
    flags = attributes_flags(attributes, quality, preproc, catalogue=GLASSES)
    manual = attributes_with_manual(attributes, None, catalogue=GLASSES)
    predictions = attributes_with_predictions(attributes, None, catalogue=GLASSES)
    final = attributes_final(manual, predictions, scores, catalogue=GLASSES)
    made = {
        "attributes_flags": flags,
        "attributes_clean": attributes_clean(attributes, flags, catalogue=GLASSES),
        "attributes_with_meta": attributes_with_meta(attributes, preproc, quality, None, catalogue=GLASSES),
        "attributes_with_manual": manual,
        "attributes_with_predictions": predictions,
        "attributes_final": final,
        "attractiveness_with_attributes": attractiveness_with_attributes(scores, final, catalogue=GLASSES),
        "master": run_merge(
            shard.manifest(2),
            attributes=attributes,
            flags=flags,
            manual=manual,
            predictions=predictions,
            final=final,
            catalogue=GLASSES,
        ),
    }
    assert {name: dict(frame.schema) for name, frame in made.items()} == {
        name: tables_of(GLASSES)[name].schema for name in made
    }
    master = made["master"].select("glasses_final", "glasses_final_source", "reasons").rows()
    assert master == [("yes", "model", []), ("unknown", "none", ["glasses_unknown"])]


def test_an_attribute_may_not_be_called_as_a_column_that_is_there_anyway() -> None:
    assert {"image_id", "shard", "status", "flagged", "cluster", "attractiveness"} <= fixed_columns()
    assert fixed_columns().isdisjoint(name for one in GLASSES for name in one.columns)


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
        assert changed == {column for column, sources in master_table().lineage.items() if sources[0][0] == table}


def _filled(frame: pl.DataFrame) -> pl.DataFrame:
    """No nulls: geometry gets all its measures, and hand labels a value."""
    if "pitch" in frame.columns:
        scalars = [name for name, dtype in FACE_GEOMETRY.schema.items() if dtype == pl.Float32()]
        return frame.select("image_id", "filename").with_columns(
            pl.lit(1.0, pl.Float32).alias(name) for name in scalars
        )
    time = pl.lit(shard.ADDED).cast(pl.Datetime("us", "UTC"))
    return frame.with_columns(pl.col(pl.String).fill_null("x"), pl.col(pl.Datetime("us", "UTC")).fill_null(time))
