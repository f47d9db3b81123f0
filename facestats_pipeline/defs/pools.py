"""Concurrency pools for runs that should not run in parallel without limit. The limits are set in the instance's `dagster.yaml`."""

import dagster as dg

ENCODER_POOL = "encoder"
"""Pool of assets that compute with the encoder: one run per available GPU."""
FOLDER_POOL = "folder"
"""Pool of assets across shards. Such a run locks the whole folder, so a second run would occupy a machine only to wait."""


def make_known(instance: dg.DagsterInstance) -> None:
    """Register our pools, so that the instance's default limit applies to them from the first run on.

    Dagster's queue only limits pools that it knows, and it learns of a pool when it starts a run with it. On a new instance, the first
    runs would otherwise all start at once.
    """
    if instance.global_op_concurrency_default_limit is not None:
        for pool in {ENCODER_POOL, FOLDER_POOL} - instance.event_log_storage.get_concurrency_keys():
            instance.event_log_storage.initialize_concurrency_limit_to_default(pool)
