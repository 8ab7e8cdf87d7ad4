"""Cards: what a base file and an adapter file are, in JSON beside the safetensors."""

from typing import Any, Literal

from hippopt.artifacts.codec import SCHEMA, Record
from hippopt.artifacts.plan import NetworkSettings, NormalisationSettings

Method = Literal["lora-pt", "decoder", "full"]


class BaseCard(Record, frozen=True, kw_only=True):
    """A base network: shared weights that adapters start from.

    seen_images: content hashes (Fingerprint's `image_hash`) of the scans it was trained on; None when unknown.
    """

    schema: int = SCHEMA
    name: str
    sha256: str
    network: NetworkSettings
    in_channels: int
    out_channels: int
    patch_size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] | None = None
    normalisation: NormalisationSettings | None = None
    label_values: tuple[int, ...] | None = None
    seen_images: tuple[str, ...] | None = None
    licence: str = "unknown"
    attribution: str = ""
    origin: str = ""


class AdapterCard(Record, frozen=True, kw_only=True):
    """What an adapter file holds and what it belongs to.

    base_sha256: of the base's safetensors file; None when trained from random weights (method full, base none).
    stacks: stack name -> names of its slots in order, `parameter[first:last]`; a t-SVD depends on the order.
    remade: parameters of the base that were interpolated, adapted or made anew; they are stored in this file.
    """

    schema: int = SCHEMA
    method: Method
    run: str
    fold: str
    plan_hash: str
    base_sha256: str | None
    base_name: str | None
    network: NetworkSettings
    in_channels: int
    out_channels: int
    patch_size: tuple[int, int, int]
    rank: int | dict[str, int] | None
    core: str | None
    balance: bool | None
    stacks: dict[str, tuple[str, ...]]
    remade: tuple[str, ...]
    trained_parameters: dict[str, int]
    seen_images: tuple[str, ...]
    checkpoint: Literal["last", "best"]
    step: int
    sha256: str
    versions: dict[str, str]
    settings: dict[str, Any]
