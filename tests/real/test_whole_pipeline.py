"""Real scans through import, plan and preprocessing; orientation copies through prediction."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from tests.real.imports import MALC, TASK04, case_names, import_malc, import_task04, real_folder
from tests.synthetic import TINY, Command

pytestmark = pytest.mark.real

FEW = 12  # cases: enough for five folds of subjects, and quick


def test_task04_plans_as_one_would_by_hand(real_data: Path, tmp_path: Path, run_command: Command) -> None:
    source = import_task04(real_data, tmp_path, run_command).source
    code, _, err = run_command("plan", "Hippocampus", "--root", tmp_path, "--device", "cpu")
    assert code == 0, err
    plan = json.loads((tmp_path / "plans" / "Dataset004_Hippocampus" / "plan.json").read_text())
    assert plan["target_spacing_mm"] == [1, 1, 1]
    assert plan["patch_size"] == [32, 48, 32]
    assert (
        plan["augmentation"]["flip_axes"] == []
    )  # anterior and posterior are ordered along y, and all are of one side
    assert len(list((tmp_path / "preprocessed" / "Dataset004_Hippocampus").glob("*_label.npy"))) == 208
    subject = dict(pd.read_csv(source / "subjects.tsv", sep="\t")[["case", "subject"]].to_numpy())
    validated = [case for fold in plan["folds"] for case in fold["val"]]
    assert len(plan["folds"]) == 5 and sorted(validated) == sorted(set(validated)) and len(validated) == 208
    for fold in plan["folds"]:
        assert not {subject[case] for case in fold["train"]} & {subject[case] for case in fold["val"]}


def test_malc_plans_with_sides(real_data: Path, tmp_path: Path, run_command: Command) -> None:
    names = case_names(real_folder(real_data, MALC) / "images")[:5]
    import_malc(real_data, tmp_path, run_command, names)
    code, _, err = run_command("plan", "Malc", "--root", tmp_path, "--device", "cpu")
    assert code == 0, err
    folder = tmp_path / "plans" / "Dataset012_Malc"
    plan, fingerprint = (json.loads((folder / name).read_text()) for name in ("plan.json", "fingerprint.json"))
    assert plan["sides"] == {"hippocampus_left": "left", "hippocampus_right": "right"} == fingerprint["geometric_sides"]
    assert plan["side_classes"] == {
        "left": [1],
        "right": [2],
        "twins": [{"name": "hippocampus", "left": 1, "right": 2}],
    }
    assert len(list((tmp_path / "preprocessed" / "Dataset012_Malc").glob("*_label.npy"))) == 5


def test_six_crops_of_a_four_channel_case(real_data: Path, tmp_path: Path, run_command: Command) -> None:
    source = real_data / "BraTS_like_case"
    modalities = [next(source.rglob(f"*{name}*.nii.gz")) for name in ("t1n", "t1c", "t2w", "t2f")]
    label_file = next(path for path in source.rglob("*segmentation*.nii.gz"))
    raw = tmp_path / "raw_data" / "Dataset021_Brats"
    images = [nibabel.load(path) for path in modalities]
    label = nibabel.load(label_file)
    seen = np.rint(np.asarray(label.dataobj)).astype(np.uint8)
    names = {int(value): f"part_{value}" for value in np.unique(seen) if value}
    middle = [int(positions.mean()) for positions in np.nonzero(seen)]
    width = 40
    for number in range(
        6
    ):  # disjoint: three along the first axis, two along the second, all around the tumour's middle
        i, j = number % 3, number // 3
        start = (middle[0] + (i - 1) * width - width // 2, middle[1] + (j - 1) * width, middle[2] - 20)
        box = tuple(slice(first, first + size) for first, size in zip(start, (width, width, 40), strict=True))
        for channel, image in enumerate(images):
            save(raw / "imagesTr" / f"crop_{number}_{channel:04d}.nii.gz", image.slicer[box])
        piece = nibabel.Nifti1Image(seen[box], label.slicer[box].affine)
        save(raw / "labelsTr" / f"crop_{number}.nii.gz", piece)
    (raw / "dataset.json").write_text(
        json.dumps(
            {
                "channel_names": dict(enumerate(["T1", "T1c", "T2", "FLAIR"])),
                "labels": {"background": 0} | {n: v for v, n in names.items()},
                "numTraining": 6,
                "file_ending": ".nii.gz",
            }
        )
    )
    code, _, err = run_command("plan", "Brats", "--root", tmp_path, "--device", "cpu")
    assert code == 0, err
    arrays = [np.load(path) for path in (tmp_path / "preprocessed" / "Dataset021_Brats").glob("crop_?.npy")]
    assert len(arrays) == 6 and all(array.shape[0] == 4 for array in arrays)


def save(path: Path, image: nibabel.Nifti1Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)


def test_copies_in_other_orientations_get_the_same_segmentation(
    real_data: Path, tmp_path: Path, run_command: Command
) -> None:
    names = case_names(real_folder(real_data, TASK04) / "imagesTr")[:FEW]
    raw = import_task04(real_data, tmp_path, run_command, names).folder
    settings = [setting if not setting.startswith("patch") else "patch_size=48,64,48" for setting in TINY]
    assert run_command("plan", "--root", tmp_path, "--device", "cpu", "--set", *settings)[0] == 0
    assert (
        run_command(
            "train", "Hippocampus", 0, "--root", tmp_path, "--method", "full", "--steps", 30, "--device", "cpu"
        )[0]
        == 0
    )
    scans = tmp_path / "scans"
    path = sorted((raw / "imagesTr").glob("*.nii.gz"))[0]
    image = nibabel.load(path)
    save(scans / "original.nii.gz", image)
    for axes in ("LPS", "PIR", "RAI"):
        change = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(axes)
        )
        save(scans / f"{axes.lower()}.nii.gz", image.as_reoriented(change))
    code, _, err = run_command("predict", "-i", scans, "-o", tmp_path / "out", "--root", tmp_path, "--device", "cpu")
    assert code == 0, err
    original = np.asarray(nibabel.load(tmp_path / "out" / "original.nii.gz").dataobj)
    assert len(np.unique(original)) > 1
    for axes in ("LPS", "PIR", "RAI"):
        mask = nibabel.load(tmp_path / "out" / f"{axes.lower()}.nii.gz")
        assert "".join(nibabel.aff2axcodes(mask.affine)) == axes
        np.testing.assert_array_equal(mask.affine, nibabel.load(scans / f"{axes.lower()}.nii.gz").affine)
        back = nibabel.as_closest_canonical(mask)
        np.testing.assert_array_equal(
            np.asarray(back.dataobj),
            np.asarray(nibabel.as_closest_canonical(nibabel.Nifti1Image(original, image.affine)).dataobj),
        )


def test_a_whole_head_runs_through(real_data: Path, trained_root: Path, tmp_path: Path, run_command: Command) -> None:
    scan = next(path for path in (real_data / "unlabelled_t1").rglob("*") if path.name.endswith((".nii", ".nii.gz")))
    code, _, err = run_command(
        "predict", "-i", scan, "-o", tmp_path, "--root", trained_root, "-f", 0, "--device", "cpu"
    )
    assert code == 0, err
    assert "field of view" in err  # a network for crops is warned of a whole head
    mask = nibabel.load(next(tmp_path.glob("*.nii*")))
    np.testing.assert_array_equal(mask.affine, nibabel.load(scan).affine)
    assert mask.shape == nibabel.load(scan).shape[:3]
