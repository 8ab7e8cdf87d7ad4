"""benchmarks/changed_scans.py: what each change does to an image,
that a seed tells it, and that the commands take the copies.
"""

from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from benchmarks.changed_scans import CHANGES, INVERTED, ORIGINAL, changed, make, markdown, score, summary
from hippopt.files.image_io import read_scan
from tests.synthetic import blob_case, save_nifti
from tests.trained import without_plots

MM = (1.0, 1.0, 1.0)


def image(seed: int = 0) -> np.ndarray:
    return blob_case(seed, (20, 26, 18))[0].T


@pytest.mark.parametrize("name", list(CHANGES))
def test_a_seed_and_a_name_tell_a_change(name: str) -> None:
    first, drawn = changed(name, "case_1", image(), MM, 3)
    again, _ = changed(name, "case_1", image(), MM, 3)
    assert first.dtype == np.float32 and first.shape == image().shape and np.isfinite(first).all()
    assert np.array_equal(first, again)
    assert np.array_equal(first, image()) == (name == ORIGINAL)
    if drawn and not name.startswith("gamma"):
        assert changed(name, "case_2", image(), MM, 3)[1] != drawn or name == "thick_slices"
        assert any(changed(name, "case_1", image(), MM, seed)[1] != drawn for seed in range(4, 12))


def test_a_bias_field_multiplies_smoothly() -> None:
    ratio = np.log(changed("bias_field", "a", image(), MM, 0)[0] / image())
    assert 0.2 <= ratio.std() <= 0.4
    assert max(np.abs(np.diff(ratio, axis=axis)).max() for axis in range(3)) < 0.25


def test_blur_is_in_millimetres() -> None:
    """An impulse spreads by the sigma that was drawn, over twice as many voxels where they are half as large."""
    impulse = np.zeros((1, 1, 41))
    impulse[0, 0, 20] = 1
    for step in (1.0, 0.5):
        found, drawn = changed("blur", "a", impulse, (1.0, 1.0, step), 0)
        spread = np.sqrt((found[0, 0] * (np.arange(41) - 20) ** 2).sum() / found.sum()) * step
        assert spread == pytest.approx(drawn["sigma_mm"], rel=0.05)


def test_noise_is_a_share_of_the_tissues_range() -> None:
    flat = np.linspace(0, 1000, 40**3).reshape(40, 40, 40)
    found, drawn = changed("noise", "a", flat, MM, 0)
    assert (found - flat).std() == pytest.approx(drawn["share"] * 980, rel=0.02)


def test_gammas_bend_the_middle_and_keep_the_ends() -> None:
    ramp = np.linspace(1, 101, 2000).reshape(10, 10, 20)
    for name, gamma in (("gamma_0.6", 0.6), ("gamma_1.8", 1.8)):
        found = changed(name, "a", ramp, MM, 0)[0]
        low, high = np.percentile(ramp, (1, 99))
        assert found.min() == pytest.approx(low) and np.interp(high, ramp.ravel(), found.ravel()) == pytest.approx(
            high, rel=1e-3
        )
        assert np.interp((low + high) / 2, ramp.ravel(), found.ravel()) == pytest.approx(
            low + (high - low) * 0.5**gamma, rel=1e-3
        )


def test_thick_slices_are_means_of_three_millimetres() -> None:
    """Along the axis that was drawn the centre of a slice holds the
    mean of its voxels; a ramp stays one between the outer centres.
    """
    ramp = np.indices((12, 12, 12)).sum(0).astype(float)
    found, drawn = changed("thick_slices", "a", ramp, MM, 0)
    axis = int(drawn["axis"])
    np.testing.assert_allclose(found.take(range(1, 11), axis), ramp.take(range(1, 11), axis), rtol=1e-6)
    noise = np.random.default_rng(0).standard_normal((12, 12, 12))
    thick = changed("thick_slices", "a", noise, MM, 0)[0]
    np.testing.assert_allclose(thick.take(4, axis), noise.take([3, 4, 5], axis).mean(axis), rtol=1e-5)
    fine, drawn = changed("thick_slices", "a", noise, (0.5, 0.5, 0.5), 0)
    assert drawn["slice_mm"] == 3.0 and fine.std() < thick.std()


def test_inversion_keeps_what_is_outside() -> None:
    scan = image()
    scan[0] = 0
    found = changed(INVERTED, "a", scan, MM, 0)[0]
    assert not found[0].any() and np.corrcoef(found[1:].ravel(), scan[1:].ravel())[0, 1] == pytest.approx(-1)


def test_the_table_is_over_subjects_and_leaves_inversion_out() -> None:
    rows = [
        (ORIGINAL, "r", "a1", "a", 0.9),
        (ORIGINAL, "r", "a2", "a", 0.7),
        (ORIGINAL, "r", "b", "b", 0.6),
        ("blur", "r", "b", "b", 0.5),
        ("noise", "r", "b", "b", 0.7),
        (INVERTED, "r", "b", "b", 0.0),
    ]
    means = summary(pd.DataFrame(rows, columns=["change", "run", "case", "subject", "dice"]))
    assert means.r[ORIGINAL] == pytest.approx(0.7) and means.r[
        "mean of the changes without inversion"
    ] == pytest.approx(0.6)
    assert means.r["that mean to the originals"] == pytest.approx(-0.1)
    assert markdown(means).splitlines()[2] == "| original | 0.7000 |"


def test_copies_go_through_prediction_and_evaluation(trained_root: Path, tmp_path: Path) -> None:
    scans, labels = tmp_path / "imagesTr", tmp_path / "labelsTr"
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    for number in (300, 301):
        found, label = blob_case(number)
        save_nifti(scans / f"case_{number}_0000.nii.gz", found, affine)
        save_nifti(labels / f"case_{number}.nii.gz", label, affine)
    make(scans, tmp_path / "copies", [ORIGINAL, "blur", INVERTED], 0)
    copy, source = (
        read_scan(tmp_path / "copies" / ORIGINAL / "case_300.nii.gz"),
        read_scan(scans / "case_300_0000.nii.gz"),
    )
    assert copy.grid == source.grid and np.array_equal(copy.array, source.array)
    assert nibabel.load(tmp_path / "copies" / "blur" / "case_301.nii.gz").get_data_dtype() == np.float32
    with without_plots():
        table = score(
            tmp_path / "copies", labels, ["Blob/full"], ["--root", str(trained_root), "-f", "0", "--device", "cpu"], []
        )
    assert len(table) == 6 and list(summary(table).index[:3]) == [ORIGINAL, "blur", INVERTED]
