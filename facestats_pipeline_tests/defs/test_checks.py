"""The asset checks: right tables pass, a doctored one fails and names its shard, for one shard and for a range."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import polars as pl
import pytest

from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.plan import RANGE_END, RANGE_START
from facestats_pipeline_tests.io.small_store import discover, inventory, recipe

SHARDS = ["shard-00000", "shard-00001", "shard-00002"]
CHECKS = {
    "one_row_per_live_image": "master",
    "every_file_accounted_for": "manifest",
    "clean_is_what_is_not_flagged": "attributes_clean",
    "image_id_is_unique": "master",
}
PER_SHARD = [name for name in CHECKS if name != "image_id_is_unique"]


def right_tables(folder: DataFolder) -> None:
    """Three shards of three files; in each the last is a duplicate and the second is flagged."""
    discover(folder.freshness, 3, 3, 3)
    for shard in SHARDS:
        rows = inventory(3, 3, 3).filter(pl.col("shard") == shard).select("image_id", "filename")
        live = rows.head(2)
        tables = {
            "manifest": rows.with_columns(status=pl.Series(["ok", "ok", "duplicate"])),
            "master": live,
            "attributes_flags": live.with_columns(flagged=pl.Series([False, True])),
            "attributes_clean": live.head(1),
        }
        for name, table in tables.items():
            folder.store.write_table(name, shard, table, recipe())


def doctor(folder: DataFolder, table: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change the table of the middle shard."""
    folder.store.write_table(table, SHARDS[1], change(folder.store.read_table(table, SHARDS[1])), recipe())


class Checks:
    """Runs one check by itself, as Dagster's page does."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        jobs = [
            dg.define_asset_job(name, selection=dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(asset), name)))
            for name, asset in CHECKS.items()
        ]
        self.definitions = dg.Definitions.merge(definitions, dg.Definitions(jobs=jobs))
        self.instance = instance
        instance.add_dynamic_partitions("shards", SHARDS)

    def run(self, name: str, first: str | None = None, last: str | None = None) -> Any:
        """The evaluation."""
        result = self.definitions.resolve_job_def(name).execute_in_process(
            instance=self.instance,
            tags={RANGE_START: first, RANGE_END: last or first} if first else {},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
        (evaluation,) = result.get_asset_check_evaluations()
        return evaluation


@pytest.fixture
def checks(own: dg.Definitions, folder: DataFolder, instance: dg.DagsterInstance) -> Checks:
    right_tables(folder)
    return Checks(own, instance)


def test_right_tables_pass(checks: Checks) -> None:
    for name in PER_SHARD:
        assert checks.run(name, SHARDS[0]).passed, name
        over_all = checks.run(name, SHARDS[0], SHARDS[2])
        assert over_all.passed, name
        assert over_all.metadata["shards_checked"].value == 3
    assert checks.run("image_id_is_unique").passed


@pytest.mark.parametrize(
    ("check", "table", "change"),
    [
        ("one_row_per_live_image", "master", lambda rows: pl.concat([rows, rows.head(1)])),
        ("one_row_per_live_image", "master", lambda rows: rows.head(1)),
        ("one_row_per_live_image", "master", lambda rows: rows.with_columns(image_id=pl.col("image_id") + "x")),
        ("one_row_per_live_image", "manifest", lambda rows: rows.with_columns(status=pl.lit("removed"))),
        ("every_file_accounted_for", "manifest", lambda rows: rows.head(2)),
        ("every_file_accounted_for", "manifest", lambda rows: rows.with_columns(status=pl.lit(None, pl.String))),
        ("clean_is_what_is_not_flagged", "attributes_clean", lambda rows: rows.clear()),
        ("clean_is_what_is_not_flagged", "attributes_flags", lambda rows: rows.with_columns(flagged=True)),
    ],
)
def test_a_doctored_shard_fails_and_is_named(
    checks: Checks, folder: DataFolder, check: str, table: str, change: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    doctor(folder, table, change)
    over_all = checks.run(check, SHARDS[0], SHARDS[2])
    assert not over_all.passed
    assert over_all.metadata["shards_failed"].value == [SHARDS[1]]
    assert over_all.description
    assert not checks.run(check, SHARDS[1]).passed
    assert checks.run(check, SHARDS[2]).passed


def test_an_image_in_two_shards_fails(checks: Checks, folder: DataFolder) -> None:
    doctor(folder, "master", lambda rows: pl.concat([rows, folder.store.read_table("master", SHARDS[0]).head(1)]))
    found = checks.run("image_id_is_unique")
    assert not found.passed
    assert (found.metadata["rows"].value, found.metadata["images"].value) == (7, 6)


def test_what_stops_a_run_is_blocking(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    blocking = {key.name for key in graph.asset_check_keys if graph.get(key).blocking}
    assert blocking == {"one_row_per_live_image", "every_file_accounted_for", "image_id_is_unique"}
