"""The encoder: loads an image and text model through open_clip and computes unit-norm embeddings."""

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

from facestats_pipeline.core.encoders.batch_norms import fold_batch_norms
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
    """A loaded encoder, made by `load_model`.

    `name`: as requested · `model_id`: name without folders, `@`, 8 hex digits of the weights' SHA-256 (`untrained@SEED` without weights),
    the same on every machine · `dim`: width of an embedding · `image_size`: longer side of the input in px · `trained`: whether it has
    weights · `precision`: fp32 or bf16 · `device`: name of the torch device · `batch_size`: photos per forward pass.
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
        """Width of an embedding, found by encoding one grey picture. Raises EncoderUnavailable unless the result is finite."""
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
                f"{self._source.weights or self.name}: the embedding of a test picture is not finite; the weights are damaged, "
                "fetch them again"
            )
        return int(features.shape[1])

    def encode_pixels(self, pixels: torch.Tensor) -> Vectors:
        """(n, dim) embeddings of (n, height, width, 3) uint8 RGB pixels of the encoder's input size, in one forward pass."""
        with torch.inference_mode():
            batch = pixels.to(self.device, non_blocking=True)
            return _unit(self._model.encode_image(self.input.normalise(batch, _DTYPES[self.precision])))

    def encode_images(self, images: Sequence[Image.Image] | torch.Tensor) -> Vectors:
        """(n, dim) embeddings of RGB pictures of any size, or of a tensor (n, 3, height, width) from open_clip's transform."""
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
        """The learned factor from cosines to logits; at most 100, where CLIP clips it (100 when the model has none)."""
        learned = getattr(self._model, "logit_scale", None)
        return 100.0 if learned is None else min(100.0, float(learned.detach().float().exp().max()))

    @property
    def has_text(self) -> bool:
        """Whether `encode_text` works: the text tower is loaded and its tokenizer can be loaded."""
        return not isinstance(self._tokenizer, EncoderUnavailable)

    @cached_property
    def _tokenizer(self) -> Any:
        """The tokenizer, or the error that explains why there is none. It is cached either way, since a failed attempt may take seconds."""
        if not self._knows_words:
            return EncoderUnavailable(f"encoder {self.name}: it was loaded without its text tower (text=False)")
        open_clip = import_open_clip()
        try:
            with quiet():
                tokenizer = open_clip.get_tokenizer(self._source.arch, **self._source.tokenizer_options)
        except Exception as error:  # open_clip, transformers and the hub raise many types; the remedy is the same
            return EncoderUnavailable(
                f"encoder {self.name}: its tokenizer cannot be loaded ({_first_line(error)}). Tokenizers that are not CLIP's own "
                "(SigLIP, multilingual and BERT-like text towers) need the package transformers and, the first time, the hub"
            )
        room = getattr(self._model, "vocab_size", None) or getattr(self._model.text, "vocab_size", None)
        words = getattr(tokenizer, "vocab_size", None)
        # Without the tokenizer's file, open_clip uses CLIP's vocabulary, whose ids exceed this model's embedding table.
        if room is not None and words is not None and words > room:
            return EncoderUnavailable(
                f"encoder {self.name}: its tokenizer has {words} tokens and its text tower {room}; the model's folder lacks the "
                "tokenizer's file, or open_clip_config.json does not name it (text_cfg.tokenizer_kwargs.bpe_path)"
            )
        return tokenizer

    def tokenize(self, texts: Sequence[str]) -> torch.Tensor:
        """(n, context) int64 token ids, truncated to the text tower's context. Raises EncoderUnavailable when `has_text` is False."""
        if isinstance(self._tokenizer, EncoderUnavailable):
            raise self._tokenizer
        tokens: torch.Tensor = self._tokenizer(list(texts))
        return tokens

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """(n, dim) embeddings of texts; a dot product with an image embedding is a cosine. Raises EncoderUnavailable like `tokenize`."""
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
    """Load an encoder by name. `text=False` drops the text tower and saves its memory.

    `facestats-mini`: the shipped encoder, from its folder in `models_dir`, with verified checksums and without network ·
    `ARCH/TAG`: a pretrained tag of open_clip, from the hub or its cache · `ARCH/PATH`: a local checkpoint, safetensors or a torch
    file of tensors only · `ARCH/untrained`: random weights from `seed`, for tests and timings.

    Raises EncoderUnavailable with the remedy; ValueError for an unusable device or an unknown precision.
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
    """Build the model with open_clip, load its weights and set it to inference. The caller's random state does not change."""
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
        folds = source.arch.startswith("local-dir:") and any(
            isinstance(m, torch.nn.BatchNorm2d) for m in model.visual.modules()
        )
        if folds:  # in full precision: what is rounded before it is folded is rounded twice
            model.visual.float()
        if source.weights is not None:
            try:
                load_weights(model, source.weights)
            except Exception as error:  # names or shapes of another model
                raise EncoderUnavailable(
                    f"{source.weights}: its weights do not fit {source.arch} ({_first_line(error)})"
                ) from error
    model = model.eval().requires_grad_(False)
    if folds:
        size = model.visual.image_size
        high, wide = size if isinstance(size, tuple) else (size, size)
        noise = torch.randn(1, 3, high, wide, generator=torch.Generator().manual_seed(0))
        fold_batch_norms(model.visual, noise.to(device))
        model.visual.to(_DTYPES[precision])
    if device.type == "cuda":  # its convolutions are fastest on the layout that pixels come in
        model = model.to(memory_format=torch.channels_last)
    return model


def _drop_text_tower(model: Any) -> None:
    """Free the parts that `encode_image` does not use: 254 of 605 MB for ViT-B/32 in fp32.

    The attribute names are those of open_clip's CLIP, CustomTextCLIP and CoCa.
    """
    for name in (
        *("text", "text_decoder"),
        *("transformer", "token_embedding", "positional_embedding", "ln_final", "text_projection"),
    ):
        if isinstance(getattr(model, name, None), torch.nn.Module | torch.nn.Parameter):
            setattr(model, name, None)


def _return_freed_memory() -> None:
    """Return memory freed by imports and loading to the system. glibc would keep it: 40 to 75 MB in a run over a shard (`bench_memory`)."""
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _batch_size(device: torch.device, precision: Precision) -> int:
    """Photos per forward pass.

    On a CPU, the activations of 32 photos fit into the cache: ViT-B/32 in bf16 on a CPU with AMX made 170–190 images/s at batch 32–64 and
    80–95 at 128 and above. In fp32 on two cores, batch 16 takes 0.13 GB less memory than 32 and 4% more time. A GPU needs larger batches.
    """
    if device.type != "cpu":
        return 256
    return 16 if precision == "fp32" else 32


def _unit(features: torch.Tensor) -> Vectors:
    # Normalised in float32, since in bf16 the norm itself has an error of up to 0.4%.
    unit: Vectors = F.normalize(features.float(), dim=-1).cpu().numpy()
    return unit


def _stack(parts: list[Vectors], dim: int) -> Vectors:
    return np.concatenate(parts) if parts else np.empty((0, dim), dtype=np.float32)


def _first_line(error: Exception) -> str:
    """An error's message as one line of at most 300 characters. It joins three lines: torch names misshapen tensors in later ones."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = " ".join(lines[:3])
    return text if len(text) <= 300 else text[:299] + "…"
