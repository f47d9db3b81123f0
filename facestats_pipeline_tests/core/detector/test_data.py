"""Composed pictures: what is in them lies where they say, and follows from the generator alone."""

from pathlib import Path

import numpy as np

from facestats_pipeline.core.detector.data import SMALLEST_FACE, Sets, compose, open_sets, single_face


def test_no_photo_or_background_is_in_both_sets(cache: Path) -> None:
    training, held_out = open_sets(cache)
    assert len(training.background_rows) == 350 and len(held_out.background_rows) == 50
    for one, other in ((training, held_out), (held_out, training)):
        assert {one.photo(face).tobytes() for face in range(len(one.rows))}.isdisjoint(
            {other.photo(face).tobytes() for face in range(len(other.rows))}
        )
        assert set(one.background_rows).isdisjoint(other.background_rows)
    assert len(training.rows) - training.drawn_from == 30  # of 36 drawn ones 4 have no label and 2 are held out


def test_a_photo_without_a_label_has_a_box_and_no_landmarks(sets: Sets) -> None:
    unknown = np.isnan(sets.faces.landmarks[:, 0, 0])
    assert unknown.any() and not unknown.all()
    assert np.isfinite(sets.faces.boxes).all() and np.isfinite(sets.faces.hulls).all()


def test_pictures_follow_from_the_generator(sets: Sets) -> None:
    one, same, other = (compose(sets, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert (one.pixels == same.pixels).all() and (one.boxes == same.boxes).all()
    assert (one.pixels != other.pixels).any()


def test_landmarks_lie_in_the_boxes_and_large_enough_ones_are_asked_for(sets: Sets) -> None:
    faces, empty = 0, 0
    for seed in range(80):
        picture = compose(sets, np.random.default_rng(seed), 96)
        assert picture.pixels.shape == (96, 96, 3) and picture.pixels.dtype == np.uint8
        empty += len(picture.boxes) == 0
        for box, landmarks in zip(picture.boxes, picture.landmarks, strict=True):
            assert np.sqrt((box[2:] - box[:2]).prod()) >= SMALLEST_FACE * 0.99
            if np.isfinite(landmarks).all():
                faces += 1
                assert ((landmarks >= box[:2] - 1) & (landmarks <= box[2:] + 1)).all()
    assert faces > 40 and empty > 5


def test_a_pasted_face_has_the_colours_of_a_face_at_its_middle(sets: Sets) -> None:
    """The disc is brighter than everything around it: where a box says that there is a face, there is one."""
    inside = [
        picture.pixels[int(y), int(x)].mean()
        for seed in range(60)
        for picture in [compose(sets, np.random.default_rng((7, seed)), 96)]
        for x, y in (picture.boxes[:, :2] * 0.75 + picture.boxes[:, 2:] * 0.25).clip(0, 95)
    ]
    assert np.median(inside) > 100


def test_a_single_face_has_its_landmarks_on_the_dots(sets: Sets) -> None:
    dark = []
    for seed in range(30):
        pixels, landmarks, spread = single_face(sets, np.random.default_rng(seed))
        assert spread == np.float32(0.02)
        x, y = landmarks[0].clip(0, 127).astype(int)
        dark.append(float(pixels[y, x].mean()) - float(np.median(pixels[60:76, 60:76].mean(axis=2))))
    assert np.median(dark) < 0
