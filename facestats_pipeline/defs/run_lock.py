"""The run lock: while a run executes, it holds the lock of its shards or of the whole folder (see `io/locks.py`)."""

from collections.abc import Iterator, Mapping

import dagster as dg

from facestats_pipeline.defs.dead_runs import PROCESS, this_process
from facestats_pipeline.defs.partitions import SHARDS
from facestats_pipeline.defs.pools import make_known
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.plan import RANGE_END, RANGE_START

RUN_LOCK = "run_lock"
PARTITION = "dagster/partition"


def run_lock(folder: DataFolder) -> dg.ResourceDefinition:
    """A resource that holds the locks of a run, from before its first asset until after its last."""

    @dg.resource(description="Waits until no other run works on the same shards")
    def lock(context: dg.InitResourceContext) -> Iterator[None]:
        run, instance = context.run, context.instance
        if run is None or instance is None:  # an asset called directly, in a test or a notebook
            yield
            return
        instance.add_run_tags(run.run_id, {PROCESS: this_process()})
        make_known(instance)
        names = {key.path[-1] for key in run.asset_selection or ()}
        if names and all(folder.freshness.graph[name].on_demand for name in names):
            yield  # no lock: training an encoder takes hours and reads nothing that an update writes
            return

        def say(holder: str) -> None:
            if context.log is not None:
                context.log.info(f"waiting for {holder}, which works on the same data")

        sharded = bool(names) and all(folder.freshness.graph[name].sharded for name in names)
        shards = shards_of(run.tags, instance) if sharded else None
        with folder.locks.hold(shards, what=f"Dagster run {run.run_id}", on_wait=say):
            folder.store.refresh()
            if shards is None:  # safe, because no other run writes here now
                folder.store.clear_temporary()
            yield
            folder.store.drop_pictures(shards or ())

    return lock


def shards_of(tags: Mapping[str, str], instance: dg.DagsterInstance) -> list[str] | None:
    """The shards of a run, from its tags; None if the tags name none."""
    if RANGE_START in tags:
        known = instance.get_dynamic_partitions(str(SHARDS.name))
        return sorted(shard for shard in known if tags[RANGE_START] <= shard <= tags[RANGE_END])
    return [tags[PARTITION]] if PARTITION in tags else None


def with_run_lock(managers: Mapping[str, dg.IOManager]) -> dict[str, dg.IOManagerDefinition]:
    """The same IO managers, each requiring the run lock. Every asset has an IO manager, so no run starts without the lock."""

    def waiting(manager: dg.IOManager) -> dg.IOManagerDefinition:
        @dg.io_manager(required_resource_keys={RUN_LOCK})
        def ready(context: dg.InitResourceContext) -> dg.IOManager:
            return manager

        return ready

    return {key: waiting(manager) for key, manager in managers.items()}
