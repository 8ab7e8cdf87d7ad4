"""Read scans and write masks.

NIfTI and Analyze go through nibabel, since faults and faithful output need the header itself; NRRD and MetaImage go
through SimpleITK, once their bytes were counted. A file's kind is told by its first bytes, not by its name.
"""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hippopt.artifacts.codec import write_atomically, write_bytes
from hippopt.artifacts.dataset import split_ending
from hippopt.artifacts.grid import Grid
from hippopt.errors import ImageError, OutputError
from hippopt.files.file_kind import first_bytes
from hippopt.files.itk_reading import ITK_ENDINGS, read_itk
from hippopt.files.mgh_reading import read_mgh
from hippopt.files.nifti_reading import read_nifti, read_pair
from hippopt.files.scan import Scan
from hippopt.imaging.arrays import LabelMask, Probabilities, StoredMask, value_dtype

ITK_STARTS = (b"NRRD", b"ObjectType", b"NDims")


def read_scan(path: Path, volume: int | None = None, exact: bool = False) -> Scan:
    """Read one 3D image; of a 4D file with several volumes, the one asked for.

    Returns float32 values, or the stored integers where the file holds unscaled ones. exact: for labels, whose values
    keep all their digits, as float64, and whose segments may lie in layers. Raises ImageError in one line.
    """
    path = Path(path)
    try:
        start = first_bytes(path)
        kind = split_ending(path.name)
        ending = kind[1].lower() if kind else ""
        if ending in (".hdr", ".img"):
            return read_pair(path, volume, exact)
        if ending in (".mgz", ".mgh"):
            return read_mgh(path, start, volume, exact)
        if ending in (*ITK_ENDINGS, ".seg.nrrd") or start.startswith(ITK_STARTS):
            return read_itk(path, volume, exact)
        return read_nifti(path, start, volume, exact)
    except OSError as error:
        raise ImageError(
            f"{path}: cannot be read ({error.strerror or error}); check the disk, or copy the file anew"
        ) from None
    except MemoryError:
        raise ImageError(f"{path}: does not fit the memory; close other programs, or crop the scan") from None


def read_label(path: Path) -> Scan:
    """A mask with whole numbers as its values. Raises ImageError."""
    scan = read_scan(path)
    values = scan.array if scan.array.dtype.kind in "iub" else np.rint(scan.array)
    if not np.array_equal(values, scan.array) or values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise ImageError(f"{path}: its values are no label numbers; give a mask")
    return Scan(scan.path, values.astype(np.uint16), scan.grid, scan.header, scan.notes)


def mask_ending(path: Path) -> str:
    """The ending of a mask's file beside that of its scan: the same,
    of one file for a format of two, .nii.gz for FreeSurfer's.
    """
    kind = split_ending(path.name)
    ending = kind[1].lower() if kind else ".nii.gz"
    other = {
        ".hdr": ".nii.gz",
        ".img": ".nii.gz",
        ".mhd": ".mha",
        ".nhdr": ".nrrd",
        ".seg.nrrd": ".nrrd",
        ".mgz": ".nii.gz",
        ".mgh": ".nii.gz",
    }
    return other.get(ending, ending)


def write_mask(path: Path, mask: LabelMask, like: Scan) -> None:
    """Write `mask` (Z, Y, X) in the grid and with the header of `like`, atomically, as uint8 or uint16.

    The format is that of the path's ending, which `mask_ending` gives; a format of two files cannot be written
    atomically.
    """
    import nibabel

    if not path.name.endswith(mask_ending(path)):
        raise OutputError(f"{path}: masks are written in one file; give it the ending {mask_ending(path)}")
    array = mask.astype(value_dtype(int(mask.max(initial=0))))
    if path.name.endswith(ITK_ENDINGS):
        _write_itk(path, array, like)
    elif isinstance(like.header, nibabel.Nifti1Header):
        _write_nifti(path, array, like.header)
    else:
        write_array(path, array, like.grid)


def _write_nifti(path: Path, array: StoredMask, header: Any) -> None:
    """Bytes, not an image of nibabel: that would mend the odd fields of a header, and so might move the mask."""
    import nibabel

    two = isinstance(header, nibabel.Nifti2Header)
    kind = nibabel.Nifti2Header if two else nibabel.Nifti1Header
    header = kind(header.binaryblock, header.endianness, check=False)  # of one part, where it was that of a pair
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape[::-1])
    header["magic"], header["sizeof_hdr"], header["vox_offset"] = (
        b"n+2" if two else b"n+1",
        kind.sizeof_hdr,
        kind.single_vox_offset,
    )
    header["scl_slope"], header["scl_inter"], header["cal_min"], header["cal_max"] = 1, 0, 0, 0
    # 4 zero bytes: no extensions
    data = header.binaryblock + bytes(4) + array.astype(array.dtype.newbyteorder(header.endianness)).tobytes()
    write_bytes(path, gzip.compress(data, 1, mtime=0) if path.name.endswith(".gz") else data)


def _write_itk(path: Path, array: StoredMask, like: Scan) -> None:
    import SimpleITK as sitk

    itk = itk_of(array, like)
    write_atomically(path, lambda temporary: sitk.WriteImage(itk, str(temporary), useCompression=True))


def itk_of(array: StoredMask, like: Scan) -> Any:
    """A mask (Z, Y, X) as a SimpleITK image in the grid of `like`."""
    import SimpleITK as sitk

    itk = sitk.GetImageFromArray(array)
    if hasattr(like.header, "GetDirection"):
        itk.CopyInformation(like.header)
    else:
        affine = np.array(like.grid.affine)
        affine[:2] *= -1  # RAS to ITK's LPS
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        itk.SetSpacing(spacing.tolist())
        itk.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
        itk.SetOrigin(affine[:3, 3].tolist())
    return itk


def write_probabilities(path: Path, probabilities: Probabilities, like: Scan) -> None:
    """Write (L, Z, Y, X) probabilities as a 4D float32 NIfTI in the grid of `like`, atomically."""
    import nibabel

    array = np.moveaxis(probabilities, 0, -1).transpose(2, 1, 0, 3).astype(np.float32)
    write_atomically(
        path, lambda temporary: nibabel.save(nibabel.Nifti1Image(array, np.array(like.grid.affine)), temporary)
    )


def write_array(path: Path, array: npt.NDArray[Any], grid: Grid) -> None:
    """Write (Z, Y, X) values with a new NIfTI header for `grid`, atomically."""
    import nibabel

    image = nibabel.Nifti1Image(np.ascontiguousarray(array).T, np.array(grid.affine))
    image.header.set_xyzt_units("mm")
    write_atomically(path, lambda temporary: nibabel.save(image, temporary))
