"""A prediction that is killed while it writes leaves no half-written mask."""

import signal
from pathlib import Path

from tests.synthetic import Command, run_predict, volumes, write_scans
from tests.trained import contents, running

# dies when the second mask is half on disk under its temporary name
DIES = """
import os, signal
import hippopt.artifacts.codec as codec
written, rename = [], os.replace
def replace(source, target):
    if str(target).endswith(".nii.gz"):
        written.append(target)
    if len(written) == 2:
        with open(source, "rb+") as stream:
            stream.truncate(100)
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
os.replace = replace
"""


def test_row_17_no_half_written_mask(trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scans, out = write_scans(tmp_path / "scans", "a.nii.gz", "b.nii.gz", "c.nii.gz"), tmp_path / "out"
    arguments = [str(a) for a in ("-i", scans, "-o", out, "--root", trained_root, "-f", 0, "--device", "cpu")]
    with running(tmp_path / "process", "predict", arguments, DIES) as process:
        code, _, err = process.outcome()
    assert code == -signal.SIGKILL, err
    assert sorted(path.name for path in out.glob("*.nii.gz") if not path.name.startswith(".tmp-")) == ["a.nii.gz"]
    code, said, err = run_predict(run_command, trained_root, scans, out)
    assert code == 0 and "segmented 2, kept 1" in said, err
    assert run_predict(run_command, trained_root, scans, tmp_path / "whole")[0] == 0
    whole = contents(tmp_path / "whole")
    assert contents(out) == whole  # also without what the killed process had begun
    assert volumes(out).scan.tolist() == ["a", "a", "b", "b", "c", "c"]
