from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.joins import conform
from facestats_pipeline.core.metadata import label_queue
from facestats_pipeline.core.metadata.csv_export import csv_bytes
from facestats_pipeline.core.metadata.label_queue import labels_template, queue_schema
from facestats_pipeline.core.metadata.master_table import master_table
from facestats_pipeline_tests.classes import ETHNICITIES, GENDERS, WITH_GLASSES
from facestats_pipeline_tests.core import small_shards as shard
from facestats_pipeline_tests.examples import examples


def master(n: int, **columns: Any) -> pl.DataFrame:
    """n images with sure predictions, in one cluster, without hand labels."""
    sure = {"gender_p": 0.99, "ethnicity_p": 0.99, "age_p": 0.99}
    frame = conform(shard.attributes(n, **sure), master_table().schema)
    values = {"preproc_status": "ok", "cluster": 0} | columns
    return frame.with_columns(
        pl.Series(
            name, value if isinstance(value, list) else [value] * n, dtype=master_table().schema[name], strict=False
        )
        for name, value in values.items()
    )


def order(queue: pl.DataFrame) -> list[int]:
    return [int(image, 16) for image in queue["image_id"]]


def test_the_least_certain_comes_first() -> None:
    queue = labels_template(master(4, gender_p=[0.99, 0.6, 0.8, 0.51]))
    assert order(queue) == [3, 1, 2, 0]
    assert queue["priority"].is_sorted(descending=True)
    assert queue["why"][0].startswith("unsure of gender (0.51)")


def test_certainty_is_measured_against_the_number_of_classes() -> None:
    """p = 0.5 is chance for two classes and far from it for seven."""
    queue = labels_template(master(2, gender_p=[0.5, 0.99], ethnicity_p=[0.99, 0.5]))
    assert order(queue) == [0, 1]


def test_no_prediction_is_worth_more_than_any() -> None:
    queue = labels_template(master(2, gender_p=[None, 0.6], gender_top=[None, "Male"]))
    assert order(queue) == [0, 1]
    assert "no prediction of gender" in queue["why"][0]


def test_a_cluster_without_labels_comes_before_one_with_many() -> None:
    n = 40
    labelled = ["Male"] * 30 + [None] * 10
    clusters = [0] * 35 + [1] * 5
    queue = labels_template(master(n, manual_gender=labelled, cluster=clusters), size=10)
    first = order(queue)[:4]
    assert all(clusters[i] == 1 for i in first)
    assert "cluster 1 has few labels" in queue["why"][0]


def test_a_group_without_labels_comes_before_one_with_many() -> None:
    n = 40
    groups = ["East Asian"] * 35 + ["Indian"] * 5
    queue = labels_template(
        master(n, manual_age_bin=["3-9"] * 30 + [None] * 10, ethnicity_top=groups, cluster=[None] * n), size=10
    )
    assert all(groups[i] == "Indian" for i in order(queue)[:4])
    assert "few labels of Female, Indian" in queue["why"][0]


def test_one_cluster_does_not_fill_the_queue() -> None:
    """900 doubtful photos of one kind and 100 slightly less doubtful of another: the queue has some of both."""
    n = 1000
    queue = labels_template(master(n, gender_p=[0.60] * 900 + [0.63] * 100, cluster=[0] * 900 + [1] * 100), size=100)
    of_second = sum(i >= 900 for i in order(queue))
    assert 20 <= of_second <= 80


def test_hand_labelled_images_are_left_out() -> None:
    queue = labels_template(master(3, manual_ethnicity=["White", None, None]))
    assert sorted(order(queue)) == [1, 2]


def test_images_with_every_label_are_left_out_and_partly_labelled_ones_are_not() -> None:
    kinds = {f"predicted_{name}_kind": ["out_of_fold", "model"] for name in ("gender", "ethnicity")}
    queue = labels_template(master(2, predicted_age_bin_kind=["out_of_fold", "out_of_fold"], **kinds))
    assert order(queue) == [1]


def test_a_label_that_exists_is_not_uncertain() -> None:
    """Both models doubt the gender, but the first image has that label already."""
    queue = labels_template(master(2, gender_p=0.5, predicted_gender_kind=["out_of_fold", "model"], cluster=[0, 1]))
    assert order(queue) == [1, 0]


def test_a_tie_between_annotators_goes_to_the_top() -> None:
    disputed = {"manual_disputed": [[], ["gender"], []], "manual_ethnicity": [None, "White", None]}
    queue = labels_template(master(3, **disputed))
    assert order(queue)[0] == 1
    assert queue["why"][0].startswith("annotators disagree on gender")


def test_photos_without_a_face_are_left_out() -> None:
    assert order(labels_template(master(3, preproc_status=["ok", "no_face", None]))) == [0]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_size_is_a_limit(size: int) -> None:
    assert labels_template(master(3), size=size).height == min(size, 3)


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        labels_template(master(1), size=0)


@pytest.mark.parametrize("n", [0, 2])
def test_the_schema_is_constant(n: int) -> None:
    for queue in (labels_template(master(n)), labels_template(conform(shard.manifest(n), master_table().schema))):
        assert queue.schema == pl.Schema(queue_schema())


@examples(40)
@given(data=st.data(), n=st.integers(1, 12), size=st.integers(1, 12))
def test_lazy_or_not_and_in_any_order_the_queue_is_the_same(data: st.DataObject, n: int, size: int) -> None:
    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return data.draw(st.lists(values, min_size=n, max_size=n))

    frame = master(
        n,
        gender_p=column(st.sampled_from([0.5, 0.7, 1.0, None])),
        cluster=column(st.sampled_from([0, 1, None])),
        gender_top=column(st.sampled_from([*GENDERS, None])),
        ethnicity_top=column(st.sampled_from([*ETHNICITIES, None])),
        manual_gender=column(st.sampled_from(["Male", None, None])),
    )
    queue = labels_template(frame, size=size)
    again = labels_template(frame[data.draw(st.permutations(range(n)))].lazy(), size=size)
    assert queue.equals(again)
    assert queue["image_id"].n_unique() == queue.height
    assert queue["priority"].is_between(0, 1).all()
    assert (queue["why"].str.len_chars() > 0).all()


def test_suggestions_and_file_names_come_along_and_are_safe_in_a_spreadsheet() -> None:
    frame = master(1, filename='=HYPERLINK("http://example.org").jpg')
    queue = labels_template(frame)
    assert queue.select("gender_top", "gender_p").row(0) == ("Female", pytest.approx(0.99))
    assert csv_bytes(queue).decode().splitlines()[1].split(",")[1].startswith("\"'=HYPERLINK")


DOUBT = [0.55 + 0.0004 * i for i in range(900)]  # the first are the most doubtful
MIXED = {"cluster": [i * 7 % 9 for i in range(900)], "ethnicity_top": [ETHNICITIES[i * 5 % 7] for i in range(900)]}


def crowd(**columns: Any) -> pl.DataFrame:
    """900 photos of less and less doubt; clusters and groups are mixed evenly, unless `columns` says otherwise."""
    return master(900, gender_p=DOUBT, **(MIXED | columns))


@pytest.mark.parametrize(
    ("weight", "pool", "worth"),
    [
        (
            "WEIGHT_UNCERTAINTY",
            crowd(cluster=[i % 2 for i in range(900)], ethnicity_p=[0.3 + 0.6 * (i % 2) for i in range(900)]),
            lambda rows: (rows["ethnicity_p"] < 0.5).sum(),
        ),
        ("WEIGHT_DIVERSITY", crowd(cluster=[int(i > 500) for i in range(900)]), lambda rows: rows["cluster"].sum()),
        (
            "WEIGHT_BALANCE",
            crowd(ethnicity_top=["White" if i < 500 else "Indian" for i in range(900)]),
            lambda rows: (rows["ethnicity_top"] == "Indian").sum(),
        ),
    ],
    ids=["uncertainty", "diversity", "balance"],
)
def test_each_of_the_three_matters(
    weight: str, pool: pl.DataFrame, worth: Callable[[pl.DataFrame], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its weight the queue has far less of what it is for: doubt, the less doubtful cluster, the less doubtful group."""

    def asked() -> float:
        return worth(labels_template(pool, size=90).select("image_id").join(pool, on="image_id"))

    whole = asked()
    monkeypatch.setattr(label_queue, weight, 0.0)
    assert whole > 1.5 * asked()


@pytest.mark.parametrize("held", [100_000, 0])
def test_in_pieces_the_queue_is_the_same(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_queue, "_HELD", held)
    pieces = (crowd().slice(start, 70).lazy() for start in reversed(range(0, 900, 70)))
    assert labels_template(pieces, size=50).equals(labels_template(crowd(), size=50))


def test_an_extra_attribute_counts_like_the_others() -> None:
    schema = master_table(WITH_GLASSES).schema
    frame = conform(master(3), schema).with_columns(glasses_p=pl.Series([0.99, 0.55, 0.99], dtype=pl.Float32))
    queue = labels_template(frame, catalogue=WITH_GLASSES)
    assert order(queue)[0] == 1
    assert queue["why"][0].startswith("unsure of glasses (0.55)")
    assert queue.schema == pl.Schema(queue_schema(WITH_GLASSES))
