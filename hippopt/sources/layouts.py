"""Recognise how a folder of labelled scans is laid out, and list its cases. No image is opened.

Known: the Medical Segmentation Decathlon's layout, nnU-Net v2's, a pair of folders (`images` and `labels`, or the
like), and a folder a case (`X/X_img` and `X/X_mask`).
"""

from collections.abc import Mapping
from pathlib import Path

from hippopt.artifacts.case_tables import missing_path, near_names
from hippopt.artifacts.dataset import KINDS, split_channel, split_ending
from hippopt.console import counted
from hippopt.errors import DatasetError
from hippopt.files.scan_listing import regular_images
from hippopt.sources.description import Description, read_description
from hippopt.sources.source_cases import Source, SourceCase

IMAGE_FOLDERS = ("imagestr", "images", "image", "imgs", "img", "scans")
LABEL_FOLDERS = ("labelstr", "labels", "label", "masks", "mask", "segmentations", "segmentation", "segs", "seg")
IMAGE_SUFFIXES = ("_img", "_image")
LABEL_SUFFIXES = ("_mask", "_seg", "_label")
REMEDY = (
    "give a folder with dataset.json, imagesTr and labelsTr (Decathlon or nnU-Net v2), with images and labels, "
    "or with X/X_img and X/X_mask for each case X, or two folders by --images DIR --labels-dir DIR"
)


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
            f"{folder / 'dataset.json'}: numTraining is {stated}, but the folder holds"
            f" {counted(len(source.case_ids), 'case')}"
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


def _named(folder: Path, names: tuple[str, ...]) -> list[Path]:
    found = [path for path in folder.iterdir() if path.is_dir() and path.name.lower() in names]
    return sorted(found, key=lambda path: names.index(path.name.lower()))


def _from_pair(images: Path, labels: Path, description: Description, layout: str, exactly: int | None = None) -> Source:
    source = Source(layout, description)
    for needed in (images, labels):
        if not needed.is_dir():
            raise DatasetError(f"{missing_path(needed)}; a data set needs {images.name} and {labels.name}")
    image_of, label_of = source.files_by_stem(images), source.files_by_stem(labels)
    if not label_of:
        raise DatasetError("\n".join([f"{labels}: no image file; put the label files there ({KINDS})", *source.notes]))
    parts: dict[str, dict[int, Path]] = {case: {} for case in label_of}
    for stem, files in image_of.items():
        case, number = (None if stem in label_of else split_channel(stem)) or (stem, 0)
        path = source.single(case, files)
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
    label_files = {case: source.single(case, files) for case, files in label_of.items()}
    for case in [case for case, channels in parts.items() if not channels]:
        near = near_names(case, image_of)
        source.faults.append(
            (case, f"{label_files[case]}: no image of this name in {images.name}{near}; add it or move the label away")
        )
        del parts[case]
    source.add_cases(parts, label_files, exactly)
    return source


def _from_training_list(folder: Path, description: Description, training: list[tuple[str, str]]) -> Source:
    source = Source(description.kind, description)
    folders = {(folder / name).parent for pair in training for name in pair}
    stems_of = {inside: source.files_by_stem(inside) if inside.is_dir() else {} for inside in folders}
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
            f"{extra[0].parent}: {counted(len(extra), 'file')} ({extra[0].name}, ...) beside dataset.json's training"
            " list: left out"
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
        source.single(case, same)
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
        return tuple(source.single(case, stems[name]) for name in split)
    return (_listed(path, case, stems_of, source),)


def _from_case_folders(folder: Path, description: Description) -> Source | None:
    """None where no folder X holds an X_img or an X_mask."""
    source = Source("X/X_img + X/X_mask", description)
    parts: dict[str, dict[int, Path]] = {}
    labels: dict[str, Path] = {}
    recognised = False
    for inside in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        case, stems = inside.name, source.files_by_stem(inside)
        images: dict[int, Path] = {}
        masks = [files for stem, files in stems.items() if stem in {case + suffix for suffix in LABEL_SUFFIXES}]
        for stem, files in stems.items():
            name, number = split_channel(stem) or (stem, 0)
            if name in {case + suffix for suffix in IMAGE_SUFFIXES}:
                images[number] = source.single(case, files)
        recognised = recognised or bool(images or masks)
        if images and len(masks) == 1:
            parts[case], labels[case] = images, source.single(case, masks[0])
        elif stems:
            lacking = f"{len(masks)} label files" if images else f"no image {case}_img"
            source.faults.append((case, f"{inside}: {lacking}; a case needs {case}_img and one {case}_mask"))
    source.add_cases(parts, labels, None)
    return source if recognised else None
