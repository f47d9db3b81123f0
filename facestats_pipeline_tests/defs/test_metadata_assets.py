"""The metadata assets: what they read, and what happens to a file of labels that cannot be read."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from facestats_pipeline.core.attributes.catalogue import GENDER
from facestats_pipeline.core.metadata.feature_index import feature_index as index_of
from facestats_pipeline.core.metadata.master_table import master_table
from facestats_pipeline.core.table_registry import tables_of
from facestats_pipeline.core.user_files.text_table import LabelsError
from facestats_pipeline.defs.graph import nodes_of
from facestats_pipeline.defs.ingest.inputs import skipped_if_unreadable
from facestats_pipeline.defs.metadata import assets
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.freshness import Node
from facestats_pipeline.io.io_managers import NEEDED_BY, Skipped, io_managers
from facestats_pipeline.io.layout import INPUTS
from facestats_pipeline.io.shard_frames import AllShards, LazyShards
from facestats_pipeline.io.table_facts import column_lineage
from facestats_pipeline_tests.core import small_shards as shard
from facestats_pipeline_tests.io.small_store import recipe

SHARD = "shard-00000"
HEADER = "image_id,attribute,value,annotator,labelled_at"


def given(folder: DataFolder, name: str, text: str) -> None:
    folder.store.labels.mkdir(exist_ok=True)
    folder.store.input_path(name).write_text(text, encoding="utf-8")


def one(frame: pl.DataFrame) -> Any:
    return LazyShards([SHARD], lambda _: frame)


def test_dagster_knows_the_sources_of_every_column_of_a_metadata_table(definitions: dg.Definitions) -> None:
    graph = {node.name: node for node in nodes_of(definitions)}
    for node in (node for node in graph.values() if node.group == "metadata" and node.sharded):
        for column, deps in column_lineage(tables_of()[node.name]).deps_by_column.items():
            by_hand = node.name == "attributes_with_manual" and (column.startswith("manual_") or column in BY_HAND)
            assert bool(deps) != by_hand, f"{node.name}.{column}"
            assert {dep.asset_key.path[-1] for dep in deps} <= ancestors(graph, node.name), f"{node.name}.{column}"


BY_HAND = ("annotator", "labelled_at")


def ancestors(graph: dict[str, Node], name: str) -> set[str]:
    parents = set(graph[name].parents) & set(graph)
    return parents.union(*(ancestors(graph, parent) for parent in parents))


def test_every_source_of_a_table_is_one_that_its_asset_descends_from(definitions: dg.Definitions) -> None:
    graph = {node.name: node for node in nodes_of(definitions)}
    wrong = {name: set(table.reads) - ancestors(graph, name) for name, table in tables_of().items()}
    assert {name: sources for name, sources in wrong.items() if sources} == {}


def test_master_reads_no_column_that_it_does_not_take(folder: DataFolder) -> None:
    declared = {name: one.metadata[NEEDED_BY] for name, one in assets.master.op.ins.items()}  # type: ignore[attr-defined]
    assert declared == dict.fromkeys(master_table().reads, "master")
    width = pl.Array(pl.Float32, 4)
    embedded = shard.ids(1).with_columns(pl.Series("embedding", [[0.5] * 4], dtype=width), model_id=pl.lit("e@1"))
    folder.store.write_table("embeddings_clip", SHARD, embedded, recipe())
    context = dg.build_input_context(
        asset_key=dg.AssetKey("embeddings_clip"),
        dagster_type=dg.PythonObjectDagsterType(AllShards),
        definition_metadata={NEEDED_BY: "master"},
    )
    assert io_managers(folder.freshness)["shard_tables"].load_input(context)[SHARD].columns == ["image_id", "model_id"]


def test_an_input_is_read_with_the_columns_it_declares(folder: DataFolder) -> None:
    folder.store.write_table("manifest", SHARD, shard.manifest(2), recipe())
    context = dg.build_input_context(
        asset_key=dg.AssetKey("manifest"),
        dagster_type=dg.PythonObjectDagsterType(AllShards),
        definition_metadata={"columns": ["filename", "no_such_column"]},
    )
    loaded = io_managers(folder.freshness)["shard_tables"].load_input(context)
    assert loaded[SHARD].columns == ["filename"]


def test_the_feature_index_is_written_as_it_would_be_made_whole(folder: DataFolder) -> None:
    shards = {"shard-00000": ["a.jpg", 'b "c".jpg'], "shard-00001": ["d/é.jpg"]}
    frames = AllShards(list(shards), lambda name: pl.DataFrame({"filename": shards[name]}))
    (path,) = assets.feature_index(frames, folder=folder).content.values()  # type: ignore[attr-defined]
    assert json.loads(path.read_text(encoding="utf-8")) == index_of(shards)


def test_hand_labels_are_reported_line_by_line(folder: DataFolder) -> None:
    lines = [f"{shard.image_id(i)},gender,{value},{who},2026-11-20" for i, value, who in VOTES]
    given(folder, "manual_labels_csv", "\n".join([HEADER, *lines]))
    report = assets.manual_label_report(shard.manifest(3).lazy(), folder=folder)  # type: ignore[operator]
    assert report.facts == {"labels": 4, "rejected": 2, "alpha_gender": pytest.approx(0.0)}
    rejected = report.content["reports/manual_labels_rejected.csv"].decode().splitlines()
    assert [line.split(",")[0] for line in rejected] == ["row", "6", "7"]
    assert "not a label of gender" in rejected[1] and "no image of the collection" in rejected[2]


VOTES = [
    (0, "Male", "ana"),
    (0, "Male", "ben"),
    (1, "Male", "ana"),
    (1, "Female", "ben"),
    (2, "boy or girl", "ana"),
    (9, "Male", "ana"),
]


def test_without_hand_labels_there_is_no_report(folder: DataFolder) -> None:
    report = assets.manual_label_report(shard.manifest(1).lazy(), folder=folder)  # type: ignore[operator]
    assert isinstance(report, Skipped) and "no manual_labels.csv" in report.reason


@pytest.mark.parametrize("content", ["no header at all", "image_id,value\n1,2", "\0\1\2"])
def test_unreadable_hand_labels_are_said_once_and_the_table_is_made_without_them(
    folder: DataFolder, content: str
) -> None:
    given(folder, "manual_labels_csv", content)
    report = assets.manual_label_report(shard.manifest(1).lazy(), folder=folder)  # type: ignore[operator]
    assert isinstance(report, Skipped)
    assert report.reason.startswith(str(folder.store.input_path("manual_labels_csv")))
    assert "no column" in report.reason and "`facestats run`" in report.reason and "\n" not in report.reason
    made = assets.attributes_with_manual(one(shard.attributes(2)), folder=folder)  # type: ignore[operator]
    assert made[SHARD]["manual_gender"].to_list() == [None, None]


def test_what_needs_an_unreadable_file_is_skipped_with_its_message(tmp_path: Path) -> None:
    @skipped_if_unreadable
    def train(path: Path) -> str:
        if path.name == "bad.csv":
            raise LabelsError(f"{path}: no 'file' column")
        return "a model"

    assert train(tmp_path / "good.csv") == "a model"
    assert train(tmp_path / "bad.csv") == Skipped(f"{tmp_path / 'bad.csv'}: no 'file' column")


@pytest.mark.parametrize(
    ("name", "attribute"), [("labels_csv", "gender_classifier"), ("ratings_csv", "attractiveness_regressor")]
)
@pytest.mark.parametrize("content", ["", "who,what\n1,2\n", "file,rating,age\n"])
def test_models_of_an_unreadable_file_are_skipped(folder: DataFolder, name: str, attribute: str, content: str) -> None:
    from facestats_pipeline.defs.attractiveness.assets import attractiveness_regressor
    from facestats_pipeline.defs.attributes.assets import trainer

    given(folder, name, content)
    made = {"gender_classifier": trainer(GENDER), "attractiveness_regressor": attractiveness_regressor}[attribute]
    nothing = AllShards([], lambda _: pl.DataFrame())
    inputs = dict.fromkeys(set(made.op.ins) - set(INPUTS), nothing)  # type: ignore[attr-defined]
    folder.store.write_table("manifest", SHARD, shard.manifest(1), recipe())
    skipped = made(dg.build_asset_context(), **inputs, folder=folder)  # type: ignore[operator]
    assert isinstance(skipped, Skipped)
    assert str(folder.store.input_path(name)) in skipped.reason and "`facestats run`" in skipped.reason
