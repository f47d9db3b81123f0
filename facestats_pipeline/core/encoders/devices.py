"""Where an encoder runs and in which number format: what this machine does fastest at no loss that matters."""

from typing import Literal, cast

import torch

Precision = Literal["fp32", "bf16"]


def choose_device(device: str = "auto") -> torch.device:
    """`auto` is the GPU where torch sees a CUDA one, else the CPU. Raises ValueError for a device that is not there."""
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

    ViT-B/32 through open_clip 3.3.0, images/s forward only, bf16 over fp32 in one interleaved run at batch 1, 16, 32, 64, 128:
    on an AMD EPYC with avx512_bf16 and no AMX 4.1, 3.3, 3.0, 3.0 and 3.5 times (2 cores; best 74 against 23 at batch 16), on a
    Xeon with AMX 3.6 times at 16. `python -m facestats_pipeline_tests.benchmarks.bench_encoders` prints it for any machine.
    """
    probes = (
        "_is_amx_tile_supported",
        "_is_avx512_bf16_supported",
    )  # torch's names for cpuid bits; none of them is public yet
    return any(bool(getattr(torch.cpu, probe, lambda: False)()) for probe in probes)


def choose_precision(precision: str = "auto", device: torch.device | None = None) -> Precision:
    """`auto` is bf16 where the device computes it in hardware, else fp32 (bf16 is then emulated, and slower)."""
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
    """What a network is trained in on `device`: bf16 where that is computed in hardware; emulated, it is many times slower than fp32."""
    return torch.bfloat16 if choose_precision("auto", torch.device(device)) == "bf16" else torch.float32


def autocast(device: torch.device | str) -> torch.autocast:
    """The context in which a network is trained on `device`: bf16 where `training_dtype` says so, else nothing changes."""
    dtype = training_dtype(device)
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=dtype is torch.bfloat16)
