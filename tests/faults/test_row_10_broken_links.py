"""A link to nothing, or in a circle, is named as such."""

from pathlib import Path

from tests.synthetic import Command, failures, run_plan, run_predict, write_scans
from tests.trained import DATASET, assert_stopped


def test_row_10_planning_names_the_links(workspace: Path, run_command: Command) -> None:
    folder = workspace / "raw_data" / DATASET
    image, label = folder / "imagesTr" / "case_001_0000.nii.gz", folder / "labelsTr" / "case_002.nii.gz"
    for path, target in ((image, "gone.nii.gz"), (label, label.name)):
        path.unlink()
        path.symlink_to(target)
    assert_stopped(
        run_plan(run_command, workspace),
        image,
        "broken link to gone.nii.gz",
        label,
        f"broken link to {label.name}",
        "restore",
        code=1,
    )


def test_row_10_prediction_names_the_links_and_follows_sound_ones(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    write_scans(tmp_path / "elsewhere", "a.nii.gz")
    scans = tmp_path / "scans"
    scans.mkdir()
    for name, target in (("a", "../elsewhere/a"), ("b", "gone"), ("c", "d"), ("d", "c")):
        (scans / f"{name}.nii.gz").symlink_to(f"{target}.nii.gz")
    code, _, err = run_predict(run_command, trained_root, scans, tmp_path / "out")
    assert code == 1 and "Traceback" not in err
    found = failures(tmp_path / "out")
    assert sorted(found) == ["b", "c", "d"] and (tmp_path / "out" / "a.nii.gz").exists()
    for name, target in (("b", "gone"), ("c", "d"), ("d", "c")):
        assert f"{name}.nii.gz: broken link to {target}.nii.gz" in found[name]


def test_row_10_output_and_dataset_behind_a_circle(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    (tmp_path / "out").symlink_to("out")
    assert_stopped(
        run_predict(run_command, trained_root, scans, tmp_path / "out"), tmp_path / "out", "cannot be written", code=1
    )
    assert_stopped(
        run_predict(run_command, trained_root, tmp_path / "out", tmp_path / "masks"), "out: broken link", code=1
    )
