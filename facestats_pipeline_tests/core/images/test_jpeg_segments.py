"""JPEGs without their end are used as far as they go, with a note; those that announce too much work are refused before it is done."""

import io
import time
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from facestats_pipeline.core.images.decoding import ImageProblem, decode, inspect_image
from facestats_pipeline.core.images.jpeg_segments import MANY_SCANS, MAX_SCAN_PIXELS, MAX_SEGMENTS, read_scans
from facestats_pipeline_tests import costly
from facestats_pipeline_tests.core.images.detailed_photos import detailed_photo
from facestats_pipeline_tests.hostile import encoded

KINDS: dict[str, dict[str, object]] = {
    "baseline": {"quality": 92},
    "progressive": {"quality": 92, "progressive": True},
    "restarts": {"quality": 92, "restart_marker_rows": 1},
    "grey": {"quality": 92},
    "cmyk": {"quality": 92},
}


@pytest.fixture(scope="module")
def photos() -> dict[str, bytes]:
    photo = Image.open(io.BytesIO(detailed_photo(400, 400)))
    modes = {"grey": "L", "cmyk": "CMYK"}
    return {kind: encoded(photo.convert(modes.get(kind, "RGB")), "JPEG", **options) for kind, options in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_without_its_end_mark_a_photo_is_the_same_with_a_note(kind: str, photos: dict[str, bytes]) -> None:
    whole = decode(photos[kind])
    for lost in (1, 2):
        data = photos[kind][:-lost]
        assert inspect_image(data).note == "its end mark is missing"
        found = decode(data)
        assert found.info.note == "its end mark is missing"
        assert np.array_equal(found.pixels, whole.pixels)
        assert decode(data, min_side=60).pixels.shape == decode(photos[kind], min_side=60).pixels.shape


@pytest.mark.parametrize("kind", KINDS)
def test_short_of_its_last_bytes_a_photo_is_usable_and_the_note_says_how_much_is_lost(
    kind: str, photos: dict[str, bytes]
) -> None:
    whole = decode(photos[kind]).pixels
    for lost in (20, 100):
        found = decode(photos[kind][:-lost])
        assert found.info.note.startswith("cut short: the last ")
        assert np.array_equal(found.pixels[:350], whole[:350]) or kind == "progressive"
        assert np.abs(found.pixels.astype(int) - whole).mean() < 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.85])
def test_a_photo_of_which_much_is_missing_is_corrupt(kind: str, share: float, photos: dict[str, bytes]) -> None:
    data = photos[kind][: int(len(photos[kind]) * share)]
    for use in (inspect_image, decode):
        with pytest.raises(ImageProblem, match="cut short") as problem:
            use(data)
        assert problem.value.status == "corrupt"


def test_scans_are_counted_in_progressive_and_in_baseline_photos(photos: dict[str, bytes]) -> None:
    assert read_scans(photos["baseline"]).count == 1
    progressive = read_scans(photos["progressive"])
    assert progressive.count == 10 and progressive.complete and progressive.pixels == 160_000
    assert read_scans(costly.many_scans(40, 64, 64)).count == 40
    assert read_scans(costly.many_single_scans(40, 64, 64)).count == 40
    assert inspect_image(costly.many_single_scans(3, 64, 64)).note == ""


@pytest.mark.parametrize("make", [costly.many_scans, costly.many_single_scans])
def test_scans_times_pixels_have_a_bound(make: Callable[[int, int, int], bytes]) -> None:
    width = height = 1000
    most = MAX_SCAN_PIXELS // (width * height)
    assert most > MANY_SCANS
    assert read_scans(make(most, width, height)).count == most
    with pytest.raises(ImageProblem, match=f"more than {most} scans of 1,000,000 pixels") as problem:
        inspect_image(make(most + 1, width, height))
    assert problem.value.status == "too_large"


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: costly.many_segments(5_000_000), f"more than {MAX_SEGMENTS:,} segments"),
        (lambda: costly.many_segments(20_000, b"\xff\xd0"), f"more than {MAX_SEGMENTS:,} segments"),
        (lambda: costly.many_segments(1, b"\xff" * 5_000_000), "bytes between its segments"),
        (lambda: costly.many_segments(1, b"\xff\xfe\x00\x02" + bytes(5_000_000)), "bytes between its segments"),
        (lambda: costly.many_segments(10, b"\xff\xf0\xff\xff" + bytes(65_533)), "bytes between its segments"),
        (lambda: costly.many_segments(2_000, b"\xff\xe1\x00\x30Exif\0\0" + bytes(40)), "EXIF blocks"),
    ],
    ids=["empty segments", "marks", "filler", "junk", "unknown segments", "exif"],
)
def test_segments_have_a_bound_that_is_found_at_once(make: Callable[[], bytes], what: str) -> None:
    data = make()
    started = time.process_time()
    with pytest.raises(ImageProblem, match=what) as problem:
        inspect_image(data)
    assert problem.value.status == "too_large"
    assert time.process_time() - started < 2


def test_what_phones_attach_is_within_the_bounds() -> None:
    depth = b"\xff\xe1\xff\xffhttp://ns.adobe.com/xmp/extension/\x00" + bytes(65_533 - 35)
    assert inspect_image(costly.many_segments(300, depth)).note == ""  # 20 MB
