"""The demo faces: same bytes from the same seed, valid labels, faces that a detector finds, and truth that pixels can give back."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageOps

from facestats_pipeline.core.demo import faces as demo_faces
from facestats_pipeline.core.demo.faces import FaceLatents, draw_face, generate_demo, sample_latents
from facestats_pipeline.core.progress import listening
from facestats_pipeline_tests.classes import AGE_BINS, ETHNICITIES, GENDERS, age_bin_of

COUNT = 60
SMALL = (144, 180)  # large enough for what these tests ask, and quick


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, pl.DataFrame]:
    """Raw folder, labels folder and truth of COUNT faces in half the demo's size, drawn in a quarter of the time."""
    folder = tmp_path_factory.mktemp("demo")
    halves = tuple((width // 2, height // 2) for width, height in demo_faces._SHAPES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_faces, "_SHAPES", halves)
        truth = generate_demo(COUNT, folder / "raw", folder / "labels", seed=2)
    return folder / "raw", folder / "labels", truth


@pytest.fixture(scope="module")
def crowd() -> tuple[list[FaceLatents], np.ndarray]:
    """200 small faces: their latents and their pixels, (200, h, w, 3) float in 0–1."""
    rng = np.random.default_rng(2)
    faces = [replace(sample_latents(rng), zoom=0.32, texture=i) for i in range(200)]
    return faces, np.stack([np.asarray(draw_face(face, SMALL), np.float32) / 255 for face in faces])


def digest(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


def test_same_seed_same_bytes_and_more_faces_keep_the_first(tmp_path: Path) -> None:
    generate_demo(2, tmp_path / "a" / "raw", tmp_path / "a" / "labels", seed=9, workers=1)
    generate_demo(2, tmp_path / "b" / "raw", tmp_path / "b" / "labels", seed=9, workers=3)
    generate_demo(3, tmp_path / "c" / "raw", tmp_path / "c" / "labels", seed=9)
    generate_demo(1, tmp_path / "d" / "raw", tmp_path / "d" / "labels", seed=10)
    a, b = digest(tmp_path / "a"), digest(tmp_path / "b")
    assert a == b
    assert digest(tmp_path / "a" / "raw").items() <= digest(tmp_path / "c" / "raw").items()
    assert not set(digest(tmp_path / "a" / "raw").values()) & set(digest(tmp_path / "d" / "raw").values())


def test_photos_are_as_the_truth_says(demo: tuple[Path, Path, pl.DataFrame]) -> None:
    raw, _, truth = demo
    assert truth.height == COUNT == truth["file"].n_unique()
    contents = set()
    for row in truth.iter_rows(named=True):
        data = (raw / row["file"]).read_bytes()
        contents.add(data)
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == row["format"]
            assert image.getexif().get(0x0112, 1) == row["orientation"]
            assert ImageOps.exif_transpose(image).size == (row["width"], row["height"])
    assert len(contents) == COUNT
    assert set(truth["format"]) == {"JPEG", "PNG", "WEBP"}
    assert (truth["orientation"] != 1).any()
    shapes = truth.select(pl.col("width").cast(float) / pl.col("height")).to_series()
    assert (shapes < 0.9).any() and (shapes > 1.1).any() and shapes.is_between(0.99, 1.01).any()
    assert truth["file"].str.split("/").list.first().n_unique() > 3


def test_a_rotated_photo_stands_upright_only_through_its_tag(demo: tuple[Path, Path, pl.DataFrame]) -> None:
    raw, _, truth = demo
    row = truth.filter(pl.col("orientation") != 1).row(0, named=True)
    face = FaceLatents(**{name: row[name] for name in FaceLatents.__slots__})
    wanted = np.asarray(draw_face(face, (row["width"], row["height"])), float)
    with Image.open(raw / row["file"]) as image:
        upright = np.asarray(ImageOps.exif_transpose(image), float)
        stored = np.asarray(image.resize(ImageOps.exif_transpose(image).size), float)
    assert np.abs(upright - wanted).mean() < 4  # only JPEG's loss
    assert np.abs(stored - wanted).mean() > 12


def test_bad_files_are_beside_the_good_ones(demo: tuple[Path, Path, pl.DataFrame], tmp_path: Path) -> None:
    raw, _, truth = demo
    good = {(raw / file).read_bytes() for file in truth["file"]}
    assert all((raw / name).read_bytes() in good for name in demo_faces.DUPLICATES)
    for name in demo_faces.BROKEN:
        with pytest.raises(OSError), Image.open(raw / name) as image:
            image.load()
    files = {str(p.relative_to(raw)) for p in raw.rglob("*") if p.is_file()}
    assert files == {*truth["file"], *demo_faces.DUPLICATES, *demo_faces.BROKEN}
    few = generate_demo(2, tmp_path / "raw", tmp_path / "labels")
    assert {str(p.relative_to(tmp_path / "raw")) for p in (tmp_path / "raw").rglob("*.*")} == set(few["file"])


def test_labels_are_fairface_rows_of_part_of_the_photos(demo: tuple[Path, Path, pl.DataFrame]) -> None:
    _, labels_dir, truth = demo
    labels = pl.read_csv(labels_dir / "labels.csv")
    assert labels.columns == ["file", "age", "gender", "race", "age_years"]
    assert 0.7 * COUNT < labels.height < 0.97 * COUNT and labels["file"].is_unique().all()
    assert set(labels["gender"]) <= set(GENDERS) and set(labels["race"]) <= set(ETHNICITIES)
    assert set(labels["age"]) <= set(AGE_BINS)
    assert [age_bin_of(years) for years in labels["age_years"]] == labels["age"].to_list()
    joined = labels.join(truth.select("file", true_gender="gender"), on="file")
    assert joined.height == labels.height and (joined["gender"] == joined["true_gender"]).all()


def test_raters_disagree_but_follow_the_appeal(demo: tuple[Path, Path, pl.DataFrame]) -> None:
    _, labels_dir, truth = demo
    ratings = pl.read_csv(labels_dir / "ratings.csv")
    assert ratings["rating"].is_in([1, 2, 3, 4, 5]).all() and ratings["rater"].n_unique() == 6
    per_photo = ratings.group_by("file").agg(pl.col("rating").mean(), pl.len(), spread=pl.col("rating").n_unique())
    assert 0.5 * COUNT < per_photo.height < 0.9 * COUNT
    assert per_photo["len"].min() >= 3 and (per_photo["spread"] > 1).mean() > 0.5
    joined = per_photo.join(truth, on="file")
    assert np.corrcoef(joined["rating"], joined["appeal"])[0, 1] > 0.85


def test_labels_of_somebody_else_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,age,gender,race\n")
    with pytest.raises(FileExistsError, match=r"labels\.csv"):
        generate_demo(1, tmp_path / "raw", tmp_path)
    assert not (tmp_path / "raw").exists()


def test_progress_is_reported(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    with listening(lambda *report: seen.append(report)):
        generate_demo(2, tmp_path / "raw", tmp_path / "labels")
    assert [done for _, done, total in seen if total == 2] == [0, 1, 2]


def test_a_detector_finds_the_faces(demo: tuple[Path, Path, pl.DataFrame], yunet_model: Path) -> None:
    raw, _, truth = demo
    detector = cv2.FaceDetectorYN.create(str(yunet_model), "", (320, 320), 0.6)
    counts = []
    for file in truth["file"]:
        with Image.open(raw / file) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        upright.thumbnail((320, 320))
        detector.setInputSize(upright.size)
        found = detector.detect(np.ascontiguousarray(np.asarray(upright)[..., ::-1]))[1]
        counts.append(0 if found is None else len(found))
    assert np.mean([count == 1 for count in counts]) > 0.95  # measured: 1,000 of 1,000 with seed 1


@pytest.mark.slow
def test_simple_pixels_give_the_truth_back(crowd: tuple[list[FaceLatents], np.ndarray]) -> None:
    """Ridge on a few hundred colour averages, five folds: far above chance, with margin below what was measured."""
    faces, pixels = crowd
    small = np.stack([cv2.resize(p[20:165, 12:132], (20, 24), interpolation=cv2.INTER_AREA) for p in pixels])
    x = small.reshape(len(faces), -1)
    x = (x - x.mean(0)) / x.std(0)

    def recovered(y: np.ndarray) -> float:
        out = np.empty(len(y))
        for fold in range(5):
            test = np.arange(len(y)) % 5 == fold
            a, b, centre = x[~test], y[~test], y[~test].mean()
            gram = a @ a.T + 600 * np.eye(len(a))
            out[test] = centre + x[test] @ a.T @ np.linalg.solve(gram, b - centre)
        return float(np.corrcoef(out, y)[0, 1])

    assert recovered(np.array([face.age for face in faces])) > 0.5
    assert recovered(np.array([face.gender == "Male" for face in faces], float)) > 0.4
    assert recovered(np.array([face.skin_tone for face in faces])) > 0.5
    assert abs(recovered(np.random.default_rng(0).normal(size=len(faces)))) < 0.25


def test_smile_and_skin_are_what_is_rated_and_seen() -> None:
    drawn = replace(sample_latents(np.random.default_rng(2)), zoom=0.32, texture=0)
    face = replace(drawn, smile=0.0, skin_evenness=0.1, symmetry=0.5, glasses=False, beard=0.0)
    assert replace(face, smile=1.0).appeal - face.appeal == pytest.approx(2.4)
    for name, value in (("gender", "Male"), ("ethnicity", "Black"), ("age", 80.0)):
        assert replace(face, **{name: value}).appeal == face.appeal
    plain = np.asarray(draw_face(face, SMALL), float)
    for change in ({"smile": 1.0}, {"skin_evenness": 1.0}, {"symmetry": 0.0}, {"yaw": 20.0}, {"glasses": True}):
        changed = np.asarray(draw_face(replace(face, **change), SMALL), float)
        assert (np.abs(changed - plain) / (plain + 10)).max() > 0.3, change


def test_appeal_is_independent_of_gender_ethnicity_and_age() -> None:
    rng = np.random.default_rng(0)
    faces = [sample_latents(rng) for _ in range(3000)]
    appeal = np.array([face.appeal for face in faces])
    groups = [np.array([face.gender == g for face in faces]) for g in GENDERS]
    groups += [np.array([face.ethnicity == e for face in faces]) for e in ETHNICITIES]
    groups += [np.array([low <= face.age < low + 30 for face in faces]) for low in (0, 30, 60)]
    for group in groups:
        error = appeal.std() / np.sqrt(group.sum())
        assert abs(appeal[group].mean() - appeal.mean()) < 3.5 * error
    assert 1 <= appeal.min() < 2 and 4 < appeal.max() <= 5


def test_populations_overlap() -> None:
    """No factor tells a class apart: skin tone and jaw have ranges in common, and long-haired men and short-haired women exist."""
    rng = np.random.default_rng(1)
    faces = [sample_latents(rng, age=30.0) for _ in range(2000)]
    tone = {e: np.array([f.skin_tone for f in faces if f.ethnicity == e]) for e in ETHNICITIES}
    assert np.quantile(tone["Black"], 0.05) < np.quantile(tone["Indian"], 0.95)
    assert np.quantile(tone["Latino_Hispanic"], 0.05) < np.quantile(tone["White"], 0.95)
    assert 0.02 < np.mean([f.hair_length > 0.42 for f in faces if f.gender == "Male"]) < 0.15
    assert 0.05 < np.mean([f.hair_length < 0.42 for f in faces if f.gender == "Female"]) < 0.25


@pytest.mark.slow
def test_mean_faces_of_women_and_men_differ(crowd: tuple[list[FaceLatents], np.ndarray]) -> None:
    faces, pixels = crowd
    male = np.array([face.gender == "Male" for face in faces])
    gap = np.abs(pixels[male].mean(0) - pixels[~male].mean(0)).mean(-1)
    shuffled = np.random.default_rng(0).permutation(male)
    chance = np.abs(pixels[shuffled].mean(0) - pixels[~shuffled].mean(0)).mean(-1)
    assert np.quantile(gap, 0.97) > 2 * np.quantile(chance, 0.97)
