"""Initial factors of LoRA-PT and PiSSA: what they were made of,
and the file that holds them once for many adapter files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from hippopt.artifacts.codec import canonical_json, decode, parse_json, write_atomically
from hippopt.artifacts.methods import METHODS, Method
from hippopt.artifacts.plan import AdapterSettings, NetworkSettings
from hippopt.artifacts.weights import AdapterCard, FactorsRecord
from hippopt.errors import HippoptError, WeightsError
from hippopt.networks.adapters.protocol import maker_of
from hippopt.networks.stacks import slot_names, stack_ranks
from hippopt.networks.tensor_files import parse_state, save_tensors, tensors_sha256

METADATA = "hippopt"  # key of the JSON in the header
COPY_BACK = "copy it back from where the run was trained, or from its exported model"


@dataclass(frozen=True)
class InitialFactors:
    """`STACK.u` (K, m, r), `STACK.s` (K, r) or (K, r, r), `STACK.v` (K, n, r), for pissa `LAYER.lora_A.weight` (r, n),
    `LAYER.lora_B.weight` (m, r). `sha256` over names, shapes and bytes.

    float16 since a run starts from what is stored: the residual is what these factors leave of the base, so rounding
    them loses nothing. Those of earlier runs are float32.
    """

    tensors: Mapping[str, torch.Tensor]
    sha256: str


def factors_record(
    method: Method, base_sha256: str, model: torch.nn.Module, network: NetworkSettings, settings: AdapterSettings
) -> FactorsRecord:
    """What the initial factors of a base depend on. model: the network
    before anything is put in it; only its shapes are looked at.
    """
    stacks = maker_of(method).weights(method, model, network, settings)
    tensor = METHODS[method].tensor
    return FactorsRecord(
        base_sha256=base_sha256, rank=stack_ranks(settings.rank, stacks),
        stacks={stack.name: slot_names(stack) for stack in stacks}, core=settings.core if tensor else method,
        balance=settings.balance if tensor else True, dtype="float16",
    )  # fmt: skip


def same_decomposition(one: FactorsRecord, other: FactorsRecord) -> bool:
    """Whether both stand for the same factors, in whatever precision."""
    return msgspec.structs.replace(one, dtype=other.dtype) == other


def load_factors(path: Path) -> tuple[InitialFactors, FactorsRecord]:
    """The factors of a file, and what they were made of. Raises WeightsError where it is missing or damaged."""
    if not path.is_file():
        raise WeightsError(f"{path}: missing; {COPY_BACK}")
    return parse_factors(path.read_bytes(), path)


def parse_factors(data: bytes, source: Path) -> tuple[InitialFactors, FactorsRecord]:
    """`load_factors` of the file's bytes."""
    try:
        tensors = parse_state(data, source)
        header = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")], source)
        metadata = parse_json(header["__metadata__"][METADATA], source)
        record = decode(metadata["made_of"], FactorsRecord, source)
        sha256 = tensors_sha256(tensors)
        if sha256 != metadata["sha256"]:
            raise ValueError("its content does not match its checksum")
        if any(str(value.dtype) != f"torch.{record.dtype}" for value in tensors.values()):
            raise ValueError(f"not all of its tensors are {record.dtype}")
    except Exception as error:
        known = isinstance(error, HippoptError | ValueError)
        reason = (
            str(error).removeprefix(f"{source}: ").partition("; ")[0] if known else f"{type(error).__name__}: {error}"
        )
        raise WeightsError(f"{source}: damaged ({reason}); {COPY_BACK}") from None
    return InitialFactors(tensors, sha256), record


def factors_of(card: AdapterCard, path: Path, adapter: Path) -> InitialFactors | None:
    """The initial factors that an adapter file was trained from; None for methods that need none.

    Raises WeightsError where the file is missing, damaged or holds others.
    """
    if card.initial_sha256 is None:
        return None
    initial, _ = load_factors(path)
    if initial.sha256 != card.initial_sha256:
        raise WeightsError(
            f"{path}: not the initial factors that {adapter} was trained from ({initial.sha256[:12]}, its card names"
            f" {card.initial_sha256[:12]}); copy the original back, or train the fold anew"
        )
    return initial


def save_factors(path: Path, initial: InitialFactors, record: FactorsRecord, replace: bool) -> None:
    """Write the file whole. Without `replace`, a file that another process made first stays. Raises OutputError."""
    # one key: safetensors writes several in any order, and equal factors are to give equal files
    about = {METADATA: canonical_json({"made_of": record, "sha256": initial.sha256}).decode()}
    write_atomically(path, lambda temporary: save_tensors(temporary, initial.tensors, about), keep_first=not replace)


def differences(found: FactorsRecord, wanted: FactorsRecord) -> str:
    """What two decompositions differ in, in words."""
    shown = (
        ("base", found.base_sha256[:12], wanted.base_sha256[:12]),
        ("rank", found.rank, wanted.rank),
        (
            "stacks",
            {name: len(slots) for name, slots in found.stacks.items()},
            {name: len(slots) for name, slots in wanted.stacks.items()},
        ),
        ("core", found.core, wanted.core),
        ("balance", found.balance, wanted.balance),
    )
    return "; ".join(f"{key} {old} -> {new}" for key, old, new in shown if old != new) or "order of the slices"
