"""The planner: as few runs as possible, each over consecutive shards, in the order in which they must come."""

from pathlib import Path

from facestats_pipeline.io.freshness import DONE, Node, State
from facestats_pipeline.io.plan import Step, next_steps, phases, plan
from facestats_pipeline_tests.io.small_store import GRAPH, freshness_of, store_in

NODES = {node.name: node for node in GRAPH}
STALE = State("stale", "because")
SHARDS = [f"shard-{i:05d}" for i in range(10)]


def states(waiting: dict[str, list[int]], *single: str) -> dict[tuple[str, str | None], State]:
    """Everything done but these shards of these assets, and these assets without shards."""
    found: dict[tuple[str, str | None], State] = {}
    for name, node in NODES.items():
        for i, shard in enumerate(SHARDS if node.sharded else [None]):
            stale = name in single if shard is None else i in waiting.get(name, [])
            found[name, shard] = STALE if stale else DONE
    return found


def planned(waiting: dict[str, list[int]], assets: list[str], *single: str, most: int = 64) -> list[Step]:
    return plan(states(waiting, *single), assets, NODES, SHARDS, most)


def test_a_layer_holds_only_sharded_or_only_other_assets_and_comes_after_its_parents(tmp_path: Path) -> None:
    layers = phases(freshness_of(store_in(tmp_path)).graph)
    assert layers == [
        ["raw_photos"],
        ["manifest", "preproc", "embeddings_clip"],
        ["gender_classifier"],
        ["attributes", "attributes_with_manual", "master"],
        ["data_card"],
    ]


def test_nothing_to_do_is_no_run() -> None:
    assert planned({}, ["manifest", "preproc"]) == []
    assert phases({}) == []


def test_consecutive_shards_are_one_run() -> None:
    runs = planned({"preproc": [0, 1, 2, 5, 6, 9]}, ["manifest", "preproc"])
    assert [run.shards for run in runs] == [tuple(SHARDS[0:3]), tuple(SHARDS[5:7]), (SHARDS[9],)]
    assert {run.assets for run in runs} == {("preproc",)}


def test_what_is_made_on_demand_is_never_planned() -> None:
    graph = NODES | {"mini_encoder": Node("mini_encoder", "encoder_training", False, "1", (), on_demand=True)}
    now = states({}, "data_card") | {("mini_encoder", None): State("missing")}
    assert plan(now, ["data_card", "mini_encoder"], graph, SHARDS, 64) == [Step(("data_card",))]


def test_a_run_covers_no_more_shards_than_asked_for() -> None:
    runs = planned({"preproc": list(range(10))}, ["preproc"], most=4)
    assert [len(run.shards) for run in runs] == [4, 4, 2]
    assert [shard for run in runs for shard in run.shards] == SHARDS


def test_a_run_makes_in_order_whatever_any_of_its_shards_lacks() -> None:
    runs = planned(
        {"embeddings_clip": [3], "manifest": [4], "preproc": [8]}, ["manifest", "preproc", "embeddings_clip"]
    )
    assert runs == [
        Step(("manifest", "embeddings_clip"), (SHARDS[3], SHARDS[4])),
        Step(("preproc",), (SHARDS[8],)),
    ]


def test_assets_without_shards_are_one_run_without_shards() -> None:
    assert planned({}, ["gender_classifier", "data_card"], "gender_classifier", "data_card") == [
        Step(("gender_classifier", "data_card"))
    ]


def test_the_next_steps_are_those_of_the_first_phase_with_work() -> None:
    now = states({"preproc": [2], "master": [5]}, "data_card")
    first = [Step(("preproc",), (SHARDS[2],))]
    assert next_steps(now, NODES, SHARDS, 64) == first
    tables = [Step(("master",), (SHARDS[5],))]
    assert next_steps(now, NODES, SHARDS, 64, {("preproc", SHARDS[2])}) == tables
    assert next_steps(now, NODES, SHARDS, 64, {("preproc", SHARDS[2]), ("master", SHARDS[5])}) == [], (
        "the card would be made of a master that is not current"
    )
    assert next_steps(states({}), NODES, SHARDS, 64) == []


def test_what_was_tried_is_not_made_again_beside_its_neighbours() -> None:
    """A run makes each of its assets in all its shards, so a shard with something tried has a run of its own."""
    now = states({"manifest": [3, 4, 5], "preproc": [3, 4, 5]})
    assert plan(now, ["manifest", "preproc"], NODES, SHARDS, 64, {("preproc", SHARDS[4])}) == [
        Step(("manifest", "preproc"), (SHARDS[3],)),
        Step(("manifest",), (SHARDS[4],)),
        Step(("manifest", "preproc"), (SHARDS[5],)),
    ]


def test_nothing_is_made_from_what_was_tried_and_is_not_done() -> None:
    now = states({"manifest": [3], "preproc": [3, 4], "embeddings_clip": [3, 4]})
    assert plan(now, ["manifest", "preproc", "embeddings_clip"], NODES, SHARDS, 64, {("preproc", SHARDS[4])}) == [
        Step(("manifest", "preproc", "embeddings_clip"), (SHARDS[3],))
    ]
