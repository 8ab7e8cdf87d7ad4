"""Characters, names, numbers and offsets that no sound file holds are refused in a line: in scans, tables and records.

Each of these ended in a traceback, or in minutes of silence, until the fuzzer (tests/fuzzing) found it.
"""

import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from hippopt.artifacts.codec import decode, parse_json
from hippopt.artifacts.cohort import Cohort
from hippopt.artifacts.head_sizes import read_head_sizes
from hippopt.batches.label_maps import read_table
from hippopt.batches.map_combining import read_numbers
from hippopt.errors import DatasetError, ImageError, PlanError, WeightsError
from hippopt.files.image_io import read_scan
from hippopt.files.scan_listing import ScanFiles
from hippopt.files.text_headers import read_text_header
from hippopt.inference.scan_list import ScanList, write_list
from hippopt.inference.volume_table import fields_of, line_of, read_volumes, write_volumes
from hippopt.inference.volumes import COLUMNS
from hippopt.networks.model_archive import open_model
from hippopt.sources.description import read_description
from tests.import_sources import write_decathlon

META = "ObjectType = Image\n{}\nElementSpacing = 1 1 1\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
SQUARE = "\u00b2"  # a digit to Python's isdigit, but no number


def test_row_109_half_a_character_in_a_record() -> None:
    data = parse_json('{"\\ud800": 1, "volumes": {}, "parts": {}, "asymmetry": {}}', Path("a.json"))
    with pytest.raises(PlanError, match=r"a\.json.*surrogate"):
        decode(data, Cohort, Path("a.json"))


def test_row_109_a_number_of_thousands_of_digits() -> None:
    with pytest.raises(PlanError, match=r"a\.json.*digits"):
        parse_json("[" + 5000 * "1" + "]", Path("a.json"))


def test_row_109_digits_that_are_no_numbers(tmp_path: Path) -> None:
    table = tmp_path / "table.tsv"
    table.write_text(f"value\tname\ttissue\tclass\n{SQUARE}\tleft\tgrey\thippocampus\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="line 2"):
        read_table(table)
    table.write_text(f"value\tname\tfreesurfer\n17\tleft\t{SQUARE}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="line 2"):
        read_numbers(table)
    folder = write_decathlon(tmp_path / "in")
    description = folder / "dataset.json"
    known = json.loads(description.read_text())
    description.write_text(json.dumps({**known, "labels": {"background": 0, "front": SQUARE}}))
    assert SQUARE in read_description(folder).label_fault


@pytest.mark.parametrize("read", [read_table, read_numbers, read_head_sizes])
def test_row_109_a_cell_that_no_table_holds(read: Callable[[Path], object], tmp_path: Path) -> None:
    table = tmp_path / "table.tsv"
    table.write_text("value\tname\n17\t" + 200_000 * "x" + "\n")
    with pytest.raises(DatasetError, match=r"table\.tsv.*field"):
        read(table)


def test_row_109_a_model_file_whose_directory_points_before_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", b"{}" * 200)
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x05\x06") + 16
    struct.pack_into("<I", data, at, struct.unpack_from("<I", data, at)[0] + 300)
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"model\.zip: damaged"), open_model(path):
        pass


@pytest.mark.parametrize(
    "order", ["NDims = {}\nDimSize = 5 4 3", "DimSize = 5 4 3\nNDims = {}", "NDims = {}\nNDims = 3\nDimSize = 5 4 3"]
)
def test_row_109_more_axes_than_an_image_has(order: str, tmp_path: Path) -> None:
    """ITK counts to the number that a header gives, for minutes, before it looks at anything else."""
    path = tmp_path / "scan.mha"
    path.write_bytes(META.format(order.format(10**20)).encode() + bytes(120))
    with pytest.raises(ImageError, match=r"scan\.mha: header gives NDims 1000"):
        read_scan(path)


@pytest.mark.parametrize(
    "order",
    [
        "NDims = 3\nDimSize = 5 4 3\nNDims = 4",
        "NDims = 4\nDimSize = 5 4 3",
        "NDims = 4\nDimSize = 5 4 3\nNDims = 3",
        "NDims = 2\nDimSize = 5 4 3",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_row_109_other_axes_than_sizes(order: str, packed: bool, tmp_path: Path) -> None:
    path = tmp_path / "scan.mha"
    data = zlib.compress(bytes(120)) if packed else bytes(120)
    size = f"\nCompressedData = True\nCompressedDataSize = {len(data)}" if packed else ""
    path.write_bytes(META.format(order + size).encode() + data)
    with pytest.raises(ImageError, match=r"scan\.mha: .*(describes 60 values, of which|cannot be read)"):
        read_scan(path)


@pytest.mark.parametrize(
    "line",
    [
        "CompressedData = True\nCompressedDataSize = -1",
        "HeaderSize = -2",
        "ElementNumberOfChannels = 0",
        "HeaderSize = 9e9",
    ],
)
def test_row_109_sizes_below_nothing(line: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.mha"
    path.write_bytes(META.format(f"NDims = 3\nDimSize = 5 4 3\n{line}").encode() + zlib.compress(bytes(120)))
    with pytest.raises(ImageError, match=r"scan\.mha: header gives (Comp|Head|Elem)"):
        read_scan(path)


def test_row_109_decimal_commas(tmp_path: Path) -> None:
    """As a program writes them that follows the language of the machine."""
    (tmp_path / "scan.mha").write_bytes(
        META.format("NDims = 3\nDimSize = 5 4 3").replace("1 1 1", "1 1,2 2").encode() + bytes(120)
    )
    with pytest.raises(ImageError, match=r"scan\.mha: .*(voxel|cannot be read)"):
        read_scan(tmp_path / "scan.mha")
    (tmp_path / "scan.nrrd").write_bytes(
        b"NRRD0004\ntype: short\ndimension: 3\nsizes: 5 4 3\nspacings: 1 1,2 2\nencoding: raw\nendian: little\n\n"
        + bytes(120)
    )
    with pytest.raises(ImageError, match=r"scan\.nrrd: .*(voxel|cannot be read)"):
        read_scan(tmp_path / "scan.nrrd")


@pytest.mark.parametrize(("kind", "values"), [("complex", 2), ("RGB-color", 3), ("vector", 3)])
def test_row_109_several_values_per_voxel_are_no_damage(kind: str, values: int, tmp_path: Path) -> None:
    path = tmp_path / "scan.nrrd"
    header = (
        f"NRRD0004\ntype: float\ndimension: 4\nspace: left-posterior-superior\nsizes: {values} 5 4 3\n"
        f"space directions: none (1,0,0) (0,1,0) (0,0,1)\nkinds: {kind} domain domain domain\nencoding: raw\n"
        "endian: little\n\n"
    )
    path.write_bytes(header.encode() + bytes(4 * values * 60))
    with pytest.raises(ImageError, match=r"scan\.nrrd: several values per voxel"):
        read_scan(path)


def test_row_109_as_many_axes_as_an_image_has(tmp_path: Path) -> None:
    path = tmp_path / "scan.mha"
    path.write_bytes(META.format("NDims = 03\nDimSize = 5 4 3").encode() + bytes(120))
    assert read_scan(path).array.shape == (3, 4, 5)


@pytest.mark.parametrize("cell", ["a\nb", "a\rb", "\n", 'a"\tb', "\r\n"])
def test_row_109_line_ends_within_a_cell(cell: str, tmp_path: Path) -> None:
    """A table with such a cell was written as one that could not be read back."""
    rows = {cell: (line_of([cell, *(len(COLUMNS) - 1) * ["1"]]),)}
    write_volumes(rows, tmp_path / "volumes.tsv")
    found = read_volumes(tmp_path / "volumes.tsv")
    assert found == rows and fields_of(found[cell])[0]["scan"] == cell


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x0c", "\n", '"'])
def test_row_109_a_line_end_in_the_name_of_a_scan(mark: str, tmp_path: Path) -> None:
    """Python knows more line ends than tables do: parts could not read the list that they had written."""
    scans = [ScanFiles(f"a{mark}b", (tmp_path / f"a{mark}b.nii.gz",)), ScanFiles("c", (tmp_path / "c.nii.gz",))]
    write_list(tmp_path / "out", scans)
    assert ScanList(tmp_path / "out", tmp_path, scans).scans == scans


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "(which no file is called|no ElementDataFile)"),
        ("a\0b.raw", "which no file is called"),
        ("a\x1bb.raw", "which no file is called"),
        (300 * "a" + ".raw", "which no file is called"),
        ("slice%d.raw 0 999999999 1", "names 1000000000 files for 60 values"),
        ("slice%999999999d.raw 0 2 1", "convert it to NIfTI"),
        ("slice%c.raw 0 2 1", "convert it to NIfTI"),
        ("slice%d.raw 0 2 0", "convert it to NIfTI"),
        (f"slice%d.raw 0 {SQUARE} 1", "not beside it"),
        ("LIST\n\x1b.raw", "which no file is called"),
    ],
)
@pytest.mark.parametrize("ending", ["mhd", "nhdr"])
def test_row_109_names_of_voxels_that_no_file_has(name: str, said: str, ending: str, tmp_path: Path) -> None:
    header = META.format("NDims = 3\nDimSize = 5 4 3").replace("LOCAL\n", name)
    if ending == "nhdr":
        header = f"NRRD0004\ntype: short\ndimension: 3\nsizes: 5 4 3\nencoding: raw\nendian: little\ndata file: {name}"
    path = tmp_path / f"scan.{ending}"
    path.write_bytes(f"{header}\n".encode())
    with pytest.raises(ImageError, match=rf"scan\.{ending}: .*{said}"):
        read_scan(path)


@pytest.mark.parametrize("written", ["utf-8", "latin-1"])
def test_row_109_a_name_of_voxels_in_the_users_language_is_taken(written: str, tmp_path: Path) -> None:
    """MetaImage and NRRD do not say how their text is encoded; UTF-8 is tried first."""
    name = "données.raw"
    (tmp_path / name).write_bytes(bytes(120))
    header = META.format("NDims = 3\nDimSize = 5 4 3").replace("LOCAL", name)
    (tmp_path / "scan.mhd").write_bytes(header.encode(written))
    assert read_text_header(tmp_path / "scan.mhd").payload.files == (name,)
    if written == "utf-8":
        assert read_scan(tmp_path / "scan.mhd").array.shape == (3, 4, 5)
