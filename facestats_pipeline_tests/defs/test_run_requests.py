"""Truth tables of the sensor `bring_up_to_date`: what changed → which runs are requested, on the real graph, without making anything."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from facestats_pipeline.config import Settings
from facestats_pipeline.definitions import build_definitions
from facestats_pipeline.defs.run_requests import NIGHTLY, WHY
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.freshness import ROOT, Artifact, State
from facestats_pipeline.io.layout import SHARD_TABLES
from facestats_pipeline.io.locks import FolderLocks
from facestats_pipeline.io.plan import RANGE_END, RANGE_START, next_steps
from facestats_pipeline_tests.defs.small_settings import settings_in
from facestats_pipeline_tests.io.small_store import discover, make, make_waiting

pytestmark = pytest.mark.filterwarnings("ignore:Parameter `include_sources`")
SHARDS = ["shard-00000", "shard-00001"]
IMAGES = {"manifest", "preproc", "image_quality", "face_geometry", "embeddings_clip"}
PROBES = {"gender_classifier", "ethnicity_classifier", "age_model"}
SCORER = {"attractiveness_regressor", "attractiveness_reference"}
FITTED = PROBES | SCORER | {"cluster_model", "published_splits"}
Asked = set[Artifact]


class Automation:
    """Evaluates the sensor again and again, as the daemon does, and makes what is asked for."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, **overrides: object) -> None:
        self.instance = instance
        self.load(settings_in(folder, **overrides))
        self.cursor: str | None = None
        self.keys: list[str] = []
        self.skipped = ""

    def load(self, settings: Settings) -> None:
        self.definitions = build_definitions(settings)
        self.folder: DataFolder = (self.definitions.resources or {})["folder"]

    def requests(self) -> list[dg.RunRequest]:
        """The runs of one tick."""
        sensor: Any = next(each for each in self.definitions.sensors or [] if each.name == "bring_up_to_date")
        context = dg.build_sensor_context(self.instance, cursor=self.cursor, definitions=self.definitions)
        result = sensor.evaluate_tick(context)
        self.cursor, self.skipped = result.cursor or self.cursor, result.skip_message or ""
        self.keys += [str(request.run_key) for request in result.run_requests]
        return list(result.run_requests)

    def tick(self) -> Asked:
        """What is asked for."""
        requests = self.requests()
        for request in requests:
            sharded = {self.folder.freshness.graph[key.path[-1]].sharded for key in request.asset_selection or []}
            assert sharded == {RANGE_START in request.tags}, "over a range of shards, or over none"
        return {
            (key.path[-1], shard) for each in requests for key in each.asset_selection or [] for shard in over(each)
        }

    def make(self, asked: Asked) -> None:
        """Each after what it is made from, which must be current by then: a request that comes too early fails here."""
        freshness = self.folder.freshness
        for name in freshness.graph:
            for shard in sorted(shard or "" for asset, shard in asked if asset == name):
                parents = [parent for parent in freshness.graph[name].parents if parent in freshness.graph]
                parts = [shard or None] if shard else SHARDS
                early = [
                    parent
                    for parent in parents
                    for part in (parts if freshness.graph[parent].sharded else [None])
                    if freshness.states(SHARDS)[parent, part].status != "done"
                ]
                assert early == [], f"{name} of {shard} was asked for before {early}"
                make(freshness, name, shard or None)

    def states(self) -> Mapping[Artifact, State]:
        return self.folder.freshness.states(SHARDS)

    def make_as_planned(self) -> Asked:
        """What `facestats run` would make, made."""
        made: Asked = set()
        while steps := next_steps(self.states(), self.folder.freshness.graph, SHARDS, 64, made):
            for step in steps:
                self.make(set(step.artifacts))
                made |= set(step.artifacts)
        return made

    def run(self) -> Asked:
        """Ticks, and makes what they ask for, until nothing is asked for."""
        everything: Asked = set()
        for _ in range(12):
            asked = self.tick()
            if not asked:
                return everything
            assert not asked & everything, "the same was asked for twice"
            everything |= asked
            self.make(asked)
        raise AssertionError("it does not come to an end")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which everything is done over SHARDS, with no file provided. Not to be changed."""
    folder = tmp_path_factory.mktemp("done")
    opened: DataFolder = (build_definitions(settings_in(folder)).resources or {})["folder"]
    make_waiting(opened.freshness, discover(opened.freshness, 4, 4))
    (folder / "labels").mkdir()
    return folder


@pytest.fixture
def folder(done: Path, tmp_path: Path) -> Path:
    """A copy that the test may change."""
    return Path(shutil.copytree(done, tmp_path / "data"))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that knows the shards."""
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("shards", SHARDS)
        yield made


def over(request: dg.RunRequest) -> list[str | None]:
    """The shards of a requested run; [None] where it has none."""
    if RANGE_START not in request.tags:
        return [None]
    first, last = request.tags[RANGE_START], request.tags[RANGE_END]
    return [shard for shard in SHARDS if first <= shard <= last]


def begin(automation: Automation, asset: str, status: str = "STARTED", **tags: str) -> dg.DagsterRun:
    """A run of one asset, as Dagster would have it."""
    job = automation.definitions.resolve_implicit_global_asset_job_def()
    chosen = {dg.AssetKey(asset)}
    return automation.instance.create_run_for_job(
        job.get_subset(asset_selection=chosen),
        asset_selection=chosen,
        status=dg.DagsterRunStatus(status),
        tags=tags,
    )


def the_night_passes(automation: Automation) -> None:
    begin(automation, ROOT, "SUCCESS", **NIGHTLY)


def provide(name: str) -> Callable[[Automation], None]:
    return lambda automation: automation.folder.store.input_path(name).write_text("file\n")


def photos(*counts: int) -> Callable[[Automation], None]:
    return lambda automation: discover(automation.folder.freshness, *counts) and None


def set_to(**settings: object) -> Callable[[Automation], None]:
    def change(automation: Automation) -> None:
        automation.load(settings_in(automation.folder.settings.data_dir, **settings))

    return change


def loses(name: str) -> Callable[[Automation], None]:
    """All files of an inference output or a report are gone."""

    def change(automation: Automation) -> None:
        store = automation.folder.store
        if automation.folder.freshness.graph[name].sharded:
            for shard in SHARDS:
                store.path(name, shard).unlink()
        else:
            for file in store.record(name).files:
                (store.base(name) / file).unlink()

    return change


def all_of(*names: str) -> Asked:
    return {(name, shard) for name in names for shard in SHARDS}


TABLES_AFTER_ATTRIBUTES = {
    "attributes_flags",
    "attributes_clean",
    "attributes_with_meta",
    "attributes_with_clusters",
    "attributes_with_manual",
    "attributes_with_predictions",
    "attributes_final",
    "attractiveness_with_attributes",
    "master",
}
MANUAL_LABELS_ARE_IN = all_of("attributes_with_manual", "attributes_final", "attractiveness_with_attributes", "master")
CAUSES: dict[str, tuple[Callable[[Automation], object], Asked, set[str]]] = {
    # cause: what happens, what is asked for at the next tick, and what of FITTED is fitted anew before all is done again
    "nothing": (lambda automation: None, set(), set()),
    "photos were looked at again": (photos(4, 4), set(), set()),
    "labels.csv": (
        provide("labels_csv"),
        {(name, None) for name in PROBES | SCORER | {"learning_curves"}},
        PROBES | SCORER,
    ),
    "ratings.csv": (
        provide("ratings_csv"),
        {(name, None) for name in SCORER | {"learning_curves", "published_splits"}},
        SCORER | {"published_splits"},
    ),
    "manual_labels.csv": (
        provide("manual_labels_csv"),
        {("manual_label_report", None)},
        set(),
    ),
    "another encoder": (set_to(**{"encoder.precision": "fp32"}), all_of("embeddings_clip"), FITTED),
    "preprocessing": (
        set_to(**{"preproc.quality": 60}),
        all_of("preproc", "image_quality", "face_geometry", "embeddings_clip"),
        FITTED,
    ),
    "the threshold of a flag": (
        set_to(**{"metadata.max_yaw": 10}),
        all_of("attributes_flags", "attributes_clean", "master"),
        set(),
    ),
    "attributes are lost": (loses("attributes"), all_of("attributes", *TABLES_AFTER_ATTRIBUTES), set()),
    "scores are lost": (
        loses("attractiveness_scores"),
        all_of("attractiveness_scores", "attributes_final", "attractiveness_with_attributes", "master"),
        set(),
    ),
    "master is lost": (loses("master"), all_of("master"), set()),
    "a report is lost": (loses("data_card"), {("data_card", None)}, set()),
}


@pytest.mark.slow
@pytest.mark.parametrize("cause", CAUSES)
def test_what_a_change_asks_for(folder: Path, instance: dg.DagsterInstance, cause: str) -> None:
    """First what the tick asks for, exactly; then everything is made, as much as `facestats run` plans, and no model without need."""
    happens, first, fitted = CAUSES[cause]
    automation = Automation(folder, instance)
    assert automation.tick() == set(), "everything is done"
    happens(automation)
    copy = Path(shutil.copytree(folder, folder.with_name("copy")))
    asked = automation.tick()
    assert asked == first
    automation.make(asked)
    made = asked | automation.run()
    assert {name for name, _ in made} & FITTED == fitted
    assert {state.status for key, state in automation.states().items() if key[0] != "mini_encoder"} == {"done"}

    by_command = Automation(copy, instance)
    by_command.load(automation.folder.settings.model_copy(update={"data_dir": copy}))
    assert {key for key in by_command.make_as_planned() if key[0] != ROOT} == made


@pytest.mark.parametrize(("growth", "count", "fitted"), [(0.2, 5, set()), (0.2, 3, set()), (0.1, 5, FITTED)])
def test_photos_that_come_or_go_are_asked_for_in_their_shard_and_once(
    folder: Path, instance: dg.DagsterInstance, growth: float, count: int, fitted: set[str]
) -> None:
    """8 images become 9 or 7; models are fitted anew beyond `refit_growth`."""
    automation = Automation(folder, instance, refit_growth=growth)
    automation.tick()
    discover(automation.folder.freshness, 4, count)
    made = automation.run()
    tables = {name for name, shard in made if shard == "shard-00000"}
    assert {name for name, shard in made if shard == "shard-00001"} == set(SHARD_TABLES)
    assert not tables & IMAGES
    assert bool(tables) == bool(fitted), "new models: new attributes and scores of all photos, once"
    assert {name for name, _ in made} & FITTED == fitted


def test_nothing_that_is_inferred_is_an_input_of_what_is_fitted(folder: Path, instance: dg.DagsterInstance) -> None:
    """The rows of CAUSES that lose an inference output show it for three of them; the graph has no way for any other."""
    graph = Automation(folder, instance).folder.freshness.graph
    inferred = set(graph) - IMAGES - FITTED - {ROOT}
    assert {name: inferred & set(graph[name].parents) for name in FITTED} == {name: set() for name in FITTED}
    assert len(inferred) > 20


def test_work_that_failed_is_asked_for_again_when_something_about_it_changed_and_at_night(
    folder: Path, instance: dg.DagsterInstance
) -> None:
    automation = Automation(folder, instance)
    assert automation.tick() == set()
    assert automation.skipped == "nothing is missing or stale that can be made"
    provide("ratings_csv")(automation)
    wanted = automation.tick()
    assert ("attractiveness_regressor", None) in wanted
    assert automation.tick() == set(), "it failed: the same would fail again"
    assert "attractiveness_regressor" in automation.skipped
    automation.folder.store.input_path("ratings_csv").write_text("other")
    readers = {("attractiveness_regressor", None), ("published_splits", None)}
    assert automation.tick() == readers
    assert automation.tick() == set()
    the_night_passes(automation)
    assert automation.tick() == wanted, "a full disk may have been emptied"
    assert automation.tick() == set(), "once a night"
    the_night_passes(automation)
    assert automation.tick() == wanted
    automation.make(wanted)
    assert ("attractiveness_scores", "shard-00000") in automation.tick()
    assert len(set(automation.keys)) == len(automation.keys), "Dagster drops a run whose key it has seen"


def test_a_shard_that_fails_holds_up_nothing_but_what_is_made_from_it(
    folder: Path, instance: dg.DagsterInstance
) -> None:
    automation = Automation(folder, instance)
    for shard in SHARDS:
        automation.folder.store.path("attributes", shard).unlink()
    wanted = automation.tick()
    automation.make({(name, shard) for name, shard in wanted if shard == "shard-00000"})
    assert automation.tick() == set()
    automation.folder.store.path("attributes_flags", "shard-00000").unlink()
    again = automation.tick()
    assert ("attributes_flags", "shard-00000") in again
    assert {shard for _, shard in again} == {"shard-00000"}


def test_the_same_tick_twice_asks_under_the_same_keys_and_the_same_work_later_under_others(
    folder: Path, instance: dg.DagsterInstance
) -> None:
    """The daemon may die after it has started the runs and before it has kept the cursor."""
    automation, again = Automation(folder, instance), Automation(folder, instance)
    loses("data_card")(automation)
    asked = automation.tick()
    assert again.tick() == asked
    assert automation.keys == again.keys
    automation.make(asked)
    assert automation.tick() == set()
    loses("data_card")(automation)
    assert automation.tick() == asked
    assert len(set(automation.keys)) == 2


def test_a_run_has_no_more_shards_than_the_settings_say_and_says_why(
    folder: Path, instance: dg.DagsterInstance
) -> None:
    automation = Automation(folder, instance, shards_per_run=1)
    provide("manual_labels_csv")(automation)
    automation.make(automation.tick())
    requests = automation.requests()
    assert [over(each) for each in requests] == [[shard] for shard in SHARDS]
    assert {each.tags[WHY] for each in requests} == {"manual_labels_csv changed"}, "not what follows from it"
    assert len({each.run_key for each in requests}) == 2


def test_a_change_while_a_run_is_under_way_is_not_lost(folder: Path, instance: dg.DagsterInstance) -> None:
    automation = Automation(folder, instance)
    automation.tick()
    loses("data_card")(automation)
    assert automation.tick() == {("data_card", None)}
    run = begin(automation, "data_card")
    provide("manual_labels_csv")(automation)
    assert automation.tick() == set()
    assert automation.skipped == f"waiting for Dagster run {run.run_id}"
    instance.report_run_canceled(run)
    made = automation.run()
    assert made >= MANUAL_LABELS_ARE_IN | {("manual_label_report", None), ("data_card", None)}


def test_training_an_encoder_holds_up_nothing(folder: Path, instance: dg.DagsterInstance) -> None:
    automation = Automation(folder, instance)
    loses("master")(automation)
    begin(automation, "mini_encoder")
    assert automation.tick() == all_of("master")


def test_the_cursor_of_an_earlier_version_is_begun_anew(folder: Path, instance: dg.DagsterInstance) -> None:
    automation = Automation(folder, instance)
    automation.cursor = '{"__class__": "AssetDaemonCursor"}'
    loses("master")(automation)
    assert automation.tick() == all_of("master")


def test_nothing_is_asked_for_before_photos_are_discovered(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    assert Automation(tmp_path, instance).tick() == set()


def test_nothing_is_asked_for_where_no_photo_was_ever_found(folder: Path) -> None:
    with dg.DagsterInstance.ephemeral() as empty:  # no shard is registered
        automation = Automation(folder, empty, **{"metadata.clusters": 3})
        assert automation.tick() == set()


def test_nothing_is_asked_for_while_somebody_works_in_the_folder(folder: Path, instance: dg.DagsterInstance) -> None:
    automation = Automation(folder, instance)
    loses("master")(automation)
    with FolderLocks(folder).hold(what="facestats run"):
        assert automation.tick() == set()
        assert automation.skipped.startswith("waiting for facestats run")
    assert automation.tick() == all_of("master")


def test_settings_that_change_while_dagster_runs_are_followed(folder: Path, instance: dg.DagsterInstance) -> None:
    """A server of days must not undo what `facestats run --encoder` did beside it."""
    settings = [settings_in(folder)]
    automation = Automation(folder, instance)
    automation.definitions = build_definitions(settings[0], latest=lambda: settings[0])
    assert automation.tick() == set()
    settings[0] = settings_in(folder, **{"preproc.quality": 60})
    assert automation.tick() == all_of("preproc", "image_quality", "face_geometry", "embeddings_clip")
