"""Pairs, difference maps and morphs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facestats_pipeline.core.composites.comparisons import check_pair, difference_map, side_by_side
from facestats_pipeline.core.composites.composite_specs import CompositeRefused
from facestats_pipeline.core.composites.groups import GeneratedComposite
from facestats_pipeline.core.composites.morph import FRAME_MS, FRAMES, REST_MS, SUFFIXES, morph_frames, write_morph

SIZE = 64


def made(level: int, applied: str, **row: object) -> GeneratedComposite:
    image = Image.new("RGB", (SIZE, SIZE), (level, level, level))
    return GeneratedComposite(
        image, {"applied": applied, "filter": applied, "n_used": 12, "relaxed": [], "reason": ""} | row
    )


def disc(x: float, colour: tuple[int, int, int] = (20, 20, 20)) -> Image.Image:
    down, across = np.mgrid[0:SIZE, 0:SIZE]
    share = 1 / (1 + np.exp((np.hypot(across - x, down - SIZE / 2) - 9) / 1.5))[..., None]
    return Image.fromarray(np.rint(220 - share * (220 - np.array(colour))).astype(np.uint8))


def test_a_difference_is_orange_where_the_second_is_lighter_and_blue_where_darker() -> None:
    grey = Image.new("RGB", (SIZE, SIZE), (100, 100, 100))
    second = np.full((SIZE, SIZE, 3), 100, np.uint8)
    second[:, :20], second[:, 44:] = 140, 60
    drawn, reach = difference_map(grey, Image.fromarray(second))
    pixels = np.asarray(drawn).astype(int)
    assert (pixels[5, 5] == (0xE6, 0x9F, 0x00)).all() or pixels[5, 5, 0] > pixels[5, 5, 2] + 80
    assert pixels[5, 60, 2] > pixels[5, 60, 0] + 80
    assert (pixels[5, 32] == 255).all()
    assert (
        14 < reach < 18
    )  # L* 42.4 of grey 100, 25.9 of grey 60, 57.9 of grey 140: by the formulas of CIE 1976 and sRGB


def test_equal_pictures_differ_nowhere_and_sizes_must_agree() -> None:
    drawn, reach = difference_map(disc(20), disc(20))
    assert (np.asarray(drawn) == 255).all() and reach == 2.0
    with pytest.raises(ValueError, match="one size"):
        difference_map(disc(20), Image.new("RGB", (8, 8)))


def test_a_pair_shows_both_and_the_difference() -> None:
    pair = made(100, "gender=Female"), made(120, "gender=Male")
    two = side_by_side(*pair, thumb=100)
    three = side_by_side(*pair, thumb=100, difference=True)
    assert two.width == 2 * 24 + 2 * 100 + 14 and three.width == two.width + 100 + 14


def test_pairs_that_show_one_group_or_none_are_refused() -> None:
    with pytest.raises(CompositeRefused, match=r"both groups are all after relaxing \(gender=Male dropped"):
        check_pair(made(1, "all"), made(1, "all", relaxed=["gender=Male dropped"]))
    refused = GeneratedComposite(None, {"filter": "age=0:9", "reason": "3 photos match"})
    with pytest.raises(CompositeRefused, match="age=0:9: 3 photos match"):
        check_pair(made(1, "all"), refused)


def test_a_morph_begins_and_ends_with_the_pictures_and_moves_between() -> None:
    first, second = disc(29), disc(32, (160, 20, 20))
    frames = [np.asarray(frame).astype(float) for frame in morph_frames(first, second, 5)]
    assert np.array_equal(frames[0], np.asarray(first)) and np.array_equal(frames[-1], np.asarray(second))
    places = [((220 - f[..., 1]) * np.arange(SIZE)).sum() / (220 - f[..., 1]).sum() for f in frames]
    assert np.all(np.diff(places) > 0)
    plain = (frames[0] + frames[-1]) / 2  # a dissolve without motion shows both outlines
    edge = [np.abs(np.gradient(f[SIZE // 2, :, 1])).max() for f in (frames[2], plain)]
    assert edge[0] > 1.05 * edge[1]
    for wrong in (Image.new("RGB", (8, 8)), Image.new("RGB", (SIZE, 8))):
        with pytest.raises(ValueError, match="squares"):
            list(morph_frames(first, wrong))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_films_play_there_and_back(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"film{suffix}"
    if suffix == ".mp4":
        import cv2

        try:
            write_morph(disc(29), disc(32), path)
        except CompositeRefused as refusal:
            pytest.skip(str(refusal))
        film = cv2.VideoCapture(str(path))
        assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 2 * FRAMES - 4 + 2 * REST_MS // FRAME_MS
        assert film.get(cv2.CAP_PROP_FRAME_WIDTH) == SIZE
        film.release()
    else:
        write_morph(disc(29), disc(32), path)
        with Image.open(path) as film:
            assert film.size == (SIZE, SIZE)
            durations = []
            for number in range(film.n_frames):
                film.seek(number)
                film.load()
                durations.append(film.info["duration"])
        assert len(durations) > FRAMES, "there and back, less frames that are equal to the one before"
        assert sum(durations) == 2 * REST_MS + (2 * FRAMES - 4) * FRAME_MS
    assert [each.name for each in path.parent.iterdir()] == [path.name], "no temporary file is left"


def test_another_suffix_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.webp, \.gif, \.mp4"):
        write_morph(disc(29), disc(32), tmp_path / "film.avi")
    assert not list(tmp_path.iterdir())
