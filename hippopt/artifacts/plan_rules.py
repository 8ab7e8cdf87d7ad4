"""Rules of a plan: what a person may not write into it, each told
as `key: value; the rule`; and reading one that is checked.
"""

import math
from pathlib import Path

from hippopt.artifacts.broken_parts import broken_flips, broken_folds, broken_locator, broken_ranks, broken_sides
from hippopt.artifacts.codec import load_record
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.methods import METHODS, PLANNED, Method
from hippopt.artifacts.plan import (
    ALSO_TRAINED,
    AUGMENTATION_RANGES,
    NAME_STARTS,
    STACKS,
    TOKEN_SIZES,
    TRANSFORMER_STACKS,
    AugmentationSettings,
    Plan,
)
from hippopt.errors import PlanError, StaleArtifactError


def broken_rules(plan: Plan, fingerprint: Fingerprint | None = None) -> list[str]:
    """The rules that a plan breaks, each as `key: value; rule`. Empty when it is sound."""
    network, adapter, schedule = plan.network, plan.adapter, plan.schedule
    rates = schedule.learning_rate
    low, high = plan.normalisation.clip_percentiles
    probabilities = [name for name in AugmentationSettings.__struct_fields__ if name.startswith("p_")]
    rules = [
        (
            network.token_size in TOKEN_SIZES,
            "network.token_size",
            network.token_size,
            " or ".join(map(str, TOKEN_SIZES)),
        ),
        (
            all(size > 0 and size % max(1, network.token_size) == 0 for size in plan.patch_size),
            "patch_size",
            plan.patch_size,
            f"three multiples of {network.token_size} (network.token_size), above 0",
        ),
        (plan.batch_size >= 1, "batch_size", plan.batch_size, "at least 1"),
        (
            all(0 < mm < 100 for mm in plan.target_spacing_mm),
            "target_spacing_mm",
            plan.target_spacing_mm,
            "above 0 and below 100 mm",
        ),
        (
            0 <= plan.foreground_oversampling <= 1,
            "foreground_oversampling",
            plan.foreground_oversampling,
            "from 0 to 1",
        ),
        (0 <= low < high <= 100, "normalisation.clip_percentiles", (low, high), "0 <= low < high <= 100"),
        (
            min(network.hidden_size, network.mlp_dim, network.num_heads, network.feature_size) > 0,
            "network",
            "",
            "sizes above 0",
        ),
        (
            network.num_heads > 0 and network.hidden_size % network.num_heads == 0,
            "network.hidden_size",
            network.hidden_size,
            f"a multiple of num_heads = {network.num_heads}",
        ),
        (
            len(adapter.stacks) > 0 and len(set(adapter.stacks)) == len(adapter.stacks),
            "adapter.stacks",
            adapter.stacks,
            f"some of {', '.join(STACKS)}, each once",
        ),
        (
            0 < adapter.factor_rate < math.inf,
            "adapter.factor_rate",
            adapter.factor_rate,
            "above 0, in the method's learning rate",
        ),
        (0 < adapter.s_rate < math.inf, "adapter.s_rate", adapter.s_rate, "above 0, in the factors' learning rate"),
        (
            all(name in ALSO_TRAINED or name.startswith(NAME_STARTS) for name in adapter.also_trained),
            "adapter.also_trained",
            adapter.also_trained,
            f"each {', '.join(ALSO_TRAINED)} or a beginning of a parameter's name ({', '.join(NAME_STARTS)})",
        ),
        (
            schedule.steps >= 1
            and schedule.steps_from(True) >= 1
            and schedule.steps_per_epoch >= 1
            and schedule.warmup_steps >= 0,
            "schedule",
            "",
            "steps, steps_on_base and steps_per_epoch at least 1",
        ),
        (
            all(0 < rate < math.inf for rate in rates.values()) and set(PLANNED) <= set(rates) <= set(METHODS),
            "schedule.learning_rate",
            rates,
            (
                f"a rate above 0 for each of {', '.join(PLANNED)}, and for other methods that are named"
                f" ({', '.join(m for m in METHODS if m not in PLANNED)})"
            ),
        ),
        (
            schedule.full_rate_on_base is None or 0 < schedule.full_rate_on_base < math.inf,
            "schedule.full_rate_on_base",
            schedule.full_rate_on_base,
            "a rate above 0, or none for that of `full`",
        ),
        (schedule.gradient_clip > 0, "schedule.gradient_clip", schedule.gradient_clip, "above 0"),
        (
            0 <= schedule.base_share_of_one_scan < 1,
            "schedule.base_share_of_one_scan",
            schedule.base_share_of_one_scan,
            "from 0 to below 1",
        ),
        (
            schedule.weight_decay >= 0 and schedule.poly_exponent >= 0,
            "schedule",
            "",
            "weight_decay and poly_exponent not below 0",
        ),
        (plan.seed >= 0, "seed", plan.seed, "not below 0"),
        (
            all(0 <= getattr(plan.augmentation, name) <= 1 for name in probabilities),
            "augmentation",
            "",
            "probabilities from 0 to 1",
        ),
        (plan.labels.get("background") == 0, "labels", plan.labels, '"background" must be 0'),
        (len(set(plan.labels.values())) == len(plan.labels), "labels", plan.labels, "one value a label"),
        (
            all(value in plan.labels.values() for pair in plan.augmentation.swap_labels or () for value in pair),
            "augmentation.swap_labels",
            plan.augmentation.swap_labels,
            "pairs of label values",
        ),
    ]
    for name in AUGMENTATION_RANGES:
        first, last = getattr(plan.augmentation, name)
        rules.append((0 <= first <= last < math.inf, f"augmentation.{name}", (first, last), "0 <= low <= high"))
    if fingerprint is not None:
        same = plan.labels == fingerprint.labels and plan.channel_names == fingerprint.channel_names
        rules.append((same, "labels, channel_names", "", "as in the data set's dataset.json"))
    broken = [f"{key}: {value}; the rule: {rule}" for sound, key, value, rule in rules if not sound]
    broken += (
        broken_ranks(adapter, network) + broken_folds(plan, fingerprint) + broken_sides(plan) + broken_locator(plan)
    )
    if plan.part_borders and (plan.locator is not None or plan.sides or len(plan.labels) < 3):
        broken.append("part_borders: true; the rule: two labels or more without a side, in scans that are not located")
    if fingerprint is not None:
        broken += broken_flips(plan, fingerprint)
    return broken


def _transformer_stacks(plan: Plan) -> list[str]:
    """Those of the plan's `adapter.stacks` that are weights of the transformer."""
    return [name for name in plan.adapter.stacks if name in TRANSFORMER_STACKS]


def default_method(plan: Plan, base: bool, no_transformer: bool = False) -> Method:
    """lora-pt from a base, where the network has the weights that it adapts;
    else full. no_transformer: it is left out though the plan has it.
    """
    without = no_transformer or not plan.network.transformer
    return "lora-pt" if base and not (without and _transformer_stacks(plan)) else "full"


def check_adaptable(plan: Plan, method: Method) -> None:
    """Raises PlanError where a method would adapt weights that the plan's network does not have."""
    missing = _transformer_stacks(plan) if METHODS[method].adapter is not None and not plan.network.transformer else []
    if missing:
        raise PlanError(
            f"adapter.stacks: {', '.join(missing)} are weights of the transformer, which is left out here"
            f" (network.transformer: false, or --no-transformer), so {method} has nothing to adapt there; use --method"
            " full or decoder, or `hippopt_plan --set adapter.stacks=convolutions`"
        )


def check_plan(plan: Plan, source: Path | str, fingerprint: Fingerprint | None = None) -> Plan:
    """Return the plan if it is sound.

    Raises PlanError with every broken rule, StaleArtifactError for another fingerprint.
    """
    if fingerprint is not None and plan.fingerprint_hash != fingerprint.dataset_hash:
        sided = (
            sorted(set(plan.sides.items()) ^ set(fingerprint.sides.items()))
            if plan.labels == fingerprint.labels
            else []
        )
        why = f" (sides of {', '.join(dict.fromkeys(label for label, _ in sided))})" if sided else ""
        raise StaleArtifactError(
            f"{source}: made for data with hash {plan.fingerprint_hash[:12]}, but the data set now has"
            f" {fingerprint.dataset_hash[:12]}{why}; plan anew with `hippopt_plan {plan.dataset} --overwrite`, or"
            " restore the data"
        )
    broken = broken_rules(plan, fingerprint)
    if broken:
        raise PlanError("\n".join(f"{source}: {rule}" for rule in broken))
    return plan


def load_plan(path: Path, fingerprint: Fingerprint | None = None) -> Plan:
    """Read and check a plan. Raises PlanError or StaleArtifactError."""
    return check_plan(load_record(path, Plan, "hippopt_plan"), path, fingerprint)
