"""The card of base weights of any kind: from the one beside the file, from a fold's, or from the tensors' shapes."""

import math
from pathlib import Path

import msgspec
import torch

from hippopt.artifacts.codec import decode, parse_json
from hippopt.artifacts.plan import NetworkSettings, Plan
from hippopt.artifacts.triples import Voxels
from hippopt.artifacts.weights import AdapterCard, BaseCard
from hippopt.errors import PlanError, WeightsError
from hippopt.networks.base_weights import OLD_PATCH, PATCH_WEIGHT, POSITION, image_tokens, token_size_of
from hippopt.networks.tensor_files import file_sha256, tensors_sha256
from hippopt.networks.tuning import REST
from hippopt.networks.unetr import SIZES, token_grid


def card_of(path: Path, state: dict[str, torch.Tensor], plan: Plan) -> BaseCard:
    """A card from the one beside the file, from a fold's adapter card, or from the shapes of the tensors."""
    beside = path.with_suffix(".json")
    data = None
    if beside.exists():
        try:
            data = parse_json(beside.read_bytes(), beside)
        except PlanError as error:
            raise WeightsError(str(error)) from None
    if isinstance(data, dict) and "method" in data:
        adapter = decode(data, AdapterCard, beside)
        if adapter.method != "full":
            raise WeightsError(
                f"{path}: an adapter of method {adapter.method} holds no whole network; give one of method full as"
                " --base"
            )
        if tensors_sha256(state) != adapter.sha256:
            raise WeightsError(f"{path}: its content does not match {beside.name}; copy both anew")
        values = adapter.settings.get("label_values")
        return BaseCard(
            name=f"{adapter.run}-fold{adapter.fold}",
            sha256="",
            network=adapter.network,
            in_channels=adapter.in_channels,
            out_channels=adapter.out_channels,
            patch_size=adapter.patch_size,
            spacing_mm=plan.target_spacing_mm,
            normalisation=plan.normalisation,
            label_values=tuple(values) if values else None,
            seen_images=adapter.seen_images,
            origin=f"hippopt_train, run {adapter.run}, fold {adapter.fold}, step {adapter.step}",
        )
    if isinstance(data, dict) and "in_channels" in data:
        card = decode(data, BaseCard, beside)
        if card.sha256 and file_sha256(path) != card.sha256:
            raise WeightsError(
                f"{path}: its sha256 is not the one in {beside.name}, {card.sha256[:12]}; copy both anew"
            )
        return card
    return _card_from_shapes(path, state, plan)


def _card_from_shapes(path: Path, state: dict[str, torch.Tensor], plan: Plan) -> BaseCard:
    try:
        hidden = state["vit.blocks.0.attn.out_proj.weight"].shape[0]
        mlp = state["vit.blocks.0.mlp.linear1.weight"].shape[0]
        features, channels = state["encoder1.layer.conv1.conv.weight"].shape[:2]
        classes = state["out.conv.conv.weight"].shape[0]
        tokens = state[POSITION].shape[1]
    except KeyError as error:
        raise WeightsError(
            f"{path}: not a MONAI UNETR ({error.args[0]} is missing among {len(state)} keys); give a UNETR's state dict"
        ) from None
    except (IndexError, ValueError):
        raise WeightsError(
            f"{path}: not a MONAI UNETR (its weights have other dimensions); give a UNETR's state dict"
        ) from None
    if PATCH_WEIGHT not in state and OLD_PATCH + "weight" not in state:
        raise WeightsError(
            f"{path}: no patch embedding that hippopt knows; give a UNETR with `conv` or `perceptron` embedding"
        )
    token = token_size_of(state) or plan.network.token_size
    same = [
        size
        for size in SIZES.values()
        if (size.hidden_size, size.mlp_dim, size.feature_size) == (hidden, mlp, features)
    ]
    # weights do not tell the number of heads; every published UNETR has 64 values a head
    network = (
        msgspec.structs.replace(same[0], token_size=token)
        if same
        else NetworkSettings(
            size="custom",
            hidden_size=hidden,
            mlp_dim=mlp,
            num_heads=max(1, hidden // 64),
            feature_size=features,
            token_size=token,
        )
    )
    return BaseCard(
        name=path.stem, sha256="", network=network, in_channels=channels, out_channels=classes,
        patch_size=_patch_of(tokens, image_tokens(state), plan.patch_size, token),
        origin=f"adopted from {path.name}; what it was trained on is unknown",
    )  # fmt: skip


def _patch_of(tokens: int, of_image: int, planned: Voxels, token: int) -> Voxels:
    """The patch size that a number of tokens stands for: the plan's where it fits, else a cube."""
    side = round(of_image ** (1 / 3))
    if math.prod(token_grid(planned, token)) in (tokens, of_image) or side**3 != of_image:
        return planned
    return (side * token, side * token, side * token)


def network_alone(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The network's own names: a fold's adapter file of method full has them with a prefix."""
    if any(key.startswith(REST) for key in state):
        return {key.removeprefix(REST): value for key, value in state.items() if key.startswith(REST)}
    return state
