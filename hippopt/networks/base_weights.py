"""Bring base weights of many origins into MONAI's UNETR, key by key, without ever unpickling code."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hippopt.artifacts.plan import NetworkSettings
from hippopt.artifacts.triples import Voxels
from hippopt.errors import WeightsError
from hippopt.networks.unetr import UNUSED, token_grid

if TYPE_CHECKING:
    import torch

TRANSFORMER = "vit.blocks."
POSITION = "vit.patch_embedding.position_embeddings"
PATCH_WEIGHT = "vit.patch_embedding.patch_embeddings.weight"
OLD_PATCH = "vit.patch_embedding.patch_embeddings.1."  # `perceptron` patch embedding of older UNETRs
OLD_TOKEN = 16  # their only token size
CLASS_TOKENS = ("vit.cls_token", "vit.patch_embedding.cls_token")
INPUT_CONVOLUTIONS = ("encoder1.layer.conv1.conv.weight", "encoder1.layer.conv3.conv.weight")


@dataclass(frozen=True)
class KeyReport:
    """What became of one key: matched, interpolated, converted, re-made, missing or unused."""

    key: str
    status: str
    detail: str


def load_base(
    model: "torch.nn.Module",
    state: Mapping[str, "torch.Tensor"],
    base_patch: Voxels | None,
    patch_size: Voxels,
    source: str,
) -> list[KeyReport]:
    """Copy a base's weights into `model` in place, and report every key.

    Converted: older patch embeddings, position embeddings of another token grid (trilinear; `base_patch` in voxels
    tells the base's, a cubic grid is assumed where it is None), other numbers of input channels. Keys that do not fit
    are left at the model's own random values ("re-made"). Raises WeightsError when the base has tokens of another size,
    a weight of the transformer is missing or has another shape, or a value is not finite.
    """
    import torch

    own = model.state_dict()
    token = own[PATCH_WEIGHT].shape[-1]
    check_token_size(token_size_of(state) or token, token, source)
    state, converted = _modernise(dict(state), base_patch, token)
    state, interpolated = _fit_positions(state, base_patch, patch_size, token)
    reports: list[KeyReport] = []
    new: dict[str, torch.Tensor] = {}
    for key, target in own.items():
        found = state.pop(key, None)
        if found is None:
            status = "unused" if UNUSED in key else "missing"
            reports.append(KeyReport(key, status, "kept as the network made it"))
        elif found.shape == target.shape:
            new[key] = found
            status = (
                "interpolated" if key == POSITION and interpolated else "converted" if key in converted else "matched"
            )
            reports.append(KeyReport(key, status, interpolated if status == "interpolated" else converted.get(key, "")))
        else:
            value, status, detail = _fit(key, found, target)
            if value is not None:
                new[key] = value
            reports.append(KeyReport(key, status, detail))
    transformer = any(key.startswith(TRANSFORMER) for key in own)
    reports += [KeyReport(key, "unused", _why_unused(key, transformer)) for key in state]
    _check_transformer(reports, source)
    spoilt = [key for key, value in new.items() if not torch.isfinite(value).all()]
    if spoilt:
        raise WeightsError(f"{source}: {spoilt[0]} and {len(spoilt) - 1} other keys hold NaN or Inf; give another base")
    with torch.no_grad():
        for key, value in new.items():
            own[key].copy_(value)
    return reports


def token_size_of(state: Mapping[str, "torch.Tensor"]) -> int | None:
    """Voxels along each axis of a base's tokens, by the shape of
    its patch embedding; None where it has none that is known.
    """
    if OLD_PATCH + "weight" in state:
        return OLD_TOKEN
    weight = state.get(PATCH_WEIGHT)
    return int(weight.shape[-1]) if weight is not None and weight.ndim == 5 else None


def check_token_size(base: int, planned: int, source: str) -> None:
    """Raises WeightsError where a base and a plan have tokens of different
    sizes: no weight of the one would mean anything in the other.
    """
    if base != planned:
        raise WeightsError(
            f"{source}: a base with tokens of {base} voxels, but the plan's network.token_size is {planned}; plan for"
            f" it with `hippopt_plan --set network.token_size={base} --overwrite`, or give another base (--base none:"
            " random weights)"
        )


def check_network(base: NetworkSettings, planned: NetworkSettings, source: str) -> None:
    """Raises WeightsError where a base cannot be that of a plan: tokens
    of another size, or no transformer where the plan has one.
    """
    check_token_size(base.token_size, planned.token_size, source)
    if planned.transformer and not base.transformer:
        raise WeightsError(
            f"{source}: a base without a transformer, but the plan's network has one; leave it out with "
            "`hippopt_plan --set network.transformer=false`, or give another base"
        )


def _check_transformer(reports: list[KeyReport], source: str) -> None:
    broken = [
        r
        for r in reports
        if r.key.startswith(TRANSFORMER) and UNUSED not in r.key and r.status in ("missing", "re-made")
    ]
    if broken:
        counts = Counter(report.status for report in reports)
        raise WeightsError(
            f"{source}: its transformer does not fit this network ({len(broken)} keys, such as {broken[0].key}:"
            f" {broken[0].status}, {broken[0].detail}; of all keys {', '.join(f'{n} {s}' for s, n in counts.items())});"
            " choose the network size of the base with `hippopt_plan --set network.size=... --overwrite`, or another"
            " base"
        )


def remade_keys(reports: list[KeyReport]) -> tuple[str, ...]:
    """Parameters that are not the base's own values: they are trained and stored with the adapter."""
    return tuple(
        r.key for r in reports if r.status in ("interpolated", "re-made", "missing") or r.detail.startswith("channels")
    )


def image_tokens(state: Mapping[str, "torch.Tensor"]) -> int:
    """Number of position embeddings, one a token, without that of a class token (classifying ViTs have one)."""
    count = int(state[POSITION].shape[1])
    return (
        count - 1
        if any(token in state for token in CLASS_TOKENS) and _cube_root(count - 1) and not _cube_root(count)
        else count
    )


def _why_unused(key: str, transformer: bool) -> str:
    if key.startswith(TRANSFORMER) and not transformer:
        return "the plan's network has no transformer"
    if key in CLASS_TOKENS:
        return "a UNETR classifies nothing, so its class token was never used"
    if ".conv3." in key:
        return "older MONAI stored this for blocks with as many channels in as out, and never used it"
    if ".cross_attn." in key:
        return "MONAI 1.4 and 1.5 stored cross-attention in every block; a UNETR has none, so it was never used"
    return "no such parameter in this network"


def _modernise(
    state: dict[str, "torch.Tensor"], base_patch: Voxels | None, token: int
) -> tuple[dict[str, "torch.Tensor"], dict[str, str]]:
    """Older key names and shapes to today's: (state, key -> what was done)."""
    done = {}
    if OLD_PATCH + "weight" in state:
        weight = state.pop(OLD_PATCH + "weight")
        channels = weight.shape[1] // OLD_TOKEN**3
        # the old layer took patches flattened as (p1 p2 p3 c)
        state[PATCH_WEIGHT] = (
            weight.reshape(weight.shape[0], *[OLD_TOKEN] * 3, channels).permute(0, 4, 1, 2, 3).contiguous()
        )
        done[PATCH_WEIGHT] = "perceptron patch embedding written as a convolution"
        if OLD_PATCH + "bias" in state:
            state[PATCH_WEIGHT.replace("weight", "bias")] = state.pop(OLD_PATCH + "bias")
    if POSITION in state and state[POSITION].ndim == 3:
        count = math.prod(token_grid(base_patch, token)) if base_patch is not None else image_tokens(state)
        if state[POSITION].shape[1] == count + 1:
            state[POSITION] = state[POSITION][:, 1:]
            done[POSITION] = "the class token's embedding dropped"
    return state, done


def _cube_root(count: int) -> int | None:
    root = round(max(count, 0) ** (1 / 3))
    return root if root > 0 and root**3 == count else None


def _fit(key: str, found: "torch.Tensor", target: "torch.Tensor") -> tuple["torch.Tensor | None", str, str]:
    if (
        key in (PATCH_WEIGHT, *INPUT_CONVOLUTIONS)
        and found.ndim == 5
        and found.shape[0] == target.shape[0]
        and found.shape[2:] == target.shape[2:]
    ):
        have, want = found.shape[1], target.shape[1]
        # inputs are z-scored: the mean kernel, shared out, keeps the scale of the response
        return (
            found.mean(1, keepdim=True).expand(-1, want, *found.shape[2:]) * (have / want),
            "converted",
            f"channels {have} -> {want}",
        )
    return None, "re-made", f"shape {tuple(found.shape)} in the base, {tuple(target.shape)} here"


def interpolate_positions(embeddings: "torch.Tensor", old_grid: Voxels, new_grid: Voxels) -> "torch.Tensor":
    """(1, old tokens, hidden) -> (1, new tokens, hidden), trilinear over the token grid."""
    import torch.nn.functional as functional

    hidden = embeddings.shape[2]
    volume = embeddings.float().transpose(1, 2).reshape(1, hidden, *old_grid)
    resized = functional.interpolate(volume, size=new_grid, mode="trilinear", align_corners=False)
    return resized.reshape(1, hidden, -1).transpose(1, 2).contiguous()


def _fit_positions(
    state: Mapping[str, "torch.Tensor"], base_patch: Voxels | None, patch_size: Voxels, token: int
) -> tuple[dict[str, "torch.Tensor"], str]:
    """The state with position embeddings brought to the token grid of `patch_size`: (state, what was done or "").

    The base's own grid follows from its patch size, or, where that is unknown, from a cubic number of tokens.
    """
    state = dict(state)
    old = state.get(POSITION)
    new_grid = token_grid(patch_size, token)
    if old is None or old.ndim != 3:
        return state, ""
    if base_patch is not None:
        old_grid = token_grid(base_patch, token)
    else:
        root = _cube_root(old.shape[1])
        old_grid = (root, root, root) if root else (0, 0, 0)
    if old_grid[0] * old_grid[1] * old_grid[2] != old.shape[1]:
        return state, ""  # left to `load_base`, which makes them anew and says so
    if old_grid == new_grid:
        return state, ""
    state[POSITION] = interpolate_positions(old, old_grid, new_grid)
    return state, f"token grid {' x '.join(map(str, old_grid))} -> {' x '.join(map(str, new_grid))}"
