"""Small synthetic scans and data sets for the tests."""

import contextlib
import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd

from hippopt.inference.label_tables import FILES

# a tiny network on tiny patches: what the tests check does not depend on its size
TINY = [
    "network.size=tiny",
    "patch_size=16,32,16",
    "batch_size=2",
    "schedule.steps_per_epoch=3",
    "schedule.warmup_steps=2",
]
Command = Callable[..., tuple[int, str, str]]


def blob_case(seed: int, shape: tuple[int, int, int] = (18, 26, 14)) -> tuple[np.ndarray, np.ndarray]:
    """(image float32, label uint8), indexed (x, y, z) on RAS axes: a
    bright ellipsoid, label 1 in its brighter front half, 2 behind.
    """
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"))
    centre = rng.uniform(-1.5, 1.5, 3)
    inside = sum(((grid[axis] - centre[axis]) / radius) ** 2 for axis, radius in enumerate((4.0, 7.5, 3.5))) < 1
    label = np.where(inside, np.where(grid[1] > centre[1], 1, 2), 0).astype(np.uint8)
    image = 100 + np.array([0, 70, 40])[label] + rng.normal(0, 8, shape) + 10 * grid[0] / shape[0]
    return image.astype(np.float32), label


def save_nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """Write an (x, y, z) array; RAS at 1 mm unless an affine is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


def write_dataset(
    root: Path, cases: int = 6, name: str = "Dataset007_Blob", per_subject: int = 1, first: int = 0
) -> Path:
    """A raw data set in nnU-Net's layout under `root`, of the blobs from number `first`; returns its folder."""
    folder = root / "raw_data" / name
    subjects = {}
    for number in range(first, first + cases):
        case = f"case_{number:03d}"
        image, label = blob_case(number)
        save_nifti(folder / "imagesTr" / f"{case}_0000.nii.gz", image)
        save_nifti(folder / "labelsTr" / f"{case}.nii.gz", label)
        subjects[case] = f"S{number // per_subject:02d}"
    description = {
        "channel_names": {"0": "T1"}, "labels": {"background": 0, "front": 1, "back": 2}, "numTraining": cases,
        "file_ending": ".nii.gz", "subjects": subjects,
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def write_scans(folder: Path, *names: str) -> Path:
    """Unlabelled scans, each of another blob; returns the folder."""
    for number, name in enumerate(names):
        save_nifti(folder / name, blob_case(100 + number)[0])
    return folder


def edit_header(path: Path, **fields: object) -> Path:
    """Set fields of a NIfTI-1 file's header and nothing else, sound or not: `pixdim=[...]`, `sform_code=0`."""
    data = path.read_bytes()
    zipped = data[:2] == b"\x1f\x8b"
    data = gzip.decompress(data) if zipped else data
    header = nibabel.Nifti1Header(data[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    data = header.binaryblock + data[348:]
    path.write_bytes(gzip.compress(data) if zipped else data)
    return path


def run_predict(run_command: Command, root: Path, source: Path, output: Path, *more: object) -> tuple[int, str, str]:
    """hippopt_predict with fold 0 of the tiny networks."""
    return run_command("predict", "-i", source, "-o", output, "--root", root, "-f", 0, "--device", "cpu", *more)


def run_plan(run_command: Command, root: Path, *more: object) -> tuple[int, str, str]:
    """hippopt_plan for the tiny networks."""
    return run_command("plan", "--root", root, "--device", "cpu", *more, "--set", *TINY)


def read_mask(path: Path) -> np.ndarray:
    """(x, y, z) values."""
    return np.asarray(nibabel.load(path).dataobj)


def failures(output: Path) -> dict[str, str]:
    """Scan -> reason, of failures.tsv; empty where there is none."""
    path = output / "failures.tsv"
    return pd.read_csv(path, sep="\t", dtype=str).set_index("scan").reason.to_dict() if path.exists() else {}


def volumes(output: Path) -> pd.DataFrame:
    """volumes.tsv."""
    return pd.read_csv(output / "volumes.tsv", sep="\t", dtype={"scan": str}, keep_default_na=False)


def assert_only_failed(outcome: tuple[int, str, str], output: Path, bad: str, good: list[str], *words: str) -> None:
    """One scan of a batch failed for this reason and is listed; the others were segmented."""
    code, _, err = outcome
    assert code == 1 and "Traceback" not in err, err
    found = failures(output)
    assert list(found) == [bad]
    for word in words:
        assert word in found[bad] and word in err, f"{word!r} is not in: {found[bad]}"
    assert "\n" not in found[bad]
    assert sorted(set(volumes(output).scan)) == sorted(good)
    names = [path.name for path in output.iterdir()]
    assert sorted(name.split(".")[0] for name in names if name not in FILES) == sorted(
        [*good, "failures", "prediction", "volumes", "volumes_wide"]
    )


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that other users may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Root ignores permissions: be nobody meanwhile."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(user)
