"""What 1% more photos cost, counted in photos decoded and encoded; and what a changed setting costs, said before anything runs."""

import json
import shutil
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest
from typer.testing import CliRunner

from facestats_pipeline.cli.main import app
from facestats_pipeline.collection.pipeline import Pipeline
from facestats_pipeline.config import save_settings
from facestats_pipeline.core.composites import groups
from facestats_pipeline.core.demo.faces import generate_demo
from facestats_pipeline.io.layout import SHARD_TABLES
from facestats_pipeline_tests.counted import PER_PHOTO, counting, files_of_shards, write_small_photos
from facestats_pipeline_tests.demo_collection import QUICK, opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PHOTOS, SHARD, ADDED = 475, 50, 5
SMALL = QUICK | {"shard_size": SHARD, "preproc.size": 64, "preproc.align": False, "zeroshot.enabled": False}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Counter[str]]:
    """A folder of PHOTOS photos in ten shards, the last half full, after its first run; and what that run counted."""
    data = tmp_path_factory.mktemp("incremental") / "data"
    write_small_photos(data / "raw", 0, PHOTOS)
    save_settings(data, SMALL)
    with counting() as counts:
        opened(data).update()
    return data, counts


def test_one_percent_more_photos_cost_one_percent_and_no_sealed_shard_is_written(
    first: tuple[Path, Counter[str]], capsys: pytest.CaptureFixture
) -> None:
    data, full = first
    opened(data).update()
    sealed = {f"shard-{i:05d}" for i in range(PHOTOS // SHARD)}
    before = files_of_shards(data, sealed)
    assert len(before) == (len(SHARD_TABLES) + SHARD + 1) * len(sealed), "tables, photos, and a contact sheet"
    write_small_photos(data / "raw", PHOTOS, ADDED)
    with counting() as counts:
        report = opened(data).update()
    with capsys.disabled():
        print(f"\nfirst run, {PHOTOS} photos: {dict(full)}\n{ADDED} more: {dict(counts)}")
    assert report.discovered["added"] == ADDED
    assert files_of_shards(data, sealed) == before
    assert {what: full[what] for what in PER_PHOTO} == dict.fromkeys(PER_PHOTO, PHOTOS)
    assert {what: counts[what] for what in PER_PHOTO} == dict.fromkeys(PER_PHOTO, ADDED)
    assert {what for what in counts if what not in PER_PHOTO} == {
        "decoded by contact_sheet",
        "decoded by cluster_faces",
    }


def test_composites_read_the_photos_that_joined_and_come_out_as_if_they_had_read_all(
    copy_of_collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "FEWEST_KEPT", 2)  # of so few photos nothing would be kept
    data = copy_of_collection
    again(data)  # by this process, with the patch
    generate_demo(4, tmp_path / "new", tmp_path / "new labels", seed=77)
    new = sorted((tmp_path / "new").rglob("*.jpg"))[:3]
    for path in new:
        shutil.copyfile(path, data / "raw" / f"new-{path.name}")
    with counting() as counts:
        opened(data).update()
    assert 0 < counts["decoded by small_photos"] <= len(new)
    kept = sorted(path for path in (data / "processed" / "composites").rglob("*") if path.is_file())
    made = [path.read_bytes() for path in kept]
    with counting() as anew:
        again(data)
    # Groups of ten, of which one photo is a large part, may just have become large enough, or have read all ten.
    assert 0 < counts["decoded by generate"] < anew["decoded by generate"] / 2
    assert [path.name for path, content in zip(kept, made, strict=True) if path.read_bytes() != content] == []


def again(data: Path) -> None:
    """Make composites and eigenfaces anew, of everything."""
    pipeline = opened(data)
    for name in ("composites", "eigenfaces"):
        record = pipeline.folder.store.record(name)
        assert record is not None
        for file in record.files:
            pipeline.folder.store.file(name, file).unlink()
    assert set(pipeline.update().made) >= {"composites", "eigenfaces"}


def waiting(pipeline: Pipeline) -> dict[str, set[str | None]]:
    """Asset → shards (None for an asset without) that are not done by their recipes."""
    found: dict[str, set[str | None]] = {}
    for (name, shard), state in pipeline.states().items():
        if state.status != "done" and name != "mini_encoder":
            found.setdefault(name, set()).add(shard)
    return found


def shown_as_stale(pipeline: Pipeline) -> dict[str, set[str | None]]:
    """The same as Dagster's pages say it, from the events of earlier runs and the definitions of now."""
    graph = pipeline.definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(pipeline.instance, graph, LoadingContextForTest(pipeline.instance))
    found: dict[str, set[str | None]] = {}
    for name, node in pipeline.freshness.graph.items():
        for shard in pipeline.shards if node.sharded else [None]:
            if resolver.get_status(dg.AssetKey(name), shard).value != "FRESH" and name != "mini_encoder":
                found.setdefault(name, set()).add(shard)
    return found


@pytest.mark.parametrize(
    ("setting", "value", "first_stale", "untouched"),
    [
        ("preproc.quality", 60, "preproc", {"raw_photos", "manifest"}),
        ("encoder.precision", "bf16", "embeddings_clip", {"raw_photos", "manifest", "preproc", "image_quality"}),
        ("composites.min_n", 11, "composites", set(SHARD_TABLES)),
    ],
)
def test_a_changed_setting_is_said_before_anything_runs(
    first: tuple[Path, Counter[str]], setting: str, value: object, first_stale: str, untouched: set[str]
) -> None:
    data, _ = first
    opened(data).update()
    assert waiting(opened(data)) == {}
    before = shown_as_stale(opened(data))
    changed = opened(data, **{setting: value})
    graph = changed.freshness.graph
    expected = {first_stale}
    for name, node in graph.items():  # parents come first
        if expected & set(node.parents) and not node.on_demand:
            expected.add(name)
    everywhere = {name: set(changed.shards) if graph[name].sharded else {None} for name in expected}
    assert waiting(changed) == everywhere
    # Dagster marks more, and did before: what reads `raw_photos`, and models, as soon as any photo came.
    assert set(before) <= {"manifest"} | {name for name, node in graph.items() if node.refits}
    assert shown_as_stale(changed) == {
        name: before.get(name, set()) | everywhere.get(name, set()) for name in before.keys() | everywhere.keys()
    }
    assert not untouched & set(everywhere)

    variable = {f"FACESTATS_{setting.replace('.', '_').upper()}": str(value)}
    runs = changed.instance.get_runs_count()
    said = CliRunner().invoke(app, ["status", "-d", str(data), "--json"], env=variable)
    rows = {row["artifact"]: row for row in json.loads(said.stdout)["artifacts"]}
    assert {name for name, row in rows.items() if row["stale"] + row["missing"]} == expected
    assert rows[first_stale]["why"] == "its code or settings changed"
    assert changed.instance.get_runs_count() == runs, "nothing has run"
