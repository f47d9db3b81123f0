"""A sharded table is added with a module of its own and a function among its stage's assets. Everything else derives from these two."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import facestats_pipeline

PACKAGE = Path(facestats_pipeline.__file__).parent
MODULE = '''
"""How bright each preprocessed photo is, in a word."""

import polars as pl

from facestats_pipeline.core.preproc.quality_table import IMAGE_QUALITY
from facestats_pipeline.core.tables import Column, Table

EXPOSURE = Table(
    "exposure",
    "metadata/exposure.parquet",
    (
        *IMAGE_QUALITY.keys,
        Column("exposure", pl.String(), "dark or bright, by the mean luma", IMAGE_QUALITY.sources("brightness")),
    ),
)

TABLES = (EXPOSURE,)


def exposure(quality: pl.DataFrame) -> pl.DataFrame:
    """EXPOSURE of the rows of `quality`."""
    word = pl.when(pl.col("brightness") < 0.5).then(pl.lit("dark")).otherwise(pl.lit("bright"))
    return quality.select("image_id", "filename", word.alias("exposure"))
'''
ASSET = '''

@shard_table(group_name="preproc", metadata=depends_on())
def exposure(image_quality: ShardFrames) -> ShardFrames:
    """How bright each preprocessed photo is, in a word."""
    from facestats_pipeline.core.preproc.exposure_table import exposure as judge

    return image_quality.map(judge)
'''
LOOK = """
import json, sys
from pathlib import Path
import polars as pl
import dagster as dg
from facestats_pipeline.config import load_settings
from facestats_pipeline.definitions import build_definitions
from facestats_pipeline.io.erasure import places
from facestats_pipeline.io.recipes import Recipe
from facestats_pipeline.io.table_facts import column_lineage
from facestats_pipeline.core.table_registry import tables_of

definitions = build_definitions(load_settings(environ={}, data_dir=Path(sys.argv[1])))
node = definitions.resolve_asset_graph().get(dg.AssetKey("exposure"))
folder = definitions.resources["folder"]
rows = pl.DataFrame({"image_id": ["a", "b"], "filename": ["a.jpg", "b.jpg"], "exposure": ["dark", "bright"]})
path = folder.store.write_table("exposure", "shard-00000", rows, Recipe("exposure", "1", "1"))
held = list(places.shard_tables(folder.store, folder.freshness.graph, ["shard-00000"]))
lineage = column_lineage(tables_of()["exposure"]).deps_by_column["exposure"]
print(json.dumps({
    "path": path.relative_to(folder.store.processed).as_posix(),
    "columns": [[each.name, each.type, each.description] for each in node.metadata["dagster/column_schema"].columns],
    "lineage": [[each.asset_key.path[-1], each.column_name] for each in lineage],
    "places": held,
    "rows": places.rows_in(folder.store, *held[0], frozenset({"b"})),
}))
"""


def run(package: Path, script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("FACESTATS_", "DAGSTER_"))}
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=package.parent,
        env=environ | {"PYTHONPATH": str(package.parent)},
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package with an asset more among those of preprocessing."""
    copy = tmp_path / "code" / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / "defs" / "preproc" / "assets.py").open("a", encoding="utf-8") as assets:
        assets.write(ASSET)
    return copy


def test_two_files_make_a_sharded_table_with_its_place_columns_lineage_and_erasure(
    package: Path, tmp_path: Path
) -> None:
    (package / "core" / "preproc" / "exposure_table.py").write_text(MODULE.lstrip(), encoding="utf-8")
    ran = run(package, LOOK, str(tmp_path / "data"))
    assert ran.returncode == 0, ran.stderr
    seen: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert seen["path"] == "metadata/exposure.parquet/shard-00000.parquet"
    assert [name for name, _, _ in seen["columns"]] == ["image_id", "filename", "exposure"]
    assert seen["columns"][-1] == ["exposure", "String", "dark or bright, by the mean luma"]
    assert seen["lineage"] == [["image_quality", "brightness"]]
    assert seen["places"] == [["exposure", "shard-00000"]] and seen["rows"] == 1


def test_an_asset_without_a_specified_table_is_told_where_to_specify_it(package: Path, tmp_path: Path) -> None:
    ran = run(package, LOOK, str(tmp_path / "data"))
    assert ran.returncode != 0
    assert (
        "the sharded asset exposure has no table: specify it in a module core/<stage>/<something>_table.py"
        in ran.stderr
    )
