"""Composites: what is averaged, what is refused, what is reported, and how much memory it takes."""

import csv
import io
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from facestats_pipeline.core.composites.composite_specs import default_specs, filter_names, specs_by
from facestats_pipeline.core.composites.composite_table import COMPOSITES
from facestats_pipeline.core.composites.generate import (
    CompositeRefused,
    CompositeSpec,
    generate_composite,
    generate_composites,
    make_composite,
)
from facestats_pipeline_tests.core.composites.drawn_faces import FIVE, drawn, landmark_table, make_master, scattered


def flat(level: int, size: int = 64) -> Image.Image:
    return Image.new("RGB", (size, size), (level, level, level))


def test_mean_is_the_rounded_average_of_srgb_values() -> None:
    made = make_composite([flat(level) for level in [10, 20, 60] * 4], size=64)
    assert np.asarray(made.image).min() == np.asarray(made.image).max() == 30
    assert (made.n_used, made.skipped, made.method) == (12, [], "mean")


def test_too_few_photos_are_refused() -> None:
    with pytest.raises(CompositeRefused, match=r"9 photos could be used; at least 10"):
        make_composite([flat(5)] * 9, size=64)
    assert make_composite([flat(5)] * 3, size=64, min_n=3).n_used == 3


def test_unreadable_photos_are_skipped_and_reported(tmp_path: Path) -> None:
    images: list[Image.Image | bytes | Path] = [flat(100)] * 10
    made = make_composite([b"no image", *images, tmp_path / "secret-name.jpg"], size=64)
    assert made.n_used == 10
    assert [index for index, _ in made.skipped] == [0, 11]
    assert not any("secret-name" in reason for _, reason in made.skipped)
    assert np.asarray(made.image).mean() == 100


def test_skipped_photos_count_towards_the_floor() -> None:
    with pytest.raises(CompositeRefused, match=r"9 photos could be used \(3 were skipped\)"):
        make_composite([flat(1)] * 9 + [b"x"] * 3, size=64)


def test_aligned_brings_moved_copies_together() -> None:
    points = scattered(40)
    images = [drawn(p) for p in points]
    plain = np.asarray(make_composite(images, size=64).image, dtype=float)
    made = make_composite(images, size=64, method="aligned", landmarks=points, landmark_size=64)
    aligned = np.asarray(made.image, dtype=float)
    assert plain.min() > 70, "the copies are too well aligned already for this test to mean anything"
    assert aligned.min() < 40  # the discs are at 20: all copies fall onto one another
    assert np.allclose(points.mean(axis=(0, 1)), np.argwhere(aligned[..., 0] < 110)[:, ::-1].mean(axis=0), atol=1.5)


def test_landmarks_are_scaled_from_their_own_square() -> None:
    points = scattered(20)
    images = [drawn(p) for p in points]
    same = make_composite(images, size=64, method="aligned", landmarks=points, landmark_size=64)
    scaled = make_composite(images, size=64, method="aligned", landmarks=points * 8, landmark_size=512)
    assert np.array_equal(np.asarray(same.image), np.asarray(scaled.image))


def test_photos_without_landmarks_are_skipped_and_do_not_move_the_others() -> None:
    points = scattered(21)
    images = [drawn(p) for p in points]
    points[5] = np.nan
    kept = [i for i in range(21) if i != 5]
    made = make_composite(images, size=64, method="aligned", landmarks=points, landmark_size=64)
    without = make_composite(
        [images[i] for i in kept], size=64, method="aligned", landmarks=points[kept], landmark_size=64
    )
    assert made.skipped == [(5, "no landmarks")]
    assert np.array_equal(np.asarray(made.image), np.asarray(without.image))


def test_aligned_needs_landmarks_that_fit() -> None:
    with pytest.raises(ValueError, match="needs landmarks"):
        make_composite([flat(1)] * 12, size=64, method="aligned")
    with pytest.raises(ValueError, match="shape"):
        make_composite([flat(1)] * 12, size=64, method="aligned", landmarks=np.zeros((12, 3)))
    with pytest.raises(ValueError, match="11 rows of landmarks"):
        make_composite([flat(1)] * 12, size=64, method="aligned", landmarks=scattered(11))


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="blurry"):
        CompositeSpec("x", method="blurry")
    with pytest.raises(ValueError, match="blurry"):
        make_composite([flat(1)] * 12, size=64, method="blurry")


def test_streaming_mean_is_numpys_mean_of_the_whole_stack() -> None:
    stack = np.random.default_rng(0).integers(0, 256, (37, 32, 32, 3), dtype=np.uint8)
    made = make_composite([Image.fromarray(one) for one in stack], size=32)
    assert np.array_equal(np.asarray(made.image), np.rint(stack.mean(axis=0)).astype(np.uint8))


def test_weights_are_those_of_numpys_weighted_average_and_are_held_to_the_floor() -> None:
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 256, (37, 32, 32, 3), dtype=np.uint8)
    weights = rng.uniform(0.5, 1.5, 37)
    weights[[3, 4]] = np.nan, 0
    images = [Image.fromarray(one) for one in stack]
    made = make_composite(images, size=32, weights=weights)
    expected = np.average(stack[weights > 0], axis=0, weights=weights[weights > 0])
    assert np.abs(np.asarray(made.image) - expected).max() <= 0.5 + 1e-6
    assert made.skipped == [(3, "no weight"), (4, "no weight")]
    assert 25 < made.n_effective < 35
    alone = np.full(37, 0.001)
    alone[7] = 1  # a composite in which one person is nearly all there is
    with pytest.raises(CompositeRefused, match=r"37 photos count as 1\.\d equal ones; at least 10"):
        make_composite(images, size=32, weights=alone)
    with pytest.raises(ValueError, match="negative"):
        make_composite(images, size=32, weights=-weights)
    with pytest.raises(ValueError, match="36 rows of weights"):
        make_composite(images, size=32, weights=weights[:36])


def test_warped_by_flow_reads_the_photos_several_times_and_needs_a_list() -> None:
    points = scattered(12)
    images = [drawn(p) for p in points]
    made = make_composite(images, size=64, method="warped", landmarks=points, landmark_size=64)
    assert (made.n_used, made.method) == (12, "warped")
    with pytest.raises(ValueError, match="3 times"):
        make_composite(iter(images), size=64, method="warped", landmarks=points, landmark_size=64)


def test_a_photo_that_vanishes_between_passes_is_skipped_once(tmp_path: Path) -> None:
    points = scattered(12)
    paths = [tmp_path / f"{i}.png" for i in range(12)]
    for path, shape in zip(paths, points, strict=True):
        drawn(shape).save(path)

    class Vanishing(list[Path]):
        def __iter__(self) -> Iterator[Path]:
            yield from super().__iter__()
            paths[5].unlink(missing_ok=True)

    made = make_composite(Vanishing(paths), size=64, method="warped", landmarks=points, landmark_size=64)
    assert (made.n_used, made.skipped) == (11, [(5, "the photo is missing")])


@pytest.mark.parametrize("method", ["mean", "warped"])
def test_memory_does_not_grow_with_the_number_of_photos(method: str) -> None:
    buffer = io.BytesIO()
    flat(90).save(buffer, "PNG")
    data = buffer.getvalue()

    class Photos:
        def __init__(self, n: int) -> None:
            self.n = n

        def __iter__(self) -> Iterator[bytes]:
            for _ in range(self.n):
                yield bytes(bytearray(data))

    def peak(n: int) -> int:
        points = np.tile(FIVE, (n, 1, 1))
        tracemalloc.start()
        make_composite(Photos(n), size=64, method=method, landmarks=points, landmark_size=64)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = (50, 400) if method == "mean" else (10, 60)
    peak(few)  # what is imported and cached on first use
    assert peak(many) - peak(few) < 0.05 * (many - few) * 64 * 64 * 3


def test_one_pass_reads_each_photo_once_and_makes_what_single_calls_make() -> None:
    master = make_master()
    photos = {image_id: flat(5 * i) for i, image_id in enumerate(master["image_id"])}
    reads: Counter[str] = Counter()

    def load(image_id: str) -> Image.Image:
        reads[image_id] += 1
        return photos[image_id]

    specs = [CompositeSpec("all", method="mean"), CompositeSpec("f", filters={"gender": "Female"}, method="mean")]
    made = generate_composites(master, load, specs, size=64)
    assert set(reads.values()) == {1} and len(reads) == 40
    for one, spec in zip(made, specs, strict=True):
        alone = generate_composite(master, load, spec, size=64)
        assert alone.image is not None and one.image is not None
        assert np.array_equal(np.asarray(alone.image), np.asarray(one.image))
    levels = [5 * i for i in range(0, 40, 2)]
    assert made[1].image is not None
    assert np.asarray(made[1].image)[0, 0, 0] == round(sum(levels) / len(levels))


def test_rows_fit_the_schema_and_say_what_happened(tmp_path: Path) -> None:
    master = make_master()
    points = landmark_table(master, scattered(40)).with_columns(
        landmarks=pl.when(pl.col("image_id") == "id000").then(None).otherwise("landmarks")
    )

    def load(image_id: str) -> bytes | Image.Image:
        if image_id == "id001":
            raise FileNotFoundError(f"/data/{image_id}.jpg")
        return b"broken" if image_id == "id002" else flat(50)

    specs = [
        CompositeSpec("everyone", "Everyone"),
        CompositeSpec("relaxed", filters={"gender": "Male", "decile": (2, 2)}),
        CompositeSpec("small", filters={"decile": (2, 2)}, strict=True),
    ]
    made = generate_composites(master, load, specs, landmarks=points, size=64, landmark_size=64)
    rows = pl.DataFrame([one.row for one in made], schema=COMPOSITES.schema)
    assert rows["status"].to_list() == ["made", "made", "refused"]
    assert rows["n_asked"].to_list() == [39, 4, 4]  # id000 has no landmarks: it is not usable for `aligned`
    assert rows["n_used"].to_list() == [37, rows["n_used"][1], 0]
    assert rows["n_skipped"][0] == 2 and "missing" in rows["reason"][0] and "id0" not in rows["reason"][0]
    assert rows["relaxed"].to_list()[0] == []
    assert rows["relaxed"].to_list()[1] == ["decile=2:2 widened to decile=1:6"]  # men have even deciles only
    assert "4 photos match decile=2:2" in rows["reason"][2]
    assert made[2].image is None

    out = tmp_path / "new" / "everyone.jpg"
    generate_composite(master, load, specs[0], landmarks=points, size=64, landmark_size=64, out=out)
    with Image.open(out) as picture:
        assert picture.size == (64, 64)
    with pytest.raises(CompositeRefused, match="small"):
        generate_composite(master, load, specs[2], landmarks=points, size=64)


def test_a_sample_of_a_large_group_is_reported_and_repeatable() -> None:
    master = make_master()
    photos = {image_id: flat(5 * i) for i, image_id in enumerate(master["image_id"])}
    spec = [CompositeSpec("all", method="mean")]
    shuffled = master.sample(40, shuffle=True, seed=1)
    one, same = (
        generate_composites(rows, photos.__getitem__, spec, size=64, max_images=12)[0] for rows in (master, shuffled)
    )
    assert one.row["n_used"] == 12 and one.row["n_asked"] == 40
    assert one.row["reason"] == "a random sample of 12 of 40 photos"
    assert np.array_equal(np.asarray(one.image), np.asarray(same.image))


def test_flagged_photos_are_left_out_but_abstentions_are_not() -> None:
    reasons = [["blurred"], ["gender_unknown"], ["ethnicity_unknown", "dark"], None] + [[]] * 36
    status = ["ok"] * 39 + ["no_face"]
    master = make_master(reasons=pl.Series(reasons, dtype=pl.List(pl.String)), preproc_status=status)
    row = generate_composite(master, lambda _: flat(1), CompositeSpec("all", method="mean"), size=64).row
    assert row["n_used"] == 40 - 3


def test_aligned_without_any_landmarks_is_refused() -> None:
    with pytest.raises(CompositeRefused, match="0 usable photos"):
        generate_composite(make_master(), lambda _: flat(1), CompositeSpec("all"), size=64)


def test_default_specs_are_strict_and_named_once() -> None:
    specs = default_specs(make_master(), floor=4)
    names = [spec.name for spec in specs]
    assert len(set(names)) == len(names) and all(spec.strict for spec in specs)
    assert {"everyone", "female", "southeast_asian", "age_twenties", "male_age_sixties_and_older"} <= set(names)
    assert [spec.filters["decile"] for spec in specs if "decile" in spec.filters] == [(10, 10), (1, 1)]
    few = default_specs(make_master(), floor=5)
    assert [spec.filters["decile"] for spec in few if "decile" in spec.filters] == [(8, 10), (1, 3)]
    unscored = make_master(attractiveness=pl.Series([None] * 40, dtype=pl.Int8))
    assert not any("decile" in spec.filters for spec in default_specs(unscored))


def test_specs_by_a_grouping_are_strict_parts_of_their_base() -> None:
    base = CompositeSpec("x", "Female", filters={"gender": "Female"}, method="warped", floor=4, weight="age")
    for grouping in filter_names()[1:]:
        specs = specs_by(grouping, base)
        assert len({spec.name for spec in specs}) == len(specs) > 6
        assert all(
            spec.strict and spec.filters["gender"] == "Female" and spec.caption.startswith("Female, ") for spec in specs
        )
        assert {(spec.method, spec.floor, spec.weight) for spec in specs} == {("warped", 4, "age")}
    assert [spec.filters["decile"] for spec in specs] == [(one, one) for one in range(1, 11)]
    with pytest.raises(ValueError, match="filtered by gender already"):
        specs_by("gender", base)
    with pytest.raises(ValueError, match="shoe"):
        specs_by("shoe size", base)


def test_a_weight_is_a_column_of_numbers() -> None:
    spec = CompositeSpec("x", method="mean", weight="attractiveness")
    made = generate_composite(make_master(), lambda _: flat(50), spec, size=32)
    assert made.row["n_used"] == 40 and "as much as 31.4 equal photos" in made.row["reason"]  # (Σw)² / Σw² of 1–10
    for wrong in ("filename", "nothing"):
        with pytest.raises(ValueError, match=r"no column of numbers.*attractiveness"):
            generate_composite(make_master(), lambda _: flat(50), CompositeSpec("x", weight=wrong), size=32)


def test_what_is_left_out_is_counted_with_its_reason() -> None:
    reasons = [["blurred"], ["dark"]] + [[]] * 38
    master = make_master(reasons=pl.Series(reasons, dtype=pl.List(pl.String)), preproc_status=["ok"] * 39 + ["no_face"])
    points = landmark_table(master, scattered(40)).filter(pl.col("image_id") != "id010")
    row = generate_composite(master, lambda _: flat(1), CompositeSpec("x"), landmarks=points, size=64).row
    assert row["n_used"] == 36
    assert row["reason"] == (
        "2 left out: flagged for their quality; 1 left out: without a face; 1 left out: without landmarks"
    )


def test_warped_says_when_it_goes_by_flow_and_mean_takes_photos_as_they_were_taken() -> None:
    master = make_master(12)
    points = landmark_table(master, scattered(12))
    mesh = pl.DataFrame({"image_id": master["image_id"]}, schema={"image_id": pl.String}).with_columns(
        landmarks=pl.lit(None, pl.Array(pl.Float32, 956))
    )
    specs = [CompositeSpec("w", method="warped"), CompositeSpec("m", method="mean")]
    warped, mean = generate_composites(
        master,
        lambda _: flat(10),
        specs,
        landmarks=points,
        mesh=mesh,
        plain=lambda _: flat(90),
        size=64,
        landmark_size=64,
    )
    assert "optical flow" in warped.row["reason"] and np.asarray(warped.image).max() == 10
    assert mean.row["reason"] == "" and np.asarray(mean.image).min() == 90


def test_two_specs_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="'a'"):
        generate_composites(make_master(), lambda _: flat(1), [CompositeSpec("a"), CompositeSpec("a")])


def test_real_faces_are_sharper_aligned_than_plain(shared_data: Path) -> None:
    """Gradient energy around the eyes of 40 studio portraits, aligned on pupils, nose and mouth that people placed."""
    import gzip

    chosen = {0: 0, 1: 1}  # pupils; the other points of the set differ in numbering, two are enough for a similarity
    points: dict[str, dict[int, tuple[float, float]]] = {}
    with gzip.open(shared_data / "london" / "landmarks.csv.gz", "rt") as lines:
        for row in csv.DictReader(lines):
            if int(row["point"]) in chosen:
                points.setdefault(row["file"], {})[int(row["point"])] = (float(row["x"]), float(row["y"]))
    files = sorted(points)[:40]
    shapes = np.array([[points[file][0], points[file][1]] for file in files])
    paths = [shared_data / "london" / file for file in files]
    plain = make_composite(paths, size=256)
    aligned = make_composite(paths, size=256, method="aligned", landmarks=shapes)

    def energy(picture: Image.Image) -> float:
        gray = np.asarray(picture.convert("L"), dtype=np.float64)
        (x0, y0), (x1, y1) = shapes.mean(axis=0) / 2
        part = gray[int(y0) - 15 : int(y1) + 15, int(min(x0, x1)) - 20 : int(max(x0, x1)) + 20]
        down, across = np.gradient(part)
        return float((down**2 + across**2).mean())

    assert energy(aligned.image) > 2.5 * energy(plain.image)
