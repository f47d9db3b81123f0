"""Sums of parts are the sum of the whole: over threads, machines and runs."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facestats_pipeline.core.composites.averaging import Average, Part
from facestats_pipeline.core.composites.generate import CompositeSpec, GeneratedComposite, generate_composites
from facestats_pipeline.core.composites.kept_sums import read_sums, write_sums
from facestats_pipeline_tests.core.composites.drawn_faces import FIVE, drawn, landmark_table, make_master, scattered
from facestats_pipeline_tests.examples import examples

SIZE = 64
POINTS = FIVE + 0.2 * (scattered(240) - FIVE)  # as little apart as faces are that preprocessing has aligned
FACES = [drawn(points) for points in POINTS[:24]]
SPECS = [CompositeSpec("all", strict=True), CompositeSpec("women", filters={"gender": "Female"}, strict=True)]


@examples(30)
@given(
    division=st.lists(st.integers(0, 4), min_size=24, max_size=24),
    order=st.permutations(range(5)),
    method=st.sampled_from(["mean", "aligned", "warped"]),
    weighted=st.booleans(),
)
def test_parts_joined_in_any_order_are_the_single_pass(
    division: list[int], order: list[int], method: str, weighted: bool
) -> None:
    weights = np.linspace(0.5, 3, 24) if weighted else None
    points = None if method == "mean" else POINTS[:24]
    photos = [np.asarray(face) for face in FACES]

    def averaged(division: list[int], order: list[int]) -> tuple[Average, np.ndarray]:
        average = Average(method, SIZE, points, weights)
        for number in range(average.passes):
            parts = [average.part() for _ in order]
            for index, photo in enumerate(photos):
                if average.wants(index):
                    parts[division[index]].add(photo, index)
            for part in order:
                average.join(parts[part])
            total = average.total.copy() if number == average.passes - 1 else None
            average.end_pass()
        assert total is not None
        return average, total

    whole, expected = averaged([0] * 24, [0])
    divided, found = averaged(division, order)
    assert np.array_equal(found, expected), "whole numbers: not within 1e-6, but equal"
    assert np.array_equal(np.asarray(divided.result(10).image), np.asarray(whole.result(10).image))


def test_parts_may_be_joined_to_parts_first() -> None:
    average, flat = Average("mean", SIZE), np.full((SIZE, SIZE, 3), 7, np.uint8)
    left, right = average.part(), average.part()
    left.add(flat, 0)
    right.add(flat, 1)
    right.skipped[2] = "gone"
    left.join(right)
    average.join(left)
    assert isinstance(left, Part) and average.n == 2 and average.skipped == [(2, "gone")]
    assert (average.total == 14).all()


class Folder:
    """240 photos, of which any can be missing, and how often each was read."""

    def __init__(self) -> None:
        self.master = make_master(240)
        self.landmarks = landmark_table(self.master, POINTS)
        self.reads: Counter[str] = Counter()
        self.missing: set[str] = set()

    def load(self, image_id: str) -> Image.Image:
        self.reads[image_id] += 1
        if image_id in self.missing:
            raise FileNotFoundError(image_id)
        return FACES[int(image_id[2:]) % 24]

    def made(
        self, rows: pl.DataFrame, earlier: list[GeneratedComposite] | None = None, **options: Any
    ) -> list[GeneratedComposite]:
        kept = {one.row["name"]: one.kept for one in earlier or [] if one.kept is not None}
        self.reads.clear()
        return generate_composites(
            rows, self.load, SPECS, landmarks=self.landmarks, size=SIZE, landmark_size=SIZE, earlier=kept, **options
        )


def same(one: list[GeneratedComposite], other: list[GeneratedComposite]) -> bool:
    """Whether the pictures and rows are equal, and what is kept for the next time."""
    for a, b in zip(one, other, strict=True):
        assert a.image is not None and b.image is not None and a.kept is not None and b.kept is not None
        pictures = np.array_equal(np.asarray(a.image), np.asarray(b.image)) and np.array_equal(
            a.kept.total, b.kept.total
        )
        if not pictures or a.row != b.row or (a.kept.ids, a.kept.way) != (b.kept.ids, b.kept.way):
            return False
    return True


@pytest.fixture
def folder() -> Folder:
    return Folder()


def test_new_photos_are_added_and_no_other_is_read(folder: Folder) -> None:
    before = folder.made(folder.master.head(230))
    assert folder.reads.total() == 230
    after = folder.made(folder.master, before)
    assert sorted(folder.reads) == folder.master["image_id"][230:].to_list()
    assert same(after, folder.made(folder.master))
    assert folder.reads.total() == 240
    assert same(folder.made(folder.master, after), after) and not folder.reads


def test_a_photo_that_leaves_a_group_is_taken_out_of_it(folder: Folder) -> None:
    before = folder.made(folder.master)
    edited = folder.master.with_columns(
        gender_final=pl.when(pl.col("image_id") == "id004").then(pl.lit("Male")).otherwise("gender_final")
    )
    after = folder.made(edited, before)
    assert list(folder.reads) == ["id004"]
    assert after[1].row["n_used"] == 119 and same(after, folder.made(edited))


def test_the_sample_of_a_large_group_changes_by_what_is_new(folder: Folder) -> None:
    before = folder.made(folder.master.tail(235), max_images=110)
    after = folder.made(folder.master, before, max_images=110)
    assert 0 < folder.reads.total() < 20  # five that came, and those whose place they took
    assert same(after, folder.made(folder.master, max_images=110))


def test_what_cannot_be_taken_out_makes_the_group_begin_anew(folder: Folder) -> None:
    before = folder.made(folder.master)
    assert same(folder.made(folder.master.tail(239), before), folder.made(folder.master.tail(239)))
    unlabelled = folder.master.with_columns(
        gender_final=pl.when(pl.col("image_id") == "id004").then(None).otherwise("gender_final")
    )
    folder.missing = {"id004"}  # no longer a woman's photo, and not to be read: it would stay in that sum
    after, anew = folder.made(unlabelled, before), folder.made(unlabelled)
    assert after[1].row == anew[1].row and np.array_equal(np.asarray(after[1].image), np.asarray(anew[1].image))


@pytest.mark.parametrize("changed", [{"version": "another"}, {"threads": 1}])
def test_sums_of_another_preprocessing_are_passed_over(folder: Folder, changed: dict[str, Any]) -> None:
    before = folder.made(folder.master)
    after = folder.made(folder.master, before, **changed)
    assert folder.reads.total() == (240 if "version" in changed else 0)
    assert np.array_equal(np.asarray(after[0].image), np.asarray(before[0].image))


def test_landmarks_that_move_the_mean_shape_make_a_group_begin_anew(folder: Folder) -> None:
    before = folder.made(folder.master)
    folder.landmarks = landmark_table(folder.master, POINTS + 1.0)
    assert not same(folder.made(folder.master, before), before)
    assert folder.reads.total() == 240


def test_sums_are_read_as_they_were_written(folder: Folder, tmp_path: Path) -> None:
    made = {one.row["name"]: one.kept for one in folder.made(folder.master) if one.kept is not None}
    write_sums(made, tmp_path / "sums.parquet")
    read = read_sums(tmp_path / "sums.parquet")
    assert read.keys() == made.keys() == {"all", "women"}
    for name, one in read.items():
        assert (one.way, one.ids) == (made[name].way, made[name].ids)
        assert one.total.dtype == np.uint32 and np.array_equal(one.total, made[name].total)
    write_sums({}, tmp_path / "none.parquet")
    assert read_sums(tmp_path / "none.parquet") == {}


def test_a_damaged_file_of_sums_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sums.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(ValueError, match="cannot be read"):
        read_sums(tmp_path / "sums.parquet")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="not a file of composite sums"):
        read_sums(tmp_path / "other.parquet")
