"""Damaged images: none ends the process, takes long or much memory, or is left without an account."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.images.decoding import decode
from facestats_pipeline.core.images.formats import sniff_format
from facestats_pipeline.core.images.image_files import open_image
from facestats_pipeline.core.images.image_headers import bmp_profile, check_bmp, gif_frames, png_facts, webp_size
from facestats_pipeline.core.images.jpeg_segments import read_scans
from facestats_pipeline.core.images.problems import BrokenTags, ImageProblem
from facestats_pipeline.core.images.tiff_tags import exif_orientation, main_picture
from facestats_pipeline_tests.examples import examples
from facestats_pipeline_tests.hostile import png_bomb
from facestats_pipeline_tests.robustness.mutations import good_images, mutated_images

COUNT = 2000
GOOD = good_images(0)
SLOWEST_SECONDS, PEAK_MIB = 10, 1500
"""What no file may exceed, and what a process that met all of them may have held at once: the limits are 178 million pixels and RGB."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_thousand_damaged_images_are_each_accounted_for() -> None:
    command = [sys.executable, "-m", "facestats_pipeline_tests.robustness.images", "--count", str(COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["files"] == sum(found["manifest"].values()) == COUNT
    assert found["without_reason"] == []
    assert found["manifest"].get("corrupt", 0) > COUNT / 10 < found["manifest"]["ok"], "both kinds were met"
    live = found["manifest"]["ok"]
    assert sum(found["preprocessed"].values()) == live
    assert found["pictures"] == found["preprocessed"]["ok"]
    assert found["slowest_seconds"] < SLOWEST_SECONDS, found["slowest"]
    assert found["peak_resident_mib"] < PEAK_MIB


def test_good_images_decode_and_the_same_seed_makes_the_same_mutations() -> None:
    for name, data in GOOD.items():
        assert decode(data).image.mode == "RGB", name
    assert list(mutated_images(60, 3)) == list(mutated_images(60, 3))
    assert list(mutated_images(60, 3)) != list(mutated_images(60, 4))


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(ImageProblem, match="30000×30000 is more than"):
        open_image(png_bomb(30_000, 30_000))


@examples(150)
@given(st.binary(max_size=300) | st.sampled_from(sorted(GOOD)).map(GOOD.__getitem__), st.binary(max_size=40), st.data())
def test_header_parsers_raise_nothing_but_their_own_error(data: bytes, insert: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, min(len(data), 400)))
    data = data[:at] + insert + data[at + len(insert) :]
    for head in (b"", b"II*\x00", b"MM\x00+\x00\x08\x00\x00"):
        with contextlib.suppress(BrokenTags, ImageProblem):
            main_picture(head + data)
        assert exif_orientation(head + data) in (None, *range(1, 9))
    facts = png_facts(data)
    assert len(facts.data) <= len(data) and facts.frames >= 0
    assert gif_frames(data)[0] >= 0
    webp_size(data)
    check_bmp(data)
    assert len(bmp_profile(data)) <= len(data)
    assert read_scans(data).count >= 0
    try:
        sniff_format(data)
        open_image(data)
    except ImageProblem as problem:
        assert problem.status in ("corrupt", "too_large", "unsupported") and problem.reason


@given(st.binary(max_size=200))
def test_a_tidy_tiff_has_one_page_and_no_other_length(body: bytes) -> None:
    data = b"II*\x00\x08\x00\x00\x00" + body
    try:
        main = main_picture(data)
    except (BrokenTags, ImageProblem):
        return
    assert main_picture(main.data).pages == 1
    assert main.orientation in (None, *range(1, 9))
    assert len(main.data) >= len(data)


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "a/../../b.jpg", "\\x2e\\x2e/secret.jpg"])
def test_a_name_that_leaves_the_photo_folder_is_not_read(name: str, tmp_path: Path) -> None:
    from facestats_pipeline.core.ingest.identity import encode_filename, read_photo

    (tmp_path / "raw" / "a").mkdir(parents=True)
    for outside in (tmp_path / "secret.jpg", tmp_path / "b.jpg"):
        outside.write_bytes(b"secret")
    stored = name if "\\" in name else encode_filename(name)
    with pytest.raises(OSError, match="leads out of the photo folder"):
        read_photo(tmp_path / "raw", stored)


def test_a_link_that_was_exchanged_after_it_was_listed_is_not_followed_out(tmp_path: Path) -> None:
    from facestats_pipeline.core.ingest.identity import read_photo

    (tmp_path / "raw").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "raw" / "a.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(OSError, match="leads out of the photo folder"):
        read_photo(tmp_path / "raw", "a.jpg")
