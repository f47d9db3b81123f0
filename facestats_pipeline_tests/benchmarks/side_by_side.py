"""Several ways of doing the same work, measured in turn in one process, so that other work on the machine falls on all of them alike.

Two kinds of seconds. Those of the clock are what a user waits, and mean little on a machine that others use at the same time. Those of
the processor (all threads, and child processes) say how much work a way is; of ways that use all cores equally well, they give the
same ratio. A ratio is that of one round; printed are the median over rounds and the range.
"""

import io
import os
import platform
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def machine() -> str:
    """One line on where a figure is from: the CPU, its cores, what multiplies bf16, and how busy it is now."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.is_file() else ""
    name = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "")
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    has = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return (
        f"{name or platform.processor() or platform.machine()}, {os.cpu_count()} cores, {' '.join(has) or 'no vector flags known'}; "
        f"load {os.getloadavg()[0]:.1f}"
    )


def busy() -> float:
    """Processor seconds of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@dataclass
class Seconds:
    """Seconds of each round of one way."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


def measure(ways: Mapping[str, Callable[[], Any]], rounds: int, *, warm: bool = True) -> dict[str, Seconds]:
    """Seconds of each way; once through all of them before, which is not counted, then `rounds` times in turn."""
    seconds = {name: Seconds() for name in ways}
    for number in range(-1 if warm else 0, rounds):
        for name, way in ways.items():
            clock, processor = time.perf_counter(), busy()
            way()
            if number >= 0:
                seconds[name].clock.append(time.perf_counter() - clock)
                seconds[name].processor.append(busy() - processor)
    return seconds


def ratio(slow: list[float], fast: list[float]) -> str:
    """How many times the seconds of `fast` go into those of `slow`: median (least–most) over the rounds."""
    each = [a / b for a, b in zip(slow, fast, strict=True)]
    return f"{np.median(each):.2f} ({min(each):.2f}–{max(each):.2f})"


def compare(
    ways: Mapping[str, Callable[[], Any]], items: int, rounds: int, *, unit: str = "images"
) -> dict[str, Seconds]:
    """Measure, and print each way's speed and how many times faster than the first it is."""
    seconds = measure(ways, rounds)
    first = next(iter(seconds.values()))
    width = max(map(len, ways))
    print(f"{'':{width}} {unit + '/s':>12}{'× first, clock':>22}{unit + '/processor s':>24}{'× first, processor':>24}")
    for name, some in seconds.items():
        print(
            f"{name:{width}} {items / float(np.median(some.clock)):12.1f}{ratio(first.clock, some.clock):>22}"
            f"{items / float(np.median(some.processor)):24.1f}{ratio(first.processor, some.processor):>24}",
            flush=True,
        )
    return seconds


def show_against(name: str, seconds: Mapping[str, Seconds]) -> None:
    """A line for each other way: how many times faster `name` is."""
    own = seconds[name]
    for other, some in seconds.items():
        if other != name:
            clock, processor = ratio(some.clock, own.clock), ratio(some.processor, own.processor)
            print(f"{name} against {other}: × {clock} by the clock, × {processor} of the processor", flush=True)


def jpegs(n: int, size: tuple[int, int] = (512, 512), *, quality: int = 95) -> list[bytes]:
    """JPEGs with the detail of photos: smooth colours with grain. `size` is width, height in px."""
    out = []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        base = Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
        grain = rng.normal(0, 3, (size[1], size[0], 3)).astype(np.float32)
        pixels = np.clip(np.asarray(base) + grain, 0, 255).astype(np.uint8)
        stored = io.BytesIO()
        Image.fromarray(pixels).save(stored, "JPEG", quality=quality)
        out.append(stored.getvalue())
    return out
