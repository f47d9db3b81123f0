"""Does the search for a recipe in a footer's bytes pay? `python -m facestats_pipeline_tests.benchmarks.bench_footers [--files 10000]`.

Reads the recipe of that many tables of a few rows with FaceStats' own reader, Polars and pyarrow, in turns; least of three, processor time.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from facestats_pipeline.io.parquet_footer import FOOTER_KEY, local_recipe

WAYS: dict[str, Callable[[str], object]] = {
    "FaceStats": local_recipe,
    "polars.read_parquet_metadata": lambda path: pl.read_parquet_metadata(path)[FOOTER_KEY],
    "pyarrow.parquet.read_metadata": lambda path: pq.read_metadata(path).metadata[FOOTER_KEY.encode()],
    "pyarrow.parquet.ParquetFile": lambda path: pq.ParquetFile(path).metadata.metadata[FOOTER_KEY.encode()],
}


def measure(folder: Path, files: int, columns: int) -> dict[str, float]:
    """Way → microseconds of the processor for each file, of tables with so many columns."""
    recipe = json.dumps({"asset": "attributes", "inputs": {f"input_{i}": "f" * 32 for i in range(12)}})
    table = pl.DataFrame({f"column_{i}": [0.5] * 4 for i in range(columns)})
    table.write_parquet(folder / "0.parquet", metadata={FOOTER_KEY: recipe})
    data = (folder / "0.parquet").read_bytes()
    paths = [str(folder / f"{i}.parquet") for i in range(files)]
    for path in paths:
        Path(path).write_bytes(data)
    took: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(3):
        for name, read in WAYS.items():
            started = time.process_time()
            for path in paths:
                read(path)
            took[name].append(time.process_time() - started)
    return {name: min(seconds) / files * 1e6 for name, seconds in took.items()}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    files = parser.parse_args().files
    for columns in (8, 40, 90):
        with tempfile.TemporaryDirectory() as name:
            found = measure(Path(name), files, columns)
        for way, each in found.items():
            print(f"{columns:3} columns  {way:30} {each:6.1f} µs a file, {each / found['FaceStats']:5.1f} times")


if __name__ == "__main__":
    main()
