"""The adapter file of a fold, and its card."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch

from hippopt import __version__
from hippopt.artifacts.codec import content_hash, write_json
from hippopt.artifacts.methods import METHODS
from hippopt.artifacts.weights import AdapterCard, ContinuedFrom, Dtype
from hippopt.networks.tensor_files import save_tensors, tensors_sha256
from hippopt.networks.tuning import Tuned
from hippopt.training.checkpoint import LoopState
from hippopt.training.fold import FoldInputs, FoldRequest, settings_of
from hippopt.training.peak_memory import peak_memory_mb


def write_adapter(
    path: Path,
    card_path: Path,
    request: FoldRequest,
    inputs: FoldInputs,
    tuned: Tuned,
    state: LoopState,
    which: Literal["last", "best"],
) -> None:
    """Write the tensors, then the card: a fold counts as finished once its card is there."""
    plan, (tensors, dtype) = inputs.plan, _rounded(tuned)
    by_id = {case.id: case for case in inputs.fingerprint.cases}
    own = [by_id[case.id].image_hash for case in inputs.train]
    traits = METHODS[request.method]
    tensor = traits.adapter == "lora_pt"
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
        core=plan.adapter.core if tensor else None,
        balance=plan.adapter.balance if tensor else None,
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


def _rounded(tuned: Tuned) -> tuple[dict[str, torch.Tensor], Dtype]:
    """What an adapter file holds, and its precision: half where the method has low-rank factors, of which small files
    are expected.

    A fold is validated from its file, so its figures are those of what is stored. Other methods keep float32: a file of
    method full may become a base.
    """
    tensors = tuned.adapter_tensors()
    largest = max(float(value.abs().max()) for value in tensors.values() if value.numel())
    if not METHODS[tuned.method].ranked or not largest <= torch.finfo(torch.float16).max:
        return tensors, "float32"
    return {name: value.half() for name, value in tensors.items()}, "float16"
