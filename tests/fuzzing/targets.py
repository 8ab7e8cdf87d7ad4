"""Every parser of ours as a target: bytes go in, and an error line of ours or a sound result comes out.

A target writes the bytes as the file that its parser reads. Whatever else than a HippoptError comes out of it is a
fault, and so is a result that breaks the target's own law: a grid that is not the header's, an array of another size.
"""

import gzip
import json
import math
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hippopt.artifacts.calibration import Calibration, check_calibration
from hippopt.artifacts.case_tables import read_case_list, read_subjects
from hippopt.artifacts.codec import decode, parse_json
from hippopt.artifacts.cohort import Cohort
from hippopt.artifacts.dataset import load_dataset
from hippopt.artifacts.fingerprint import Fingerprint
from hippopt.artifacts.head_sizes import read_head_sizes
from hippopt.artifacts.plan_rules import load_plan
from hippopt.artifacts.weights import BaseCard
from hippopt.batches.label_maps import read_table
from hippopt.errors import HippoptError
from hippopt.files.image_io import read_scan
from hippopt.files.label_reading import read_label
from hippopt.inference.journal import read_journals
from hippopt.inference.volume_table import fields_of, read_failures, read_volumes
from hippopt.networks.model_archive import open_model
from hippopt.networks.restoring import read_card
from hippopt.networks.tensor_files import parse_state, read_state
from hippopt.planning.splits import read_splits
from hippopt.scoring.tables import read_case_table
from hippopt.sources.description import read_description

MOST_VOXELS = 2**28  # of a result: no input here is larger than some kilobytes
HEADER = 348


@dataclass(frozen=True)
class Target:
    """A parser. parse: reads bytes as a file in a folder; kind: how inputs are changed (json, table, nifti, bytes)."""

    parse: Callable[[bytes, Path], None]
    kind: str


def accepts(target: Target, data: bytes, folder: Path) -> bool:
    """Whether the bytes were taken; False where they were refused in lines for the user. All else is raised."""
    try:
        target.parse(data, folder)
    except HippoptError as error:
        text = str(error)
        assert text.strip() and "Traceback" not in text, "an error without words"
        return False
    return True


def _sound(path: Path) -> None:
    """A scan that was read has the shape of its grid, and a grid that places it; a label has whole numbers."""
    for read in (read_scan, read_label):
        scan = read(path)
        assert scan.array.ndim == 3 and scan.array.shape == tuple(scan.grid.shape), (scan.array.shape, scan.grid)
        assert 0 < scan.array.size <= MOST_VOXELS
        affine = np.array(scan.grid.affine)
        assert np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 0, affine
        assert all(math.isfinite(step) and step > 0 for step in scan.grid.spacing_mm)
        if read is read_label:
            assert scan.array.dtype.kind in "iu"


def _image(ending: str) -> Callable[[bytes, Path], None]:
    def parse(data: bytes, folder: Path) -> None:
        path = folder / f"scan{ending}"
        path.write_bytes(data)
        _sound(path)

    return parse


def _packed(data: bytes, folder: Path) -> None:
    """A sound gzip of unsound bytes, which no mutation of the packed file would reach."""
    path = folder / "scan.nii.gz"
    path.write_bytes(gzip.compress(data, 1))
    _sound(path)


def _pair(data: bytes, folder: Path) -> None:
    """Analyze, and NIfTI in two files: the first 348 bytes and the rest."""
    (folder / "scan.hdr").write_bytes(data[:HEADER])
    (folder / "scan.img").write_bytes(data[HEADER:])
    _sound(folder / "scan.hdr")


def _detached(ending: str, payload: str) -> Callable[[bytes, Path], None]:
    """A text header whose voxels stand in a file of their own."""

    def parse(data: bytes, folder: Path) -> None:
        header, _, voxels = data.partition(b"\n\n")
        (folder / payload).write_bytes(voxels)
        (folder / f"scan{ending}").write_bytes(header + b"\n")
        _sound(folder / f"scan{ending}")

    return parse


def _record(kind: type[Any], check: Callable[[Any, Path], Any] = lambda record, _: record) -> Callable[..., None]:
    """A card or another record: what is read is written again as it was."""

    def parse(data: bytes, folder: Path) -> None:
        source = folder / "record.json"
        record = decode(parse_json(data, source), kind, source)
        check(record, source)
        again = decode(msgspec.to_builtins(record), kind, source)
        assert again == record or b"NaN" in data

    return parse


def _file(name: str, read: Callable[[Path], Any]) -> Callable[[bytes, Path], None]:
    def parse(data: bytes, folder: Path) -> None:
        (folder / name).write_bytes(data)
        read(folder / name)

    return parse


def _dataset(data: bytes, folder: Path) -> None:
    (folder / "dataset.json").write_bytes(data)
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(exist_ok=True)
    for name in ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "imagesTr/b_0000.nii.gz", "labelsTr/b.nii.gz"):
        (folder / name).touch()
    found = load_dataset(folder)
    assert len(found.cases) == 2 and found.labels["background"] == 0 and found.foreground


def _description(data: bytes, folder: Path) -> None:
    (folder / "dataset.json").write_bytes(data)
    read_description(folder)


def _splits(data: bytes, folder: Path) -> None:
    (folder / "splits.json").write_bytes(data)
    folds, left = read_splits(folder / "splits.json", ["case_000", "case_001", "case_002", "case_003"])
    assert folds and len(left) <= 4


def _volumes(path: Path) -> None:
    for lines in read_volumes(path).values():
        fields_of(lines)


def _model(data: bytes, folder: Path) -> None:
    (folder / "model.zip").write_bytes(data)
    with open_model(folder / "model.zip") as model:
        for name in model.archive.sizes:
            for _ in model.archive.chunks(name):
                pass


def _manifest(data: bytes, folder: Path) -> None:
    """A sound zip of an unsound manifest."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("manifest.json", data)
        for name in ("run/plan.json", "run/fold_0/adapter.json", "run/fold_0/adapter.safetensors"):
            archive.writestr(name, b"{}")
    _model(packed.getvalue(), folder)


def _tensors(data: bytes, folder: Path) -> None:
    assert all(value.numel() <= len(data) for value in parse_state(data, folder / "t.safetensors").values())


TARGETS: dict[str, Target] = {
    "nifti": Target(_image(".nii"), "nifti"),
    "nifti_packed": Target(_packed, "nifti"),
    "nifti_gz": Target(_image(".nii.gz"), "bytes"),
    "analyze": Target(_pair, "nifti"),
    "nrrd": Target(_image(".nrrd"), "header"),
    "nrrd_detached": Target(_detached(".nhdr", "scan.raw"), "header"),
    "segmentation": Target(_image(".seg.nrrd"), "header"),
    "metaimage": Target(_image(".mha"), "header"),
    "metaimage_detached": Target(_detached(".mhd", "scan.raw"), "header"),
    "mgh": Target(_image(".mgh"), "bytes"),
    "dataset": Target(_dataset, "json"),
    "description": Target(_description, "json"),
    "plan": Target(_file("plan.json", load_plan), "json"),
    "fingerprint": Target(_record(Fingerprint), "json"),
    "base_card": Target(_record(BaseCard), "json"),
    "adapter_card": Target(_file("adapter.json", read_card), "json"),
    "calibration": Target(_record(Calibration, check_calibration), "json"),
    "cohort": Target(_record(Cohort), "json"),
    "splits": Target(_splits, "json"),
    "subjects": Target(_file("subjects.csv", read_subjects), "table"),
    "case_list": Target(_file("cases.txt", lambda path: read_case_list(str(path))), "table"),
    "case_table": Target(_file("metrics.csv", read_case_table), "table"),
    "volumes": Target(_file("volumes.tsv", _volumes), "table"),
    "failures": Target(_file("failures.tsv", read_failures), "table"),
    "journal": Target(_file("journal.jsonl", lambda path: read_journals([path])), "table"),
    "head_sizes": Target(_file("sizes.tsv", read_head_sizes), "table"),
    "label_table": Target(_file("labels.tsv", read_table), "table"),
    "model": Target(_model, "bytes"),
    "manifest": Target(_manifest, "json"),
    "tensors": Target(_tensors, "bytes"),
    "weights": Target(_file("base.pth", read_state), "bytes"),
}


def json_bytes(value: Any) -> bytes:
    """A value as JSON, such as a seed of a record."""
    return json.dumps(msgspec.to_builtins(value)).encode()


def pair_bytes(header: bytes, voxels: bytes) -> bytes:
    """The input of the target `analyze`."""
    assert len(header) == HEADER and struct.calcsize("80f") == 320
    return header + voxels
