"""A scan that does not say where its axes point is read with a note, and one
that does not say how large its voxels are is refused, in every format.
"""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from hippopt import Predictor
from hippopt.errors import ImageError
from hippopt.files.array_scan import scan_of_nibabel
from hippopt.files.image_io import read_scan
from hippopt.files.itk_reading import unset_geometry
from tests.synthetic import blob_case, edit_header, save_nifti

IMAGE = blob_case(4)[0].astype("<f4")
RAW = IMAGE.tobytes("F")
NRRD = "NRRD0004\ntype: float\ndimension: 3\nsizes: 18 26 14\nendian: little\nencoding: raw\n"
META = "ObjectType = Image\nNDims = 3\nDimSize = 18 26 14\nElementType = MET_FLOAT\n"
NO_AXES = {
    "spacings.nrrd": NRRD + "spacings: 1 1 2\n\n",
    "no space.nrrd": NRRD + "space dimension: 3\nspace directions: (1,0,0) (0,1,0) (0,0,2)\n\n",
    "scanner.nrrd": NRRD + "space: scanner-xyz\nspace directions: (1,0,0) (0,1,0) (0,0,2)\n\n",
    "spacing.mha": META + "ElementSpacing = 1 1 2\nElementDataFile = LOCAL\n",
    "size.mha": META + "ElementSize = 1 1 2\nElementDataFile = LOCAL\n",
    "letters.mha": META + "ElementSpacing = 1 1 2\nAnatomicalOrientation = RAI\nElementDataFile = LOCAL\n",
}
NO_SIZE = {
    "nothing.nrrd": NRRD + "\n",
    "nan.nrrd": NRRD + "spacings: nan nan nan\n\n",
    "two of three.nrrd": NRRD + "spacings: 1 1 nan\n\n",
    "nothing.mha": META + "ElementDataFile = LOCAL\n",
    "axes alone.mha": META + "TransformMatrix = 1 0 0 0 1 0 0 0 1\nElementDataFile = LOCAL\n",
}
STATED = {
    "stated.nrrd": (
        NRRD + "space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,2)\nspace origin: (0,0,0)\n\n"
    ),
    "ras.nrrd": NRRD + "space: RAS\nspace directions: (1,0,0) (0,1,0) (0,0,2)\n\n",
    "stated.mha": META + "ElementSpacing = 1 1 2\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nElementDataFile = LOCAL\n",
    "orientation.mha": META + "ElementSpacing = 1 1 2\nOrientation = 1 0 0 0 1 0 0 0 1\nElementDataFile = LOCAL\n",
}


def written(folder: Path, name: str, header: str) -> Path:
    (folder / name).write_bytes(header.encode() + RAW)
    return folder / name


@pytest.mark.parametrize("name", NO_AXES)
def test_row_81_no_axes(tmp_path: Path, name: str) -> None:
    scan = read_scan(written(tmp_path, name, NO_AXES[name]))
    assert (
        scan.notes[0].startswith(f"{name}: states no orientation; read as LPS")
        and "check left and right" in scan.notes[0]
    )
    assert scan.grid.spacing_mm == (2, 1, 1)


@pytest.mark.parametrize("name", NO_SIZE)
def test_row_81_no_size(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match=f"{name}: states no voxel size"):
        read_scan(written(tmp_path, name, NO_SIZE[name]))


@pytest.mark.parametrize("name", STATED)
def test_row_81_what_is_stated_needs_no_word(tmp_path: Path, name: str) -> None:
    assert read_scan(written(tmp_path, name, STATED[name])).notes == []


def test_row_81_images_in_memory(trained_root: Path) -> None:
    assert "default spacing" in unset_geometry(sitk.GetImageFromArray(IMAGE.T), "scan")[0]
    placed = sitk.GetImageFromArray(IMAGE.T)
    placed.SetOrigin((3, 4, 5))
    assert unset_geometry(placed, "scan") == []
    analyze = nibabel.AnalyzeImage(IMAGE, None)
    analyze.header.set_zooms((1, 1, 2))
    analyze = nibabel.AnalyzeImage(IMAGE, analyze.header.get_base_affine(), analyze.header)
    assert "Analyze states no orientation" in scan_of_nibabel(analyze, "scan").notes[0]
    predictor = Predictor.load(trained_root, folds=0, device="cpu")
    for image in (sitk.GetImageFromArray(IMAGE.T), analyze):
        assert any("check" in warning and "left and right" in warning for warning in predictor.predict(image).warnings)


def test_row_81_nifti_and_analyze_without_voxel_size(tmp_path: Path) -> None:
    path = edit_header(
        save_nifti(tmp_path / "a.nii.gz", IMAGE), sform_code=0, qform_code=0, pixdim=[1, 0, 0, 0, 0, 0, 0, 0]
    )
    with pytest.raises(ImageError, match="sizes must be above 0"):
        read_scan(path)
    header = nibabel.AnalyzeHeader()
    header.set_data_shape(IMAGE.shape)
    header.set_data_dtype(np.float32)
    header["pixdim"][1:4] = 0
    (tmp_path / "b.hdr").write_bytes(header.binaryblock)
    (tmp_path / "b.img").write_bytes(RAW)
    with pytest.raises(ImageError, match="sizes must be above 0"):
        read_scan(tmp_path / "b.img")
