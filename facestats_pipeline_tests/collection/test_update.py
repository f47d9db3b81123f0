"""End to end: photos in, every artifact out, and afterwards only what is new is worked on."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from facestats_pipeline.cli.run import execute
from facestats_pipeline.collection.collection import Collection
from facestats_pipeline.collection.pipeline import QUIET, Report, Step, UpdateFailed
from facestats_pipeline.collection.run import photo_counts, skipped_assets
from facestats_pipeline.config import PROJECT_ROOT, load_settings, save_settings
from facestats_pipeline.core.demo.faces import generate_demo
from facestats_pipeline.core.ingest.identity import encode_filename
from facestats_pipeline.io.layout import SHARD_TABLES
from facestats_pipeline.io.plan import RANGE_END, RANGE_START
from facestats_pipeline_tests.demo_collection import FACES, QUICK, opened
from facestats_pipeline_tests.hostile import write_hostile_files

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DESIGNED = [
    *SHARD_TABLES.values(),
    "metadata/near_duplicates.parquet",
    "metadata/attractiveness_scores.npy",
    "metadata/fairface_label_structure.parquet",
    "metadata/feature_index.json",
    "metadata/labels_template.csv",
    "embeddings/embedding_index.usearch",
    "composites.parquet",
    "composites/everyone.jpg",
    "composites/all.jpg",
    "composites/eigenfaces.jpg",
    "reports/learning_curves.json",
    "reports/learning_curves.png",
    "reports/bias_audit.parquet",
    "reports/bias_gender.png",
    "reports/data_card.md",
    "reports/model_card_gender.md",
    "reports/model_card_attractiveness.md",
    "reports/distributions.png",
    "reports/clusters.png",
    "reports/contact_sheet.jpg",
]
MODELS = [
    "gender_clf.skops",
    "ethnicity_clf.skops",
    "age_model.skops",
    "attractiveness_regressor.pt",
    "attractiveness_reference.npy",
    "cluster_model.safetensors",
]
ONE_ROW_PER_IMAGE = set(SHARD_TABLES) - {"manifest", "attributes_clean", "face_geometry"}


def table(data: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(data / "processed" / SHARD_TABLES[name])


def files_of(folder: Path, pattern: str = "**/*") -> dict[str, tuple[int, bytes]]:
    """Path → time and content of every file, temporary ones left out."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.glob(pattern)
        if path.is_file()
    }


def test_every_artifact_is_made(first_run: tuple[Path, Report]) -> None:
    data, report = first_run
    assert [name for name in DESIGNED if not (data / "processed" / name).exists()] == []
    assert [name for name in MODELS if not (data / "models" / name).is_file()] == []
    assert report.failed_checks == []
    assert set(skipped_assets(opened(data))) == {"manual_label_report", "published_splits"}, (
        "no files of these are given"
    )
    assert set(report.made) == set(opened(data).freshness.graph) - {"raw_photos", "mini_encoder"}
    assert list(data.rglob(".tmp/*")) == []


def test_no_photo_is_lost_between_the_stages(first_run: tuple[Path, Report]) -> None:
    data, report = first_run
    assert report.discovered == {"added": FACES + 4, "changed": 0, "removed": 0, "unchanged": 0}
    assert photo_counts(opened(data).folder.store) == {"ok": FACES, "duplicate": 2, "corrupt": 1, "unsupported": 1}
    manifest = table(data, "manifest")
    live = set(manifest.filter(pl.col("status") == "ok")["image_id"])
    assert len(live) == FACES
    assert manifest["shard"].value_counts().sort("shard")["count"].to_list() == [24, 24, 16]
    for name in ONE_ROW_PER_IMAGE:
        rows = table(data, name)
        assert rows.height == FACES, name
        assert set(rows["image_id"]) == live, name
    pictures = {path.stem for path in (data / "processed" / "preproc").rglob("*.jpg")}
    assert pictures == live
    scores = np.load(data / "processed/metadata/attractiveness_scores.npy", allow_pickle=False)
    assert scores.tolist() == table(data, "attractiveness_scores")["attractiveness_raw"].to_list()


def test_embeddings_are_as_designed(collection: Path) -> None:
    embeddings = table(collection, "embeddings_clip")
    assert embeddings.schema["embedding"] == pl.Array(pl.Float32, 512)
    assert np.linalg.norm(embeddings["embedding"].to_numpy(), axis=1) == pytest.approx(1, abs=1e-5)
    assert embeddings["model_id"].unique().to_list() == ["facestats-test-tiny/untrained@0"]


def test_gender_is_recovered_for_rows_whose_label_the_model_had_not_seen(collection: Path) -> None:
    truth = pl.read_csv(collection / "labels" / "demo_truth.csv").select("file", "gender")
    master = table(collection, "master").select("image_id", "filename", "prediction_kind")
    held_out = pl.read_parquet(collection / "models" / "gender_clf_oof.parquet")
    rows = held_out.join(master, on="image_id").join(truth, left_on="filename", right_on="file")
    assert rows.height > 40
    assert rows["prediction_kind"].unique().to_list() == ["out_of_fold"]
    right = ((pl.col("p_1") > pl.col("p_0")) == (pl.col("gender") == "Male")).mean()
    assert rows.select(right).item() > 0.6
    shuffled = rows.with_columns(pl.col("gender").shuffle(seed=1))
    assert shuffled.select(right).item() < 0.6, "the test itself would notice"


def test_a_second_run_makes_nothing(copy_of_collection: Path) -> None:
    before = files_of(copy_of_collection, "processed/**/*") | files_of(copy_of_collection, "models/**/*")
    report = opened(copy_of_collection).update()
    assert report.made == []
    assert report.discovered == {"added": 0, "changed": 0, "removed": 0, "unchanged": FACES + 4}
    after = files_of(copy_of_collection, "processed/**/*") | files_of(copy_of_collection, "models/**/*")
    assert after.keys() == before.keys()
    assert [name for name in before if after[name] != before[name]] == ["processed/inventory.parquet"]


def test_the_nightly_timer_runs_a_command_that_works(copy_of_collection: Path) -> None:
    """deploy/nightly, for machines on which Dagster's daemon does not run."""
    unit = (PROJECT_ROOT / "deploy" / "nightly" / "facestats.service").read_text(encoding="utf-8")
    (line,) = (line for line in unit.splitlines() if line.startswith("ExecStart="))
    command, *arguments = line.removeprefix("ExecStart=").replace("%h/faces", str(copy_of_collection)).split()
    assert command == "facestats"
    installed = Path(sys.executable).with_name(command)
    ran = subprocess.run([installed, *arguments], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (0, "Nothing to do: everything is up to date."), ran.stderr


def test_new_and_removed_photos_touch_only_their_shards(
    copy_of_collection: Path, more_faces: Callable[[int, Path], list[str]]
) -> None:
    data = copy_of_collection
    before = files_of(data / "processed")
    sealed = [name for name in before if "shard-00000" in name or "shard-00001" in name]
    pictures = sum("shard-00002" not in name and "preproc/" in name for name in before)
    assert len(sealed) == 2 * len(SHARD_TABLES) + pictures + 2, "each shard's tables, its photos and its contact sheet"

    more_faces(5, data / "raw")
    report = opened(data).update()
    after = files_of(data / "processed")
    assert report.discovered["added"] == 5
    assert [name for name in sealed if after[name] != before[name]] == []
    assert report.rows["embeddings_clip"] == 16 - 4 + 5, (
        "the open shard alone; the four without a face in it are set aside"
    )
    open_pictures = [name for name in before if name.startswith("preproc/shard-00002")]
    assert [name for name in open_pictures if after[name] != before[name]] == [], "what was there is reused"
    assert table(data, "master").height == FACES + 5
    assert not {"gender_classifier", "cluster_model", "attractiveness_regressor"} & set(report.made)

    only_there = (pl.col("shard") == "shard-00001") & pl.col("image_id").is_unique()
    gone = table(data, "manifest").filter(only_there & (pl.col("status") == "ok")).row(0, named=True)
    (data / "raw" / gone["filename"]).unlink()
    before = files_of(data / "processed")
    report = opened(data).update()
    after = files_of(data / "processed")
    assert report.discovered["removed"] == 1
    tombstone = table(data, "manifest").filter(pl.col("image_id") == gone["image_id"])
    assert tombstone.select("status", "reason", "width").rows() == [("removed", "the file is gone", gone["width"])]
    for name in set(SHARD_TABLES) - {"manifest"}:
        assert gone["image_id"] not in table(data, name)["image_id"].to_list(), name
    assert not list((data / "processed" / "preproc").rglob(f"{gone['image_id']}.jpg"))
    assert gone["filename"] not in (data / "processed/metadata/feature_index.json").read_text()
    others = [name for name in before if "shard-" in name and "shard-00001" not in name]
    assert [name for name in others if after.get(name) != before[name]] == []
    assert table(data, "master").height == FACES + 4
    assert opened(data).update().made == []


def test_a_changed_setting_makes_its_stage_stale_and_again(copy_of_collection: Path) -> None:
    data = copy_of_collection
    pipeline = opened(data, **{"preproc.quality": 60})
    stale = {name for (name, _), state in pipeline.states().items() if state.status != "done"}
    assert {"preproc", "embeddings_clip", "gender_classifier", "master", "composites"} <= stale
    assert not {"raw_photos", "manifest", "fairface_label_structure"} & stale
    before = files_of(data / "processed" / "preproc")
    pipeline.execute(Step(("preproc",), tuple(pipeline.shards)))
    after = files_of(data / "processed" / "preproc")
    assert after.keys() == before.keys()
    assert all(len(after[name][1]) < len(before[name][1]) for name in before)
    assert pipeline.states()["preproc", "shard-00000"].status == "done"


def test_a_failing_step_is_named_and_what_was_made_stays(
    copy_of_collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = copy_of_collection
    with (data / "labels" / "ratings.csv").open("a") as ratings:
        ratings.write("\n")
    pipeline = opened(data)

    def run_training(*args: object, **kwargs: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("facestats_pipeline.core.attractiveness.regressor.run_training", run_training)
    with pytest.raises(UpdateFailed, match=r"attractiveness_regressor failed: .*the disk is full") as failure:
        pipeline.update()
    assert "Traceback" not in str(failure.value)
    assert "attractiveness_regressor" not in failure.value.report.made
    assert pipeline.states()["preproc", "shard-00000"].status == "done"


def texts_of(database: Path) -> str:
    """All that a SQLite file holds, as text."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        return "\n".join(str(row) for name in names for row in connection.execute(f'select * from "{name}"'))


def test_no_image_id_and_no_file_name_in_the_event_log(collection: Path) -> None:
    databases = list((collection / ".dagster").rglob("*.db"))
    text = "\n".join(texts_of(path) for path in databases)
    assert "embeddings_clip" in text, "the event log was found"
    rest = [path for path in (collection / ".dagster").rglob("*") if path.is_file() and path not in databases]
    text += "\n".join(path.read_bytes().decode(errors="replace") for path in rest)
    manifest = table(collection, "manifest")
    assert [name for name in manifest["filename"] if name in text or Path(name).name in text] == []
    assert [image_id for image_id in manifest["image_id"].drop_nulls() if image_id in text] == []


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, frozenset[str]], dict]:
    """Twenty good faces among hostile files, without labels or ratings: folder, expected statuses, summary."""
    data = tmp_path_factory.mktemp("hostile") / "data"
    generate_demo(20, data / "raw" / "good", data / "labels", seed=5)
    for path in (data / "labels").iterdir():
        path.unlink()
    expected = write_hostile_files(data / "raw")
    save_settings(data, QUICK)
    return data, expected, execute(Collection(load_settings(environ={}, data_dir=data)), quiet=True)


def test_hostile_files_are_in_the_manifest_with_their_status(hostile_run: tuple) -> None:
    data, expected, summary = hostile_run
    assert summary["error"] == ""
    assert summary["failed_checks"] == []
    manifest = table(data, "manifest")
    statuses = dict(manifest.select("filename", "status").iter_rows())
    wrong = {
        name: (statuses.get(encode_filename(name)), sorted(right))
        for name, right in expected.items()
        if statuses.get(encode_filename(name)) not in right
    }
    assert wrong == {}
    assert len(expected) >= 60
    assert manifest.height == len(expected) + 20
    assert all(statuses[name] == "ok" for name in statuses if name.startswith("good/"))
    unexplained = manifest.filter((pl.col("status") != "ok") & (pl.col("reason").fill_null("") == ""))
    assert unexplained["filename"].to_list() == []
    assert table(data, "master").height == manifest.filter(pl.col("status") == "ok").height


def test_without_labels_and_ratings_models_are_skipped_with_a_reason(hostile_run: tuple) -> None:
    data, _, summary = hostile_run
    skipped = summary["skipped"]
    for name in ("gender_classifier", "ethnicity_classifier", "age_model", "bias_audit"):
        assert "labels.csv" in skipped[name]
    assert "ratings.csv" in skipped["attractiveness_regressor"]
    for name in ("attractiveness_reference", "attractiveness_scores_npy", "learning_curves", "model_cards"):
        assert skipped[name]
    master = table(data, "master")
    assert master["gender_final"].unique().to_list() == ["unknown"]
    assert master["attractiveness_raw"].null_count() == master.height


def test_tables_have_the_same_columns_with_and_without_models(hostile_run: tuple, collection: Path) -> None:
    for name in SHARD_TABLES:
        assert table(hostile_run[0], name).schema == table(collection, name).schema, name


def test_a_second_run_over_hostile_files_makes_nothing(hostile_run: tuple) -> None:
    assert opened(hostile_run[0]).update().made == []


def test_the_jobs_of_the_web_page_alone_make_everything(tmp_path: Path) -> None:
    """`discover_photos`, then `update_shards` over all shards: afterwards `facestats run` finds nothing to do."""
    data = tmp_path / "data"
    generate_demo(12, data / "raw", data / "labels", seed=3)
    pipeline = opened(data, **QUICK | {"shard_size": 8})
    for job in ("discover_photos", "update_shards"):
        tags = {RANGE_START: pipeline.shards[0], RANGE_END: pipeline.shards[-1]} if job == "update_shards" else {}
        result = pipeline.definitions.resolve_job_def(job).execute_in_process(
            instance=pipeline.instance, tags=tags, run_config=QUIET, raise_on_error=False
        )
        assert result.success, job
    assert pipeline.shards == ["shard-00000", "shard-00001"]
    assert table(data, "master").height == 12
    assert {name for (name, _), state in pipeline.states().items() if state.status != "done"} == {"mini_encoder"}
    assert pipeline.update().made == []
