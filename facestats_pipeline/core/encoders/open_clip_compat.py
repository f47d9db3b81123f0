"""Makes `import open_clip` work beside a CPU torch, and registers this project's architectures. Import this before open_clip.

open_clip imports torchvision, whose Python code refuses to load unless two C++ operators are registered with torch. The package index's
torchvision is built for CUDA. Beside a CPU torch its extension cannot be loaded, so the import fails with `operator torchvision::nms does
not exist`. FaceStats calls neither operator (they serve object detection), so declaring their signatures is enough. That happens only when
the extension does not load.

Remove this when torchvision's plain wheel imports beside a CPU torch (it fails with torch 2.13.0+cpu and torchvision 0.28.0).
"""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from pathlib import Path
from types import ModuleType
from typing import cast

import torch

MODEL_CONFIGS = Path(__file__).parent / "model_configs"
"""Architectures in open_clip's format, one JSON file each; the file's name is the architecture's name."""

_SIGNATURES = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: torch.library.Library | None = None  # torch forgets the signatures when this object dies


def extension_loads() -> bool:
    """Whether torchvision's compiled operators are, or can be, registered with this torch."""
    if torch._C._dispatch_has_kernel("torchvision::nms"):
        return True
    spec = importlib.util.find_spec("torchvision")  # finds the package without running it
    if spec is None or not spec.submodule_search_locations:
        return False
    finder = FileFinder(spec.submodule_search_locations[0], (ExtensionFileLoader, EXTENSION_SUFFIXES))
    extension = finder.find_spec("_C")
    if extension is None or extension.origin is None:
        return False
    try:
        torch.ops.load_library(extension.origin)  # type: ignore[no-untyped-call]
    except OSError:  # built against another torch, or against CUDA libraries that are not here
        return False
    return True


def declare_missing_operators() -> bool:
    """Declare the two signatures unless torchvision registers them. Returns True when they are declared, by this call or an earlier one."""
    global _declared
    if _declared is None and not extension_loads():
        _declared = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for signature in _SIGNATURES:
            _declared.define(signature)  # type: ignore[no-untyped-call]
    return _declared is not None


declare_missing_operators()


def import_open_clip() -> ModuleType:
    """open_clip, with the architectures of `MODEL_CONFIGS` in its registry."""
    import open_clip

    known = set(open_clip.list_models())
    for config in sorted(MODEL_CONFIGS.glob("*.json")):
        if config.stem not in known:
            open_clip.add_model_config(config)
    return cast(ModuleType, open_clip)


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress open_clip's log lines inside the block, and keep its `logging.info` from configuring the root logger.

    `logging.info` on an unconfigured root logger installs a handler for the whole process. Every line of a program with its own handlers
    would then appear twice.
    """
    root = logging.getLogger()

    def not_open_clip(record: logging.LogRecord) -> bool:
        return Path(record.pathname).parent.name != "open_clip"

    placeholder = logging.NullHandler()
    root.addHandler(placeholder)
    root.addFilter(not_open_clip)
    try:
        yield
    finally:
        root.removeFilter(not_open_clip)
        root.removeHandler(placeholder)
