"""A store over a URI: what one machine writes another reads, copies follow the objects, and nothing half done is ever taken for whole."""

import threading
from pathlib import Path

import pytest

from facestats_pipeline.config import load_settings
from facestats_pipeline.io.erasure.ledger import Ledger
from facestats_pipeline.io.leases import Leases
from facestats_pipeline.io.locations import open_store
from facestats_pipeline.io.recipes import Recipe
from facestats_pipeline.io.remote import Remote, StorageUnavailable
from facestats_pipeline.io.store import Store
from facestats_pipeline_tests.io.small_store import discover, freshness_of, make, make_waiting, recipe, table

SHARD = "shard-00000"


def machine(tmp_path: Path, name: str, pictures: str = "parquet") -> Store:
    """The store as a machine of its own sees it: its own copies, the same objects."""
    uri, copies = f"file://{tmp_path}/bucket", tmp_path / name
    settings = load_settings(environ={}, data_uri=uri, data_dir=copies, **{"storage.pictures": pictures})
    return open_store(settings)


def test_what_one_machine_writes_another_reads(tmp_path: Path) -> None:
    one, two = machine(tmp_path, "one"), machine(tmp_path, "two")
    made = recipe(inputs={"raw_photos": "abc"})
    one.write_table("manifest", SHARD, table(3), made)
    assert two.shards("manifest") == [SHARD]
    assert two.read_table("manifest", SHARD).equals(table(3))
    assert two.recipe("manifest", SHARD) == made
    assert two.scan("manifest").collect().height == 3
    assert (tmp_path / "bucket" / "processed" / "manifest.parquet" / f"{SHARD}.parquet").is_file()
    two.forget_table("manifest", SHARD)
    one.refresh()
    assert one.shards("manifest") == [] and one.recipe("manifest", SHARD) is None
    with pytest.raises(FileNotFoundError):
        one.read_table("manifest", SHARD)  # though a copy lies here


def test_a_copy_is_fetched_again_when_the_object_changed_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machine(tmp_path, "one"), machine(tmp_path, "two")
    fetched = []
    real = Remote.download
    monkeypatch.setattr(
        Remote, "download", lambda self, name, *a, **k: (fetched.append(name), real(self, name, *a, **k))[1]
    )
    one.write_table("manifest", SHARD, table(3), recipe())
    for _ in range(3):
        two.refresh()
        assert two.read_table("manifest", SHARD).height == 3
    assert len(fetched) == 1
    one.write_table("manifest", SHARD, table(4), recipe())
    assert two.read_table("manifest", SHARD).height == 3  # as of the last refresh
    two.refresh()
    assert two.read_table("manifest", SHARD).height == 4
    assert one.read_table("manifest", SHARD).height == 4
    assert len(fetched) == 2


def test_an_object_that_was_replaced_after_the_listing_is_read_as_it_is_now(tmp_path: Path) -> None:
    one, two = machine(tmp_path, "one"), machine(tmp_path, "two")
    one.write_table("manifest", SHARD, table(3), recipe())
    assert two.shards("manifest") == [SHARD]
    one.write_table("manifest", SHARD, table(300), recipe())
    two._mirrors[0].remote.attempts = 1
    assert two.read_table("manifest", SHARD).height == 300


def test_recipes_are_read_once_and_not_with_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = machine(tmp_path, "one"), machine(tmp_path, "two")
    one.write_table("manifest", SHARD, table(30_000), recipe())
    read: list[int] = []
    real = Remote.tail
    monkeypatch.setattr(
        Remote, "tail", lambda self, name, n, *, size: (read.append(n), real(self, name, n, size=size))[1]
    )
    for _ in range(3):
        assert two.recipe("manifest", SHARD) == recipe()
        two.refresh()
    assert read == [64 * 2**10]
    assert not (tmp_path / "two" / "processed" / "manifest.parquet").exists()


@pytest.mark.parametrize("pictures", ["parquet", "files"])
def test_jpegs_come_to_another_machine_and_are_the_shard_that_the_table_speaks_of(
    tmp_path: Path, pictures: str
) -> None:
    one, two = machine(tmp_path, "one", pictures), machine(tmp_path, "two", pictures)
    for store in (one, two):
        assert store.pictures_are_there(SHARD)  # there is no table
    freshness = freshness_of(one)
    for name in ("manifest", "preproc"):
        discover(freshness, 4)
        make(freshness, name, SHARD)
    ids = one.read_table("preproc", SHARD)["image_id"].to_list()
    objects = [path for path in (tmp_path / "bucket" / "processed" / "preproc").rglob("*") if path.is_file()]
    assert len(objects) == (1 if pictures == "parquet" else 4)
    two.refresh()
    assert two.pictures_are_there(SHARD)
    assert {two.jpeg_path(SHARD, i).read_bytes() for i in ids} == {b"jpeg"}
    assert not two.jpeg_path(SHARD, "none").is_file()
    two.write_jpeg(SHARD, ids[0], b"other")
    two.keep_jpegs(SHARD, set(ids[:2]), one.recipe("preproc", SHARD))
    one.refresh()
    assert one.jpeg_path(SHARD, ids[0]).read_bytes() == b"other"
    assert not one.jpeg_path(SHARD, ids[2]).is_file()
    if pictures == "files":
        assert not one.pictures_are_there(SHARD)
    one.keep_jpegs(SHARD, set(ids[:2]), recipe(code_digest="of other settings"))
    if pictures == "parquet":
        assert not one.pictures_are_there(SHARD)  # a killed run has put the JPEGs and not their table


def test_what_a_failed_run_left_unput_is_not_taken_for_the_shard(tmp_path: Path) -> None:
    one = machine(tmp_path, "one")
    freshness = freshness_of(one)
    discover(freshness, 2)
    make(freshness, "preproc", SHARD)
    ids = one.read_table("preproc", SHARD)["image_id"].to_list()
    one.write_jpeg(SHARD, ids[0], b"of other settings")  # and then the process is killed
    again = machine(tmp_path, "one")
    assert again.jpeg_path(SHARD, ids[0]).read_bytes() == b"jpeg"


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = machine(tmp_path, "one"), machine(tmp_path, "two")
    one.write_table("manifest", SHARD, table(3), recipe())

    def fail(self: Remote, name: str, data: bytes) -> object:
        raise OSError("the network is gone")

    with monkeypatch.context() as patch:
        patch.setattr(Remote, "_pipe", fail)
        one._mirrors[0].remote.attempts = 1
        with pytest.raises(StorageUnavailable, match="could not write"):
            one.write_table("manifest", SHARD, table(9), recipe())
    assert one.read_table("manifest", SHARD).height == 3  # the copy that was never put is not current
    assert two.read_table("manifest", SHARD).height == 3


def test_artifacts_in_files_labels_and_the_erasure_ledger_are_shared(tmp_path: Path) -> None:
    one, two = machine(tmp_path, "one"), machine(tmp_path, "two")
    one.write_files("data_card", {"reports/data_card.md": b"card", "reports/b.md": b"b"}, recipe())
    assert two.record("data_card").files == {"reports/data_card.md": 4, "reports/b.md": 1}
    assert two.file("data_card", "reports/data_card.md").read_bytes() == b"card"
    one.write_files("data_card", {"reports/data_card.md": b"new card"}, recipe())
    two.refresh()
    assert two.record("data_card").files == {"reports/data_card.md": 8}
    assert two.file("data_card", "reports/data_card.md").read_bytes() == b"new card"
    (tmp_path / "bucket" / "processed" / "reports" / "data_card.md").unlink()
    two.refresh()
    assert two.record("data_card") is None
    one.write_files("gender_classifier", {"gender_clf.json": b"{}"}, recipe())
    two.refresh()
    assert two.file("gender_classifier", "gender_clf.json").read_bytes() == b"{}"
    assert two.input_fingerprint("labels_csv") == "absent"
    labels = two.input_path("labels_csv")
    labels.parent.mkdir(parents=True, exist_ok=True)
    labels.write_text("file,age\n")
    two.publish(labels)
    one.refresh()
    assert one.input_path("labels_csv").read_text() == "file,age\n"
    assert [path.name for path in one.files_below(one.labels)] == ["labels.csv"]
    Ledger.of(one).add(["0" * 32])
    two.refresh()
    assert "0" * 32 in Ledger.of(two).erased()
    assert one.forget("data_card") == 0 and one.forget("gender_classifier") == 1


def test_the_plan_over_a_uri_is_the_plan_over_a_folder(tmp_path: Path) -> None:
    local, remote = Store(tmp_path / "local", tmp_path / "local" / "models"), machine(tmp_path, "one")
    made = []
    for store in (local, remote):
        freshness = freshness_of(store)
        shards = discover(freshness, 2, 1)
        made.append(make_waiting(freshness, shards))
        assert make_waiting(freshness_of(store), shards) == []
    assert made[0] == made[1]
    other = freshness_of(machine(tmp_path, "two"))  # a machine that has no copies at all
    assert make_waiting(other, ["shard-00000", "shard-00001"]) == []


def test_a_recipe_that_is_none_is_no_recipe(tmp_path: Path) -> None:
    one = machine(tmp_path, "one")
    folder = tmp_path / "bucket" / "processed" / "manifest.parquet"
    folder.mkdir(parents=True)
    (folder / f"{SHARD}.parquet").write_bytes(b"no Parquet at all, but longer than a trailer")
    assert one.recipe("manifest", SHARD) is None
    assert isinstance(recipe(), Recipe)


def leases(tmp_path: Path, **options: float) -> Leases:
    return Leases(
        Remote(f"file://{tmp_path}/bucket/.locks"), **{"poll": 0.01, "heartbeat": 30, "expires_after": 180} | options
    )


def test_machines_take_turns(tmp_path: Path) -> None:
    inside: set[str] = set()
    met: list[tuple[str, ...]] = []
    guard = threading.Lock()

    def work(name: str, shards: list[str] | None) -> None:
        for _ in range(6):
            with leases(tmp_path).hold(shards, name, lambda holder: None):
                with guard:
                    inside.add(name)
                    met.append(tuple(sorted(inside)))
                with guard:
                    inside.discard(name)

    wanted = {"a": ["shard-00000", "shard-00001"], "b": ["shard-00001"], "c": ["shard-00002"], "all": None}
    threads = [threading.Thread(target=work, args=item) for item in wanted.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(met) == 24
    assert not any("all" in group and len(group) > 1 for group in met)
    assert not any({"a", "b"} <= set(group) for group in met)
    assert leases(tmp_path).holder() is None


def test_whoever_waits_is_told_for_whom(tmp_path: Path) -> None:
    told: list[str] = []
    free = threading.Event()
    with leases(tmp_path).hold(["shard-00000"], "Dagster run 1", told.append):
        assert "Dagster run 1" in (leases(tmp_path).holder() or "")

        def wait() -> None:
            with leases(tmp_path).hold(None, "facestats run", lambda who: (told.append(who), free.set())):
                pass

        thread = threading.Thread(target=wait)
        thread.start()
        assert free.wait(30)
    thread.join()
    assert len(told) == 1 and "Dagster run 1" in told[0]


def test_what_a_dead_machine_held_is_free_again(tmp_path: Path) -> None:
    dead = leases(tmp_path)
    dead.remote.write("shard-00000", b'{"holder": "gone", "what": "a machine that lost its power"}')
    with leases(tmp_path).hold(["shard-00000"], "the next", lambda who: None):
        assert "the next" in (leases(tmp_path).holder() or "")
