"""Definitions and `--help` load in seconds, because nothing heavy is imported until it is needed."""

import json
import os
import subprocess
import sys
from pathlib import Path

HEAVY = {
    "torch",
    "torchvision",
    "open_clip",
    "cv2",
    "sklearn",
    "skops",
    "lightgbm",
    "usearch",
    "matplotlib",
    "mediapipe",
    "streamlit",
    "ray",
}
ARRAYS = {"numpy", "scipy", "pandas", "pyarrow", "PIL"}
"""A tenth of a second each: enough for the definitions to take more than half as long again as an empty Dagster project."""
LOAD = """
import json, sys, time
began = time.perf_counter()
{statement}
seconds = time.perf_counter() - began
print("\\n" + json.dumps([seconds, sorted({{name.partition(".")[0] for name in sys.modules}})]))
"""


def loaded_by(statement: str, cwd: Path) -> tuple[float, set[str]]:
    """Seconds, and the top-level modules that a new process has after `statement`."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("FACESTATS_", "DAGSTER_"))}
    ran = subprocess.run(
        [sys.executable, "-c", LOAD.format(statement=statement)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=cwd,
        env=environ,
    )
    assert ran.returncode == 0, ran.stderr
    seconds, modules = json.loads(ran.stdout.splitlines()[-1])
    return seconds, set(modules)


def test_definitions_load_without_anything_heavy(tmp_path: Path) -> None:
    seconds, modules = loaded_by(
        "import dagster as dg; from facestats_pipeline.definitions import defs; defs().resolve_asset_graph()", tmp_path
    )
    print(f"definitions load in {seconds:.1f} s")
    assert "dagster" in modules
    assert modules & (HEAVY | ARRAYS) == set()
    assert list(tmp_path.iterdir()) == [], "loading definitions writes nothing"


def test_help_needs_neither_dagster_nor_torch(tmp_path: Path) -> None:
    statement = """
from facestats_pipeline.cli.main import main
sys.argv = ["facestats", "--help"]
try:
    main()
except SystemExit as ended:
    assert ended.code == 0
"""
    seconds, modules = loaded_by(statement, tmp_path)
    print(f"--help in {seconds:.1f} s")
    assert "typer" in modules
    assert modules & (HEAVY | ARRAYS | {"dagster", "polars"}) == set()
