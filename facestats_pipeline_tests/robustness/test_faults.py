"""What goes wrong around a run: kills, full disks, photos that vanish or change. Clear errors, nothing corrupt, and on it goes."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from facestats_pipeline.collection.pipeline import Pipeline, Step, UpdateFailed, open_instance
from facestats_pipeline.config import load_settings
from facestats_pipeline.core.demo.faces import generate_demo
from facestats_pipeline.io.store import Store
from facestats_pipeline_tests.robustness import crash

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PHOTOS = 8
SHARD = "shard-00000"
QUICK = {"encoder.name": "facestats-test-tiny/untrained", "preproc.size": 64}
STAGES = ("manifest", "preproc")


def opened(data: Path, **overrides: object) -> Pipeline:
    return Pipeline(load_settings(environ={}, data_dir=data, **QUICK | overrides), open_instance(data / ".dagster"))


def make(pipeline: Pipeline) -> None:
    pipeline.execute(Step(("raw_photos",)))
    pipeline.execute(Step(STAGES, (SHARD,)))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of photos; nothing has been made of them."""
    generate_demo(PHOTOS, tmp_path / "data" / "raw", tmp_path / "labels", seed=2)
    return tmp_path / "data"


def jpegs(data: Path) -> dict[str, tuple[int, bytes]]:
    folder = data / "processed" / "preproc"
    return {path.stem: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*.jpg")}


def whole(data: Path) -> bool:
    return crash.broken_files(data) == [] and crash.temporary_files(data) == []


def test_a_picture_that_was_deleted_by_hand_is_noticed_and_it_alone_is_made_again(data: Path) -> None:
    pipeline = opened(data)
    make(pipeline)
    before = jpegs(data)
    assert len(before) == PHOTOS
    gone = sorted(before)[3]
    pipeline.folder.store.jpeg_path(SHARD, gone).unlink()
    state = pipeline.states()["preproc", SHARD]
    assert (state.status, state.reason) == ("stale", "preprocessed photos are missing")
    pipeline.execute(Step(("preproc",), (SHARD,)))
    after = jpegs(data)
    assert after[gone][1] == before[gone][1]
    assert {name for name in before if after[name] != before[name]} == {gone}
    assert pipeline.states()["preproc", SHARD].status == "done"
    (data / "processed" / "preproc" / SHARD / "stranger.jpg").write_bytes(b"no row names it")
    assert pipeline.states()["preproc", SHARD].status == "stale"


def test_what_a_killed_run_left_is_removed_by_the_next(data: Path) -> None:
    for base in (data / "processed", data / "models"):
        (base / ".tmp" / "folder").mkdir(parents=True)
        (base / ".tmp" / "folder" / "inside").write_bytes(b"x")
        (base / ".tmp" / "half.parquet").write_bytes(b"PAR1")
    opened(data).execute(Step(("raw_photos",)))
    assert crash.temporary_files(data) == []


def test_a_run_that_ends_between_old_and_new_settings_leaves_nothing_that_looks_done(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(opened(data))
    before = jpegs(data)
    written = []

    def failing(self: Store, shard: str, image_id: str, jpeg: bytes) -> None:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(image_id)
        original(self, shard, image_id, jpeg)

    original = Store.write_jpeg
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_jpeg", failing)
        with pytest.raises(UpdateFailed, match=r"preproc failed: .*No space left on device"):
            opened(data, **{"preproc.quality": 40}).execute(Step(("preproc",), (SHARD,)))
    assert whole(data)
    assert {name for name in before if jpegs(data)[name][1] != before[name][1]} == set(written)
    back = opened(data)  # with the first settings again: the pictures of the second must not pass for theirs
    assert back.states()["preproc", SHARD].status != "done"
    back.execute(Step(("preproc",), (SHARD,)))
    assert {name: content for name, (_, content) in jpegs(data).items()} == {n: c for n, (_, c) in before.items()}


def test_a_photo_folder_that_vanishes_during_a_run_stops_it_and_sets_no_photo_aside(data: Path) -> None:
    pipeline = opened(data)
    pipeline.execute(Step(("raw_photos",)))
    (data / "raw").rename(data / "unplugged")
    with pytest.raises(
        UpdateFailed, match=r"manifest failed: .*the photo folder .* is gone; bring it back and run again"
    ):
        pipeline.execute(Step(STAGES, (SHARD,)))
    assert whole(data)
    assert not pipeline.folder.store.path("manifest", SHARD).exists()
    (data / "unplugged").rename(data / "raw")
    pipeline.execute(Step(STAGES, (SHARD,)))
    assert pl.read_parquet(data / "processed" / "manifest.parquet")["status"].unique().to_list() == ["ok"]


def test_a_photo_that_changes_or_goes_between_listing_and_reading_gets_a_row_and_the_next_run_its_due(
    data: Path,
) -> None:
    pipeline = opened(data)
    pipeline.execute(Step(("raw_photos",)))
    first, second, *_ = sorted(path for path in (data / "raw").rglob("*") if path.is_file())
    first.write_bytes(second.read_bytes() + b"more")
    second.unlink()
    pipeline.execute(Step(STAGES, (SHARD,)))
    rows = pl.read_parquet(data / "processed" / "manifest.parquet").filter(pl.col("status") != "ok").sort("filename")
    assert rows["status"].to_list() == ["corrupt", "corrupt"]
    assert "changed after it was listed" in rows["reason"][0]
    assert "No such file" in rows["reason"][1]
    make(opened(data))
    counts = pl.read_parquet(data / "processed" / "manifest.parquet")["status"].value_counts()
    assert dict(counts.iter_rows()) == {"ok": PHOTOS - 1, "removed": 2}
    assert len(jpegs(data)) == PHOTOS - 1


@pytest.fixture
def small_disk(data: Path) -> Iterator[Callable[[str], None]]:
    """`processed` on a disk of its own, too small for eight pictures; call it with mount options to change the disk."""
    processed = data / "processed"
    processed.mkdir()
    if os.geteuid() != 0 or subprocess.call(["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", processed]) != 0:
        pytest.skip("only the superuser can mount a small disk")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", processed], check=True)
    finally:
        subprocess.run(["umount", "-l", processed], check=True)


def test_on_a_full_disk_a_run_stops_with_a_clear_error_and_goes_on_when_there_is_room(
    data: Path, small_disk: Callable[[str], None]
) -> None:
    pipeline = opened(data)
    with pytest.raises(UpdateFailed, match=r"failed: .*(No space left on device|os error 28)"):
        make(pipeline)
    assert whole(data)
    small_disk("size=4m")
    make(pipeline)
    assert len(jpegs(data)) == PHOTOS
    assert whole(data)
    small_disk("ro")
    next(path for path in (data / "raw").rglob("*.jpg")).unlink()
    with pytest.raises(UpdateFailed, match=r"failed: .*Read-only file system"):
        make(opened(data))
    assert len(jpegs(data)) == PHOTOS, "nothing was changed"
    small_disk("rw")
    make(opened(data))
    assert len(jpegs(data)) == PHOTOS - 1


def test_killed_at_random_moments_a_folder_comes_out_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """A few of the moments that `python -m facestats_pipeline_tests.robustness.crash` takes a hundred of."""
    reference = crash.prepare(tmp_path / "undisturbed", labels=False)
    (happened, seconds), (again, idle) = crash.run(reference), crash.run(reference)
    assert (happened, again) == ("done", "done")
    outcome = crash.kill_at_random(tmp_path, reference, seconds, idle, moments=3, seed=1)
    assert outcome.problems == []
    assert len(outcome.moments) == 3
    shutil.rmtree(tmp_path)
