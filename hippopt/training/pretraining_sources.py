"""What a pre-training learns from: the request, the network that it asks for, and scans made from label maps."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch

from hippopt.artifacts.plan import CLIP_PERCENTILES, NetworkSettings, NormalisationSettings
from hippopt.artifacts.plan_edits import apply_synthesis_settings
from hippopt.artifacts.recorded_command import recorded_command
from hippopt.artifacts.synthesis import SynthesisSettings
from hippopt.artifacts.triples import Voxels
from hippopt.artifacts.weights import BaseCard
from hippopt.batches.label_maps import CLASSES, LabelMaps, read_label_maps, read_table
from hippopt.batches.synthesis import Synthesiser, synthetic_batch, synthetic_batches
from hippopt.console import Console
from hippopt.errors import UsageError
from hippopt.networks.base_files import base_file, read_base
from hippopt.networks.tensor_files import file_sha256
from hippopt.networks.unetr import SIZES
from hippopt.training.precision import use_bfloat16
from hippopt.training.pretraining import SYNTHETIC_SCHEDULE, PretrainInputs, PretrainRequest

Base = tuple[Mapping[str, torch.Tensor], BaseCard]
VALIDATION_SEED = 2**31  # keys the fixed scans made from the maps that are held out
VALIDATION_BATCHES = 8
ALVEUS_SHARE = 1.0  # bases from before it had none, and their cards do not name it; .7 for a time
FADING_SHARE = 1.0  # likewise


@dataclass(frozen=True)
class SourceRequest:
    """What to learn from: a data set by its name, or folders of label maps; and how the base is to be described.

    size, token_size: of the network, None for the plan's or the base's, or "small" and 16. synthesis: edits `key=value`
    of SynthesisSettings. hold_out: label maps of each folder kept for validation.
    """

    dataset: str | None = None
    label_maps: tuple[Path, ...] = ()
    label_table: Path | None = None
    size: str | None = None
    token_size: int | None = None
    patch_size: Voxels = (48, 64, 48)
    synthesis: tuple[str, ...] = ()
    batch_size: int = 2
    hold_out: int = 2
    base: Path | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int = 0
    licence: str = "unknown"
    attribution: str = ""


def synthesis_of(source: SourceRequest) -> SynthesisSettings:
    """Settings of the synthetic scans, with the edits that were asked for. Raises PlanError."""
    return apply_synthesis_settings(
        SynthesisSettings(patch_size=source.patch_size, alveus=ALVEUS_SHARE, fading=FADING_SHARE),
        list(source.synthesis),
    )


def start_of(source: SourceRequest) -> Base | None:
    """The base to begin from, where one is named. Raises WeightsError."""
    if source.base is None:
        return None
    return read_base(base_file(source.base))


def all_seen(own: Sequence[str], start: Base | None) -> tuple[str, ...] | None:
    """The scans that a base has seen: its own and those of the base it began from; None where the latter
    are not known.
    """
    if start is None:
        return tuple(sorted(own))
    earlier = start[1].seen_images
    return None if earlier is None else tuple(sorted({*own, *earlier}))


def begun_from(start: Base | None) -> str:
    """What a base card says of the base that it began from; empty where it began from random weights."""
    return (
        ""
        if start is None
        else f"; begun from base {start[1].name} {start[1].sha256}, {start[1].licence}, {start[1].attribution}"
    )


def asked_network(source: SourceRequest, otherwise: NetworkSettings, patch: Voxels) -> NetworkSettings:
    """The network asked for; what is not asked for is as in `otherwise`.

    Raises UsageError where the patch is no multiple of its tokens.
    """
    if source.size is not None and source.size not in SIZES:
        raise UsageError(f"--size {source.size}: choose one of {', '.join(SIZES)}")
    chosen = otherwise if source.size is None else SIZES[source.size]
    token = source.token_size or otherwise.token_size
    if any(size <= 0 or size % token for size in patch):
        raise UsageError(
            f"a patch of {' x '.join(map(str, patch))}: the rule: multiples of the token size, {token}; give another"
            " --patch or --token-size, or plan the data set anew"
        )
    return msgspec.structs.replace(chosen, token_size=token)


def synthetic_inputs(
    source: SourceRequest, request: PretrainRequest, device: torch.device, console: Console
) -> PretrainInputs:
    """What to train on where label maps are given. Raises DatasetError, UsageError."""
    assert source.label_maps
    start = start_of(source)
    network = asked_network(source, start[1].network if start else SIZES["small"], source.patch_size)
    maps = read_label_maps(source.label_maps, read_table(source.label_table), console)
    least = min(maps.sizes)
    if not 0 < source.hold_out < least:
        raise UsageError(
            f"--hold-out {source.hold_out}: from 1 to {least - 1} of the {least}"
            f" maps{' of the smallest folder' if len(maps.sizes) > 1 else ''}"
        )
    trained, unseen = maps.split(source.hold_out)
    settings = synthesis_of(source)
    synthesiser = Synthesiser(trained, settings, device)
    card = BaseCard(
        name=request.name,
        sha256="",
        network=network,
        in_channels=1,
        out_channels=len(CLASSES),
        patch_size=source.patch_size,
        spacing_mm=settings.spacing_mm,
        normalisation=NormalisationSettings(scheme="zscore", region="image", clip_percentiles=CLIP_PERCENTILES),
        label_values=tuple(range(len(CLASSES))),
        seen_images=all_seen((), start),
        licence=source.licence,
        attribution=source.attribution,
        origin=f"scans made from {len(trained.maps)} label maps; {len(unseen.maps)} more were kept for validation"
        + begun_from(start),
        channel_names=("T1",),
        class_names=CLASSES,
        synthesis=settings,
        label_maps={m.name: file_sha256(m.path) for m in trained.maps},
        command=recorded_command("hippopt_pretrain"),
    )

    @contextlib.contextmanager
    def batches(first: int, step: int) -> Iterator[Iterator[dict[str, Any]]]:
        yield synthetic_batches(synthesiser, source.batch_size, request.seed, first, step)

    return PretrainInputs(
        card=card,
        batches=batches,
        batch_size=source.batch_size,
        windows=_synthetic_windows(unseen, settings),
        schedule=SYNTHETIC_SCHEDULE,
        start=start,
        device=device,
        autocast=use_bfloat16(device, source.patch_size, network)[0],
    )


def _synthetic_windows(unseen: LabelMaps, settings: SynthesisSettings) -> tuple[torch.Tensor, torch.Tensor]:
    """Fixed scans of maps that are not trained on, with T1-like contrast, since that is what users have."""
    made = Synthesiser(unseen, msgspec.structs.replace(settings, share_t1=1.0), torch.device("cpu"))
    drawn = [synthetic_batch(made, 2, VALIDATION_SEED, index) for index in range(VALIDATION_BATCHES)]
    return torch.cat([batch["image"] for batch in drawn]), torch.cat([batch["label"][:, 0] for batch in drawn])
