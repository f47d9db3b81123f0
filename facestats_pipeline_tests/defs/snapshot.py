"""All definitions as text, one line or two for each: what a reviewer wants to see change, and nothing that a setting changes."""

import dagster as dg

from facestats_pipeline.defs.partitions import ON_DEMAND, REFIT_KEY, SETTINGS_KEY


def snapshot_of(definitions: dg.Definitions) -> str:
    """Assets with their checks, jobs, sensors, schedules, sorted by name."""
    return "\n".join([*_assets(definitions), *_jobs(definitions), *_sensors(definitions), *_schedules(definitions), ""])


def _names(keys: object) -> str:
    return ", ".join(sorted(key.path[-1] for key in keys)) or "nothing"  # type: ignore[attr-defined]


def _assets(definitions: dg.Definitions) -> list[str]:
    graph = definitions.resolve_asset_graph()
    lines = []
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        how = "external" if node.is_external else f"io {node.io_manager_key}"
        policy = node.backfill_policy
        most = f" {policy.max_partitions_per_run} a run" if policy is not None else ""
        parts = f"per shard{most}" if node.partitions_def is not None else "whole"
        refits = ", fitted on the collection" if node.metadata.get(REFIT_KEY) else ""
        refits += ", on demand" if ON_DEMAND.items() <= node.tags.items() else ""
        refits += "".join(f", pool {pool}" for pool in sorted(node.pools or ()))
        lines += [
            f"asset {key.path[-1]}: {node.group_name}, {parts}, {how}, kinds {'+'.join(sorted(node.kinds))}{refits}",
            f"    from {_names(node.parent_keys)}",
        ]
        if settings := node.metadata.get(SETTINGS_KEY):
            lines.append(f"    stale with {', '.join(settings)}")
        for check in sorted(node.check_keys, key=lambda each: each.name):
            about = graph.get(check)
            blocking = "blocking" if about.blocking else "not blocking"
            lines.append(f"    check {check.name}: {blocking}, {'per shard' if about.partitions_def else 'whole'}")
    return lines


def _jobs(definitions: dg.Definitions) -> list[str]:
    lines = []
    for job in sorted(definitions.jobs or [], key=lambda each: each.name):
        resolved = definitions.resolve_job_def(job.name)
        keys = resolved.asset_layer.selected_asset_keys
        parts = "per shard" if resolved.partitions_def is not None else "whole"
        lines.append(f"job {job.name}: {parts}, {_names(keys) if len(keys) < 5 else f'{len(keys)} assets'}")
    return lines


def _sensors(definitions: dg.Definitions) -> list[str]:
    return [
        f"sensor {each.name}: every {each.minimum_interval_seconds} s, {each.default_status.value}"
        for each in sorted(definitions.sensors or [], key=lambda each: each.name)
    ]


def _schedules(definitions: dg.Definitions) -> list[str]:
    return [
        f"schedule {each.name}: {each.cron_schedule}, {each.default_status.value}"
        for each in sorted(definitions.schedules or [], key=lambda each: each.name)
        if isinstance(each, dg.ScheduleDefinition)
    ]
