"""What lies in a folder beside the image files that are read: counted and named, with the way to have it read."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from hippopt.artifacts.dataset import split_ending

LOOKED_AT = 64  # files without a known ending whose first bytes are looked at, per folder
MOST = 20_000  # entries of subfolders that are counted
DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
CONVERT = {
    (".img.gz", ".hdr.gz"): "compressed Analyze or NIfTI pairs; unpack them with gunzip",
    (".mnc",): "MINC files; convert them with mnc2nii or nibabel",
    (".par", ".rec"): "Philips PAR/REC files; convert them with dcm2niix",
    (".nii.zst", ".nii.bz2", ".nii.xz"): "NIfTI files of another compression; pack them as .nii.gz",
    (".vtk", ".vti"): "VTK files; convert them to NIfTI or NRRD",
    (".zip", ".tar", ".tar.gz", ".tgz", ".7z"): "archives; unpack them",
}

# lie beside masks and in BIDS; nobody means them as scans
TABLES = (
    ".json",
    ".tsv",
    ".csv",
    ".html",
    ".ctbl",
    "_labels.txt",
    "_lut.txt",
    "labels_itksnap.txt",
    "labels_freesurfer.txt",
)


def passed_over(folder: Path, read: Collection[str], others: Iterable["os.DirEntry[str]"]) -> list[str]:
    """Notes on subfolders with images, DICOM slices, kinds that are not read and other files. Raises OSError.

    read: names of the image files; others: what lies there besides, but for hidden files.
    """
    stems = {name.rpartition(".")[0] for name in read if name.lower().endswith((".mhd", ".nhdr"))}
    kinds: dict[str, list[str]] = {}
    below: list[str] = []
    looked = 0
    for entry in sorted(others, key=lambda entry: entry.name):
        name = entry.name
        if _is_payload(name, stems) or name.lower().endswith(TABLES):
            continue
        path = Path(entry.path)  # asks without failing on links in a circle
        if path.is_dir():
            below += _images_below(folder, name) if len(below) < MOST else []
        elif path.is_file():
            kind = _kind_by_name(name)
            if not kind and looked < LOOKED_AT:
                looked += 1
                kind = "DICOM" if _is_dicom(folder / name) else ""
            elif not kind and kinds.get("DICOM"):
                kind = "DICOM"  # a series has thousands of slices without an ending
            kinds.setdefault(kind, []).append(name)
    notes = []
    if below:
        more = " or more" if len(below) >= MOST else ""
        notes.append(
            f"{folder}: {len(below)}{more} image files in subfolders ({below[0]}{', ...' if len(below) > 1 else ''})"
            " are passed over; give each folder by itself, or put the files, or links to them, into one"
        )
    for kind, names in kinds.items():
        told = f"{len(names)} {'file' if len(names) == 1 else 'files'} ({names[0]}{', ...' if len(names) > 1 else ''})"
        if kind == "DICOM":
            notes.append(
                f"{folder}: {told} of DICOM slices passed over; convert each series to NIfTI first: dcm2niix -z y"
                f" {folder}"
            )
        elif kind:
            notes.append(f"{folder}: {told} passed over: {kind}")
        else:
            notes.append(f"{folder}: {told} that are no images ignored")
    return notes


def _is_payload(name: str, stems: Collection[str]) -> bool:
    """Whether it holds the voxels of a detached header."""
    return any(
        name.startswith(f"{stem}.") and name.lower().endswith((".raw", ".zraw", ".gz", ".bz2")) for stem in stems
    )


def _kind_by_name(name: str) -> str:
    lower = name.lower()
    if lower.endswith(DICOM_ENDINGS) or lower == "dicomdir":
        return "DICOM"
    return next((words for endings, words in CONVERT.items() if lower.endswith(endings)), "")


def _is_dicom(path: Path) -> bool:
    try:
        with open(path, "rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _images_below(folder: Path, name: str) -> list[str]:
    """Image files and DICOM files below a subfolder, by path."""
    found: list[str] = []
    for place, folders, names in os.walk(folder / name):
        folders[:] = sorted(inner for inner in folders if not inner.startswith("."))
        found += [
            str((Path(place) / inner).relative_to(folder))
            for inner in sorted(names)
            if not inner.startswith(".") and (split_ending(inner) or inner.lower().endswith(DICOM_ENDINGS))
        ]
        if len(found) >= MOST:
            break
    return found
