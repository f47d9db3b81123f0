"""`python -m facestats_pipeline.collection.erase_process DATA_DIR IMAGE [--raw]`: an erasure in a process of its own.

A page that is closed meanwhile does not stop it half way. Prints `Erasures` as JSON, also where something could not be made again. Errors
are on standard error; the exit code is then 1.
"""

import argparse
import json
import sys
from dataclasses import asdict

from facestats_pipeline.collection.collection import open_collection
from facestats_pipeline.collection.erase import Erasures
from facestats_pipeline.collection.errors import FaceStatsError


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
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
