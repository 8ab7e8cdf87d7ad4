"""What a source's dataset.json says, in the Decathlon's words or in nnU-Net v2's; without one, the defaults."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hippopt.artifacts.codec import parse_json
from hippopt.artifacts.sides import Side
from hippopt.errors import DatasetError, PlanError

ABOUT = ("description", "reference", "licence", "license", "release", "citation")


@dataclass
class Description:
    """labels: {name: value} with the background, None where none are named, and then `label_fault` may say why.

    training: (image, label) paths of the Decathlon's list, relative to the folder. stated_cases: numTraining.
    about: what else is worth keeping.
    """

    kind: Literal["Decathlon", "nnU-Net v2", "none"] = "none"
    channel_names: tuple[str, ...] = ()
    labels: dict[str, int] | None = None
    label_fault: str = ""
    training: list[tuple[str, str]] | None = None
    stated_cases: int | None = None
    subjects: dict[str, str] = field(default_factory=dict)
    sides: dict[str, Side] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)


def read_description(folder: Path) -> Description:
    """Read `dataset.json`, if there is one in a known form. Raises DatasetError naming the key that does not fit."""
    path = folder / "dataset.json"
    if not path.is_file():
        return Description()
    try:
        meta = parse_json(path.read_bytes(), path)
    except PlanError as error:
        raise DatasetError(str(error)) from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); change its permissions") from None
    if not isinstance(meta, dict):
        raise DatasetError(f"{path}: expected an object; restore the file")
    stated = meta.get("numTraining") if isinstance(meta.get("numTraining"), int) else None
    about = {key: meta[key] for key in ABOUT if isinstance(meta.get(key), str) and meta[key]}
    if "channel_names" in meta:
        labels, fault = _labels(meta.get("labels"), path)
        sides = {name: side for name, side in _texts(meta, "sides", path).items() if name in (labels or {})}
        wrong = {name: side for name, side in sides.items() if side not in ("left", "right")}
        if wrong:
            raise DatasetError(f"{path}: sides {wrong}; 'left' or 'right' is meant")
        return Description(
            "nnU-Net v2",
            _channels(meta, "channel_names", path),
            labels,
            fault,
            subjects=_texts(meta, "subjects", path),
            sides=sides,  # type: ignore[arg-type]
            about=about,
            stated_cases=stated,
        )
    if "modality" in meta:
        named = meta.get("labels")
        turned = (
            {name: value for value, name in named.items()}
            if isinstance(named, dict) and _is_decathlon(named)
            else named
        )
        if isinstance(turned, dict) and isinstance(named, dict) and len(turned) < len(named):
            raise DatasetError(f"{path}: labels {named} name two values alike; give each its own name")
        labels, fault = _labels(turned, path)
        return Description(
            "Decathlon", _channels(meta, "modality", path), labels, fault,
            training=_training(meta, path), stated_cases=stated, about=about,
        )  # fmt: skip
    return Description()


def _is_decathlon(labels: dict[str, Any]) -> bool:
    """Whether labels are written {"1": "Anterior"}, not {"Anterior": 1}."""
    return bool(labels) and all(isinstance(name, str) for name in labels.values())


def _channels(meta: dict[str, Any], key: str, path: Path) -> tuple[str, ...]:
    channels = meta[key]
    if (
        not isinstance(channels, dict)
        or not channels
        or set(channels) != {str(number) for number in range(len(channels))}
    ):
        raise DatasetError(f'{path}: {key} must be {{"0": name, "1": name, ...}}, got {channels}')
    return tuple(str(channels[str(number)]) for number in range(len(channels)))


def _labels(labels: Any, path: Path) -> tuple[dict[str, int] | None, str]:
    """(labels with the background first, fault): a list of values is a region, which only --labels can resolve."""
    if labels is None or labels == {}:
        return None, ""
    if not isinstance(labels, dict):
        return None, f"{path}: labels must map names to numbers, got {labels}"
    found = {}
    for name, value in labels.items():
        number = int(value) if isinstance(value, str) and value.isdecimal() else value
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 65535 or name == "ignore":
            return (
                None,
                (
                    f"{path}: label {name!r}: {value!r} is not one number from 0 to 65535, or means `ignore`; "
                    "pick and merge structures with --labels NAME=NUMBER,NUMBER"
                ),
            )
        found[str(name)] = number
    background = [name for name, number in found.items() if number == 0]
    if len(set(found.values())) < len(found) or found.get("background", 0) != 0:
        return None, f"{path}: labels {found}: each name needs a value of its own, and background is 0; correct them"
    named = {name: number for name, number in found.items() if name not in background}
    if not named:
        return None, ""
    return {"background": 0, **dict(sorted(named.items(), key=lambda item: item[1]))}, ""


def _texts(meta: dict[str, Any], key: str, path: Path) -> dict[str, str]:
    value = meta.get(key, {})
    if not isinstance(value, dict) or any(not isinstance(item, str) for item in value.values()):
        raise DatasetError(f"{path}: {key} must map names to texts, got {value}")
    return value


def _training(meta: dict[str, Any], path: Path) -> list[tuple[str, str]] | None:
    listed = meta.get("training")
    if listed is None:
        return None
    for entry in listed if isinstance(listed, list) else [listed]:
        if (
            not isinstance(listed, list)
            or not isinstance(entry, dict)
            or not all(isinstance(entry.get(k), str) for k in ("image", "label"))
        ):
            raise DatasetError(f'{path}: training must list {{"image": path, "label": path}}, got {str(entry)[:80]}')
    if not listed:
        raise DatasetError(f"{path}: its training list is empty; list the labelled cases")
    return [(entry["image"], entry["label"]) for entry in listed]
