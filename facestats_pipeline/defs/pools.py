"""Pools: how many runs at a time may do what does not go well beside itself. Limits are the instance's (`dagster.yaml`)."""

import dagster as dg

ENCODER_POOL = "encoder"
"""What computes with the encoder: as many runs at a time as there are GPUs for it."""
FOLDER_POOL = "folder"
"""What reads and writes across shards. Such a run has the folder to itself: a second would hold a machine only to wait for it."""


def make_known(instance: dg.DagsterInstance) -> None:
    """Have the instance's default limit hold for our pools.

    Dagster's queue holds runs back in pools that it knows, and gets to know a pool when it has let runs of it go: on a new instance the
    first would all start at once.
    """
    if instance.global_op_concurrency_default_limit is not None:
        for pool in {ENCODER_POOL, FOLDER_POOL} - instance.event_log_storage.get_concurrency_keys():
            instance.event_log_storage.initialize_concurrency_limit_to_default(pool)
