"""A whole collection, driven as a notebook would: run, look, score, search, composite, export, label, trace, erase."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pytest

import facestats_pipeline as facestats
from facestats_pipeline.config import save_settings
from facestats_pipeline.core.demo.faces import generate_demo

FACES = 14
QUICK = {
    "encoder.name": "facestats-test-tiny/untrained",
    "preproc.size": 128,
    "composites.min_n": 2,
    "attributes.classifier": "logistic",
    "attractiveness.epochs": 2,
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[facestats.Collection]:
    """A collection of drawn faces that was run once. The last test erases one of them."""
    data = tmp_path_factory.mktemp("faces")
    generate_demo(FACES, data / "photos", data / "labels", seed=3)
    save_settings(data, QUICK)
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(("FACESTATS_", "DAGSTER_"))]:
            environment.delenv(name)  # the environment of whoever runs the tests decides nothing
        here = facestats.open(data)
        with pytest.raises(facestats.FaceStatsError, match="nothing has been made"):
            here.status()
        steps: list[str] = []
        summary = here.run(raw=data / "photos", on_step=steps.append)
        assert summary.photos["ok"] == here.master.collect().height
        assert steps and steps[0].startswith("Making ")
        assert summary.error == "" and {row["asset"] for row in summary.made} >= {"preproc", "master", "composites"}
        yield here
        here.close()


def photo_of(faces: facestats.Collection, i: int = 0) -> dict[str, object]:
    return faces.usable.select("image_id", "filename").sort("filename").collect().row(i, named=True)


def test_a_second_run_has_nothing_to_do(faces: facestats.Collection) -> None:
    assert faces.run().made == []
    states = faces.status()
    assert {(state.stale, state.missing) for state in states} == {(0, 0)}
    assert len(pl.DataFrame([asdict(state) for state in states], strict=False)) == len(states)
    assert faces.set_aside().columns == ["filename", "status", "reason"]


def test_tables_are_lazy_and_named(faces: facestats.Collection) -> None:
    master = faces.master
    assert isinstance(master, pl.LazyFrame)
    for name in ("attributes", "near_duplicates", "composites"):
        assert isinstance(faces.table(name).collect(), pl.DataFrame)
    with pytest.raises(facestats.FaceStatsError, match=r"no table 'people'; there are .*attributes"):
        faces.table("people")
    assert faces.usable.collect().height <= master.collect().height


def test_a_photo_by_id_and_by_name(faces: facestats.Collection) -> None:
    row = photo_of(faces)
    photo = faces.photo(str(row["image_id"]))
    assert photo.filename == row["filename"] and photo.values["image_id"] == row["image_id"]
    assert photo.image.size == (128, 128)
    assert faces.photo(photo.filename) == photo
    with pytest.raises(facestats.FaceStatsError, match=r"has no image nobody\.jpg"):
        faces.photo("nobody.jpg")


def test_a_new_photo_is_scored(faces: facestats.Collection, tmp_path: Path) -> None:
    path = faces.settings.raw / str(photo_of(faces)["filename"])
    scored = faces.score(path)
    assert scored.status == "ok" and scored.result == faces.score(path.read_bytes()).result
    assert set(scored.answers) >= {"gender", "ethnicity"} and scored.vector.ndim == 1
    (tmp_path / "text.jpg").write_text("no photo")
    assert faces.score(tmp_path / "text.jpg").status == "unsupported"
    assert any("untrained" in note for note in faces.notes)
    nearest = faces.near(scored.vector, 3)
    assert nearest["rank"].to_list() == [1, 2, 3]


def test_search_by_picture_and_by_text(faces: facestats.Collection) -> None:
    row = photo_of(faces, 1)
    hits = faces.search(faces.settings.raw / str(row["filename"]), 2)
    assert hits.columns == ["rank", "cosine", "filename", "image_id", "shard"]
    assert hits["image_id"][0] == row["image_id"] and hits["cosine"][0] > 0.99
    assert faces.search(str(faces.settings.raw / str(row["filename"])), 2).equals(hits), "a str that names a file"
    with pytest.raises(facestats.FaceStatsError, match="is untrained"):
        faces.search("a man")
    with pytest.raises(facestats.FaceStatsError, match="'colour=red' is not a condition"):
        faces.search("a man", where=["colour=red"])


def test_a_composite(faces: facestats.Collection) -> None:
    everyone = faces.composite(method="mean")
    assert everyone.image is not None and everyone.row["n_used"] == faces.usable.collect().height
    with pytest.raises(facestats.FaceStatsError, match="gender='Womn': use one of Female, Male"):
        faces.composite(gender="Womn")
    with pytest.raises(facestats.FaceStatsError, match="decile=10:10"):
        faces.composite(decile=(10, 10), strict=True, method="mean")


def test_an_export(faces: facestats.Collection, tmp_path: Path) -> None:
    done = faces.export("csv", tmp_path / "out", columns=["filename"], limit=3)
    assert (done.photos, done.layout) == (3, "csv") and Path(done.out).is_dir()
    with pytest.raises(facestats.FaceStatsError, match="no layout 'xml'; choose one of"):
        faces.export("xml", tmp_path / "other")


def test_labels_come_and_go(faces: facestats.Collection) -> None:
    row = photo_of(faces, 2)
    faces.label(str(row["filename"]), "gender", "Female", annotator="ann")
    given = faces.labels("ann")
    assert given.rows() == [(row["image_id"], "gender", "Female")]
    faces.label(str(row["image_id"]), "gender", None, annotator="ann")
    assert faces.labels("ann").is_empty()
    with pytest.raises(facestats.FaceStatsError, match="is not a label of 'gender'"):
        faces.label(str(row["image_id"]), "gender", "tall", annotator="ann")


def test_the_lineage_of_an_image_and_its_end(faces: facestats.Collection) -> None:
    row = photo_of(faces, 3)
    found = faces.lineage(str(row["filename"]))
    assert found.image_ids == [row["image_id"]]
    assert {"manifest", "preproc", "master", "embedding_index"} <= {one.artifact for one in found.held}
    preview = faces.preview_erasure(str(row["filename"]))
    assert preview.image_ids == found.image_ids and len(preview.places) == len(found.held)

    def refuse(target: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        faces.erase(str(row["image_id"]), confirm=refuse)
    assert faces.photo(str(row["image_id"])), "nothing was changed before it was confirmed"
    (receipt,) = faces.erase(str(row["image_id"]), raw=True, remake=False).erasures
    assert receipt["raw_removed"] and receipt["changes"]
    for gone in (lambda: faces.photo(str(row["image_id"])), lambda: faces.lineage(str(row["image_id"]))):
        with pytest.raises(facestats.FaceStatsError):
            gone()
    assert row["image_id"] not in faces.master.collect()["image_id"]
