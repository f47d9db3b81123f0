"""Reading TIFF directories: orientation from EXIF of either byte order, chains that loop, tags that point away."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.images.tiff_tags import BrokenTags, count_pages, exif_orientation, pixels_only


def tiff(order: str, tags: list[tuple[int, int, int, int]], next_at: int = 0) -> bytes:
    mark = b"II" if order == "<" else b"MM"
    body = struct.pack(order + "H", len(tags))
    for tag, kind, count, value in tags:
        inline = struct.pack(order + "HH", value, 0) if kind == 3 else struct.pack(order + "I", value)
        body += struct.pack(order + "HHI", tag, kind, count) + inline
    return mark + struct.pack(order + "HI", 42, 8) + body + struct.pack(order + "I", next_at)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\x00\x00"])
def test_orientation_is_read_in_both_byte_orders(order: str, prefix: bytes) -> None:
    for value in range(1, 9):
        assert exif_orientation(prefix + tiff(order, [(271, 2, 4, 0), (274, 3, 1, value)])) == value


def test_an_impossible_or_absent_orientation_is_1() -> None:
    assert exif_orientation(tiff("<", [(274, 3, 1, 9)])) == 1
    assert exif_orientation(tiff("<", [(274, 3, 2, 6)])) == 1
    assert exif_orientation(tiff("<", [])) == 1
    assert exif_orientation(tiff("<", [(274, 3, 1, 6)])[:-8]) == 1


def test_a_chain_of_pages_that_loops_ends() -> None:
    assert count_pages(tiff("<", [(256, 3, 1, 5)])) == 1
    assert count_pages(tiff("<", [(256, 3, 1, 5)], next_at=8)) == 1


def test_only_what_pixels_need_stays_and_the_orientation_is_told() -> None:
    data = tiff("<", [(256, 3, 1, 5), (274, 3, 1, 6), (34665, 4, 1, 999), (305, 2, 400, 7)], next_at=8)
    tidy, orientation = pixels_only(data)
    assert orientation == 6 and len(tidy) == len(data)
    kept = [struct.unpack_from("<H", tidy, 10 + 12 * index)[0] for index in range(4)]
    assert kept == [256, 65535, 65535, 65535]
    assert tidy[-4:] == bytes(4)


def test_a_needed_tag_that_points_past_the_end_is_refused() -> None:
    with pytest.raises(BrokenTags, match="past the end"):
        pixels_only(tiff("<", [(273, 4, 50, 1000)]))


@given(st.binary(max_size=120), st.sampled_from([b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+", b""]))
def test_any_bytes_give_an_answer_or_broken_tags(data: bytes, mark: bytes) -> None:
    assert 1 <= exif_orientation(mark + data) <= 8
    for read in (count_pages, pixels_only):
        try:
            read(mark + data)
        except BrokenTags as error:
            assert str(error)
