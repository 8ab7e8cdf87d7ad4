"""The real labelled sets as data sets of a workspace, each imported by one command that says what it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.synthetic import Command

TASK04, MALC = "Task04_Hippocampus", "MALC2012_train"
MALC_VALUES = {"hippocampus_left": 48, "hippocampus_right": 47}  # of its parcellation


@dataclass(frozen=True)
class Imported:
    """source: the folder it came from; folder: its raw data in the workspace; said, warned: what the command wrote to
    its two outputs.
    """

    source: Path
    folder: Path
    said: str
    warned: str


def real_folder(real_data: Path, name: str) -> Path:
    """A folder of the real scans; the test is skipped where there is none."""
    folder = real_data / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


def case_names(images: Path) -> list[str]:
    """The scans of a folder of images, in order."""
    return sorted(path.name.removesuffix(".nii.gz") for path in images.glob("[!.]*.nii.gz"))


def import_task04(real_data: Path, root: Path, run_command: Command, cases: Sequence[str] = ()) -> Imported:
    """The Decathlon's hippocampi with their subjects; all cases where none is named."""
    source = real_folder(real_data, TASK04)
    chosen = ("--cases", ",".join(cases)) if cases else ()
    code, said, warned = run_command(
        "import_dataset", source, "--id", 4, "--name", "Hippocampus", "--subjects", source / "subjects.tsv",
        *chosen, "--root", root,
    )  # fmt: skip
    assert code == 0, warned
    return Imported(source, root / "raw_data" / "Dataset004_Hippocampus", said, warned)


def import_malc(real_data: Path, root: Path, run_command: Command, cases: Sequence[str]) -> Imported:
    """Both hippocampi of these whole brains, taken from their parcellations."""
    source = real_folder(real_data, MALC)
    values = [f"{label}={value}" for label, value in MALC_VALUES.items()]
    code, said, warned = run_command(
        "import_dataset", source, "--id", 12, "--name", "Malc", "--labels", *values,
        "--cases", ",".join(cases), "--root", root,
    )  # fmt: skip
    assert code == 0, warned
    return Imported(source, root / "raw_data" / "Dataset012_Malc", said, warned)
