"""Damaged tables, settings and models, and a short coverage-guided search: readers refuse with their own error, and never crash."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.config import SettingsError, load_settings
from facestats_pipeline.core.labels.labels_file import read_labels
from facestats_pipeline.core.labels.ratings import read_ratings
from facestats_pipeline.core.metadata.csv_export import FORMULA_STARTS, csv_bytes
from facestats_pipeline.core.user_files.text_table import LabelsError
from facestats_pipeline_tests.examples import examples
from facestats_pipeline_tests.robustness.files import BINARIES, TEXTS

COUNT = 200


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_damaged_files_of_every_kind_are_read_or_refused() -> None:
    command = [sys.executable, "-m", "facestats_pipeline_tests.robustness.files", "--count", str(COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert set(found) == {*TEXTS, *BINARIES}
    for kind, counts in found.items():
        assert counts["read"] + counts["refused"] == COUNT, kind
        assert counts["refused"] > COUNT / 10, f"the damage to {kind} was noticed"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="atheris has wheels for Linux only")
@pytest.mark.timeout(300)
def test_a_coverage_guided_fuzzer_finds_nothing_in_the_parsers() -> None:
    command = [sys.executable, "-m", "facestats_pipeline_tests.robustness.coverage", "--seconds", "16"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-3000:]
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    assert all(int(line.split()[1]) > 10 for line in lines), done.stdout


ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1500,
        "preproc: " + "{a: " * 400,
        ALIASES + "preproc: *j\nshard_size: *j\n",
        "preproc: &a\n  size: *a\n",
        "shard_size: " + "9" * 6000,
        "shard_size: 2026-99-99\n",
        "shard_size: !!python/object/apply:os.system ['true']\n",
        "\x00",
    ],
    ids=["deep", "deep mapping", "a billion aliases", "of itself", "digits", "no date", "object", "zero byte"],
)
def test_settings_that_would_take_memory_or_run_something_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "facestats.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_settings(path, environ={})
    assert len(str(refused.value)) < 20_000


CELLS = st.text(max_size=12) | st.sampled_from(
    ["20-29", "Male", "East Asian", "3.5", "nan", "1e999", "9-Mar", "", '"', "-0"]
)


@examples(60)
@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=4), sep=st.sampled_from(",;\t"))
def test_label_tables_of_any_cells_are_read_or_refused(
    rows: list[list[str]], sep: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "labels.csv"
    for header, read in (("file,age,gender,race", read_labels), ("file,rating,rater", read_ratings)):
        text = "\n".join([header.replace(",", sep), *(sep.join(row) for row in rows)])
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            found = read(path)
        except LabelsError as error:
            assert str(error)
        else:
            assert found is not None


@given(st.text(max_size=20), st.sampled_from(FORMULA_STARTS))
def test_no_exported_cell_begins_a_formula(rest: str, start: str) -> None:
    import csv
    import io

    import polars as pl

    exported = csv_bytes(pl.DataFrame({"filename": [start + rest]})).decode()
    (cell,) = list(csv.reader(io.StringIO(exported, newline="")))[1]
    assert not cell.startswith(FORMULA_STARTS)
    assert cell.replace("\r\n", "\n").endswith(rest.replace("\r\n", "\n"))
