"""Plan: every decision for a data set, each with its reason. A person may edit it; the rules are checked when it is read.

All triples are (Z, Y, X) on RAS axes, except where a name says otherwise.
"""

import math
from pathlib import Path
from typing import Literal

import msgspec

from hippopt.artifacts.codec import SCHEMA, Record, content_hash, load_record
from hippopt.artifacts.dataset import Side
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.methods import METHODS, PLANNED, Method
from hippopt.errors import PlanError, StaleArtifactError

Triple = tuple[int, int, int]
StackName = Literal["attention", "mlp_up", "mlp_down"]
STACKS: tuple[StackName, ...] = ("attention", "mlp_up", "mlp_down")
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
TOKEN_VOXELS = 16  # a UNETR's patch embedding: one token covers 16 x 16 x 16 voxels


class NetworkSettings(Record, frozen=True, kw_only=True):
    """A UNETR of 12 layers. `size` names the row of hippopt.networks.unetr.SIZES that it came from, or "custom"."""

    size: str
    hidden_size: int
    mlp_dim: int
    num_heads: int
    feature_size: int


class NormalisationSettings(Record, frozen=True, kw_only=True):
    """Clip to `clip_percentiles`, then z-score, both over the voxels of `region`: the whole image or its non-zero part."""

    scheme: Literal["zscore"]
    region: Literal["image", "nonzero"]
    clip_percentiles: tuple[float, float]


class AugmentationSettings(Record, frozen=True, kw_only=True):
    """Probabilities and ranges. Flips are drawn with probability 1/2 an axis; `swap_labels` go with a flip along x.

    elastic_scale: smoothness (sigma) of a deformation as a share of the patch; elastic_voxels: its largest displacement an axis.
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
    swap_labels: tuple[tuple[int, int], ...]
    p_elastic: float = 0.0
    elastic_scale: tuple[float, float] = (0.08, 0.25)
    elastic_voxels: tuple[float, float] = (1.0, 4.0)


class AdapterSettings(Record, frozen=True, kw_only=True):
    """LoRA-PT (lora_pt.md); `rank`, `stacks` and `also_trained` hold for lora, dora, pissa and adalora too.

    rank: one tubal rank, or one for each of `stacks`. core: form of S. balance: whether sqrt(S) is shared into both sides.
    also_trained: of ALSO_TRAINED, or beginnings of parameter names of MONAI's UNETR. s_rate: the rate of S, in the method's.
    attention: one stack of 48 slices, or four of 12 (query, key, value, output), each at the rank of `attention`.
    """

    rank: int | dict[str, int]
    stacks: tuple[StackName, ...]
    core: Literal["diagonal", "dense"]
    balance: bool
    also_trained: tuple[str, ...]
    s_rate: float = 1.0
    attention: Literal["one", "four"] = "one"


class ScheduleSettings(Record, frozen=True, kw_only=True):
    """AdamW; the learning rate rises for `warmup_steps`, then falls as (1 - progress) ** poly_exponent.

    steps: from random weights; steps_on_base: from a base, None for as many. full_rate_on_base: of `full` from a base, None for the same.
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

    A region holds the labels of one side, or all labels where they have none. spacing_mm: of the coarse image, isotropic.
    channels: of the levels of a U-Net. regions: how many a scan has at most. margin_mm: around a located region.
    volume_mm3, apart_mm: what is plausible for a region and for the distance between the centres of two; apart_mm is None for
    one region. offset_mm: from the centre of the left region to that of the right (Z, Y, X), None where labels have no sides.
    jitter_mm, patches_elsewhere: how far from a region's centre training patches lie, and the share that lies anywhere.
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


class Fold(Record, frozen=True, kw_only=True):
    """Case ids to train on and to validate on."""

    train: tuple[str, ...]
    val: tuple[str, ...]


class Plan(Record, frozen=True, kw_only=True):
    """All decisions. `labels` maps names to values in the files; classes of the network follow rising values.

    largest_scan_mm: the largest field of view of the training scans after the crop; a much larger scan is warned of.
    locator: None where the scans are crops around the structure, which are segmented as a whole.
    mirror_sides: the network knows one side only, and sees the right one mirrored; pairs of labels are `swap_labels`.
    part_borders: all labels are parts of one structure, one after the other along an axis; where they meet is learned from its cross-sections.
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
    patch_size: Triple
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

    @property
    def label_values(self) -> tuple[int, ...]:
        """Value in the files of each class of the network, class 0 being the background."""
        return tuple(sorted(self.labels.values()))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class of the network."""
        return tuple(name for name, _ in sorted(self.labels.items(), key=lambda item: item[1]))

    @property
    def network_classes(self) -> tuple[str, ...]:
        """Name of each class that the network tells apart: `class_names`, or one for each pair where sides are mirrored."""
        if not self.mirror_sides:
            return self.class_names
        names = {value: name for name, value in self.labels.items()}
        return (names[0], *(names[left].replace("left", "").strip("_- ") or names[left] for left, _ in self.augmentation.swap_labels))

    @property
    def flip_axes(self) -> tuple[str, ...]:
        """Axes to flip windows along: none along x where the network knows one side only."""
        return tuple(axis for axis in self.augmentation.flip_axes if axis != "x" or not self.mirror_sides)

    @property
    def preparation_hash(self) -> str:
        """Hash of the decisions that shape the preprocessed arrays; other edits leave the cache valid."""
        return content_hash(
            [self.target_spacing_mm, self.crop, msgspec.to_builtins(self.normalisation), self.label_values, len(self.channel_names)]
        )


def broken_rules(plan: Plan, fingerprint: Fingerprint | None = None) -> list[str]:
    """The rules that a plan breaks, each as `key: value; rule`. Empty when it is sound."""
    network, adapter, schedule = plan.network, plan.adapter, plan.schedule
    rates = schedule.learning_rate
    low, high = plan.normalisation.clip_percentiles
    probabilities = [name for name in AugmentationSettings.__struct_fields__ if name.startswith("p_")]
    rules = [
        (all(size > 0 and size % TOKEN_VOXELS == 0 for size in plan.patch_size), "patch_size", plan.patch_size, "three multiples of 16, above 0"),
        (plan.batch_size >= 1, "batch_size", plan.batch_size, "at least 1"),
        (all(0 < mm < 100 for mm in plan.target_spacing_mm), "target_spacing_mm", plan.target_spacing_mm, "above 0 and below 100 mm"),
        (0 <= plan.foreground_oversampling <= 1, "foreground_oversampling", plan.foreground_oversampling, "from 0 to 1"),
        (0 <= low < high <= 100, "normalisation.clip_percentiles", (low, high), "0 <= low < high <= 100"),
        (min(network.hidden_size, network.mlp_dim, network.num_heads, network.feature_size) > 0, "network", "", "sizes above 0"),
        (network.num_heads > 0 and network.hidden_size % network.num_heads == 0, "network.hidden_size", network.hidden_size,
         f"a multiple of num_heads = {network.num_heads}"),
        (len(adapter.stacks) > 0 and len(set(adapter.stacks)) == len(adapter.stacks), "adapter.stacks", adapter.stacks,
         f"some of {', '.join(STACKS)}, each once"),
        (0 < adapter.s_rate < math.inf, "adapter.s_rate", adapter.s_rate, "above 0, in the method's learning rate"),
        (all(name in ALSO_TRAINED or name.startswith(NAME_STARTS) for name in adapter.also_trained), "adapter.also_trained", adapter.also_trained,
         f"each {', '.join(ALSO_TRAINED)} or a beginning of a parameter's name ({', '.join(NAME_STARTS)})"),
        (schedule.steps >= 1 and schedule.steps_from(True) >= 1 and schedule.steps_per_epoch >= 1 and schedule.warmup_steps >= 0, "schedule", "",
         "steps, steps_on_base and steps_per_epoch at least 1"),
        (all(0 < rate < math.inf for rate in rates.values()) and set(PLANNED) <= set(rates) <= set(METHODS), "schedule.learning_rate", rates,
         f"a rate above 0 for each of {', '.join(PLANNED)}, and for other methods that are named ({', '.join(m for m in METHODS if m not in PLANNED)})"),
        (schedule.full_rate_on_base is None or 0 < schedule.full_rate_on_base < math.inf, "schedule.full_rate_on_base", schedule.full_rate_on_base,
         "a rate above 0, or none for that of `full`"),
        (schedule.gradient_clip > 0, "schedule.gradient_clip", schedule.gradient_clip, "above 0"),
        (schedule.weight_decay >= 0 and schedule.poly_exponent >= 0, "schedule", "", "weight_decay and poly_exponent not below 0"),
        (plan.seed >= 0, "seed", plan.seed, "not below 0"),
        (all(0 <= getattr(plan.augmentation, name) <= 1 for name in probabilities), "augmentation", "", "probabilities from 0 to 1"),
        (plan.labels.get("background") == 0, "labels", plan.labels, '"background" must be 0'),
        (len(set(plan.labels.values())) == len(plan.labels), "labels", plan.labels, "one value a label"),
        (all(value in plan.labels.values() for pair in plan.augmentation.swap_labels for value in pair), "augmentation.swap_labels",
         plan.augmentation.swap_labels, "pairs of label values"),
    ]  # fmt: skip
    for name in AUGMENTATION_RANGES:
        first, last = getattr(plan.augmentation, name)
        rules.append((0 <= first <= last < math.inf, f"augmentation.{name}", (first, last), "0 <= low <= high"))
    if fingerprint is not None:
        same = plan.labels == fingerprint.labels and plan.channel_names == fingerprint.channel_names
        rules.append((same, "labels, channel_names", "", "as in the data set's dataset.json"))
    broken = [f"{key}: {value}; the rule: {rule}" for sound, key, value, rule in rules if not sound]
    broken += _broken_ranks(adapter, network) + _broken_folds(plan, fingerprint) + _broken_locator(plan)
    if plan.part_borders and (plan.locator is not None or plan.sides or len(plan.labels) < 3):
        broken.append("part_borders: true; the rule: two labels or more without a side, in scans that are not located")
    if fingerprint is not None:
        broken += _broken_flips(plan, fingerprint)
    return broken


def _broken_ranks(adapter: AdapterSettings, network: NetworkSettings) -> list[str]:
    bounds = {name: network.hidden_size if name == "attention" else min(network.hidden_size, network.mlp_dim) for name in adapter.stacks}
    if isinstance(adapter.rank, int):
        bound = min(bounds.values(), default=network.hidden_size)
        sound = 1 <= adapter.rank <= bound
        return [] if sound else [f"adapter.rank: {adapter.rank}; the rule: from 1 to {bound}, the smaller side of the stacked weights"]
    if set(adapter.rank) != set(adapter.stacks):
        return [f"adapter.rank: {adapter.rank}; the rule: one number, or one for each of adapter.stacks ({', '.join(adapter.stacks)})"]
    return [
        f"adapter.rank.{name}: {adapter.rank[name]}; the rule: from 1 to {bound}, the smaller side of this stack's weights"
        for name, bound in bounds.items()
        if not 1 <= adapter.rank[name] <= bound
    ]


def _broken_folds(plan: Plan, fingerprint: Fingerprint | None) -> list[str]:
    subjects = {case.id: case.subject for case in fingerprint.cases} if fingerprint else {}
    broken = []
    for number, fold in enumerate(plan.folds):
        both = sorted(set(fold.train) & set(fold.val))
        if both:
            broken.append(f"folds[{number}]: {', '.join(both[:3])} in train and val; the rule: no case on both sides")
        unknown = sorted(set(fold.train + fold.val) - set(subjects)) if fingerprint else []
        if unknown:
            broken.append(f"folds[{number}]: {', '.join(unknown[:3])} unknown; the rule: only cases of the data set")
        shared = {subjects.get(case, case) for case in fold.train} & {subjects.get(case, case) for case in fold.val}
        if not both and shared:
            broken.append(f"folds[{number}]: subject {sorted(shared)[0]} in train and val; the rule: a subject stands on one side")
        if not fold.train or not fold.val:
            broken.append(f"folds[{number}]: empty train or val; the rule: at least one case on each side")
    return broken


def _broken_locator(plan: Plan) -> list[str]:
    found: list[str] = []
    if plan.mirror_sides:
        paired = {value for pair in plan.augmentation.swap_labels for value in pair}
        if plan.locator is None:
            found.append("mirror_sides: true; the rule: only where scans are located, since crops do not tell their side")
        if (
            not paired
            or paired != {value for value in plan.labels.values() if value}
            or set(plan.sides) != set(plan.labels) - {"background"}
        ):
            found.append(
                "mirror_sides: true; the rule: every label has a side and a twin, as pairs (left, right) of augmentation.swap_labels"
            )
    locator = plan.locator
    if locator is None:
        return found
    low, high = locator.volume_mm3
    rules = [
        (0 < locator.spacing_mm < math.inf, "spacing_mm", locator.spacing_mm, "above 0 mm"),
        (len(locator.channels) >= 2 and min(locator.channels, default=0) >= 1, "channels", locator.channels, "two levels or more, each of at least 1"),
        (locator.steps >= 1 and locator.batch_size >= 1, "steps", locator.steps, "steps and batch_size at least 1"),
        (0 < locator.learning_rate < math.inf, "learning_rate", locator.learning_rate, "above 0"),
        (locator.regions in (1, 2), "regions", locator.regions, "1 or 2"),
        (locator.margin_mm >= 0 and locator.jitter_mm >= 0, "margin_mm", locator.margin_mm, "margin_mm and jitter_mm not below 0"),
        (0 <= low <= high, "volume_mm3", locator.volume_mm3, "0 <= low <= high"),
        (0 <= locator.patches_elsewhere <= 1, "patches_elsewhere", locator.patches_elsewhere, "from 0 to 1"),
    ]  # fmt: skip
    return found + [f"locator.{key}: {value}; the rule: {rule}" for sound, key, value, rule in rules if not sound]


def _broken_flips(plan: Plan, fingerprint: Fingerprint) -> list[str]:
    broken = []
    for axis in plan.augmentation.flip_axes:
        if axis == "x" and plan.sides and not plan.augmentation.swap_labels:
            broken.append(
                "augmentation.flip_axes: x; the rule: no flip across the midplane when labels have sides, unless swap_labels is given"
            )
        elif axis in fingerprint.ordered_axes and axis != "x":
            broken.append(f"augmentation.flip_axes: {axis}; the rule: no flip along an axis along which the labels are ordered")
    return broken


def check_plan(plan: Plan, source: Path | str, fingerprint: Fingerprint | None = None) -> Plan:
    """Return the plan if it is sound. Raises PlanError with every broken rule, StaleArtifactError for another fingerprint."""
    if fingerprint is not None and plan.fingerprint_hash != fingerprint.dataset_hash:
        raise StaleArtifactError(
            f"{source}: made for data with hash {plan.fingerprint_hash[:12]}, but the data set now has {fingerprint.dataset_hash[:12]}; "
            f"plan anew with `hippopt_plan {plan.dataset} --overwrite`, or restore the data"
        )
    broken = broken_rules(plan, fingerprint)
    if broken:
        raise PlanError("\n".join(f"{source}: {rule}" for rule in broken))
    return plan


def load_plan(path: Path, fingerprint: Fingerprint | None = None) -> Plan:
    """Read and check a plan. Raises PlanError or StaleArtifactError."""
    return check_plan(load_record(path, Plan, "hippopt_plan"), path, fingerprint)
