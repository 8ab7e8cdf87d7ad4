"""Files of named tensors: written as safetensors, read from safetensors or torch files, never through pickle."""

import hashlib
import pickle
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, load_file, save, save_file

from hippopt.artifacts.codec import atomic_path
from hippopt.errors import OutputError, WeightsError


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name from safetensors or from a torch file, read with weights_only. Raises WeightsError."""
    if not path.is_file():
        raise WeightsError(f"{path}: base weights not found; give a file, or the name of a base under results/bases")
    try:
        if path.suffix == ".safetensors":
            data: Any = load_file(path)
        else:
            with warnings.catch_warnings():  # torch's advice on pickles, before it refuses them
                warnings.simplefilter("ignore", UserWarning)
                with torch.serialization.safe_globals(_numbers_of_numpy()):
                    data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        reason = (
            f"it holds Python objects besides tensors ({found[1]})"
            if found
            else "it is damaged or holds other things than tensors"
        )
        raise WeightsError(
            f"{path}: refused, since {reason} and loading them could run code; save its state_dict alone, best as"
            " safetensors"
        ) from None
    except Exception as error:
        reason = str(error).splitlines()[0].split(". ")[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path}: damaged or not a weights file ({reason}); copy it anew") from None
    for wrapper in ("state_dict", "model", "net"):
        if isinstance(data, dict) and isinstance(data.get(wrapper), dict):
            data = data[wrapper]
    if not isinstance(data, dict) or not data or not all(isinstance(value, torch.Tensor) for value in data.values()):
        raise WeightsError(f"{path}: no state dict of tensors in it; save the model's state_dict")
    return {str(key).removeprefix("module."): value for key, value in data.items()}


def parse_state(data: bytes, source: Path | str) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file's bytes. Raises WeightsError."""
    try:
        return load(data)
    except Exception as error:
        raise WeightsError(f"{source}: damaged or not a weights file ({error}); copy it anew") from None


def _numbers_of_numpy() -> list[Any]:
    """What checkpoints need that keep a score as a numpy number beside the weights.

    None of it runs code: plain numbers only.
    """
    kinds = (np.dtype(kind) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_))
    scalar = np.float64(0).__reduce__()[0]
    # numpy 2 renamed the module; files of older ones name the old
    return [
        scalar,
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *map(type, kinds),
    ]


def tensors_sha256(tensors: Mapping[str, torch.Tensor]) -> str:
    """sha256 over names, shapes and bytes in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data if value.numel() else b"")
    return digest.hexdigest()


def tensor_bytes(tensors: Mapping[str, torch.Tensor]) -> int:
    """Bytes of all values."""
    return sum(value.numel() * value.element_size() for value in tensors.values())


def to_bytes(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """The safetensors file of the tensors; equal tensors give equal bytes."""
    # clone: names may share memory
    return save({name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()})


def check_space(path: Path, needed: int) -> None:
    """Raises OutputError where the disk of `path` (a file to be, or a folder) has less than `needed` bytes left."""
    folder = next(parent for parent in (path, *path.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{path}: needs {needed / 1e6:.1f} MB, but {free / 1e6:.1f} MB are free; free space, then run the command"
            " again"
        )


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write safetensors atomically. Raises OutputError where the disk is full."""
    check_space(path, tensor_bytes(tensors))
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(contiguous, temporary, metadata=dict(metadata or {}))
        except OSError:
            raise
        except Exception as error:  # safetensors wraps a full disk in an error of its own
            raise OutputError(f"{path}: cannot be written ({error}); free space or choose another folder") from None
