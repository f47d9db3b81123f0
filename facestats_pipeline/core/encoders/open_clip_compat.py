"""Makes `import open_clip` work everywhere, and adds this project's architectures to it. Import this before open_clip.

open_clip imports torchvision, and torchvision's Python code refuses to load unless two C++ operators are registered with torch. The
registry's torchvision is built for CUDA; beside a CPU torch its extension cannot be loaded, so the operators are missing and the
import dies with `operator torchvision::nms does not exist`. Nothing here calls either operator (they are for object detection):
declaring their signatures is enough, and it is done only where the extension did not load. Where it loads, nothing changes.

Can go when torchvision's plain wheel imports beside a CPU torch (seen with torch 2.13.0+cpu and torchvision 0.28.0).
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
"""Architectures in open_clip's own format, one JSON file each; open_clip knows them by the file's name."""

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
    """Declare the two signatures unless torchvision brings them; True when they were declared (now or before)."""
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
    """Keep open_clip's own log lines off the root logger inside the block, and its `logging.info` from configuring that logger.

    `logging.info` on an unconfigured root logger installs a handler for the whole process, and then every line of the program
    that has its own handlers appears twice.
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
