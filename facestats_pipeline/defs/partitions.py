"""Shards as Dagster partitions, and what an asset declares of itself."""

from functools import partial
from typing import Any

import dagster as dg

from facestats_pipeline.defs.pools import FOLDER_POOL

SHARDS = dg.DynamicPartitionsDefinition(name="shards")

SETTINGS_KEY = "facestats/settings"
EXTRA = "attributes.extra"
"""Setting that an asset depends on whose columns or inputs follow from the attributes; `attributes.extra.NAME` is one of them.

Where there is none, digests are as without it: the extra attributes came later than the collections."""
REFIT_KEY = "facestats/refits"
ON_DEMAND = {"facestats/on_demand": "true"}
"""Tag of an asset that nobody's update makes: it is materialized in the UI or by a command of its own."""


def depends_on(*sections: str, refits: bool = False) -> dict[str, Any]:
    """Metadata of an asset: the settings whose change makes it stale (see `policy.py`), and whether it is fitted on the collection."""
    return {SETTINGS_KEY: list(sections), **({REFIT_KEY: True} if refits else {})}


shard_table = partial(
    dg.asset,
    partitions_def=SHARDS,
    io_manager_key="shard_tables",
    kinds={"polars", "parquet"},
    code_version="1",
)
"""An asset that is a table of one Parquet file per shard. `definitions.py` says how many shards a run has.

Its columns and its path are specified in a module `core/<stage>/<something>_table.py`; nothing else has to know of it.
"""

folder_asset = partial(dg.asset, pool=FOLDER_POOL)
"""An asset that is made from all shards at once."""
