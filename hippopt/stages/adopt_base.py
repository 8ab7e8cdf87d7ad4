"""Stage: bring base weights of any kind into results/bases, once, as safetensors with a card."""

import hashlib
import math
from pathlib import Path

import msgspec
import torch

from hippopt.artifacts.codec import decode, load_record, parse_json, write_bytes, write_json
from hippopt.artifacts.plan import NetworkSettings, Plan
from hippopt.artifacts.triples import Voxels
from hippopt.artifacts.weights import AdapterCard, BaseCard
from hippopt.console import Console
from hippopt.errors import PlanError, WeightsError
from hippopt.networks.base_files import known_base_file, shipped_base, shipped_bases
from hippopt.networks.base_weights import OLD_PATCH, PATCH_WEIGHT, POSITION, check_network, image_tokens, token_size_of
from hippopt.networks.tensor_files import check_space, file_sha256, read_state, tensor_bytes, tensors_sha256, to_bytes
from hippopt.networks.tuning import REST
from hippopt.networks.unetr import SIZES, token_grid
from hippopt.workspace import Workspace

MADE_BY = "hippopt_train --base FILE"


def adopt_base(requested: str, plan: Plan, workspace: Workspace, console: Console) -> tuple[Path, BaseCard]:
    """Bring a base into results/bases, once, as safetensors with a card.

    Args:
        requested: a file of weights, a fold's adapter file or folder, or the name or sha256 of a base that is known
            already.
        plan: gives the network that the base has to fit.
        workspace: where bases are kept.
        console: what is said goes here.

    Returns:
        The file under results/bases, and its card.

    Raises:
        WeightsError: no such base, or it does not fit; nothing is written then.
    """
    path = Path(requested)
    known = _known_bases(workspace)
    if not path.exists():
        fitting = [
            (file, card)
            for file, card in known
            if requested == card.name or (len(requested) >= 6 and card.sha256.startswith(requested))
        ]
        if len(fitting) == 1:
            check_network(fitting[0][1].network, plan.network, f"--base {requested}")
            return fitting[0]
        shipped = shipped_base(requested)
        if shipped is not None:
            return adopt_base(str(shipped), plan, workspace, console)
        names = (
            ", ".join(dict.fromkeys([*(card.name for _, card in known), *(file.stem for file in shipped_bases())]))
            or "none"
        )
        raise WeightsError(
            f"--base {requested}: no such file, and no single base of that name (known: {names}); give a file"
        )
    if path.is_dir():
        path = path / "adapter.safetensors"
    state = read_state(path)
    card = _card_of(path, state, plan)
    check_network(card.network, plan.network, str(path))
    state = _network_alone(state)
    data = to_bytes(state)
    sha256 = hashlib.sha256(data).hexdigest()
    target = workspace.base(sha256)
    if target.exists() and target.with_suffix(".json").exists() and file_sha256(target) == sha256:
        return target, load_record(target.with_suffix(".json"), BaseCard, MADE_BY)
    check_space(target, tensor_bytes(state))
    write_bytes(target, data)
    card = msgspec.structs.replace(card, sha256=sha256)
    write_json(target.with_suffix(".json"), card)
    console.say(f"base {card.name}: kept as {target}")
    return target, card


def load_known_base(sha256: str, workspace: Workspace) -> tuple[dict[str, torch.Tensor], BaseCard]:
    """The tensors and the card of a base under results/bases, or of one that hippopt ships.

    Raises WeightsError when it is missing or was changed.
    """
    path = known_base_file(sha256, workspace.base(sha256))
    if not path.exists():
        raise WeightsError(f"{path}: the base {sha256[:12]} is missing; copy it there, adapters hold differences only")
    found = file_sha256(path)
    if found != sha256:
        raise WeightsError(f"{path}: its sha256 is {found[:12]}, expected {sha256[:12]}; restore the original file")
    return read_state(path), load_record(path.with_suffix(".json"), BaseCard, MADE_BY)


def kept_bytes(path: Path) -> bytes:
    """The file under which a base of any kind would be kept: its sha256 is the base's. Raises WeightsError."""
    return to_bytes(_network_alone(read_state(path)))


def _network_alone(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The network's own names: a fold's adapter file of method full has them with a prefix."""
    if any(key.startswith(REST) for key in state):
        return {key.removeprefix(REST): value for key, value in state.items() if key.startswith(REST)}
    return state


def _known_bases(workspace: Workspace) -> list[tuple[Path, BaseCard]]:
    found = sorted(workspace.bases.glob("*.json")) if workspace.bases.is_dir() else []
    cards = [card for card in found if not card.name.startswith(".")]  # another process may be writing one
    return [(card.with_suffix(".safetensors"), load_record(card, BaseCard, MADE_BY)) for card in cards]


def _card_of(path: Path, state: dict[str, torch.Tensor], plan: Plan) -> BaseCard:
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
