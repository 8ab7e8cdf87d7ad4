"""Stage: bring base weights of any kind into results/bases, once, as safetensors with a card."""

import hashlib
from pathlib import Path

import msgspec
import torch

from hippopt.artifacts.codec import load_record, write_bytes, write_json
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.weights import BaseCard
from hippopt.console import Console
from hippopt.errors import WeightsError
from hippopt.networks.base_cards import card_of, network_alone
from hippopt.networks.base_files import known_base_file, shipped_base, shipped_bases
from hippopt.networks.base_weights import check_network
from hippopt.networks.tensor_files import check_space, file_sha256, read_state, tensor_bytes, to_bytes
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
    card = card_of(path, state, plan)
    check_network(card.network, plan.network, str(path))
    state = network_alone(state)
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
    return to_bytes(network_alone(read_state(path)))


def _known_bases(workspace: Workspace) -> list[tuple[Path, BaseCard]]:
    found = sorted(workspace.bases.glob("*.json")) if workspace.bases.is_dir() else []
    cards = [card for card in found if not card.name.startswith(".")]  # another process may be writing one
    return [(card.with_suffix(".safetensors"), load_record(card, BaseCard, MADE_BY)) for card in cards]
