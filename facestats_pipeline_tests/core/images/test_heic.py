"""HEIC: upright, in sRGB, whichever brand comes first; without its decoder, or damaged, a reason in words."""

import random
import sys

import numpy as np
import pytest

from facestats_pipeline.core.images.decoding import ImageInfo, ImageProblem, decode, inspect_image
from facestats_pipeline_tests.heic_samples import PLAIN, TURNED, gradient
from facestats_pipeline_tests.robustness.mutations import mutated


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"heix", b"msf1"])
def test_a_photo_is_decoded_whatever_its_first_brand(brand: bytes) -> None:
    pytest.importorskip("pi_heif", reason="pi-heif has no wheel for this Python")
    data = PLAIN[:8] + brand + PLAIN[12:]
    found = decode(data)
    assert found.info == inspect_image(data) == ImageInfo(64, 48, "HEIC")
    assert np.abs(found.pixels.astype(int) - gradient()).mean() < 4


def test_a_turned_photo_is_upright_once_and_its_profile_is_used() -> None:
    pytest.importorskip("pi_heif", reason="pi-heif has no wheel for this Python")
    found = decode(TURNED)
    assert found.info == ImageInfo(64, 48, "HEIC")
    assert np.abs(found.pixels[:, :, [1, 0, 2]].astype(int) - gradient()).mean() < 4


def test_without_the_decoder_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "facestats_pipeline.core.images.heic", raising=False)
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(ImageProblem, match=r"HEIC photo.*pip install pi-heif") as problem:
        inspect_image(PLAIN)
    assert problem.value.status == "unsupported"


def test_the_bound_holds_and_damage_is_a_problem_and_nothing_else() -> None:
    pytest.importorskip("pi_heif", reason="pi-heif has no wheel for this Python")
    with pytest.raises(ImageProblem) as problem:
        inspect_image(PLAIN, max_pixels=64 * 48 - 1)
    assert problem.value.status == "too_large"
    draw, statuses = random.Random(0), set()
    for _ in range(300):
        try:
            decode(mutated(PLAIN, draw, (TURNED,)), max_pixels=10_000_000)
            statuses.add("ok")
        except ImageProblem as found:
            assert found.reason
            statuses.add(found.status)
    assert {"ok", "corrupt"} <= statuses
