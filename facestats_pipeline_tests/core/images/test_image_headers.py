"""Each format's way to announce much work in few bytes has a bound; what is within it is decoded within seconds."""

import re
import time
from collections.abc import Callable

import pytest

from facestats_pipeline.core.images.decoding import ImageProblem, decode, inspect_image
from facestats_pipeline.core.images.image_headers import (
    MAX_CHUNKS,
    MAX_EXTENSION_BLOCKS,
    MAX_RUNS_BYTES,
    gif_frames,
    png_facts,
)
from facestats_pipeline.core.images.tiff_tags import MAX_PAGES, MAX_STRIPS, MAX_TAGS
from facestats_pipeline_tests import costly

SECONDS = 8.0
"""Of the processor, for two decodes; each takes under 2 on a quiet machine."""


def outcome(data: bytes) -> str:
    started = time.process_time()
    try:
        decode(data)
        return inspect_image(data).note or "ok"
    except ImageProblem as problem:
        return f"{problem.status}: {problem.reason}"
    finally:
        assert time.process_time() - started < SECONDS


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: costly.many_chunks(1_000_000), f"too_large.*{MAX_CHUNKS:,} chunks"),
        (lambda: costly.many_chunks(1_000_000, b"IDAT"), f"too_large.*{MAX_CHUNKS:,} chunks"),
        (lambda: costly.many_blocks(2_000_000), f"too_large.*{MAX_EXTENSION_BLOCKS:,} blocks before"),
        (lambda: costly.many_strips(1_000_000), f"too_large.*{MAX_STRIPS:,} values"),
        (lambda: costly.many_tags(60_000), f"corrupt.*{MAX_TAGS:,} entries"),
        (lambda: costly.run_lengths(4096 * 500), f"too_large.*{MAX_RUNS_BYTES:,} bytes of run lengths"),
    ],
    ids=["png", "png pixels", "gif", "tiff strips", "tiff tags", "bmp"],
)
def test_what_announces_too_much_work_is_refused_at_once(make: Callable[[], bytes], reason: str) -> None:
    found = outcome(make())
    assert re.match(reason, found), found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "note"),
    [
        (lambda: costly.many_chunks(MAX_CHUNKS - 100), "ok"),
        (lambda: costly.many_chunks(MAX_CHUNKS - 100, b"IDAT"), "ok"),
        (lambda: costly.many_blocks(MAX_EXTENSION_BLOCKS - 100), "ok"),
        (lambda: costly.many_frames(100_000), "animated: first of 100000 frames used"),
        (lambda: costly.many_strips(MAX_STRIPS), "ok"),
        (lambda: costly.many_pages(1_000_000), f"several pages: first of {MAX_PAGES} used"),
        (lambda: costly.many_tags(MAX_TAGS - 100), "ok"),
        (lambda: costly.run_lengths(4096 * 250), "ok"),
        (lambda: costly.many_webp_chunks(1_000_000), "ok"),
        (lambda: costly.many_webp_frames(100_000), "animated: first of 100000 frames used"),
    ],
    ids=["png", "png pixels", "gif", "gif frames", "strips", "pages", "tags", "bmp", "webp", "webp frames"],
)
def test_what_is_within_the_bounds_is_decoded(make: Callable[[], bytes], note: str) -> None:
    assert outcome(make()) == note


def test_frames_and_chunks_are_counted_without_decoding_them() -> None:
    assert gif_frames(costly.many_frames(5))[0] == 5
    assert png_facts(costly.many_chunks(3)).frames == 1
