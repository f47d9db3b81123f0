"""The last section of docs/performance.md: what each benchmark printed, and by which command."""

import re
import shlex
from collections.abc import Sequence
from datetime import date

HEADING = "## As printed"
ABOUT = "Written by `make bench`, or by `python -m facestats_pipeline_tests.benchmarks NAME [OPTIONS]` for one of them."


def with_output(document: str, name: str, options: Sequence[str], output: str, day: date) -> str:
    """`document` with the output of one benchmark in the place of an earlier one; sections are in the order of names."""
    body, _, rest = document.partition(f"\n{HEADING}\n")
    sections = dict(re.findall(r"^### (bench_\w+)\n(.*?)(?=^### bench_|\Z)", rest, re.MULTILINE | re.DOTALL))
    command = shlex.join(["python", "-m", f"facestats_pipeline_tests.benchmarks.{name}", *options])
    sections[name] = f"\n`{command}`, {day.isoformat()}\n\n```text\n{output.strip()}\n```\n"
    printed = "\n\n".join(f"### {key}\n{text.rstrip()}" for key, text in sorted(sections.items()))
    return f"{body.rstrip()}\n\n{HEADING}\n\n{ABOUT}\n\n{printed}\n"
