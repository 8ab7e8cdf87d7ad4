"""Base files: weights as safetensors with a card of the same name beside them."""

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hippopt.artifacts.codec import decode, parse_json
from hippopt.artifacts.plan import Plan
from hippopt.artifacts.weights import BaseCard
from hippopt.errors import PlanError, WeightsError

if TYPE_CHECKING:
    import torch


def read_base(path: Path) -> tuple[dict[str, "torch.Tensor"], BaseCard]:
    """(tensors, card) of a base file.

    Raises WeightsError when either is missing, damaged, or does not belong to the other.
    """
    from hippopt.networks.tensor_files import file_sha256, read_state

    beside = path.with_suffix(".json")
    state = read_state(path)
    try:
        card = _card(path)
    except OSError as error:
        raise WeightsError(
            f"{beside}: the card of the base cannot be read ({error.strerror}); keep it beside the weights"
        ) from None
    except PlanError as error:
        raise WeightsError(str(error)) from None
    found = file_sha256(path)
    if found != card.sha256:
        raise WeightsError(
            f"{path}: its sha256 is {found[:12]}, but {beside.name} says {card.sha256[:12]}; copy both anew"
        )
    return state, card


def _card(path: Path) -> BaseCard:
    beside = path.with_suffix(".json")
    return decode(parse_json(beside.read_bytes(), beside), BaseCard, beside)


def default_base(plan: Plan) -> Path | None:
    """The newest shipped base that fits the plan's network and channels, or None.

    It fits a network without a transformer too: its blocks are left out.
    """
    for path in reversed(shipped_bases()):
        card = _card(path)
        if card.network == msgspec.structs.replace(plan.network, transformer=True) and card.in_channels == len(
            plan.channel_names
        ):
            return path
    return None


def chosen_base(asked: str | None, plan: Plan) -> str | None:
    """What training starts from: the base asked for, None for "none" (random
    weights), or where nothing was asked the shipped one that fits.
    """
    if asked is None:
        shipped = default_base(plan)
        return str(shipped) if shipped else None
    return None if asked.lower() == "none" else asked


def known_base_file(sha256: str, kept: Path) -> Path:
    """`kept` where it is there, else the shipped base of this sha256, else `kept`."""
    if kept.exists():
        return kept
    return next((path for path in shipped_bases() if _card(path).sha256 == sha256), kept)


def is_shipped(sha256: str) -> bool:
    """Whether hippopt ships the base of this sha256: it is there wherever hippopt is."""
    return any(_card(path).sha256 == sha256 for path in shipped_bases())


def shipped_bases() -> list[Path]:
    """The base files that come with hippopt.

    A newer one has a name that sorts behind the older ones, which stay for what was made on them.
    """
    folder = Path(str(files("hippopt") / "bases"))
    # by the name alone: "small-5.safetensors" comes before "small.safetensors"
    return sorted(folder.glob("*.safetensors"), key=lambda path: path.stem) if folder.is_dir() else []


def base_file(asked: Path) -> Path:
    """The file that was asked for where it is there, else the shipped base of that name, else the path as it is."""
    return asked if asked.exists() else shipped_base(str(asked)) or asked


def shipped_base(name: str) -> Path | None:
    """The base file of this name that comes with hippopt."""
    return next((path for path in shipped_bases() if path.stem == name), None)
