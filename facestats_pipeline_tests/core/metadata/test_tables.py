import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.joins import MergeError, conform
from facestats_pipeline.core.labels.vocabulary import AGE_BINS, ATTRIBUTES, CLASSES, ETHNICITIES, ETHNICITY4, GENDERS
from facestats_pipeline.core.metadata.final_table import (
    attractiveness_with_attributes,
    attributes_final,
    final_table,
    scored_table,
)
from facestats_pipeline.core.metadata.label_structure_table import LABEL_STRUCTURE, label_structure
from facestats_pipeline.core.metadata.manual_table import manual_table
from facestats_pipeline.core.metadata.meta_table import attributes_with_meta, meta_table
from facestats_pipeline.core.metadata.prediction_table import attributes_with_predictions, prediction_table
from facestats_pipeline.core.tables import Schema
from facestats_pipeline_tests.core import small_shards as shard

OOF: Schema = {"image_id": pl.String(), "attribute": pl.String(), "value": pl.String(), "p": pl.Float32()}


def oof(*rows: tuple[int, str, str | None, float | None]) -> pl.DataFrame:
    return pl.DataFrame([(shard.image_id(n), *rest) for n, *rest in rows], schema=OOF, orient="row")


def with_manual(n: int, **columns: list[str | None]) -> pl.DataFrame:
    frame = conform(shard.attributes(n), manual_table().schema)
    return frame.with_columns(pl.Series(f"manual_{name}", values, dtype=pl.String) for name, values in columns.items())


# attributes_with_meta


def test_meta_has_the_row_of_each_image() -> None:
    meta = attributes_with_meta(
        shard.attributes(2),
        shard.preproc(2, face_score=[0.9, 0.8]).reverse(),
        shard.quality(2, sharpness=[1.0, 2.0]).reverse(),
        None,
    )
    assert meta["image_id"].to_list() == [shard.image_id(0), shard.image_id(1)]
    assert meta["sharpness"].to_list() == [1.0, 2.0]
    assert meta["face_score"].to_list() == pytest.approx([0.9, 0.8])
    assert meta["preproc_status"].to_list() == ["ok", "ok"]
    assert meta["mesh_yaw"].to_list() == [None, None]


def test_mesh_angles_do_not_replace_the_angles_of_quality() -> None:
    geometry = shard.ids(1).with_columns(yaw=pl.lit(12.0, pl.Float32), pitch=pl.lit(3.0, pl.Float32))
    meta = attributes_with_meta(shard.attributes(1), shard.preproc(1), shard.quality(1, yaw=7.0), geometry)
    assert meta.select("yaw", "mesh_yaw", "mesh_pitch", "mesh_roll").row(0) == (7.0, 12.0, 3.0, None)


# attributes_with_predictions


def test_a_labelled_row_gets_its_out_of_fold_prediction_and_no_other() -> None:
    attributes = shard.attributes(3, gender=["Female", "Female", "unknown"])
    predictions = attributes_with_predictions(
        attributes, oof((0, "gender", "Male", 0.6), (1, "gender", "unknown", 0.5))
    )
    assert predictions["predicted_gender"].to_list() == ["Male", "unknown", "unknown"]
    assert predictions["predicted_gender_p"].to_list() == pytest.approx([0.6, 0.5, 0.98])
    assert predictions["predicted_gender_kind"].to_list() == ["out_of_fold", "out_of_fold", "model"]
    assert predictions["predicted_ethnicity_kind"].to_list() == ["model"] * 3
    assert predictions["prediction_kind"].to_list() == ["out_of_fold", "out_of_fold", "model"]


def test_a_row_the_model_saw_without_a_fold_gets_no_prediction() -> None:
    seen = pl.DataFrame({"image_id": [shard.image_id(0), shard.image_id(1)], "attribute": ["gender", "gender"]})
    predictions = attributes_with_predictions(shard.attributes(3), oof((0, "gender", "Male", 0.6)), seen=seen)
    assert predictions["predicted_gender"].to_list() == ["Male", None, "Female"]
    assert predictions["predicted_gender_kind"].to_list() == ["out_of_fold", "none", "model"]
    assert predictions["predicted_gender_p"][1] is None
    assert predictions["predicted_age_bin"].to_list() == ["30-39"] * 3


def test_a_missing_fold_value_is_no_prediction() -> None:
    predictions = attributes_with_predictions(shard.attributes(1), oof((0, "age_bin", None, None)))
    assert predictions.select("predicted_age_bin", "predicted_age_bin_kind").row(0) == (None, "none")


def test_out_of_fold_predictions_abstain_like_the_model() -> None:
    folds = oof((0, "gender", "Male", 0.89), (1, "gender", "Male", 0.91), (2, "age_bin", "3-9", 0.2))
    predictions = attributes_with_predictions(shard.attributes(3), folds, thresholds={"gender": 0.9})
    assert predictions["predicted_gender"].to_list() == ["unknown", "Male", "Female"]
    assert predictions["predicted_gender_kind"].to_list() == ["out_of_fold", "out_of_fold", "model"]
    assert predictions["predicted_age_bin"].to_list() == ["30-39", "30-39", "3-9"]


def test_without_a_model_there_is_no_prediction() -> None:
    nothing = {f"{name}_source": "none" for name in ("gender", "ethnicity", "age")} | dict.fromkeys(
        ATTRIBUTES, "unknown"
    )
    predictions = attributes_with_predictions(shard.attributes(1, **nothing), None)
    assert predictions["predicted_gender"].to_list() == [None]
    assert predictions["prediction_kind"].to_list() == ["none"]


@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.sampled_from([*GENDERS, "unknown", None])), min_size=1, max_size=6
    )
)
def test_no_row_with_a_label_ever_shows_the_decision_of_the_model_that_saw_it(
    rows: list[tuple[bool, bool, str | None]],
) -> None:
    """The model says Female everywhere; wherever it saw the label, that answer must not appear unless the fold gave it."""
    folds = oof(*((i, "gender", value, 0.9) for i, (in_fold, _, value) in enumerate(rows) if in_fold))
    seen = pl.DataFrame(
        {"image_id": [shard.image_id(i) for i, (_, seen, _) in enumerate(rows) if seen]}, schema={"image_id": pl.String}
    ).with_columns(attribute=pl.lit("gender"))
    predictions = attributes_with_predictions(shard.attributes(len(rows)), folds, seen=seen)
    for (in_fold, was_seen, value), got in zip(rows, predictions["predicted_gender"], strict=True):
        assert got == (value if in_fold else None if was_seen else "Female")


@pytest.mark.parametrize("table", ["oof", "seen"])
def test_an_unknown_attribute_is_named(table: str) -> None:
    strange = oof((0, "age", "30-39", 0.5))
    with pytest.raises(ValueError, match=r"'age'.*age_bin"):
        if table == "oof":
            attributes_with_predictions(shard.attributes(1), strange)
        else:
            attributes_with_predictions(shard.attributes(1), None, seen=strange.select("image_id", "attribute"))


def test_two_predictions_of_one_row_are_refused() -> None:
    with pytest.raises(MergeError, match="out-of-fold predictions of gender has 1 rows that repeat"):
        attributes_with_predictions(shard.attributes(1), oof((0, "gender", "Male", 0.6), (0, "gender", "Female", 0.6)))


# attributes_final


@pytest.mark.parametrize(
    ("manual", "predicted", "kind", "final", "source"),
    [
        ("Male", "Female", "model", "Male", "manual"),
        ("Male", None, "none", "Male", "manual"),
        ("Male", "unknown", "model", "Male", "manual"),
        (None, "Female", "model", "Female", "model"),
        (None, "Female", "out_of_fold", "Female", "out_of_fold"),
        (None, "unknown", "out_of_fold", "unknown", "none"),
        (None, None, "none", "unknown", "none"),
    ],
)
def test_manual_before_prediction_before_unknown(
    manual: str | None, predicted: str | None, kind: str, final: str, source: str
) -> None:
    predictions = conform(shard.ids(1), prediction_table().schema).with_columns(
        pl.lit(predicted, pl.String).alias("predicted_gender"), pl.lit(kind).alias("predicted_gender_kind")
    )
    row = attributes_final(with_manual(1, gender=[manual]), predictions, None).row(0, named=True)
    assert (row["gender_final"], row["gender_final_source"]) == (final, source)


def test_each_attribute_is_decided_for_itself() -> None:
    predictions = attributes_with_predictions(shard.attributes(1, age_bin="unknown"), None)
    row = attributes_final(with_manual(1, ethnicity=["Middle Eastern"]), predictions, shard.scores(1)).row(
        0, named=True
    )
    assert row == {
        **shard.ids(1).row(0, named=True),
        "gender_final": "Female",
        "gender_final_source": "model",
        "ethnicity_final": "Middle Eastern",
        "ethnicity_final_source": "manual",
        "ethnicity4_final": "White",
        "age_bin_final": "unknown",
        "age_bin_final_source": "none",
        "attractiveness": 5,
    }


def test_every_ethnicity_rolls_up() -> None:
    n = len(ETHNICITIES)
    final = attributes_final(with_manual(n + 1, ethnicity=[*ETHNICITIES, None]), None, None)
    assert set(final["ethnicity4_final"][:n]) == set(ETHNICITY4)
    assert final["ethnicity4_final"][n] == "unknown"


def test_a_model_that_is_sure_of_four_classes_only_is_heard() -> None:
    attributes = shard.attributes(2, ethnicity="unknown", ethnicity4="Asian")
    predictions = attributes_with_predictions(attributes, oof((1, "ethnicity", "unknown", 0.3)))
    final = attributes_final(with_manual(2), predictions, None)
    assert final["ethnicity_final"].to_list() == ["unknown", "unknown"]
    assert final["ethnicity4_final"].to_list() == ["Asian", "unknown"], "the second row's model saw its label"


def test_scores_meet_final_attributes_by_image() -> None:
    final = attributes_final(with_manual(2, gender=["Male", "Female"]), None, None)
    scores = shard.scores(2, attractiveness=[1, 10]).reverse()
    table = attractiveness_with_attributes(scores, final)
    assert table.select("gender_final", "attractiveness").rows() == [("Male", 1), ("Female", 10)]
    assert attractiveness_with_attributes(scores.tail(1), final)["attractiveness"].to_list() == [1, None]


# all of them


def tables(n: int, present: bool) -> dict[str, tuple[pl.DataFrame, Schema]]:
    attributes = shard.attributes(n)

    def maybe(frame: pl.DataFrame) -> pl.DataFrame | None:
        return frame if present else None

    predictions = attributes_with_predictions(attributes, maybe(oof()))
    final = attributes_final(with_manual(n), maybe(predictions), maybe(shard.scores(n)))
    return {
        "meta": (
            attributes_with_meta(attributes, maybe(shard.preproc(n)), maybe(shard.quality(n)), maybe(shard.ids(n))),
            meta_table().schema,
        ),
        "predictions": (predictions, prediction_table().schema),
        "final": (final, final_table().schema),
        "scored": (attractiveness_with_attributes(maybe(shard.scores(n)), final), scored_table().schema),
    }


@pytest.mark.parametrize("n", [0, 3])
@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("name", ["meta", "predictions", "final", "scored"])
def test_schema_and_rows_are_the_same_whatever_is_absent(n: int, present: bool, name: str) -> None:
    frame, schema = tables(n, present)[name]
    assert frame.schema == pl.Schema(schema)
    assert frame["image_id"].to_list() == [shard.image_id(i) for i in range(n)]


def test_label_structure_is_the_vocabulary() -> None:
    frame = label_structure()
    assert frame.schema == pl.Schema(LABEL_STRUCTURE.schema)
    for attribute, classes in CLASSES.items():
        of_it = frame.filter(pl.col("attribute") == attribute)
        assert of_it["label"].to_list() == list(classes)
        assert of_it["code"].to_list() == list(range(len(classes)))
    ages = frame.filter(pl.col("attribute") == "age_bin")
    bounds = {row["label"]: (row["age_from"], row["age_to"]) for row in ages.iter_rows(named=True)}
    assert (bounds["0-2"], bounds["30-39"], bounds[AGE_BINS[-1]]) == ((0, 2), (30, 39), (70, None))
    assert "unknown" not in frame["label"]
