"""The adapter file of a fold, and its card."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch

from hippopt import __version__
from hippopt.artifacts.codec import content_hash, write_json
from hippopt.artifacts.methods import METHODS, Method
from hippopt.artifacts.weights import AdapterCard, ContinuedFrom, Dtype
from hippopt.networks.heads import HEAD_BIAS, HEAD_WEIGHT
from hippopt.networks.tensor_files import save_tensors, tensors_sha256
from hippopt.networks.tuning import REST, Tuned
from hippopt.training.checkpoint import LoopState
from hippopt.training.fold import FoldInputs, FoldRequest, settings_of
from hippopt.training.peak_memory import peak_memory_mb

HEAD = (REST + HEAD_WEIGHT, REST + HEAD_BIAS)


def write_adapter(
    path: Path,
    card_path: Path,
    request: FoldRequest,
    inputs: FoldInputs,
    tuned: Tuned,
    state: LoopState,
    which: Literal["last", "best"],
) -> None:
    """Write the tensors, then the card: a fold counts as finished once its card is there.

    The last tensors are averaged with those that training began with, where the plan keeps a share of these.
    """
    plan, tensors, share = inputs.plan, tuned.adapter_tensors(), 0.0
    if which == "last" and tuned.begun_with is not None:
        share = plan.schedule.base_share_of_one_scan / len(inputs.train)
        tensors = _averaged(tensors, tuned.begun_with, share)
    tensors, dtype = _rounded(tuned.method, tensors)
    by_id = {case.id: case for case in inputs.fingerprint.cases}
    own = [by_id[case.id].image_hash for case in inputs.train]
    traits = METHODS[request.method]
    libraries = ("torch", "monai", *([traits.package] if traits.package else []))
    card = AdapterCard(
        method=request.method,
        run=request.run,
        fold=request.fold,
        plan_hash=content_hash(plan),
        base_sha256=inputs.base[1].sha256 if inputs.base else None,
        base_name=inputs.base[1].name if inputs.base else None,
        network=plan.network,
        in_channels=len(plan.channel_names),
        out_channels=len(plan.network_classes),
        patch_size=plan.patch_size,
        rank=plan.adapter.rank if traits.ranked else None,
        core=plan.adapter.core if traits.tensor else None,
        balance=plan.adapter.balance if traits.tensor else None,
        stacks=tuned.stacks,
        remade=tuned.remade,
        trained_parameters=tuned.counts(),
        seen_images=tuple(sorted({*own, *inputs.seen_before, *(inputs.unlabelled.seen if inputs.unlabelled else ())})),
        checkpoint=which,
        step=state.step,
        sha256=tensors_sha256(tensors),
        initial_sha256=inputs.initial.sha256 if traits.decomposes and inputs.initial else None,
        dtype=dtype,
        versions={
            "hippopt": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in libraries},
        },
        settings={
            **settings_of(request, inputs),
            "also_trained": list(plan.adapter.also_trained),
            "label_values": list(plan.label_values),
            **({"base_share": share} if share else {}),
            "seconds": round(state.elapsed_s, 1),
            "peak_memory_mb": round(peak_memory_mb(), 1),
            "best_step": state.best_step,
            "skipped_steps": state.skipped,
        },
        part_borders=inputs.borders,
        continued_from=_continued_from(inputs),
    )
    save_tensors(path, tensors)
    write_json(card_path, card)


def _continued_from(inputs: FoldInputs) -> ContinuedFrom | None:
    if inputs.earlier is None:
        return None
    card = inputs.earlier.card
    return ContinuedFrom(run=card.run, fold=card.fold, step=card.step, sha256=card.sha256, seen_images=card.seen_images)


def _averaged(
    trained: dict[str, torch.Tensor], begun_with: Mapping[str, torch.Tensor], share: float
) -> dict[str, torch.Tensor]:
    """Average trained values with those that training began with, `share` of them: (1 - share) trained + share begun.

    So a network of few scans keeps what its base knew of all that they do not show (WiSE-FT, arXiv 2109.01903). Factors
    are averaged as factors, so that the file stays an adapter file of its method. The head stays as trained: it began
    as a mean of the base's rows, which is no head that the base was trained with.
    """
    return {
        name: value if name in HEAD or not value.is_floating_point() else (1 - share) * value + share * begun_with[name]
        for name, value in trained.items()
    }


def _rounded(method: Method, tensors: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], Dtype]:
    """What an adapter file holds, and its precision: half where the method has low-rank factors, of which small files
    are expected.

    A fold is validated from its file, so its figures are those of what is stored. Other methods keep float32: a file of
    method full may become a base.
    """
    largest = max(float(value.abs().max()) for value in tensors.values() if value.numel())
    if not METHODS[method].ranked or not largest <= torch.finfo(torch.float16).max:
        return tensors, "float32"
    return {name: value.half() for name, value in tensors.items()}, "float16"
