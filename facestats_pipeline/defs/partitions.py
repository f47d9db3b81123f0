"""Shards as Dagster partitions, and the decorators and metadata with which assets declare themselves."""

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
"""Tag of an on-demand asset: no update makes it, only its own command or the UI."""


def depends_on(*sections: str, refits: bool = False) -> dict[str, Any]:
    """Metadata keys: settings that make the asset stale when they change (see `policy.py`); whether it is fitted on the collection."""
    return {SETTINGS_KEY: list(sections), **({REFIT_KEY: True} if refits else {})}


shard_table = partial(
    dg.asset,
    partitions_def=SHARDS,
    io_manager_key="shard_tables",
    kinds={"polars", "parquet"},
    code_version="1",
)
"""Decorator of an asset that is a table with one Parquet file per shard. `definitions.py` sets the number of shards per run.

The module `core/<stage>/<something>_table.py` specifies its columns and path; no other registration is needed.
"""

folder_asset = partial(dg.asset, pool=FOLDER_POOL)
"""Decorator of an asset without shards, which is made from all shards at once."""
