"""Rebuild a trained network from its base and its adapter file."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from hippopt.artifacts.codec import content_hash, decode, parse_json
from hippopt.artifacts.plan import STACKS, AdapterSettings, Plan
from hippopt.artifacts.weights import AdapterCard, BaseCard
from hippopt.errors import PlanError, StaleArtifactError, WeightsError
from hippopt.networks.base_weights import KeyReport, load_base, remade_keys
from hippopt.networks.heads import HEAD_BIAS, HEAD_WEIGHT, begin_head, head_fits, similar_classes
from hippopt.networks.initial_factors import InitialFactors, factors_of
from hippopt.networks.stacks import ATTENTION, planned_name
from hippopt.networks.tensor_files import read_state, tensors_sha256
from hippopt.networks.tuning import Tuned, tune
from hippopt.networks.unetr import build_unetr


def build_with_base(
    plan: Plan, base: tuple[Mapping[str, torch.Tensor], BaseCard] | None, seed: int, source: str
) -> tuple[nn.Module, list[KeyReport], tuple[str, ...]]:
    """(model, key report, re-made parameters): the plan's network with random weights from `seed`, then the base's."""
    torch.manual_seed(seed)
    classes = plan.network_classes
    model = build_unetr(len(plan.channel_names), len(classes), plan.patch_size, plan.network)
    if base is None:
        return model, [], ()
    state, card = base
    reports = load_base(model, state, card.patch_size, plan.patch_size, source)
    remade = set(remade_keys(reports))
    other_values = card.label_values is not None and card.label_values != plan.label_values
    other_names = card.class_names is not None and card.class_names != classes
    if card.out_channels != len(classes) or other_values or other_names or plan.mirror_sides:
        remade |= {HEAD_WEIGHT, HEAD_BIAS}  # the head means other labels
        if card.class_names and head_fits(model, state, len(card.class_names)):
            rows = similar_classes(card.class_names, classes)
            begin_head(model, state, rows)
            reports = [_head_report(report, card.class_names, classes, rows) for report in reports]
    return model, reports, tuple(sorted(remade))


def _head_report(report: KeyReport, base: tuple[str, ...], wanted: tuple[str, ...], rows: list[list[int]]) -> KeyReport:
    if report.key not in (HEAD_WEIGHT, HEAD_BIAS):
        return report
    begun = "; ".join(
        f"{name} from {', '.join(base[i] for i in sources) or 'random values'}"
        for name, sources in zip(wanted, rows, strict=True)
    )
    return KeyReport(report.key, "re-made", begun)


def read_card(path: Path) -> AdapterCard:
    """Read an adapter card. Raises WeightsError."""
    if path.name.startswith("adapter_best") and not path.exists():
        raise WeightsError(
            f"{path}: no best checkpoint here; a model is exported without it unless --with-best is given"
        )
    try:
        return decode(parse_json(path.read_bytes(), path), AdapterCard, path)
    except (OSError, PlanError) as error:
        raise WeightsError(f"{path}: adapter card cannot be read ({error}); train the fold anew") from None


def restore(
    card: AdapterCard,
    adapter: Path,
    initial: Path,
    base: tuple[Mapping[str, torch.Tensor], BaseCard] | None,
    plan: Plan,
) -> Tuned:
    """The tuned model of an adapter file on its base. lora-pt and pissa need `initial`, the run's initial factors:
    never a second SVD.

    Raises StaleArtifactError for another plan than the one it was trained with, WeightsError when a file was changed or
    is missing, the base is another one, or shapes do not fit.
    """
    return rebuild(card, read_state(adapter), factors_of(card, initial, adapter), base, plan, adapter)


def rebuild(
    card: AdapterCard,
    tensors: Mapping[str, torch.Tensor],
    initial: InitialFactors | None,
    base: tuple[Mapping[str, torch.Tensor], BaseCard] | None,
    plan: Plan,
    adapter: Path,
) -> Tuned:
    """`restore` on what was read already. `adapter`: named in errors. Raises StaleArtifactError, WeightsError."""
    check_adapter(card, tensors, plan, adapter)
    if card.base_sha256 is not None and (base is None or base[1].sha256 != card.base_sha256):
        raise WeightsError(f"{adapter}: made on the base {card.base_sha256[:12]}; put that file under results/bases")
    model = (
        build_with_base(plan, base, 0, str(adapter))[0] if card.as_base is None else _own_classes(base, plan, adapter)
    )
    four = ATTENTION[0] in card.stacks
    settings = AdapterSettings(
        rank=card.rank or 1,
        stacks=tuple(n for n in STACKS if n in {planned_name(stack) for stack in card.stacks}) or plan.adapter.stacks,
        core=card.core or "diagonal",  # type: ignore[arg-type]
        balance=bool(card.balance),
        attention="four" if four else "one",  # type: ignore[arg-type]
        also_trained=tuple(card.settings.get("also_trained", plan.adapter.also_trained)),
    )
    tuned = tune(model, card.method, card.network, settings, card.remade, initial.tensors if initial else None, tensors)
    if tuned.stacks != card.stacks:  # a t-SVD depends on the order
        raise WeightsError(
            f"{adapter}: its card lists other slices, or another order, than this hippopt stacks; use the version it"
            " was made with"
        )
    return tuned


def _own_classes(base: tuple[Mapping[str, torch.Tensor], BaseCard] | None, plan: Plan, adapter: Path) -> nn.Module:
    """The base's network with the base's own head."""
    if base is None:
        raise WeightsError(f"{adapter}: predicts with a base as it is, but names none; copy the file anew")
    state, card = base
    model = build_unetr(card.in_channels, card.out_channels, plan.patch_size, card.network)
    load_base(model, state, card.patch_size, plan.patch_size, str(adapter))
    return model


def check_adapter(card: AdapterCard, tensors: Mapping[str, torch.Tensor], plan: Plan, adapter: Path) -> None:
    """Raises StaleArtifactError for another plan than the card's,
    WeightsError where the tensors are not those of the card.
    """
    if card.plan_hash != content_hash(plan):
        raise StaleArtifactError(
            f"{adapter}: trained with plan {card.plan_hash[:12]}, but the plan beside it has {content_hash(plan)[:12]};"
            " restore that plan.json, or train the fold anew"
        )
    if tensors_sha256(tensors) != card.sha256 or any(
        str(value.dtype) != f"torch.{card.dtype}" for value in tensors.values()
    ):
        raise WeightsError(f"{adapter}: its content does not match its card; copy it anew or train the fold again")
