"""Eigenfaces on photos made of known directions."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from facestats_pipeline.core.composites.composite_specs import CompositeRefused
from facestats_pipeline.core.composites.eigenfaces import eigenface_sheet, eigenface_walk, fit_eigenfaces, fit_rows
from facestats_pipeline.core.composites.small_photos import SmallPhotos, add_small, read_small, write_small

SIZE = 24


def photos(n: int, seed: int = 0) -> list[Image.Image]:
    """Grey pictures that differ in brightness (most) and in a left–right gradient (less)."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(-1, 1, SIZE)[None, :, None] * np.ones((SIZE, 1, 3))
    made = []
    for light, lean in rng.normal(0, 1, (n, 2)):
        values = 128 + 30 * light + 12 * lean * ramp + rng.normal(0, 1, (SIZE, SIZE, 3))
        made.append(Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)))
    return made


def test_components_are_those_of_a_full_pca() -> None:
    images = photos(130)
    faces = fit_eigenfaces(images, size=SIZE, components=6)
    rows = np.stack([np.asarray(image, dtype=np.float64).reshape(-1) / 255 for image in images])
    whole = PCA(6, svd_solver="full").fit(rows)
    assert faces.n_used == 130
    assert np.allclose(faces.mean.reshape(-1), rows.mean(axis=0), atol=1e-6)
    assert faces.explained == pytest.approx(whole.explained_variance_ratio_, rel=1e-5)
    assert faces.deviation == pytest.approx(np.sqrt(whole.explained_variance_), rel=1e-5)
    signs = np.sign((faces.components.reshape(6, -1) * whole.components_).sum(axis=1))
    assert np.abs(faces.components.reshape(6, -1) - signs[:, None] * whole.components_).max() < 1e-4


@pytest.mark.parametrize("cuts", [[1], [40, 41, 90], list(range(10, 130, 10))])
def test_parts_give_what_the_whole_gives(cuts: list[int]) -> None:
    rows = np.stack([np.asarray(image) for image in photos(130)])
    whole, parts = fit_rows([rows], components=5), fit_rows(np.split(rows, cuts), components=5)
    for found, expected in (
        (parts.mean, whole.mean),
        (parts.components, whole.components),
        (parts.deviation, whole.deviation),
        (parts.explained, whole.explained),
    ):
        assert np.abs(found - expected).max() <= 1e-6


def test_components_are_what_was_put_in_and_signed_the_same_every_time() -> None:
    first, again = (fit_eigenfaces(photos(60, seed), size=SIZE, components=2) for seed in (1, 2))
    assert first.components[0].std() < 0.1 * abs(first.components[0].mean())  # brightness: the same everywhere
    assert first.components[0].mean() > 0 and again.components[0].mean() > 0
    bright = np.asarray(first.shifted(0, 2), dtype=float).mean()
    dark = np.asarray(first.shifted(0, -2), dtype=float).mean()
    assert bright - dark == pytest.approx(4 * 30, rel=0.2)  # four standard deviations of 30 levels


def test_few_photos_give_few_components_and_too_few_give_none(tmp_path: Path) -> None:
    assert len(fit_eigenfaces(photos(35), size=SIZE, components=16).components) == 3
    with pytest.raises(CompositeRefused, match="9 photos could be used"):
        fit_eigenfaces([*photos(9), tmp_path / "gone.jpg"], size=SIZE)


def test_unreadable_photos_are_skipped_and_reported() -> None:
    faces = fit_eigenfaces([b"nothing", *photos(40)], size=SIZE, components=2)
    assert faces.n_used == 40 and [index for index, _ in faces.skipped] == [0]


def test_sheets_have_a_tile_for_everything() -> None:
    faces = fit_eigenfaces(photos(60), size=SIZE, components=5)
    assert eigenface_sheet(faces, thumb=60).width == 2 * 24 + 6 * 60 + 5 * 14
    assert eigenface_walk(faces, count=2, thumb=60).width == 2 * 24 + 6 * 60 + 5 * 14


def test_photos_without_any_difference_have_no_directions() -> None:
    faces = fit_eigenfaces([Image.new("RGB", (SIZE, SIZE), (90, 80, 70))] * 40, size=SIZE, components=3)
    assert (faces.deviation == 0).all() and np.isfinite(faces.components).all()
    assert (faces.explained == 0).all()


def test_small_photos_are_read_once(tmp_path: Path) -> None:
    made = dict(zip("abcdefgh", photos(8), strict=True))
    asked: list[str] = []

    def load(image_id: str) -> Image.Image:
        asked.append(image_id)
        return made[image_id]

    first = add_small(SmallPhotos.none("1"), "abc", load, "1")
    write_small(first, tmp_path / "small.parquet")
    again = add_small(read_small(tmp_path / "small.parquet"), "bcde", load, "1")
    assert asked == list("abcde") and again.image_ids == list("bcde")
    asked.clear()
    anew = add_small(again, "bcde", load, "2")
    assert asked == list("bcde") and np.array_equal(anew.pixels, again.pixels)
    assert [part.shape for part in anew.parts()] == [(4, 96, 96, 3)]
    (tmp_path / "small.parquet").write_bytes(b"x")
    with pytest.raises(ValueError, match="cannot be read"):
        read_small(tmp_path / "small.parquet")
