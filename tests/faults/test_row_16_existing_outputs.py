"""Masks that are there already are kept where they belong to their scan, and are never replaced unasked."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import (
    Command,
    assert_only_failed,
    blob_case,
    failures,
    read_mask,
    run_predict,
    save_nifti,
    volumes,
    write_scans,
)
from tests.trained import contents


def test_row_16_masks_are_kept_and_their_volumes_told(
    trained_root: Path, tmp_path: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans, out = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz"), tmp_path / "out"
    assert run_predict(run_command, trained_root, scans, out)[0] == 0
    table = volumes(out)
    drawn = read_mask(out / "a.nii.gz") * 0
    drawn[2:5, 3:6, 4] = 1  # a person's correction
    save_nifti(out / "a.nii.gz", drawn)
    before = contents(out)
    monkeypatch.setattr(
        "hippopt.inference.segmentation.predict_probabilities", lambda *_: pytest.fail("predicted anew")
    )
    for remove in (False, True):  # a run that was stopped has written no table yet
        if remove:
            (out / "volumes.tsv").unlink()
        code, said, _ = run_predict(run_command, trained_root, scans, out)
        assert code == 0 and "segmented 0, kept 2, failed 0" in said and "--overwrite" in said
        assert contents(out)["a.nii.gz"] == before["a.nii.gz"] and contents(out)["b.nii.gz"] == before["b.nii.gz"]
        found = volumes(out)
        assert found[found.scan == "a"].voxels.tolist() == [9, 0]
        assert found[found.scan == "b"].equals(table[table.scan == "b"])


def other_grid(path: Path) -> None:
    save_nifti(path, read_mask(path), np.diag([1.0, 1, 1.1, 1]))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def another_image(path: Path) -> None:
    save_nifti(path, read_mask(path).astype(np.float32) + 40)


@pytest.mark.parametrize(
    ("spoil", "reason"), [(other_grid, "another grid"), (cut, "truncated"), (another_image, "other values")]
)
def test_row_16_what_is_no_mask_of_the_scan_is_left_alone(
    trained_root: Path, tmp_path: Path, run_command: Command, spoil: Callable[[Path], None], reason: str
) -> None:
    scans, out = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz"), tmp_path / "out"
    assert run_predict(run_command, trained_root, scans, out)[0] == 0
    before = contents(out)
    spoil(out / "b.nii.gz")
    spoilt = (out / "b.nii.gz").read_bytes()
    code, _, err = run_predict(run_command, trained_root, scans, out)
    assert code == 1 and (out / "b.nii.gz").read_bytes() == spoilt
    found = failures(out)
    assert list(found) == ["b"] and all(
        word in found["b"] and word in err for word in (str(out / "b.nii.gz"), reason, "--overwrite")
    )
    assert run_predict(run_command, trained_root, scans, out, "--overwrite")[0] == 0
    assert contents(out) == before  # failures.tsv is gone again


def test_row_16_the_table_keeps_scans_of_earlier_calls(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    scans, out = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz"), tmp_path / "out"
    for name in ("a", "b"):
        assert run_predict(run_command, trained_root, scans / f"{name}.nii.gz", out)[0] == 0
    assert volumes(out).scan.tolist() == ["a", "a", "b", "b"]
    (out / "a.nii.gz").unlink()
    assert run_predict(run_command, trained_root, scans / "b.nii.gz", out)[0] == 0
    assert volumes(out).scan.tolist() == ["b", "b"]


def test_row_16_a_scan_that_broke_meanwhile_fails_and_its_mask_stays(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    scans, out = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz"), tmp_path / "out"
    assert run_predict(run_command, trained_root, scans, out)[0] == 0
    mask = (out / "b.nii.gz").read_bytes()
    (scans / "b.nii.gz").write_bytes(b"")
    outcome = run_predict(run_command, trained_root, scans, out)
    assert outcome[0] == 1 and list(failures(out)) == ["b"] and (out / "b.nii.gz").read_bytes() == mask
    (out / "b.nii.gz").unlink()
    assert_only_failed(run_predict(run_command, trained_root, scans, out), out, "b", ["a"], "empty file")


@pytest.mark.parametrize(
    "text", ["scan\tlabel\tvoxels\na\tfront\t9\n", "", "scan\t\xff\n"], ids=["other columns", "nothing", "no text"]
)
def test_row_16_a_table_of_another_version_is_replaced_and_said_so(
    trained_root: Path, tmp_path: Path, run_command: Command, text: str
) -> None:
    scans, out = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz"), tmp_path / "out"
    assert "not a table" not in run_predict(run_command, trained_root, scans, out)[2]
    table = volumes(out)
    (out / "volumes.tsv").write_bytes(text.encode("latin-1"))
    code, _, err = run_predict(run_command, trained_root, scans, out)
    assert code == 0 and err.count(f"{out / 'volumes.tsv'}: not a table") == 1 and "--overwrite" in err
    assert (
        volumes(out).columns.tolist() == table.columns.tolist()
        and volumes(out).voxels.tolist() == table.voxels.tolist()
    )
    assert "not a table" not in run_predict(run_command, trained_root, scans, out)[2]


def test_row_16_a_folder_where_every_scan_failed_is_free(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    """The remedy of a 4D scan is --volume: no mask is there that another volume made. --report has nothing to show."""
    image = np.stack([blob_case(100)[0]] * 2, -1)
    scan, out = save_nifti(tmp_path / "scans" / "four.nii.gz", image), tmp_path / "out"
    code, said, err = run_predict(run_command, trained_root, scan, out, "--report", "--json")
    assert code == 1 and "choose it with --volume" in err and "holds no mask, so there is no page" in err
    result = json.loads(said)
    assert result["error"] is None and list(result["failures"]) and result["exit_code"] == 1
    code, _, err = run_predict(run_command, trained_root, scan, out, "--volume", "0")
    assert code == 0, err
    code, _, err = run_predict(run_command, trained_root, scan, out, "--volume", "1")
    assert code == 1 and "its masks were made otherwise (volume 0 -> 1)" in err


def test_row_16_other_networks_of_one_name_are_told_in_words(
    trained_root: Path, tmp_path: Path, run_command: Command
) -> None:
    scans, out = write_scans(tmp_path / "scans", "a.nii.gz"), tmp_path / "out"
    assert run_predict(run_command, trained_root, scans, out)[0] == 0
    record = json.loads((out / "prediction.json").read_text())
    record["adapters_sha256"] = ["0" * 64]
    (out / "prediction.json").write_text(json.dumps(record))
    code, _, err = run_predict(run_command, trained_root, scans, out)
    assert code == 1 and "made otherwise (by other networks of this name)" in err and "0000" not in err
    (out / "prediction.json").write_text(json.dumps(record | {"run": "another"}))
    code, _, err = run_predict(run_command, trained_root, scans, out)
    assert code == 1 and "made otherwise (run another -> full)" in err
