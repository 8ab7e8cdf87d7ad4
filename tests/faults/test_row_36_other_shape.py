"""A label of another shape than its image is refused."""

from pathlib import Path

from tests.synthetic import Command, read_mask, run_plan, save_nifti
from tests.trained import DATASET, assert_stopped, contents


def test_row_36_planning_stops_with_both_shapes(workspace: Path, run_command: Command) -> None:
    path = workspace / "raw_data" / DATASET / "labelsTr" / "case_002.nii.gz"
    save_nifti(path, read_mask(path)[:, 1:])
    before = contents(workspace)
    for more in ((), ("--fix-headers",)):  # no header can mend it
        outcome = run_plan(run_command, workspace, *more)
        assert_stopped(
            outcome, path, "(14, 25, 18)", "case_002_0000.nii.gz has (14, 26, 18)", "resample", "1 of 6 cases", code=1
        )
    assert contents(workspace) == before
