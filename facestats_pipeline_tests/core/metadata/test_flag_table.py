from typing import Any

import polars as pl
import pytest

from facestats_pipeline.core.joins import MergeError
from facestats_pipeline.core.metadata.flag_table import (
    FlagThresholds,
    attributes_clean,
    attributes_flags,
    clean_table,
    flag_table,
    reasons_of,
)
from facestats_pipeline_tests.core import small_shards as shard

BAD: dict[str, dict[str, dict[str, Any]]] = {
    "not_preprocessed": {"preproc": {"status": "corrupt"}},
    "no_face": {"preproc": {"status": "no_face", "face_count": [0], "face_score": [None]}},
    "several_faces": {"preproc": {"face_count": [2]}},
    "low_face_score": {"preproc": {"face_score": [0.5]}},
    "small_face": {"quality": {"face_fraction": 0.001}},
    "blurred": {"quality": {"sharpness": 0.1}},
    "dark": {"quality": {"brightness": 0.01}},
    "bright": {"quality": {"brightness": 0.99}},
    "low_contrast": {"quality": {"contrast": 0.001}},
    "extreme_pose": {"quality": {"yaw": -80.0}},
    "gender_unknown": {"attributes": {"gender": "unknown"}},
    "ethnicity_unknown": {"attributes": {"ethnicity": "unknown"}},
    "age_unknown": {"attributes": {"age_bin": "unknown"}},
}


def flags_of(**changed: dict[str, Any]) -> dict[str, Any]:
    frame = attributes_flags(
        shard.attributes(1, **changed.get("attributes", {})),
        shard.quality(1, **changed.get("quality", {})),
        shard.preproc(1, **changed.get("preproc", {})),
    )
    return frame.row(0, named=True)


def test_a_good_photo_has_no_flag() -> None:
    row = flags_of()
    assert (row["flagged"], row["reasons"]) == (False, [])


@pytest.mark.parametrize("reason", reasons_of())
def test_every_reason_is_reached_by_its_cause_alone(reason: str) -> None:
    row = flags_of(**BAD[reason])
    assert (row["flagged"], row["reasons"]) == (True, [reason])


def test_a_tilted_head_is_an_extreme_pose_too() -> None:
    assert flags_of(quality={"roll": 60.0})["reasons"] == ["extreme_pose"]


def test_the_score_of_a_doubtful_find_that_was_not_used_is_no_reason_of_its_own() -> None:
    assert flags_of(preproc={"status": "no_face", "face_count": [0], "face_score": [0.4]})["reasons"] == ["no_face"]


def test_reasons_come_in_a_fixed_order() -> None:
    row = flags_of(
        attributes={"gender": "unknown"}, quality={"brightness": 0.0, "sharpness": 0.0}, preproc={"face_count": [3]}
    )
    assert row["reasons"] == ["several_faces", "blurred", "dark", "gender_unknown"]


@pytest.mark.parametrize(
    ("column", "limit", "good", "bad"),
    [
        ("sharpness", {"min_sharpness": 100.0}, 100.0, 99.9),
        ("brightness", {"min_brightness": 0.3}, 0.301, 0.299),
        ("brightness", {"max_brightness": 0.7}, 0.699, 0.701),
        ("contrast", {"min_contrast": 0.1}, 0.101, 0.099),
        ("face_fraction", {"min_face_fraction": 0.1}, 0.101, 0.099),
        ("yaw", {"max_yaw": 30.0}, -30.0, -30.1),
        ("roll", {"max_roll": 10.0}, 10.0, 10.1),
    ],
)
def test_thresholds_decide(column: str, limit: dict[str, Any], good: float, bad: float) -> None:
    frame = attributes_flags(
        shard.attributes(2),
        shard.quality(2, **{column: [good, bad]}),
        shard.preproc(2),
        thresholds=FlagThresholds(**limit),
    )
    assert frame["flagged"].to_list() == [False, True]


def test_unknown_is_no_reason_where_no_model_was_asked() -> None:
    row = flags_of(attributes={"gender": "unknown", "gender_source": "none", "ethnicity": "unknown"})
    assert row["reasons"] == ["ethnicity_unknown"]


def test_what_was_not_measured_raises_no_flag() -> None:
    no_detector = {"detector": "none", "face_count": [None], "face_score": [None]}
    nothing = {"face_fraction": None, "yaw": None, "roll": None}
    assert flags_of(preproc=no_detector, quality=nothing)["reasons"] == []
    frame = attributes_flags(shard.attributes(1), None, shard.preproc(1))
    assert frame["reasons"].to_list() == [[]]


def test_a_photo_without_a_preproc_row_is_flagged() -> None:
    frame = attributes_flags(shard.attributes(2), shard.quality(2), shard.preproc(1))
    assert frame["reasons"].to_list() == [[], ["not_preprocessed"]]
    assert attributes_flags(shard.attributes(1), None, None)["reasons"].to_list() == [["not_preprocessed"]]


def test_clean_is_exactly_what_is_not_flagged() -> None:
    attributes = shard.attributes(4, gender=["Male", "unknown", "Female", "Male"])
    flags = attributes_flags(attributes, shard.quality(4, sharpness=[300.0, 300.0, 300.0, 0.0]), shard.preproc(4))
    clean = attributes_clean(attributes, flags)
    assert clean["image_id"].to_list() == [shard.image_id(0), shard.image_id(2)]
    assert clean.equals(attributes.filter(~flags["flagged"]))


def test_a_row_that_was_never_checked_is_not_clean() -> None:
    flags = attributes_flags(shard.attributes(1), shard.quality(1), shard.preproc(1))
    assert attributes_clean(shard.attributes(2), flags).height == 1


def test_schemas_are_constant() -> None:
    for frame in (shard.attributes(0), shard.attributes(2), pl.DataFrame()):
        flags = attributes_flags(frame, None, None)
        assert flags.schema == pl.Schema(flag_table().schema)
        assert flags.height == frame.height
        assert attributes_clean(frame, flags).schema == pl.Schema(clean_table().schema)


def test_a_doubled_image_is_refused_without_naming_it() -> None:
    twice = pl.concat([shard.quality(2), shard.quality(1)])
    with pytest.raises(MergeError, match=r"image_quality\.parquet has 1 rows that repeat") as refusal:
        attributes_flags(shard.attributes(2), twice, shard.preproc(2))
    assert shard.image_id(0) not in str(refusal.value)
