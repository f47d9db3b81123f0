"""Benchmarks, with what they print written into docs/performance.md: all of them by `make bench`, or one.

python -m facestats_pipeline_tests.benchmarks                      every bench_*.py with its defaults: hours
python -m facestats_pipeline_tests.benchmarks bench_load --rounds 9
"""

import subprocess
import sys
from datetime import date
from pathlib import Path

from facestats_pipeline.config import PROJECT_ROOT
from facestats_pipeline_tests.benchmarks.as_printed import with_output

DOCUMENT = PROJECT_ROOT / "docs" / "performance.md"


def run(name: str, options: list[str]) -> bool:
    """Whether one benchmark, in a process of its own, came to its end; then its output is in the document."""
    print(f"== {name}", flush=True)
    command = [sys.executable, "-m", f"{__package__}.{name}", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode == 0:
        text = with_output(DOCUMENT.read_text("utf-8"), name, options, "".join(lines), date.today())
        DOCUMENT.write_text(text, "utf-8")
    return process.returncode == 0


def main(arguments: list[str]) -> int:
    """Run one or all; the number of those that failed."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    known = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    if arguments and arguments[0] not in known:
        print(f"there is no benchmark {arguments[0]!r}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    wanted = [(arguments[0], arguments[1:])] if arguments else [(name, []) for name in known]
    return sum(not run(name, options) for name, options in wanted)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
