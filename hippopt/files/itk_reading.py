"""Read NRRD and MetaImage, and take SimpleITK images: what a header
does not state is said or refused, and no voxel is missing.
"""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hippopt.errors import ImageError
from hippopt.files.nifti_header import checked_affine, checked_size, grid_of
from hippopt.files.payload import check_payload, packed_bytes
from hippopt.files.scan import Scan
from hippopt.files.segments import Segment, flattened, stated_segments
from hippopt.files.text_headers import TextHeader, read_text_header
from hippopt.imaging.memory_budget import check_memory
from hippopt.machine import machine_bytes

ITK_ENDINGS = (".nrrd", ".nhdr", ".mha", ".mhd")


def read_itk(path: Path, volume: int | None, exact: bool = False) -> Scan:
    """Read an NRRD or MetaImage file; exact: as a label. Raises ImageError where voxels or their size are missing."""
    import SimpleITK as sitk

    header = read_text_header(path)
    needed = 12.0 * header.payload.count
    check_memory(path, (header.payload.count,), needed, machine_bytes())
    packed = check_payload(path, header.payload)
    reader = sitk.ImageFileReader()
    try:
        reader.SetFileName(str(path))
        image = reader.Execute()
    except (RuntimeError, UnicodeError) as error:
        reason = [line for line in str(error).splitlines() if line.strip()][-1].strip()
        raise ImageError(f"{path}: cannot be read ({reason}); copy it anew or convert it to NIfTI") from None
    values = image.GetNumberOfPixels() * image.GetNumberOfComponentsPerPixel()
    values *= 2 if "complex" in image.GetPixelIDTypeAsString() else 1
    if values != header.payload.count:  # lines of a header that contradict each other
        raise ImageError(
            f"{path}: header describes {header.payload.count} values, of which {values} are read; the file is damaged,"
            " copy it anew"
        )
    if packed is not None and _crc_of(image, header) not in (packed, None):
        image = _unpacked_by_us(image, path, header)
    segments: dict[str, int] = {}
    stated = stated_segments(path, header.own, image.GetNumberOfComponentsPerPixel()) if exact else ()
    if exact and image.GetNumberOfComponentsPerPixel() > 1 and image.GetDimension() == 3:
        image, segments = _one_layer(image, path, stated)
    elif stated:
        segments = {segment.name: segment.value for segment in stated}
    scan = replace(scan_of_itk(image, path, volume, exact), segments=segments)
    scan.notes[:0] = _unstated(path, header)
    return scan


def _crc_of(image: Any, header: TextHeader) -> int | None:
    """Of the voxels as the file holds them; None where they were read as another type than the file's.

    A stream that it cannot unpack, ITK reports on the terminal alone, and gives memory as it was.
    """
    import SimpleITK as sitk

    array = sitk.GetArrayViewFromImage(image)
    if array.dtype.itemsize != header.payload.value_bytes:
        return None
    return zlib.crc32(
        np.ascontiguousarray(array, array.dtype.newbyteorder(">" if header.big_endian else "<")).data.cast("B")
    )


def _unpacked_by_us(image: Any, path: Path, header: TextHeader) -> Any:
    """The image with the voxels that its file holds, where ITK could not unpack them."""
    import SimpleITK as sitk

    read = sitk.GetArrayViewFromImage(image)
    stored = np.frombuffer(
        packed_bytes(path, header.payload), read.dtype.newbyteorder(">" if header.big_endian else "<")
    )
    whole = sitk.GetImageFromArray(
        stored.astype(read.dtype).reshape(read.shape), isVector=image.GetNumberOfComponentsPerPixel() > 1
    )
    whole.CopyInformation(image)
    return whole


def _one_layer(image: Any, path: Path, segments: tuple[Segment, ...]) -> tuple[Any, dict[str, int]]:
    """(a segmentation of several layers as one label map, the value of each segment in it)."""
    import SimpleITK as sitk

    if not segments:
        raise ImageError(
            f"{path}: {image.GetNumberOfComponentsPerPixel()} layers, and no names of segments that say what they are;"
            " save it in 3D Slicer as a segmentation (.seg.nrrd), or as one label map"
        )
    label, values = flattened(path, sitk.GetArrayFromImage(image), segments)
    flat = sitk.GetImageFromArray(label)
    flat.CopyInformation(image)
    return flat, values


def _unstated(path: Path, header: TextHeader) -> list[str]:
    """A note where the file does not say how its axes lie.

    Raises ImageError where it does not say how large its voxels are.
    """
    if not header.size_stated:
        raise ImageError(
            f"{path}: states no voxel size; write it into the header, or convert the scan from its source anew"
        )
    if header.axes_stated:
        return []
    return [f"{path.name}: states no orientation; read as LPS (x to the left, y to the back), check left and right"]


def is_itk(thing: object) -> bool:
    """Whether it is a SimpleITK image; told without importing SimpleITK."""
    return type(thing).__module__.partition(".")[0] == "SimpleITK" and hasattr(thing, "GetDirection")


def scan_of_itk(image: Any, path: Path, volume: int | None = None, exact: bool = False) -> Scan:
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
        raise ImageError(
            f"{path}: several values per voxel (colour or complex); give a scan with one real value per voxel"
        )
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1  # ITK's world is LPS, ours RAS
    array = sitk.GetArrayFromImage(image)
    if array.dtype.kind == "f":
        array = array.astype(np.float64 if exact else np.float32)
    return Scan(path, array, grid_of(size, checked_affine(path, affine, notes)), image, notes)


def unset_geometry(image: Any, name: str) -> list[str]:
    """A note where an image in memory has SimpleITK's defaults only, as `GetImageFromArray` gives them."""
    count = image.GetDimension()
    plain = tuple(float(row == column) for row in range(count) for column in range(count))
    if image.GetSpacing() == (1.0,) * count and image.GetOrigin() == (0.0,) * count and image.GetDirection() == plain:
        return [
            f"{name}: has SimpleITK's default spacing, origin and direction; read as 1 mm and LPS (x to the left),"
            " check size, left and right"
        ]
    return []
