"""How long a collection takes on many workers, and where the time goes: a simulation of the launcher, the workers, the store and the log.

Work comes in phases, one after the other, as `facestats run` and the sensor plan it. A phase over shards is cut into runs. One launcher
starts runs one after another; a worker does one run at a time, and while it does, waits for the store (requests one after another, then
bytes) and computes; one event log takes events one after another, of all workers. A phase without shards is one run on one worker. Between
phases the next is planned. Nothing else is modelled: no failures, no spot prices, no neighbours.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

SHARDS_PER_RUN = 64


@dataclass(frozen=True)
class Work:
    """What one phase asks for. `busy` are processor seconds, `requests` those to the store that wait for each other."""

    name: str
    sharded: bool = True
    photo_busy: float = 0.0
    shard_busy: float = 0.0
    run_busy: float = 0.0  # of a run before its first shard: the process, definitions, models
    photo_requests: float = 0.0
    shard_requests: float = 0.0
    run_requests: float = 0.0
    photo_bytes: float = 0.0  # read and written
    shard_events: float = 0.0
    run_events: float = 0.0
    threads: float = 2.0  # of a worker's cores, how many it uses


@dataclass(frozen=True)
class Site:
    """Where it runs. Seconds, bytes a second."""

    latency: float = 0.0
    bandwidth: float = float("inf")  # of one worker
    launch: float = 0.0  # the launcher's time for one run
    event: float = 0.0  # the log's time for one event
    plan_start: float = 0.0  # from the end of a phase until the next is looked for
    plan_shard: float = 0.0  # planning, for each shard of the collection
    cores: float = float("inf")  # that all workers share; no limit where each is a machine of its own


@dataclass
class Prediction:
    """Seconds by the clock, those that workers were at work, and what each part alone would take, summed over phases."""

    seconds: float = 0.0
    at_work: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)

    def add(self, part: str, seconds: float) -> None:
        """Count seconds for a part."""
        self.parts[part] = self.parts.get(part, 0.0) + seconds


def simulate(
    phases: Sequence[Work], photos: int, shard_size: int, workers: int, site: Site, *, per_run: int = SHARDS_PER_RUN
) -> Prediction:
    """The collection from nothing to everything, on `workers` that are there from the beginning."""
    total, shards = Prediction(), -(-photos // shard_size)
    for work in phases:
        runs = [per_run] * (shards // per_run) + [shards % per_run] * (shards % per_run > 0)
        sizes = list(_sizes(runs, photos, shard_size)) if work.sharded else [(0, photos)]
        planning = site.plan_start + site.plan_shard * shards
        total.add("planning", planning)
        total.seconds += planning + _phase(work, sizes, workers, site, total)
    return total


def _sizes(runs: Sequence[int], photos: int, shard_size: int) -> Iterator[tuple[int, int]]:
    """(shards, photos) of each run: the last shard may have fewer."""
    for shards in runs:
        own = min(shards * shard_size, photos)
        photos -= own
        yield shards, own


def _phase(work: Work, runs: Sequence[tuple[int, int]], workers: int, site: Site, total: Prediction) -> float:
    free = [0.0] * workers
    launcher = log = busy_all = 0.0
    for shards, photos in runs:
        wait, busy, events = _of_run(work, shards, photos, site)
        begin = heapq.heappop(free)
        launcher = max(launcher, begin) + site.launch
        log = max(log, launcher) + events * site.event
        end = max(launcher + wait + busy, log)
        heapq.heappush(free, end)
        busy_all += busy
        total.at_work += end - begin
        total.add("launching", site.launch)
        total.add("event log", events * site.event)
        total.add("work in shards" if work.sharded else work.name, wait + busy)
    return max(max(free), busy_all / site.cores)


def _of_run(work: Work, shards: int, photos: int, site: Site) -> tuple[float, float, float]:
    """Seconds of waiting and of computing, and events."""
    requests = work.run_requests + shards * work.shard_requests + photos * work.photo_requests
    wait = requests * site.latency + photos * work.photo_bytes / site.bandwidth
    busy = work.run_busy + (shards * work.shard_busy + photos * work.photo_busy) / work.threads
    return wait, busy, work.run_events + shards * work.shard_events
