"""Plan: every decision for a data set, each with its reason. A person may edit it; the rules are checked when it is
read.

All triples are (Z, Y, X) on RAS axes, except where a name says otherwise.
"""

from typing import Literal

import msgspec

from hippopt.artifacts.codec import SCHEMA, Record, content_hash
from hippopt.artifacts.methods import METHODS, Method
from hippopt.artifacts.sides import Side, SideClasses, side_classes_of_old_plan
from hippopt.artifacts.triples import Voxels

StackName = Literal["attention", "mlp_up", "mlp_down", "convolutions"]
TRANSFORMER_STACKS: tuple[StackName, ...] = ("attention", "mlp_up", "mlp_down")
CONVOLUTIONS: StackName = "convolutions"
STACKS: tuple[StackName, ...] = (*TRANSFORMER_STACKS, CONVOLUTIONS)
CLIP_PERCENTILES = (0.5, 99.5)  # of every plan and every synthetic scan that hippopt makes, as nnU-Net's for CT
LAYERS = 12  # transformer blocks, fixed by MONAI's UNETR
ALSO_TRAINED = ("decoder", "head", "norms", "encoders")
AUGMENTATION_RANGES = (
    "scaling",
    "noise_variance",
    "blur_sigma",
    "brightness",
    "contrast",
    "low_resolution",
    "gamma",
    "elastic_scale",
    "elastic_voxels",
)
NAME_STARTS = ("vit.", "encoder", "decoder", "out.")  # of parameters of MONAI's UNETR
TOKEN_SIZES = (8, 16)  # voxels along each axis that one token of the transformer covers


class NetworkSettings(Record, frozen=True, kw_only=True):
    """A UNETR of 12 layers. `size` names the row of hippopt.networks.unetr.SIZES that it came from, or "custom".

    token_size: one token of the transformer covers so many voxels along each axis. transformer: whether its blocks are
    there; without them each is the identity, and the convolutions do all the work.
    """

    size: str
    hidden_size: int
    mlp_dim: int
    num_heads: int
    feature_size: int
    token_size: int = 16
    transformer: bool = True


class NormalisationSettings(Record, frozen=True, kw_only=True):
    """Clip to `clip_percentiles`, then z-score, both over the voxels of `region`: the whole image or its
    non-zero part.
    """

    scheme: Literal["zscore"]
    region: Literal["image", "nonzero"]
    clip_percentiles: tuple[float, float]


class AugmentationSettings(Record, frozen=True, kw_only=True):
    """Probabilities and ranges. Flips are drawn with probability 1/2 per axis; one along x exchanges twins.

    swap_labels: only in plans made before `side_classes`, whose twins they state as pairs (left, right) of label
    values.

    elastic_scale: smoothness (sigma) of a deformation as a share of the patch; elastic_voxels: its largest displacement
    per axis.
    """

    p_rotation: float
    rotation_degrees: float
    p_scaling: float
    scaling: tuple[float, float]
    p_noise: float
    noise_variance: tuple[float, float]
    p_blur: float
    blur_sigma: tuple[float, float]
    p_brightness: float
    brightness: tuple[float, float]
    p_contrast: float
    contrast: tuple[float, float]
    p_low_resolution: float
    low_resolution: tuple[float, float]
    p_gamma: float
    p_inverted_gamma: float
    gamma: tuple[float, float]
    flip_axes: tuple[Literal["x", "y", "z"], ...]
    # no value, so that older plans keep their hash
    swap_labels: tuple[tuple[int, int], ...] | msgspec.UnsetType = msgspec.UNSET
    p_elastic: float = 0.0
    elastic_scale: tuple[float, float] = (0.08, 0.25)
    elastic_voxels: tuple[float, float] = (1.0, 4.0)


CENTRE_REACH = (
    1.5  # an image of at most so many patches along each axis is a crop around the structure: its middle may do
)


class AdapterSettings(Record, frozen=True, kw_only=True):
    """LoRA-PT (lora_pt.md); `rank`, `stacks` and `also_trained` hold for lora, dora, pissa and adalora too.

    rank: one tubal rank, or one for each of `stacks`. stacks: of STACKS; `convolutions` are the kernels of the
    convolutional encoders and the decoder, each a stack of its own: all of them train, as factors or, where these would
    save nothing, whole. core: form of S. balance: whether sqrt(S) is shared into both sides. also_trained: of
    ALSO_TRAINED, or beginnings of parameter names of MONAI's UNETR. factor_rate: the rate of lora-pt's factors, in the
    method's, which is that of all else that trains; s_rate: the rate of S, in the factors'. attention: one stack of 48
    slices, or four of 12 (query, key, value, output), each at the rank of `attention`.
    """

    rank: int | dict[str, int]
    stacks: tuple[StackName, ...]
    core: Literal["diagonal", "dense"]
    balance: bool
    also_trained: tuple[str, ...]
    factor_rate: float = 1.0
    s_rate: float = 1.0
    attention: Literal["one", "four"] = "one"


# of new plans (planning/decisions.py says why), and what `hippopt_train --help` speaks of
PLANNED_ADAPTER = AdapterSettings(
    rank=4,
    stacks=TRANSFORMER_STACKS,
    core="diagonal",
    balance=True,
    also_trained=("decoder", "head", "norms", "encoders"),
    factor_rate=0.1,
    s_rate=1.0,
    attention="one",
)

KERNEL_RANK = 8
# what `hippopt_train --kernels` sets in place of the plan's own (docs/experiments.md says why)
KERNEL_ADAPTER: dict[str, object] = {
    "rank": KERNEL_RANK,
    "stacks": ("convolutions",),
    "also_trained": ("head", "norms"),
    "factor_rate": 0.3,
}


class ScheduleSettings(Record, frozen=True, kw_only=True):
    """AdamW; the learning rate rises for `warmup_steps`, then falls as (1 - progress) ** poly_exponent.

    steps: from random weights; steps_on_base: from a base, None for as many. full_rate_on_base: of `full` from a base,
    None for the same. base_share_of_one_scan: divided by the number of scans that a fold trains on, the share of the
    values that training from a base began with in those that a finished fold stores, the head apart: (1 - share)
    trained + share begun (weight-space ensembling, WiSE-FT, arXiv 2109.01903).
    """

    steps: int
    steps_per_epoch: int
    learning_rate: dict[str, float]
    warmup_steps: int
    weight_decay: float
    poly_exponent: float
    gradient_clip: float
    steps_on_base: int | None = None
    full_rate_on_base: float | None = None
    base_share_of_one_scan: float = 0.0

    def steps_from(self, base: bool) -> int:
        """Steps of a fold, from a base or from random weights."""
        return self.steps_on_base if base and self.steps_on_base is not None else self.steps

    def rate(self, method: Method, base: bool) -> float:
        """The learning rate of a method; its default where the plan, perhaps of an earlier hippopt, names none."""
        if base and method == "full" and self.full_rate_on_base is not None:
            return self.full_rate_on_base
        return self.learning_rate.get(method, METHODS[method].rate)


class LocatorSettings(Record, frozen=True, kw_only=True):
    """A coarse look at the whole image, by which the regions are found that the network then sees at full resolution.

    A region holds the labels of one side, or all labels where they have none. spacing_mm: of the coarse image,
    isotropic. channels: of the levels of a U-Net. regions: how many a scan has at most. margin_mm: around a located
    region. volume_mm3, apart_mm: what is plausible for a region and for the distance between the centres of two;
    apart_mm is None for one region. offset_mm: from the centre of the left region to that of the right (Z, Y, X), None
    where labels have no sides. jitter_mm, patches_elsewhere: how far from a region's centre training patches lie, and
    the share that lies anywhere. everywhere_patches: the largest scan, in patches, that the network looks at everywhere
    where the locator is unsure; in a larger one it sees the likeliest places alone. None: any.
    """

    spacing_mm: float
    channels: tuple[int, ...]
    steps: int
    batch_size: int
    learning_rate: float
    regions: int
    margin_mm: float
    volume_mm3: tuple[float, float]
    apart_mm: tuple[float, float] | None
    offset_mm: tuple[float, float, float] | None
    jitter_mm: float
    patches_elsewhere: float
    everywhere_patches: float | None = None


class Fold(Record, frozen=True, kw_only=True):
    """Case ids to train on and to validate on."""

    train: tuple[str, ...]
    val: tuple[str, ...]


class Plan(Record, frozen=True, kw_only=True):
    """All decisions. `labels` maps names to values in the files; classes of the network follow rising values.

    largest_scan_mm: the largest field of view of the training scans after the crop; a much larger scan is warned of.
    locator: None where the scans are crops around the structure, which are segmented as a whole. mirror_sides: the
    network knows one side only, and sees the right one mirrored; each pair of twins is one class. centre_window: the
    scans are crops somewhat larger than the patch, with the structure in the middle, where one window of several
    networks sees it as well as overlapping ones. side_classes: left and right by class; None where no label has a side,
    and in older plans. Read `class_sides`, which knows both. part_borders: all labels are parts of one structure, one
    after the other along an axis; where they meet is learned from its cross-sections. straighten_degrees: scans tilted
    further against RAS axes are resampled through their true axes; None, as in plans of earlier versions: never.
    one_part: each label is one piece, so of what is found the largest connected part is kept.
    """

    schema: int = SCHEMA
    dataset: str
    fingerprint_hash: str
    channel_names: tuple[str, ...]
    labels: dict[str, int]
    sides: dict[str, Side]
    target_spacing_mm: tuple[float, float, float]
    crop: Literal["none", "nonzero"]
    normalisation: NormalisationSettings
    largest_scan_mm: tuple[float, float, float]
    patch_size: Voxels
    batch_size: int
    foreground_oversampling: float
    network: NetworkSettings
    adapter: AdapterSettings
    augmentation: AugmentationSettings
    schedule: ScheduleSettings
    seed: int
    folds: tuple[Fold, ...]
    reasons: dict[str, str]
    locator: LocatorSettings | None = None
    mirror_sides: bool = False
    part_borders: bool = False
    centre_window: bool = False
    side_classes: SideClasses | None = None
    straighten_degrees: float | None = None
    one_part: bool = False

    @property
    def label_values(self) -> tuple[int, ...]:
        """Value in the files of each class of the network, class 0 being the background."""
        return tuple(sorted(self.labels.values()))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class of the network."""
        return tuple(name for name, _ in sorted(self.labels.items(), key=lambda item: item[1]))

    @property
    def class_sides(self) -> SideClasses:
        """Left and right by class, whichever hippopt made the plan."""
        if self.side_classes is not None:
            return self.side_classes
        return side_classes_of_old_plan(self.labels, self.sides, self.augmentation.swap_labels or ())

    @property
    def network_classes(self) -> tuple[str, ...]:
        """Name of each class that the network tells apart:
        `class_names`, or one for each pair where sides are mirrored.
        """
        if not self.mirror_sides:
            return self.class_names
        return (self.class_names[0], *(twin.name for twin in self.class_sides.twins))

    @property
    def swapped_classes(self) -> tuple[tuple[int, int], ...]:
        """Classes of the network that change places in a mirror image: none where it knows one side only."""
        return () if self.mirror_sides else self.class_sides.pairs

    @property
    def flip_axes(self) -> tuple[str, ...]:
        """Axes to flip windows along: none along x where the network knows one side only."""
        return tuple(axis for axis in self.augmentation.flip_axes if axis != "x" or not self.mirror_sides)

    @property
    def preparation_hash(self) -> str:
        """Hash of the decisions that shape the preprocessed arrays; other edits leave the cache valid."""
        return content_hash(
            [
                self.target_spacing_mm,
                self.crop,
                msgspec.to_builtins(self.normalisation),
                self.label_values,
                len(self.channel_names),
            ]
        )
