"""What is current, stale or missing: the truth table."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from facestats_pipeline.io.freshness import Freshness, Snapshot
from facestats_pipeline.io.layout import SHARD_TABLES
from facestats_pipeline.io.recipes import Recipe
from facestats_pipeline.io.store import Store
from facestats_pipeline_tests.io.small_store import (
    GRAPH,
    SHARDS,
    discover,
    freshness_of,
    inventory,
    make_waiting,
    store_in,
    waiting,
)

IMAGES = {"manifest", "preproc", "embeddings_clip"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in which everything of GRAPH is done, over two shards of four photos."""
    store = store_in(tmp_path)
    freshness = freshness_of(store)
    make_waiting(freshness, discover(freshness, 4, 4))
    assert waiting(freshness_of(store), SHARDS) == {}
    return store


def label(store: Store, name: str, text: str) -> None:
    store.labels.mkdir(exist_ok=True)
    store.input_path(name).write_text(text)


def with_code_version(name: str, version: str) -> tuple:
    return tuple(replace(node, code_version=version) if node.name == name else node for node in GRAPH)


def test_nothing_is_done_in_an_empty_folder(tmp_path: Path) -> None:
    states = freshness_of(store_in(tmp_path)).states(SHARDS)
    assert {state.status for state in states.values()} == {"missing"}
    assert len(states) == 6 * len(SHARDS) + 3


def test_a_new_shard_is_missing_and_the_old_ones_are_done(store: Store) -> None:
    shards = discover(freshness_of(store), 4, 4, 1)
    states = freshness_of(store).states(shards)
    assert {key for key, state in states.items() if state.status == "missing"} == {
        (name, "shard-00002") for name in SHARD_TABLES if name in freshness_of(store).graph
    }
    assert all(states[name, shard].status == "done" for name in IMAGES for shard in SHARDS)


def test_photos_in_the_open_shard_make_only_it_stale(store: Store) -> None:
    discover(freshness_of(store), 4, 5)
    stale = {key for key, state in freshness_of(store).states(SHARDS).items() if state.status != "done"}
    assert {shard for name, shard in stale if name in IMAGES} == {"shard-00001"}


def test_a_touched_folder_leaves_all_done(store: Store) -> None:
    discover(freshness_of(store), 4, 4)
    assert waiting(freshness_of(store), SHARDS) == {}


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        (
            "preproc",
            {
                "preproc",
                "embeddings_clip",
                "gender_classifier",
                "attributes",
                "attributes_with_manual",
                "master",
                "data_card",
            },
        ),
        ("gender_classifier", {"gender_classifier", "attributes", "attributes_with_manual", "master", "data_card"}),
        ("attributes_with_manual", {"attributes_with_manual", "master", "data_card"}),
        ("data_card", {"data_card"}),
    ],
)
def test_a_changed_setting_makes_exactly_what_depends_on_it_stale(store: Store, changed: str, stale: set[str]) -> None:
    freshness = freshness_of(store, with_code_version(changed, "1-other"))
    assert waiting(freshness, SHARDS) == dict.fromkeys(stale, "stale")
    made = make_waiting(freshness, SHARDS)
    assert {name for name, _ in made} == stale, "models too, though they do not follow single photos"
    assert waiting(freshness, SHARDS) == {}


def test_the_reason_names_the_cause(store: Store) -> None:
    states = freshness_of(store, with_code_version("preproc", "2")).states(SHARDS)
    assert states["preproc", "shard-00000"].reason == "its code or settings changed"
    assert states["embeddings_clip", "shard-00000"].reason == "preproc is not current"
    assert states["data_card", None].reason == "master is not current in 2 shards"


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("labels_csv", {"gender_classifier", "attributes", "attributes_with_manual", "master", "data_card"}),
        ("manual_labels_csv", {"attributes_with_manual", "master", "data_card"}),
        ("ratings_csv", set()),
    ],
)
def test_what_people_provide_makes_what_reads_it_stale_and_no_image_work(
    store: Store, file: str, stale: set[str]
) -> None:
    label(store, file, "file,age\n")
    assert waiting(freshness_of(store), SHARDS) == dict.fromkeys(stale, "stale")
    assert not stale & IMAGES


def test_labels_that_are_taken_away_are_a_change_too(store: Store) -> None:
    label(store, "labels_csv", "file,age\n")
    make_waiting(freshness_of(store), SHARDS)
    store.input_path("labels_csv").unlink()
    assert "gender_classifier" in waiting(freshness_of(store), SHARDS)


@pytest.mark.parametrize(
    ("photos", "refitted"), [((4, 4, 4), False), ((4, 4, 5), True), ((4, 0), False), ((3, 0), True)]
)
def test_a_model_is_fitted_anew_when_the_collection_has_moved_by_more_than_the_threshold(
    store: Store, photos: tuple[int, ...], refitted: bool
) -> None:
    """refit_growth is 0.5 here and the model was fitted on 8 images: 12 and 4 are within it, 13 and 3 are not."""
    discover(freshness_of(store), *photos)
    shards = [f"shard-{i:05d}" for i in range(max(2, len(photos)))]
    made = make_waiting(freshness_of(store), shards)
    assert (("gender_classifier", None) in made) == refitted
    assert waiting(freshness_of(store), shards) == {}


def test_a_model_that_is_kept_leaves_the_rows_of_sealed_shards_alone(store: Store) -> None:
    shards = discover(freshness_of(store), 4, 4, 1)
    made = make_waiting(freshness_of(store), shards)
    assert {shard for _, shard in made} == {"shard-00002", None}
    assert [name for name, shard in made if shard is None] == ["data_card"]


def test_a_refit_makes_what_was_made_with_the_model_stale_everywhere(store: Store) -> None:
    shards = discover(freshness_of(store), 4, 4, 5)
    made = make_waiting(freshness_of(store), shards)
    assert {shard for name, shard in made if name == "attributes"} == set(shards)
    assert {shard for name, shard in made if name in IMAGES} == {"shard-00002"}


def test_a_skipped_model_is_tried_again_as_soon_as_the_collection_changes(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    freshness = freshness_of(store)
    make_waiting(freshness, discover(freshness, 4, 4), skip=("gender_classifier",))
    assert waiting(freshness_of(store), SHARDS) == {}
    discover(freshness_of(store), 4, 5)
    made = make_waiting(freshness_of(store), SHARDS, skip=("gender_classifier",))
    assert ("gender_classifier", None) in made
    assert waiting(freshness_of(store), SHARDS) == {}


def lose_a_table(store: Store) -> None:
    store.path("preproc", "shard-00001").unlink()


def damage_a_table(store: Store) -> None:
    store.path("preproc", "shard-00001").write_bytes(b"PAR1")


def test_a_deleted_table_is_missing_and_what_came_of_it_waits(store: Store) -> None:
    for spoil in (lose_a_table, damage_a_table):
        spoil(store)
        states = freshness_of(store).states(SHARDS)
        assert states["preproc", "shard-00001"].status == "missing"
        assert states["preproc", "shard-00000"].status == "done"
        assert states["embeddings_clip", "shard-00001"].status == "stale"
    made = make_waiting(freshness_of(store), SHARDS)
    assert made == [("preproc", "shard-00001")], "the same content came back, so nothing else needed making"


def test_a_deleted_file_of_a_model_is_missing(store: Store) -> None:
    (store.models / "gender_classifier.bin").unlink()
    assert waiting(freshness_of(store), SHARDS)["gender_classifier"] == "missing"


def test_a_removed_photo_changes_its_shard_only(store: Store) -> None:
    freshness = freshness_of(store)
    files = inventory(4, 4)
    from facestats_pipeline.io.freshness import ROOT, inventory_inputs

    before = inventory_inputs(files)
    after = inventory_inputs(files.with_columns(state=files["state"].set(files["filename"] == "1/2.jpg", "removed")))
    assert before["shard-00000"] == after["shard-00000"]
    assert before["shard-00001"] != after["shard-00001"]
    recorded = freshness.store.recipe(ROOT)
    assert recorded is not None
    assert recorded.inputs == before


def test_parents_come_before_children(tmp_path: Path) -> None:
    freshness = Freshness(store_in(tmp_path), lambda: tuple(reversed(GRAPH)))
    order = list(freshness.graph)
    assert all(
        order.index(parent) < order.index(node.name) for node in GRAPH for parent in node.parents if parent in order
    )


def test_whatever_is_asked_for_is_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[tuple[str, str | None]] = Counter()
    recipe, provided = store.recipe, store.input_fingerprint

    def counted(asset: str, shard: str | None = None) -> Recipe | None:
        read[asset, shard] += 1
        return recipe(asset, shard)

    def counted_input(asset: str) -> str:
        read[asset, "provided"] += 1
        return provided(asset)

    monkeypatch.setattr(store, "recipe", counted)
    monkeypatch.setattr(store, "input_fingerprint", counted_input)
    freshness, snapshot = freshness_of(store), Snapshot(store)
    states = freshness.states(SHARDS, snapshot)
    as_looked = {key: freshness.recipe(*key, snapshot=snapshot).fingerprint for key in states}
    assert set(read.values()) == {1}
    assert as_looked == {key: freshness.recipe(*key).fingerprint for key in states}


def test_a_look_stays_as_it_was_and_the_next_sees_what_came_since(store: Store) -> None:
    freshness, snapshot = freshness_of(store), Snapshot(store)
    before = freshness.states(SHARDS, snapshot)
    discover(freshness_of(store), 4, 5)
    assert freshness.states(SHARDS, snapshot) == before
    assert freshness.states(SHARDS)["manifest", SHARDS[1]].status == "stale"
