"""Erasure over a small store: rows, recipes, models, and a crash at each change that it makes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from facestats_pipeline.core.erasure.erased_ids import KEY_BYTES
from facestats_pipeline.core.erasure.tombstones import PREFIX
from facestats_pipeline.io.erasure.erase import Eraser, marked_models, marks_of
from facestats_pipeline.io.erasure.ledger import Journal, Ledger
from facestats_pipeline.io.erasure.places import aggregates, find_places
from facestats_pipeline.io.erasure.targets import find_target
from facestats_pipeline.io.freshness import ROOT
from facestats_pipeline_tests.io.small_store import (
    GRAPH,
    SHARDS,
    discover,
    freshness_of,
    make_waiting,
    store_in,
    waiting,
)

GONE = "0-1"  # what small_store calls the second image of the first shard
NAME = "0/1.jpg"
SHARDED = [node.name for node in GRAPH if node.sharded]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Everything made over two shards of three images, with labels, a picture and a cached preview of one, and a half-written file."""
    data = tmp_path / "data"
    freshness = freshness_of(store_in(data))
    (data / "labels").mkdir(parents=True)
    (data / "labels" / "labels.csv").write_text("file,gender\n0/0.jpg,Male\n0/1.jpg,Female\n1/0.jpg,Male\n")
    make_waiting(freshness, discover(freshness, 3, 3))
    freshness.store.write_jpeg(SHARDS[0], GONE, b"picture")
    preview = data / "processed" / "previews" / f"{GONE}.webp"
    preview.parent.mkdir()
    preview.write_bytes(b"preview")
    (data / "processed" / ".tmp" / "half.bin").write_bytes(b"a run was killed")
    raw = data / "raw" / NAME
    raw.parent.mkdir(parents=True)
    raw.write_bytes(b"another photo by now")
    return data


def eraser(folder: Path) -> Eraser:
    return Eraser(freshness_of(store_in(folder)), folder / "raw", folder / ".dagster")


def erase(folder: Path, wanted: str = GONE) -> Journal:
    """As the command does it: what was begun is completed, and if nothing was, it begins."""
    tool = eraser(folder)
    listed = tool.freshness.store.read_table(ROOT)
    journal = tool.ledger.journal() or tool.begin(
        find_target(listed, tool.raw, [wanted], tool.ledger.erased()), raw=True
    )
    tool.carry_out(journal)
    tool.clean_logs(journal)
    tool.ledger.close({"changes": journal.changes})
    return journal


def contents(folder: Path) -> dict[str, object]:
    """Every file but receipts and keys, tables by rows and recipe."""
    store = store_in(folder)
    found: dict[str, object] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".parquet":
            footer = pl.read_parquet_metadata(path).get("facestats")
            found[name] = (pl.read_parquet(path).rows(), footer)
        elif not name.startswith("erasure/"):
            found[name] = path.read_bytes()
    assert store.data_dir == folder
    return found


def test_the_places_are_all_of_them(folder: Path) -> None:
    tool = eraser(folder)
    target = find_target(tool.freshness.store.read_table(ROOT), tool.raw, [GONE, NAME], tool.ledger.erased())
    found = [
        (place.kind, place.artifact)
        for place in find_places(tool.freshness.store, tool.freshness.graph, tool.raw, target)
    ]
    assert ("photo", "raw file") not in found, "other bytes lie under that name by now"
    assert found == [
        ("label", "labels.csv"),
        ("inventory", ROOT),
        *(("table", name) for name in tool.freshness.graph if name in SHARDED),
        ("picture", "preproc"),
        ("model", "gender_classifier"),
        ("aggregate", "data_card"),
    ]


def test_nothing_is_left_and_nobody_else_is_touched(folder: Path) -> None:
    before = contents(folder)
    journal = erase(folder)
    after = contents(folder)
    freshness = freshness_of(store_in(folder))
    for path in (path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(folder / "raw")):
        assert GONE.encode() not in path.read_bytes(), path
        assert NAME.encode() not in path.read_bytes(), path
        assert GONE not in path.name
    for name in SHARDED:
        kept = 3 if name == "manifest" else 2
        assert freshness.store.read_table(name, SHARDS[0]).height == kept, name
        other = f"processed/{freshness.store.path(name, SHARDS[1]).relative_to(freshness.store.processed)}"
        assert after[other] == before[other], "a shard without the image is not rewritten"
    stone = freshness.store.read_table("manifest", SHARDS[0])[1].row(0, named=True)
    assert stone["filename"].startswith(PREFIX)
    assert (stone["image_id"], stone["status"]) == (None, "removed")
    assert (folder / "labels" / "labels.csv").read_text() == "file,gender\n0/0.jpg,Male\n1/0.jpg,Male\n"
    assert (folder / "raw" / NAME).read_bytes() == b"another photo by now"
    assert not list((folder / "processed" / ".tmp").iterdir())
    assert journal.changes["cached files"] == 1


def test_pictures_that_no_receipt_names_go_too(folder: Path) -> None:
    """A run that is killed while it writes an asset's files leaves some, and no receipt."""
    left = [folder / "processed" / name for name in ("reports/contact_sheets/shard-00000.jpg", "composites/all.jpg")]
    for path in left:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"faces")
    erase(folder)
    assert not any(path.exists() for path in left)


def test_what_was_current_is_current_and_only_models_with_a_label_wait(folder: Path) -> None:
    (folder / "labels" / "labels.csv").write_text("file,gender\n0/0.jpg,Male\n1/0.jpg,Male\n")
    freshness = freshness_of(store_in(folder))
    make_waiting(freshness, SHARDS)
    assert waiting(freshness, SHARDS) == {}
    erase(folder)
    assert waiting(freshness_of(store_in(folder)), SHARDS) == {"data_card": "missing"}, (
        "made of many images: to be made again"
    )


def test_a_model_that_was_skipped_is_not_tried_again(folder: Path) -> None:
    (folder / "labels" / "labels.csv").unlink()
    make_waiting(freshness_of(store_in(folder)), SHARDS, skip=("gender_classifier",))
    assert waiting(freshness_of(store_in(folder)), SHARDS) == {}
    journal = erase(folder)
    assert waiting(freshness_of(store_in(folder)), SHARDS) == {"data_card": "missing"}
    assert journal.models == {}


def test_a_model_with_its_label_is_stale_and_says_why(folder: Path) -> None:
    erase(folder)
    freshness = freshness_of(store_in(folder))
    state = freshness.states(SHARDS)["gender_classifier", None]
    assert (state.status, state.reason) == ("stale", "labels_csv changed")
    assert marked_models(freshness) == {"gender_classifier": 1}
    assert freshness.store.record("gender_classifier") is not None, "whole"
    assert marks_of(freshness.store, "gender_classifier") == {Ledger(folder).erased().digest(GONE)}
    make_waiting(freshness, SHARDS)
    assert marked_models(freshness) == {}, "made anew: it never saw the image"


def test_what_was_stale_stays_stale(folder: Path) -> None:
    (folder / "labels" / "manual_labels.csv").write_text("image_id,attribute,value,annotator,labelled_at\n")
    before = waiting(freshness_of(store_in(folder)), SHARDS)
    assert before == {"attributes_with_manual": "stale", "master": "stale", "data_card": "stale"}
    (folder / "labels" / "labels.csv").write_text("file,gender\n0/0.jpg,Male\n")
    make_waiting(freshness := freshness_of(store_in(folder)), SHARDS)
    (folder / "labels" / "manual_labels.csv").unlink()
    erase(folder)
    freshness = freshness_of(store_in(folder))
    assert waiting(freshness, SHARDS) == {"attributes_with_manual": "stale", "master": "stale", "data_card": "missing"}


def test_erasing_more_adds_to_what_was_erased(folder: Path) -> None:
    erase(folder)
    first = Ledger(folder).erased()
    erase(folder, "1/2.jpg")
    assert len(Ledger(folder).erased()) == 2
    assert Ledger(folder).erased().digests > first.digests
    assert marked_models(freshness_of(store_in(folder))) == {"gender_classifier": 2}


class Killed(BaseException):
    """Nothing may catch it, as nothing catches a kill."""


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Counts renames and removals of files, and raises Killed in place of number `at`."""
    count = {"n": 0, "at": 0}

    def guard(name: str) -> None:
        real = getattr(Path, name)

        def guarded(self: Path, *args: object, **kwargs: object) -> object:
            count["n"] += 1
            if count["n"] == count["at"]:
                raise Killed
            return real(self, *args, **kwargs)

        monkeypatch.setattr(Path, name, guarded)

    for name in ("replace", "unlink"):
        guard(name)
    yield count
    count["at"] = 0


@pytest.mark.slow
def test_killed_at_any_change_it_is_completed_by_the_next_call(
    folder: Path, tmp_path: Path, killer: dict[str, int]
) -> None:
    Ledger(folder).open()  # one key for all, so that the results can be compared
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(folder, undisturbed)
    killer["n"] = 0
    erase(undisturbed)
    changes = killer["n"]
    assert changes > 15
    for at in range(1, changes + 1):
        data = tmp_path / f"killed at {at}"
        shutil.copytree(folder, data)
        killer.update(n=0, at=at)
        with pytest.raises(Killed):
            erase(data)
        killer["at"] = 0
        erase(data)
        assert contents(data) == contents(undisturbed), f"killed at change {at}"
        assert Ledger(data).journal() is None
        shutil.rmtree(data)


def test_a_run_between_the_crash_and_the_next_call_does_no_harm(folder: Path, killer: dict[str, int]) -> None:
    killer.update(n=0, at=9)
    with pytest.raises(Killed):
        erase(folder)
    killer["at"] = 0
    make_waiting(freshness_of(store_in(folder)), SHARDS)
    erase(folder)
    freshness = freshness_of(store_in(folder))
    assert all(GONE not in freshness.store.read_table(name, SHARDS[0])["image_id"] for name in SHARDED)
    make_waiting(freshness, SHARDS)
    assert waiting(freshness, SHARDS) == {}


def test_a_half_written_model_is_made_again_rather_than_mended(folder: Path) -> None:
    (folder / "models" / "gender_classifier.bin").write_bytes(b"half")
    erase(folder)
    assert not (folder / "models" / "gender_classifier.bin").exists()
    assert waiting(freshness_of(store_in(folder)), SHARDS)["gender_classifier"] == "missing"


def test_a_lost_key_is_an_error_and_not_a_silent_amnesia(folder: Path) -> None:
    erase(folder)
    assert len(bytes.fromhex((folder / "erasure" / "key").read_text())) == KEY_BYTES
    assert (folder / "erasure" / "key").stat().st_mode & 0o077 == 0
    (folder / "erasure" / "key").unlink()
    with pytest.raises(ValueError, match=r"key is missing or damaged.*backup"):
        Ledger(folder).erased()


def test_the_receipt_names_nobody_and_lists_what_changed(folder: Path) -> None:
    erase(folder)
    [receipt] = (folder / "erasure" / "receipts").glob("*.json")
    text = receipt.read_text()
    assert GONE not in text
    assert NAME not in text
    assert json.loads(text)["changes"]["rows of labels/labels.csv"] == 1


def test_aggregates_are_what_is_made_of_rows() -> None:
    assert aggregates({node.name: node for node in GRAPH}) == ["data_card"]
