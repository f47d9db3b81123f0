"""Image and text encoders: every one of them is loaded and run by open_clip, whatever its name."""

import ctypes
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from facestats_pipeline.core.encoders.checkpoints import ModelSource, load_weights, resolve_model
from facestats_pipeline.core.encoders.devices import Precision, choose_device, choose_precision
from facestats_pipeline.core.encoders.encoder_input import EncoderInput
from facestats_pipeline.core.encoders.errors import EncoderUnavailable
from facestats_pipeline.core.encoders.open_clip_compat import import_open_clip, quiet

logger = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]
"""(n, dim) float32, each row of unit L2 norm."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Encoder:
    """A loaded encoder. Get one from `load_model`.

    `name`: as it was asked for · `model_id`: name without any folder, `@`, 8 hex digits of the weights' SHA-256 (`untrained@SEED`
    without weights), the same on every machine · `dim`: width of an embedding · `image_size`: side of its input in px ·
    `trained` · `precision`: fp32 or bf16 · `device`: a torch device's name · `batch_size`: photos per forward pass.
    """

    def __init__(
        self,
        name: str,
        model_id: str,
        model: Any,
        source: ModelSource,
        precision: Precision,
        device: torch.device,
        text: bool,
    ) -> None:
        open_clip = import_open_clip()
        self.name = name
        self.model_id = model_id
        self.precision: Precision = precision
        self.device = str(device)
        self.trained = source.weights is not None
        self.batch_size = _batch_size(device, precision)
        config = open_clip.transform.PreprocessCfg(**model.visual.preprocess_cfg)
        self.input = EncoderInput(open_clip.transform.image_transform_v2(config, is_train=False), config.size)
        self.image_size = max(self.input.height, self.input.width)
        self._source = source
        self._knows_words = text
        self._model = model
        self.dim = self._probe()

    def _probe(self) -> int:
        """Width of an embedding, from encoding one grey picture, which must give finite numbers."""
        grey = self.input.empty(1).fill_(127)
        try:
            with torch.inference_mode():
                features = self._model.encode_image(self.input.normalise(grey.to(self.device), _DTYPES[self.precision]))
        except RuntimeError as error:
            raise EncoderUnavailable(
                f"encoder {self.name}: it cannot encode a picture ({_first_line(error)})"
            ) from error
        if not torch.isfinite(features).all():
            raise EncoderUnavailable(
                f"{self._source.weights or self.name}: gives numbers that are not finite; the weights are damaged, fetch them again"
            )
        return int(features.shape[1])

    def encode_pixels(self, pixels: torch.Tensor) -> Vectors:
        """Embeddings of (n, height, width, 3) uint8 RGB of the encoder's own input size, in one forward pass."""
        with torch.inference_mode():
            batch = pixels.to(self.device, non_blocking=True)
            return _unit(self._model.encode_image(self.input.normalise(batch, _DTYPES[self.precision])))

    def encode_images(self, images: Sequence[Image.Image] | torch.Tensor) -> Vectors:
        """Embeddings of RGB pictures of any size, or of a tensor (n, 3, height, width) that open_clip's transform made."""
        if isinstance(images, torch.Tensor):
            with torch.inference_mode():
                parts = [
                    _unit(self._model.encode_image(part.to(self.device, _DTYPES[self.precision])))
                    for part in torch.split(images, self.batch_size)
                    if len(part)
                ]
            return _stack(parts, self.dim)
        parts = []
        for start in range(0, len(images), self.batch_size):
            some = images[start : start + self.batch_size]
            parts.append(self.encode_pixels(torch.from_numpy(np.stack([self.input.pixels(image) for image in some]))))
        return _stack(parts, self.dim)

    @property
    def logit_scale(self) -> float:
        """The factor between cosines and logits that contrastive training ended at; at most 100, to which CLIP clips it."""
        learned = getattr(self._model, "logit_scale", None)
        return 100.0 if learned is None else min(100.0, float(learned.detach().float().exp().max()))

    @property
    def has_text(self) -> bool:
        """Whether `encode_text` works here: the text tower was loaded, and its tokenizer could be."""
        return not isinstance(self._tokenizer, EncoderUnavailable)

    @cached_property
    def _tokenizer(self) -> Any:
        """The tokenizer, or the error that says why there is none."""
        if not self._knows_words:
            return EncoderUnavailable(f"encoder {self.name}: it was loaded for pictures alone (text=False)")
        open_clip = import_open_clip()
        try:
            with quiet():
                tokenizer = open_clip.get_tokenizer(self._source.arch, **self._source.tokenizer_options)
        except Exception as error:  # open_clip, transformers and the hub raise what they like; the remedy is one
            return EncoderUnavailable(
                f"encoder {self.name}: its tokenizer cannot be loaded ({_first_line(error)}). Tokenizers that are not CLIP's own "
                "(SigLIP, multilingual and BERT-like text towers) need the package transformers and, the first time, the hub"
            )
        room = getattr(self._model, "vocab_size", None) or getattr(self._model.text, "vocab_size", None)
        words = getattr(tokenizer, "vocab_size", None)
        if room is not None and words is not None and words > room:
            return EncoderUnavailable(
                f"encoder {self.name}: its tokenizer has {words} tokens and its text tower {room}; the model's folder lacks the "
                "tokenizer's file, or open_clip_config.json does not name it (text_cfg.tokenizer_kwargs.bpe_path)"
            )
        return tokenizer

    def tokenize(self, texts: Sequence[str]) -> torch.Tensor:
        """(n, context) int64 token ids, cut to the text tower's context. Raises EncoderUnavailable when `has_text` is False."""
        if isinstance(self._tokenizer, EncoderUnavailable):
            raise self._tokenizer
        tokens: torch.Tensor = self._tokenizer(list(texts))
        return tokens

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Embeddings of texts, comparable with those of images by their dot product. Raises EncoderUnavailable like `tokenize`."""
        parts = []
        for start in range(0, len(texts), 256):
            tokens = self.tokenize(texts[start : start + 256])
            with torch.inference_mode():
                parts.append(_unit(self._model.encode_text(tokens.to(self.device))))
        return _stack(parts, self.dim)


def load_model(
    name: str,
    *,
    models_dir: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    seed: int = 0,
    text: bool = True,
) -> Encoder:
    """Load an encoder by name; with `text=False` for pictures alone, without the memory of its text tower.

    `facestats-mini`: the shipped encoder, from its folder in `models_dir`, with checked checksums and no network ·
    `ARCH/TAG`: a pretrained tag of open_clip, from the hub or its cache · `ARCH/PATH`: a local checkpoint, safetensors or a torch
    file of tensors alone · `ARCH/untrained`: random weights of `seed`, for tests and timing.

    Raises EncoderUnavailable, which says what to do; ValueError for a device or a precision that there is not.
    """
    chosen_device = choose_device(device)
    chosen_precision = choose_precision(precision, chosen_device)
    source = resolve_model(name, models_dir)
    model = _create(source, name, chosen_device, chosen_precision, seed)
    if not text:
        _drop_text_tower(model)
    _return_freed_memory()
    suffix = source.sha256[:8] if source.weights else str(seed)
    if source.weights is None:
        logger.warning(
            "The encoder %s is untrained: its embeddings are random projections of the pixels and mean nothing about a face.",
            name,
        )
    return Encoder(name, f"{source.label}@{suffix}", model, source, chosen_precision, chosen_device, text)


def _create(source: ModelSource, name: str, device: torch.device, precision: Precision, seed: int) -> Any:
    """The model that open_clip builds, with its weights, ready for inference. The caller's random state is left as it was."""
    open_clip = import_open_clip()
    if source.arch.startswith("local-dir:"):
        import facestats_pipeline.core.encoders.mini_towers  # noqa: F401  (registers the image tower that the config names)
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = open_clip.create_model(
                source.arch,
                load_weights=False,
                precision=precision,
                device=device,
                force_quick_gelu=source.quick_gelu,
                force_preprocess_cfg=source.preprocess,
                pretrained_text=False,  # never fetch a base language model for a text tower
            )
        except Exception as error:  # a config that means nothing, a text tower whose package is not installed
            raise EncoderUnavailable(f"encoder {name}: cannot be built ({_first_line(error)})") from error
        if source.weights is not None:
            try:
                load_weights(model, source.weights)
            except Exception as error:  # names or shapes of another model
                raise EncoderUnavailable(
                    f"{source.weights}: its weights do not fit {source.arch} ({_first_line(error)})"
                ) from error
    if device.type == "cuda":  # its convolutions are fastest on the layout that pixels come in
        model = model.to(memory_format=torch.channels_last)
    return model.eval().requires_grad_(False)


def _drop_text_tower(model: Any) -> None:
    """Free what `encode_image` does not use: of ViT-B/32 in fp32 254 of 605 MB. Names as in open_clip's CLIP, CustomTextCLIP and CoCa."""
    for name in (
        *("text", "text_decoder"),
        *("transformer", "token_embedding", "positional_embedding", "ln_final", "text_projection"),
    ):
        if isinstance(getattr(model, name, None), torch.nn.Module | torch.nn.Parameter):
            setattr(model, name, None)


def _return_freed_memory() -> None:
    """Give the system what imports and loading have freed. glibc alone keeps it: 40 to 75 MB of a run over a shard (`bench_memory`)."""
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _batch_size(device: torch.device, precision: Precision) -> int:
    """Photos per forward pass.

    On a CPU 32 photos' activations stay in the cache: ViT-B/32 in bf16 on a CPU with AMX made 170–190 images/s at 32–64 and 80–95 at 128
    and above. In fp32 two cores with 16 photos each take 0.13 GB less than with 32, for 4% more of the processor. A GPU wants more.
    """
    if device.type != "cpu":
        return 256
    return 16 if precision == "fp32" else 32


def _unit(features: torch.Tensor) -> Vectors:
    # Normalised in float32: in bf16 the norm itself is off by up to 0.4%.
    unit: Vectors = F.normalize(features.float(), dim=-1).cpu().numpy()
    return unit


def _stack(parts: list[Vectors], dim: int) -> Vectors:
    return np.concatenate(parts) if parts else np.empty((0, dim), dtype=np.float32)


def _first_line(error: Exception) -> str:
    """An error's message in one line: torch puts what is missing or misshapen in the lines after the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = " ".join(lines[:3])
    return text if len(text) <= 300 else text[:299] + "…"
