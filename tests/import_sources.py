"""Small folders of labelled scans in the layouts that `hippopt_import` knows."""

import gzip
import json
from pathlib import Path

import nibabel
import numpy as np

from tests.synthetic import save_nifti

SHAPE = (7, 9, 6)
# a rotated grid with three voxel sizes: a slip of axes or of handedness shows
AFFINE = np.array(
    [[-0.8, 0.0, 0.0, 31.5], [0.0, 1.2 * 0.96, -2.0 * 0.28, -12.25], [0.0, 1.2 * 0.28, 2.0 * 0.96, 7.0], [0, 0, 0, 1]]
)


def scan(seed: int) -> np.ndarray:
    """(x, y, z) int16 values between -500 and 3000."""
    return np.random.default_rng(seed).integers(-500, 3000, SHAPE).astype(np.int16)


def labels(seed: int, values: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    """(x, y, z) uint8: each of `values` occurs."""
    return (
        np.random.default_rng(seed + 1000)
        .permutation(np.resize(values, np.prod(SHAPE)))
        .reshape(SHAPE)
        .astype(np.uint8)
    )


def save(path: Path, array: np.ndarray) -> Path:
    """Write an (x, y, z) array with the oblique affine, in the format of the file's ending."""
    return save_nifti(path, array, AFFINE)


def write_pair(
    folder: Path, cases: int = 3, images: str = "images", masks: str = "labels", values: tuple[int, ...] = (0, 1, 2)
) -> Path:
    """`images/case_N.nii.gz` and `labels/case_N.nii.gz`."""
    for number in range(cases):
        save(folder / images / f"case_{number}.nii.gz", scan(number))
        save(folder / masks / f"case_{number}.nii.gz", labels(number, values))
    return folder


def write_decathlon(folder: Path, cases: int = 3, modalities: tuple[str, ...] = ("MRI",)) -> Path:
    """The Decathlon's layout; several modalities lie along the fourth axis."""
    training = []
    for number in range(cases):
        name = f"task_{number:03d}.nii.gz"
        channels = [scan(100 * channel + number) for channel in range(len(modalities))]
        save(folder / "imagesTr" / name, np.stack(channels, -1) if len(channels) > 1 else channels[0])
        save(folder / "labelsTr" / name, labels(number))
        training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    description = {
        "name": "Task", "licence": "CC0", "modality": {str(i): name for i, name in enumerate(modalities)},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"}, "numTraining": cases, "training": training,
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def write_case_folders(folder: Path, cases: int = 3) -> Path:
    """`subN/subN_img.nii.gz` and `subN/subN_mask.nii.gz`."""
    for number in range(1, cases + 1):
        save(folder / f"sub{number}" / f"sub{number}_img.nii.gz", scan(number))
        save(folder / f"sub{number}" / f"sub{number}_mask.nii.gz", labels(number))
    return folder


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(x, y, z) values and affine of a NIfTI file, by nibabel alone."""
    image = nibabel.load(path)
    return np.asanyarray(image.dataobj), image.affine


def cut(path: Path, keep: float = 0.6) -> None:
    """Truncate a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def unzip(path: Path) -> Path:
    """Turn X.nii.gz into X.nii."""
    plain = path.with_suffix("")
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    return plain


def made(root: Path) -> list[str]:
    """Everything in raw_data, hidden names included."""
    folder = root / "raw_data"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
