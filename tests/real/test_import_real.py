"""The two real labelled sets: a Decathlon folder with subjects, and a whole-brain parcellation."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from hippopt.artifacts.dataset import load_dataset
from tests.import_sources import read
from tests.real.imports import import_malc, import_task04
from tests.synthetic import Command

pytestmark = pytest.mark.real


def test_task04(real_data: Path, tmp_path: Path, run_command: Command) -> None:
    imported = import_task04(real_data, tmp_path, run_command)
    source = imported.source
    assert "warning" not in imported.warned, imported.warned
    dataset = load_dataset(imported.folder)
    assert len(dataset.cases) == 208 and len({case.subject for case in dataset.cases}) == 137
    assert dataset.labels == {"background": 0, "Anterior": 1, "Posterior": 2}
    assert "labels of 2 cases (hippocampus_003, hippocampus_243) were stored as decimals" in imported.said
    for case in dataset.cases:
        name = f"{case.id}.nii.gz"
        assert Path(case.channels[0]).read_bytes() == (source / "imagesTr" / name).read_bytes()
        if case.id in ("hippocampus_003", "hippocampus_243"):
            (got, got_affine), (wanted, affine) = read(Path(case.label)), read(source / "labelsTr" / name)
            np.testing.assert_array_equal(got, wanted)
            np.testing.assert_array_equal(got_affine, affine)
            assert got.dtype == np.uint8 and wanted.dtype.kind == "f"
        else:
            assert Path(case.label).read_bytes() == (source / "labelsTr" / name).read_bytes()


def test_malc(real_data: Path, tmp_path: Path, run_command: Command) -> None:
    imported = import_malc(real_data, tmp_path, run_command, ["1001", "1015"])
    source = imported.source
    assert "warning" not in imported.warned, imported.warned
    dataset = load_dataset(imported.folder)
    assert [case.id for case in dataset.cases] == ["1001", "1015"]
    assert dataset.sides == {"hippocampus_left": "left", "hippocampus_right": "right"}
    for case in dataset.cases:
        (picked, affine), (parcels, wanted_affine) = (
            read(Path(case.label)),
            read(source / "labels" / f"{case.id}.nii.gz"),
        )
        np.testing.assert_array_equal(picked, np.select([parcels == 48, parcels == 47], [1, 2]))
        np.testing.assert_array_equal(affine, wanted_affine)
        assert gzip.decompress(Path(case.channels[0]).read_bytes()) == gzip.decompress(
            (source / "images" / f"{case.id}.nii.gz").read_bytes()
        )
        # the file's x axis runs to the left: the left hippocampus has the larger index
        assert np.nonzero(picked == 1)[0].mean() > np.nonzero(picked == 2)[0].mean()
