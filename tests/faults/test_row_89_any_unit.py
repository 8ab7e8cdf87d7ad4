"""A scan's mask does not depend on the unit of its intensities, however small or large its values are."""

from pathlib import Path

import numpy as np
import pytest

from hippopt import Predictor
from hippopt.artifacts.plan import NormalisationSettings
from hippopt.imaging.preparation import measure, normalise
from tests.synthetic import Command, blob_case, run_plan, save_nifti
from tests.trained import DATASET

SCALES = (1e30, 1e6, 1e-6, 1e-9, 1e-12, 1e-20)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("region", ["image", "nonzero"])
def test_row_89_normalisation(scale: float, region: str) -> None:
    settings = NormalisationSettings(scheme="zscore", region=region, clip_percentiles=(0.5, 99.5))  # type: ignore[arg-type]
    image = blob_case(1)[0].T[None] / np.float32(200)
    image[:, :, :5] = 0
    plain = normalise(image, settings)
    np.testing.assert_allclose(normalise((image * np.float64(scale)).astype(np.float32), settings), plain, atol=1e-4)


def test_row_89_constants_still_are(tmp_path: Path) -> None:
    settings = NormalisationSettings(scheme="zscore", region="image", clip_percentiles=(0.5, 99.5))
    for value in (0.0, 7.0, 1e-9, -3.0):
        image = np.full((1, 5, 6, 7), value, np.float32)
        assert measure(image[0], settings).constant
        assert np.isfinite(normalise(image, settings)).all()


def test_row_89_masks(trained_root: Path) -> None:
    predictor = Predictor.load(trained_root, folds=0, device="cpu")
    image = blob_case(9)[0].T
    plain = predictor.predict(image, spacing_mm=(1, 1, 1))
    for scale in SCALES:
        found = predictor.predict((image * np.float64(scale)).astype(np.float32), spacing_mm=(1, 1, 1))
        assert (found.mask != plain.mask).mean() < 1e-3


def test_row_89_planning_warns_of_cases_in_another_unit(workspace: Path, run_command: Command) -> None:
    for path in sorted((workspace / "raw_data" / DATASET / "imagesTr").iterdir()):
        number = int(path.name[5:8])
        save_nifti(path, (blob_case(number)[0] * (1e-12 if number == 3 else 1e-15)).astype(np.float32))
    code, _, err = run_plan(run_command, workspace, "--no-preprocess")
    assert code == 0 and "case_003: intensities differ over 20 times" in err
