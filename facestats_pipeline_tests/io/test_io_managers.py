"""IO managers by small assets of the tests: one shard, a range, a missing shard, a crash half way, skipping, models without pickle."""

import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from facestats_pipeline.core.attributes.probes import train_classifier
from facestats_pipeline.core.images.images import encode_jpeg
from facestats_pipeline.core.labels.provenance import Provenance
from facestats_pipeline.core.labels.vocabulary import GENDERS
from facestats_pipeline.core.phases import current
from facestats_pipeline.io import io_managers as io
from facestats_pipeline.io.freshness import ROOT, Node, RecipeBook, inventory_inputs
from facestats_pipeline.io.plan import RANGE_END, RANGE_START
from facestats_pipeline.io.shard_frames import AllShards, LazyShards
from facestats_pipeline.io.store import Store
from facestats_pipeline_tests.core.synthetic_embeddings import ids_of, mixture
from facestats_pipeline_tests.io.small_store import inventory, store_in, table

SHARDS = dg.DynamicPartitionsDefinition(name="shards")
KEYS = ["shard-00000", "shard-00001", "shard-00002"]
sharded = {"partitions_def": SHARDS}


def nodes_of(assets: list[dg.AssetsDefinition]) -> list[Node]:
    return [
        Node(
            a.key.path[-1],
            "",
            a.partitions_def is not None,
            "1",
            tuple(sorted(d.path[-1] for d in a.asset_deps[a.key])),
        )
        for a in assets
    ]


class Bench:
    """A store, an instance with three shards, and runs of some assets over them."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, *, previews: bool = False) -> None:
        self.store: Store = store_in(folder)
        self.previews = previews
        self.instance = instance
        instance.add_dynamic_partitions("shards", KEYS)

    def run(self, *assets: Any, first: str | None = None, last: str | None = None, only: str | None = None) -> Any:
        """Materialize over shards `first` to `last`; `only`: just this asset. The result; errors do not raise."""
        book = RecipeBook(self.store, lambda: nodes_of(list(assets)))
        managers = {
            "tables": io.TableIOManager(book),
            "shard_tables": io.ShardTableIOManager(book),
            "jpeg_shards": io.JpegShardIOManager(book),
            "files": io.FilesIOManager(book, previews=self.previews),
            "probes": io.ProbeIOManager(book),
            "torch_checkpoints": io.TorchCheckpointIOManager(book),
        }
        return dg.materialize(
            list(assets),
            instance=self.instance,
            resources=managers,
            tags={RANGE_START: first, RANGE_END: last or first} if first else {},
            selection=[only] if only else None,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )

    def files(self) -> set[str]:
        """Every file that the store holds."""
        root = self.store.data_dir
        return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(tmp_path / "data", instance)


def error_of(result: Any) -> str:
    failure = next(event for event in result.all_events if event.event_type_value == "STEP_FAILURE")
    error = failure.step_failure_data.error
    while error.cause is not None:
        error = error.cause
    return str(error.message)


def asset_of_shards(name: str, make: Callable[[str], pl.DataFrame], **options: Any) -> dg.AssetsDefinition:
    @dg.asset(name=name, io_manager_key="shard_tables", **sharded, **options)
    def made(context: dg.AssetExecutionContext) -> Mapping:
        return LazyShards(context.partition_keys, make)

    return made


manifest = asset_of_shards("manifest", lambda shard: table(2).with_columns(shard=pl.lit(shard)))


@dg.asset(io_manager_key="shard_tables", **sharded)
def preproc(manifest: LazyShards) -> LazyShards:
    return manifest.map(lambda rows: rows.with_columns(seen=True))


def test_one_shard(bench: Bench) -> None:
    assert bench.run(manifest, preproc, first=KEYS[1]).success
    assert bench.files() == {
        "processed/manifest.parquet/shard-00001.parquet",
        "processed/preproc.parquet/shard-00001.parquet",
    }
    assert bench.store.read_table("preproc", KEYS[1])["seen"].to_list() == [True, True]
    recipe = bench.store.recipe("preproc", KEYS[1])
    upstream = bench.store.recipe("manifest", KEYS[1])
    assert recipe is not None
    assert upstream is not None
    assert recipe.inputs == {"manifest": upstream.fingerprint}


def test_a_range_is_one_run_with_a_materialization_for_each_shard(bench: Bench) -> None:
    result = bench.run(manifest, preproc, first=KEYS[0], last=KEYS[2])
    assert result.success
    for name in ("manifest", "preproc"):
        assert sorted(made.partition for made in result.asset_materializations_for_node(name)) == KEYS
        rows = [made.metadata["dagster/row_count"].value for made in result.asset_materializations_for_node(name)]
        assert rows == [2, 2, 2]
    assert bench.store.scan("preproc").collect().height == 6


def test_a_missing_shard_is_named_with_what_to_do(bench: Bench) -> None:
    assert bench.run(manifest, first=KEYS[0]).success
    result = bench.run(manifest, preproc, first=KEYS[0], last=KEYS[1], only="preproc")
    assert not result.success
    assert "manifest of shard-00001 has not been made yet" in error_of(result)
    assert "facestats run" in error_of(result)


def test_a_crash_half_way_leaves_whole_shards_only(bench: Bench) -> None:
    def make(shard: str) -> pl.DataFrame:
        if shard == KEYS[1]:
            raise RuntimeError("out of memory")
        return table(2)

    result = bench.run(asset_of_shards("manifest", make), first=KEYS[0], last=KEYS[2])
    assert not result.success
    assert "out of memory" in error_of(result)
    assert bench.files() == {"processed/manifest.parquet/shard-00000.parquet"}
    assert bench.store.recipe("manifest", KEYS[0]) is not None


def test_the_whole_table_is_read_lazily_or_shard_by_shard(bench: Bench) -> None:
    @dg.asset(io_manager_key="tables")
    def near_duplicates(manifest: pl.LazyFrame) -> pl.DataFrame:
        assert isinstance(manifest, pl.LazyFrame)
        return manifest.collect()

    @dg.asset(io_manager_key="tables")
    def fairface_label_structure(manifest: AllShards) -> pl.DataFrame:
        assert isinstance(manifest, AllShards)
        return pl.DataFrame({"shard": list(manifest), "rows": [frame.height for frame in manifest.values()]})

    assert bench.run(manifest, first=KEYS[0], last=KEYS[1]).success
    for reader in (near_duplicates, fairface_label_structure):
        assert bench.run(manifest, reader, only=reader.key.path[-1]).success
    assert bench.store.read_table("near_duplicates").height == 4
    assert bench.store.read_table("fairface_label_structure").rows() == [(KEYS[0], 2), (KEYS[1], 2)]


def test_a_shard_table_reads_an_asset_without_shards(bench: Bench) -> None:
    @dg.asset(io_manager_key="tables")
    def raw_photos() -> pl.DataFrame:
        return inventory(2, 1)

    @dg.asset(name="manifest", io_manager_key="shard_tables", **sharded)
    def own(context: dg.AssetExecutionContext, raw_photos: pl.DataFrame) -> LazyShards:
        return LazyShards(context.partition_keys, lambda shard: raw_photos.filter(pl.col("shard") == shard))

    assert bench.run(raw_photos).success
    root = bench.store.recipe(ROOT)
    assert root is not None
    assert root.inputs == inventory_inputs(inventory(2, 1))
    assert bench.run(raw_photos, own, first=KEYS[0], last=KEYS[1], only="manifest").success
    assert bench.store.scan("manifest").collect().height == 3
    recipe = bench.store.recipe("manifest", KEYS[1])
    assert recipe is not None
    assert recipe.inputs == {ROOT: root.inputs[KEYS[1]]}


class Photos:
    """What the asset `preproc` returns for a shard."""

    def __init__(self, ids: list[str], crash_after: int = 99) -> None:
        self.ids, self.crash_after = ids, crash_after

    @property
    def jpegs(self) -> Iterator[tuple[str, bytes]]:
        for i, image_id in enumerate(self.ids):
            if i == self.crash_after:
                raise RuntimeError("disk full")
            yield image_id, b"jpeg of " + image_id.encode()

    def table(self) -> pl.DataFrame:
        return pl.DataFrame({"image_id": self.ids, "filename": self.ids, "status": ["ok"] * len(self.ids)})


def photos_asset(make: Callable[[str], Photos]) -> dg.AssetsDefinition:
    @dg.asset(name="preproc", io_manager_key="jpeg_shards", **sharded)
    def made(context: dg.AssetExecutionContext) -> LazyShards:
        return LazyShards(context.partition_keys, make)

    return made


@dg.asset(io_manager_key="shard_tables", **sharded)
def image_quality(preproc: LazyShards) -> LazyShards:
    def measure(images: io.ShardImages) -> pl.DataFrame:
        sizes = [images.path(image_id).stat().st_size for image_id in images.pictured["image_id"]]
        return images.pictured.select("image_id", "filename").with_columns(bytes=pl.Series(sizes))

    return preproc.map(measure)


def test_jpegs_and_their_table(bench: Bench) -> None:
    pictures = photos_asset(lambda shard: Photos([f"{shard}-a", f"{shard}-b"]))
    assert bench.run(pictures, image_quality, first=KEYS[0], last=KEYS[1]).success
    assert bench.store.jpeg_path(KEYS[1], "shard-00001-b").read_bytes() == b"jpeg of shard-00001-b"
    assert bench.store.scan("image_quality").collect()["bytes"].to_list() == [21] * 4


def test_each_shard_tells_where_its_time_went(bench: Bench) -> None:
    def make(shard: str) -> Photos:
        current().add("decode", 7.0)
        current().count(2)
        return Photos([f"{shard}-a", f"{shard}-b"])

    result = bench.run(photos_asset(make), image_quality, first=KEYS[0], last=KEYS[1])
    for made in result.asset_materializations_for_node("preproc"):
        told = {key: value.value for key, value in made.metadata.items()}
        assert (told["seconds_decode"], told["images"]) == (7.0, 2)
        assert told["seconds_write"] > 0, "its JPEGs and its table"
        assert told["images_per_second"] == pytest.approx(2 / told["seconds"], rel=0.2)
    for made in result.asset_materializations_for_node("image_quality"):
        told = {key: value.value for key, value in made.metadata.items()}
        assert told["images"] == told["images_per_second"] == 0, "no image is worked on"
        assert told["seconds_read"] + told["seconds_compute"] + told["seconds_write"] <= told["seconds"] + 0.01


def test_jpegs_that_no_row_names_are_removed(bench: Bench) -> None:
    assert bench.run(photos_asset(lambda shard: Photos(["a", "b"])), first=KEYS[0]).success
    assert bench.run(photos_asset(lambda shard: Photos(["b", "c"])), first=KEYS[0]).success
    assert {path.stem for path in bench.store.jpeg_path(KEYS[0], "x").parent.iterdir()} == {"b", "c"}


def test_a_crash_among_the_jpegs_leaves_the_shard_incomplete(bench: Bench) -> None:
    crashing = photos_asset(
        lambda shard: Photos([f"{shard}-{i}" for i in range(4)], crash_after=2 if shard == KEYS[1] else 99)
    )
    result = bench.run(crashing, first=KEYS[0], last=KEYS[1])
    assert not result.success
    assert "disk full" in error_of(result)
    assert bench.store.shards("preproc") == [KEYS[0]]
    assert not any(".tmp" in name for name in bench.files())


def made_by(name: str, manager: str, make: Callable[[], Any]) -> dg.AssetsDefinition:
    @dg.asset(name=name, io_manager_key=manager)
    def made() -> Any:
        return make()

    return made


def reader_of(name: str, seen: list[Any]) -> dg.AssetsDefinition:
    @dg.asset(name="data_card", io_manager_key="files", ins={"given": dg.AssetIn(name)})
    def reader(given: Any) -> Any:
        seen.append(given)
        return io.Files({"reports/data_card.md": b"#"}, {})

    return reader


def test_files_are_read_back_as_paths(bench: Bench) -> None:
    seen: list[Any] = []
    files = made_by("eigenfaces", "files", lambda: io.Files({"composites/e.jpg": b"123"}, {"faces": 40}))
    result = bench.run(files, reader_of("eigenfaces", seen))
    assert result.success
    assert seen == [{"composites/e.jpg": bench.store.processed / "composites/e.jpg"}]
    facts = result.asset_materializations_for_node("eigenfaces")[0].metadata
    assert (facts["faces"].value, facts["files"].value, facts["bytes"].value) == (40, 1, 3)


def test_previews_are_on_the_page_only_when_asked_for_and_stay_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), dtype=np.uint8)
    pictures = {f"composites/{name}.jpg": encode_jpeg(Image.fromarray(noise), 95) for name in ("all", "one")}
    shown = io.previews_of(io.Files({**pictures, "composites.parquet": b"1"}, {}, previews=tuple(pictures)))
    assert list(shown) == ["preview: all", "preview: one"]
    assert sum(len(str(value.value)) for value in shown.values()) <= 50_000
    with dg.DagsterInstance.ephemeral() as instance:
        for previews in (False, True):
            bench = Bench(tmp_path / str(previews), instance, previews=previews)
            made = made_by("eigenfaces", "files", lambda: io.Files(pictures, {}, previews=("composites/all.jpg",)))
            facts = bench.run(made).asset_materializations_for_node("eigenfaces")[0].metadata
            assert ("preview: all" in facts) is previews
    assert str(facts["preview: all"].value).startswith("![all](data:image/jpeg;base64,")


@pytest.mark.parametrize(
    ("name", "manager"),
    [("eigenfaces", "files"), ("gender_classifier", "probes"), ("attractiveness_regressor", "torch_checkpoints")],
)
def test_skipped_is_recorded_with_its_reason_and_read_as_none(bench: Bench, name: str, manager: str) -> None:
    seen: list[Any] = []
    result = bench.run(made_by(name, manager, lambda: io.Skipped("no labels")), reader_of(name, seen))
    assert result.success
    assert seen == [None]
    recipe = bench.store.recipe(name)
    assert recipe is not None
    assert recipe.skipped == "no labels"
    assert result.asset_materializations_for_node(name)[0].metadata["skipped"].value == "no labels"


def test_skipping_removes_what_was_made_before(bench: Bench) -> None:
    assert bench.run(made_by("eigenfaces", "files", lambda: io.Files({"composites/e.jpg": b"123"}, {}))).success
    assert bench.run(made_by("eigenfaces", "files", lambda: io.Skipped("too few"))).success
    assert bench.files() == {"processed/.receipts/eigenfaces.json"}


@pytest.mark.parametrize("manager", ["files", "probes", "torch_checkpoints", "tables"])
def test_what_was_never_made_is_named_with_what_to_do(bench: Bench, manager: str) -> None:
    name = {
        "probes": "gender_classifier",
        "torch_checkpoints": "attractiveness_regressor",
        "tables": "near_duplicates",
    }.get(manager, "eigenfaces")
    result = bench.run(made_by(name, manager, lambda: None), reader_of(name, []), only="data_card")
    assert not result.success
    assert f"{name} has not been made yet" in error_of(result)
    assert "facestats run" in error_of(result)


def test_checkpoint_round_trip(bench: Bench) -> None:
    seen: list[Any] = []
    weights = torch.arange(6.0).reshape(2, 3)
    made = made_by(
        "attractiveness_regressor",
        "torch_checkpoints",
        lambda: {"weights": weights, "metrics": {"r": 0.5, "curve": [1, 2]}},
    )
    result = bench.run(made, reader_of("attractiveness_regressor", seen))
    assert result.success
    assert torch.equal(seen[0]["weights"], weights)
    assert seen[0]["metrics"] == {"r": 0.5, "curve": [1, 2]}
    assert "models/attractiveness_regressor.pt" in bench.files()
    facts = result.asset_materializations_for_node("attractiveness_regressor")[0].metadata
    assert facts["r"].value == 0.5
    assert "curve" not in facts


class Malice:
    """Runs code when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return (Path.touch, (self.proof,))


def write_pickle(path: Path, proof: Path) -> None:
    path.write_bytes(pickle.dumps({"weights": Malice(proof)}, protocol=2))


def write_torch_pickle(path: Path, proof: Path) -> None:
    torch.save({"weights": Malice(proof)}, path)


def write_text(path: Path, proof: Path) -> None:
    path.write_text("not a checkpoint")


def write_list(path: Path, proof: Path) -> None:
    torch.save([1, 2, 3], path)


@pytest.mark.parametrize("write", [write_pickle, write_torch_pickle, write_text, write_list])
def test_anything_but_tensors_and_plain_values_is_refused_by_name(
    tmp_path: Path, write: Callable[[Path, Path], None]
) -> None:
    path, proof = tmp_path / "attractiveness_regressor.pt", tmp_path / "code was run"
    write(path, proof)
    with pytest.raises(ValueError, match=r"attractiveness_regressor\.pt"):
        io.load_checkpoint(path)
    assert not proof.exists()


def test_probe_round_trip(bench: Bench) -> None:
    y = [GENDERS[i % 2] for i in range(80)]
    x = mixture(y, dim=16)
    probe = train_classifier(
        x,
        y,
        GENDERS,
        attribute="gender",
        image_ids=ids_of(80),
        encoder_id="e@1",
        provenance=Provenance("human", "labels.csv", "0" * 64),
        kind="logistic",
    )
    seen: list[Any] = []
    result = bench.run(made_by("gender_classifier", "probes", lambda: probe), reader_of("gender_classifier", seen))
    assert result.success
    assert np.array_equal(seen[0].predict_proba(x), probe.predict_proba(x))
    written = {name for name in bench.files() if name.startswith("models/")}
    assert "models/gender_clf.skops" in written
    assert all(name.startswith("models/gender_clf") for name in written), "no temporary file is left"
    receipt = bench.store.receipt("gender_classifier")
    assert receipt is not None
    assert {f"models/{name}" for name in receipt.files} == written
