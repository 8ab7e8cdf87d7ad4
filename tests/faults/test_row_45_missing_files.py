"""Images without a label and labels without an image are listed, all of them."""

from pathlib import Path

from tests.synthetic import Command, run_plan
from tests.trained import DATASET, assert_stopped


def test_row_45_planning_lists_all(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    missing = [folder / "labelsTr" / f"case_00{number}.nii.gz" for number in (0, 1)]
    missing += [folder / "imagesTr" / f"case_00{number}_0000.nii.gz" for number in (3, 4)]
    for path in missing:
        path.unlink()
    (folder / "imagesTr" / "case_002_0000.nii.gz").rename(
        folder / "imagesTr" / "case_002.nii.gz"
    )  # without its channel
    outcome = run_plan(run_command, workspace)
    assert_stopped(outcome, "add the image or remove the label", "add the label or move the image away", code=1)
    for words in (
        "case_000_0000.nii.gz: no label case_000.nii.gz", "case_001_0000.nii.gz: no label case_001.nii.gz",
        "case_002_0000.nii.gz: missing", "case_003_0000.nii.gz: missing", "case_004_0000.nii.gz: missing",
        "case_002.nii.gz: no label", "subjects names 'case_000'",
    ):  # fmt: skip
        assert words in outcome[2]
    assert not (workspace / "plans").exists()
