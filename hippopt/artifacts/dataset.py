"""Dataset: an nnU-Net v2 raw-data folder, `DatasetNNN_Name/`, as a record.

`dataset.json` needs `channel_names`, `labels`, `numTraining`, `file_ending`, as nnU-Net defines them. hippopt reads two
optional keys more: `subjects` {case: subject} and `sides` {label name: "left" | "right"}; nnU-Net ignores them.
"""

import re
from pathlib import Path
from typing import Any

from hippopt.artifacts.codec import Record, parse_json
from hippopt.artifacts.sides import Side, sides_of_names
from hippopt.console import counted
from hippopt.errors import DatasetError, PlanError

FOLDER_PATTERN = re.compile(r"^Dataset(\d{3})_(.+)$")
CHANNEL = re.compile(r"^(.+)_(\d{4})$")
FILE_ENDINGS = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh", ".img", ".hdr")

MEAN_FOREGROUND = "mean foreground"  # of the rows of score tables, what stands for all labels together
KINDS = ".nii.gz, .nii, .nrrd, .nhdr, .mha, .mhd, .mgz, .hdr/.img"


class Case(Record, frozen=True, kw_only=True):
    """One labelled scan: `channels` are image files in channel order, `label` its label file."""

    id: str
    subject: str
    channels: tuple[str, ...]
    label: str


class Dataset(Record, frozen=True, kw_only=True):
    """A raw data set.

    Paths in `cases` are absolute; `labels` maps names (background included) to values in the files.
    """

    name: str
    folder: str
    channel_names: tuple[str, ...]
    labels: dict[str, int]
    sides: dict[str, Side]
    file_ending: str
    cases: tuple[Case, ...]

    @property
    def foreground(self) -> dict[str, int]:
        """Label names and values without the background, by rising value."""
        return {name: value for name, value in sorted(self.labels.items(), key=lambda item: item[1]) if value != 0}


def split_ending(filename: str) -> tuple[str, str] | None:
    """(stem, ending) of an image file's name, or None when the ending is not one of an image."""
    for ending in FILE_ENDINGS:
        if filename.lower().endswith(ending):
            return filename[: -len(ending)], filename[-len(ending) :]
    return None


def split_channel(stem: str) -> tuple[str, int] | None:
    """(scan, channel) of a stem that ends in `_0000`, `_0001`, ..., as nnU-Net names channels; None for all others."""
    match = CHANNEL.match(stem)
    return (match[1], int(match[2])) if match else None


def is_text(name: str) -> bool:
    """Whether a file name is valid UTF-8; other bytes come as surrogates, which no record can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def image_files(folder: Path) -> list[Path]:
    """Image files of a folder by name; hidden files (macOS's `._NAME` among them) left out."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and split_ending(path.name))


def hidden_names_note(folder: Path, hidden: list[str]) -> str:
    """A word on the `._NAME` files that macOS leaves beside every file it copies. hidden: their names, at least one."""
    return (
        f"{folder}: {counted(len(hidden), 'hidden file')} ({min(hidden)}{', ...' if len(hidden) > 1 else ''}) ignored"
    )


def load_dataset(folder: Path) -> Dataset:
    """Read `dataset.json` and list the cases. All faults of the listing are reported together.

    Raises DatasetError naming file, reason and remedy.
    """
    description = folder / "dataset.json"
    if not description.is_file():
        raise DatasetError(
            f"{description}: not found; make the data set with `hippopt_import`, or copy its dataset.json there"
        )
    try:
        meta = parse_json(description.read_bytes(), description)
    except OSError as error:
        raise DatasetError(
            f"{description}: cannot be read ({error.strerror}); change its permissions with chmod or its owner"
        ) from None
    except PlanError as error:
        raise DatasetError(str(error)) from error
    channel_names, labels, ending = _read_meta(meta, description)
    subjects, sides = _optional(meta, "subjects", description), _optional(meta, "sides", description)
    for label, side in sides.items():
        if label not in labels or side not in ("left", "right"):
            raise DatasetError(f"{description}: sides: {label!r}: {side!r}; name a label and 'left' or 'right'")
    cases = _list_cases(folder, len(channel_names), ending, subjects)
    stated = meta.get("numTraining")
    if isinstance(stated, int) and stated != len(cases):
        raise DatasetError(
            f"{description}: numTraining is {stated}, but labelsTr holds {counted(len(cases), 'case')}; correct it or"
            " restore the files"
        )
    return Dataset(
        name=folder.name, folder=str(folder.resolve()), channel_names=channel_names, labels=labels,
        sides={**sides_of_names(labels), **sides}, file_ending=ending, cases=cases,
    )  # fmt: skip


def _read_meta(meta: Any, source: Path) -> tuple[tuple[str, ...], dict[str, int], str]:
    if not isinstance(meta, dict):
        raise DatasetError(f"{source}: expected an object; write it as nnU-Net v2 defines it")
    missing = [key for key in ("channel_names", "labels", "file_ending") if key not in meta]
    if missing:
        hint = (
            "run `hippopt_import` on the Decathlon folder"
            if "modality" in meta
            else "add them as nnU-Net v2 defines them"
        )
        raise DatasetError(f"{source}: missing {', '.join(missing)}; {hint}")
    channels, labels = meta["channel_names"], meta["labels"]
    if (
        not isinstance(channels, dict)
        or sorted(channels) != sorted(str(i) for i in range(len(channels)))
        or not channels
    ):
        raise DatasetError(f'{source}: channel_names must be {{"0": name, "1": name, ...}}, got {channels}')
    if not isinstance(labels, dict) or any(
        not isinstance(value, int) or isinstance(value, bool) for value in labels.values()
    ):
        raise DatasetError(
            f"{source}: labels must map each name to one whole number, got {labels}; "
            "region-based and `ignore` labels are not supported: merge structures with `hippopt_import --labels`"
        )
    if labels.get("background") != 0:
        raise DatasetError(f'{source}: labels must contain "background": 0')
    if (
        len(labels) < 2
        or min(labels.values()) < 0
        or len(set(labels.values())) < len(labels)
        or max(labels.values()) > 65535
    ):
        raise DatasetError(
            f"{source}: labels need distinct values from 0 to 65535 and one besides the background, got {labels}"
        )
    if meta["file_ending"] not in FILE_ENDINGS:
        raise DatasetError(f"{source}: file_ending {meta['file_ending']!r}; one of {', '.join(FILE_ENDINGS)}")
    return tuple(str(channels[str(i)]) for i in range(len(channels))), dict(labels), meta["file_ending"]


def _optional(meta: dict[str, Any], key: str, source: Path) -> dict[str, Any]:
    value = meta.get(key, {})
    if not isinstance(value, dict) or any(not isinstance(item, str) for item in value.values()):
        raise DatasetError(f"{source}: {key} must map names to texts")
    return value


def _list_cases(folder: Path, channels: int, ending: str, subjects: dict[str, str]) -> tuple[Case, ...]:
    images, labels = folder / "imagesTr", folder / "labelsTr"
    for needed in (images, labels):
        if not needed.is_dir():
            raise DatasetError(f"{needed}: folder not found; a data set needs imagesTr and labelsTr")
    label_of, clashes = _by_stem(labels)
    image_of, image_clashes = _by_stem(images)
    faults = clashes + image_clashes
    wanted = {f"{case}_{channel:04d}" for case in label_of for channel in range(channels)}
    faults += [
        f"{images / (name + ending)}: missing (its label is there); add the image or remove the label"
        for name in sorted(wanted - set(image_of))
    ]
    faults += [
        f"{image_of[name]}: no label {name.rsplit('_', 1)[0]}{ending} in labelsTr, or not one of channels 0000 to "
        f"{channels - 1:04d}; add the label or move the image away"
        for name in sorted(set(image_of) - wanted)
    ]
    faults += [
        f"dataset.json: subjects names {case!r}, which has no label; correct the name"
        for case in subjects
        if case not in label_of
    ]
    if not label_of:
        faults.append(f"{labels}: no image file; put the label files there")
    if faults:
        raise DatasetError("\n".join(faults))
    return tuple(
        Case(
            id=case, subject=subjects.get(case, case), label=str(label_of[case]),
            channels=tuple(str(image_of[f"{case}_{channel:04d}"]) for channel in range(channels)),
        )
        for case in sorted(label_of)
    )  # fmt: skip


def _by_stem(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Image files by stem, and the faults: two files of one stem, stems that differ in letter case or blanks only."""
    found: dict[str, Path] = {}
    folded: dict[str, str] = {}
    faults = []
    try:
        files = image_files(folder)
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot be read ({error.strerror}); change its permissions with chmod or its owner"
        ) from None
    for path in files:
        if not is_text(str(path)):
            faults.append(f"{str(path)!r}: its name is not UTF-8 and cannot stand in a table; rename it")
        stem, ending = split_ending(path.name) or ("", "")
        if ending.lower() == ".hdr" and path.with_suffix(".img").exists():
            continue  # an Analyze or NIfTI pair is one image
        if stem in found:
            faults.append(f"{path}: ambiguous, {found[stem].name} has the same name; keep one of them")
        elif folded.setdefault(stem.strip().lower(), stem) != stem:
            faults.append(
                f"{path}: differs from {folded[stem.strip().lower()]!r} in letter case or blanks only; rename one"
            )
        found[stem] = path
    return found, faults
