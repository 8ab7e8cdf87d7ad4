"""The machine: which device trains, how much memory it has, whether bfloat16 pays."""

import os
from typing import TYPE_CHECKING

from hippopt.errors import TrainingError

if TYPE_CHECKING:
    import torch


def choose_device(requested: str) -> tuple["torch.device", str]:
    """(device, note) for auto, cpu or cuda. Raises TrainingError when cuda is asked for and cannot be used."""
    import torch

    if requested == "cpu":
        return torch.device("cpu"), "on the CPU, as asked"
    if torch.cuda.is_available():
        return torch.device("cuda"), f"on {torch.cuda.get_device_name()}"
    if requested == "cuda":
        built = torch.version.cuda
        reason = f"built for CUDA {built}, but no usable GPU or driver was found" if built else "this torch is built for CPUs only"
        raise TrainingError(f"--device cuda: {reason}; use --device cpu, or install a driver and torch that fit")
    return torch.device("cpu"), "on the CPU (no GPU found)"


def bfloat16_pays(device: "torch.device") -> bool:
    """Whether the device has bfloat16 instructions: emulated, it would be slower than float32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(getattr(torch.cpu, name, lambda: False)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def memory_gb(device: "torch.device") -> float:
    """Memory that training may plan with, GB: a GPU's own, or half of the machine's."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory / 1e9
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2e9
    except (ValueError, OSError, AttributeError):  # not a POSIX system
        return 8.0
