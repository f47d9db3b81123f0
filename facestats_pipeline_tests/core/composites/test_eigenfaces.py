"""Eigenfaces on photos made of known directions."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from facestats_pipeline.core.composites.composite_specs import CompositeRefused
from facestats_pipeline.core.composites.eigenfaces import eigenface_sheet, eigenface_walk, fit_eigenfaces

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


def test_batches_give_what_one_full_pca_gives() -> None:
    images = photos(130)
    faces = fit_eigenfaces(images, size=SIZE, components=2, batch=40)
    rows = np.stack([np.asarray(image, dtype=np.float64).reshape(-1) / 255 for image in images])
    whole = PCA(2).fit(rows)
    assert faces.n_used == 130
    assert np.allclose(faces.mean.reshape(-1), rows.mean(axis=0), atol=1e-5)
    assert faces.explained == pytest.approx(whole.explained_variance_ratio_, rel=0.02)
    cosine = np.abs((faces.components.reshape(2, -1) * whole.components_).sum(axis=1))
    assert (cosine > 0.999).all()


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


def test_batch_must_hold_the_components() -> None:
    with pytest.raises(ValueError, match="batch=4"):
        fit_eigenfaces(photos(30), size=SIZE, components=8, batch=4)


def test_sheets_have_a_tile_for_everything() -> None:
    faces = fit_eigenfaces(photos(60), size=SIZE, components=5)
    assert eigenface_sheet(faces, thumb=60).width == 2 * 24 + 6 * 60 + 5 * 14
    assert eigenface_walk(faces, count=2, thumb=60).width == 2 * 24 + 6 * 60 + 5 * 14
