"""Marks runs as failed whose process is gone. Otherwise Dagster would show them as started forever, and wait for them.

Dagster monitors only the processes of its own servers, and only while these are running. It does not monitor `facestats run`, or notice
what was running at a power failure.
"""

import os
import socket

import dagster as dg

PROCESS = "facestats/process"
"""Tag of a run: host and id of the process that executes it."""


def this_process() -> str:
    """The tag's value for this process."""
    return f"{socket.gethostname()}.{os.getpid()}"


def close_dead_runs(instance: dg.DagsterInstance) -> int:
    """Mark unfinished runs as failed whose process on this machine is gone; returns their number."""
    unfinished = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    closed = 0
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        host, _, process = run.tags.get(PROCESS, "").rpartition(".")
        if host == socket.gethostname() and not _is_alive(int(process)):
            instance.report_run_failed(
                run,
                "its process ended before the run did; finished artifacts are kept, and the next run continues from them",
            )
            # Slots are held only with pools of granularity `op`. The daemon would free them a minute later, but it may not be running.
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
