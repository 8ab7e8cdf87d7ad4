"""What happens to scans with voxels that are no numbers: planning stops, prediction reads them as 0 and says so."""

from pathlib import Path

import numpy as np

from tests.synthetic import Command, blob_case, read_mask, run_plan, run_predict, save_nifti
from tests.trained import DATASET, assert_stopped


def assert_planning_stops(workspace: Path, run_command: Command, name: str, value: float) -> None:
    path = workspace / "raw_data" / DATASET / "imagesTr" / "case_003_0000.nii.gz"
    image = read_mask(path).copy()
    image[2:4, 5, 6] = value
    save_nifti(path, image)
    assert_stopped(run_plan(run_command, workspace), path, f"2 voxels are {name}", "replace", "1 of 6 cases", code=1)
    assert not (workspace / "plans").exists()


def assert_read_as_zero(root: Path, folder: Path, run_command: Command, name: str, value: float) -> None:
    image = blob_case(5)[0]
    for file, inside in (("zero", 0), ("odd", value)):
        image[2:4, 5, 6] = inside
        save_nifti(folder / "scans" / f"{file}.nii.gz", image)
    code, _, err = run_predict(run_command, root, folder / "scans", folder / "out")
    assert code == 0 and f"odd: 2 voxels are {name}; read as 0" in err
    np.testing.assert_array_equal(*(read_mask(folder / "out" / f"{file}.nii.gz") for file in ("odd", "zero")))
