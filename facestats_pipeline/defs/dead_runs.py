"""Runs whose process is gone: Dagster would show them as started for ever, and wait for them.

Dagster watches the processes of its own servers while these live; nobody watches a `facestats run`, or whatever ran when the power failed.
"""

import os
import socket

import dagster as dg

PROCESS = "facestats/process"
"""Tag of a run: host and id of the process that executes it."""


def this_process() -> str:
    """This process, as the tag's value."""
    return f"{socket.gethostname()}.{os.getpid()}"


def close_dead_runs(instance: dg.DagsterInstance) -> int:
    """Mark as failed the unfinished runs of processes of this machine that are gone; how many."""
    unfinished = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    closed = 0
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        host, _, process = run.tags.get(PROCESS, "").rpartition(".")
        if host == socket.gethostname() and not _is_alive(int(process)):
            instance.report_run_failed(
                run, "its process ended before the run did; what it had made stays, and is gone on from"
            )
            # Slots are held only where somebody set pools to the granularity `op`; the daemon, if it runs, frees them a minute later.
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            closed += 1
    return closed


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
