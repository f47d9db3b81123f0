"""Resolves an encoder's name to what open_clip loads: an architecture, a verified weights file, and its preprocessing.

Names: `facestats-mini` (the shipped encoder) · `ARCH/TAG` (a pretrained tag of open_clip, from the Hugging Face hub) · `ARCH/PATH` (a
local checkpoint) · `ARCH/untrained` (seeded random weights). Every problem with a name or a file raises EncoderUnavailable.
"""

import difflib
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from facestats_pipeline.core.encoders.checksums import ChecksumMismatch, sha256_file, verify_folder
from facestats_pipeline.core.encoders.errors import EncoderUnavailable
from facestats_pipeline.core.encoders.hub import fetch_from_hub
from facestats_pipeline.core.encoders.open_clip_compat import import_open_clip

SHIPPED = ("facestats-mini",)
CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
_TORCH_SUFFIXES = (".pt", ".pth", ".bin")


@dataclass(frozen=True)
class ModelSource:
    """What to load. `arch`: open_clip's architecture or `local-dir:FOLDER`. `weights`: a verified file; None for an untrained encoder."""

    arch: str
    label: str  # the part of a model_id before @; without folders, so that it is the same on every machine
    weights: Path | None = None
    sha256: str = ""
    preprocess: dict[str, Any] = field(default_factory=dict)
    quick_gelu: bool = False
    tokenizer_options: dict[str, Any] = field(default_factory=dict)


def resolve_model(name: str, models_dir: Path | None = None) -> ModelSource:
    """Resolve an encoder's name. `models_dir` holds the shipped encoders: by default `models` in the current folder, else in the project.

    Raises EncoderUnavailable.
    """
    if name in SHIPPED:
        return _shipped(name, (models_dir or _models_folder(name)) / name)
    arch, slash, rest = name.partition("/")
    open_clip = import_open_clip()
    if not slash or not rest:
        near = difflib.get_close_matches(name, open_clip.list_models(), n=1)
        suggestion = f" (perhaps {near[0]}/untrained)" if near and name not in near else ""
        raise EncoderUnavailable(
            f"encoder {name!r}: give facestats-mini, ARCH/TAG, ARCH/PATH or ARCH/untrained, "
            f"for example ViT-B-32/laion2b_s34b_b79k{suggestion}"
        )
    if arch not in open_clip.list_models():
        near = difflib.get_close_matches(arch, open_clip.list_models(), n=3, cutoff=0.4)
        hint = "it has no untrained form" if arch in SHIPPED else f"the nearest names are {', '.join(near) or 'none'}"
        raise EncoderUnavailable(f"encoder {name!r}: open_clip has no architecture {arch!r}; {hint}")
    if rest == "untrained":
        return ModelSource(arch, name)
    tags = open_clip.list_pretrained_tags_by_model(arch)
    tag_config = open_clip.get_pretrained_cfg(arch, rest)
    if tag_config:  # a tag wins over a file of the same name, which can be given as ./NAME
        path = fetch_from_hub(arch, rest, tag_config["hf_hub"])
        _check_weights(path)
        return ModelSource(
            arch, name, path, sha256_file(path), _preprocess_of(tag_config), bool(tag_config.get("quick_gelu", False))
        )
    path = Path(rest).expanduser()
    if not path.exists() and path.suffix not in (".safetensors", *_TORCH_SUFFIXES) and len(path.parts) == 1:
        raise EncoderUnavailable(
            f"encoder {name!r}: {rest!r} is neither a file nor a tag of {arch}; its tags are {', '.join(tags) or 'none'}"
        )
    return _local(arch, path)


def _models_folder(name: str) -> Path:
    """The default folder of shipped encoders: `models` here, or in the project when a notebook runs elsewhere."""
    here, project = Path("models"), Path(__file__).resolve().parents[3] / "models"
    return project if not (here / name).is_dir() and (project / name).is_dir() else here


def _local(arch: str, path: Path) -> ModelSource:
    _check_weights(path)
    return ModelSource(arch, f"{arch}/{path.name}", path, sha256_file(path), _preprocess_beside(arch, path))


def _shipped(name: str, folder: Path) -> ModelSource:
    if not (folder / WEIGHTS_FILE).is_file():
        raise EncoderUnavailable(
            f"{folder / WEIGHTS_FILE}: file not found. The encoder {name} is a folder with {CONFIG_FILE}, {WEIGHTS_FILE} and "
            "SHA256SUMS; it comes with the repository under models/: check it out again, or point the models folder at it"
        )
    try:
        sums = verify_folder(folder, required=(CONFIG_FILE, WEIGHTS_FILE))
    except ChecksumMismatch as error:
        raise EncoderUnavailable(str(error)) from error
    _check_weights(folder / WEIGHTS_FILE)
    text = _read_config(folder / CONFIG_FILE).get("model_cfg", {}).get("text_cfg", {})
    options = dict(text.get("tokenizer_kwargs") or {})
    if "bpe_path" in options:  # open_clip resolves a relative path against the current folder, so make it absolute
        if options["bpe_path"] not in sums:
            raise EncoderUnavailable(
                f"{folder / CONFIG_FILE}: its tokenizer {options['bpe_path']!r} is not in SHA256SUMS"
            )
        options["bpe_path"] = str(folder / options["bpe_path"])
    return ModelSource(
        f"local-dir:{folder}", name, folder / WEIGHTS_FILE, sums[WEIGHTS_FILE], tokenizer_options=options
    )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderUnavailable(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(config, dict):
        raise EncoderUnavailable(f"{path}: must hold an object with model_cfg and preprocess_cfg")
    return config


def _preprocess_of(tag_config: dict[str, Any]) -> dict[str, Any]:
    return {key: tag_config[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in tag_config}


def _preprocess_beside(arch: str, path: Path) -> dict[str, Any]:
    """Preprocessing of a local checkpoint: from open_clip_config.json beside it, else the one that all tags of `arch` share."""
    if (path.parent / CONFIG_FILE).is_file():
        return _preprocess_of(_read_config(path.parent / CONFIG_FILE).get("preprocess_cfg", {}))
    open_clip = import_open_clip()
    tags = open_clip.list_pretrained_tags_by_model(arch)
    used = [_preprocess_of(open_clip.get_pretrained_cfg(arch, tag)) for tag in tags]
    return used[0] if used and all(preprocess == used[0] for preprocess in used) else {}


def _check_weights(path: Path) -> None:
    """Raise EncoderUnavailable unless `path` is a complete safetensors file or a torch file of tensors only. No code in it is executed."""
    if not path.is_file():
        raise EncoderUnavailable(f"{path}: there is no such checkpoint file")
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                empty = not file.keys()
        except (SafetensorError, OSError) as error:
            raise EncoderUnavailable(
                f"{path}: not a whole safetensors file ({error}); it is truncated or of another format, fetch it again"
            ) from error
        if empty:
            raise EncoderUnavailable(f"{path}: holds no tensors")
        return
    if path.suffix not in _TORCH_SUFFIXES:
        raise EncoderUnavailable(
            f"{path}: a checkpoint must be .safetensors (or .pt, .pth, .bin holding tensors alone)"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # torch raises a dozen kinds, from pickle, zipfile, struct, …
        raise EncoderUnavailable(
            f"{path}: not a torch file of tensors alone ({type(error).__name__}); pickled objects are never loaded: "
            "convert it to safetensors where you trust it"
        ) from error
    weights = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not any(isinstance(value, torch.Tensor) for value in weights.values()):
        raise EncoderUnavailable(f"{path}: holds no dictionary of named tensors")


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Load weights into `model` from a file that `resolve_model` verified. Raises RuntimeError when names or shapes do not fit.

    A safetensors file with exactly the model's tensors is copied tensor by tensor, and closed in between: mapping the whole file beside
    the model took 1,546 MB resident for ViT-B/32 in fp32. Other files go through open_clip's loader, which also maps the tensor names of
    other libraries.
    """
    wanted = model.state_dict()
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if shapes == {name: tuple(tensor.shape) for name, tensor in wanted.items()}:
            for name, tensor in wanted.items():
                with safe_open(path, framework="pt") as file, torch.no_grad():
                    tensor.copy_(file.get_tensor(name))
            return
    import_open_clip().load_checkpoint(model, str(path), strict=True, weights_only=True)
