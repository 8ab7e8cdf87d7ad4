"""Combined label maps: how one is registered onto another, what stands on top, and what fills the gaps."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from hippopt.batches.map_combining import CombinedMap, combine, read_numbers, read_source
from hippopt.batches.map_registration import register
from hippopt.errors import DatasetError, ImageError
from tests.combined_maps import SHAPE, anatomy, write_map

MATRIX = np.array([[1.08, 0.05, 0.0], [-0.04, 0.95, 0.03], [0.0, -0.06, 1.05]])
SHIFT = (2.0, -1.5, 1.0)


def combined(tmp_path: Path, manual: np.ndarray, head: np.ndarray, axes: str = "RAS") -> CombinedMap:
    first = read_source(write_map(tmp_path / "manual.nii.gz", manual, axes), read_numbers())
    second = read_source(write_map(tmp_path / "head.nii.gz", head, "LIA"))
    return combine(first, second, register(first.structures, first.spacing, second.structures, second.spacing, 0))


def in_manual_frame(made: CombinedMap) -> np.ndarray:
    """(x, y, z) values over the manual map's field of view, found by the world coordinates of both."""
    affine = np.array(made.grid.affine)
    start = np.rint(np.linalg.inv(affine) @ [*(-(np.array(SHAPE) - 1) / 2), 1]).astype(int)[:3]
    assert np.allclose(affine[:3, :3], np.eye(3))
    padded = np.pad(made.values.T, 40)
    return padded[tuple(slice(at + 40, at + 40 + n) for at, n in zip(start, SHAPE, strict=True))]


def test_finer_voxels_keep_place_and_volume(tmp_path: Path) -> None:
    """On voxels of .7 mm every manual structure has its volume and its middle in the world, and the head its
    volume.
    """
    first = read_source(write_map(tmp_path / "manual.nii.gz", anatomy(1)), read_numbers())
    second = read_source(write_map(tmp_path / "head.nii.gz", anatomy(0)))
    warp = register(first.structures, first.spacing, second.structures, second.spacing, 0)
    coarse, fine = combine(first, second, warp), combine(first, second, warp, 0.7)
    assert fine.grid.spacing_mm == (0.7, 0.7, 0.7)
    assert np.isclose((fine.values > 0).sum() * 0.7**3, (coarse.values > 0).sum(), rtol=0.02)
    for value in (17, 53, 18, 10, 16, 4):
        at_both = [np.argwhere(made.values == value) for made in (coarse, fine)]
        assert np.isclose(len(at_both[1]) * 0.7**3, len(at_both[0]), rtol=0.04)
        middles = [
            np.array(made.grid.affine) @ [*voxels.mean(0)[::-1], 1]
            for made, voxels in zip((coarse, fine), at_both, strict=True)
        ]
        assert np.allclose(*middles, atol=0.1)
    assert fine.overlap > 0.9 and fine.gaps < 0.05


def test_registration_finds_a_known_displacement(tmp_path: Path) -> None:
    """Where each voxel of the structures lies in the head is found to half a millimetre on average."""
    first = read_source(write_map(tmp_path / "manual.nii.gz", anatomy(1)), read_numbers())
    second = read_source(write_map(tmp_path / "head.nii.gz", anatomy(0, MATRIX, SHIFT)))
    warp = register(first.structures, first.spacing, second.structures, second.spacing, 0)
    found = warp.on_grid(np.zeros(3), first.values.shape, (1.0, 1.0, 1.0)).numpy()[::-1]  # (3, Z, Y, X), x first
    inside = np.argwhere(first.values > 0)
    middle = (np.array(SHAPE) - 1) / 2
    true = (inside[:, ::-1] - middle) @ MATRIX.T + np.array(SHIFT) + middle
    error = np.linalg.norm(found[:, inside[:, 0], inside[:, 1], inside[:, 2]].T - true, axis=1)
    assert np.linalg.norm(true - inside[:, ::-1], axis=1).mean() > 2.0
    assert error.mean() < 0.5 and error.max() < 2.0


@pytest.mark.parametrize("axes", ["RAS", "LAS", "PSR"])
def test_manual_structures_stand_on_top_where_they_lay(tmp_path: Path, axes: str) -> None:
    """On any axes: the hippocampi voxel for voxel, in FreeSurfer's
    numbers and in the manual map's world; the head around them.
    """
    made = combined(tmp_path, anatomy(1), anatomy(0, MATRIX, SHIFT), axes)
    values, plain = in_manual_frame(made), anatomy(0)
    for value in (17, 53, 18, 54, 16, 10):
        assert np.array_equal(values == value, plain == value)
    for value, least in ((2, 0.9), (3, 0.5), (507, 0.7)):
        overlap = 2 * ((values == value) & (plain == value)).sum() / ((values == value).sum() + (plain == value).sum())
        assert overlap > least, value
    assert made.overlap > 0.85 and made.gaps < 0.1


def test_gaps_take_what_lies_next(tmp_path: Path) -> None:
    """A head whose hippocampi are larger leaves no hippocampus outside the manual one: white matter fills it."""
    made = combined(tmp_path, anatomy(1), anatomy(0, grow=1.5))
    values, plain = in_manual_frame(made), anatomy(0)
    assert np.array_equal(values == 17, plain == 17)
    ring = (anatomy(0, grow=1.5) == 17) & (plain == 2)
    assert ring.sum() > 300 and (values[ring] == 2).mean() > 0.95
    assert made.gaps > combined(tmp_path, anatomy(1), anatomy(0)).gaps
    assert made.hippocampus_overlap < 0.9


def test_plexus_stays_in_the_ventricles_alone(tmp_path: Path) -> None:
    """Choroid plexus of the head is kept where the manual map has a ventricle, and becomes what lies next elsewhere."""
    head = anatomy(0)
    ventricle, white = np.argwhere(head == 4), np.argwhere(head == 2)
    inner = ventricle[np.abs(ventricle - ventricle.mean(0)).max(1) <= 2]
    head[tuple(inner.T)] = 31
    outer = white[np.abs(white - (np.array(SHAPE) / 2 + [0, 20, 0])).max(1) <= 2]
    head[tuple(outer.T)] = 31
    values = in_manual_frame(combined(tmp_path, anatomy(1), head))
    assert (values[tuple(inner.T)] == 31).mean() > 0.8
    assert set(values[tuple(outer.T)].tolist()) == {2}


def test_the_same_seed_gives_the_same_map(tmp_path: Path) -> None:
    first, second = (combined(tmp_path, anatomy(1), anatomy(0, MATRIX, SHIFT)) for _ in range(2))
    assert np.array_equal(first.values, second.values) and first.overlap == second.overlap


def test_maps_that_cannot_be_registered(tmp_path: Path) -> None:
    """Values without a number, too few structures, no whole numbers: one line each."""
    values = anatomy(1)
    values[0, 0, 0] = 99
    with pytest.raises(DatasetError, match=r"odd.nii.gz: holds 99, which the table"):
        read_source(write_map(tmp_path / "odd.nii.gz", values), read_numbers())
    with pytest.raises(DatasetError, match="has 2 of the structures"):
        read_source(
            write_map(tmp_path / "few.nii.gz", np.where(np.isin(anatomy(0), (17, 53)), anatomy(0), 0).astype(np.int16))
        )
    with pytest.raises(ImageError, match="not whole"):
        read_source(write_map(tmp_path / "half.nii.gz", anatomy(0) + np.float32(0.5)))


def test_values_that_a_scale_stored_nearly_whole(tmp_path: Path) -> None:
    """As nibabel writes floats into a header of whole numbers: the same structures come back."""
    path = write_map(tmp_path / "plain.nii.gz", anatomy(1))
    plain = nibabel.load(path)
    scaled = nibabel.Nifti1Image(plain.get_fdata(dtype=np.float32), plain.affine)
    scaled.set_data_dtype(np.int16)
    nibabel.save(scaled, tmp_path / "scaled.nii.gz")
    stored = np.asarray(nibabel.load(tmp_path / "scaled.nii.gz").dataobj)
    assert (stored != np.rint(stored)).any()
    first, second = (read_source(tmp_path / f"{name}.nii.gz", read_numbers()) for name in ("plain", "scaled"))
    assert np.array_equal(first.values, second.values)


def test_table_of_numbers(tmp_path: Path) -> None:
    table = tmp_path / "numbers.tsv"
    table.write_text("value\tname\tfreesurfer\n5\thippo\t17\n6\tother\t10\n")
    assert read_numbers(table) == {5: 17, 6: 10}
    table.write_text(table.read_text() + "0\tnothing\t2\n")
    with pytest.raises(DatasetError, match="line 4"):
        read_numbers(table)
    table.write_text("value\tname\tfreesurfer\n6\tother\t10\n")
    with pytest.raises(DatasetError, match="no value becomes a hippocampus"):
        read_numbers(table)
    assert set(read_numbers().values()) >= {17, 53, 18, 54, 5, 44}
