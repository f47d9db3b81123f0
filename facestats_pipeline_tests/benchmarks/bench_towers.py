"""What the image towers of FaceStats-Mini cost, in one thread: views/s of training, ms a photo of use.

python -m facestats_pipeline_tests.benchmarks.bench_towers [--towers NAME,NAME] [--side 112] [--seconds 6]

Both count seconds of processor, so that another program's do not; the best of the repeats stands. Weights are random. Training is
forward and backward under autocast as `mini.train` does it, on 48 views; use is a photo with its mirror image, in bf16 where that is
computed in hardware, one at a time and of 16, with batch norms as they are and folded.
"""

import argparse
import time
from collections.abc import Callable

import torch

from facestats_pipeline.core.encoders.batch_norms import fold_batch_norms
from facestats_pipeline.core.encoders.devices import autocast, training_dtype
from facestats_pipeline.core.encoders.mini_towers import build_clip, model_config

TOWERS = "facestats_resnet18s,facestats_lite0,facestats_lite2"
VIEWS = 48


def seconds_of(work: Callable[[], object], at_most: float) -> float:
    """The least processor time of repeated calls, after one that does not count."""
    work()
    begun, best = time.process_time(), float("inf")
    while (now := time.process_time()) - begun < at_most:
        work()
        best = min(best, time.process_time() - now)
    return best


def training(tower: str, side: int, seconds: float) -> float:
    """Views/s, forward and backward."""
    visual = build_clip(model_config(tower)).visual.train().to(memory_format=torch.channels_last)  # type: ignore[union-attr, call-overload]
    views = torch.randn(VIEWS, 3, side, side).contiguous(memory_format=torch.channels_last)

    def step() -> None:
        with autocast("cpu"):
            out = visual(views)
        out.float().square().mean().backward()
        visual.zero_grad()

    return VIEWS / seconds_of(step, seconds)


@torch.inference_mode()
def use(tower: str, side: int, seconds: float, *, fold: bool) -> tuple[float, float]:
    """Milliseconds a photo, one at a time and of 16."""
    visual = build_clip(model_config(tower)).visual.eval().requires_grad_(False)  # type: ignore[union-attr, operator]
    if fold:
        fold_batch_norms(visual, torch.randn(1, 3, side, side))
    dtype = training_dtype("cpu")
    visual = visual.to(dtype).to(memory_format=torch.channels_last)
    photos = torch.randn(16, 3, side, side, dtype=dtype).contiguous(memory_format=torch.channels_last)
    one, many = (1000 * seconds_of(lambda n=n: visual(photos[:n]), seconds / 2) / n for n in (1, 16))  # type: ignore[misc]
    return one, many


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--towers", default=TOWERS)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--seconds", type=float, default=6.0, help="of processor for each figure")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for tower in arguments.towers.split(","):
        views = training(tower, arguments.side, arguments.seconds)
        print(f"{tower}, {arguments.side} px: {views:.0f} views/s of training", flush=True)
        for fold in (False, True):
            one, many = use(tower, arguments.side, arguments.seconds, fold=fold)
            how = "batch norms folded" if fold else "as trained"
            print(f"{tower}, {arguments.side} px, {how}: {one:.1f} ms one at a time, {many:.1f} ms of 16", flush=True)


if __name__ == "__main__":
    main()
