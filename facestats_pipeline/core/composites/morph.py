"""Morph: an animation in which one average face turns into another and back."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from facestats_pipeline.core.composites.composite_specs import CompositeRefused
from facestats_pipeline.core.composites.optical_flow import flow, sampled
from facestats_pipeline.core.preproc.alignment import TEMPLATE

SUFFIXES = (".webp", ".gif", ".mp4")
FRAMES = 20
FRAME_MS, REST_MS = 50, 700
"""Display time in milliseconds of an intermediate frame, and of the two averages."""
_GIF_SIDE = 384  # a GIF has 256 colours and weak compression: 40 frames of 512 px are over 6 MB


def morph_frames(first: Image.Image, second: Image.Image, count: int = FRAMES) -> Iterator[Image.Image]:
    """Yield `count` pictures from `first` to `second`, inclusive: features move along the optical flow, colours blend.

    Motion eases in and out. Raises ValueError when the pictures differ in size or are not square, and for fewer than 2 frames.
    """
    if first.size != second.size or first.width != first.height or count < 2:
        raise ValueError(
            f"{first.size}, {second.size}, {count} frames: give two squares of one size and 2 frames or more"
        )
    one, other = (np.asarray(picture.convert("RGB")) for picture in (first, second))
    eyes = (TEMPLATE[1, 0] - TEMPLATE[0, 0]) * len(one)
    there, back = flow(one, other, eyes), flow(other, one, eyes)
    for share in (1 - np.cos(np.linspace(0, np.pi, count))) / 2:
        if share in (0, 1):
            yield first.convert("RGB") if share == 0 else second.convert("RGB")
            continue
        # The flow is known at the two ends only. It is smooth, so its value at this pixel approximates the one needed in between.
        moved = (1 - share) * sampled(one, np.float32(share) * back) + share * sampled(
            other, np.float32(1 - share) * there
        )
        yield Image.fromarray(np.rint(moved).astype(np.uint8), "RGB")


def write_morph(first: Image.Image, second: Image.Image, path: Path, *, count: int = FRAMES) -> None:
    """Write the morph there and back: an endless WebP or GIF, or an MP4 of one round, by the suffix of `path`.

    Raises:
        ValueError: for another suffix.
        CompositeRefused: when this build of OpenCV cannot write MP4.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path.name}: a morph is written as {', '.join(SUFFIXES)}")
    frames = list(morph_frames(first, second, count))
    round_trip = [*frames, *frames[-2:0:-1]]
    rests = [REST_MS if number in (0, count - 1) else FRAME_MS for number in range(len(round_trip))]
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written beside the target and renamed, so that an interrupted run leaves no half-written film.
    descriptor, name = tempfile.mkstemp(suffix=suffix, prefix=".morph-", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        if suffix == ".mp4":
            _write_mp4(round_trip, rests, temporary)
        else:
            _write_animation(round_trip, rests, temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_animation(frames: Sequence[Image.Image], rests: list[int], path: Path) -> None:
    if path.suffix == ".gif":
        small = [frame.resize((min(_GIF_SIDE, frame.width),) * 2, Image.Resampling.LANCZOS) for frame in frames]
        ends = Image.fromarray(np.hstack([np.asarray(small[0]), np.asarray(small[len(small) // 2])]))
        palette = ends.quantize(256)  # one palette for all frames, because separate palettes make colours flicker
        indexed = [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in small]
        indexed[0].save(path, save_all=True, append_images=indexed[1:], duration=rests, loop=0)
    else:
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=rests, loop=0, quality=85, method=4)


def _write_mp4(frames: Sequence[Image.Image], rests: list[int], path: Path) -> None:
    side = frames[0].width - frames[0].width % 2  # MPEG-4 needs even sides
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 1000 / FRAME_MS, (side, side))
    try:
        if not writer.isOpened():
            raise CompositeRefused(
                "this build of OpenCV cannot write MP4; give the morph a name ending in .webp or .gif"
            )
        for frame, rest in zip(frames, rests, strict=True):
            picture = cv2.cvtColor(np.asarray(frame)[:side, :side], cv2.COLOR_RGB2BGR)
            for _ in range(rest // FRAME_MS):
                writer.write(picture)
    finally:
        writer.release()
