"""Read scans and write masks.

NIfTI and Analyze go through nibabel, since faults and faithful output need the header itself; NRRD and MetaImage go
through SimpleITK, of which this is the only importer. A file's kind is told by its first bytes, not by its name.
"""

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np

from hippopt.artifacts.codec import write_atomically, write_bytes
from hippopt.artifacts.dataset import split_ending
from hippopt.artifacts.grid import Grid
from hippopt.errors import ImageError, OutputError
from hippopt.files.file_kind import first_bytes
from hippopt.files.nifti_header import checked_affine, checked_size, grid_of
from hippopt.files.nifti_reading import read_nifti, read_pair
from hippopt.files.scan import Scan
from hippopt.imaging.memory_budget import check_memory
from hippopt.machine import machine_bytes

ITK_ENDINGS = (".nrrd", ".mha", ".mhd")
ITK_STARTS = (b"NRRD", b"ObjectType", b"NDims")


def read_scan(path: Path, volume: int | None = None) -> Scan:
    """Read one 3D image; of a 4D file with several volumes, the one asked for.

    Returns float32 values, or the stored integers where the file holds unscaled ones. Raises ImageError in one line.
    """
    path = Path(path)
    try:
        start = first_bytes(path)
        kind = split_ending(path.name)
        ending = kind[1].lower() if kind else ""
        if ending in (".hdr", ".img"):
            return read_pair(path, volume)
        if ending in ITK_ENDINGS or start.startswith(ITK_STARTS):
            return _read_itk(path, volume)
        return read_nifti(path, start, volume)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error}); check the disk, or copy the file anew") from None
    except MemoryError:
        raise ImageError(f"{path}: does not fit the memory; close other programs, or crop the scan") from None


def _read_itk(path: Path, volume: int | None) -> Scan:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    try:
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        size, parts = reader.GetSize(), reader.GetNumberOfComponents()
        check_memory(path, size[::-1], 12.0 * math.prod(size) * parts, machine_bytes())
        image = reader.Execute()
    except (RuntimeError, UnicodeError) as error:
        reason = [line for line in str(error).splitlines() if line.strip()][-1].strip()
        raise ImageError(f"{path}: cannot be read ({reason}); copy it anew or convert it to NIfTI") from None
    return scan_of_itk(image, path, volume)


def is_itk(thing: object) -> bool:
    """Whether it is a SimpleITK image; told without importing SimpleITK."""
    return type(thing).__module__.partition(".")[0] == "SimpleITK" and hasattr(thing, "GetDirection")


def scan_of_itk(image: Any, path: Path, volume: int | None = None) -> Scan:
    """A SimpleITK image as a scan. path: how it is named. Raises ImageError in one line."""
    import SimpleITK as sitk

    size = image.GetSize()
    notes: list[str] = []
    if len(size) > 4:
        raise ImageError(f"{path}: {len(size)} axes; give one 3D volume")
    size, chosen = checked_size(path, size, volume, notes)
    if image.GetDimension() > 3:
        image = image[:, :, :, chosen]
    if image.GetNumberOfComponentsPerPixel() != 1 or "complex" in image.GetPixelIDTypeAsString():
        raise ImageError(f"{path}: several values a voxel (colour or complex); give a scan with one real value a voxel")
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1  # ITK's world is LPS, ours RAS
    array = sitk.GetArrayFromImage(image)
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    return Scan(path, array, grid_of(size, checked_affine(path, affine, notes)), image, notes)


def mask_ending(path: Path) -> str:
    """The ending of a mask's file beside that of its scan: the same, or that of a single file for a format of two files."""
    kind = split_ending(path.name)
    ending = kind[1].lower() if kind else ".nii.gz"
    return {".hdr": ".nii.gz", ".img": ".nii.gz", ".mhd": ".mha"}.get(ending, ending)


def write_mask(path: Path, mask: np.ndarray, like: Scan) -> None:
    """Write `mask` (Z, Y, X) in the grid and with the header of `like`, atomically, as uint8 or uint16.

    The format is that of the path's ending, which `mask_ending` gives; a format of two files cannot be written atomically.
    """
    import nibabel

    if not path.name.endswith(mask_ending(path)):
        raise OutputError(f"{path}: masks are written in one file; give it the ending {mask_ending(path)}")
    array = mask.astype(np.uint8 if mask.max(initial=0) < 256 else np.uint16)
    if path.name.endswith(ITK_ENDINGS):
        _write_itk(path, array, like)
    elif isinstance(like.header, nibabel.Nifti1Header):
        _write_nifti(path, array, like.header)
    else:
        write_array(path, array, like.grid)


def _write_nifti(path: Path, array: np.ndarray, header: Any) -> None:
    """Bytes, not an image of nibabel: that would mend the odd fields of a header, and so might move the mask."""
    import nibabel

    two = isinstance(header, nibabel.Nifti2Header)
    kind = nibabel.Nifti2Header if two else nibabel.Nifti1Header
    header = kind(header.binaryblock, header.endianness, check=False)  # of one part, where it was that of a pair
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape[::-1])
    header["magic"], header["sizeof_hdr"], header["vox_offset"] = b"n+2" if two else b"n+1", kind.sizeof_hdr, kind.single_vox_offset
    header["scl_slope"], header["scl_inter"], header["cal_min"], header["cal_max"] = 1, 0, 0, 0
    # 4 zero bytes: no extensions
    data = header.binaryblock + bytes(4) + array.astype(array.dtype.newbyteorder(header.endianness)).tobytes()
    write_bytes(path, gzip.compress(data, 1, mtime=0) if path.name.endswith(".gz") else data)


def _write_itk(path: Path, array: np.ndarray, like: Scan) -> None:
    import SimpleITK as sitk

    itk = itk_of(array, like)
    write_atomically(path, lambda temporary: sitk.WriteImage(itk, str(temporary), useCompression=True))


def itk_of(array: np.ndarray, like: Scan) -> Any:
    """(Z, Y, X) values as a SimpleITK image in the grid of `like`."""
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


def write_probabilities(path: Path, probabilities: np.ndarray, like: Scan) -> None:
    """Write (L, Z, Y, X) probabilities as a 4D float32 NIfTI in the grid of `like`, atomically."""
    import nibabel

    array = np.moveaxis(probabilities, 0, -1).transpose(2, 1, 0, 3).astype(np.float32)
    write_atomically(path, lambda temporary: nibabel.save(nibabel.Nifti1Image(array, np.array(like.grid.affine)), temporary))


def write_array(path: Path, array: np.ndarray, grid: Grid) -> None:
    """Write (Z, Y, X) values with a new NIfTI header for `grid`, atomically."""
    import nibabel

    image = nibabel.Nifti1Image(np.ascontiguousarray(array).T, np.array(grid.affine))
    image.header.set_xyzt_units("mm")
    write_atomically(path, lambda temporary: nibabel.save(image, temporary))
