"""Cards: what a base file and an adapter file are, in JSON beside the safetensors."""

from typing import Any, Literal

from hippopt.artifacts.codec import SCHEMA, Record
from hippopt.artifacts.methods import Method
from hippopt.artifacts.part_borders import PartBorders
from hippopt.artifacts.plan import NetworkSettings, NormalisationSettings
from hippopt.artifacts.synthesis import SynthesisSettings

Dtype = Literal["float32", "float16"]


class BaseCard(Record, frozen=True, kw_only=True):
    """A base network: shared weights that adapters start from.

    seen_images: content hashes (Fingerprint's `image_hash`) of the scans it was trained on; None when unknown.
    synthesis, label_maps: how its scans were made, and the sha256 of each label map that they were made from.
    validation: Dice by class on what it had not seen, at the end of its training.
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
    channel_names: tuple[str, ...] | None = None
    class_names: tuple[str, ...] | None = None
    synthesis: SynthesisSettings | None = None
    label_maps: dict[str, str] | None = None
    validation: dict[str, float] | None = None
    steps: int | None = None
    command: str = ""
    versions: dict[str, str] | None = None


class FactorsRecord(Record, frozen=True, kw_only=True):
    """What initial factors were made of: equal records stand for one decomposition.

    rank: stack name -> tubal rank (pissa: rank of each of its matrices); stacks: stack name -> names of its slots in
    order, `parameter[first:last]`; core: form of S, or the name of another method than lora-pt.
    """

    schema: int = SCHEMA
    base_sha256: str
    rank: dict[str, int]
    stacks: dict[str, tuple[str, ...]]
    core: str
    balance: bool
    dtype: Dtype = "float32"


class AsBase(Record, frozen=True, kw_only=True):
    """A base used as it is: its own classes are added up, and each window is normalised as its own were.

    classes: for each class of the plan's network, the base's classes that mean it; each of the base's stands once.
    normalisation: of a window, over its voxels that are not zero. shifts: voxels (Z, Y, X) by which a window is moved
    before the network sees it, which places the transformer's tokens otherwise; probabilities are averaged over them.
    smooth_voxels: standard deviation of the Gaussian that a window is smoothed with before all else (cards from before
    it say nothing of it, and mean none). centred: whether a first look finds the structure and the window is moved to
    have it in its middle, as the base's training had it, before it is looked at for good.
    """

    classes: tuple[tuple[int, ...], ...]
    normalisation: NormalisationSettings
    shifts: tuple[tuple[int, int, int], ...] = ((0, 0, 0),)
    smooth_voxels: float = 0.0
    centred: bool = False


class ContinuedFrom(Record, frozen=True, kw_only=True):
    """The adapter that training went on from: of which run and fold, and how far it had come.

    sha256: over its tensors. seen_images: content hashes of all scans that it had been trained on, those of its base
    and of the runs before it among them.
    """

    run: str
    fold: str
    step: int
    sha256: str
    seen_images: tuple[str, ...]


class AdapterCard(Record, frozen=True, kw_only=True):
    """What an adapter file holds and what it belongs to. Schema 1 held the initial factors in every adapter file.

    base_sha256: of the base's safetensors file; None when trained from random weights (method full, base none). stacks:
    stack name -> names of its slots in order, `parameter[first:last]`; a t-SVD depends on the order. remade: parameters
    of the base that were interpolated, adapted or made anew; they are stored in this file, whether they trained (all
    methods but published) or not. sha256, initial_sha256: over the tensors (networks/tensor_files.py) of this file, and
    of the run's initial factors that lora-pt and pissa were trained from; dtype: of every tensor of this file.
    part_borders: learned from the fold's training labels. as_base: of a network that has the base's own classes; None
    for one with the plan's. continued_from: None where training began from the base, or from random weights.
    """

    schema: int = 2
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
    initial_sha256: str | None
    dtype: Dtype
    versions: dict[str, str]
    settings: dict[str, Any]
    part_borders: PartBorders | None = None
    as_base: AsBase | None = None
    continued_from: ContinuedFrom | None = None


class LocatorCard(Record, frozen=True, kw_only=True):
    """What a fold's locator was made with. classes: names of the regions it tells apart, the background first.

    sha256: over the tensors. seen_images: content hashes of the scans that it was trained on. seconds: that its
    training took. taken_from: the ready model whose locator it is; channels: of that one's levels, None for the plan's.
    """

    schema: int = SCHEMA
    plan_hash: str
    fold: str
    seed: int
    in_channels: int
    classes: tuple[str, ...]
    seen_images: tuple[str, ...]
    sha256: str
    seconds: float
    versions: dict[str, str]
    taken_from: str = ""
    channels: tuple[int, ...] | None = None
