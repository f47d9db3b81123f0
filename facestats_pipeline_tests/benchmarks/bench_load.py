"""How long the project and its command take to load: `python -m facestats_pipeline_tests.benchmarks.bench_load [--rounds N]`.

Each in a new process, in turn: definitions, up to the asset graph, against an empty Dagster project (one asset), and `facestats --help`
against an empty Typer program of one command. Aims: at most 1.5 and 2 times.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from facestats_pipeline_tests.benchmarks.side_by_side import compare, machine, ratio

EMPTY_PROJECT = """
import dagster as dg
@dg.asset
def one(): ...
dg.Definitions(assets=[one]).resolve_asset_graph()
"""
PROJECT = "from facestats_pipeline.definitions import defs; defs().resolve_asset_graph()"
EMPTY_PROGRAM = """
import typer
app = typer.Typer()
@app.command()
def hello(): ...
app(["--help"])
"""
PROGRAM = "from facestats_pipeline.cli.main import main; main(['--help'])"


def program(code: str, folder: str) -> Callable[[], None]:
    """Run a program in a new process and an empty folder, from bytecode as installed programs do: the first run, not counted, keeps it."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("FACESTATS_", "DAGSTER_"))}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    environ["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "bytecode")

    def run() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, env=environ, stdout=subprocess.DEVNULL)

    return run


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print(machine())
    pairs = (
        ("an empty Dagster project", EMPTY_PROJECT, "our definitions", PROJECT),
        ("an empty Typer program", EMPTY_PROGRAM, "facestats --help", PROGRAM),
    )
    with tempfile.TemporaryDirectory() as folder:
        for plain, plain_code, own, own_code in pairs:
            ways = {plain: program(plain_code, folder), own: program(own_code, folder)}
            seconds = compare(ways, 1, options.rounds, unit="loads")
            print(f"{own} takes {ratio(seconds[own].clock, seconds[plain].clock)} times {plain} by the clock, ", end="")
            print(f"{ratio(seconds[own].processor, seconds[plain].processor)} times of the processor\n")


if __name__ == "__main__":
    main()
