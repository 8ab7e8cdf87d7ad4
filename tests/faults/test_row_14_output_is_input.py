"""An output folder that is the input folder stops the command."""

from pathlib import Path

import pytest

from tests.synthetic import Command, run_predict, write_scans
from tests.trained import assert_stopped, contents


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
@pytest.mark.parametrize("kind", ["the same", "by a link", "by a detour", "a file in it"])
def test_row_14_prediction_stops(
    trained_root: Path, tmp_path: Path, run_command: Command, kind: str, more: tuple[str, ...]
) -> None:
    scans = write_scans(tmp_path / "scans", "a.nii.gz")
    (tmp_path / "link").symlink_to("scans")
    output = {"by a link": tmp_path / "link", "by a detour": tmp_path / "link" / ".." / "scans"}.get(kind, scans)
    before = contents(scans)
    source = scans / "a.nii.gz" if kind == "a file in it" else scans
    assert_stopped(
        run_predict(run_command, trained_root, source, output, *more),
        output,
        "same folder as the input",
        "choose another",
        code=1,
    )
    assert contents(scans) == before
