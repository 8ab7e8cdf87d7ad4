"""Sound inputs of each target, made here: small synthetic scans, records and tables. They are the fuzzer's corpus."""

import gzip
import json
import struct
import zipfile
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel
import numpy as np
import torch
from safetensors.torch import save

from hippopt.artifacts.calibration import SIGNAL_NAMES, Calibration, CalibrationQuality
from hippopt.artifacts.cohort import Cohort, Spread
from hippopt.artifacts.model_file import Member, ModelManifest
from hippopt.artifacts.weights import AdapterCard
from hippopt.inference.volume_table import COLUMNS, FAILURE_COLUMNS
from hippopt.scoring.tables import CASE_COLUMNS, METRICS
from tests.fuzzing.targets import json_bytes, pair_bytes
from tests.records import TINY_NETWORK, case_of_boxes, fingerprint_of, small_plan

SHAPE = (5, 4, 3)  # x, y, z
OBLIQUE = np.array(  # turned by 20 degrees about x, with three voxel sizes
    [[-0.9, 0, 0, 20], [0, 1.12763114, -0.68404029, 3], [0, 0.41042417, 1.87938524, 7.5], [0, 0, 0, 1]]
)
IDS = ("case_000", "case_001", "case_002", "case_003")


def values(kind: str = "u1") -> np.ndarray:
    """(x, y, z): a label map, which is a scan as well."""
    return (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 3).astype(kind)


def seeds(name: str) -> list[bytes]:
    """Sound inputs of a target."""
    made = globals()[f"_{name}"]()
    return made if isinstance(made, list) else [made]


def _nifti() -> list[bytes]:
    found = [
        kind(values(dtype), affine).to_bytes()
        for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image)
        for dtype, affine in (("u1", np.diag([1.0, 1, 1.5, 1])), ("i2", OBLIQUE), ("f4", OBLIQUE))
    ]
    scaled = nibabel.Nifti1Image(values("i2"), OBLIQUE)
    scaled.header.set_slope_inter(2.0, -1.0)
    return [*found, scaled.to_bytes()]


def _nifti_packed() -> list[bytes]:
    return _nifti()


def _nifti_gz() -> list[bytes]:
    return [gzip.compress(data, 1, mtime=0) for data in _nifti()[:3]]


def _analyze() -> list[bytes]:
    found = []
    for kind in (nibabel.Spm2AnalyzeImage, nibabel.Nifti1Pair):
        with TemporaryDirectory() as folder:
            kind(values("i2"), np.diag([2.0, 1, 1.5, 1])).to_filename(Path(folder) / "a.img")
            header, voxels = ((Path(folder) / f"a.{ending}").read_bytes() for ending in ("hdr", "img"))
        found.append(pair_bytes(header[:348], voxels))
    return found


def _itk(ending: str, compress: bool = False) -> bytes:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(values("i2").T.copy())
    image.SetSpacing((1.0, 1.2, 2.0))
    image.SetOrigin((-3.0, 4.5, 10.0))
    image.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, -1))
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a{ending}"
        sitk.WriteImage(image, str(path), useCompression=compress)
        return path.read_bytes()


def _nrrd() -> list[bytes]:
    text = (
        "NRRD0004\n# by hand\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\nsizes: 5 4 3\n"
        "space directions: (1,0,0) (0,1.2,0) (0,0,2)\nkinds: domain domain domain\nencoding: raw\n"
        "space origin: (-3,4.5,10)\n\n"
    )
    return [_itk(".nrrd"), _itk(".nrrd", True), text.encode() + values().T.tobytes()]


def _nrrd_detached() -> bytes:
    head, _, voxels = _nrrd()[2].partition(b"\n\n")
    return head + b"\ndata file: scan.raw\n\n" + voxels


def _segmentation() -> bytes:
    head, _, voxels = _nrrd()[2].partition(b"\n\n")
    named = (
        "\nSegment0_ID:=S0\nSegment0_Name:=front\nSegment0_LabelValue:=1\nSegment0_Layer:=0\nSegment0_Extent:=0 4 0 3"
        " 0 2\nSegment1_ID:=S1\nSegment1_Name:=back\nSegment1_LabelValue:=2\nSegment1_Layer:=0\n"
        "Segmentation_ReferenceImageExtentOffset:=0 0 0"
    )
    return head + named.encode() + b"\n\n" + voxels


def _metaimage() -> list[bytes]:
    return [_itk(".mha"), _itk(".mha", True)]


def _metaimage_detached() -> bytes:
    head, _, voxels = _itk(".mha").partition(b"ElementDataFile = LOCAL\n")
    return head + b"ElementDataFile = scan.raw\n\n" + voxels


def _mgh() -> bytes:
    return nibabel.MGHImage(values("i2"), OBLIQUE).to_bytes()


def _dataset() -> bytes:
    return json_bytes(
        {
            "channel_names": {"0": "T1"}, "labels": {"background": 0, "left front": 1, "right front": 2},
            "numTraining": 2, "file_ending": ".nii.gz", "subjects": {"a": "S1", "b": "S2"},
            "sides": {"left front": "left"},
        }
    )  # fmt: skip


def _description() -> list[bytes]:
    decathlon = {
        "name": "Task", "licence": "CC0", "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"}, "numTraining": 1,
        "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}],
    }  # fmt: skip
    return [_dataset(), json_bytes(decathlon)]


def _plan() -> bytes:
    return json_bytes(small_plan())


def _fingerprint() -> bytes:
    box = ((10, 12, 14), (6, 8, 5))
    return json_bytes(fingerprint_of([case_of_boxes(case, {"front": box, "back": None}) for case in IDS[:2]]))


def _base_card() -> list[bytes]:
    folder = Path(__file__).parents[2] / "hippopt" / "bases"
    return [json_bytes(json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))[:1]]


def _adapter_card() -> bytes:
    card = AdapterCard(
        method="full", run="full", fold="0", plan_hash="0" * 64, base_sha256=None, base_name=None,
        network=TINY_NETWORK, in_channels=1, out_channels=3, patch_size=(16, 32, 16), rank=None, core=None,
        balance=None, stacks={}, remade=("head.weight",), trained_parameters={"decoder": 10}, seen_images=("a",),
        checkpoint="last", step=3, sha256="0" * 64, initial_sha256=None, dtype="float32", versions={"torch": "2"},
        settings={"seed": 0, "steps": 3},
    )  # fmt: skip
    return json_bytes(card)


def _calibration() -> bytes:
    quality = CalibrationQuality(
        label="front", cases=9, spearman=0.5, mean_absolute_error=0.02, error_of_mean=0.03, worst_tenth_auc=0.8,
        volume_coverage=0.95,
    )  # fmt: skip
    return json_bytes(
        Calibration(
            plan_hash="0" * 64, adapters={"0": "1" * 64}, cases=9, signals=SIGNAL_NAMES[:1], centre={"front": (0.1,)},
            dice={"front": 0.85}, scale=(0.05,), weights=(0.01,), volume_factor=0.7, volume_level=0.95,
            quality=(quality,),
        )
    )  # fmt: skip


def _cohort() -> bytes:
    spread = Spread(scans=30, first_quartile=1500.0, median=1800.0, third_quartile=2000.0)
    return json_bytes(Cohort(fingerprint_hash="0" * 64, volumes={"front": spread}, parts={"front": 1}, asymmetry={}))


def _splits() -> bytes:
    return json_bytes([{"train": list(IDS[:3]), "val": [IDS[3]]}, {"train": list(IDS[1:]), "val": [IDS[0]]}])


def _subjects() -> list[bytes]:
    return [
        b"case,subject\ncase_000,S1\ncase_001,S1\n",
        b"sep=;\r\ncase;subject;age\r\ncase_000;S1;70\r\n",
        "case\tsubject\ncase_000\tMüller\n".encode("utf-16"),
        b'case\tsubject\n"case_000"\t"S 1"\n',
    ]


def _case_list() -> list[bytes]:
    return [b"case_000\ncase_001 # a remark\n\ncase_002,case_003\n"]


def _table(columns: Any, *rows: Any, mark: str = ",") -> bytes:
    return "".join(mark.join(map(str, row)) + "\n" for row in (columns, *rows)).encode()


def _case_table() -> bytes:
    row = ["0.5" if name in METRICS else "case_000" for name in CASE_COLUMNS]
    return _table(CASE_COLUMNS, row, [*row[:-1], ""])


def _volumes() -> bytes:
    return _table(COLUMNS, [f"{number}" for number in range(len(COLUMNS))], mark="\t")


def _failures() -> bytes:
    return _table(FAILURE_COLUMNS, ("a", "a.nii.gz", "cut short"), mark="\t")


def _journal() -> bytes:
    line = "\t".join(str(number) for number in range(len(COLUMNS)))
    lines = [
        {"columns": list(COLUMNS), "trusted": 5},
        {"scan": "a", "at": 7, "lines": [line]},
        {"scan": "a", "at": 8, "stamp": [100, 5, 6]},
        {"scan": "b", "at": 9, "failure": ["b.nii.gz", "cut short"]},
    ]
    return "".join(json.dumps(each) + "\n" for each in lines).encode()


def _head_sizes() -> list[bytes]:
    return [b"scan\teTIV\nsub-01\t1500000\n", b"Measure:volume,EstimatedTotalIntraCranialVol\nsub-01,1400000.5\n"]


def _label_table() -> bytes:
    return b"value\tname\ttissue\tclass\n0\tbackground\toutside\t\n17\tleft\tgrey\thippocampus\n18\ta\tgrey\tamygdala\n"


def _manifest() -> bytes:
    members = tuple(
        Member(name=name, size=2, sha256="0" * 64)
        for name in ("run/plan.json", "run/fold_0/adapter.json", "run/fold_0/adapter.safetensors")
    )
    return json_bytes(
        ModelManifest(
            hippopt="1.0", dataset="Dataset007_Blob", run="full", method="full", folds=("fold_0",), base=None,
            members=members,
        )
    )  # fmt: skip


def _model() -> list[bytes]:
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w", method) as archive:
            for name, data in (
                ("manifest.json", _manifest()), ("run/plan.json", b"{}"), ("run/fold_0/adapter.json", b"{}"),
                ("run/fold_0/adapter.safetensors", b"{}"),
            ):  # fmt: skip
                archive.writestr(zipfile.ZipInfo(name), data, method)
        found.append(packed.getvalue())
    return found


def _tensors() -> list[bytes]:
    two = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(1, dtype=torch.float16)}
    return [save(two), struct.pack("<Q", 2) + b"{}"]


def _weights() -> bytes:
    packed = BytesIO()
    torch.save({"state_dict": {"a": torch.arange(6.0)}}, packed)
    return packed.getvalue()
