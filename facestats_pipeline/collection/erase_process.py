"""`python -m facestats_pipeline.collection.erase_process DATA_DIR IMAGE [--raw]`: erases an image in a separate process.

Closing the dashboard's page does not interrupt it. Prints `Erasures` as JSON, even if an artifact could not be made again. Errors are
printed to standard error, with exit code 1.
"""

import argparse
import json
import sys
from dataclasses import asdict

from facestats_pipeline.collection.collection import open_collection
from facestats_pipeline.collection.erase import Erasures
from facestats_pipeline.collection.errors import FaceStatsError


def main(arguments: list[str] | None = None) -> int:
    """Run the erasure; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir")
    parser.add_argument("image")
    parser.add_argument("--raw", action="store_true")
    given = parser.parse_args(arguments)
    try:
        done, problem = open_collection(given.data_dir).erase(given.image, raw=given.raw), ""
    except FaceStatsError as error:
        done, problem = error.done if isinstance(error.done, Erasures) else Erasures([], []), str(error)
    print(json.dumps(asdict(done), default=str))
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
