"""Views are the photos, changed only as the ranges say, and the same for the same generator."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facestats_pipeline.core.encoders.mini_towers import MEAN, STD
from facestats_pipeline.core.mini.augment import Ranges, compress, mix, normalize, random_views, resize, to_float

STILL = Ranges(rotate=0, zoom_out=0, zoom_in=0, stretch=0, shift=0, light=0, colour=0, gray=0, blur=0, noise=0, erase=0)


@pytest.fixture
def photos() -> torch.Tensor:
    ramp = torch.arange(128, dtype=torch.uint8)
    one = torch.stack(
        [ramp.expand(128, 128), ramp.expand(128, 128).T, torch.full((128, 128), 90, dtype=torch.uint8)], -1
    )
    return one.expand(6, 128, 128, 3).contiguous()


def pixels(views: torch.Tensor) -> torch.Tensor:
    return views * torch.tensor(STD).view(1, 3, 1, 1) + torch.tensor(MEAN).view(1, 3, 1, 1)


def test_with_every_range_at_zero_a_view_is_the_photo_or_its_mirror_image(photos: torch.Tensor) -> None:
    views = pixels(random_views(photos, 128, torch.Generator().manual_seed(0), STILL))
    plain = to_float(photos)
    as_is = (views - plain).abs().amax((1, 2, 3)) < 1e-4
    mirrored = (views - plain.flip(3)).abs().amax((1, 2, 3)) < 1e-4
    assert (as_is | mirrored).all()
    assert as_is.any()
    assert mirrored.any()


def test_the_same_generator_gives_the_same_views(photos: torch.Tensor) -> None:
    first, second = (random_views(photos, 64, torch.Generator().manual_seed(5), Ranges()) for _ in range(2))
    other = random_views(photos, 64, torch.Generator().manual_seed(6), Ranges())
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert first.shape == (6, 3, 64, 64)
    assert torch.isfinite(first).all()


def test_zooming_out_shows_more_of_the_scene(photos: torch.Tensor) -> None:
    wide = replace(STILL, zoom_out=0.4)
    views = pixels(random_views(photos, 128, torch.Generator().manual_seed(0), wide))
    slope = (views[:, 0, 64, 80] - views[:, 0, 64, 48]).abs() * 255 / 32  # red rises by 1 a pixel in the photo
    assert (slope >= 0.99).all()
    assert slope.max() > 1.1
    assert slope.max() <= 1.41


def test_erasing_blanks_a_rectangle_of_grey(photos: torch.Tensor) -> None:
    views = pixels(random_views(photos, 128, torch.Generator().manual_seed(0), replace(STILL, erase=1.0)))
    blank = ((views - 0.45).abs() < 1e-4).all(1).float().mean((1, 2))
    assert ((blank > 0.0) & (blank < 0.17)).all()


def test_resizing_keeps_flat_colour_and_normalizing_is_imagenets(photos: torch.Tensor) -> None:
    small = resize(to_float(photos), 96)
    assert small.shape == (6, 3, 96, 96)
    torch.testing.assert_close(small[:, 2], torch.full((6, 96, 96), 90 / 255))
    torch.testing.assert_close(normalize(small)[0, 2, 0, 0], torch.tensor((90 / 255 - MEAN[2]) / STD[2]))


def test_a_mixed_view_keeps_the_part_that_its_labels_are_told() -> None:
    n = 40
    views = torch.zeros(n, 3, 64, 64)
    views[::2] = 1.0
    mixed, partner, kept = mix(views, 1.0, torch.Generator().manual_seed(0))
    assert ((kept > 0.55) & (kept <= 1.0)).all()
    told = kept * views[:, 0, 0, 0] + (1 - kept) * views[partner, 0, 0, 0]
    torch.testing.assert_close(mixed.mean((1, 2, 3)), told)
    differ = views[:, 0, 0, 0] != views[partner, 0, 0, 0]
    whole = mixed.amax((1, 2, 3)) == mixed.amin((1, 2, 3))  # blended evenly, the others in a rectangle
    assert 0 < (whole & differ).sum() < differ.sum()
    assert kept.std() > 0.05


def test_without_a_share_nothing_is_mixed() -> None:
    views = torch.randn(6, 3, 32, 32)
    mixed, _, kept = mix(views, 0.0, torch.Generator().manual_seed(0))
    assert torch.equal(mixed, views)
    assert (kept == 1).all()


def test_the_share_asked_for_goes_through_a_jpeg(photos: torch.Tensor) -> None:
    many = photos[:1].expand(40, 128, 128, 3).contiguous()
    before = many.clone()
    out = compress(many, 0.5, np.random.default_rng(0))
    assert torch.equal(many, before)
    change = (out.float() - many.float()).abs().mean((1, 2, 3))
    assert 10 <= int((change > 0).sum()) <= 30
    assert change.max() < 8  # the same picture, a little worse
    assert compress(many, 0.0, np.random.default_rng(0)) is many
