"""Quality figures against pictures and poses whose values are known."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageFilter

from facestats_pipeline.core.images.decoding import encode_jpeg
from facestats_pipeline.core.preproc.detection import load_detector
from facestats_pipeline.core.preproc.preproc_table import PREPROC
from facestats_pipeline.core.preproc.preprocessing import PreprocSettings, run_preprocessing
from facestats_pipeline.core.preproc.quality import (
    NOSE_DEPTH,
    face_fraction,
    head_turn,
    image_quality,
    luma_of,
    perceptual_hash,
    sharpness,
)
from facestats_pipeline.core.preproc.quality_table import IMAGE_QUALITY
from facestats_pipeline_tests import hostile

FRONTAL = np.array([(-1, 0), (1, 0), (0, 1.1), (-0.7, 2.0), (0.7, 2.0)]) / 2  # in distances of the eyes


def turned(yaw: float, roll: float) -> np.ndarray:
    """Five landmarks of a head of known yaw and roll (degrees), seen from far away, 80 px between the eyes."""
    y, r = np.radians(yaw), np.radians(roll)
    depth = np.array([0, 0, NOSE_DEPTH, 0, 0])
    points = FRONTAL.copy()
    points[:, 0] = points[:, 0] * np.cos(y) + depth * np.sin(y)
    rotation = np.array([[np.cos(r), -np.sin(r)], [np.sin(r), np.cos(r)]])
    return points @ rotation.T * 80 + (300, 200)


@pytest.mark.parametrize("yaw", [-50, -20, 0, 15, 45])
@pytest.mark.parametrize("roll", [-30, 0, 12, 80])
def test_a_known_pose_is_found(yaw: float, roll: float) -> None:
    assert head_turn(turned(yaw, roll)) == pytest.approx((yaw, roll), abs=1e-6)


def test_blur_lowers_sharpness_and_light_moves_brightness() -> None:
    noisy = Image.fromarray(np.random.default_rng(1).integers(0, 256, (256, 256), dtype=np.uint8))
    levels = [sharpness(np.asarray(noisy.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 1, 2, 4)]
    assert levels == sorted(levels, reverse=True) and levels[0] > 100 * levels[3]
    step = np.zeros((64, 64), dtype=np.uint8)
    assert sharpness(step) == 0
    rows = image_quality(
        [(str(level), "a", encode_jpeg(Image.new("RGB", (64, 64), (level,) * 3))) for level in (0, 51, 255)],
        *no_faces(),
    )
    assert rows["brightness"].to_list() == pytest.approx([0, 0.2, 1], abs=0.005)
    assert rows["contrast"].to_list() == pytest.approx([0, 0, 0], abs=0.005)


def no_faces() -> tuple[pl.DataFrame, pl.DataFrame]:
    return pl.DataFrame(schema=PREPROC.schema), pl.DataFrame(
        schema={"image_id": pl.String, "width": pl.Int32, "height": pl.Int32}
    )


def distance(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()


def test_the_hash_survives_encoding_and_size_and_tells_pictures_apart() -> None:
    rng = np.random.default_rng(2)
    pictures = [hostile.picture(rng, 512, 512) for _ in range(12)]
    hashes = [perceptual_hash(np.asarray(picture.convert("L"))) for picture in pictures]
    assert all(len(each) == 16 for each in hashes)
    for picture, own in zip(pictures, hashes, strict=True):
        assert distance(own, perceptual_hash(luma_of(encode_jpeg(picture, 60)))) <= 4
        assert distance(own, perceptual_hash(np.asarray(picture.convert("L").resize((200, 200))))) <= 4
    between = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(between) > 12


def test_the_hash_of_a_known_picture_stays_what_it_was() -> None:
    """Stored hashes are compared across runs; a horizontal ramp has only the frequencies of its first row."""
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    bits = f"{int(perceptual_hash(ramp), 16):064b}"
    assert bits[0] == "1" and bits[1] == "0"  # bright on average; falling cosine against a rising ramp


def test_the_face_fraction_is_measured_in_the_photo() -> None:
    half = np.array([[0.5, 0, 0], [0, 0.5, 0]])
    assert face_fraction(np.array([10, 10, 50, 40]), half, 200, 160) == pytest.approx(100 * 80 / (200 * 160))
    assert face_fraction(np.array([0, 0, 500, 500]), half, 100, 100) == 1.0


def test_the_table_has_its_columns_and_nulls_where_nothing_is_known(tmp_path: Path) -> None:
    good = tmp_path / "a.jpg"
    good.write_bytes(encode_jpeg(hostile.picture(np.random.default_rng(3), 64, 64)))
    table = image_quality(
        [("a", "a.jpg", good), ("b", "b.jpg", tmp_path / "gone.jpg"), ("c", "c.jpg", b"junk")], *no_faces()
    )
    assert table.schema == IMAGE_QUALITY.schema and table["image_id"].to_list() == ["a", "b", "c"]
    assert table["sharpness"].is_null().to_list() == [False, True, True]
    assert table["yaw"].null_count() == table["face_fraction"].null_count() == 3


def test_roll_and_fraction_are_those_of_the_original_photo(shared_data: Path, yunet_model: Path) -> None:
    """The aligned picture is upright whatever the photo was; its row still tells how the photo was turned and how large the face."""
    portrait = Image.open(sorted((shared_data / "london" / "images").glob("*.jpg"))[0]).convert("RGB")
    sources = {
        "upright": portrait,
        "leaning": portrait.rotate(
            -15, Image.Resampling.BICUBIC, fillcolor=(220, 220, 220)
        ),  # negative is clockwise in Pillow
        "distant": Image.new("RGB", (1024, 1024), (220, 220, 220)),
    }
    sources["distant"].paste(portrait, (256, 256))
    photos = [(name, name, lambda image=image: hostile.encoded(image, "PNG")) for name, image in sources.items()]
    done = list(run_preprocessing(photos, PreprocSettings(size=256), load_detector(yunet_model)))
    sizes = pl.DataFrame({"image_id": list(sources), "width": [512, 512, 1024], "height": [512, 512, 1024]})
    table = image_quality(
        [(item.image_id, item.filename, item.jpeg) for item in done if item.jpeg is not None],
        pl.DataFrame([item.row for item in done], schema=PREPROC.schema),
        sizes,
    )
    upright, leaning, distant = table.iter_rows(named=True)
    assert leaning["roll"] - upright["roll"] == pytest.approx(15, abs=4)
    assert abs(upright["yaw"]) < 12
    assert distant["face_fraction"] == pytest.approx(upright["face_fraction"] / 4, rel=0.2)
    assert 0.05 < upright["face_fraction"] < 0.3
