"""`facestats erase` and `facestats lineage` on a whole collection: afterwards every file of the data folder is searched."""

import json
import sqlite3
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from facestats_pipeline.cli.main import main
from facestats_pipeline.collection.pipeline import Step
from facestats_pipeline.core.embeddings.index import load_index
from facestats_pipeline.core.erasure.tombstones import PREFIX
from facestats_pipeline.io.erasure.erase import Eraser, marked_models
from facestats_pipeline.io.layout import INDEX, SHARD_TABLES
from facestats_pipeline.io.locks import FolderLocks
from facestats_pipeline_tests.demo_collection import FACES, opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def table(data: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(data / "processed" / SHARD_TABLES[name])


def contents(path: Path) -> Iterator[bytes]:
    """A file's name and bytes, and what its format hides: compressed pages, dictionaries, members, database values."""
    data = path.read_bytes()
    yield path.name.encode()
    yield data
    if data[:4] == b"PAR1":
        texts = [
            field.name
            for field in pq.read_schema(path)
            if pa.types.is_large_string(field.type) or pa.types.is_string(field.type)
        ]
        for dictionaries in ([], texts):
            for column in pq.read_table(path, read_dictionary=dictionaries).columns:
                for chunk in column.chunks:
                    for array in (chunk, chunk.dictionary) if isinstance(chunk, pa.DictionaryArray) else (chunk,):
                        yield from (buffer.to_pybytes() for buffer in array.buffers() if buffer is not None)
        yield repr(pq.read_metadata(path).to_dict()).encode()
    elif path.name == Path(INDEX).name:
        yield " ".join(load_index(path).ids).encode()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as members:
            yield from (members.read(name) for name in members.namelist())
    elif data[:15] == b"SQLite format 3":
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
            for name in names:
                yield from (str(row).encode() for row in connection.execute(f'select * from "{name}"'))


def search(data: Path, needles: dict[str, bytes]) -> dict[str, set[str]]:
    """What is looked for → the files under the data folder that hold it."""
    found: dict[str, set[str]] = {name: set() for name in needles}
    for path in (path for path in data.rglob("*") if path.is_file()):
        for part in contents(path):
            for name, needle in needles.items():
                if needle in part:
                    found[name].add(path.relative_to(data).as_posix())
    return found


def needles_of(data: Path, image: dict[str, object]) -> dict[str, bytes]:
    """Everything by which an image could be recognised in a file."""
    image_id, filename = str(image["image_id"]), str(image["filename"])
    vector = table(data, "embeddings_clip").filter(pl.col("image_id") == image_id)["embedding"].to_numpy()[0]
    hashes = table(data, "image_quality")
    mine = hashes.filter(pl.col("image_id") == image_id)["phash"].item()
    return {
        "id": image_id.encode(),
        "path": filename.encode(),
        "name": Path(filename).name.encode(),
        "photo": (data / "raw" / filename).read_bytes(),
        "picture": (data / "processed" / "preproc" / str(image["shard"]) / f"{image_id}.jpg").read_bytes(),
        "vector f32": vector.astype(np.float32).tobytes(),
        "vector f16": vector.astype(np.float16).tobytes(),
        "phash": mine.encode(),
    }


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Standard output of a command that ends well."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(arguments)
    said = capsys.readouterr()
    assert end.value.code == 0, said.err
    return said.out


def images(data: Path) -> dict[str, dict[str, object]]:
    """One image with a copy, labels and ratings; one that nobody ever labelled or rated."""
    manifest = table(data, "manifest")
    labels, ratings = (set(pl.read_csv(data / "labels" / f"{name}.csv")["file"]) for name in ("labels", "ratings"))
    copies = set(manifest.filter(pl.col("status") == "duplicate")["image_id"])
    live = manifest.filter(pl.col("status") == "ok").to_dicts()
    known = next(row for row in live if row["image_id"] in copies and row["filename"] in labels & ratings)
    unknown = next(row for row in live if row["filename"] not in labels | ratings and row["image_id"] not in copies)
    return {"known": known, "unknown": unknown}


def test_lineage_goes_from_the_photo_to_every_row(collection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = images(collection)["known"]
    told = json.loads(run(["lineage", str(image["filename"]), "--json", "-d", str(collection)], capsys))
    assert told["image_ids"] == [image["image_id"]]
    assert [file["state"] for file in told["files"]] == ["ok", "duplicate"]
    held = {}
    for one in told["held"]:
        held.setdefault(one["artifact"], one)
    in_tables = {name for name in SHARD_TABLES if image["image_id"] in table(collection, name)["image_id"]}
    assert {one["artifact"] for one in told["held"] if one["kind"] == "table"} == in_tables
    assert held["embedding_index"]["note"] == "an entry"
    assert held["feature_index"]["note"] == "named in it"
    assert "everyone" in held["composites"]["note"]
    assert held["gender_classifier"]["note"] == held["attractiveness_regressor"]["note"] == "trained on it"
    assert held["master"]["values"]["width"] == image["width"]
    assert {"labels.csv", "ratings.csv", "raw file", "preproc"} <= set(held)
    with_runs = [one for one in told["held"] if one["stage"] != "provided"]
    assert [
        one["artifact"] for one in with_runs if not (one["run_id"] and one["fingerprint"] and one["code_version"])
    ] == []
    pictures = [one["path"] for one in told["held"] if one["kind"] == "picture"]
    assert pictures == [f"processed/preproc/{image['shard']}/{image['image_id']}.jpg"]
    shown = run(["lineage", str(image["image_id"]), "-d", str(collection)], capsys)
    assert "embeddings_clip" in shown
    assert "trained on it" in shown


class Killed(BaseException):
    """Nothing may catch it, as nothing catches a kill."""


def killed(*_: object) -> None:
    raise Killed


def test_an_erased_image_is_nowhere_also_when_erasing_was_killed(
    copy_of_collection: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, image = copy_of_collection, images(copy_of_collection)["known"]
    photo = (data / "raw" / str(image["filename"])).read_bytes()
    (data / "labels" / "manual_labels.csv").write_text(
        f"image_id,attribute,value,annotator,labelled_at\n{image['image_id']},gender,Male,me,2026-11-20T10:00:00Z\n"
    )
    pipeline = opened(data)
    message = f"FileNotFoundError: {data}/raw/{image['filename']} of {image['image_id']}"
    pipeline.instance.report_engine_event(message, pipeline.instance.get_runs(limit=1)[0])
    needles = needles_of(data, image)
    before = search(data, needles)
    assert [name for name, where in before.items() if not where] == [], "the search finds each before"
    assert any(where.startswith(".dagster") for where in before["id"] & before["path"])
    assert f"processed/{INDEX}" in before["id"] & before["vector f16"]
    assert "models/attractiveness_regressor.pt" in before["id"]

    arguments = ["erase", str(image["filename"]), "--raw", "--yes", "--json", "-d", str(data)]
    with monkeypatch.context() as broken, pytest.raises(Killed):
        broken.setattr(Eraser, "_aggregates", killed)
        main(arguments)
    told = json.loads(run(arguments, capsys))
    assert search(data, needles) == {name: set() for name in needles}
    [receipt] = told["erasures"]
    assert receipt["resumed"]
    assert receipt["changes"]["raw photos"] == 2, "the copy too"
    assert receipt["changes"]["rows of metadata/master.parquet"] == 1
    assert receipt["changes"]["texts in Dagster's logs"] >= 2
    assert receipt["to_be_made_again"] == []
    assert not (data / "labels" / "manual_labels.csv").exists(), "it had no other row"
    trained = {"gender_classifier", "attractiveness_regressor", "cluster_model", "attractiveness_reference"}
    assert trained <= set(receipt["models_marked"])
    marked = json.loads(run(["status", "--json", "-d", str(data)], capsys))["artifacts"]
    assert trained <= {row["artifact"] for row in marked if "was trained on 1 since-erased" in row["why"]}
    assert len(load_index(data / "processed" / INDEX)) == FACES - 1

    (data / "raw" / "back again.jpg").write_bytes(photo)
    told = json.loads(run(["erase", "--retrain", "--json", "--yes", "-d", str(data)], capsys))
    assert trained <= set(told["trained_again"])
    pipeline = opened(data)
    assert marked_models(pipeline.freshness) == {}
    report = pipeline.update()
    assert report.made == [], "everything is current"
    assert report.discovered["refused"] == 1
    (data / "raw" / "back again.jpg").unlink()
    assert search(data, needles) == {name: set() for name in needles}


def test_exports_are_named_and_left_as_they_are_until_they_are_made_again(
    copy_of_collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What docs/erasure.md says of exports: no byte of one changes, each is named, and nothing of the folder remembers who was in it."""
    data, image = copy_of_collection, images(copy_of_collection)["unknown"]
    name, where, export = str(image["filename"]), ["-d", str(data)], tmp_path / "export"
    needles = needles_of(data, image)
    exporting = ["export", "csv", str(export), *where]
    run(exporting, capsys)
    held = search(export, needles)
    assert held["id"] and held["path"] and held["picture"], "the search finds them in the export"
    before = {path: path.read_bytes() for path in export.rglob("*") if path.is_file()}

    dry = json.loads(run(["erase", name, "--dry-run", "--json", *where], capsys))
    told = json.loads(run(["erase", name, "--raw", "--yes", "--json", "--no-remake", *where], capsys))
    (note,) = dry["copies_outside"]
    assert str(export) in note
    assert note in told["erasures"][0]["not_searched"]
    receipt = json.loads(Path(told["erasures"][0]["receipt"]).read_text())
    assert note in receipt["not_searched"], "also where it is looked up later"
    assert {path: path.read_bytes() for path in export.rglob("*") if path.is_file()} == before
    assert search(data, needles) == {name: set() for name in needles}

    run([*exporting, "--replace"], capsys)
    assert search(export, needles) == {name: set() for name in needles}
    assert len(list(export.rglob("*.jpg"))) == sum(path.suffix == ".jpg" for path in before) - 1


def test_nothing_is_computed_again_for_one_that_nobody_labelled(
    copy_of_collection: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, image = copy_of_collection, images(copy_of_collection)["unknown"]
    needles = needles_of(data, image)
    shard = str(image["shard"])
    sealed = {path: path.stat().st_mtime_ns for path in data.rglob("shard-*.parquet") if path.stem != shard}
    receipt = json.loads(run(["erase", str(image["image_id"]), "--yes", "--json", "-d", str(data)], capsys))[
        "erasures"
    ][0]
    assert set(receipt["models_marked"]) == {"cluster_model", "attractiveness_reference"}
    in_files = search(data, needles)
    assert {where for files in in_files.values() for where in files} == {f"raw/{image['filename']}"}, (
        "asked to leave it"
    )

    pipeline = opened(data)
    report = pipeline.update()
    assert report.made == []
    assert report.discovered == {"added": 0, "changed": 0, "removed": 0, "unchanged": FACES + 3, "refused": 1}
    assert {path: path.stat().st_mtime_ns for path in sealed} == sealed
    assert {where for files in search(data, needles).values() for where in files} == {f"raw/{image['filename']}"}

    names = [name for name in SHARD_TABLES if name != "manifest"]
    filtered = {name: pipeline.folder.store.read_table(name, shard) for name in SHARD_TABLES}
    report = pipeline.execute(Step(tuple(SHARD_TABLES), (shard,)))
    assert report.failed_checks == []
    for name in names:
        made = pipeline.folder.store.read_table(name, shard)
        # A filter gives what making it again gives, but for the last bits of sums over batches of another size.
        assert_frame_equal(made, filtered[name], abs_tol=1e-4, rel_tol=1e-4)
    stone = pl.col("filename").str.starts_with(PREFIX)
    for rows in (filtered["manifest"], pipeline.folder.store.read_table("manifest", shard)):
        assert rows.filter(stone).select("image_id", "status", "bytes", "width", "added_at").rows() == [
            (None, "removed", None, None, None)
        ]


def test_what_cannot_be_done_is_said_before_anything_is_touched(
    copy_of_collection: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = copy_of_collection
    before = {path: path.stat().st_mtime_ns for path in (data / "processed").rglob("*")}
    image = images(data)["known"]

    def refused(*arguments: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["erase", *arguments, "-d", str(data)])
        assert end.value.code == 1
        return " ".join(capsys.readouterr().err.split())

    assert "not in the collection: nobody.jpg" in refused("nobody.jpg", str(image["filename"]), "--yes")
    assert "name an image" in refused("--yes")
    assert "name an image" in refused("--dry-run")
    assert "add --yes" in refused(str(image["filename"]), "--json")
    assert "cannot be read" in refused("--file", str(tmp_path / "none.txt"), "--yes")
    corrupt = table(data, "manifest").filter(pl.col("image_id").is_null())["filename"].to_list()
    assert all("add --raw" in refused(name, "--yes") for name in corrupt)

    held, done = threading.Event(), threading.Event()

    def work() -> None:
        with FolderLocks(data).hold(what="facestats run"):
            held.set()
            done.wait(60)

    other = threading.Thread(target=work)
    other.start()
    held.wait(10)
    try:
        assert "in use by facestats run" in refused(str(image["filename"]), "--yes")
    finally:
        done.set()
        other.join()
    assert "nothing was changed" in run(["erase", str(image["filename"]), "--dry-run", "-d", str(data)], capsys)
    assert {path: path.stat().st_mtime_ns for path in (data / "processed").rglob("*")} == before
    assert not (data / "erasure").exists()
