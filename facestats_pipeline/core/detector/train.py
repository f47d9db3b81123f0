"""The training loop of both networks. One file, top to bottom: settings, batches, one step, the loop, the command.

    python -m facestats_pipeline.core.detector.train --network finder --cache DIR --out DIR [--steps N …]

Every random draw of a step comes from (seed, step), and a checkpoint holds weights, their average and the optimizer's state: a run
that was stopped and resumed ends in the same weights as one that was not.
"""

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from facestats_pipeline.core.detector.crops import crop, moved, to_crop
from facestats_pipeline.core.detector.data import Sets, compose, open_sets, single_face
from facestats_pipeline.core.detector.losses import finder_losses, landmarker_loss
from facestats_pipeline.core.detector.network import FACE_PX, Finder, Landmarker
from facestats_pipeline.core.detector.targets import cell_centres, targets
from facestats_pipeline.core.mini.muon import MuonAdam
from facestats_pipeline.core.progress import report

CHECKPOINT = "checkpoint.pt"
NETWORKS: dict[str, type[nn.Module]] = {"finder": Finder, "landmarker": Landmarker}


@dataclass(frozen=True)
class Settings:
    """Everything that decides the result."""

    network: str = "finder"
    seed: int = 0
    steps: int = 6000
    batch: int = 24  # pictures a step
    side: int = 192  # px of a finder's picture
    lr: float = 3e-3
    weight_decay: float = 0.02
    warmup: int = 60  # steps
    cooldown: float = 0.4  # share of the run in which the rate falls to 0; before it, a run can be prolonged
    ema: float = 0.995

    def rate_at(self, step: int) -> float:
        """Warm-up, a plateau, then a straight line to zero."""
        return self.lr * min(1.0, (step + 1) / self.warmup, (self.steps - step) / max(1.0, self.steps * self.cooldown))


def as_input(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """RGB u8 (n, h, w, 3) as the networks take it: f32 (n, 3, h, w) of -1 … 1, channels last in memory."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1)


def finder_terms(network: nn.Module, sets: Sets, settings: Settings, rng: np.random.Generator) -> dict[str, Tensor]:
    """The losses of one batch of composed pictures."""
    pictures = [compose(sets, rng, settings.side) for _ in range(settings.batch)]
    asked = targets(pictures)
    centres, strides = (torch.from_numpy(each) for each in cell_centres(settings.side, settings.side))
    with torch.autocast("cpu", torch.bfloat16):
        maps = network(as_input(np.stack([picture.pixels for picture in pictures])))
    given = (torch.from_numpy(each) for each in (asked.score, asked.boxes, asked.landmarks, asked.sizes))
    return finder_losses(maps, centres, strides, *given)


def landmarker_batch(
    sets: Sets, count: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Pictures (n, 96, 96, 3) of faces as the finder's landmarks bring them upright, their landmarks (n, 5, 2) of -1 … 1 and how sure
    they are (n,). The finder errs by about 5% of the distance of the eyes, and at times much more."""
    seen, points, sure = [], [], []
    for _ in range(count):
        pixels, landmarks, spread = single_face(sets, rng)
        eyes = max(
            float(np.linalg.norm(landmarks[0] - landmarks[1])), 0.5 * float(np.linalg.norm(landmarks[0] - landmarks[3]))
        )
        error = rng.normal(0, eyes * float(np.exp(rng.uniform(np.log(0.02), np.log(0.2)))), (5, 2))
        rough = landmarks + error + rng.normal(0, 0.04 * eyes, 2)
        matrix = to_crop(rough.astype(np.float32))
        c, s = np.cos(tilt := rng.normal(0, 0.08)), np.sin(tilt)
        turn = np.exp(rng.normal(0, 0.07)) * np.array([[c, -s], [s, c]], np.float32)
        middle = np.full(2, FACE_PX / 2, np.float32)
        matrix = np.hstack([turn @ matrix[:, :2], (turn @ (matrix[:, 2] - middle) + middle)[:, None]]).astype(
            np.float32
        )
        seen.append(crop(pixels, matrix))
        points.append(moved(landmarks, matrix) / (FACE_PX / 2) - 1)
        sure.append(np.clip(0.05 / max(spread, 1e-3), 0.1, 1.0))
    return np.stack(seen), np.stack(points).astype(np.float32), np.array(sure, np.float32)


def landmarker_terms(network: nn.Module, sets: Sets, settings: Settings, rng: np.random.Generator) -> dict[str, Tensor]:
    """The loss of one batch of faces."""
    seen, points, sure = landmarker_batch(sets, settings.batch, rng)
    truth = torch.from_numpy(points)
    eyes = (truth[:, 0] - truth[:, 1]).norm(dim=1).clamp(min=0.4)
    with torch.autocast("cpu", torch.bfloat16):
        found = network(as_input(seen))
    return {"landmarks": landmarker_loss(found, truth, torch.from_numpy(sure), eyes)}


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Convolutions to Muon; the first one and the last layers to Adam, gains and biases too and undecayed."""
    muon: list[Tensor] = []
    adam: list[Tensor] = []
    plain: list[Tensor] = []
    for name, weight in network.named_parameters():
        ends = name.startswith(("cells", "points")) or (weight.ndim == 4 and weight.shape[1] == 3)
        (plain if weight.ndim < 2 else adam if ends else muon).append(weight)
    return [
        {"params": muon, "muon": True, "weight_decay": weight_decay},
        {"params": adam, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]


_TERMS = {"finder": finder_terms, "landmarker": landmarker_terms}


class Trainer:
    """A network, its running average and the optimizer, with the steps taken so far."""

    def __init__(self, settings: Settings, sets: Sets) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.sets = settings, sets
        self.network: nn.Module = NETWORKS[settings.network]().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.optimizer = MuonAdam(parameter_groups(self.network, settings.weight_decay), settings.lr)
        self.step = 0

    def train_step(self) -> dict[str, float]:
        """One update; gives the terms of the loss."""
        rng = np.random.default_rng((self.settings.seed, self.step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate_at(self.step)
        self.network.train()
        terms = _TERMS[self.settings.network](self.network, self.sets, self.settings, rng)
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        # The average follows quickly at first (Karras et al. 2022 use the same ramp), or it would remember the random start.
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - decay)
                else:
                    self.average[name].copy_(value)
        return {name: float(value.detach()) for name, value in terms.items()}

    def save(self, path: Path) -> None:
        """Write everything that `load` needs, to a temporary name first."""
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; tensors alone are read from it."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def train(settings: Settings, sets: Sets, out: Path, *, save_every: int = 50, stop_at: int | None = None) -> Trainer:
    """Train, resuming from `out`/checkpoint.pt where there is one; stops early, resumable, at step `stop_at`.

    Writes checkpoint.pt every `save_every` steps, settings.json, and a line of log.jsonl every `save_every` steps.
    """
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(settings, sets)
    if (out / CHECKPOINT).exists():
        trainer.load(out / CHECKPOINT)
    (out / "settings.json").write_text(json.dumps(asdict(settings), indent=1) + "\n")
    last = settings.steps if stop_at is None else min(stop_at, settings.steps)
    begun, sums = time.monotonic(), dict[str, float]()
    while trainer.step < last:
        for name, value in trainer.train_step().items():
            sums[name] = sums.get(name, 0.0) + value
        if not math.isfinite(sum(sums.values())):
            raise FloatingPointError(f"the loss is not finite at step {trainer.step}")
        report(f"Training the {settings.network}", trainer.step, settings.steps)
        if trainer.step % save_every == 0 or trainer.step == last:
            trainer.save(out / CHECKPOINT)
            line: dict[str, Any] = {name: round(value / save_every, 4) for name, value in sums.items()}
            line |= {
                "step": trainer.step,
                "seconds": round(time.monotonic() - begun),
                "processor": round(time.process_time()),
            }
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            sums = {}
    return trainer


def main() -> None:
    """The command: every setting is an option."""
    parser = argparse.ArgumentParser(description="Train the face detector's networks.")
    parser.add_argument("--cache", type=Path, required=True, help="photos, labels and backgrounds")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint and log")
    parser.add_argument("--stop-at", type=int, help="stop, resumable, at this step")
    parser.add_argument("--threads", type=int, default=1)
    for option in fields(Settings):
        given: dict[str, Any] = {"choices": sorted(NETWORKS)} if option.name == "network" else {}
        parser.add_argument(
            f"--{option.name.replace('_', '-')}", type=type(option.default), default=option.default, **given
        )
    arguments = parser.parse_args()
    settings = Settings(**{option.name: getattr(arguments, option.name) for option in fields(Settings)})
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    sets, _ = open_sets(arguments.cache)
    train(settings, sets, arguments.out, stop_at=arguments.stop_at)


if __name__ == "__main__":
    main()
