"""Blocking checks: they stop a run before anything is made from a wrong table."""

from collections.abc import Iterable
from typing import Any

import dagster as dg
import polars as pl

from facestats_pipeline.defs.ingest.assets import manifest
from facestats_pipeline.defs.metadata.assets import attributes_clean
from facestats_pipeline.defs.partitions import SHARDS
from facestats_pipeline.io.data_folder import DataFolder


def _result(wrong: Iterable[str], shards: int, meaning: str) -> dg.AssetCheckResult:
    failed = sorted(wrong)
    facts: dict[str, Any] = {"shards_checked": shards, "shards_failed": failed[:20]}
    return dg.AssetCheckResult(passed=not failed, metadata=facts, description=meaning if failed else None)


@dg.asset_check(asset="master", blocking=True, partitions_def=SHARDS)
def one_row_per_live_image(
    context: dg.AssetCheckExecutionContext, folder: dg.ResourceParam[DataFolder]
) -> dg.AssetCheckResult:
    """In each shard, master has exactly one row per live image of the manifest."""
    from facestats_pipeline.core.ingest.manifest import live

    shards = context.partition_keys
    wrong = []
    for shard in shards:
        ids = folder.store.read_table("master", shard)["image_id"]
        expected = live(folder.store.read_table("manifest", shard))["image_id"]
        if ids.n_unique() != ids.len() or set(ids) != set(expected):
            wrong.append(shard)
    return _result(wrong, len(shards), "in these shards, the rows of master are not exactly the live images")


@dg.asset_check(asset=manifest, blocking=True, partitions_def=SHARDS)
def every_file_accounted_for(
    context: dg.AssetCheckExecutionContext, folder: dg.ResourceParam[DataFolder]
) -> dg.AssetCheckResult:
    """The manifest has as many rows as the inventory has files, each with a status."""
    inventory = folder.store.scan("raw_photos").filter(pl.col("shard").is_in(context.partition_keys))
    files = dict(inventory.group_by("shard").len().collect().iter_rows())
    wrong = []
    for shard in context.partition_keys:
        rows = folder.store.read_table("manifest", shard)
        if rows.height != files.get(shard, 0) or rows["status"].null_count():
            wrong.append(shard)
    return _result(wrong, len(context.partition_keys), "these shards have files without a row or a status")


@dg.asset_check(asset="master", blocking=True)
def image_id_is_unique(folder: dg.ResourceParam[DataFolder]) -> dg.AssetCheckResult:
    """No image is in more than one shard of master."""
    ids = folder.store.scan("master").select("image_id")
    counts = _counted(ids, pl.col("image_id").hash())  # 8 bytes a row: other hashes are other ids
    if counts["rows"] != counts["images"]:
        counts = _counted(ids, pl.col("image_id"))
    return dg.AssetCheckResult(passed=counts["rows"] == counts["images"], metadata=counts)


def _counted(ids: pl.LazyFrame, value: pl.Expr) -> dict[str, int]:
    return ids.select(rows=pl.len(), images=value.n_unique()).collect(engine="streaming").row(0, named=True)


@dg.asset_check(asset=attributes_clean, partitions_def=SHARDS)
def clean_is_what_is_not_flagged(
    context: dg.AssetCheckExecutionContext, folder: dg.ResourceParam[DataFolder]
) -> dg.AssetCheckResult:
    """attributes_clean has exactly the rows of attributes without flags."""
    wrong = []
    for shard in context.partition_keys:
        flags = folder.store.read_table("attributes_flags", shard)
        if set(folder.store.read_table("attributes_clean", shard)["image_id"]) != set(
            flags.filter(~pl.col("flagged"))["image_id"]
        ):
            wrong.append(shard)
    return _result(wrong, len(context.partition_keys), "attributes_clean does not match attributes_flags")
