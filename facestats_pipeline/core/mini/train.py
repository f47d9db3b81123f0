"""The training loop. One file, top to bottom: settings, state, one step, the loop, the command.

    python -m facestats_pipeline.core.mini.train --data DIR_OF_PARQUET --cache DIR --out DIR [--epochs N …]

Every random draw of a step comes from (seed, step), and a checkpoint holds weights, their average and the optimizer's state: a run
that was stopped and resumed ends in the same weights as one that was not.
"""

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from facestats_pipeline.core.encoders.devices import autocast
from facestats_pipeline.core.encoders.mini_towers import EMBED_DIM, MERGES_FILE, build_clip, model_config
from facestats_pipeline.core.mini import captions
from facestats_pipeline.core.mini.augment import ALIGNED, Ranges, compress, mix, random_views
from facestats_pipeline.core.mini.crossfit import record_seen, with_soft_labels
from facestats_pipeline.core.mini.data import FaceSet, align_once, decode_once, open_split
from facestats_pipeline.core.mini.evaluate import validate
from facestats_pipeline.core.mini.export import exported_weights
from facestats_pipeline.core.mini.imagenet import start_from_imagenet
from facestats_pipeline.core.mini.losses import (
    Heads,
    Weights,
    blend_soft,
    classification,
    many_positives,
    soft_targets,
    view_contrast,
)
from facestats_pipeline.core.mini.muon import MuonAdam, parameter_groups
from facestats_pipeline.core.mini.tokenizer import load_tokenizer, write_merges
from facestats_pipeline.core.preproc.detection import load_detector
from facestats_pipeline.core.progress import report

_RANGES = {"ranges": "views of a photo as it is", "aligned_ranges": "views of an aligned photo"}


@dataclass(frozen=True)
class Settings:
    """Everything that decides the result. Measured reasons are in docs/mini-training-log.md."""

    seed: int = 0
    epochs: float = 30.0  # of photos; each photo is seen in two views an epoch
    photos: int = 192  # photos a step, over all processes; twice as many views
    processes: int = (
        2  # of one thread each: on two busy cores a step took 0.8 s of processor in one thread and 2.8 s in two
    )
    sides: tuple[tuple[float, int], ...] = (
        (0.0, 64),
        (0.4, 80),
        (0.75, 96),
    )  # from this share of the run on, this input side
    lr: float = 3e-3
    weight_decay: float = 0.1
    warmup: int = 200  # steps
    cooldown: float = 0.4  # share of the run in which the rate falls to 0
    mix: float = 0.0  # share of views that are blended with another photo's
    text_captions: int = 32  # captions a step and process
    ema: float = 0.999
    held_out: int = 2000
    image_tower: str = "facestats_resnet18s"
    imagenet: str = (
        ""  # file of ImageNet weights that the image tower starts from, for facestats_lite0 and facestats_lite2
    )
    body_rate: float = 1.0  # share of the rate for the image tower's body; below 1 by Adam
    folds: int = 0  # with folds, photos of `fold` are left out: `crossfit` asks this run for their soft labels
    fold: int = 0
    soft_labels: str = ""  # file that `crossfit` wrote
    start_from: str = ""  # a run's checkpoint, or an exported folder, whose averaged weights a new cycle starts from
    ranges: Ranges = field(default_factory=Ranges)
    aligned_ranges: Ranges = field(default_factory=lambda: ALIGNED)
    weights: Weights = field(default_factory=Weights)

    def side_at(self, progress: float) -> int:
        """Input side at a share of the run: small first, since what is learned early needs no detail and costs a quarter."""
        return [side for start, side in self.sides if progress >= start][-1]

    def rate_at(self, step: int, total: int) -> float:
        """Warm-up, a plateau, then a straight line to zero: the plateau lets a run be prolonged from a checkpoint."""
        end = max(1.0, total * self.cooldown)
        return self.lr * min(1.0, (step + 1) / max(1, self.warmup), (total - step) / end)


def _channels_last(model: nn.ModuleDict, device: str) -> nn.ModuleDict:
    """Convolutions on a CPU train 2–4 times faster in this memory layout."""
    return model.to(device).to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


class Trainer:
    """Model, heads, their running average and the optimizer, with the steps taken so far."""

    def __init__(self, settings: Settings, data: FaceSet, tokenizer: Any, device: str = "cpu", rank: int = 0) -> None:
        torch.manual_seed(settings.seed)
        self.rank = rank
        self.settings, self.data, self.tokenizer, self.device = settings, data, tokenizer, device
        model = nn.ModuleDict({"clip": build_clip(model_config(settings.image_tower)), "heads": Heads(EMBED_DIM)})
        if settings.imagenet:
            start_from_imagenet(model["clip"].visual.trunk, Path(settings.imagenet))  # type: ignore[arg-type, union-attr]
        self.model = _channels_last(model, device)
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.optimizer = MuonAdam(parameter_groups(self.model, settings.weight_decay, settings.body_rate), settings.lr)
        self.step = 0
        self.steps_an_epoch = len(data) // settings.photos
        self.total = max(1, round(settings.epochs * self.steps_an_epoch))
        self._order: tuple[int, np.ndarray[Any, Any]] | None = None

    def batch(self) -> tuple[Tensor, Tensor, np.ndarray[Any, Any], Tensor | None]:
        """This process's photos u8 (2, n, 128, 128, 3), plain and aligned, labels (n, 3) twice and soft labels (n, 18) of this step.

        Each epoch is a fresh permutation of the photos.
        """
        epoch, place = divmod(self.step, self.steps_an_epoch)
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng((self.settings.seed, epoch, 1)).permutation(len(self.data)))
        n = self.settings.photos
        mine = np.sort(self._order[1][place * n : (place + 1) * n][self.rank :: self.settings.processes])
        photos, labels = self.data.take(mine)
        both = np.stack([photos, self.data.take_aligned(mine)])
        soft = self.data.take_soft(mine)
        given = None if soft is None else torch.from_numpy(soft).to(self.device)
        return torch.from_numpy(both).to(self.device), torch.from_numpy(labels).to(self.device), labels, given

    def losses(self) -> dict[str, Tensor]:
        """The weighted terms of the current step."""
        s, w = self.settings, self.settings.weights
        draw = self.step * s.processes + self.rank
        generator = torch.Generator().manual_seed(s.seed * 1_000_003 + draw)
        rng = np.random.default_rng((s.seed, draw, 2))
        photos, labels, plain_labels, soft = self.batch()
        side = s.side_at(self.step / self.total)
        # One view of each photo as it is, the other of its aligned form: the embedding is to be the same for both.
        second = s.ranges if self.data.aligned is None else s.aligned_ranges
        looks = [(photos[0], s.ranges), (photos[1], second)]
        views = torch.cat(
            [random_views(compress(seen, far.jpeg, rng), side, generator, far) for seen, far in looks]
        )  # (2n, 3, side, side)
        views, partner, kept = mix(views, s.mix, generator)
        texts = [captions.about(rng, plain_labels[row]) for row in rng.choice(len(labels), s.text_captions)]
        prompts = captions.class_prompts(rng)
        words = [caption.text for caption in texts] + [text for group in prompts.values() for text in group]
        tokens = self.tokenizer(words).to(self.device)

        clip: Any = self.model["clip"]
        heads: Any = self.model["heads"]
        with autocast(self.device):
            image = clip.visual(views)
            text = clip.encode_text(tokens)
        image, text = (
            F.normalize(image.float(), dim=1),
            F.normalize(text.float(), dim=1),
        )  # (2n, 512), (captions + 18, 512)
        scale = clip.logit_scale.exp().clamp(max=100)
        both = torch.cat([labels, labels])
        targets = soft_targets(both, w.smoothing)
        if soft is not None:
            targets = blend_soft(targets, torch.cat([soft, soft]), w.soft)
        targets = {name: torch.lerp(own[partner], own, kept[:, None]) for name, own in targets.items()}
        similarity = scale * image @ text.T
        sizes = [s.text_captions, *(len(group) for group in prompts.values())]
        to_captions, *to_prompts = torch.split(similarity, sizes, 1)
        fits = torch.from_numpy(captions.matches(texts, plain_labels)).to(self.device).repeat(1, 2)  # (captions, 2n)
        mine = heads.view_net(image * heads.scale.exp())
        return {
            "heads": w.heads * classification(heads.logits(image), targets),
            "prompts": w.prompts * classification(dict(zip(prompts, to_prompts, strict=True)), targets),
            "captions": w.captions * (many_positives(to_captions, fits.T) + many_positives(to_captions.T, fits)) / 2,
            "views": w.views * view_contrast(*mine.chunk(2)),
        }

    def train_step(self) -> dict[str, float]:
        """One update; gives the terms of the loss."""
        torch.manual_seed(self.settings.seed * 7_919 + self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate_at(self.step, self.total) * group["rate"]
        self.model.train()
        terms = self.losses()
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        if self.settings.processes > 1:
            self._share_gradients()
        self.optimizer.step()
        self.step += 1
        # The average follows quickly at first (Karras et al. 2022 use the same ramp), or it would remember the random start.
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - decay)
                else:
                    self.average[name].copy_(value)
        return {name: float(value.detach()) for name, value in terms.items()}

    def _share_gradients(self) -> None:
        """Replace every gradient by its mean over the processes, in one message."""
        gradients = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        message = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(message)
        message /= self.settings.processes
        for gradient, mean in zip(gradients, torch.split(message, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def averaged(self) -> nn.ModuleDict:
        """A copy of the network with the averaged weights, in evaluation mode."""
        model = nn.ModuleDict({"clip": build_clip(model_config(self.settings.image_tower)), "heads": Heads(EMBED_DIM)})
        model.load_state_dict(self.average)
        return _channels_last(model, self.device).eval()

    def save(self, path: Path) -> None:
        """Write everything that `load` needs, to a temporary name first."""
        partial = path.with_suffix(".part")
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(state, partial)
        partial.replace(path)

    def start_from(self, path: Path) -> None:
        """Begin a new cycle at step 0 from the averaged weights of another run's checkpoint, or from the folder that was exported.

        An exported folder has no network for comparing views, since no user needs it: that starts anew.
        """
        if path.is_dir():
            state = self.average | exported_weights(path, float(self.average["heads.scale"].exp()))
        else:
            state = torch.load(path, map_location=self.device, weights_only=True)["average"]
        self.model.load_state_dict(state)
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of a run with the same towers; tensors alone are read from it."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def train(
    settings: Settings,
    cache: Path,
    out: Path,
    *,
    device: str = "cpu",
    rank: int = 0,
    save_every: int = 50,
    validate_every: int = 0,
    stop_at: int | None = None,
) -> Trainer:
    """Train on the decoded photos in `cache`, resuming from `out`/checkpoint.pt where there is one.

    Writes checkpoint.pt every `save_every` steps, settings.json, seen_rows.npy, and one line of log.jsonl per epoch, or every
    `validate_every` steps, with validation figures of the averaged weights. Stops early, resumable, at step `stop_at`. With several
    processes each calls this with its own `rank`.
    """
    out.mkdir(parents=True, exist_ok=True)
    if not (out / MERGES_FILE).exists():
        write_merges(out)
    tokenizer = load_tokenizer(out)
    data, held_out = open_split(cache, held_out=settings.held_out, seed=0)
    if settings.folds:
        if settings.start_from or settings.soft_labels:
            raise ValueError("a run for soft labels starts from no other run: that one has seen its fold's photos")
        data, _ = data.without_fold(settings.folds, settings.fold)
    if settings.soft_labels:
        data = with_soft_labels(data, Path(settings.soft_labels))
    trainer = Trainer(settings, data, tokenizer, device, rank)
    if (out / "checkpoint.pt").exists():
        trainer.load(out / "checkpoint.pt")
    elif settings.start_from:
        trainer.start_from(Path(settings.start_from))
    if rank == 0:
        (out / "settings.json").write_text(json.dumps(asdict(settings), indent=1))
        record_seen(out, data)
    last = trainer.total if stop_at is None else min(stop_at, trainer.total)
    begun = time.monotonic()
    sums: dict[str, float] = {}
    while trainer.step < last:
        for name, value in trainer.train_step().items():
            sums[name] = sums.get(name, 0.0) + value
        if not math.isfinite(sum(sums.values())):
            raise FloatingPointError(f"the loss is not finite at step {trainer.step}")
        if rank != 0:
            continue
        report("Training FaceStats-Mini", trainer.step, trainer.total)
        if trainer.step % 20 == 0:
            parts = " ".join(f"{name} {value / 20:.3f}" for name, value in sums.items())
            seconds, busy = time.monotonic() - begun, time.process_time()
            print(f"step {trainer.step}/{trainer.total} {seconds:.0f}s ({busy:.0f}s of processor) {parts}", flush=True)
            sums = {}
        if trainer.step % save_every == 0 or trainer.step == last:
            trainer.save(out / "checkpoint.pt")
        if trainer.step % (validate_every or trainer.steps_an_epoch) == 0 or trainer.step == trainer.total:
            side = settings.side_at((trainer.step - 1) / trainer.total)
            average = trainer.averaged()
            figures = validate(average, held_out, tokenizer, side=side, device=device)
            line: dict[str, Any] = {
                "epoch": trainer.step / trainer.steps_an_epoch,
                "step": trainer.step,
                "side": side,
                **figures,
            }
            if aligned := held_out.only_aligned():
                line["aligned"] = validate(average, aligned, tokenizer, side=side, device=device)
            line["seconds"] = round(time.monotonic() - begun)
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
    return trainer


def _one_process(
    rank: int, settings: Settings, cache: Path, out: Path, device: str, pace: dict[str, int | None]
) -> None:
    if settings.processes > 1:
        torch.set_num_threads(1)
        meeting = f"file://{out / 'meeting'}"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=settings.processes)
    train(settings, cache, out, device=device, rank=rank, **pace)  # type: ignore[arg-type]


def main() -> None:
    """The command: every setting is an option."""
    parser = argparse.ArgumentParser(description="Train FaceStats-Mini.")
    parser.add_argument(
        "--data", type=Path, help="folder of training Parquet files; not needed once the cache is there"
    )
    parser.add_argument("--cache", type=Path, required=True, help="where the decoded photos go (1.8 GB)")
    parser.add_argument("--detector", type=Path, help="YuNet's ONNX file: trains on aligned photos too")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints and the log")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--stop-at", type=int, help="stop, resumable, at this step")
    parser.add_argument("--save-every", type=int, default=50, help="steps between checkpoints")
    parser.add_argument("--validate-every", type=int, default=0, help="steps between validations; 0: each epoch")
    parser.add_argument("--sides", help="e.g. 0:64,0.4:80,0.75:96")
    for name, of in _RANGES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", help=f"how far {of} differ, e.g. zoom_out=0.3,erase=0.1")
    simple = [f for f in fields(Settings) if f.type in (int, float, str, "int", "float", "str")]
    for option in simple:
        parser.add_argument(f"--{option.name.replace('_', '-')}", type=type(option.default), default=option.default)
    arguments = parser.parse_args()
    chosen: dict[str, Any] = {option.name: getattr(arguments, option.name) for option in simple}
    if arguments.sides:
        pairs = (part.split(":") for part in arguments.sides.split(","))
        chosen["sides"] = tuple((float(start), int(side)) for start, side in pairs)
    for name, of in _RANGES.items():
        if text := getattr(arguments, name):
            parts = (part.partition("=") for part in text.split(","))
            try:
                far = {key: float(value) for key, _, value in parts}
                chosen[name] = replace(getattr(Settings(), name), **far)
            except (TypeError, ValueError):
                known = ", ".join(one.name for one in fields(Ranges))
                parser.error(f"how far {of} differ is NAME=NUMBER,…, with names of {known}; got {text!r}")
    settings = Settings(**chosen)
    if arguments.data is not None:
        decode_once(sorted(arguments.data.glob("*.parquet")), arguments.cache)
    if arguments.detector is not None:
        align_once(arguments.cache, load_detector(arguments.detector))
    arguments.out.mkdir(parents=True, exist_ok=True)
    if not (arguments.out / MERGES_FILE).exists():
        write_merges(arguments.out)
    pace = {name: getattr(arguments, name) for name in ("stop_at", "save_every", "validate_every")}
    given = (settings, arguments.cache, arguments.out, arguments.device, pace)
    if settings.processes == 1:
        _one_process(0, *given)
        return
    (arguments.out / "meeting").unlink(
        missing_ok=True
    )  # where the processes find each other; left behind by a killed run
    spawn(_one_process, given, nprocs=settings.processes)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
