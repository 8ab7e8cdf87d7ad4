"""Names that 3D Slicer gives the values of a label file are used, layers
and cut extents of .seg.nrrd are read, and contradictions are refused.
"""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from hippopt.errors import ImageError
from hippopt.files.image_io import read_scan
from hippopt.files.label_reading import label_on_grid, read_label
from tests.synthetic import Command, blob_case, run_plan, save_nifti
from tests.trained import DATASET

NAMES = ("anterior", "posterior")


def segmentation(
    path: Path, label: np.ndarray, names: dict[str, int], cut: bool = False, layers: tuple[int, ...] = ()
) -> Path:
    """A .seg.nrrd as Slicer writes it. label: (x, y, z) of a 1 mm
    RAS grid; layers: of each segment, for several layers.
    """
    whole = sitk.GetImageFromArray(label.T.astype(np.uint8))
    whole.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    if cut:
        where = np.argwhere(label)
        first, size = where.min(0), np.ptp(where, 0) + 1
        whole = sitk.RegionOfInterest(whole, [int(n) for n in size], [int(n) for n in first])
    image = whole
    if layers:
        planes = [
            sum((whole == value) * value for value, at in zip(names.values(), layers, strict=True) if at == layer)
            for layer in range(max(layers) + 1)
        ]
        image = sitk.Compose([sitk.Cast(plane, sitk.sitkUInt8) for plane in planes])
    for number, (name, value) in enumerate(names.items()):
        image.SetMetaData(f"Segment{number}_ID", f"Segment_{number + 1}")
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(value))
        if layers:
            image.SetMetaData(f"Segment{number}_Layer", str(layers[number]))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), True)
    return path


def source(folder: Path, swapped: tuple[int, ...] = (), cases: int = 4, **more: object) -> Path:
    """Cases drawn in 3D Slicer; in some, the segments have each other's values."""
    for number in range(cases):
        image, label = blob_case(number)
        save_nifti(folder / f"images/c{number}.nii.gz", image)
        turned = np.array([0, 2, 1], np.uint8)[label] if number in swapped else label
        names = dict(zip(NAMES, (2, 1) if number in swapped else (1, 2), strict=True))
        segmentation(folder / f"labels/c{number}.seg.nrrd", turned, names, **more)  # type: ignore[arg-type]
    return folder


def imported(run_command: Command, folder: Path, root: Path, *more: object) -> tuple[int, str, str]:
    return run_command("import_dataset", folder, "--id", 1, "--name", "T", "--root", root, *more)


@pytest.mark.parametrize("swapped", [(), (1, 3)])
@pytest.mark.parametrize("more", [{}, {"cut": True}, {"layers": (0, 1)}, {"layers": (1, 0), "cut": True}])
def test_row_86_import_goes_by_the_names(
    tmp_path: Path, run_command: Command, swapped: tuple[int, ...], more: dict[str, object]
) -> None:
    code, _, err = imported(run_command, source(tmp_path / "s", swapped, **more), tmp_path / "w")
    assert code == 0 and ("brought together by their names" in err) == bool(swapped), err
    folder = tmp_path / "w/raw_data/Dataset001_T"
    labels = json.loads((folder / "dataset.json").read_text())["labels"]
    assert set(labels) == {"background", *NAMES}
    for number in range(4):
        kept = np.asarray(nibabel.load(folder / f"labelsTr/c{number}.nii.gz").dataobj)
        for value, name in enumerate(NAMES, 1):
            np.testing.assert_array_equal(kept == labels[name], blob_case(number)[1] == value)


def test_row_86_numbers_that_mean_two_things(tmp_path: Path, run_command: Command) -> None:
    folder = source(tmp_path / "s", (1, 3))
    code, _, err = imported(run_command, folder, tmp_path / "w", "--labels", "front=1", "back=2")
    assert code == 1 and "value 1 is 'anterior' in c0, c2 and 'posterior' in c1, c3" in err
    code, _, err = imported(
        run_command, source(tmp_path / "t"), tmp_path / "w", "--labels", "anterior=2", "posterior=1"
    )
    assert code == 1 and "--labels anterior=2: the label file of c0 names 1 so" in err
    assert imported(run_command, source(tmp_path / "t"), tmp_path / "w", "--labels", "whole=1,2")[0] == 0


def test_row_86_files_without_names_among_others(tmp_path: Path, run_command: Command) -> None:
    folder = source(tmp_path / "s")
    (folder / "labels/c2.seg.nrrd").unlink()
    save_nifti(folder / "labels/c2.nii.gz", blob_case(2)[1])
    code, _, err = imported(run_command, folder, tmp_path / "w")
    assert code == 1 and "c2: 1 label files without names of segments, and 3 with them" in err


def test_row_86_what_cannot_be_one_label_map(tmp_path: Path) -> None:
    label = blob_case(0)[1]
    both = sitk.Compose(
        [
            sitk.GetImageFromArray((label > 0).astype(np.uint8).T),
            sitk.GetImageFromArray((label == 1).astype(np.uint8).T),
        ]
    )
    sitk.WriteImage(both, str(tmp_path / "nameless.nrrd"))
    with pytest.raises(ImageError, match="2 layers, and no names of segments"):
        read_label(tmp_path / "nameless.nrrd")
    for number, name in enumerate(NAMES):
        both.SetMetaData(f"Segment{number}_Name", name)
        both.SetMetaData(f"Segment{number}_LabelValue", "1")
        both.SetMetaData(f"Segment{number}_Layer", str(number))
    sitk.WriteImage(both, str(tmp_path / "over.seg.nrrd"))
    with pytest.raises(ImageError, match=f"segments 'anterior' and 'posterior' share {(label == 1).sum()} voxels"):
        read_label(tmp_path / "over.seg.nrrd")
    segmentation(tmp_path / "alike.seg.nrrd", label, {"a": 1, "b": 1})
    with pytest.raises(ImageError, match="'a' and 'b' have one value"):
        read_label(tmp_path / "alike.seg.nrrd")


def test_row_86_an_extent_beyond_the_scan_is_no_part_of_it(tmp_path: Path) -> None:
    image, label = blob_case(0)
    scan = read_scan(save_nifti(tmp_path / "a.nii.gz", image[:, :14]))  # the label reaches further
    found = read_label(segmentation(tmp_path / "a.seg.nrrd", label, {"a": 1, "b": 2}, cut=True))
    assert label_on_grid(found, scan.grid) is None


def test_row_86_planning_and_evaluation_refuse_contradictions(
    workspace: Path, tmp_path: Path, run_command: Command
) -> None:
    labels = workspace / "raw_data" / DATASET / "labelsTr"
    path = labels / "case_002.nii.gz"
    path.unlink()
    segmentation(labels / "case_002.seg.nrrd", blob_case(2)[1], {"front": 2, "back": 1}, cut=True)
    code, _, err = run_plan(run_command, workspace, "--verify-only")
    assert code == 1 and "its segment 'front' has the value 2, but the label 'front' has 1" in err
    code, _, err = run_command("evaluate", "-p", labels, "-l", labels)
    assert code == 1 and "its segment 'front' has the value 2" in err
    segmentation(labels / "case_002.seg.nrrd", blob_case(2)[1], {"front": 1, "back": 2}, cut=True)
    code, _, err = run_plan(run_command, workspace)
    assert code == 0 and "case_002.seg.nrrd: covers" in err, err
    counts = np.bincount(np.load(workspace / "preprocessed" / DATASET / "case_002_label.npy").ravel())
    np.testing.assert_array_equal(counts, np.bincount(blob_case(2)[1].ravel()))
