"""The Python interface gives what hippopt_predict writes, whatever it is given."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from hippopt import Predictor
from hippopt.errors import HippoptError, ImageError, UsageError
from hippopt.inference.volume_table import fields_of, lines_of
from tests.records import LETTERS
from tests.synthetic import Command, blob_case, read_mask, save_nifti, volumes
from tests.trained import DATASET, LORA, contents, fold_path, run_path


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scan in several orientations and spacings, stored as whole numbers and as decimals, NaN among them."""
    folder = tmp_path_factory.mktemp("scans")
    image, _ = blob_case(100)
    for code, steps in (("RAS", (1, 1, 1)), ("LPS", (1, 1, 1)), ("PIR", (1.2, 0.9, 1))):
        affine = np.eye(4)
        affine[:3, :3] = 0
        for column, letter in enumerate(code):
            world, sign = LETTERS[letter]
            affine[world, column] = sign * steps[column]
        affine[:3, 3] = (-30, 20, 11)
        order = [LETTERS[letter][0] for letter in code]
        turned = np.flip(image.transpose(order), [axis for axis, letter in enumerate(code) if LETTERS[letter][1] < 0])
        save_nifti(folder / f"{code}.nii.gz", turned if code != "LPS" else turned.astype(np.int16), affine)
    spoilt = image.copy()
    spoilt[0, 0, 0] = np.nan
    save_nifti(folder / "nan.nii.gz", spoilt)
    return folder


@pytest.fixture(scope="module")
def predicted(trained_root: Path, scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hippopt.cli import predict

    output = tmp_path_factory.mktemp("predicted")
    arguments = [
        "-i",
        scans,
        "-o",
        output,
        "--root",
        trained_root,
        "--device",
        "cpu",
        "--save-uncertainty",
        "--save-probabilities",
    ]
    assert predict.main([str(argument) for argument in arguments]) == 0
    return output


@pytest.fixture(scope="module")
def predictor(trained_root: Path) -> Predictor:
    return Predictor.load(trained_root, device="cpu")


NAMES = ["RAS", "LPS", "PIR", "nan"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["path", "text", "itk", "nibabel", "array"])
def test_every_kind_of_input_gives_the_voxels_of_the_file(
    predictor: Predictor, predicted: Path, scans: Path, name: str, kind: str
) -> None:
    path = scans / f"{name}.nii.gz"
    image = nibabel.load(path)
    before = contents(scans)
    if kind == "array":
        array = np.asarray(image.dataobj).T
        kept = array.copy()
        found = predictor.predict(array, affine=image.affine, name=name, uncertainty=True, probabilities=True)
        np.testing.assert_array_equal(array, kept)  # what was given is not changed
    elif kind == "nibabel":
        found = predictor.predict(image, name=name, uncertainty=True, probabilities=True)
    elif kind == "itk":
        found = predictor.predict(sitk.ReadImage(str(path)), name=name, uncertainty=True, probabilities=True)
    else:
        found = predictor.predict(path if kind == "path" else str(path), uncertainty=True, probabilities=True)
    wanted = read_mask(predicted / f"{name}.nii.gz")
    assert wanted.any()
    assert found.mask.dtype == wanted.dtype and found.mask.tobytes() == np.ascontiguousarray(wanted.T).tobytes()
    np.testing.assert_array_equal(
        found.uncertainty, np.asarray(nibabel.load(predicted / f"{name}_uncertainty.nii.gz").dataobj).T
    )
    probabilities = np.asarray(nibabel.load(predicted / f"{name}_probabilities.nii.gz").dataobj)
    np.testing.assert_array_equal(found.probabilities, probabilities.transpose(3, 2, 1, 0))
    assert found.grid.shape == found.mask.shape and np.allclose(found.grid.affine, image.affine, atol=1e-5)
    # ITK reads NaN as 0 by itself
    assert any("NaN" in warning for warning in found.warnings) == (name == "nan" and kind != "itk")
    assert contents(scans) == before
    if kind != "itk":  # and keeps spacings with other rounding
        table = volumes(predicted)
        # what to correct first is a question to a batch, which a single prediction is not
        table["flag"] = table["flag"].str.removeprefix("correct first").str.removeprefix("; ")
        ours = fields_of(lines_of(found.volumes))
        assert ours == table[table.scan == name].astype(str).to_dict("records")


def test_masks_go_back_as_images(predictor: Predictor, scans: Path) -> None:
    image = sitk.ReadImage(str(scans / "PIR.nii.gz"))
    found = predictor.predict(image)
    mask = found.to_sitk()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), found.mask)
    assert (
        mask.GetSpacing() == image.GetSpacing()
        and mask.GetDirection() == image.GetDirection()
        and mask.GetOrigin() == image.GetOrigin()
    )
    from_file = predictor.predict(scans / "PIR.nii.gz").to_sitk()
    for ask in ("GetSpacing", "GetDirection", "GetOrigin"):
        np.testing.assert_allclose(getattr(from_file, ask)(), getattr(image, ask)(), atol=1e-5)


def test_an_array_on_ras_axes_needs_its_spacing_alone(predictor: Predictor, predicted: Path, scans: Path) -> None:
    array = np.asarray(nibabel.load(scans / "RAS.nii.gz").dataobj).T
    found = predictor.predict(array, spacing_mm=(1, 1, 1))
    np.testing.assert_array_equal(found.mask, read_mask(predicted / "RAS.nii.gz").T)
    assert found.uncertainty is None and found.probabilities is None and found.volumes[0].scan == "scan"
    assert (
        set(found.flags)
        == set(found.predicted_dice)
        == set(found.volumes_mm3)
        == {"front", "back"}
        == set(predictor.labels) - {"background"}
    )
    assert found.predicted_dice["front"] is None and any("no predicted Dice" in note for note in predictor.notes)


def test_runs_are_found_by_folder_by_file_and_by_name(
    lora_root: Path, scans: Path, tmp_path: Path, run_command: Command
) -> None:
    assert run_command("export", "Blob", tmp_path / "model.zip", "--root", lora_root, "--run", LORA)[0] == 0
    before = contents(lora_root)
    predictors = [
        Predictor.load(lora_root, "Blob", LORA, device="cpu"),
        Predictor.load(run_path(lora_root, LORA), device="cpu"),
        Predictor.load(tmp_path / "model.zip", device="cpu"),
    ]
    masks = [predictor.predict(scans / "RAS.nii.gz").mask for predictor in predictors]
    assert masks[0].any() and all((mask == masks[0]).all() for mask in masks)
    assert contents(lora_root) == before and sorted(path.name for path in tmp_path.iterdir()) == ["model.zip"]
    one = Predictor.load(lora_root, run=LORA, folds=[1], device="cpu").predict(scans / "RAS.nii.gz", probabilities=True)
    both = predictors[0].predict(scans / "RAS.nii.gz", probabilities=True)
    assert (
        one.probabilities is not None
        and both.probabilities is not None
        and (one.probabilities != both.probabilities).any()
    )


def test_a_file_without_its_base_is_given_that_base(
    lora_root: Path, scans: Path, tmp_path: Path, run_command: Command
) -> None:
    file, base = tmp_path / "model.zip", fold_path(lora_root) / "adapter.safetensors"
    assert run_command("export", "Blob", file, "--root", lora_root, "--run", LORA, "--without-base")[0] == 0
    with pytest.raises(HippoptError, match="from Python base=FILE"):
        Predictor.load(file, device="cpu")
    with pytest.raises(HippoptError, match="sha256"):
        Predictor.load(file, device="cpu", base=fold_path(lora_root, 1) / "adapter.safetensors")
    with pytest.raises(UsageError, match="only for a file"):
        Predictor.load(lora_root, "Blob", LORA, device="cpu", base=base)
    wanted = Predictor.load(lora_root, "Blob", LORA, device="cpu").predict(scans / "RAS.nii.gz").mask
    found = Predictor.load(file, device="cpu", base=str(base)).predict(scans / "RAS.nii.gz").mask
    assert wanted.any() and (found == wanted).all()


def test_constant_scans_are_empty_not_errors(predictor: Predictor) -> None:
    found = predictor.predict(np.zeros((14, 26, 18)), spacing_mm=(1, 1, 1), uncertainty=True)
    assert not found.mask.any() and found.flags["front"] == ("constant image", "empty") and found.uncertainty is None


def test_what_cannot_be_segmented_is_said_in_one_line(predictor: Predictor, scans: Path, tmp_path: Path) -> None:
    array = np.zeros((14, 26, 18), np.float32)
    faults = [
        (UsageError, "spacing_mm", array, {}),
        (ImageError, "3D array", array[0], {"spacing_mm": (1, 1, 1)}),
        (ImageError, "flat", array[:1], {"spacing_mm": (1, 1, 1)}),
        (UsageError, "affine says", array, {"spacing_mm": (1, 1, 2), "affine": np.eye(4)}),
        (UsageError, "4 x 4", array, {"affine": np.eye(3)}),
        (ImageError, "above 0", array, {"spacing_mm": (1, 0, 1)}),
        (ImageError, "colour or complex", array.astype(complex), {"spacing_mm": (1, 1, 1)}),
        (ImageError, "NaN or Inf", array, {"affine": np.full((4, 4), np.nan)}),
        (UsageError, "three sizes", array, {"spacing_mm": (1, 1)}),
        (UsageError, "takes 1", [array, array], {"spacing_mm": (1, 1, 1)}),
        (HippoptError, "not found", tmp_path / "absent.nii.gz", {}),
        (UsageError, "bring their own", scans / "RAS.nii.gz", {"spacing_mm": (1, 1, 1)}),
        (UsageError, "give three sizes", array, {"spacing_mm": 1.0}),
        (UsageError, "of type int", 3, {}),
        (UsageError, "of type list", [array.tolist()], {"spacing_mm": (1, 1, 1)}),
        (UsageError, "give numbers", array, {"spacing_mm": ("a", "b", "c")}),
        (UsageError, "affine of type str; give numbers", array, {"affine": "identity"}),
        (ImageError, "several values", sitk.Image([9, 9, 9], sitk.sitkVectorFloat32, 3), {}),
    ]
    for kind, words, source, options in faults:
        with pytest.raises(kind, match=words) as raised:
            predictor.predict(source, **options)
        assert "\n" not in str(raised.value)


def test_what_cannot_be_loaded_is_said_in_one_line(trained_root: Path, lora_root: Path, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no model")
    faults = [
        ((tmp_path / "absent",), {}, "not found"),
        ((tmp_path / "text.zip",), {}, "text.zip"),
        ((lora_root,), {}, "several runs"),
        ((trained_root, "Other"), {}, "not found under"),
        ((trained_root,), {"folds": [4]}, "not trained"),
        ((run_path(trained_root), "Blob"), {}, "leave dataset and run out"),
        ((trained_root,), {"device": "tpu"}, "auto, cpu or cuda"),
        ((trained_root,), {"checkpoint": "first"}, "last or best"),
        ((fold_path(trained_root),), {}, "no workspace and no run's folder"),
        ((trained_root,), {"folds": "full-data"}, "folds full-data: not trained"),
    ]
    for arguments, options, words in faults:
        with pytest.raises(HippoptError, match=words) as raised:
            Predictor.load(*arguments, **{"device": "cpu", **options})
        assert "\n" not in str(raised.value)
    assert DATASET in str(trained_root / "results" / DATASET)
    with pytest.raises(TypeError, match="tta_flips"):
        Predictor.load(trained_root, tta_flips=True)


def test_a_prediction_shows_itself_in_three_lines(predictor: Predictor, scans: Path) -> None:
    found = predictor.predict(scans / "RAS.nii.gz")
    first, second, third = repr(found).splitlines()
    assert first == "Prediction: mask of 14 x 26 x 18 voxels (Z, Y, X) of 1 x 1 x 1 mm"
    assert f"front {found.volumes_mm3['front']:.0f} mm3" in second and "; back " in second
    assert third.strip().startswith("flags: ") and third.endswith(f"warnings: {len(found.warnings)}")
    known = replace(found.volumes[0], predicted_dice=0.871, volume_low_mm3=1.2, volume_high_mm3=3.4)
    sure = replace(found, volumes=(known,))
    assert repr(sure).splitlines()[1].endswith("mm3 (1 to 3), predicted Dice 0.87")


FORKED = """
import multiprocessing, sys
import numpy as np, torch
from hippopt import Predictor
torch.set_num_threads(2)
predictor = Predictor.load(sys.argv[1], device="cpu")
before = predictor.predict(sys.argv[2]).mask
def predict(path):
    return predictor.predict(path).mask
with multiprocessing.get_context("fork").Pool(1) as pool:
    after = pool.apply_async(predict, (sys.argv[2],)).get(timeout=100)
print((before == after).all())
"""


def test_a_forked_process_predicts_too(trained_root: Path, scans: Path) -> None:
    """torch's threads are gone in a forked process, and would be waited for for ever."""
    given = [str(run_path(trained_root)), str(scans / "RAS.nii.gz")]
    found = subprocess.run([sys.executable, "-c", FORKED, *given], capture_output=True, text=True, timeout=200)
    assert found.stdout.strip() == "True", found.stderr
