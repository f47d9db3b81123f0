"""Reading TIFF directories: orientation from EXIF of either byte order, chains that loop, tags that point away."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.images.decoding import ImageInfo, decode, inspect_image
from facestats_pipeline.core.images.problems import BrokenTags, ImageProblem
from facestats_pipeline.core.images.tiff_tags import exif_orientation, main_picture


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


def test_an_impossible_or_absent_orientation_is_none_and_not_1() -> None:
    assert exif_orientation(tiff("<", [(274, 3, 1, 1)])) == 1
    assert exif_orientation(tiff("<", [(274, 3, 1, 9)])) is None
    assert exif_orientation(tiff("<", [(274, 3, 2, 6)])) is None
    assert exif_orientation(tiff("<", [(274, 4, 1, 6)])) == 6, "some programs write a longer number"
    assert exif_orientation(tiff("<", [])) is None
    assert exif_orientation(tiff("<", [(274, 3, 1, 6)])[:-8]) is None


def test_a_chain_of_pages_that_loops_ends() -> None:
    assert main_picture(tiff("<", [(256, 3, 1, 5)])).pages == 1
    assert main_picture(tiff("<", [(256, 3, 1, 5)], next_at=8)).pages == 1


def test_only_what_pixels_need_stays_and_the_orientation_is_told() -> None:
    data = tiff("<", [(256, 3, 1, 5), (274, 3, 1, 6), (34665, 4, 1, 999), (305, 2, 400, 7)], next_at=8)
    main = main_picture(data)
    tidy = main.data
    assert main.orientation == 6 and len(tidy) == len(data) and not main.preview_first
    kept = [struct.unpack_from("<H", tidy, 10 + 12 * index)[0] for index in range(4)]
    assert kept == [256, 65535, 65535, 65535]
    assert tidy[-4:] == bytes(4)


def test_a_needed_tag_that_points_past_the_end_is_refused() -> None:
    with pytest.raises(BrokenTags, match="past the end"):
        main_picture(tiff("<", [(273, 4, 50, 1000)]))


@given(st.binary(max_size=120), st.sampled_from([b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+", b""]))
def test_any_bytes_give_an_answer_or_broken_tags(data: bytes, mark: bytes) -> None:
    assert exif_orientation(mark + data) in (None, *range(1, 9))
    try:
        main_picture(mark + data)
    except (BrokenTags, ImageProblem) as error:
        assert str(error)


PREVIEW = [(254, 4, 1, 1)]


def two_pictures(
    first: list[tuple[int, int, int, int]], second: list[tuple[int, int, int, int]], *, below: bool = True
) -> bytes:
    """A TIFF of a black 8×8 picture and a white 32×24 one, in a sub-directory or on a second page, each with more tags."""

    def directory(at: int, width: int, height: int, start: int, more: list[tuple[int, int, int, int]]) -> bytes:
        own = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
        own += [(273, 4, 1, start), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, width * height)]
        tags = sorted(({tag[0]: tag for tag in own} | {tag[0]: tag for tag in more}).values())
        return tiff("<", tags)[8:]

    pixels = 8 + 24  # after the header: words for MAKE, then the pixels of both
    at = pixels + 64 + 32 * 24
    child_at = at + 6 + 12 * (9 + len({tag[0] for tag in first} - {262, 259}) + below)
    mine = directory(at, 8, 8, pixels, [*first, *([(330, 4, 1, child_at)] if below else [])])
    if not below:
        mine = mine[:-4] + struct.pack("<I", child_at)
    assert len(mine) == child_at - at
    child = directory(child_at, 32, 24, pixels + 64, second)
    maker = b"NIKON CORPORATION".ljust(24, b"\0")
    return b"II*\x00" + struct.pack("<I", at) + maker + bytes(64) + b"\xff" * (32 * 24) + mine + child


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ([(50706, 1, 4, 0x0401)], [(254, 4, 1, 0)], "(DNG)"),
        ([*PREVIEW, (50706, 1, 4, 0x0401)], [(262, 3, 1, 34892)], "(DNG)"),
        ([*PREVIEW, (271, 2, 18, 8)], [(262, 3, 1, 32803)], "(Nikon NEF)"),
        ([*PREVIEW, (271, 2, 18, 8)], [(262, 3, 1, 32803), (259, 3, 1, 34713)], "(Nikon NEF)"),
        (PREVIEW, [(259, 3, 1, 32767)], "(Sony ARW)"),
        ([(259, 3, 1, 65535)], PREVIEW, "(Pentax PEF)"),
        ([], [(262, 3, 1, 32803)], "raw file;"),
        (PREVIEW, [(33422, 1, 4, 0)], "raw file;"),
    ],
)
@pytest.mark.parametrize("below", [True, False])
def test_a_raw_file_is_named_and_its_preview_never_taken_for_the_photo(
    first: list[tuple[int, int, int, int]], second: list[tuple[int, int, int, int]], name: str, below: bool
) -> None:
    for use in (inspect_image, decode):
        with pytest.raises(ImageProblem) as problem:
            use(two_pictures(first, second, below=below))
        assert problem.value.status == "unsupported"
        assert name in problem.value.reason and "develop it to JPEG or TIFF" in problem.value.reason


@pytest.mark.parametrize("below", [True, False])
def test_the_main_picture_is_used_where_a_preview_comes_first(below: bool) -> None:
    found = decode(two_pictures([*PREVIEW, (274, 3, 1, 6)], [], below=below))
    assert found.info == ImageInfo(24, 32, "TIFF", "its first picture is a preview: the main one was used")
    assert found.pixels.min() == 255, "the white one, turned as the first directory says"
    assert decode(two_pictures([(255, 3, 1, 2)], [], below=below)).info.width == 32
    assert decode(two_pictures([], [], below=below)).info.width == (32 if below else 8), (
        "what is below is no other page"
    )
    first = decode(two_pictures([], PREVIEW, below=below))
    assert (first.info.width, first.pixels.max()) == (8, 0)
    assert first.info.note == ("" if below else "several pages: first of 2 used")


def test_a_file_of_previews_alone_is_refused_and_one_that_only_calls_itself_one_is_used() -> None:
    with pytest.raises(ImageProblem, match="nothing but previews"):
        inspect_image(two_pictures(PREVIEW, PREVIEW))
    assert inspect_image(tiff_picture(PREVIEW)).width == 8


def tiff_picture(more: list[tuple[int, int, int, int]]) -> bytes:
    """A TIFF of one black 8×8 picture."""
    tags = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 8), (279, 4, 1, 64)]
    return tiff("<", sorted([*tags, *more])) + bytes(64)
