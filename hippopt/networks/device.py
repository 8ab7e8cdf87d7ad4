"""The machine: which device trains, how much memory it has, whether bfloat16 pays."""

from typing import TYPE_CHECKING

from hippopt.errors import TrainingError
from hippopt.machine import core_count, machine_bytes, threads_asked

if TYPE_CHECKING:
    import torch


def choose_device(requested: str) -> tuple["torch.device", str]:
    """(device, note) for auto, cpu or cuda. Raises TrainingError when cuda is asked for and cannot be used."""
    import torch

    if threads_asked() is None and torch.get_num_threads() > core_count():  # torch knows of no quota of a container
        torch.set_num_threads(core_count())
    if requested == "cpu":
        return torch.device("cpu"), "on the CPU, as asked"
    if torch.cuda.is_available():
        return torch.device("cuda"), f"on {torch.cuda.get_device_name()}"
    if requested == "cuda":
        built = torch.version.cuda
        reason = (
            f"built for CUDA {built}, but no usable GPU or driver was found"
            if built
            else "this torch is built for CPUs only"
        )
        raise TrainingError(f"--device cuda: {reason}; use --device cpu, or install a driver and torch that fit")
    return torch.device("cpu"), "on the CPU (no GPU found)"


def bfloat16_pays(device: "torch.device") -> bool:
    """Whether the device has bfloat16 instructions: emulated, it would be slower than float32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(
        getattr(torch.cpu, name, lambda: False)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )


def memory_gb(device: "torch.device") -> float:
    """Memory that training may plan with, GB: a GPU's own, or half of what the process may use."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory / 1e9
    return machine_bytes() / 2e9
