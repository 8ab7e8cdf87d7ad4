"""Recognise how a folder of labelled scans is laid out, and list its cases. No image is opened.

Known: the Medical Segmentation Decathlon's layout, nnU-Net v2's, a pair of folders (`images` and `labels`, or the
like), and a folder a case (`X/X_img` and `X/X_mask`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hippopt.artifacts.case_tables import missing_path, near_names
from hippopt.artifacts.dataset import KINDS, split_ending
from hippopt.errors import DatasetError
from hippopt.files.scan_listing import regular_images
from hippopt.sources.description import Description, read_description

IMAGE_FOLDERS = ("imagestr", "images", "image", "imgs", "img", "scans")
LABEL_FOLDERS = ("labelstr", "labels", "label", "masks", "mask", "segmentations", "segmentation", "segs", "seg")
IMAGE_SUFFIXES = ("_img", "_image")
LABEL_SUFFIXES = ("_mask", "_seg", "_label")
CHANNEL = re.compile(r"^(.+)_(\d{4})$")
REMEDY = (
    "give a folder with dataset.json, imagesTr and labelsTr (Decathlon or nnU-Net v2), with images and labels, "
    "or with X/X_img and X/X_mask for each case X, or two folders by --images DIR --labels-dir DIR"
)


@dataclass(frozen=True)
class SourceCase:
    """One labelled scan. images: a file per channel in channel order, or one file whose last axis is the channel."""

    id: str
    images: tuple[Path, ...]
    label: Path


@dataclass
class Source:
    """What a folder holds. faults: (case id, fault), the id empty where it concerns the whole; notes are for people."""

    layout: str
    description: Description
    cases: list[SourceCase] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def case_ids(self) -> list[str]:
        """Ids by name of all cases, those with faults included."""
        return sorted({case.id for case in self.cases} | {case for case, _ in self.faults if case})


def list_source(folder: Path) -> Source:
    """Recognise the layout of `folder` and list its cases; faults of single cases are listed in the result.

    Raises DatasetError where there is no such folder, no known layout, or a dataset.json that cannot be used.
    """
    try:
        if folder.is_file():
            raise DatasetError(f"{folder}: a file; unpack it if it is an archive, and give the folder")
        if not folder.is_dir():
            raise DatasetError(missing_path(folder))
        source = _recognise(folder, read_description(folder))
    except OSError as error:
        raise DatasetError(
            f"{error.filename or folder}: cannot be read ({error.strerror}); change its permissions, or mend the link"
        ) from None
    stated = source.description.stated_cases
    if stated is not None and stated != len(source.case_ids):
        source.notes.append(
            f"{folder / 'dataset.json'}: numTraining is {stated}, but {len(source.case_ids)} cases are there"
        )
    return source


def _recognise(folder: Path, description: Description) -> Source:
    if description.kind == "nnU-Net v2":
        return _from_pair(
            folder / "imagesTr",
            folder / "labelsTr",
            description,
            description.kind,
            exactly=len(description.channel_names),
        )
    if description.kind == "Decathlon" and description.training is not None:
        return _from_training_list(folder, description, description.training)
    images, labels = _named(folder, IMAGE_FOLDERS), _named(folder, LABEL_FOLDERS)
    for found in (images, labels):
        if images and labels and len(found) > 1:
            raise DatasetError(
                f"{folder}: ambiguous, {' and '.join(path.name for path in found)} may both be meant; keep one of them"
            )
    if images and labels:
        return _from_pair(images[0], labels[0], description, f"{images[0].name} + {labels[0].name}")
    source = _from_case_folders(folder, description)
    if source is not None:
        return source
    if not any(not path.name.startswith(".") for path in folder.iterdir()):
        raise DatasetError(f"{folder}: empty folder; {REMEDY}")
    inner = sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and ((path / "dataset.json").is_file() or _named(path, IMAGE_FOLDERS))
    )
    hint = f"perhaps {inner[0]} is meant; otherwise " if inner else ""
    raise DatasetError(
        "\n".join([f"{folder}: no layout that is known; {hint}{REMEDY}", *regular_images(folder, "")[1]])
    )


def list_pair(images: Path, labels: Path) -> Source:
    """The cases of two folders of any names, matched by file name; a dataset.json beside both names their labels.

    Raises DatasetError where one is no folder, holds nothing, or dataset.json cannot be used.
    """
    try:
        beside = images.resolve().parent == labels.resolve().parent
        description = read_description(labels.resolve().parent) if beside else Description()
        return _from_pair(images, labels, description, f"{images.name} + {labels.name}")
    except OSError as error:
        raise DatasetError(
            f"{error.filename or images}: cannot be read ({error.strerror}); change its permissions, or mend the link"
        ) from None


def clashing_ids(ids: Iterable[str]) -> list[str]:
    """A fault for each id that equals another up to letter case or blanks: on some disks they are one file."""
    folded: dict[str, str] = {}
    faults = []
    for case in ids:
        other = folded.setdefault(case.strip().lower(), case)
        if other != case:
            faults.append(f"case {case!r}: differs from {other!r} in letter case or blanks only; rename one")
    return faults


def _named(folder: Path, names: tuple[str, ...]) -> list[Path]:
    found = [path for path in folder.iterdir() if path.is_dir() and path.name.lower() in names]
    return sorted(found, key=lambda path: names.index(path.name.lower()))


def _by_stem(folder: Path, source: Source) -> dict[str, list[Path]]:
    """Image files by stem; what else lies there is noted."""
    found: dict[str, list[Path]] = {}
    files, notes = regular_images(folder, "")
    for path in files:
        stem, ending = split_ending(path.name) or ("", "")
        if ending.lower() == ".hdr" and path.with_suffix(".img").exists():
            continue  # the pair is listed by its .img
        found.setdefault(stem, []).append(path)
    source.notes += notes
    return found


def _single(case: str, files: list[Path], source: Source) -> Path:
    if len(files) > 1:
        names = " and ".join(path.name for path in files)
        source.faults.append((case, f"{files[0]}: ambiguous, {names} are the same scan; keep one of them"))
    return files[0]


def _from_pair(images: Path, labels: Path, description: Description, layout: str, exactly: int | None = None) -> Source:
    source = Source(layout, description)
    for needed in (images, labels):
        if not needed.is_dir():
            raise DatasetError(f"{missing_path(needed)}; a data set needs {images.name} and {labels.name}")
    image_of, label_of = _by_stem(images, source), _by_stem(labels, source)
    if not label_of:
        raise DatasetError("\n".join([f"{labels}: no image file; put the label files there ({KINDS})", *source.notes]))
    parts: dict[str, dict[int, Path]] = {case: {} for case in label_of}
    for stem, files in image_of.items():
        match = CHANNEL.match(stem)
        case, number = (match[1], int(match[2])) if match and stem not in label_of else (stem, 0)
        path = _single(case, files, source)
        if case not in label_of:
            source.faults.append(
                (
                    case,
                    (
                        f"{path}: no label {case} in {labels.name}{near_names(case, label_of)}; add it or move the"
                        " image away"
                    ),
                )
            )
        elif number in parts[case]:
            source.faults.append(
                (case, f"{path}: ambiguous, {parts[case][number].name} is the same channel; keep one of them")
            )
        else:
            parts[case][number] = path
    label_files = {case: _single(case, files, source) for case, files in label_of.items()}
    for case in [case for case, channels in parts.items() if not channels]:
        near = near_names(case, image_of)
        source.faults.append(
            (case, f"{label_files[case]}: no image of this name in {images.name}{near}; add it or move the label away")
        )
        del parts[case]
    _add_cases(source, parts, label_files, exactly)
    return source


def _add_cases(
    source: Source, parts: Mapping[str, Mapping[int, Path]], labels: Mapping[str, Path], exactly: int | None
) -> None:
    """Add the cases that have the channels of most cases, or 0 to `exactly` - 1; the others are faults."""
    numbers = Counter(tuple(sorted(channels)) for channels in parts.values())
    usual = tuple(range(exactly)) if exactly else numbers.most_common(1)[0][0] if numbers else ()
    for case, channels in sorted(parts.items()):
        if tuple(sorted(channels)) == usual:
            source.cases.append(SourceCase(case, tuple(channels[number] for number in usual), labels[case]))
        else:
            got, wanted = (" ".join(f"{number:04d}" for number in some) for some in (sorted(channels), usual))
            whose = "dataset.json names" if exactly else "most cases have"
            text = (
                f"{min(channels.values())}: case {case} has channels {got}, but {whose} {wanted}; add or remove files"
            )
            source.faults.append((case, text))


def _from_training_list(folder: Path, description: Description, training: list[tuple[str, str]]) -> Source:
    source = Source(description.kind, description)
    folders = {(folder / name).parent for pair in training for name in pair}
    stems_of = {inside: _by_stem(inside, source) if inside.is_dir() else {} for inside in folders}
    seen: set[str] = set()
    for image, label in training:
        case = _stem(label)
        before = len(source.faults)
        images = _listed_images(folder / image, len(description.channel_names), case, stems_of, source)
        label_file = _listed(folder / label, case, stems_of, source)
        if case in seen:
            source.faults.append((case, f"{folder / 'dataset.json'}: training lists {case} twice; keep one"))
        elif len(source.faults) == before:
            source.cases.append(SourceCase(case, images, label_file))
        seen.add(case)
    listed = {path for case in source.cases for path in (*case.images, case.label)}
    extra = sorted(
        path for stems in stems_of.values() for files in stems.values() for path in files if path not in listed
    )
    if extra and not source.faults:
        source.notes.append(
            f"{extra[0].parent}: {len(extra)} files ({extra[0].name}, ...) are not in dataset.json's training list;"
            " left out"
        )
    return source


def _stem(name: str) -> str:
    name = Path(name).name
    return (split_ending(name) or (name, ""))[0]


def _listed(path: Path, case: str, stems_of: Mapping[Path, Mapping[str, list[Path]]], source: Source) -> Path:
    """A file of the training list, checked to be there, and alone."""
    stems = stems_of[path.parent]
    same = stems.get(_stem(path.name), [])
    if len(same) > 1:
        _single(case, same, source)
    elif path not in same and not path.exists():
        near = near_names(path.name, [other.name for files in stems.values() for other in files])
        source.faults.append(
            (case, f"{path}: not found, but dataset.json lists it{near or '; restore it or take it off the list'}")
        )
    return path


def _listed_images(
    path: Path, channels: int, case: str, stems_of: Mapping[Path, Mapping[str, list[Path]]], source: Source
) -> tuple[Path, ...]:
    """The listed file itself, or ID_0000, ID_0001, ... which nnU-Net v1 lists as ID."""
    stems, stem = stems_of[path.parent], _stem(path.name)
    split = [f"{stem}_{channel:04d}" for channel in range(channels)]
    if stem not in stems and all(name in stems for name in split):
        return tuple(_single(case, stems[name], source) for name in split)
    return (_listed(path, case, stems_of, source),)


def _from_case_folders(folder: Path, description: Description) -> Source | None:
    """None where no folder X holds an X_img or an X_mask."""
    source = Source("X/X_img + X/X_mask", description)
    parts: dict[str, dict[int, Path]] = {}
    labels: dict[str, Path] = {}
    recognised = False
    for inside in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        case, stems = inside.name, _by_stem(inside, source)
        images: dict[int, Path] = {}
        masks = [files for stem, files in stems.items() if stem in {case + suffix for suffix in LABEL_SUFFIXES}]
        for stem, files in stems.items():
            match = CHANNEL.match(stem)
            name, number = (match[1], int(match[2])) if match else (stem, 0)
            if name in {case + suffix for suffix in IMAGE_SUFFIXES}:
                images[number] = _single(case, files, source)
        recognised = recognised or bool(images or masks)
        if images and len(masks) == 1:
            parts[case], labels[case] = images, _single(case, masks[0], source)
        elif stems:
            lacking = f"{len(masks)} label files" if images else f"no image {case}_img"
            source.faults.append((case, f"{inside}: {lacking}; a case needs {case}_img and one {case}_mask"))
    _add_cases(source, parts, labels, None)
    return source if recognised else None
