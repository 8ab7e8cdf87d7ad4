"""Label maps: what is read of them, and what is refused."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from hippopt.batches.label_maps import ALVEUS, CLASSES, FADING, FADING_MM, read_label_maps, read_table
from hippopt.console import SilentConsole
from hippopt.errors import DatasetError
from tests.label_maps import LEFT, RIGHT, brain, write_label_maps


@pytest.mark.parametrize("axes", ["RAS", "LIA", "PSR"])
def test_axes_do_not_matter(tmp_path: Path, axes: str) -> None:
    """A map stored on other axes is the same map."""
    first = read_label_maps(write_label_maps(tmp_path / "a"), read_table(), SilentConsole())
    other = read_label_maps(write_label_maps(tmp_path / "b", axes=axes), read_table(), SilentConsole())
    for one, two in zip(first.maps, other.maps, strict=True):
        assert (
            np.array_equal(one.tissue, two.tissue)
            and np.array_equal(one.half, two.half)
            and np.array_equal(one.around, two.around)
        )
        assert sorted(one.centres) == sorted(two.centres)


def test_hippocampus_is_split_front_from_back(tmp_path: Path) -> None:
    """Halves of nearly equal volume a side, the front one at higher y
    (anterior on RAS axes), and together the whole structure.
    """
    found = read_label_maps(write_label_maps(tmp_path, 2), read_table(), SilentConsole()).maps[1]
    whole = np.isin(brain(), (LEFT, RIGHT)).T
    assert np.array_equal(np.argwhere(found.half != 0).shape, np.argwhere(whole).shape)
    front, back = np.argwhere(found.half == 1), np.argwhere(found.half == -1)
    assert front[:, 1].min() == back[:, 1].max() + 1
    assert 0.6 < len(back) / len(front) < 1
    assert len(found.centres) == 2


def test_hole_of_the_hippocampus_takes_its_surroundings(tmp_path: Path) -> None:
    """`around` holds no class of the hippocampus; where it lay stand the classes of the nearest voxels."""
    found = read_label_maps(write_label_maps(tmp_path, 1), read_table(), SilentConsole()).maps[0]
    inside = found.around[found.half != 0]
    assert set(np.unique(inside)) <= {
        CLASSES.index(name) for name in ("white_matter", "amygdala", "ventricle", "background")
    }
    assert (inside == CLASSES.index("white_matter")).mean() > 0.5


def test_a_side_that_was_not_segmented_whole_is_left_out(tmp_path: Path) -> None:
    write_label_maps(tmp_path, 1)
    path = tmp_path / "map_0.nii.gz"
    image = nib.load(path)
    values = np.asarray(image.dataobj).copy()
    values[:, :20][values[:, :20] == LEFT] = 2
    nib.save(nib.Nifti1Image(values, image.affine), path)
    assert len(read_label_maps(tmp_path, read_table(), SilentConsole()).maps[0].centres) == 1


def test_maps_that_cannot_be_used_are_all_named(tmp_path: Path) -> None:
    """No hippocampus, decimal, negative or too large values, not an image: one line each."""
    write_label_maps(tmp_path, 1)
    affine = np.eye(4)
    nib.save(nib.Nifti1Image(np.full((8, 8, 8), 2, np.int16), affine), tmp_path / "none.nii.gz")
    nib.save(nib.Nifti1Image(np.full((8, 8, 8), 17.5, np.float32), affine), tmp_path / "decimal.nii.gz")
    negative = np.full((8, 8, 8), 17, np.int16)
    negative[0] = -3
    nib.save(nib.Nifti1Image(negative, affine), tmp_path / "negative.nii.gz")
    many = np.full((10, 10, 10), 17, np.int16)
    many[:, :, :6] = 1000 + np.arange(600).reshape(10, 10, 6)  # of which the table names none
    nib.save(nib.Nifti1Image(many, affine), tmp_path / "many.nii.gz")
    large = np.full((8, 8, 8), 2**32 + 17, np.int64)  # 17 where it is cut to 32 bits
    nib.save(nib.Nifti1Image(large, affine, dtype=np.int64), tmp_path / "large.nii.gz")
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    with pytest.raises(DatasetError) as caught:
        read_label_maps(tmp_path, read_table(), SilentConsole())
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    for name, word in (
        ("none", "no hippocampus"),
        ("decimal", "not whole"),
        ("negative", "negative"),
        ("large", "holds 4294967313"),
        ("broken", ""),
        ("many", "more than 256 tissues"),
    ):
        assert any(f"{name}.nii.gz" in line and word in line for line in lines)


def test_table_of_ones_own(tmp_path: Path) -> None:
    """Other numbers mean what the table says; a line that says nothing is named."""
    table = tmp_path / "table.tsv"
    table.write_text(
        "value\tname\ttissue\tclass\n0\tnothing\tair\t\n5\thippo\thippocampus\thippocampus\n6\twhite\twhite_matter\twhite_matter\n"
    )
    assert read_table(table).classes == {0: "", 5: "hippocampus", 6: "white_matter"}
    table.write_text(table.read_text() + "7\todd\tcsf\tlake\n")
    with pytest.raises(DatasetError, match="line 5"):
        read_table(table)
    table.write_text("value\tname\ttissue\tclass\n6\twhite\twhite_matter\twhite_matter\n")
    with pytest.raises(DatasetError, match="no value has the class hippocampus"):
        read_table(table)


def test_a_folder_that_is_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        read_label_maps(tmp_path / "maps", read_table(), SilentConsole())
    (tmp_path / "maps").mkdir()
    with pytest.raises(DatasetError, match="no label map in it"):
        read_label_maps(tmp_path / "maps", read_table(), SilentConsole())


def test_several_folders_hold_out_of_each(tmp_path: Path) -> None:
    """Maps are named with their folder, share their tissues, and the last ones of each folder are held out."""
    folders = [write_label_maps(tmp_path / "a", 3), write_label_maps(tmp_path / "b", 2)]
    maps = read_label_maps(folders, read_table(), SilentConsole())
    assert [one.name for one in maps.maps] == [f"a/map_{n}.nii.gz" for n in range(3)] + [
        f"b/map_{n}.nii.gz" for n in range(2)
    ]
    trained, unseen = maps.split(1)
    assert [one.name for one in trained.maps] == [
        "a/map_0.nii.gz",
        "a/map_1.nii.gz",
        "b/map_0.nii.gz",
    ] and trained.sizes == (2, 1)
    assert [one.name for one in unseen.maps] == ["a/map_2.nii.gz", "b/map_1.nii.gz"] and unseen.sizes == (1, 1)
    assert np.array_equal(maps.maps[0].tissue, maps.maps[3].tissue)
    with pytest.raises(DatasetError, match="no such folder"):
        read_label_maps([folders[0], tmp_path / "c"], read_table(), SilentConsole())


def test_the_upper_rim_is_a_tissue_of_its_own(tmp_path: Path) -> None:
    """The topmost voxel of each column of hippocampus is alveus,
    the others are hippocampus; both count to the structure.
    """
    maps = read_label_maps(write_label_maps(tmp_path, 1), read_table(), SilentConsole())
    found = maps.maps[0]
    whole, rim = found.half != 0, found.tissue == maps.tissues.index(ALVEUS)
    assert np.array_equal(rim | (found.tissue == maps.tissues.index("hippocampus")), whole)
    assert rim.sum() == whole.any(0).sum()
    z, y, x = np.nonzero(rim)
    assert not whole[z + 1, y, x].any()


@pytest.mark.parametrize("spacing", [1.0, 0.7])
def test_white_matter_beside_the_structure_lies_in_two_layers_but_not_on_top(tmp_path: Path, spacing: float) -> None:
    maps = read_label_maps(write_label_maps(tmp_path, 1, spacing), read_table(), SilentConsole())
    found = maps.maps[0]
    whole = found.half != 0
    away = ndimage.distance_transform_edt(~whole, sampling=found.spacing_mm)
    layers = [found.tissue == maps.tissues.index(name) for name in FADING]
    assert all(layer.any() for layer in layers) and not (whole & (layers[0] | layers[1])).any()
    assert away[layers[0]].max() <= FADING_MM[0] < away[layers[1]].min() <= away[layers[1]].max() <= FADING_MM[1]
    # white matter that is as near and stayed so lies on top, and nothing but white matter was taken
    white = found.tissue == maps.tissues.index("white_matter")
    left = np.argwhere(white & (away <= FADING_MM[1]))
    reach = round(FADING_MM[1] / spacing)
    assert all(whole[max(0, z - reach) : z, y, x].any() for z, y, x in left)
    assert np.isin(found.around[layers[0] | layers[1]], [CLASSES.index("white_matter")]).all()
