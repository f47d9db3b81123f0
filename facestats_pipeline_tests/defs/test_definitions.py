"""What Dagster is told: every definition as a committed text, and the habits that each asset keeps."""

import os
from pathlib import Path

import dagster as dg
import pytest

from facestats_pipeline.config import load_settings
from facestats_pipeline.core.table_registry import tables_of
from facestats_pipeline.definitions import build_definitions
from facestats_pipeline.defs.graph import nodes_of
from facestats_pipeline.io.layout import INPUTS, SHARD_TABLES, TABLES
from facestats_pipeline_tests.defs.snapshot import snapshot_of

SNAPSHOT = Path(__file__).with_name("definitions_snapshot.txt")
RENEW = "FACESTATS_RENEW_SNAPSHOT"
STAGES = {"ingest", "preproc", "embeddings", "attributes", "attractiveness", "metadata", "composites", "reports"}
ON_DEMAND = {"mini_encoder"}


def test_definitions_are_those_that_were_reviewed(definitions: dg.Definitions) -> None:
    now = snapshot_of(definitions)
    if os.environ.get(RENEW):
        SNAPSHOT.write_text(now, encoding="utf-8")
    before = SNAPSHOT.read_text(encoding="utf-8").splitlines() if SNAPSHOT.is_file() else []
    changes = [f"- {line}" for line in before if line not in now.splitlines()]
    changes += [f"+ {line}" for line in now.splitlines() if line not in before]
    if now.splitlines() != before:
        pytest.fail(
            "the definitions are not those of definitions_snapshot.txt. If each change is meant, renew it with\n"
            f"  {RENEW}=1 python -m pytest facestats_pipeline_tests/defs/test_definitions.py\n"
            "and commit the file. The changes:\n" + "\n".join(changes or ["(the order of lines)"]),
            pytrace=False,
        )


def test_every_asset_explains_itself(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    poor = []
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        lacking = [name for name in ("description", "group_name", "owners", "kinds") if not getattr(node, name)]
        lacking += ["code_version"] if node.is_materializable and not node.code_version else []
        lacking += [f"group {node.group_name}"] if node.group_name not in STAGES | {"encoder_training"} else []
        poor += [f"{key.path[-1]}: {what}" for what in lacking]
    assert poor == []
    assert {graph.get(key).group_name for key in graph.get_all_asset_keys()} == STAGES | {"encoder_training"}


@pytest.mark.parametrize(
    ("setting", "value", "first"),
    [
        ("preproc.quality", 60, "preproc"),
        ("composites.min_n", 11, "composites"),
        ("zeroshot.enabled", False, "attributes"),
    ],
)
def test_a_changed_setting_gives_dagster_other_versions_of_all_that_follows_and_of_nothing_else(
    tmp_path: Path, setting: str, value: object, first: str
) -> None:
    before, after = (
        build_definitions(load_settings(environ={}, data_dir=tmp_path, **changed)).resolve_asset_graph()
        for changed in ({}, {setting: value})
    )
    expected = {first}
    for key in before.toposorted_asset_keys:
        if {parent.path[-1] for parent in before.get(key).parent_keys} & expected:
            expected.add(key.path[-1])
    keys = before.materializable_asset_keys
    assert {key.path[-1] for key in keys if before.get(key).code_version != after.get(key).code_version} == expected


def test_what_is_made_on_demand_is_in_no_job_and_nothing_waits_for_it(definitions: dg.Definitions) -> None:
    nodes = nodes_of(definitions)
    assert {node.name for node in nodes if node.on_demand} == ON_DEMAND
    assert {parent for node in nodes for parent in node.parents} & ON_DEMAND == set()
    for name in ("discover_photos", "update_shards"):
        made = {key.path[-1] for key in definitions.resolve_job_def(name).asset_layer.selected_asset_keys}
        assert made & ON_DEMAND == set(), name
    assert made == {node.name for node in nodes} - ON_DEMAND - {"raw_photos"}


def test_every_check_and_job_and_sensor_explains_itself(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    described = {check.name: graph.get(check).description for check in graph.asset_check_keys}
    described |= {each.name: each.description for each in definitions.jobs or []}
    described |= {each.name: each.description for each in definitions.sensors or []}
    described |= {each.name: each.description for each in definitions.schedules or []}
    assert [name for name, text in described.items() if not text] == []
    assert len(described) >= 8


def test_every_asset_has_its_place(definitions: dg.Definitions) -> None:
    """A table has a path in the layout and the manager for it; everything else leaves a record."""
    graph = definitions.resolve_asset_graph()
    managers = {key.path[-1]: graph.get(key).io_manager_key for key in graph.materializable_asset_keys}
    assert {name for name, key in managers.items() if key in ("shard_tables", "jpeg_shards")} == set(SHARD_TABLES)
    assert {name for name, key in managers.items() if key == "tables"} == set(TABLES)
    records = {name for name, key in managers.items() if key in ("files", "probes", "torch_checkpoints")}
    assert records | set(SHARD_TABLES) | set(TABLES) == set(managers)
    assert {key.path[-1] for key in graph.external_asset_keys} == set(INPUTS)


def test_tables_of_shards_are_the_partitioned_assets(definitions: dg.Definitions) -> None:
    nodes = {node.name: node for node in nodes_of(definitions)}
    assert {name for name, node in nodes.items() if node.sharded} == set(SHARD_TABLES)
    graph = definitions.resolve_asset_graph()
    for name in SHARD_TABLES:
        policy = graph.get(dg.AssetKey(name)).backfill_policy
        assert policy is not None, f"{name} would start one run for each shard"


def test_every_table_of_one_row_per_image_has_a_column_schema(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name in SHARD_TABLES:
        schema = graph.get(dg.AssetKey(name)).metadata.get("dagster/column_schema")
        assert isinstance(schema, dg.TableSchema), name
        told = [(column.name, column.type, column.description) for column in schema.columns]
        assert told == [(column.name, str(column.dtype), column.description) for column in tables_of()[name].columns]


def test_models_are_the_assets_that_are_fitted_on_the_collection(definitions: dg.Definitions) -> None:
    assert {node.name for node in nodes_of(definitions) if node.refits} == {
        "gender_classifier",
        "ethnicity_classifier",
        "age_model",
        "attractiveness_regressor",
        "attractiveness_reference",
        "published_splits",
        "cluster_model",
    }
