"""The whole pipeline on an S3 server, through a network that fails: the same tables as on a disk, nothing lost and nothing double."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from facestats_pipeline.cli.main import app
from facestats_pipeline.collection.pipeline import Pipeline, Report, open_instance
from facestats_pipeline.config import load_settings
from facestats_pipeline.io.layout import SHARD_TABLES, TABLES
from facestats_pipeline.io.remote import Remote
from facestats_pipeline_tests.demo_collection import QUICK, opened
from facestats_pipeline_tests.s3_server import BUCKET, FAULTS, KEYS, FaultyProxy, environment, s3_server

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(3000)]
pytest.importorskip("s3fs", reason="the extra s3 is not installed")
URI = f"s3://{BUCKET}/collection"
OF_THE_MOMENT = ["added_at", "mtime_ns"]  # when a photo was seen, and what tells a change of it


class Bucket:
    """A bucket with the photos and labels of a folder, reached directly or through a network that fails."""

    def __init__(self, direct: str, faulty: FaultyProxy, patch: pytest.MonkeyPatch) -> None:
        self.direct, self.faulty, self.patch = direct, faulty, patch

    def reach(self, address: str) -> None:
        import s3fs

        for name, value in environment(address).items():
            self.patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()

    def machine(self, folder: Path, address: str) -> Pipeline:
        """The pipeline as a machine sees it that has its copies in `folder`."""
        self.reach(address)
        settings = load_settings(environ={}, data_uri=URI, data_dir=folder, **{"storage.attempts": 20}, **QUICK)
        return Pipeline(settings, open_instance(folder / ".dagster"))

    def objects(self) -> set[str]:
        """Names of all objects."""
        self.reach(self.direct)
        return {name for name, _ in Remote(URI).walk()}


@pytest.fixture(scope="module")
def bucket(collection: Path) -> Iterator[Bucket]:
    with s3_server() as address, pytest.MonkeyPatch.context() as patch:
        faulty = FaultyProxy(address, every=12, seed=1)
        made = Bucket(address, faulty, patch)
        made.reach(address)
        remote = Remote(URI)
        for part in ("raw", "labels"):
            for path in (collection / part).rglob("*"):
                if path.is_file():
                    remote.write(path.relative_to(collection).as_posix(), path.read_bytes())
        yield made
        faulty.close()


@pytest.fixture(scope="module")
def run(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, Report]:
    """The first run, through the network that fails."""
    pipeline = bucket.machine(tmp_path_factory.mktemp("machine") / "copies", bucket.faulty.address)
    return pipeline, pipeline.update()


def test_the_tables_are_those_of_a_run_on_a_disk(
    run: tuple[Pipeline, Report], bucket: Bucket, collection: Path, tmp_path: Path
) -> None:
    pipeline, report = run
    local, there = opened(collection), bucket.machine(tmp_path / "another machine", bucket.direct)
    assert report.discovered["added"] == local.folder.store.read_table("raw_photos").height
    assert set(bucket.faulty.injected) == set(FAULTS)
    assert sum(bucket.faulty.injected.values()) >= 20, bucket.faulty.injected
    for name in pipeline.freshness.graph:
        shards = local.shards if name in SHARD_TABLES else [None]
        for shard in shards:
            here = local.folder.store.recipe(name, shard)
            assert there.folder.store.recipe(name, shard) == here, (name, shard)
            if name in SHARD_TABLES or name in TABLES:
                ours, theirs = (each.folder.store.read_table(name, shard) for each in (there, local))
                assert ours.drop(OF_THE_MOMENT, strict=False).equals(theirs.drop(OF_THE_MOMENT, strict=False)), name
            elif name in ("composites", "attributes_csv") and here is not None:
                for file in here_files(local, name):
                    assert (
                        there.folder.store.file(name, file).read_bytes()
                        == local.folder.store.file(name, file).read_bytes()
                    )


def here_files(pipeline: Pipeline, name: str) -> list[str]:
    record = pipeline.folder.store.record(name)
    return list(record.files) if record is not None else []


def test_there_is_one_object_for_each_file_and_one_for_the_jpegs_of_a_shard(
    run: tuple[Pipeline, Report], bucket: Bucket, collection: Path
) -> None:
    there = {name for name in bucket.objects() if not name.startswith(("raw/", "labels/"))}
    files = {
        path.relative_to(collection).as_posix()
        for part in ("processed", "models")
        for path in (collection / part).rglob("*")
        if path.is_file() and ".tmp" not in path.parts
    }
    expected = {
        f"{name.rpartition('/')[0]}.parquet" if name.startswith("processed/preproc/") else name for name in files
    }
    assert there == expected


def test_the_jpegs_are_the_same(run: tuple[Pipeline, Report], bucket: Bucket, collection: Path, tmp_path: Path) -> None:
    store = bucket.machine(tmp_path / "m", bucket.direct).folder.store
    for path in sorted((collection / "processed" / "preproc").rglob("*.jpg"))[::7]:
        assert store.jpeg_path(path.parent.name, path.stem).read_bytes() == path.read_bytes()


def test_a_machine_without_copies_finds_everything_done_and_takes_in_one_more_photo(
    run: tuple[Pipeline, Report], bucket: Bucket, collection: Path, tmp_path: Path
) -> None:
    pipeline = bucket.machine(tmp_path / "m", bucket.direct)
    first = pipeline.update()
    assert first.made == [] and first.discovered["unchanged"] > 0
    assert not list((tmp_path / "m" / "processed" / "preproc").rglob("*.jpg"))  # looking fetches no photo
    before = {name: pipeline.folder.store.recipe("master", name) for name in pipeline.shards}
    photo = next(path for path in (collection / "raw").rglob("*.jpg"))
    Remote(URI).write("raw/added/one.jpg", photo.read_bytes() + b"another image")
    second = pipeline.update()
    assert second.discovered["added"] == 1
    changed = {name for name in before if pipeline.folder.store.recipe("master", name) != before[name]}
    assert changed == {pipeline.shards[-1]}
    master = pipeline.folder.store.scan("master").collect()
    assert master["image_id"].is_unique().all() and "added/one.jpg" in master["filename"]


def test_an_image_is_erased_from_the_bucket(
    run: tuple[Pipeline, Report], bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.reach(bucket.direct)
    store = run[0].folder.store
    store.refresh()
    gone = str(store.scan("embeddings_clip").head(1).collect()["image_id"].item())
    for name, value in {"FACESTATS_DATA_URI": URI, "FACESTATS_DATA_DIR": str(tmp_path / "m")}.items():
        monkeypatch.setenv(name, value)
    for key, value in QUICK.items():
        monkeypatch.setenv(f"FACESTATS_{key.replace('.', '_').upper()}", str(value))
    bucket.machine(tmp_path / "m", bucket.direct).instance.dispose()
    result = CliRunner().invoke(app, ["erase", gone, "--yes", "--json", "--no-remake"])
    assert result.exit_code == 0, result.output
    remote = Remote(URI)
    for name in bucket.objects():
        if name.endswith(".parquet") and not name.startswith("raw/"):
            frame = pl.read_parquet(remote.read(name))
            if "image_id" in frame.columns:
                assert gone not in frame["image_id"].to_list(), name
        elif not name.startswith("raw/"):
            assert gone.encode() not in remote.read(name), name


def test_no_secret_no_address_and_no_photo_is_in_dagsters_log(run: tuple[Pipeline, Report], bucket: Bucket) -> None:
    pipeline, _ = run
    ids = pipeline.folder.store.scan("master").select("image_id").collect()["image_id"].to_list()
    words = [KEYS["AWS_SECRET_ACCESS_KEY"], KEYS["AWS_ACCESS_KEY_ID"], bucket.faulty.address, *ids]
    home = Path(pipeline.instance.root_directory)
    content = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert len(content) > 10_000
    assert [word for word in words if word.encode() in content] == []
