"""The segments of a JPEG: how much work they announce, and whether a file without its end is whole but for a few blocks.

libjpeg goes over all blocks once for each scan, whatever a scan holds, and Pillow takes a step of Python for each segment. So a file of
half a megabyte can keep a decoder busy for a quarter of a minute: both are counted before anything is decoded.
Layout: ITU-T T.81, annex B.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from facestats_pipeline.core.images.problems import ImageProblem, too_costly

MAX_SEGMENTS = 10_000
"""Segments of a JPEG. Depth maps and other large attachments of phones take some hundreds of 64 kB each."""
MAX_EXIF_SEGMENTS = 64
"""One is usual; Pillow joins several by copying what it has for each."""
MAX_FILLER = 100_000
"""Bytes between segments that mean nothing."""
MANY_SCANS, MAX_SCAN_PIXELS = 20, 5 * 10**8
"""Scans that any photo may have (encoders make 10 to 12), and the product of scans and pixels that a photo with more may have."""
MAX_LOST = 0.05
"""Share of a photo's 8×8 blocks that may be lost at its end."""

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # in entropy-coded data 0 and the restart marks follow 0xff
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_WITHOUT_LENGTH = frozenset({0x01, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)})  # as Pillow reads them
_SOS, _EOI, _APP1 = 0xDA, 0xD9, 0xE1
_ENDINGS = (bytes(512), bytes(range(1, 255)) * 2)
"""Two ways to go on where a file breaks off. The first block that comes out differently is the first that is missing."""


@dataclass
class Scans:
    """What the frame and its scans say. `refined`: (component, coefficient) → the lowest bit that was sent."""

    pixels: int = 0
    components: int = 0
    progressive: bool = False
    count: int = 0
    refined: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether a scan for every bit of every coefficient has at least begun."""
        sent = sum(bit == 0 for bit in self.refined.values())
        return not self.progressive or sent >= 64 * self.components


def read_scans(data: bytes) -> Scans:
    """What a JPEG announces. Raises ImageProblem (too_large) for what would take long; damage is left to the decoder to judge."""
    scans, at, segments, exif, filler = Scans(), 2, 0, 0, 0
    while True:
        mark = data.find(b"\xff", at)
        if mark < 0 or mark + 1 >= len(data):
            return scans
        kind = data[mark + 1]
        filler += mark - at
        at = mark + (1 if kind == 0xFF else 2)
        if kind == 0xFF or kind == 0:
            filler += 1
        elif kind == _EOI and scans.count:
            return scans
        elif kind in _WITHOUT_LENGTH:
            segments += 1
        else:
            segments += 1
            body = data[at + 2 : at + max(2, int.from_bytes(data[at : at + 2], "big"))]
            at += 2 + len(body)
            exif += kind == _APP1 and body[:6] == b"Exif\x00\x00"
            if kind in _FRAMES and len(body) >= 6:
                scans.pixels = int.from_bytes(body[1:3], "big") * int.from_bytes(body[3:5], "big")
                scans.components, scans.progressive = body[5], kind in _PROGRESSIVE
            elif kind == _SOS and body:
                _add_scan(scans, body)
                if not scans.progressive and body[0] >= scans.components:
                    return scans  # one scan holds everything, and the decoder stops after it
                found = _MARKER.search(data, at)
                at = found.start() if found else len(data)
        _check(scans, segments, exif, filler)


def _add_scan(scans: Scans, body: bytes) -> None:
    scans.count += 1
    n = body[0]
    if scans.progressive and len(body) >= 4 + 2 * n:
        first, last, bit = body[1 + 2 * n], min(body[2 + 2 * n], 63), body[3 + 2 * n] & 15
        for component in body[1 : 1 + 2 * n : 2]:
            scans.refined.update({(component, k): bit for k in range(first, last + 1)})


def _check(scans: Scans, segments: int, exif: int, filler: int) -> None:
    if segments > MAX_SEGMENTS:
        raise too_costly(f"more than {MAX_SEGMENTS:,} segments")
    if exif > MAX_EXIF_SEGMENTS:
        raise too_costly(f"more than {MAX_EXIF_SEGMENTS} EXIF blocks")
    if filler > MAX_FILLER:
        raise too_costly(f"more than {MAX_FILLER:,} bytes between its segments")
    if scans.count > MANY_SCANS and scans.count * scans.pixels > MAX_SCAN_PIXELS:
        most = max(MANY_SCANS, MAX_SCAN_PIXELS // scans.pixels)
        raise too_costly(f"more than {most:,} scans of {scans.pixels:,} pixels")


def mended(data: bytes, load: Callable[[io.BytesIO], Image.Image]) -> tuple[bytes, str]:
    """A JPEG that ends too early, with an end mark, and a note on what is lost. `load` opens and decodes one.

    It is decoded with two different endings: from the first block that differs, the picture is missing. Raises ImageProblem (corrupt) when
    that is more than MAX_LOST of it, or a progressive photo lacks scans.
    """
    body = data[:-1] if data.endswith(b"\xff") else data
    if not read_scans(data).complete:
        raise ImageProblem("corrupt", "the file is cut short: scans of the progressive JPEG are missing")
    one, other = (_blocks(load(io.BytesIO(body + ending + b"\xff\xd9"))) for ending in _ENDINGS)
    different = np.flatnonzero((one != other).any(axis=-1))
    lost = 1 - int(different[0]) / len(one) if different.size else 0.0
    if lost > MAX_LOST:
        raise ImageProblem("corrupt", f"the file is cut short: the last {lost:.0%} of the picture is missing")
    if lost:
        return body + b"\xff\xd9", f"cut short: the last {max(lost, 0.001):.1%} of the picture is missing"
    return body + b"\xff\xd9", "its end mark is missing"


def _blocks(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Pixels as (blocks, values of a block); what is left beside whole blocks is part of the last of a row or column."""
    pixels = np.asarray(image.convert("RGB"))
    pixels = np.pad(pixels, ((0, -pixels.shape[0] % 8), (0, -pixels.shape[1] % 8), (0, 0)), mode="edge")
    h, w = pixels.shape[0] // 8, pixels.shape[1] // 8
    return pixels.reshape(h, 8, w, 8, 3).swapaxes(1, 2).reshape(h * w, -1)
