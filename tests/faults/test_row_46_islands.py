"""Labels of a single voxel, and islands beside a structure, get a warning with their number."""

from pathlib import Path

from tests.synthetic import Command, read_mask, run_plan, save_nifti
from tests.trained import DATASET


def test_row_46_planning_warns_with_the_count(workspace: Path, run_command: Command) -> None:
    labels = workspace / "raw_data" / DATASET / "labelsTr"
    islands = read_mask(labels / "case_001.nii.gz").copy()
    islands[0, 0, 0] = islands[17, 0, 0] = 1
    save_nifti(labels / "case_001.nii.gz", islands)
    single = read_mask(labels / "case_002.nii.gz").copy()
    single[single == 2] = 0
    single[3, 4, 5] = 2
    save_nifti(labels / "case_002.nii.gz", single)
    code, _, err = run_plan(run_command, workspace, "--verify-only")
    assert (
        code == 0
        and "case_001.nii.gz: label front has 2 islands" in err
        and "case_002.nii.gz: label back has 1 voxel only" in err
    )
    assert "case_003" not in err
