"""Choice of device and precision: the fastest that this machine offers without a relevant loss of accuracy."""

from typing import Literal, cast

import torch

Precision = Literal["fp32", "bf16"]


def choose_device(device: str = "auto") -> torch.device:
    """The torch device; `auto` is a CUDA GPU if torch sees one, else the CPU. Raises ValueError for a device that torch cannot use."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA raises AssertionError
        raise ValueError(
            f"device is {device!r}, which torch cannot use here ({str(error).splitlines()[0]}); 'auto' and 'cpu' always work"
        ) from error
    return chosen


def cpu_has_fast_bf16() -> bool:
    """Whether this CPU multiplies bf16 in hardware: AMX tiles or AVX-512 BF16.

    Speed-up of bf16 over fp32 for ViT-B/32 (open_clip 3.3.0, forward pass only, interleaved runs): 4.1, 3.3, 3.0, 3.0 and 3.5 times at
    batch 1, 16, 32, 64 and 128 on an AMD EPYC with avx512_bf16 and no AMX (2 cores; best 74 against 23 images/s at batch 16); 3.6 times at
    batch 16 on a Xeon with AMX. `python -m facestats_pipeline_tests.benchmarks.bench_encoders` prints it for any machine.
    """
    # torch has no public names for these cpuid bits yet, so a missing one counts as unsupported.
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(bool(getattr(torch.cpu, probe, lambda: False)()) for probe in probes)


def choose_precision(precision: str = "auto", device: torch.device | None = None) -> Precision:
    """The precision; `auto` is bf16 if the device computes it in hardware, else fp32, because emulated bf16 is slower.

    Raises ValueError for anything but auto, fp32 and bf16.
    """
    if precision in ("fp32", "bf16"):
        return cast(Precision, precision)
    if precision != "auto":
        raise ValueError(f"precision is {precision!r}; it must be 'auto', 'fp32' or 'bf16'")
    kind = "cpu" if device is None else device.type
    if kind == "cpu":
        return "bf16" if cpu_has_fast_bf16() else "fp32"
    if kind == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "fp32"


def training_dtype(device: torch.device | str) -> torch.dtype:
    """The dtype for training on `device`: bf16 with hardware support, else fp32, since emulated bf16 is many times slower."""
    return torch.bfloat16 if choose_precision("auto", torch.device(device)) == "bf16" else torch.float32


def autocast(device: torch.device | str) -> torch.autocast:
    """The autocast context for training on `device`: enabled if `training_dtype` is bf16, else without effect."""
    dtype = training_dtype(device)
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=dtype is torch.bfloat16)
