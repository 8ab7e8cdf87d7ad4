"""Combine label maps: which manual map goes into which head, and what the results must carry along."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hippopt.artifacts.dataset import image_files
from hippopt.artifacts.writable_folder import check_writable
from hippopt.batches.map_combining import read_numbers
from hippopt.console import Console
from hippopt.errors import DatasetError, OutputError
from hippopt.files.file_kind import near_matches
from hippopt.stages.combine_maps import CombiningInputs, Row, combine_maps

NOTICES = ("NOTICE*", "LICENSE*", "LICENCE*", "CITATION*")


@dataclass(frozen=True)
class CombiningRequest:
    """What the user asked of hippopt_combine_maps. numbers: a table of the manual maps' values, None for HOA-2's."""

    manual: Path
    heads: Path
    output: Path
    numbers: Path | None = None
    least_overlap: float = 0.7
    most_gaps: float = 0.4
    preview: Path | None = None
    spacing_mm: float = 1.0
    seed: int = 0
    jobs: int = 1
    overwrite: bool = False


def combine_folders(request: CombiningRequest, console: Console) -> list[Row]:
    """Combine every manual map with one of the heads. Raises DatasetError, OutputError.

    Each head gets its share of the manual maps; which one gets which is drawn from the seed.
    """
    numbers = read_numbers(request.numbers)
    manual, heads = (_listed(folder) for folder in (request.manual, request.heads))
    _check_output(request)
    rng = np.random.default_rng(request.seed)
    drawn = [int(index) for _ in range(-(-len(manual) // len(heads))) for index in rng.permutation(len(heads))]
    pairs = tuple((path, heads[index]) for path, index in zip(manual, drawn, strict=False))
    inputs = CombiningInputs(
        pairs=pairs,
        numbers=numbers,
        folder=request.output,
        origin=_origin(request),
        least_overlap=request.least_overlap,
        most_gaps=request.most_gaps,
        preview=request.preview,
        spacing_mm=request.spacing_mm,
        seed=request.seed,
        jobs=request.jobs,
        overwrite=request.overwrite,
    )
    return combine_maps(inputs, console)


def _listed(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"{folder.absolute()}: no such folder{near_matches(folder)}; give a folder of label maps")
    found = image_files(folder)
    if not found:
        raise DatasetError(f"{folder}: no label map in it; give a folder of NIfTI, NRRD or MetaImage label maps")
    return found


def _check_output(request: CombiningRequest) -> None:
    output = request.output.resolve()
    for source in (request.manual, request.heads):
        if output == source.resolve() or output in source.resolve().parents:
            raise OutputError(f"{request.output}: holds the maps to be combined; choose another folder")
    if output.exists() and not output.is_dir():
        raise OutputError(f"{request.output}: is a file; choose a folder")
    if output.exists() and not request.overwrite:
        raise OutputError(
            f"{request.output}: is there already; choose another folder, or add --overwrite to replace it"
        )
    check_writable(output.parent)


def _origin(request: CombiningRequest) -> str:
    """What lies beside the maps: where they come from, that they were modified, and the notices of both sources."""
    lines = [
        (
            "Label maps combined by hippopt_combine_maps: the structures of manual label maps, set into heads of other"
            " label maps that were"
        ),
        (
            f"deformed to fit. Modified from both sources. Manual maps: {request.manual.name}; heads:"
            f" {request.heads.name}; voxels of {request.spacing_mm:g} mm; seed {request.seed}."
        ),
    ]
    for folder in (request.manual, request.heads):
        for path in sorted({path for pattern in NOTICES for path in folder.glob(pattern) if path.is_file()}):
            lines += ["", f"--- {folder.name}/{path.name} ---", path.read_text(errors="replace").strip()]
    return "\n".join(lines) + "\n"
