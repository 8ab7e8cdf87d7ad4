"""Read scans and write masks: the only importer of nibabel and SimpleITK.

NIfTI and Analyze go through nibabel, since faults and faithful output need the header itself; NRRD and MetaImage go
through SimpleITK. A file's kind is told by its first bytes, not by its name.
"""

import difflib
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hippopt.artifacts.codec import write_atomically
from hippopt.artifacts.dataset import split_ending
from hippopt.artifacts.grid import Grid
from hippopt.errors import ImageError
from hippopt.imaging.nifti_header import checked_affine, checked_shape, grid_of, nifti_affine, scaling

GZIP_MAGIC = b"\x1f\x8b"
FOREIGN = {
    b"PK\x03\x04": "a zip archive",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF document",
    b"\x89HDF": "an HDF5 file",
}


@dataclass(frozen=True)
class Scan:
    """One 3D image. array: (Z, Y, X), the file's axes reversed; header: what a mask in the same grid is written from."""

    path: Path
    array: np.ndarray
    grid: Grid
    header: Any
    notes: list[str] = field(default_factory=list)


def read_scan(path: Path, volume: int | None = None) -> Scan:
    """Read one 3D image; of a 4D file with several volumes, the one asked for.

    Returns float32 values, or the stored integers where the file holds unscaled ones. Raises ImageError in one line.
    """
    path = Path(path)
    head = _first_bytes(path)
    kind = split_ending(path.name)
    ending = kind[1].lower() if kind else ""
    if ending in (".hdr", ".img"):
        return _read_pair(path, volume)
    if ending in (".nrrd", ".mha", ".mhd") or head[:4] == b"NRRD" or head.startswith((b"ObjectType", b"NDims")):
        return _read_itk(path)
    return _read_nifti(path, path.read_bytes(), volume)


def _first_bytes(path: Path) -> bytes:
    """The file's first bytes. Raises ImageError for a file that is missing, empty, unreadable or no image."""
    try:
        if path.is_symlink() and not path.exists():
            raise ImageError(f"{path}: broken link to {path.readlink()}; restore its target")
        with open(path, "rb") as stream:
            head = stream.read(352)
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else [], 3)
        raise ImageError(f"{path.absolute()}: not found" + (f"; near matches: {', '.join(near)}" if near else "")) from None
    except PermissionError:
        raise ImageError(f"{path}: no permission to read; change it with chmod or its owner") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check the link or the disk") from None
    if not head:
        raise ImageError(f"{path}: empty file (0 bytes); copy it anew")
    for magic, name in FOREIGN.items():
        if head.startswith(magic):
            raise ImageError(f"{path}: this is {name}, not an image volume; convert it to NIfTI")
    if head[128:132] == b"DICM":
        raise ImageError(f"{path}: this is a DICOM file; convert the series to NIfTI (for example with dcm2niix)")
    return head


def _inflate(path: Path, data: bytes) -> tuple[bytes, bool]:
    """Decompress gzip members as far as they go: (bytes, whole). Raises ImageError where the data is corrupt."""
    out = []
    whole = False
    while data[:2] == GZIP_MAGIC:
        engine = zlib.decompressobj(31)
        try:
            out.append(engine.decompress(data))
        except zlib.error as error:
            raise ImageError(f"{path}: corrupt gzip data ({error}); copy the file anew") from None
        whole, data = engine.eof, engine.unused_data
    return b"".join(out), whole


def _read_nifti(path: Path, data: bytes, volume: int | None) -> Scan:
    import nibabel

    notes = []
    whole = True
    zipped = data[:2] == GZIP_MAGIC
    if zipped:
        data, whole = _inflate(path, data)
    if zipped != path.name.lower().endswith(".gz"):
        notes.append(f"{path.name}: {'gzip data without' if zipped else 'no gzip data despite'} .gz in its name; read by content")
    if len(data) < 348 or (data[344:347] not in (b"n+1", b"ni1") and data[4:7] != b"n+2"):
        if zipped and not whole:
            raise ImageError(f"{path}: truncated in its header, read {len(data)} bytes; copy the file anew")
        kind = "a text file" if data[:200].isascii() and data[:200].decode("ascii", "replace").isprintable() else "of unknown type"
        kind = "a text file" if _is_text(data[:200]) else kind
        raise ImageError(f"{path}: not an image volume, but {kind}; give NIfTI, NRRD, MetaImage or Analyze")
    from io import BytesIO

    header_class = nibabel.Nifti2Header if data[4:7] == b"n+2" else nibabel.Nifti1Header
    header = header_class.from_fileobj(BytesIO(data), check=False)
    return _decode(path, header, data, int(header["vox_offset"]), volume, notes)


def _is_text(data: bytes) -> bool:
    return bool(data) and all(byte in (9, 10, 13) or 32 <= byte < 127 for byte in data)


def _read_pair(path: Path, volume: int | None) -> Scan:
    """Analyze 7.5 or a NIfTI pair: .hdr with .img beside it."""
    import nibabel

    head, image = path.with_suffix(".hdr"), path.with_suffix(".img")
    for needed in (head, image):
        _first_bytes(needed)
    raw = head.read_bytes()
    from io import BytesIO

    nifti = raw[344:347] == b"ni1"
    header_class = nibabel.nifti1.Nifti1PairHeader if nifti else nibabel.Spm99AnalyzeImage.header_class
    notes = [] if nifti else [f"{path.name}: Analyze states no orientation; read as LAS (radiological), check left and right"]
    try:
        header = header_class.from_fileobj(BytesIO(raw), check=False)
    except Exception as error:
        raise ImageError(f"{head}: not an Analyze header ({error}); convert the scan to NIfTI") from None
    return _decode(head, header, image.read_bytes(), int(header["vox_offset"]), volume, notes)


def _decode(path: Path, header: Any, data: bytes, offset: int, volume: int | None, notes: list[str]) -> Scan:
    shape = checked_shape(path, header, volume, notes)
    try:
        dtype = header.get_data_dtype()
    except Exception:
        raise ImageError(f"{path}: unknown voxel type {int(header['datatype'])}; convert it to float32") from None
    if dtype.fields is not None or dtype.kind not in "iuf":
        raise ImageError(f"{path}: voxels of type {dtype} (colour or complex); give a scan with one real value a voxel")
    affine = checked_affine(path, nifti_affine(path, header, notes), notes)
    voxels = int(np.prod(shape))
    start = offset + (volume or 0) * voxels * dtype.itemsize
    if len(data) < start + voxels * dtype.itemsize:
        raise ImageError(f"{path}: truncated, read {len(data)} of {start + voxels * dtype.itemsize} bytes; copy the file anew")
    array = np.frombuffer(data, dtype, voxels, start).reshape(shape[::-1])
    slope, inter = scaling(path, header, notes)
    if slope != 1 or inter != 0:
        array = array.astype(np.float32) * np.float32(slope) + np.float32(inter)
    elif dtype.kind == "f":
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes Inf, which the caller reports
            array = array.astype(np.float32)
    else:
        array = array.astype(dtype.newbyteorder("="))
    return Scan(path, array, grid_of(shape, affine), header, notes)


def _read_itk(path: Path) -> Scan:
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = [line for line in str(error).splitlines() if line.strip()][-1].strip()
        raise ImageError(f"{path}: cannot be read ({reason}); copy it anew or convert it to NIfTI") from None
    notes: list[str] = []
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
        notes.append(f"{path.name}: one volume in four dimensions; the fourth dropped")
    if image.GetDimension() != 3 or min(image.GetSize()) < 2:
        raise ImageError(f"{path}: size {image.GetSize()}; give one 3D volume")
    if image.GetNumberOfComponentsPerPixel() != 1 or "complex" in image.GetPixelIDTypeAsString():
        raise ImageError(f"{path}: several values a voxel (colour or complex); give a scan with one real value a voxel")
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1  # ITK's world is LPS, ours RAS
    array = sitk.GetArrayFromImage(image)
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    size = image.GetSize()
    return Scan(path, array, grid_of((size[0], size[1], size[2]), checked_affine(path, affine, notes)), image, notes)


def write_mask(path: Path, mask: np.ndarray, like: Scan) -> None:
    """Write `mask` (Z, Y, X) in the grid and with the header of `like`, atomically, as uint8 or uint16."""
    dtype = np.uint8 if mask.max(initial=0) < 256 else np.uint16
    _write(path, mask.astype(dtype), like)


def write_probabilities(path: Path, probabilities: np.ndarray, like: Scan) -> None:
    """Write (L, Z, Y, X) probabilities as a 4D float32 NIfTI in the grid of `like`, atomically."""
    import nibabel

    array = np.moveaxis(probabilities, 0, -1).transpose(2, 1, 0, 3).astype(np.float32)
    write_atomically(path, lambda temporary: nibabel.save(nibabel.Nifti1Image(array, np.array(like.grid.affine)), temporary))


def _write(path: Path, array: np.ndarray, like: Scan) -> None:
    import nibabel

    if isinstance(like.header, nibabel.Nifti1Header):
        header = nibabel.Nifti1Header.from_header(like.header, check=False) if _is_pair(like.header) else like.header.copy()
        header.set_data_dtype(array.dtype)
        header.set_data_shape(array.shape[::-1])
        header["scl_slope"], header["scl_inter"], header["cal_min"], header["cal_max"] = 1, 0, 0, 0
        kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
        image = kind(array.T, None, header)
        write_atomically(path, lambda temporary: nibabel.save(image, temporary))
    elif hasattr(like.header, "GetDirection"):
        import SimpleITK as sitk

        itk = sitk.GetImageFromArray(array)
        itk.CopyInformation(like.header)
        write_atomically(path, lambda temporary: sitk.WriteImage(itk, str(temporary), useCompression=True))
    else:
        write_array(path, array, like.grid)


def _is_pair(header: Any) -> bool:
    return not getattr(header, "is_single", True)


def write_array(path: Path, array: np.ndarray, grid: Grid) -> None:
    """Write (Z, Y, X) values with a new NIfTI header for `grid`, atomically."""
    import nibabel

    image = nibabel.Nifti1Image(np.ascontiguousarray(array).T, np.array(grid.affine))
    image.header.set_xyzt_units("mm")
    write_atomically(path, lambda temporary: nibabel.save(image, temporary))
