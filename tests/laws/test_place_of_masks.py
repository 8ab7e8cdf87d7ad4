"""A phantom's mask, probabilities and uncertainty come back on its place in space, whatever the axes of its file.

The network is one that sees brightness alone, so that whatever moves the mask is hippopt's own geometry: reading,
reorienting, straightening, resampling, and the way back.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hippopt.files.image_io import write_array, write_mask, write_probabilities
from hippopt.files.scan_listing import ScanFiles
from hippopt.imaging.rotations import rotation
from hippopt.inference.loading import load_scan
from hippopt.inference.region_windows import Ensemble
from hippopt.inference.segmentation import Wanted, segment
from hippopt.inference.volumes import Standards
from hippopt.inference.windows import WindowSettings
from tests.laws.strategies import CODES
from tests.records import grid_of_code, small_plan

RADII_MM = np.array([6.0, 9.0, 7.0])  # along the world's axes
BRIGHT, DARK = 100.0, 0.0


class Brightness(torch.nn.Module):
    """Class 1 where the image is brighter than half of the phantom; unsure at the border."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        score = 4 * (image - 3.5)
        return torch.cat([-score, score], 1)


@st.composite
def affines(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, int, int], np.ndarray]:
    """(affine, shape (x, y, z), centre of the phantom in mm): any axes and flips, three voxel sizes, turned by any
    angles, sheared a little, and an origin anywhere.
    """
    spacing = draw(st.tuples(*[st.floats(0.9, 2.2)] * 3))
    affine = np.array(grid_of_code(draw(st.sampled_from(CODES)), (1, 1, 1), spacing).affine)
    angles = np.deg2rad(draw(st.tuples(*[st.floats(-180, 180)] * 3)))
    affine[:3, :3] = rotation(angles, ((0, 2), (1, 2), (0, 1))) @ affine[:3, :3]
    shear = np.eye(3)
    shear[0, 1] = draw(st.floats(-0.008, 0.008))  # what rounding and old converters leave; more is refused
    affine[:3, :3] = affine[:3, :3] @ shear
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    shape = np.ceil(44 / steps).astype(int)
    middle = (shape - 1) / 2 + np.array(draw(st.tuples(*[st.floats(-2, 2)] * 3)))
    centre = np.array(draw(st.tuples(*[st.floats(-80, 80)] * 3)))
    affine[:3, 3] = centre - affine[:3, :3] @ middle
    return affine, (int(shape[0]), int(shape[1]), int(shape[2])), centre


def world(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(3, x, y, z) mm of every voxel."""
    points = np.indices(shape).reshape(3, -1)
    return (affine[:3, :3] @ points + affine[:3, 3:]).reshape(3, *shape)


def place(weights: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """(mm, mm, mm): the centre of gravity of values (x, y, z)."""
    return (world(affine, weights.shape) * weights).sum((1, 2, 3)) / weights.sum()


@settings(max_examples=25)
@given(drawn=affines(), straighten=st.sampled_from([10.0, None]))
def test_what_is_found_lies_where_the_phantom_lies(
    drawn: tuple[np.ndarray, tuple[int, int, int], np.ndarray], straighten: float | None
) -> None:
    affine, shape, centre = drawn
    inside = (((world(affine, shape) - centre[:, None, None, None]) / RADII_MM[:, None, None, None]) ** 2).sum(0)
    image = (DARK + BRIGHT / (1 + np.exp(8 * (inside - 1)))).astype(np.float32)  # the border is one voxel soft
    plan = small_plan(
        target_spacing_mm=(1.3, 1.1, 1.2), labels={"background": 0, "hippocampus": 5}, patch_size=(64, 64, 64),
        straighten_degrees=straighten,
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        path, out = Path(folder) / "scan.nii.gz", Path(folder)
        nibabel.save(nibabel.Nifti1Image(image, affine), path)
        loaded = load_scan(ScanFiles("scan", (path,)), plan, None, 1e11)
        ensemble = Ensemble([Brightness()], plan, WindowSettings(plan.patch_size, 2), torch.device("cpu"))
        found = segment(loaded, ensemble, Standards(), Wanted(True, True))
        assert found.uncertainty is not None and found.probabilities is not None
        write_mask(out / "mask.nii.gz", found.mask, loaded.scan)
        write_array(out / "uncertainty.nii.gz", found.uncertainty, loaded.scan.grid)
        write_probabilities(out / "probabilities.nii.gz", found.probabilities, loaded.scan)
        written = {name: nibabel.load(out / f"{name}.nii.gz") for name in ("mask", "uncertainty", "probabilities")}
        maps = {name: np.asarray(each.dataobj, np.float64) for name, each in written.items()}
    half_a_voxel = np.linalg.norm(affine[:3, :3], axis=0).max() / 2
    truth = inside < 1
    mask = maps["mask"] == 5
    assert set(np.unique(maps["mask"])) == {0, 5} and maps["mask"].shape == shape
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.9
    sure = maps["probabilities"][..., 1] * (maps["probabilities"][..., 1] > 0.05)
    for name, weights in (("mask", mask.astype(float)), ("probabilities", sure)):
        np.testing.assert_allclose(place(weights, written[name].affine), centre, atol=half_a_voxel, err_msg=name)
    # uncertainty is a shell as thin as a voxel, whose middle hangs on where voxels fall: it lies on the border
    near = np.ones((3, 3, 3), bool)
    border = ndimage.binary_dilation(truth, near) & ~ndimage.binary_erosion(truth, near)
    assert maps["uncertainty"][border].sum() > 0.9 * maps["uncertainty"].sum()
    for name in written:
        # nibabel's affine of the output and of the input say the same places
        np.testing.assert_allclose(written[name].affine, affine, atol=0.05 * half_a_voxel * 44)
