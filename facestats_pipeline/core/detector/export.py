"""From checkpoints of both networks to the folder that ships: weights in half precision without batch norms, config, checksums.

python -m facestats_pipeline.core.detector.export --finder RUN --landmarker RUN --cache DIR --to models/facestats-detector
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from facestats_pipeline.core.detector.data import open_sets
from facestats_pipeline.core.detector.network import Finder, Landmarker, folded, unnormed
from facestats_pipeline.core.detector.thresholds import best_logits, sure_logit
from facestats_pipeline.core.detector.train import CHECKPOINT
from facestats_pipeline.core.encoders.checksums import SUMS_FILE, ChecksumMismatch, sha256_file, verify_folder
from facestats_pipeline.core.mini.export import half, save_file

WEIGHTS_FILE, CONFIG_FILE = "detector.safetensors", "config.json"
FORMAT = 1
"""Raised when what the networks' numbers mean changes: an older program refuses a newer file."""
MOST_BYTES = 1_500_000


class WeightsRefused(Exception):
    """A file of the detector's folder cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Config:
    """What is measured once for given weights. A score is the sigmoid of stretch × (logit - middle) + logit(0.6): `middle` is the logit
    from which on a face is sure, chosen on held-out composed pictures (`thresholds`)."""

    format: int = FORMAT
    middle: float = 0.0
    stretch: float = 1.0

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"format is {self.format!r}; this program reads {FORMAT}")
        for name in ("middle", "stretch"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not -100 < value < 100:
                raise ValueError(f"{name} is {value!r}; it must be a number")


def averaged(run: Path, network: nn.Module) -> nn.Module:
    """`network` with the averaged weights of a run's checkpoint."""
    network.load_state_dict(torch.load(run / CHECKPOINT, map_location="cpu", weights_only=True)["average"])
    return network.eval()


def write(folder: Path, finder: nn.Module, landmarker: nn.Module, config: Config, settings: dict[str, object]) -> None:
    """Write trained networks to `folder`, with checksums. Raises ValueError where they are larger than what is shipped."""
    tensors = {
        f"{name}.{key}": half(value)
        for name, network in (("finder", finder), ("landmarker", landmarker))
        for key, value in folded(network).state_dict().items()
    }
    size = sum(tensor.nbytes for tensor in tensors.values())
    if size > MOST_BYTES:
        raise ValueError(f"the weights have {size:,} bytes, at most {MOST_BYTES:,} are shipped")
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS_FILE, {"format": "pt"})
    (folder / CONFIG_FILE).write_text(json.dumps(asdict(config), indent=1) + "\n")
    (folder / "training_settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    names = (WEIGHTS_FILE, CONFIG_FILE, "training_settings.json")
    (folder / SUMS_FILE).write_text("".join(f"{sha256_file(folder / name)}  {name}\n" for name in names))


def read(folder: Path) -> tuple[nn.Module, nn.Module, Config]:
    """(finder, landmarker, config) of an exported folder, f32, for inference.

    Raises WeightsRefused, naming the file, where one is missing, damaged, swapped or of another kind. Nothing in the files is executed.
    """
    weights = folder / WEIGHTS_FILE
    try:
        verify_folder(folder, (WEIGHTS_FILE, CONFIG_FILE))
        tensors = load_tensors(weights.read_bytes())
        config = Config(**json.loads((folder / CONFIG_FILE).read_text("utf-8")))
    except ChecksumMismatch as error:
        raise WeightsRefused(str(error)) from error
    except SafetensorError as error:
        raise WeightsRefused(f"{weights}: not a safetensors file ({error}); fetch the folder again") from error
    except (TypeError, ValueError) as error:
        raise WeightsRefused(
            f"{folder / CONFIG_FILE}: not the face detector's ({error}); fetch the folder again"
        ) from error
    except OSError as error:
        raise WeightsRefused(f"{weights}: cannot be read ({error.strerror}); fetch the folder again") from error
    return _filled(Finder(), "finder", tensors, weights), _filled(Landmarker(), "landmarker", tensors, weights), config


def _filled(network: nn.Module, name: str, tensors: dict[str, Tensor], file: Path) -> nn.Module:
    network = unnormed(network)
    mine = {key.removeprefix(f"{name}."): value.float() for key, value in tensors.items() if key.startswith(f"{name}.")}
    if not all(bool(torch.isfinite(value).all()) for value in mine.values()):
        raise WeightsRefused(f"{file}: the {name} has weights that are not finite; fetch the folder again")
    try:
        network.load_state_dict(mine)
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:160]
        raise WeightsRefused(f"{file}: not this face detector's weights ({detail}); fetch the folder again") from None
    return network


def export(finder_run: Path, landmarker_run: Path, cache: Path, folder: Path, *, pictures: int = 3000) -> float:
    """Write the averaged weights of two runs to `folder`, and from which logit on a face is sure: chosen on `pictures` composed ones.

    Returns the share of held-out composed faces that are sure. Raises ValueError where pictures are too few or weights too large.
    """
    finder, landmarker = averaged(finder_run, Finder()), averaged(landmarker_run, Landmarker())
    _, held_out = open_sets(cache)
    empty, found = best_logits(finder, held_out, pictures=pictures)
    middle = sure_logit(empty)
    settings: dict[str, object] = {}
    for name, run in (("finder", finder_run), ("landmarker", landmarker_run)):
        steps = torch.load(run / CHECKPOINT, map_location="cpu", weights_only=True)["step"]
        settings[name] = json.loads((run / "settings.json").read_text()) | {"steps_done": steps}
    write(folder, finder, landmarker, Config(middle=round(middle, 3)), settings)
    return float(np.mean(found >= middle))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Export the face detector.")
    parser.add_argument("--finder", type=Path, required=True, help="the finder's run")
    parser.add_argument("--landmarker", type=Path, required=True, help="the landmarker's run")
    parser.add_argument(
        "--cache", type=Path, required=True, help="photos, labels and backgrounds: held-out ones set the limit"
    )
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=3000, help="composed pictures on which the limit is chosen")
    given = parser.parse_args()
    torch.set_num_threads(1)
    share = export(given.finder, given.landmarker, given.cache, given.to, pictures=given.pictures)
    print(f"{given.to}: {share:.2%} of held-out composed faces are sure")


if __name__ == "__main__":
    main()
