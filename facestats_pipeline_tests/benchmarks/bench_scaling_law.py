"""Wall time and cost of 10⁶ to 10⁹ photos on 1 to 512 workers, by a simulation that is held against real runs first.

    python -m facestats_pipeline_tests.benchmarks.bench_scaling_law [--price 0.10] [--latency 0.03] [--encoder facestats-mini]
        [--only validation|prediction] [--picture docs/images/scale.png]

Validation: `scaling_runs.py`, 16 shards by 1, 2 and 4 real workers from a bucket that answers late; the simulation knows what a shard and
a run ask for from runs of 1 and 3 shards of one worker at another latency. Prediction: what the stages cost is measured first, here and
now (`stage_costs.py`); what cannot be measured here is an argument with its default printed. Exit code 1 when the error is above 15%.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from facestats_pipeline.core.drawing.plot_style import PALETTE, new_figure, render
from facestats_pipeline_tests.benchmarks.scaling_law import SHARDS_PER_RUN, Prediction, Site, Work, simulate
from facestats_pipeline_tests.benchmarks.scaling_runs import compare, started
from facestats_pipeline_tests.benchmarks.side_by_side import machine
from facestats_pipeline_tests.benchmarks.stage_costs import Costs, measured

SIZES = {10**6: 2_048, 10**7: 2_048, 10**8: 10_000, 10**9: 10_000}
"""Photos → photos a shard."""
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SHOWN = (1, 8, 64, 512)
CORES = 2  # of a worker, as here
MOST = 0.15
INDEX_VECTOR, INDEX_QUERY = 1603e-6, 0.79e-3
"""Seconds by the clock to add a vector, and to look for its neighbours, at a million: `bench_index`."""
PLAN_SHARD = 0.9e-3
"""Seconds of one plan for each shard: `bench_many_shards`."""


def phases_of(costs: Costs, options: argparse.Namespace) -> list[Work]:
    """The five phases of the graph. Of the unsharded assets only those whose work grows with the collection."""
    readers, latency_free = options.readers, 1 / 1000
    start = {"run_busy": costs.start, "run_events": costs.run_events, "run_requests": options.run_requests}
    images, tables = costs.shard
    discovery = Work(
        "discovery",
        sharded=False,
        photo_busy=costs.listed,
        photo_requests=latency_free + 1 / readers,  # a page of 1,000 names, and each new photo read once
        photo_bytes=costs.photo_bytes,
        threads=1,
        **start,
    )
    shards = {"shard_requests": options.shard_requests, "threads": CORES}
    image_stages = Work(
        "images",
        photo_busy=costs.photo,
        shard_busy=images,
        photo_requests=2 / readers,  # for the manifest, and to be preprocessed
        photo_bytes=2 * costs.photo_bytes + options.jpeg_bytes,
        shard_events=costs.events[0],
        **shards,
        **start,
    )
    index = Work("index", sharded=False, photo_busy=INDEX_VECTOR + INDEX_QUERY, threads=1, photo_bytes=2_048, **start)
    table_stages = Work(
        "tables",
        photo_busy=costs.attributes + costs.row,
        shard_busy=tables,
        photo_bytes=options.row_bytes,
        shard_events=costs.events[1],
        **shards,
        **start,
    )
    reports = Work("whole tables", sharded=False, photo_busy=costs.row_whole, photo_bytes=options.row_bytes, **start)
    return [discovery, image_stages, index, table_stages, reports]


def predictions(phases: Sequence[Work], site: Site, per_run: int) -> dict[tuple[int, int], Prediction]:
    """(photos, workers) → prediction."""
    return {
        (photos, workers): simulate(phases, photos, size, workers, site, per_run=per_run)
        for photos, size in SIZES.items()
        for workers in WORKERS
    }


def show(found: Mapping[tuple[int, int], Prediction], price: float) -> None:
    """Tables for docs/scale.md: wall time and cost, and what decides with the most workers."""
    print("\n| photos | shards | " + " | ".join(f"{n} workers" if n > 1 else "1 worker" for n in SHOWN) + " |")
    print("|--:|--:|" + "--:|" * len(SHOWN))
    for photos, size in SIZES.items():
        cells = [
            f"{duration(found[photos, n].seconds)}, {found[photos, n].seconds / 3600 * n * price:,.0f} $" for n in SHOWN
        ]
        print(f"| {photos:.0e} | {-(-photos // size):,} of {size:,} | {' | '.join(cells)} |")
    print(
        f"\n| photos | parts that one process does one after another, with {WORKERS[-1]} workers | work in shards, alone |"
    )
    print("|--:|---|--:|")
    for photos in SIZES:
        parts = found[photos, WORKERS[-1]].parts
        work = parts["work in shards"]
        serial = sorted(((s, name) for name, s in parts.items() if name != "work in shards"), reverse=True)
        told = ", ".join(
            f"{name} {duration(s)} (decides from {max(1, round(work / s)):,} workers on)" for s, name in serial if s
        )
        print(f"| {photos:.0e} | {told} | {duration(work)} |")


def duration(seconds: float) -> str:
    """In the unit that people would use."""
    for unit, size in (("years", 365 * 86_400), ("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size or (unit == "h" and seconds >= size):
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def draw(found: Mapping[tuple[int, int], Prediction], path: Path) -> None:
    """Wall time over workers, a line for each size, with what it would be if all work were shared out."""
    figure, (axes,) = new_figure(
        "Beyond some sixteen workers one process decides",
        "Predicted hours from nothing to everything. Thin lines: all work shared out among the workers.",
        height=4.2,
    )
    for (photos, _), colour in zip(SIZES.items(), PALETTE, strict=False):
        hours = [found[photos, n].seconds / 3600 for n in WORKERS]
        axes.plot(WORKERS, [hours[0] / n for n in WORKERS], color=colour, linewidth=0.8, alpha=0.6)
        axes.plot(WORKERS, hours, color=colour, linewidth=2.2, marker="o", markersize=4)
        exponent = len(str(photos)) - 1
        axes.annotate(
            f"$10^{exponent}$ photos",
            (WORKERS[-1], hours[-1]),
            (8, 0),
            textcoords="offset points",
            va="center",
            color=colour,
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(WORKERS, [str(n) for n in WORKERS])
    axes.set_xlim(0.9, 3000)
    for hours, name in ((1, "1 hour"), (24, "1 day"), (24 * 30, "1 month"), (24 * 365, "1 year")):
        axes.axhline(hours, color="0.85", linewidth=0.8, zorder=0)
        axes.text(2900, hours, name, fontsize=8, color="0.45", va="bottom", ha="right")
    axes.set_xlabel("workers of two cores")
    axes.set_ylabel("hours")
    path.write_bytes(render(figure, "png"))


def validate(latency: float, shards: int = 16, per_run: int = 2) -> float:
    """Print predicted and real seconds of 1, 2 and 4 workers; the largest error."""
    counts = (1, 2, 4)
    calibration = latency / 3
    with tempfile.TemporaryDirectory() as name, started(Path(name), 8 + shards * len(counts), max(counts)) as workers:
        work = workers.calibrated(calibration)
        print(
            f"one worker, runs of 1 and 3 shards, answers at once and after {calibration * 1e3:.0f} ms: a run asks {work.run_requests:.0f} "
            f"times and computes {work.run_busy:.2f} s, a shard {work.shard_requests:.0f} times and {work.shard_busy:.2f} s"
        )
        told = compare(workers, work, shards, per_run, latency, counts)
    print(f"\n{shards} shards in runs of {per_run}, answers after {latency * 1e3:.0f} ms\n")
    print("| workers | predicted, s | real, s | error |\n|--:|--:|--:|--:|")
    for n, (said, real) in zip(counts, told, strict=True):
        print(f"| {n} | {said:.1f} | {real:.1f} | {said / real - 1:+.1%} |", flush=True)
    return max(abs(said / real - 1) for said, real in told)


def main() -> int:
    """Validate, measure, predict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["validation", "prediction"])
    parser.add_argument(
        "--validation-latency", type=float, default=0.5, help="seconds that the bucket keeps answers back"
    )
    parser.add_argument("--encoder", default="facestats-mini")
    parser.add_argument("--price", type=float, default=0.10, help="dollars for an hour of a worker of two cores")
    parser.add_argument("--latency", type=float, default=0.03, help="of the store, seconds")
    parser.add_argument("--bandwidth", type=float, default=100e6, help="of one worker, bytes a second")
    parser.add_argument("--readers", type=int, default=16, help="photos read at a time by one process: preproc.workers")
    parser.add_argument("--shard-requests", type=float, default=40, help="of one phase, one after another")
    parser.add_argument("--run-requests", type=float, default=100)
    parser.add_argument("--jpeg-bytes", type=float, default=60e3, help="of a preprocessed photo")
    parser.add_argument("--row-bytes", type=float, default=2.5e3, help="of a photo in all tables, read and written")
    parser.add_argument("--launch", type=float, default=1.0, help="seconds of the launcher for one run")
    parser.add_argument(
        "--plan-start", type=float, default=30.0, help="from a phase's end to the next look: automation.scan_seconds"
    )
    parser.add_argument("--per-run", type=int, default=SHARDS_PER_RUN)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    print(machine())
    error = 0.0
    if options.only != "prediction":
        error = validate(options.validation_latency)
        print(f"\nlargest error {error:.1%}; aim: at most {MOST:.0%}")
    if options.only != "validation":
        costs = measured(options.encoder)
        print(f"\nmeasured: {asdict(costs)}")
        print(f"assumed: { {key: value for key, value in vars(options).items() if key not in ('only', 'picture')} }")
        site = Site(options.latency, options.bandwidth, options.launch, costs.event, options.plan_start, PLAN_SHARD)
        found = predictions(phases_of(costs, options), site, options.per_run)
        show(found, options.price)
        if options.picture:
            draw(found, options.picture)
    return int(error > MOST)


if __name__ == "__main__":
    raise SystemExit(main())
