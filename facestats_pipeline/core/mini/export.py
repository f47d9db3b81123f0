"""From a training checkpoint to the folder that ships: weights in half precision, config, tokenizer, heads, checksums.

python -m facestats_pipeline.core.mini.export --run DIR --to models/facestats-mini
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from facestats_pipeline.core.encoders.checksums import SUMS_FILE, sha256_file
from facestats_pipeline.core.encoders.mini_towers import IMAGE_SIZE, LOOKS, MERGES_FILE, model_config

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
HEADS_FILE = "heads.safetensors"
LICENCE_FILE = "LICENSE.imagenet-weights"
IMAGE_TOWER_BYTES = 14_000_000
TEXT_TOWER_BYTES = 6_000_000


def half(tensor: torch.Tensor) -> torch.Tensor:
    """fp16 of a float tensor; raises ValueError where a value does not fit."""
    if not tensor.is_floating_point():
        return tensor.contiguous()
    small = tensor.to(torch.float16).contiguous()
    if not torch.isfinite(small).all():
        raise ValueError("a weight is too large for fp16")
    return small


def save_file(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write safetensors whose bytes follow from their content: the library writes metadata of several keys in random order."""
    data = save(tensors, metadata)
    begin = 8  # a little-endian u64 says how many bytes of JSON follow, padded with spaces
    end = begin + int.from_bytes(data[:begin], "little")
    header = json.loads(data[begin:end])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(end - begin)
    if len(text) != end - begin:
        raise ValueError(f"{path}: the header of safetensors has another form than expected")
    path.write_bytes(data[:begin] + text + data[end:])


def export(
    run: Path,
    folder: Path,
    *,
    image_size: int = IMAGE_SIZE,
    mean_with: Path | None = None,
    imagenet_licence: Path | None = None,
) -> dict[str, int]:
    """Write the averaged weights of `run`/checkpoint.pt to `folder`; gives the bytes of each tower.

    The classifiers go into heads.safetensors, with their learned scale multiplied in: they apply to unit embeddings as they are.
    `mean_with` is the exported folder that the run started from: of both, the mean is written (Wortsman et al. 2022, arXiv 2203.05482).
    `imagenet_licence` is the licence of the weights that the image tower began with; it goes beside those that come of them.
    Raises ValueError where a tower is over its size, before anything is written.
    """
    state = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)["average"]
    if mean_with is not None:
        before = exported_weights(mean_with, float(state["heads.scale"].exp()))
        state |= {name: (state[name] + value) / 2 for name, value in before.items() if value.is_floating_point()}
    clip = {name.removeprefix("clip."): half(value) for name, value in state.items() if name.startswith("clip.")}
    sizes = {tower: sum(t.nbytes for n, t in clip.items() if n.startswith(tower + ".")) for tower in ("visual", "text")}
    for tower, most in (("visual", IMAGE_TOWER_BYTES), ("text", TEXT_TOWER_BYTES)):
        if sizes[tower] > most:
            raise ValueError(f"the {tower} tower has {sizes[tower]:,} bytes, at most {most:,} are shipped")
    scale = float(state["heads.scale"].exp())
    prefix = "heads.classifiers."
    heads = {
        name.removeprefix(prefix): half(value * scale if name.endswith("weight") else value)
        for name, value in state.items()
        if name.startswith(prefix)
    }
    settings = json.loads((run / "settings.json").read_text())
    for name in ("start_from", "soft_labels", "imagenet"):  # without the folders of the machine it was trained on
        if settings.get(name):
            settings[name] = "/".join(Path(settings[name]).parts[-2:])
    folder.mkdir(parents=True, exist_ok=True)
    # What the tower makes of its weights is part of the encoder: another way of looking has another checksum, hence another model_id.
    save_file(clip, folder / WEIGHTS_FILE, {"format": "pt", "looks": LOOKS})
    save_file(heads, folder / HEADS_FILE, {"format": "pt"})
    config = model_config(settings["image_tower"], image_size)
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n")
    (folder / MERGES_FILE).write_bytes((run / MERGES_FILE).read_bytes())
    (folder / "training_settings.json").write_text(json.dumps(settings, indent=1) + "\n")
    names = [CONFIG_FILE, WEIGHTS_FILE, HEADS_FILE, MERGES_FILE, "training_settings.json"]
    if imagenet_licence is not None:
        (folder / LICENCE_FILE).write_bytes(imagenet_licence.read_bytes())
        names.append(LICENCE_FILE)
    (folder / SUMS_FILE).write_text("".join(f"{sha256_file(folder / name)}  {name}\n" for name in names))
    return sizes


def exported_weights(folder: Path, scale: float) -> dict[str, torch.Tensor]:
    """What `export` wrote, as f32 under the names of a checkpoint's weights; classifiers divided by their learned `scale`."""
    clip = {f"clip.{name}": value for name, value in load_file(folder / WEIGHTS_FILE).items()}
    heads = {
        f"heads.classifiers.{name}": value.float() / scale if name.endswith("weight") else value
        for name, value in load_file(folder / HEADS_FILE).items()
    }
    return {name: value.float() if value.is_floating_point() else value for name, value in (clip | heads).items()}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--image-size", type=int, default=IMAGE_SIZE)
    parser.add_argument("--mean-with", type=Path, help="exported folder that the run started from: the mean is written")
    parser.add_argument("--imagenet-licence", type=Path, help="licence of the weights that the image tower began with")
    arguments = parser.parse_args()
    given = {name: getattr(arguments, name) for name in ("image_size", "mean_with", "imagenet_licence")}
    for tower, size in export(arguments.run, arguments.to, **given).items():
        print(f"{tower}: {size:,} bytes")


if __name__ == "__main__":
    main()
