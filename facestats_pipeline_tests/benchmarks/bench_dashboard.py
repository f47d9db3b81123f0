"""The dashboard on a million made-up rows: seconds of each query, and until a browser shows the first figures.

python -m facestats_pipeline_tests.benchmarks.bench_dashboard --rows 1000000
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _pytest.outcomes import Skipped

from facestats_pipeline.app.data import Queries
from facestats_pipeline.app.filters import EVERYTHING, Filters
from facestats_pipeline.collection.collection import Collection
from facestats_pipeline.config import load_settings
from facestats_pipeline_tests.app.browser import browser, dashboard
from facestats_pipeline_tests.app.made_up import write_collection

SHARD = 2048
SOME = Filters({"gender": "Female", "age": (20, 29)})


def main() -> None:
    """Make the rows, ask each query twice, then open the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        started = time.perf_counter()
        write_collection(data, shards=-(-rows // SHARD), rows=SHARD, pictures=False)
        here = Queries(Collection(load_settings(environ={}, data_dir=data)))
        print(
            f"{here.shards() * SHARD:,} rows in {here.shards()} shards, written in {time.perf_counter() - started:.0f} s"
        )
        print(f"{'query':<34} {'first':>7} {'again':>7}  seconds")
        for what, query in _queries(here).items():
            print(f"{what:<34} {_seconds(query):7.2f} {_seconds(query):7.2f}", flush=True)
        _browser(data)


def _queries(here: Queries) -> dict[str, Callable[[], object]]:
    columns = ["filename", "gender_final", "age", "attractiveness"]
    return {
        "overview": here.overview,
        "explore: counts": lambda: here.counts(EVERYTHING),
        "explore: counts, filtered": lambda: here.counts(SOME),
        "explore: map sample": lambda: here.map_sample(EVERYTHING, 3000),
        "explore: rectangle of the map": lambda: here.within(EVERYTHING, (0, 0.5), (0, 0.5), 24),
        "explore: histogram": lambda: here.histogram(EVERYTHING, "age"),
        "explore: first rows by age": lambda: here.rows(EVERYTHING, columns, sort="age", n=200),
        "explore: CSV, filtered": lambda: here.export(SOME, columns, "csv"),
        "label: queue": here.label_queue,
        "lineage: find an id": lambda: here.named("0" * 32),
    }


def _seconds(query: Callable[[], object]) -> float:
    started = time.perf_counter()
    query()
    return time.perf_counter() - started


def _browser(data: Path) -> None:
    """From the address being typed to the figures being there: a new server, then a second visitor, whose queries are cached."""
    try:
        with browser() as chromium, dashboard(data, data.parent / "log") as url:
            for visitor in ("first", "second"):
                page = chromium.new_page()
                page.set_default_timeout(120_000)
                for path, signs in (
                    ("", {"figures": page.get_by_test_id("stMetricValue")}),
                    (
                        "explore",
                        {"count": page.get_by_text("photos match"), "map": page.get_by_test_id("stVegaLiteChart")},
                    ),
                ):
                    started = time.perf_counter()
                    page.goto(f"{url}/{path}")
                    for what, sign in signs.items():
                        sign.first.wait_for()
                        seconds = time.perf_counter() - started
                        print(f"{visitor} visitor, {path or 'overview'}, {what}: {seconds:.2f} s", flush=True)
                page.close()
    except Skipped as reason:
        print(f"not opened in a browser: {reason}")


if __name__ == "__main__":
    main()
