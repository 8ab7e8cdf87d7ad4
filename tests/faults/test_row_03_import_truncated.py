"""An import finds a truncated file, although it copies good images without reading them."""

from pathlib import Path

import pytest

from tests.import_sources import cut, made, unzip, write_decathlon, write_pair
from tests.synthetic import Command


@pytest.mark.parametrize("folder", ["images", "labels"])
@pytest.mark.parametrize("keep", [0.02, 0.5, 0.8, 0.99])
@pytest.mark.parametrize("plain", [False, True])
def test_row_03_truncated(tmp_path: Path, run_command: Command, folder: str, keep: float, plain: bool) -> None:
    source = write_pair(tmp_path / "in")
    path = source / folder / "case_1.nii.gz"
    path = unzip(path) if plain else path
    cut(path, keep)
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and str(path) in err and "Traceback" not in err
    assert ("truncated" in err and "read" in err) or keep == 0.02
    assert made(tmp_path) == []


def test_row_03_truncated_4d(tmp_path: Path, run_command: Command) -> None:
    source = write_decathlon(tmp_path / "in", modalities=("T1", "T2"))
    cut(source / "imagesTr" / "task_001.nii.gz", 0.9)
    code, _, err = run_command("import_dataset", source, "--id", 4, "--name", "Test", "--root", tmp_path)
    assert code == 1 and "task_001.nii.gz: truncated" in err and made(tmp_path) == []
