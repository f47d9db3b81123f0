"""The table that `facestats run` ends with: where the time of each asset went."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from facestats_pipeline.cli import run
from facestats_pipeline.collection.run import causes
from facestats_pipeline.io.freshness import Node


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, width: int) -> None:
    monkeypatch.setattr(run, "out", Console(file=io.StringIO(), width=width))
    phases = {"read": 0.1, "decode": 120.0, "compute": 1234.5, "write": 12.0, "images_per_second": 187.2}
    made: list[dict[str, Any]] = [
        {"asset": "attractiveness_with_attributes", "shards": 12, "rows": 24_576, "seconds": 1300.0, **phases},
        {"asset": "composites", "shards": 0, "rows": 0, "seconds": 3.0},
    ]
    photos = {"ok": 24_576}
    run.show(
        {
            "made": made,
            "data_dir": str(tmp_path),
            "photos": photos,
            "discovered": photos,
            "withheld": 0,
            "skipped_for": {"no ratings": ["attractiveness_regressor"]},
            "failed_checks": [],
            "encoder": "facestats-mini",
            "seconds": 1303.0,
            "error": "",
        },
        timings=True,
    )
    lines = run.out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    row = next(line for line in lines if "attractiveness_with" in line)
    assert row.split() == [
        "attractiveness_with_attributes",
        *("24576", "1300.0", "0.1", "120.0", "1234.5", "12.0", "187"),
    ]
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= width


def test_what_is_skipped_for_one_cause_is_one_line() -> None:
    parents = {"a": ("ratings_csv",), "b": ("labels_csv",), "c": ("a",), "e": ("b",), "d": ("c", "e")}
    graph = {name: Node(name, "g", False, "1", inputs) for name, inputs in parents.items()}
    skipped = {"a": "no ratings", "b": "no labels", "c": "no model", "d": "no scores"}
    assert causes(skipped, graph) == {"no ratings": ["a", "c", "d"], "no labels": ["b"]}
    assert run.counted(1, "row") == "1 row" and run.counted(2048, "row") == "2,048 rows"


def test_data_in_a_bucket_keep_their_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "out", Console(file=io.StringIO(), width=100))
    run._show_first_look("s3://bucket/faces")
    told = run.out.file.getvalue()  # type: ignore[attr-defined]
    assert told == "Tables, composites and reports are in s3://bucket/faces/processed.\n"
