"""Every benchmark, one after another: `make bench`. One alone: `python -m facestats_pipeline_tests.benchmarks.NAME`."""

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run each `bench_*.py` in a process of its own; the number of those that failed."""
    failed = 0
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"== {path.stem}", flush=True)
        failed += subprocess.call([sys.executable, "-m", f"{__package__}.{path.stem}"]) != 0
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
