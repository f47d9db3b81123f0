"""Decoding: what hostile and odd files become, and that ordinary ones come out upright, over white and unharmed by scaling."""

import io
import math
import threading
import time
import tracemalloc
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin

from facestats_pipeline.core.images.decoding import (
    ImageInfo,
    ImageProblem,
    compose,
    decode,
    decode_image,
    encode_jpeg,
    fit_square,
    inspect_image,
    invert,
    preprocess_image,
    to_rgb,
)
from facestats_pipeline.core.images.resampling import resize
from facestats_pipeline_tests import hostile
from facestats_pipeline_tests.core.images.colour_profiles import swapped_profile
from facestats_pipeline_tests.core.images.detailed_photos import detailed_photo
from facestats_pipeline_tests.core.images.similarity import ssim
from facestats_pipeline_tests.examples import examples


def outcome(data: bytes) -> str:
    try:
        inspect_image(data)
        return "ok"
    except ImageProblem as problem:
        return problem.status


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, hostile.Expected]:
    folder = tmp_path_factory.mktemp("hostile") / "raw"
    return folder, hostile.write_hostile_files(folder)


def test_every_hostile_file_gets_its_status_and_nothing_is_printed(
    hostile_folder: tuple[Path, hostile.Expected],
) -> None:
    folder, expected = hostile_folder
    assert len(expected) >= 60
    wrong: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, statuses in expected.items():
            path = folder / name
            if statuses == hostile.NOT_A_FILE and (path.is_symlink() or not path.is_file() or name == "unreadable.jpg"):
                continue  # judged before the bytes are read
            got = outcome(path.read_bytes())
            if got not in {"ok" if status == "duplicate" else status for status in statuses}:
                wrong[name] = got
    assert wrong == {}


def test_what_inspects_well_also_decodes_and_what_does_not_fails_alike(
    hostile_folder: tuple[Path, hostile.Expected],
) -> None:
    folder, expected = hostile_folder
    for name, statuses in expected.items():
        path = folder / name
        if path.is_symlink() or not path.is_file() or name == "unreadable.jpg":
            continue
        data = path.read_bytes()
        if "ok" in statuses or "duplicate" in statuses:
            image = preprocess_image(data, size=64)
            assert (image.mode, image.size) == ("RGB", (64, 64)), name
        else:
            with pytest.raises(ImageProblem) as problem:
                decode_image(data, min_side=64)
            assert (
                problem.value.reason and str(folder) not in problem.value.reason and "\n" not in problem.value.reason
            ), name


def test_a_bomb_is_refused_quickly_and_without_its_memory() -> None:
    assert inspect_image(hostile.png_bomb(900, 700)) == ImageInfo(
        900, 700, "PNG"
    )  # it is a valid picture but for its size
    data = hostile.png_bomb()
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(ImageProblem, match="30000×30000") as problem:
        inspect_image(data)
    assert problem.value.status == "too_large"
    assert time.perf_counter() - started < 2.0
    assert tracemalloc.get_traced_memory()[1] < 3 * len(data) + 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_the_callers_bound_holds_for_every_format(format: str) -> None:
    data = hostile.encoded(hostile.picture(np.random.default_rng(1), 40, 30), format)
    assert inspect_image(data, max_pixels=1200) == ImageInfo(40, 30, format)
    with pytest.raises(ImageProblem) as problem:
        inspect_image(data, max_pixels=1199)
    assert problem.value.status == "too_large"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(format: str, orientation: int) -> None:
    image = hostile.picture(np.random.default_rng(2), 120, 80)
    data = hostile.with_orientation(image, orientation, format)
    assert inspect_image(data) == ImageInfo(120, 80, format)
    difference = np.abs(np.asarray(decode_image(data), dtype=float) - np.asarray(image, dtype=float)).mean()
    assert difference < 6, difference  # another turn of this picture differs by 40 and more


def xmp(orientation: int) -> bytes:
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()
    )


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_says_the_orientation_where_exif_says_none_and_only_there(format: str) -> None:
    def stored(said: int | None) -> bytes:
        exif = Image.Exif()
        exif[271] = "a maker"
        if said is not None:
            exif[274] = said
        if format == "TIFF":
            tags = {271: "a maker", 700: xmp(6)} | ({274: said} if said is not None else {})
            return hostile.encoded(turned, format, tiffinfo=tags)
        if format == "PNG":
            info = PngImagePlugin.PngInfo()
            info.add_itxt("XML:com.adobe.xmp", xmp(6).decode())
            return hostile.encoded(turned, format, exif=exif.tobytes(), pnginfo=info)
        return hostile.encoded(turned, format, exif=exif.tobytes(), xmp=xmp(6))

    turned = hostile.picture(np.random.default_rng(2), 80, 120)
    assert inspect_image(stored(None)) == ImageInfo(120, 80, format)
    assert inspect_image(stored(1)) == ImageInfo(80, 120, format), "EXIF says that it is upright"
    assert inspect_image(stored(3)) == ImageInfo(80, 120, format)


def test_the_orientation_in_exif_that_a_png_has_as_text_is_used() -> None:
    exif = Image.Exif()
    exif[274] = 6
    block = b"Exif\x00\x00" + exif.tobytes().removeprefix(b"Exif\x00\x00")
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=True)
    data = hostile.encoded(hostile.picture(np.random.default_rng(2), 80, 120), "PNG", pnginfo=info)
    assert inspect_image(data) == ImageInfo(120, 80, "PNG")
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type xmp", f"\nxmp\n{len(xmp(8)):8}\n{xmp(8).hex()}\n", zip=True)
    data = hostile.encoded(hostile.picture(np.random.default_rng(2), 80, 120), "PNG", pnginfo=info)
    assert inspect_image(data) == ImageInfo(120, 80, "PNG")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_transform_of_a_scaled_decode_is_exact_for_sizes_that_do_not_divide(orientation: int) -> None:
    """A bright dot at a known place of a 1003×765 photo is found where the transform says, at 1/4 scale."""
    array = np.zeros((765, 1003, 3), dtype=np.uint8)
    cv2.circle(array, (612, 205), 20, (255, 255, 255), -1, cv2.LINE_AA)
    decoded = decode(hostile.with_orientation(Image.fromarray(array), orientation), min_side=150)
    assert decoded.scale == pytest.approx(0.25)
    weight = np.asarray(decoded.image.convert("L"), dtype=float)
    weight[weight < 20] = 0
    rows, columns = np.indices(weight.shape)
    found = np.array([((columns + 0.5) * weight).sum(), ((rows + 0.5) * weight).sum()]) / weight.sum()
    assert decoded.transform @ (612.5, 205.5, 1) == pytest.approx(found, abs=0.03)


def test_transparency_lies_over_white() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    for format in ("PNG", "WEBP", "TIFF"):
        data = hostile.encoded(clear, format, **({"lossless": True} if format == "WEBP" else {}))
        assert np.asarray(decode_image(data)).min() == 255, format
    half = hostile.encoded(Image.new("LA", (8, 8), (0, 128)), "PNG")
    assert np.asarray(decode_image(half)).mean() == pytest.approx(127, abs=1)
    keyed = Image.new("RGB", (8, 8), (10, 20, 30))
    assert np.asarray(decode_image(hostile.encoded(keyed, "PNG", transparency=(10, 20, 30)))).min() == 255
    palette = Image.new("P", (8, 8), 5)
    palette.putpalette([0] * 768)
    assert np.asarray(decode_image(hostile.encoded(palette, "PNG", transparency=5))).min() == 255


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_tones(format: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (4, 1))
    pixels = np.asarray(decode_image(hostile.encoded(Image.fromarray(ramp), format)))
    assert pixels[0, :, 0] == pytest.approx(np.linspace(0, 255, 256), abs=1)


def test_cmyk_as_adobe_stores_it_is_not_inverted() -> None:
    red = Image.new("RGB", (32, 32), (200, 30, 30)).convert("CMYK")
    assert np.asarray(decode_image(hostile.encoded(red, "JPEG", quality=95))).mean(axis=(0, 1)) == pytest.approx(
        [200, 30, 30], abs=6
    )


def test_notes_say_what_was_left_out(hostile_folder: tuple[Path, hostile.Expected]) -> None:
    folder, _ = hostile_folder
    for name in ("animated.gif", "animated.webp", "animated.png"):
        assert inspect_image((folder / name).read_bytes()).note == "animated: first of 4 frames used"
    assert inspect_image((folder / "pages.tif").read_bytes()).note == "several pages: first of 4 used"
    assert inspect_image((folder / "several.mpo").read_bytes()).format == "JPEG"
    assert inspect_image((folder / "cmyk.jpg").read_bytes()).note == ""


@pytest.mark.parametrize(("width", "height"), [(1350, 1350), (2400, 1800)])
def test_scaled_decoding_looks_like_plain_pillow(width: int, height: int) -> None:
    data = detailed_photo(width, height)
    plain = Image.open(io.BytesIO(data)).convert("RGB")
    left, top, side = (width - min(width, height)) / 2, (height - min(width, height)) / 2, min(width, height)
    plain = plain.resize((512, 512), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
    assert decode(data, min_side=512).image.width < width
    assert ssim(preprocess_image(data), plain) >= 0.98


def test_fit_square_crops_or_pads_and_says_where_things_went() -> None:
    pixels = np.full((200, 400, 3), (255, 0, 0), dtype=np.uint8)
    cropped, transform = fit_square(pixels, 100, "crop")
    assert cropped.shape == (100, 100, 3) and cropped[..., 0].min() > 250
    assert transform @ (200, 100, 1) == pytest.approx([50, 50]) and transform @ (100, 0, 1) == pytest.approx([0, 0])
    padded, transform = fit_square(pixels, 100, "pad")
    assert padded[10, 50].tolist() == [127, 127, 127] and padded[50, 2, 0] > 250
    assert transform @ (0, 0, 1) == pytest.approx([0, 25]) and transform @ (400, 200, 1) == pytest.approx([100, 75])
    with pytest.raises(ValueError, match="squash"):
        fit_square(pixels, 100, "squash")


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {"quality": 95}),
        ("RGB", {"quality": 90, "subsampling": 0}),
        ("RGB", {"quality": 90, "progressive": True}),
        ("RGB", {"quality": 90, "keep_rgb": True}),
        ("L", {"quality": 90}),
        ("CMYK", {"quality": 90}),
    ],
)
def test_a_whole_jpeg_is_decoded_bit_for_bit_as_by_pillow(mode: str, options: dict[str, object]) -> None:
    data = hostile.encoded(hostile.picture(np.random.default_rng(8), 203, 117).convert(mode), "JPEG", **options)
    plain = np.asarray(to_rgb(Image.open(io.BytesIO(data))))
    assert np.array_equal(decode(data).pixels, plain)
    assert decode(data).scale == 1


def test_what_turbojpeg_has_a_remark_on_is_judged_by_pillow() -> None:
    """A marker in the middle of the scan is a remark of libjpeg's and no fault to Pillow: the photo stays usable, as it was."""
    data = hostile.encoded(hostile.picture(np.random.default_rng(9), 64, 48), "JPEG")
    middle = len(data) * 3 // 4
    damaged = data[:middle] + b"\xff\xd3" + data[middle + 2 :]
    with pytest.raises(ValueError, match="Corrupt JPEG data"):
        simplejpeg.decode_jpeg(damaged, "RGB")
    assert np.array_equal(decode(damaged).pixels, np.asarray(Image.open(io.BytesIO(damaged))))


@pytest.mark.parametrize("min_side", [1, 25, 26, 60, 75, 99, 100, 101, 150, 200, 300])
def test_a_scaled_decode_is_never_below_what_was_asked_for(min_side: int) -> None:
    data = hostile.encoded(hostile.picture(np.random.default_rng(10), 301, 200), "JPEG")
    decoded = decode(data, min_side=min_side)
    height, width = decoded.pixels.shape[:2]
    assert min(height, width) >= min(min_side, 200)
    eighths = round(decoded.scale * 8)
    assert decoded.scale == pytest.approx(eighths / 8) and eighths in (1, 2, 3, 4, 8)
    assert (width, height) == (math.ceil(301 * eighths / 8), math.ceil(200 * eighths / 8))
    assert decoded.reduced == (decoded.scale < 1)


def test_a_scaled_decode_keeps_the_colours_of_its_profile() -> None:
    image = hostile.picture(np.random.default_rng(11), 160, 160)
    data = hostile.encoded(image, "JPEG", quality=95, icc_profile=swapped_profile())
    whole, scaled = decode(data).pixels, decode(data, min_side=40).pixels
    assert scaled.shape == (40, 40, 3)
    assert np.abs(scaled.mean(axis=(0, 1)) - whole.mean(axis=(0, 1))).max() < 1.5
    assert np.abs(whole.mean(axis=(0, 1)) - np.asarray(image).mean(axis=(0, 1))).max() > 5, (
        "a profile that changes much"
    )


@pytest.mark.parametrize("size", [(64, 48), (300, 200), (101, 7)])
def test_resizing_is_pillows_bicubic_but_for_rounding(size: tuple[int, int]) -> None:
    image = hostile.picture(np.random.default_rng(12), 128, 96)
    ours = resize(np.asarray(image), *size).astype(int)
    plain = np.asarray(image.resize(size, Image.Resampling.BICUBIC)).astype(int)
    assert ours.shape == plain.shape and np.abs(ours - plain).max() <= 2


def test_nothing_of_the_photo_but_its_pixels_is_written() -> None:
    exif = Image.Exif()
    exif[270] = "a secret description"
    data = hostile.encoded(
        hostile.picture(np.random.default_rng(4)),
        "JPEG",
        exif=exif.tobytes(),
        comment=b"a secret comment",
        icc_profile=hostile.srgb_profile(),
    )
    assert b"secret" in data
    out = encode_jpeg(preprocess_image(data, size=64))
    assert b"secret" not in out and b"ICC_PROFILE" not in out and b"Exif" not in out


def test_a_pillow_image_and_a_path_give_the_same_picture(tmp_path: Path) -> None:
    data = hostile.with_orientation(hostile.picture(np.random.default_rng(5), 90, 60), 6)
    (tmp_path / "a.jpg").write_bytes(data)
    from_path, from_image = (
        preprocess_image(tmp_path / "a.jpg", size=50),
        preprocess_image(Image.open(tmp_path / "a.jpg"), size=50),
    )
    assert np.array_equal(np.asarray(from_path), np.asarray(from_image))


def test_threads_do_not_disturb_each_other_or_pillows_settings(hostile_folder: tuple[Path, hostile.Expected]) -> None:
    folder, expected = hostile_folder
    names = [
        n
        for n in expected
        if (folder / n).is_file() and not (folder / n).is_symlink() and n not in ("unreadable.jpg", "bomb.png")
    ]
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    alone = [outcome((folder / name).read_bytes()) for name in names]
    together: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: together.append([outcome((folder / name).read_bytes()) for name in names]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [alone] * 4
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)) == before


SEEDS = [
    hostile.encoded(hostile.picture(np.random.default_rng(6), 24, 16), format, **options)
    for format, options in (
        (
            "JPEG",
            {
                "exif": b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"
            },
        ),
        ("PNG", {}),
        ("WEBP", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("GIF", {}),
    )
]


@examples(250)
@given(st.sampled_from(SEEDS), st.data())
def test_damaged_bytes_raise_nothing_but_image_problem(seed: bytes, data: st.DataObject) -> None:
    damaged = bytearray(seed)
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(seed) - 1), st.integers(0, 255)), max_size=12)):
        damaged[at] = value
    cut = bytes(damaged[: data.draw(st.integers(0, len(seed)))]) if data.draw(st.booleans()) else bytes(damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for use in (inspect_image, decode_image):
            try:
                use(cut, max_pixels=1_000_000)
            except ImageProblem as problem:
                assert problem.status in ("corrupt", "too_large", "unsupported") and problem.reason


@examples(100)
@given(
    st.binary(max_size=300),
    st.sampled_from(
        [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\x00", b"MM\x00+", b"GIF89a", b"BM", b"RIFF1234WEBP"]
    ),
)
def test_random_bytes_raise_nothing_but_image_problem(data: bytes, magic: bytes) -> None:
    with pytest.raises(ImageProblem):
        inspect_image(magic + data)


finite = st.floats(-1e3, 1e3)


@examples(50)
@given(st.tuples(st.floats(0.05, 20), st.floats(-3.2, 3.2), finite, finite), st.tuples(finite, finite))
def test_a_transform_and_its_inverse_cancel(
    parameters: tuple[float, float, float, float], point: tuple[float, float]
) -> None:
    scale, angle, dx, dy = parameters
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    transform = np.array([[c, -s, dx], [s, c, dy]])
    assert compose(invert(transform), transform) @ (*point, 1) == pytest.approx(point, abs=1e-6)
