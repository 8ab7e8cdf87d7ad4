"""A stripped scan whose background has another value than 0, as a shift or a z-score of the whole image leaves it, is
seen as with 0 there, and this is reported.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hippopt.files.scan_listing import ScanFiles
from hippopt.imaging.head_size import head_size
from hippopt.inference.loading import LoadedScan, load_scan
from tests.phantom_head import draw_head, render_head
from tests.records import changed, small_plan
from tests.synthetic import save_nifti

PLAN = changed(small_plan(), crop="nonzero", normalisation__region="nonzero")


def _loaded(path: Path, image: np.ndarray, affine: np.ndarray) -> LoadedScan:
    return load_scan(ScanFiles("a", (save_nifti(path, image, affine),)), PLAN, None, 8e9)


@pytest.mark.parametrize(
    "moved",
    [lambda a: a + 100, lambda a: a - 5000, lambda a: (a - a.mean()) / a.std()],
    ids=["higher", "lower", "z-scored"],
)
def test_row_111_background_values(tmp_path: Path, moved: Callable[[np.ndarray], np.ndarray]) -> None:
    image, _, affine = render_head(draw_head(np.random.default_rng(3)), (2.0, 2.0, 2.0))
    image = image.astype(np.float32)
    plain = _loaded(tmp_path / "plain.nii.gz", image, affine)
    found = _loaded(tmp_path / "moved.nii.gz", moved(image), affine)
    assert image.min() == 0
    assert found.properties == plain.properties
    np.testing.assert_allclose(found.image, plain.image, atol=2e-3)
    np.testing.assert_array_equal(found.scan.array == 0, plain.scan.array == 0)
    assert head_size(found.scan.array, found.scan.grid) == head_size(plain.scan.array, plain.scan.grid)
    assert found.image_hash != plain.image_hash, "a scan is known by its voxels as they are stored"
    assert [line for line in found.warnings if line not in plain.warnings] == [
        f"a: the background has the value {moved(image).min():g} and not 0; all values are read relative to it"
    ]
